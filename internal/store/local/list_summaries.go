package local

import (
	"context"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// summary gathers a session or a user from its traces. There may be as many as
// traces, so it is small.
type summary struct {
	id          string
	first, last int64 // see lasted
	traces      int32
	rest        int32 // its last one of summaries.rest, plus one
	parts       *summaryParts
}

// summaryParts is what is gathered of some.
type summaryParts struct {
	users, sessions, envs, tags textSet
	figures                     [len(summaryFigures)]int64
}

func (s *summary) more() *summaryParts {
	if s.parts == nil {
		s.parts = &summaryParts{}
	}
	return s.parts
}

// summaries gathers every session, or every user, of a project. Of traces in
// segments it gathers only what the list is filtered and ordered by, and the rest
// of those on the page.
type summaries struct {
	s    *Store
	pid  int64
	view query.View
	by   query.Col
	snap snapshot
	// What is asked for of all, beside their times: environments, summaryFigures,
	// and lists and what they count.
	envs, figures, lists bool
	of                   map[string]*summary
	rest                 []summaryRow
}

// summaryRow is a trace of which not all is gathered, in a chain of those that
// are summed up with it.
type summaryRow struct{ segment, row, before int32 }

func (m *summaries) named(id string) *summary {
	s := m.of[id]
	if s == nil {
		s = &summary{id: id}
		m.of[id] = s
	}
	return s
}

// summaryFigures is what is summed up of traces.
var summaryFigures = [...]query.Col{
	query.ColTokens, query.ColInputTokens, query.ColOutputTokens, query.ColObservationCount, query.ColErrorCount,
	query.ColCost, query.ColInputCost, query.ColOutputCost,
}

// totals is the figures as they are shown.
func (s *summaryParts) totals() (n domain.Totals) {
	for i, to := range [len(summaryFigures)]*int64{
		&n.Total, &n.Input, &n.Output, &n.Observations, &n.ByLevel[domain.LevelError],
		(*int64)(&n.Cost), (*int64)(&n.InputCost), (*int64)(&n.OutputCost),
	} {
		*to = s.figures[i]
	}
	return n
}

// lasted counts in a trace from its start to the last end of its observations,
// if that is later.
func (s *summary) lasted(start, end int64) {
	if s.traces == 0 || start < s.first {
		s.first = start
	}
	if end = max(start, end); s.traces == 0 || end > s.last {
		s.last = end
	}
	s.traces++
}

// textSet is texts, each once, which most often are few.
type textSet struct {
	list []string
	set  map[string]bool // of many
}

func (s *textSet) add(text string) {
	const few = 16
	switch {
	case s.set != nil:
		if s.set[text] {
			return
		}
		s.set[text] = true
	case slices.Contains(s.list, text):
		return
	case len(s.list) == few:
		s.set = map[string]bool{text: true}
		for _, known := range s.list {
			s.set[known] = true
		}
	}
	s.list = append(s.list, text)
}

func (s *textSet) sorted() []string {
	slices.Sort(s.list)
	return s.list
}

// add counts a trace in that is in memory.
func (m *summaries) add(t *domain.Trace) {
	id, named := query.TraceText(t, m.by)
	if !named {
		return
	}
	s := m.named(id)
	r := &query.Record{View: query.Traces, Trace: t}
	start, _ := r.Int(query.ColStart)
	end := start
	if t.Totals.End.IsSet() {
		end = t.Totals.End.Nanos()
	}
	s.lasted(start, end)
	parts := s.more()
	env, _ := r.Text(query.ColEnv)
	parts.envs.add(env)
	switch {
	case m.view == query.Users && t.SessionID != "":
		parts.sessions.add(t.SessionID)
	case m.view == query.Sessions:
		if t.UserID != "" {
			parts.users.add(t.UserID)
		}
		for _, tag := range t.Tags {
			parts.tags.add(tag)
		}
	}
	for i, c := range summaryFigures {
		v, _ := r.Int(c)
		parts.figures[i] += v
	}
}

// addRows counts rows of a segment in.
func (m *summaries) addRows(o *openSegment, at int, rows []int32) {
	names, start := o.col(query.Traces, m.by), o.col(query.Traces, query.ColStart)
	began, latency := o.named(beganColumn), o.col(query.Traces, query.ColLatency)
	if names == nil {
		return
	}
	var envs *column
	if m.envs {
		envs = o.col(query.Traces, query.ColEnv)
	}
	var figures [len(summaryFigures)]*column
	if m.figures {
		for i, c := range summaryFigures {
			figures[i] = o.col(query.Traces, c)
		}
	}
	of := make([]*summary, names.words) // each is looked up once
	for _, row := range rows {
		i := int(row)
		code := names.code(i)
		if code < 0 {
			continue
		}
		s := of[code]
		if s == nil {
			s = m.named(names.word(code))
			of[code] = s
		}
		from, _ := start.int(i)
		end := from
		if first, has := began.int(i); has {
			took, _ := latency.int(i)
			end = first + took
		}
		s.lasted(from, end)
		if env, ok := envs.string(i); ok {
			s.more().envs.add(env)
		}
		if m.figures {
			parts := s.more()
			for k, c := range figures {
				v, _ := c.int(i)
				parts.figures[k] += v
			}
		}
		if m.lists {
			m.addLists(s.more(), o, i)
			continue
		}
		m.rest = append(m.rest, summaryRow{int32(at), row, s.rest})
		s.rest = int32(len(m.rest))
	}
}

// addLists counts in the texts that a row has.
func (m *summaries) addLists(s *summaryParts, o *openSegment, row int) {
	text := func(c query.Col, to *textSet) {
		if text, ok := o.col(query.Traces, c).string(row); ok {
			to.add(text)
		}
	}
	text(query.ColEnv, &s.envs)
	if m.view == query.Users {
		text(query.ColSession, &s.sessions)
		return
	}
	text(query.ColUser, &s.users)
	if tags := o.col(query.Traces, query.ColTags); tags.code(row) >= 0 {
		tags.takeApart()
		for _, place := range tags.membersOf(tags.code(row)) {
			s.tags.add(tags.elements[place])
		}
	}
}

// complete counts in what was left out.
func (m *summaries) complete(ctx context.Context, sums []*summary) error {
	return m.s.reads.read(ctx, func(c *sqlConn) error {
		x := m.s.newLookup(ctx, m.pid)
		x.c = c
		open := map[int32]*openSegment{}
		for _, s := range sums {
			for at := s.rest; at > 0; at = m.rest[at-1].before {
				r := m.rest[at-1]
				o := open[r.segment]
				if o == nil {
					o = &openSegment{segment: m.snap.segments[r.segment], x: x}
					open[r.segment] = o
				}
				parts, row := s.more(), int(r.row)
				m.addLists(parts, o, row)
				if !m.figures {
					for i, c := range summaryFigures {
						v, _ := o.col(query.Traces, c).int(row)
						parts.figures[i] += v
					}
				}
				if o.err != nil {
					return o.err
				}
			}
			s.rest = 0
		}
		return nil
	})
}

// whole is the summary of what was counted in.
func (s *summary) whole() query.Summary {
	out := query.Summary{ID: s.id, Start: domain.At(s.first), End: domain.At(s.last), Traces: int64(s.traces)}
	if p := s.parts; p != nil {
		out.Users, out.Envs, out.Tags, out.Sessions, out.Totals = p.users.sorted(), p.envs.sorted(), p.tags.sorted(), int64(len(p.sessions.list)), p.totals()
	}
	return out
}

// What is gathered of all traces, and of which more is asked for where a list is
// filtered or ordered by something else.
var (
	ofAll     = []query.Col{query.ColID, query.ColStart, query.ColEnd, query.ColLatency, query.ColTraceCount}
	ofFigures = append(slices.Clone(ofAll), summaryFigures[:]...)
	ofEnvs    = append(slices.Clone(ofFigures), query.ColEnvs)
)

// listSummaries gathers the sessions or the users of a project from its traces.
func (s *Store) listSummaries(ctx context.Context, pid int64, l *query.List, r *query.Resolved) (*store.Page, error) {
	m := &summaries{}
	only := func(columns []query.Col) bool { return query.OnlyOver(columns, r.Conjuncts, r.Order) }
	m.envs = !only(ofFigures)
	m.figures = !only(append(slices.Clone(ofAll), query.ColEnvs))
	m.lists = !only(ofEnvs)
	if err := s.summarize(ctx, pid, l.View, m); err != nil {
		return nil, err
	}
	return m.page(ctx, l, r)
}

// summarize gathers what m asks for.
func (s *Store) summarize(ctx context.Context, pid int64, v query.View, m *summaries) error {
	snap, err := s.snapshot(ctx)
	if err != nil {
		return err
	}
	m.s, m.pid, m.view, m.snap, m.of = s, pid, v, snap, map[string]*summary{}
	m.by, _ = v.SumsUp()
	for _, n := range snap.fresh {
		if n.pid == pid {
			m.add(n.trace)
		}
	}
	q := scan{view: query.Traces, pid: pid}
	return s.reads.read(ctx, func(c *sqlConn) error {
		x := s.newLookup(ctx, pid)
		x.c = c
		for i, seg := range snap.segments {
			if err := ctx.Err(); err != nil {
				return err
			}
			o := &openSegment{segment: seg, x: x}
			sel, err := q.sel(o, snap.staleIn(seg))
			if err != nil {
				return err
			}
			m.addRows(o, i, sel.rows)
			if o.err != nil {
				return o.err
			}
		}
		return nil
	})
}

// page puts those that match in order, and cuts a page of them.
func (m *summaries) page(ctx context.Context, l *query.List, r *query.Resolved) (*store.Page, error) {
	type placed struct {
		sum  *summary
		sort []query.SortValue
	}
	page := &store.Page{}
	var best []placed
	want := l.Offset + l.Limit + 1
	keep := func() {
		slices.SortFunc(best, func(a, b placed) int { return query.CompareSorts(r.Order, a.sort, b.sort) })
		clear(best[min(want, len(best)):])
		best = best[:min(want, len(best))]
	}
	var one query.Summary
	for _, sum := range m.of {
		one = sum.whole()
		rec := &query.Record{View: m.view, Summary: &one}
		if slices.ContainsFunc(r.Conjuncts, func(c query.Conjunct) bool { return !c.Program.Match(rec) }) {
			continue
		}
		page.Total++
		p := placed{sum, query.SortAll(m.view, r.Order, rec)}
		if r.After != nil && query.CompareSorts(r.Order, p.sort, r.After) <= 0 {
			continue
		}
		if best = append(best, p); len(best) > 2*want+pruneStep {
			keep()
		}
	}
	keep()
	best = best[min(l.Offset, len(best)):]
	more := len(best) > l.Limit
	best = best[:min(len(best), l.Limit)]
	var sums []*summary
	for _, p := range best {
		sums = append(sums, p.sum)
	}
	if err := m.complete(ctx, sums); err != nil {
		return nil, err
	}
	for _, sum := range sums {
		one := sum.whole()
		page.Rows = append(page.Rows, store.Row{Summary: &one})
	}
	if len(best) > 0 {
		page.Place(l, r, best[0].sort, best[len(best)-1].sort, more)
	}
	return page, nil
}
