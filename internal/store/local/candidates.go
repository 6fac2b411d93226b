package local

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// candidate is a row that a question's conditions leave, and how it ranks by
// the first key: rows of a lower rank come first, those of one rank may come in
// any order.
type candidate struct {
	rank int64
	seg  int32 // in the snapshot; -1: fresh
	row  int32 // in the segment; of what is fresh its place in gathering.fresh
	open bool
	// A search may find a narrow field of it: then more than its bodies has to be
	// looked at.
	narrow bool
}

// freshRow is a row of a trace that is in memory.
type freshRow struct {
	n *narrow
	o *domain.Observation // nil: the trace itself
}

// rank orders rows by a key: ascending ranks are the order asked for.
func rank(k query.Key, v query.SortValue) int64 {
	if v.Missing {
		return missing(k)
	}
	r := v.Int
	switch {
	case v.Text != "":
		var b [8]byte
		copy(b[:], v.Text)
		r = int64(binary.BigEndian.Uint64(b[:]) >> 1)
	case v.Float != 0:
		bits := int64(math.Float64bits(v.Float))
		if bits < 0 {
			bits = math.MinInt64 - bits
		}
		r = bits
	}
	return rankInt(k, r)
}

// missing is the rank of what has no value: behind every other, or, read
// backwards, before.
func missing(k query.Key) int64 {
	if k.Back {
		return math.MinInt64
	}
	return math.MaxInt64
}

func rankInt(k query.Key, v int64) int64 {
	if k.Descending() {
		v = ^v
	}
	return min(max(v, math.MinInt64+1), math.MaxInt64-1)
}

// ranks is the least and the greatest rank, by the time, of a segment's rows
// that lie within an interval. Where some have no time it reaches to 0.
func ranks(k query.Key, at interval) (first, last int64) {
	first, last = rankInt(k, at.lo), rankInt(k, at.hi)
	first, last = min(first, last), max(first, last)
	switch {
	case at.lo > 0:
	case k.Back:
		first = missing(k)
	default:
		last = missing(k)
	}
	return first, last
}

// gathering collects candidates, the best ones where only so many are wanted.
type gathering struct {
	rows  []candidate
	fresh []freshRow
	want  int   // how many, at least, in order; 0: all
	bound int64 // rows of a higher rank are not wanted any more
	after int64 // rows of a lower rank lie before the page
	until int64 // rows of a lower rank are all there
	total int64 // rows that matched for sure
	open  bool  // some rows are open
	count bool  // open rows have to be kept to be counted
}

// pruneStep is how many rows are gathered beyond those wanted before the worst
// are dropped.
const pruneStep = 512

func newGathering(want int, after int64, count bool) *gathering {
	return &gathering{want: want, bound: math.MaxInt64, after: after, until: math.MaxInt64, count: count}
}

func (g *gathering) add(c candidate) {
	if !c.open {
		g.total++
	}
	g.open = g.open || c.open
	if !g.wants(c) {
		return
	}
	g.rows = append(g.rows, c)
	if g.want > 0 && len(g.rows) > g.want+pruneStep && !g.open {
		g.prune()
	}
}

// wants reports whether a row may be on the page, or has to be looked at to be
// counted.
func (g *gathering) wants(c candidate) bool {
	return c.rank >= g.after && c.rank <= g.bound || c.open && g.count
}

