package local

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// Facet implements store.Traces.
func (s *Store) Facet(ctx context.Context, project string, f query.Facet) (*query.FacetResult, error) {
	a, err := f.Aggregate()
	if err != nil {
		return nil, err
	}
	r, err := s.Aggregate(ctx, project, *a)
	if err != nil {
		return nil, err
	}
	return f.Result(r), nil
}

// Aggregate implements store.Traces.
func (s *Store) Aggregate(ctx context.Context, project string, a query.Aggregate) (*query.Result, error) {
	pid, err := s.projectNumber(ctx, project)
	if err != nil {
		return nil, public(err)
	}
	for {
		asked := a // what is left open is filled in
		r, err := s.aggregate(ctx, pid, &asked)
		if !errors.Is(err, errMoved) {
			return r, public(err)
		}
	}
}

func (s *Store) aggregate(ctx context.Context, pid int64, a *query.Aggregate) (*query.Result, error) {
	if _, summed := a.View.SumsUp(); summed {
		return s.aggregateSummaries(ctx, pid, a)
	}
	if a.View == query.Scores {
		return s.aggregateScores(ctx, pid, a)
	}
	q := &question{scan: scan{view: a.View, pid: pid}, s: s, l: &query.List{View: a.View, Filter: a.Filter}, r: &query.Resolved{}, x: s.newLookup(ctx, pid)}
	first, last := int64(0), int64(0)
	if a.From == 0 && a.To == 0 {
		var err error
		if q.snap, err = s.snapshot(ctx); err != nil {
			return nil, err
		}
		if first, last, err = q.times(ctx); err != nil {
			return nil, err
		}
	}
	p, err := a.Prepare(first, last)
	if err != nil {
		return nil, err
	}
	q.conjuncts = p.Conjuncts
	if q.r.Order, err = q.scoresOfDims(ctx, p.By); err != nil {
		return nil, err
	}
	if err := q.prepare(ctx); err != nil {
		return nil, err
	}
	w := &summing{question: q, p: p, total: p.NewTotals(), until: time.Now().Add(10 * maxLooking), inBodies: p.InBodies()}
	look := w.segments
	if w.inBodies {
		look = w.segmentsByRow
		w.until = time.Now().Add(maxLooking)
		if end, limited := ctx.Deadline(); limited {
			w.until = time.Now().Add(min(maxLooking, time.Until(end)*2/3))
		}
	}
	for _, f := range []func(context.Context) error{w.fresh, look} {
		switch err := f(ctx); {
		case w.inBodies && errors.Is(err, errBodies):
			w.total.Stop()
			return w.total.Result(), nil
		case err != nil:
			return nil, err
		}
	}
	return w.total.Result(), nil
}

// scoresOfDims is keys for the scores that rows are grouped by.
func (q *question) scoresOfDims(ctx context.Context, by []query.Dim) (keys []query.Key, err error) {
	for _, d := range by {
		c, _ := query.ColumnOf(q.view, d.Ref.Column)
		switch {
		case c.Kind != query.ScoresKind:
		case d.Ref.Key != "":
			keys = append(keys, query.Key{Ref: d.Ref})
		default:
			err = q.s.reads.read(ctx, func(sql *sqlConn) error {
				return sql.rows("SELECT DISTINCT name FROM scores WHERE project = ? AND trace IS NOT NULL", func(r row) error {
					keys = append(keys, query.Key{Ref: query.Ref{Column: d.Ref.Column, Key: r.text(0)}})
					return nil
				}, q.pid)
			})
		}
	}
	return keys, err
}

// times is the first and the last time of the project's rows.
func (q *question) times(ctx context.Context) (first, last int64, err error) {
	any := false
	note := func(at int64) {
		if !any || at < first {
			first = at
		}
		if !any || at > last {
			last = at
		}
		any = true
	}
	for _, n := range q.snap.fresh {
		switch {
		case n.pid != q.pid:
		case q.view == query.Traces:
			note(query.TraceTime(n.trace).Nanos())
		default:
			for _, o := range n.observations {
				note(o.Start.Nanos())
			}
		}
	}
	touched := q.untouched(func(at interval, _ int) {
		note(at.lo)
		note(at.hi)
	})
	err = q.eachSegment(ctx, touched, func(o *openSegment, s selection) error {
		col := o.col(q.view, query.ColStart)
		for _, row := range s.rows {
			at, _ := col.int(int(row))
			note(at)
		}
		return nil
	})
	return first, last, err
}

