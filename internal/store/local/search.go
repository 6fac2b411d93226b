package local

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store/local/body"
)

// wordHits is where the words of a search may be: in any observation of a
// trace, or in those of some ids; "" is the trace itself.
type wordHits map[int64]*wordHit

type wordHit struct {
	any bool
	ids []string
}

func (h wordHits) add(tid int64, id string) {
	one := h[tid]
	if one == nil {
		one = &wordHit{}
		h[tid] = one
	}
	if !slices.Contains(one.ids, id) {
		one.ids = append(one.ids, id)
	}
}

func (h wordHits) addAny(tid int64) { h[tid] = &wordHit{any: true} }

// has reports whether an observation of a trace may hold the words.
func (h wordHits) has(tid int64, id string) bool {
	one := h[tid]
	return one != nil && (one.any || slices.Contains(one.ids, id))
}

// maxRefining bounds for how long candidates are looked into before the rows are
// put in order. Of a word that is in more of them than that, a page is full long
// before all were looked at.
const maxRefining = maxLooking

// searchUnit is a block or a hot chunk that a search asks.
type searchUnit struct {
	bid   int64 // of a block
	tid   int64 // of a hot chunk
	place body.Place
	hits  uint64 // the searches that it may hold the words of, a bit each
}

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
	units    []searchUnit
	found    []wordHits
}

// findWords asks the search filters of all blocks, then looks into what they
// leave. What is read moves meanwhile at worst: then it counts as found, and is
// looked at again as a row.
func (q *question) findWords(ctx context.Context) error {
	w := &wordSearch{s: q.s}
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
	if err := w.each(ctx, len(w.units), w.ask); err != nil {
		return err
	}
	w.units = slices.DeleteFunc(w.units, func(u searchUnit) bool { return u.hits == 0 })
	slices.SortFunc(w.units, func(a, b searchUnit) int { return cmp.Compare(b.age(), a.age()) })
	err := w.refine(ctx)
	q.words = map[*query.Words]wordHits{}
	for i, search := range w.searches {
		q.words[search] = w.found[i]
	}
	return err
}

func (w *wordSearch) list(c *sqlConn) error {
	all := uint64(1)<<len(w.searches) - 1
	err := c.rows("SELECT k, file, off, len FROM hot", func(r row) error {
		w.units = append(w.units, searchUnit{tid: r.int(0) >> seqBits, place: body.Place{File: r.int(1), Off: r.int(2), Len: r.int(3)}, hits: all})
		return nil
	})
	if err != nil {
		return err
	}
	return c.rows("SELECT bid, file, off, len FROM blocks", func(r row) error {
		w.units = append(w.units, searchUnit{bid: r.int(0), place: body.Place{File: r.int(1), Off: r.int(2), Len: r.int(3)}})
		return nil
	})
}

// each calls f for each unit, several at a time; buf is scratch space of one of
// the callers.
func (w *wordSearch) each(ctx context.Context, n int, f func(u *searchUnit, buf *[]byte) error) error {
	const step = 16
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for worker := range workers {
		wg.Go(func() {
			var buf []byte
			for {
				from := int(next.Add(step)) - step
				if from >= n || errs[worker] != nil {
					return
				}
				if errs[worker] = ctx.Err(); errs[worker] != nil {
					return
				}
				for i := from; i < min(from+step, n); i++ {
					if err := f(&w.units[i], &buf); err != nil {
						errs[worker] = err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
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

// takeAll counts every trace of the units as found.
func (w *wordSearch) takeAll(c *sqlConn) error {
	for _, u := range w.units {
		if err := w.takeUnit(c, u); err != nil {
			return err
		}
	}
	return nil
}

func (w *wordSearch) takeUnit(c *sqlConn, u searchUnit) error {
	take := func(tid int64) {
		for i := range w.searches {
			if u.hits&(1<<i) != 0 {
				w.found[i].addAny(tid)
			}
		}
	}
	if u.bid == 0 {
		take(u.tid)
		return nil
	}
	return c.rows("SELECT tid FROM places WHERE bid = ?", func(r row) error {
		take(r.int(0))
		return nil
	}, u.bid)
}

// refine looks into the units for the words. Those that it has no time for, and
// those that moved, count as found whole.
func (w *wordSearch) refine(ctx context.Context) error {
	began := time.Now()
	var mu sync.Mutex
	var missed []searchUnit
	err := w.each(ctx, len(w.units), func(u *searchUnit, buf *[]byte) (err error) {
		var data []byte
		switch {
		case time.Since(began) > maxRefining:
			err = errStop
		case u.bid == 0:
			data, err = w.s.bodies.Chunk(u.place, (*buf)[:0])
		default:
			data, err = w.s.bodies.Block(u.place, body.Bodies, (*buf)[:0])
		}
		if err != nil { // no time, it moved, or it is damaged
			mu.Lock()
			defer mu.Unlock()
			missed = append(missed, *u)
			return nil
		}
		*buf = data
		if u.bid == 0 {
			return w.look(u, u.tid, data, &mu)
		}
		return eachRecord(data, func(tid int64, items []byte) error { return w.look(u, tid, items, &mu) })
	})
	if err != nil || len(missed) == 0 {
		return err
	}
	return w.s.reads.read(ctx, func(c *sqlConn) error {
		w.units = missed
		return w.takeAll(c)
	})
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
			folded, scratch = query.Searchable(folded[:0], scratch, b)
			for i, search := range w.searches {
				if u.hits&(1<<i) != 0 && search.In(folded) {
					mu.Lock()
					w.found[i].add(tid, it.ID)
					mu.Unlock()
				}
			}
		}
	}
	return nil
}
