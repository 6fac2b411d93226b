package local

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

const (
	// maxOpened and maxLooking bound the bodies that one page is looked for in:
	// bytes unpacked, and time.
	maxOpened  = 64 << 20
	maxLooking = time.Second
	// maxHeldOffset is how many rows a page of scores, sessions or users may leave out:
	// those are held until they are in order.
	maxHeldOffset = 50_000
	// runRows is how many candidates are put in their exact order at a time.
	runRows = 256
)

// List implements store.Traces.
func (s *Store) List(ctx context.Context, project string, l query.List) (*store.Page, error) {
	r, err := l.Resolve()
	if err != nil {
		return nil, err
	}
	for {
		page, err := s.list(ctx, project, &l, r)
		if !errors.Is(err, errMoved) {
			return page, public(err)
		}
	}
}

func (s *Store) list(ctx context.Context, project string, l *query.List, r *query.Resolved) (*store.Page, error) {
	pid, err := s.projectNumber(ctx, project)
	if err != nil {
		return nil, err
	}
	if pid == 0 {
		return &store.Page{}, nil
	}
	_, summed := l.View.SumsUp()
	if l.Offset > maxHeldOffset && (summed || l.View == query.Scores) {
		return nil, &domain.Error{Code: domain.Invalid, Field: "page", Msg: "the page lies too far back; go on from page to page, or narrow the list down"}
	}
	switch {
	case summed:
		return s.listSummaries(ctx, pid, l, r)
	case l.View == query.Scores:
		return s.listScores(ctx, pid, l, r)
	}
	q := &question{scan: scan{view: l.View, pid: pid, conjuncts: r.Conjuncts}, s: s, l: l, r: r, x: s.newLookup(ctx, pid)}
	if err := q.prepare(ctx); err != nil {
		return nil, err
	}
	want := l.Offset + l.Limit + 1
	q.count = l.Total && len(r.Conjuncts) > 0
	g, err := q.gather(ctx, want)
	if err != nil {
		return nil, err
	}
	p := &pager{question: q, g: g, skip: l.Offset}
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	page := &store.Page{Stopped: p.stopped}
	if l.Total {
		page.Total, page.AtLeast = g.total+p.verified, p.uncounted
		if len(r.Conjuncts) == 0 {
			if page.Total, err = q.countAll(ctx); err != nil {
				return nil, err
			}
		}
	}
	return page, p.finish(ctx, project, page)
}

// projectNumber is the number of a project, 0 where nothing was ever written to it.
func (s *Store) projectNumber(ctx context.Context, project string) (pid int64, err error) {
	err = s.reads.read(ctx, func(c *sqlConn) error {
		pid, err = c.integer("SELECT pid FROM projects WHERE id = ?", project)
		return err
	})
	return pid, err
}

// prepare takes the snapshot that the question is about. One that names its
// traces, or its observations, is answered from those alone.
func (q *question) prepare(ctx context.Context) error {
	needs := query.NeedsOf(q.conjuncts)
	named := false
	q.began = time.Now()
	var err error
	if q.snap, err = q.s.snapshot(ctx); err != nil {
		return err
	}
	err = q.s.reads.read(ctx, func(c *sqlConn) (err error) {
		if err := q.x.loadScores(c, scoresNeeded(needs, q.view, q.r.Order)); err != nil {
			return err
		}
		named, err = q.narrowDown(c)
		return err
	})
	if err != nil || named {
		return err
	}
	return q.findWords(ctx)
}

// scoresNeeded adds what an order needs of scores.
func scoresNeeded(n query.Needs, v query.View, order []query.Key) query.Needs {
	for _, k := range order {
		if c, _ := query.ColumnOf(v, k.Ref.Column); c.Kind == query.ScoresKind {
			if !n.Scores || n.ScoreNames != nil {
				n.ScoreNames = append(slices.Clone(n.ScoreNames), k.Ref.Key)
			}
			n.Scores = true
		}
	}
	return n
}

// maxNamed is how many traces or observations a question may name to be
// answered from those alone.
const maxNamed = 200

