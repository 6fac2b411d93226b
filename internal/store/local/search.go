package local

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store/local/body"
)

// wordHits is where the words of a search may be, by trace.
type wordHits map[int64]*wordHit

type wordHit struct {
	ids   []string      // of observations that hold them; "" is the trace itself
	units []*searchUnit // which may say more
}

func (h wordHits) of(tid int64) *wordHit {
	one := h[tid]
	if one == nil {
		one = &wordHit{}
		h[tid] = one
	}
	return one
}

func (h wordHits) add(tid int64, id string) {
	if one := h.of(tid); !slices.Contains(one.ids, id) {
		one.ids = append(one.ids, id)
	}
}

// some reports whether anything of the trace may hold the words.
func (h *wordHit) some() bool {
	return h != nil && (len(h.ids) > 0 || slices.ContainsFunc(h.units, (*searchUnit).unsure))
}

// has reports whether an observation of the trace may hold the words.
func (h *wordHit) has(id string) bool {
	return h != nil && (slices.Contains(h.ids, id) || slices.ContainsFunc(h.units, (*searchUnit).unsure))
}

// maxRefining bounds for how long candidates are looked into before the rows are
// put in order: of a word that is in more of them than that, a page is full long
// before all were looked at, and not all rows are counted.
const maxRefining = maxLooking / 2

// searchUnit is a block or a hot chunk that a search asks.
type searchUnit struct {
	bid   int64 // of a block
	tid   int64 // of a hot chunk
	place body.Place
	hits  uint64 // the searches that it may hold the words of, a bit each
	state unitState
}

// unitState is how far a search came with a unit.
type unitState uint8

const (
	unseen  unitState = iota
	refined           // the hits say where its words are
	missed            // it can't be read
)

// unsure reports whether a unit may hold words that no hit tells of.
func (u *searchUnit) unsure() bool { return u.state != refined }

// age is greater for what was written later: most answers are the newest.
func (u *searchUnit) age() int64 {
	if u.bid == 0 {
		return math.MaxInt64
	}
	return u.bid
}

// wordSearch finds the words of a question's searches.
type wordSearch struct {
	s        *Store
	searches []*query.Words
	hashes   [][]uint64
	units    []*searchUnit
	found    []wordHits
	ahead    int // how many units are looked into at once when rows are gone through
}

// findWords asks the search filters of all blocks. Where all rows are needed it
// then looks into what they leave, else the pager does, as it gets there. What
// is read moves meanwhile at worst: then it counts as found, and is looked at
// again as a row.
func (q *question) findWords(ctx context.Context) error {
	w := &wordSearch{s: q.s, ahead: 4}
	for i := range q.conjuncts {
		c := &q.conjuncts[i]
		if c.Words == nil || len(w.searches) == 64 || c.Pair != nil && q.view == query.Traces {
			continue
		}
		w.searches = append(w.searches, c.Words)
		w.hashes = append(w.hashes, termHashes(c.Words.Terms))
		w.found = append(w.found, wordHits{})
	}
	if len(w.searches) == 0 {
		return nil
	}
	if err := q.s.reads.read(ctx, w.list); err != nil {
		return err
	}
	if err := w.each(ctx, w.units, w.ask); err != nil {
		return err
	}
	lazy := !q.l.Total && q.byTime()
	if lazy {
		w.leaveCommon()
	}
	w.units = slices.DeleteFunc(w.units, func(u *searchUnit) bool { return u.hits == 0 })
	slices.SortFunc(w.units, func(a, b *searchUnit) int { return cmp.Compare(b.age(), a.age()) })
	var err error
	if lazy {
		q.search = w
		err = q.s.reads.read(ctx, w.await)
	} else {
		err = w.refineAll(ctx)
	}
	q.words = map[*query.Words]wordHits{}
	for i, search := range w.searches {
		if w.found[i] != nil {
			q.words[search] = w.found[i]
		}
	}
	return err
}

// leaveCommon gives up on a word that so many blocks may hold that rows are
// sooner looked at one by one. Of several it takes a look whether they stand one
// after the other.
func (w *wordSearch) leaveCommon() {
	const few = 64
	for i := range w.searches {
		if len(w.hashes[i]) > 1 {
			continue
		}
		blocks, hits := 0, 0
		for _, u := range w.units {
			if u.bid != 0 {
				blocks++
				hits += int(u.hits >> i & 1)
			}
		}
		if hits > few && hits > blocks/4 {
			w.found[i] = nil
			for _, u := range w.units {
				u.hits &^= 1 << i
			}
		}
	}
}

// await notes of which traces the units are.
func (w *wordSearch) await(c *sqlConn) error {
	const few = 500 // of more, all places are read at once
	blocks := map[int64]*searchUnit{}
	for _, u := range w.units {
		if u.bid == 0 {
			w.awaitOf(u, u.tid)
		} else {
			blocks[u.bid] = u
		}
	}
	take := func(r row) error {
		if u := blocks[r.int(0)]; u != nil {
			w.awaitOf(u, r.int(1))
		}
		return nil
	}
	if len(blocks) > few {
		return c.rows("SELECT bid, tid FROM places", take)
	}
	for bid := range blocks {
		if err := c.rows("SELECT bid, tid FROM places WHERE bid = ?", take, bid); err != nil {
			return err
		}
	}
	return nil
}