// prune drops what cannot be on the page. All rows of the last rank stay, and
// those of the cursor's, of which some may lie before the page.
func (g *gathering) prune() {
	slices.SortFunc(g.rows, func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	n := g.want
	for n-g.want < len(g.rows) && g.rows[n-g.want].rank == g.after {
		n++
	}
	if len(g.rows) <= n {
		return
	}
	g.bound = g.rows[n-1].rank
	for n < len(g.rows) && g.rows[n].rank == g.bound {
		n++
	}
	g.rows = g.rows[:n]
}

func (g *gathering) merge(o *gathering) {
	base := int32(len(g.fresh))
	for _, c := range o.rows {
		if c.seg < 0 {
			c.row += base
		}
		g.rows = append(g.rows, c)
	}
	g.fresh = append(g.fresh, o.fresh...)
	g.total += o.total
	g.open = g.open || o.open
	g.bound = min(g.bound, o.bound)
}

// question is a list that is being answered.
type question struct {
	scan
	s     *Store
	l     *query.List
	r     *query.Resolved
	x     *lookup
	snap  snapshot
	began time.Time
	count bool // every row has to be looked at

	search *wordSearch // what is not yet looked into, nil for nothing
	left   []segmentAt // segments that nobody looked at yet
}

// workers is how many goroutines look through segments.
const workers = 2

// together calls work here and, as there are processors for it, in n-1 more
// goroutines; each call takes of what is to be done until nothing is left. One
// that had no processor by then is not waited for: on a busy machine that took
// longer than the work itself.
func together(n int, work func() error) error {
	var mu sync.Mutex // guards over, and wg against Wait
	var wg sync.WaitGroup
	over := false
	errs := make([]error, n)
	for i := 1; i < n; i++ {
		go func() {
			mu.Lock()
			if over {
				mu.Unlock()
				return
			}
			wg.Add(1)
			mu.Unlock()
			defer wg.Done()
			errs[i] = work()
		}()
	}
	errs[0] = work()
	mu.Lock()
	over = true
	mu.Unlock()
	wg.Wait()
	return errors.Join(errs...)
}

// gather looks for candidates, the first ones at least.
func (q *question) gather(ctx context.Context, want int) (*gathering, error) {
	after := int64(math.MinInt64)
	if q.r.After != nil {
		after = rank(q.r.Order[0], q.r.After[0])
	}
	out := newGathering(want, after, q.count)
	if err := q.gatherFresh(out); err != nil {
		return nil, err
	}
	q.left = q.segments()
	return out, q.gatherMore(ctx, out)
}

// openRows is how many candidates that are open are gathered before they are
// tested: most pages are full by then. Tests make it less.
var openRows = 4096

// gatherMore adds what the segments hold that are left, of open candidates only
// so many at a time.
func (q *question) gatherMore(ctx context.Context, out *gathering) error {
	timely := q.byTime()
	early := timely && !q.count
	segments := q.left
	q.left = nil
	var next atomic.Int64
	var mu sync.Mutex
	work := func() error {
		mine := newGathering(out.want, out.after, q.count)
		err := q.s.reads.read(ctx, func(c *sqlConn) error {
			x := *q.x
			x.c = c
			for {
				i := int(next.Add(1)) - 1
				if i >= len(segments) {
					return x.err
				}
				if early && segments[i].last < out.after {
					continue // all of it lies before the page
				}
				if early {
					mu.Lock()
					enough := segments[i].first > min(out.bound, mine.bound)
					mu.Unlock()
					if enough {
						return x.err
					}
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := q.gatherSegment(&openSegment{segment: q.snap.segments[segments[i].index], x: &x}, segments[i].index, mine); err != nil {
					return err
				}
				if timely && !mine.open && len(mine.rows) >= out.want { // others need only be counted
					mine.prune()
				}
				if early && mine.open && len(mine.rows) >= openRows {
					q.left = segments[i+1:]
					return x.err
				}
			}
		})
		mu.Lock()
		defer mu.Unlock()
		out.merge(mine)
		return err
	}
	n := workers
	if early {
		n = 1
	}
	err := together(n, work)
	out.until = math.MaxInt64
	if len(q.left) > 0 {
		out.until = q.left[0].first
	}
	return err
}

// segmentAt is the place of a segment in the snapshot, and the ranks, by their
// time, of what it holds of the project.
type segmentAt struct {
	index       int
	first, last int64
}

// segments is those that hold rows of the project, in the order of their times,
// the newest first unless the question says otherwise: most pages are full
// before much was looked at.
func (q *question) segments() []segmentAt {
	k := query.Key{Ref: query.Ref{Column: query.ColStart}, Desc: true}
	if q.byTime() {
		k = q.r.Order[0]
	}
	out := make([]segmentAt, 0, len(q.snap.segments))
	for i, seg := range q.snap.segments {
		h := seg.share(q.pid)
		if at, rows := h.of(q.view); rows > 0 {
			first, last := ranks(k, at)
			out = append(out, segmentAt{i, first, last})
		}
	}
	slices.SortFunc(out, func(a, b segmentAt) int { return cmp.Compare(a.first, b.first) })
	return out
}

// byTime reports whether rows are asked for by their time, so that segments can
// be left out by theirs.
func (q *question) byTime() bool {
	return len(q.r.Order) > 0 && q.r.Order[0].Ref.Column == query.ColStart
}

// gatherFresh tests the traces that are in memory.
func (q *question) gatherFresh(g *gathering) error {
	k := q.r.Order[0]
	return q.eachFresh(func(at freshRow, rec *query.Record) error {
		match, open := q.matches(at.n, rec)
		if !match {
			return nil
		}
		c := candidate{rank(k, query.SortOf(q.view, k, rec)), -1, int32(len(g.fresh)), open, true}
		if g.wants(c) {
			g.fresh = append(g.fresh, at)
		}
		g.add(c)
		return nil
	})
}

// eachFresh calls f with each row that is in memory. One record, without bodies,
// serves for all.
func (q *question) eachFresh(f func(at freshRow, rec *query.Record) error) error {
	var at freshRow
	rec := (&narrow{trace: &domain.Trace{}}).record(nil, nil)
	rec.View = q.view
	rec.ScoreList = func() []domain.Score { return q.x.scoresOf(domain.TraceKey(at.n.trace.ID)) }
	rec.Observations = func() []*query.Record { return at.n.records(q.x) }
	offer := func(n *narrow, o *domain.Observation) error {
		at = freshRow{n, o}
		rec.Reset(n.trace, o)
		return f(at, rec)
	}
	for _, n := range q.snap.fresh {
		switch {
		case n.pid != q.pid:
		case q.view == query.Traces:
			if err := offer(n, nil); err != nil {
				return err
			}
		default:
			for _, r := range n.observations {
				if err := offer(n, r.Observation); err != nil {
					return err
				}
			}
		}
	}
	return q.x.err
}

// gatherSegment tests the rows of a segment.
func (q *question) gatherSegment(o *openSegment, at int, g *gathering) error {
	s, err := q.sel(o, q.snap.staleIn(o.segment))
	if err != nil || len(s.rows) == 0 {
		return err
	}
	k := q.r.Order[0]
	if q.byTime() && !s.open && len(s.unsure) == 0 {
		h := o.share(q.pid)
		times, _ := h.of(q.view)
		if first, last := ranks(k, times); last < g.after || first > g.bound { // none of them is on the page
			g.total += int64(len(s.rows))
			return nil
		}
	}
	c, _ := query.ColumnOf(q.view, k.Ref.Column)
	direct := c.Kind == query.IntKind || c.Kind == query.TimeKind || c.Kind == query.MoneyKind || c.Kind == query.DurationKind
	if direct = direct && k.Ref.Column != query.ColEnd && k.Ref.Column != query.ColScoreCount; direct {
		col := o.col(q.view, k.Ref.Column)
		for _, row := range slices.Backward(s.rows) { // what came last is most often the newest
			r := missing(k)
			if n, ok := col.int(int(row)); ok {
				r = rankInt(k, n)
			}
			g.add(candidate{r, int32(at), row, s.isOpen(row), s.isNarrow(row)})
		}
		return o.err
	}
	for _, row := range slices.Backward(s.rows) {
		v := query.SortOf(q.view, k, o.row(q.view, int(row)))
		g.add(candidate{rank(k, v), int32(at), row, s.isOpen(row), s.isNarrow(row)})
	}
	return o.err
}

// row is a row of a segment as filters see it.
func (o *openSegment) row(v query.View, i int) query.Row {
	if v == query.Traces {
		return &traceRow{o, i}
	}
	return &observationRow{o, i}
}