func (q *question) narrowDown(c *sqlConn) (named bool, err error) {
	f := q.l.Filter
	of := query.ColID
	if q.view == query.Observations {
		of = query.ColTrace
	}
	var tids []int64
	keys, exact := query.Exact(f, of)
	if named = exact && len(keys) <= maxNamed; named {
		for _, key := range keys {
			tid, err := c.integer("SELECT tid FROM traces WHERE project = ? AND key = ?", q.pid, domain.TraceKey(key))
			if err != nil {
				return false, err
			}
			tids = append(tids, tid)
		}
	} else if ids, found := query.Exact(f, query.ColID); found && q.view == query.Observations && len(ids) <= maxNamed {
		named = true
		for _, id := range ids {
			for _, form := range idForms(id) {
				rids, err := observationsByID(c, q.pid, form, q.s.ids.get(idHash(q.pid, form)))
				if err != nil {
					return false, err
				}
				for _, rid := range rids {
					tids = append(tids, rid>>seqBits)
				}
			}
		}
	}
	if !named {
		return false, nil
	}
	q.snap = snapshot{}
	slices.Sort(tids)
	for _, tid := range slices.Compact(tids) {
		n, err := q.s.readNarrow(c, tid)
		if err != nil {
			return false, err
		}
		if n != nil {
			q.snap.fresh = append(q.snap.fresh, n)
		}
	}
	return true, nil
}

