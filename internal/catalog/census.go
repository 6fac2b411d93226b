package catalog

import (
	"cmp"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// A census counts the records of a list that may be very long, by stretches of
// the time they were created in, so that a page by number is found without
// going through what stands before it. It is a record of its own, changed in
// the transaction that changes the list.
type census struct {
	Stretches []stretch `json:"stretches"` // the oldest first
	Newest    int64     `json:"newest"`    // the latest millisecond that anything was created in
}

// stretch is how many records of the list were created from From on, up to the
// next stretch. Times are in milliseconds since 1970.
type stretch struct {
	From    int64 `json:"from"` // a millisecond is never divided
	N       int   `json:"n"`
	Changed int64 `json:"changed"` // when the newest version of any record created in it began
}

// censusStretch is how many records a stretch takes before the next begins:
// what a page may have to skip.
const censusStretch = 1000

// recount changes the census of owner's list by a record created then, of which
// a version begins now.
func recount(tx store.Tx, kind, owner string, created, version domain.Time, by int) error {
	c, err := readCensus(tx, kind, owner)
	if err != nil {
		return err
	}
	c.add(created.Nanos()/nanosPerMilli, version.Nanos()/nanosPerMilli, by)
	return put(tx, kind+"census", owner, c)
}

func readCensus(tx store.Tx, kind, owner string) (c census, err error) {
	_, err = get(tx, kind+"census", owner, &c)
	return c, err
}

func (c *census) add(milli, changed int64, by int) {
	i, found := slices.BinarySearchFunc(c.Stretches, milli, func(s stretch, m int64) int { return cmp.Compare(s.From, m) })
	if !found {
		i-- // the stretch that milli lies in
	}
	last := len(c.Stretches) - 1
	switch {
	case i < 0 && last < 0, i == last && milli > c.Newest && c.Stretches[last].N >= censusStretch:
		c.Stretches = append(c.Stretches, stretch{From: milli, N: by, Changed: changed})
	default:
		s := &c.Stretches[max(i, 0)]
		s.From = min(s.From, milli)
		s.N += by
		s.Changed = max(s.Changed, changed)
	}
	c.Newest = max(c.Newest, milli)
}

// total is how many records the list has.
func (c *census) total() (n int) {
	for _, s := range c.Stretches {
		n += s.N
	}
	return n
}

// seek is where the record stands before which there are skip newer ones: the
// Sort from which to count, and how many to skip from there.
func (c *census) seek(skip int) (from string, rest int) {
	for i, s := range slices.Backward(c.Stretches) {
		if skip < s.N || i == 0 {
			break
		}
		skip -= s.N
		from = s.after()
	}
	return from, skip
}

// after is the Sort of what was created just before the stretch.
func (s *stretch) after() string { return newestMilli(s.From - 1) }

// censusPage reads a part of a list that has a census, and counts the list.
func censusPage(tx store.Tx, kind, owner string, skip, limit int) ([]store.Record, int, error) {
	c, err := readCensus(tx, kind, owner)
	if err != nil {
		return nil, 0, err
	}
	total := c.total()
	if skip >= total {
		return nil, total, nil
	}
	from, rest := c.seek(skip)
	page, err := tx.Page(kind, listKey, owner, from, rest, limit)
	return page, total, err
}