// untouched calls f with the times and the number of the project's rows of each
// segment that has any, all of which count, and returns the segments of which
// some are stale.
func (q *question) untouched(f func(at interval, rows int)) (touched []*segment) {
	for _, seg := range q.snap.segments {
		h := seg.share(q.pid)
		switch at, rows := h.of(q.view); {
		case h.traces == 0:
		case len(q.snap.staleIn(seg)) > 0:
			touched = append(touched, seg)
		case rows > 0:
			f(at, rows)
		}
	}
	return touched
}

// eachSegment calls f with what the conditions leave of some segments, one after
// the other.
func (q *question) eachSegment(ctx context.Context, segments []*segment, f func(o *openSegment, s selection) error) error {
	if len(segments) == 0 {
		return nil
	}
	return q.s.reads.read(ctx, func(c *sqlConn) error {
		x := *q.x
		x.c = c
		for _, seg := range segments {
			if err := ctx.Err(); err != nil {
				return err
			}
			o := &openSegment{segment: seg, x: &x}
			s, err := q.sel(o, q.snap.staleIn(seg))
			if err != nil {
				return err
			}
			if len(s.rows) == 0 {
				continue
			}
			if err := f(o, s); err != nil {
				return err
			}
		}
		return x.err
	})
}

// summing is an aggregate that is being answered.
type summing struct {
	*question
	p        *query.Prepared
	total    *query.Totals
	until    time.Time // bodies are looked at
	inBodies bool      // a dimension is
}

// errBodies refuses what would take too long.
var errBodies = domain.Errorf(domain.Invalid, "the filter looks into more inputs, outputs or metadata than can be summed up: narrow it down by time")

func (w *summing) fresh(ctx context.Context) error {
	return w.eachFresh(func(at freshRow, rec *query.Record) error {
		match, open := w.matches(at.n, rec)
		if match && open {
			var err error
			if match, err = w.verify(ctx, &found{tid: at.n.tid, open: true, narrow: true, fresh: at}); err != nil {
				return err
			}
		}
		switch {
		case !match:
			return nil
		case w.inBodies && w.late():
			return errBodies
		case w.inBodies:
			rec = at.n.record(w.x, at.o)
		}
		return w.total.Add(rec)
	})
}

// late reports whether enough bodies were looked at.
func (w *summing) late() bool { return w.x.bytes > maxOpened || time.Now().After(w.until) }

// verify tests what is open of a row.
func (w *summing) verify(ctx context.Context, f *found) (bool, error) {
	if w.late() {
		return false, errBodies
	}
	p := pager{question: w.question}
	return p.verify(ctx, f)
}

