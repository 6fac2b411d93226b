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
func (s *Store) Facet(ctx context.Context, project string, f query.Facet) ([]query.FacetValue, error) {
	a, err := f.Aggregate()
	if err != nil {
		return nil, err
	}
	r, err := s.Aggregate(ctx, project, *a)
	if err != nil {
		return nil, err
	}
	return f.Values(r), nil
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
	switch a.View {
	case query.Scores:
		return s.aggregateScores(ctx, pid, a)
	case query.Sessions:
		return s.aggregateSessions(ctx, pid, a)
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
	if err := q.prepare(ctx); err != nil {
		return nil, err
	}
	w := &summing{question: q, p: p, total: p.NewTotals(), began: time.Now()}
	if err := w.fresh(ctx); err != nil {
		return nil, err
	}
	if err := w.segments(ctx); err != nil {
		return nil, err
	}
	return w.total.Result(), nil
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
	err = q.eachSegment(ctx, func(o *openSegment, s selection) error {
		h := o.share(q.pid)
		if at, rows := h.of(q.view); rows > 0 && len(q.snap.staleIn(o.segment)) == 0 {
			note(at.lo)
			note(at.hi)
			return nil
		}
		col := o.col(q.view, query.ColStart)
		for _, row := range s.rows {
			at, _ := col.int(int(row))
			note(at)
		}
		return nil
	})
	return first, last, err
}

// eachSegment calls f with what the conditions leave of each segment, one after
// the other.
func (q *question) eachSegment(ctx context.Context, f func(o *openSegment, s selection) error) error {
	return q.s.reads.read(ctx, func(c *sqlConn) error {
		x := *q.x
		x.c = c
		for _, seg := range q.snap.segments {
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
	p     *query.Prepared
	total *query.Totals
	began time.Time
}

// errBodies refuses what would take too long.
var errBodies = domain.Errorf(domain.Invalid, "the filter looks into more inputs, outputs or metadata than can be summed up: narrow it down by time")

func (w *summing) fresh(ctx context.Context) error {
	for _, n := range w.snap.fresh {
		if n.pid != w.pid {
			continue
		}
		rows := []*domain.Observation{nil}
		if w.view == query.Observations {
			rows = rows[:0]
			for _, r := range n.observations {
				rows = append(rows, r.Observation)
			}
		}
		for _, o := range rows {
			rec := n.record(w.x, o)
			match, open := w.matches(n, rec)
			if match && open {
				var err error
				if match, err = w.verify(ctx, &found{tid: n.tid, open: true, fresh: freshRow{n, o}}); err != nil {
					return err
				}
			}
			if match {
				if err := w.total.Add(rec); err != nil {
					return err
				}
			}
		}
	}
	return w.x.err
}

// verify tests what is open of a row.
func (w *summing) verify(ctx context.Context, f *found) (bool, error) {
	if w.x.bytes > maxOpened || time.Since(w.began) > 10*maxLooking {
		return false, errBodies
	}
	p := pager{question: w.question}
	return p.verify(ctx, f)
}

func (w *summing) segments(ctx context.Context) error {
	var next atomic.Int64
	var mu sync.Mutex
	var open []found
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
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
					s, err := w.sel(o, w.snap.staleIn(o.segment))
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
				}
			})
			mu.Lock()
			defer mu.Unlock()
			errs[i] = errors.Join(err, w.total.Merge(mine))
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return w.sumOpen(ctx, open)
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
		f := found{open: true}
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
	slices.SortFunc(open, func(a, b found) int { return int(a.tid - b.tid) })
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

// denseGroups is up to how many groups of a segment are found by their number.
const denseGroups = 1 << 16

// sum counts rows of a segment in, column by column where the dimensions are
// texts.
func (w *summing) sum(o *openSegment, rows []int32, to *query.Totals) error {
	if len(rows) == 0 {
		return nil
	}
	dims, ok := w.dims(o)
	size := 1
	for _, d := range dims {
		size *= d.col.dictionary() + 1
		ok = ok && size > 0 && size <= 1<<40
	}
	if !ok {
		for _, row := range rows {
			if err := to.Add(o.row(w.view, int(row))); err != nil {
				return err
			}
		}
		return o.err
	}
	cells, err := w.cellsOf(o, rows, dims, size, to)
	if err != nil {
		return err
	}
	for i := range w.p.Series {
		w.sumSeries(o, rows, cells, i)
	}
	return o.err
}

// dimension is a column of texts that rows are grouped by.
type dimension struct {
	col     *column
	ofTrace bool
}

func (c *column) dictionary() int {
	if c == nil {
		return 0
	}
	return c.words
}

func (w *summing) dims(o *openSegment) (out []dimension, ok bool) {
	for _, d := range w.p.By {
		c, _ := query.ColumnOf(w.view, d.Ref.Column)
		if c.Kind != query.IDKind && c.Kind != query.TextKind && c.Kind != query.EnumKind || w.view == query.Traces && c.Col == query.ColLevel {
			return nil, false
		}
		if of := ofTheTrace[c.Col]; of != 0 && w.view == query.Observations {
			out = append(out, dimension{o.col(query.Traces, of), true})
		} else {
			out = append(out, dimension{o.col(w.view, c.Col), false})
		}
	}
	return out, true
}

// cellsOf finds the group of each row.
func (w *summing) cellsOf(o *openSegment, rows []int32, dims []dimension, size int, to *query.Totals) ([]*query.Cells, error) {
	start := o.col(w.view, query.ColStart)
	var dense []*query.Cells
	sparse := map[int64]*query.Cells{}
	intervals := w.p.Intervals()
	if size*intervals <= denseGroups {
		dense = make([]*query.Cells, size*intervals)
	}
	out := make([]*query.Cells, len(rows))
	texts, present := make([]string, len(dims)), make([]bool, len(dims))
	codes := make([]int, len(dims))
	var key []byte
	interval, from, until := 0, int64(0), int64(0)
	for i, row := range rows {
		if intervals > 1 {
			if at, _ := start.int(int(row)); at < from || at >= until { // most rows lie in that of the one before
				interval = w.p.Interval(at)
				from, until = w.p.Edges(interval)
			}
		}
		number := interval
		for j, d := range dims {
			r := int(row)
			if d.ofTrace {
				r = o.traceOf(r)
			}
			codes[j] = d.col.code(r)
			number = number*(d.col.dictionary()+1) + codes[j] + 1
		}
		var g *query.Cells
		if dense != nil {
			g = dense[number]
		} else {
			g = sparse[int64(number)]
		}
		if g == nil {
			for j, d := range dims {
				if present[j] = codes[j] >= 0; present[j] {
					texts[j] = d.col.word(codes[j])
				}
			}
			key = query.GroupKey(key, interval, texts, present)
			var err error
			if g, err = to.Group(key); err != nil {
				return nil, err
			}
			if dense != nil {
				dense[number] = g
			} else {
				sparse[int64(number)] = g
			}
		}
		g.Rows++
		out[i] = g
	}
	return out, nil
}

// sumSeries counts one column in.
func (w *summing) sumSeries(o *openSegment, rows []int32, cells []*query.Cells, i int) {
	s := &w.p.Series[i]
	c, _ := query.ColumnOf(w.view, s.Ref.Column)
	whole := c.Kind == query.IntKind || c.Kind == query.MoneyKind || c.Kind == query.DurationKind || c.Kind == query.TimeKind
	if !whole || c.Col == query.ColScoreCount || c.Col == query.ColEnd {
		for k, row := range rows {
			cells[k].Series[i].AddRow(s, o.row(w.view, int(row)))
		}
		return
	}
	col := o.col(w.view, c.Col)
	if col == nil {
		return
	}
	for k, row := range rows {
		if v, ok := col.int(int(row)); ok {
			cells[k].Series[i].AddInt(s, v)
		}
	}
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
		q.x.c = c
		t := p.NewTotals()
		err = q.each(ctx, c, "SELECT id, created, updated, writes FROM scores WHERE "+q.where, q.args, func(_ scoreRow, rec *query.Record) error {
			return t.Add(rec)
		})
		out = t.Result()
		return err
	})
	return out, err
}

func (s *Store) aggregateSessions(ctx context.Context, pid int64, a *query.Aggregate) (*query.Result, error) {
	sums, err := s.sumSessions(ctx, pid)
	if err != nil {
		return nil, err
	}
	first, last, any := int64(0), int64(0), false
	for _, sum := range sums {
		at := sum.Start.Nanos()
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
	for _, sum := range sums {
		rec := &query.Record{View: query.Sessions, Session: sum.session()}
		if slices.ContainsFunc(p.Conjuncts, func(c query.Conjunct) bool { return !c.Program.Match(rec) }) {
			continue
		}
		if err := t.Add(rec); err != nil {
			return nil, err
		}
	}
	return t.Result(), nil
}