func (w *wordSearch) awaitOf(u *searchUnit, tid int64) {
	for i, found := range w.found {
		if u.hits&(1<<i) != 0 {
			one := found.of(tid)
			one.units = append(one.units, u)
		}
	}
}

// lookAhead looks into the units of a row's trace, and while it is at it into
// those of rows behind it: more each time, since a page that is not full soon
// will need many.
func (w *wordSearch) lookAhead(ctx context.Context, f *found, behind []found) error {
	var units []*searchUnit
	take := func(tid int64) {
		for _, hits := range w.found {
			if one := hits[tid]; one != nil {
				for _, u := range one.units {
					if u.state == unseen && !slices.Contains(units, u) {
						units = append(units, u)
					}
				}
			}
		}
	}
	if take(f.tid); len(units) == 0 {
		return nil
	}
	for i := range behind {
		if len(units) >= w.ahead {
			break
		}
		take(behind[i].tid)
	}
	w.ahead = min(2*w.ahead, 128)
	var mu sync.Mutex
	return w.each(ctx, units, func(u *searchUnit, buf *[]byte) error {
		if w.refine(u, buf, &mu) != nil { // it moved, or it is damaged
			u.state = missed
		}
		return nil
	})
}

func (w *wordSearch) list(c *sqlConn) error {
	all := uint64(1)<<len(w.searches) - 1
	err := c.rows("SELECT k, file, off, len FROM hot", func(r row) error {
		w.units = append(w.units, &searchUnit{tid: r.int(0) >> seqBits, place: body.Place{File: r.int(1), Off: r.int(2), Len: r.int(3)}, hits: all})
		return nil
	})
	if err != nil {
		return err
	}
	return c.rows("SELECT bid, file, off, len FROM blocks", func(r row) error {
		w.units = append(w.units, &searchUnit{bid: r.int(0), place: body.Place{File: r.int(1), Off: r.int(2), Len: r.int(3)}})
		return nil
	})
}

// each calls f for each unit, several at a time; buf is scratch space of one of
// the callers.
func (w *wordSearch) each(ctx context.Context, units []*searchUnit, f func(u *searchUnit, buf *[]byte) error) error {
	step := max(1, min(16, len(units)/(2*workers)))
	n := len(units)
	var next atomic.Int64
	return together(workers, func() error {
		var buf []byte
		for {
			from := int(next.Add(int64(step))) - step
			if from >= n {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			for i := from; i < min(from+step, n); i++ {
				if err := f(units[i], &buf); err != nil {
					return err
				}
			}
		}
	})
}

// ask finds out which searches a block may have the words of. One whose filter
// cannot be read may have all of them.
func (w *wordSearch) ask(u *searchUnit, buf *[]byte) error {
	if u.bid == 0 {
		return nil
	}
	filter, err := w.s.bodies.Block(u.place, body.Search, (*buf)[:0])
	if err != nil {
		filter = nil
	} else {
		*buf = filter
	}
	for i := range w.hashes {
		if mayHold(filter, w.hashes[i]) {
			u.hits |= 1 << i
		}
	}
	return nil
}

// refineAll looks into the units for the words. Those that it has no time for,
// and those that moved, count as found whole.
func (w *wordSearch) refineAll(ctx context.Context) error {
	began := time.Now()
	var mu sync.Mutex
	var left []*searchUnit
	err := w.each(ctx, w.units, func(u *searchUnit, buf *[]byte) error {
		if time.Since(began) < maxRefining && w.refine(u, buf, &mu) == nil {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		left = append(left, u)
		return nil
	})
	if err != nil || len(left) == 0 {
		return err
	}
	w.units = left
	return w.s.reads.read(ctx, w.await)
}

// refine looks into a unit for the words.
func (w *wordSearch) refine(u *searchUnit, buf *[]byte, mu *sync.Mutex) error {
	var data []byte
	var err error
	if u.bid == 0 {
		data, err = w.s.bodies.Chunk(u.place, (*buf)[:0])
	} else {
		data, err = w.s.bodies.Block(u.place, body.Bodies, (*buf)[:0])
	}
	if err != nil {
		return err
	}
	*buf = data
	if u.bid == 0 {
		err = w.look(u, u.tid, data, mu)
	} else {
		err = eachRecord(data, func(tid int64, items []byte) error { return w.look(u, tid, items, mu) })
	}
	if err == nil {
		u.state = refined
	}
	return err
}

// look tests the items of a trace.
func (w *wordSearch) look(u *searchUnit, tid int64, items []byte, mu *sync.Mutex) error {
	var folded, scratch []byte
	for r := (reader{b: items}); len(r.b) > 0; {
		it := r.item()
		if r.err != nil {
			return r.err
		}
		for _, p := range searchedParts {
			b := it.Content[p]
			if !b.IsSet() {
				continue
			}
			may := uint64(0)
			for i, search := range w.searches {
				if u.hits&(1<<i) != 0 && search.MayBeIn(b) {
					may |= 1 << i
				}
			}
			if may == 0 {
				continue
			}
			folded, scratch = query.Searchable(folded[:0], scratch, b)
			for i, search := range w.searches {
				if may&(1<<i) != 0 && search.In(folded) {
					mu.Lock()
					w.found[i].add(tid, it.ID)
					mu.Unlock()
				}
			}
		}
	}
	return nil
}