// idForms is the spellings under which an observation's id may be stored.
func idForms(id string) []string {
	out := []string{id}
	if key := domain.TraceKey(id); len(key) == 32 {
		out = append(out, key, key[:8]+"-"+key[8:12]+"-"+key[12:16]+"-"+key[16:20]+"-"+key[20:])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// countAll counts every row of the project.
func (q *question) countAll(ctx context.Context) (n int64, err error) {
	for _, f := range q.snap.fresh {
		switch {
		case f.pid != q.pid:
		case q.view == query.Traces:
			n++
		default:
			n += int64(len(f.observations))
		}
	}
	touched := q.untouched(func(_ interval, rows int) { n += int64(rows) })
	err = q.eachSegment(ctx, touched, func(_ *openSegment, s selection) error {
		n += int64(len(s.rows))
		return nil
	})
	return n, err
}

// found is a row of the page.
type found struct {
	tid, rid int64 // rid 0: the trace itself
	sort     []query.SortValue
	open     bool
	narrow   bool // see candidate
	fresh    freshRow
}

// pager puts candidates in order, tests what is still open, and cuts the page.
type pager struct {
	*question
	g         *gathering
	skip      int
	page      []found
	more      bool
	verified  int64
	stopped   bool // before the page was full
	uncounted bool // before everything was counted
	last      []query.SortValue
	narrow    *narrow
}

func (p *pager) run(ctx context.Context) error {
	for began := time.Now(); ; {
		done, err := p.goThrough(ctx, began)
		if done || err != nil || len(p.left) == 0 {
			return err
		}
		if err := p.gatherMore(ctx, p.g); err != nil {
			return err
		}
	}
}

// goThrough looks at the candidates that nothing comes before any more, and
// reports whether the page is done with.
func (p *pager) goThrough(ctx context.Context, began time.Time) (done bool, err error) {
	slices.SortFunc(p.g.rows, func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	rows := p.g.rows
	if len(p.left) > 0 {
		n, _ := slices.BinarySearchFunc(rows, p.g.until, func(c candidate, until int64) int { return cmp.Compare(c.rank, until) })
		rows, p.g.rows = rows[:n], rows[n:]
	}
	for len(rows) > 0 {
		n := min(runRows, len(rows))
		if !p.g.open {
			n = min(n, p.skip+p.l.Limit-len(p.page)+1)
		}
		for n < len(rows) && rows[n].rank == rows[n-1].rank {
			n++
		}
		run, err := p.locate(ctx, rows[:n])
		if err != nil {
			return false, err
		}
		rows = rows[n:]
		for i := range run {
			if p.more && !(p.l.Total && p.g.open) {
				return true, nil
			}
			since := began
			if p.more { // the rest is only counted
				since = p.began
			}
			if run[i].open && (p.x.bytes > maxOpened || time.Since(since) > maxLooking) {
				p.stopped, p.uncounted = !p.more, true
				return true, nil
			}
			if err := p.take(ctx, &run[i], run[i+1:]); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// take puts a row on the page if it belongs there. The rows behind it come next.
func (p *pager) take(ctx context.Context, f *found, behind []found) error {
	if f.open && p.search != nil {
		if err := p.search.lookAhead(ctx, f, behind); err != nil {
			return err
		}
	}
	if f.open {
		match, err := p.verify(ctx, f)
		if err != nil {
			return err
		}
		if !match {
			if len(p.page) < p.l.Limit {
				p.last = f.sort // a page that stops early goes on from here
			}
			return nil
		}
		p.verified++
	}
	if p.r.After != nil && query.CompareSorts(p.r.Order, f.sort, p.r.After) <= 0 {
		return nil
	}
	switch {
	case p.skip > 0:
		p.skip--
	case len(p.page) < p.l.Limit:
		p.page = append(p.page, *f)
	default:
		p.more = true
		return nil
	}
	p.last = f.sort
	return nil
}

// locate finds out which rows candidates are and puts them in order.
func (p *pager) locate(ctx context.Context, rows []candidate) ([]found, error) {
	out := make([]found, len(rows))
	err := p.s.reads.read(ctx, func(c *sqlConn) error {
		x := *p.x
		x.c = c
		open := map[int32]*openSegment{}
		for i, r := range rows {
			f := &out[i]
			f.open, f.narrow = r.open, r.narrow
			if r.seg < 0 {
				f.fresh = p.g.fresh[r.row]
				f.tid = f.fresh.n.tid
				if o := f.fresh.o; o != nil {
					f.rid = f.fresh.n.ridOf(o)
				}
				f.sort = query.SortAll(p.view, p.r.Order, f.fresh.n.record(&x, f.fresh.o))
				continue
			}
			o := open[r.seg]
			if o == nil {
				o = &openSegment{segment: p.snap.segments[r.seg], x: &x}
				open[r.seg] = o
			}
			if p.view == query.Traces {
				f.tid = o.tid(int(r.row))
			} else {
				f.rid = o.rid(int(r.row))
				f.tid = f.rid >> seqBits
			}
			f.sort = query.SortAll(p.view, p.r.Order, o.row(p.view, int(r.row)))
			if o.err != nil {
				return o.err
			}
		}
		return x.err
	})
	if err != nil {
		return nil, err // not every row is there to be put in order
	}
	slices.SortFunc(out, func(a, b found) int { return query.CompareSorts(p.r.Order, a.sort, b.sort) })
	return out, nil
}

func (n *narrow) ridOf(o *domain.Observation) int64 {
	for _, r := range n.observations {
		if r.Observation == o {
			return r.rid
		}
	}
	return 0
}

// verify tests the conditions that look at bodies.
func (p *pager) verify(ctx context.Context, f *found) (bool, error) {
	if p.ruledOut(f) {
		return false, nil
	}
	n, o := f.fresh.n, f.fresh.o
	if n == nil {
		if p.narrow == nil || p.narrow.tid != f.tid {
			var err error
			if p.narrow, err = p.readNarrowOf(ctx, f.tid); err != nil {
				return false, err
			}
		}
		if n = p.narrow; n == nil {
			return false, nil
		}
		for _, r := range n.observations {
			if r.rid == f.rid {
				o = r.Observation
			}
		}
		if o == nil && f.rid != 0 {
			return false, nil
		}
	}
	rec := n.record(p.x, o)
	for i := range p.conjuncts {
		c := &p.conjuncts[i]
		if may := p.words[c.Words]; may != nil && !may.hasRow(f.tid, rec) && (c.Words.Narrow == nil || !c.Words.Narrow(rec)) {
			return false, nil
		}
		if c.Needs.Bodies && !c.Program.Match(rec) {
			return false, p.x.err
		}
	}
	return true, p.x.err
}

// ruledOut reports whether nothing of the row's trace holds some words, which
// is known once they were looked for, without a look at the row.
func (p *pager) ruledOut(f *found) bool {
	for i := range p.conjuncts {
		c := &p.conjuncts[i]
		if may := p.words[c.Words]; may != nil && (c.Words.Narrow == nil || !f.narrow) && !may[f.tid].some() {
			return true
		}
	}
	return false
}

func (q *question) readNarrowOf(ctx context.Context, tid int64) (n *narrow, err error) {
	err = q.s.reads.read(ctx, func(c *sqlConn) (err error) {
		n, err = q.s.readNarrow(c, tid)
		return err
	})
	return n, err
}

// finish reads the rows of the page.
func (p *pager) finish(ctx context.Context, project string, page *store.Page) error {
	var first []query.SortValue
	if len(p.page) > 0 {
		first = p.page[0].sort
	}
	defer func() { page.Place(p.l, p.r, first, p.last, p.more && len(p.page) > 0 || p.stopped) }()
	return p.s.reads.read(ctx, func(c *sqlConn) error {
		traces, observations, err := p.readRows(c)
		if err != nil {
			return err
		}
		for _, f := range p.page {
			out := store.Row{Trace: traces[f.tid]}
			if out.Trace == nil {
				continue // deleted meanwhile
			}
			if f.rid != 0 {
				if out.Observation = observations[f.rid]; out.Observation == nil {
					continue
				}
				p.s.finish(project, out.Trace.ID, out.Observation)
			} else if err := p.bring(c, &out, f.tid); err != nil {
				return err
			}
			tid, o := f.tid, out.Observation
			out.Content = func(ctx context.Context) (domain.Content, error) { return p.contentOf(ctx, tid, o) }
			page.Rows = append(page.Rows, out)
		}
		return nil
	})
}

// readRows reads the rows that the page is made of, all of a table at once: most
// of what a query costs, it costs once. Traces in memory are whole there.
func (p *pager) readRows(c *sqlConn) (traces map[int64]*domain.Trace, observations map[int64]*domain.Observation, err error) {
	traces, observations = map[int64]*domain.Trace{}, map[int64]*domain.Observation{}
	var tids, rids []int64
	for _, f := range p.page {
		if f.fresh.n != nil {
			t := *f.fresh.n.trace
			traces[f.tid] = &t
		} else {
			tids = append(tids, f.tid)
		}
		if f.rid != 0 {
			rids = append(rids, f.rid)
		}
	}
	if len(tids) > 0 {
		err = c.rows("SELECT "+traceColumns+" FROM traces WHERE tid IN (SELECT value FROM json_each(?))", func(r row) error {
			t, _ := readTrace(r)
			traces[r.int(0)] = &t
			return nil
		}, numberList(tids))
	}
	if err != nil || len(rids) == 0 {
		return traces, observations, err
	}
	err = c.rows("SELECT "+observationColumns+" FROM observations WHERE rid IN (SELECT value FROM json_each(?))", func(r row) error {
		o := &domain.Observation{}
		observations[r.int(0)] = o
		return readObservation(r, o)
	}, numberList(rids))
	return traces, observations, err
}

// numberList is numbers as a JSON list, which a statement takes as one parameter.
func numberList(of []int64) string {
	b := []byte{'['}
	for i, n := range of {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, ']'))
}

// bring reads what a trace's row is to have along.
func (p *pager) bring(c *sqlConn, to *store.Row, tid int64) (err error) {
	if p.l.With&query.WithObservations != 0 {
		err = c.rows("SELECT id FROM observations WHERE rid BETWEEN ? AND ? ORDER BY start, id", func(r row) error {
			to.Observations = append(to.Observations, r.text(0))
			return nil
		}, tid<<seqBits, (tid+1)<<seqBits-1)
	}
	if err == nil && p.l.With&query.WithScores != 0 {
		to.Scores, err = scoresOf(c, p.pid, domain.TraceKey(to.Trace.ID))
	}
	return err
}

// contentOf reads the bodies of a row of the page.
func (p *pager) contentOf(ctx context.Context, tid int64, o *domain.Observation) (domain.Content, error) {
	p.x.ctx = ctx
	if p.narrow == nil || p.narrow.tid != tid {
		n, err := p.readNarrowOf(ctx, tid)
		if err != nil {
			return domain.Content{}, public(err)
		}
		if n == nil {
			return domain.Content{}, domain.Errorf(domain.NotFound, "the trace was deleted meanwhile")
		}
		p.narrow = n
	}
	c, err := p.x.readContent(p.narrow, o)
	return c, public(err)
}