func (w *summing) segments(ctx context.Context) error {
	var next atomic.Int64
	var mu sync.Mutex
	var open []found
	rolled := w.rolling()
	err := together(workers, func() error {
		mine := w.p.NewTotals()
		err := w.s.reads.read(ctx, func(c *sqlConn) error {
			x := *w.x
			x.c = c
			for {
				n := int(next.Add(1)) - 1
				if n >= len(w.snap.segments) {
					return x.err
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				o := &openSegment{segment: w.snap.segments[n], x: &x}
				stale := w.snap.staleIn(o.segment)
				if rolled != nil && len(stale) == 0 {
					if done, err := rolled.sum(o, mine); done || err != nil {
						if err != nil {
							return err
						}
						continue
					}
				}
				s, err := w.sel(o, stale)
				if err != nil {
					return err
				}
				sure, rest := w.split(o, s)
				if len(rest) > 0 {
					mu.Lock()
					open = append(open, rest...)
					mu.Unlock()
				}
				if err := w.sum(o, sure, mine); err != nil {
					return err
				}
				if err := mine.Check(); err != nil {
					return err
				}
			}
		})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		return w.total.Merge(mine)
	})
	if err != nil {
		return err
	}
	return w.sumOpen(ctx, open)
}

// segmentsByRow counts rows in one by one, with their bodies, the newest segment
// first.
func (w *summing) segmentsByRow(ctx context.Context) error {
	for _, at := range w.question.segments() {
		var open []found
		err := w.s.reads.read(ctx, func(c *sqlConn) error {
			x := *w.x
			x.c = c
			o := &openSegment{segment: w.snap.segments[at.index], x: &x}
			s, err := w.sel(o, w.snap.staleIn(o.segment))
			s.open = true
			_, open = w.split(o, s)
			return errors.Join(err, o.err)
		})
		if err != nil {
			return err
		}
		if err := w.sumOpen(ctx, open); err != nil {
			return err
		}
	}
	return nil
}

// split parts rows that match for sure from those that have to be verified.
func (w *summing) split(o *openSegment, s selection) (sure []int32, open []found) {
	if !s.open && len(s.unsure) == 0 {
		return s.rows, nil
	}
	for _, row := range s.rows {
		if !s.isOpen(row) {
			sure = append(sure, row)
			continue
		}
		f := found{open: true, narrow: s.isNarrow(row)}
		if w.view == query.Traces {
			f.tid = o.tid(int(row))
		} else {
			f.rid = o.rid(int(row))
			f.tid = f.rid >> seqBits
		}
		open = append(open, f)
	}
	return sure, open
}

// sumOpen verifies rows and counts those in that match.
func (w *summing) sumOpen(ctx context.Context, open []found) error {
	slices.SortFunc(open, func(a, b found) int { return int(b.tid - a.tid) }) // the latest first
	var n *narrow
	for i := range open {
		f := &open[i]
		if n == nil || n.tid != f.tid {
			var err error
			if n, err = w.readNarrowOf(ctx, f.tid); err != nil {
				return err
			}
			if n == nil {
				n = &narrow{tid: f.tid, trace: &domain.Trace{}}
			}
		}
		f.fresh.n = n
		for _, r := range n.observations {
			if r.rid == f.rid {
				f.fresh.o = r.Observation
			}
		}
		if f.rid != 0 && f.fresh.o == nil || f.rid == 0 && n.trace.ID == "" {
			continue // deleted meanwhile
		}
		match, err := w.verify(ctx, f)
		if err != nil {
			return err
		}
		if match {
			if err := w.total.Add(n.record(w.x, f.fresh.o)); err != nil {
				return err
			}
		}
	}
	return w.x.err
}

func (s *Store) aggregateScores(ctx context.Context, pid int64, a *query.Aggregate) (out *query.Result, err error) {
	err = s.reads.read(ctx, func(c *sqlConn) error {
		first, err := c.integer("SELECT ts FROM scores WHERE project = ? ORDER BY ts LIMIT 1", pid)
		if err != nil {
			return err
		}
		last, err := c.integer("SELECT ts FROM scores WHERE project = ? ORDER BY ts DESC LIMIT 1", pid)
		if err != nil {
			return err
		}
		p, err := a.Prepare(first, last)
		if err != nil {
			return err
		}
		q := s.newScoreList(ctx, pid, p.Conjuncts)
		var looked []query.Key
		for _, d := range p.By {
			looked = append(looked, query.Key{Ref: d.Ref})
		}
		for _, one := range p.Series {
			looked = append(looked, query.Key{Ref: one.Ref})
		}
		q.alone = !query.NeedTrace(p.Conjuncts, looked)
		q.x.c = c
		t := p.NewTotals()
		err = q.each(ctx, c, "SELECT id, created, updated, writes FROM "+q.from+" WHERE "+q.where, q.args, func(_ scoreRow, rec *query.Record) error {
			return t.Add(rec)
		})
		out = t.Result()
		return err
	})
	return out, err
}

func (s *Store) aggregateSummaries(ctx context.Context, pid int64, a *query.Aggregate) (*query.Result, error) {
	sums := &summaries{envs: true, figures: true, lists: true}
	if err := s.summarize(ctx, pid, a.View, sums); err != nil {
		return nil, err
	}
	first, last, any := int64(0), int64(0), false
	for _, sum := range sums.of {
		at := sum.first
		if !any {
			first, last, any = at, at, true
		}
		first, last = min(first, at), max(last, at)
	}
	p, err := a.Prepare(first, last)
	if err != nil {
		return nil, err
	}
	t := p.NewTotals()
	for _, sum := range sums.of {
		one := sum.whole()
		rec := &query.Record{View: a.View, Summary: &one}
		if slices.ContainsFunc(p.Conjuncts, func(c query.Conjunct) bool { return !c.Program.Match(rec) }) {
			continue
		}
		if err := t.Add(rec); err != nil {
			return nil, err
		}
	}
	return t.Result(), nil
}
