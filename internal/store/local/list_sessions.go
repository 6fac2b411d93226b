package local

import (
	"context"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// sessionSum gathers a session from its traces.
type sessionSum struct {
	query.Session
	users, envs, tags textSet
	rest              int32 // its last one of sessionSums.rest, plus one
}

// sessionSums gathers every session of a project. Unless it is to be full it
// gathers of traces in segments only what most lists are ordered and filtered
// by, and the rest of those on the page.
type sessionSums struct {
	s    *Store
	pid  int64
	snap snapshot
	full bool
	envs bool // environments are asked for
	of   map[string]*sessionSum
	rest []sessionRow
}

// sessionRow is a trace of which not all is gathered, in a chain of those of its
// session.
type sessionRow struct{ segment, row, before int32 }

func (m *sessionSums) session(id string) *sessionSum {
	s := m.of[id]
	if s == nil {
		s = &sessionSum{Session: query.Session{ID: id}}
		m.of[id] = s
	}
	return s
}

// sessionFigures is what a session sums up of its traces.
var sessionFigures = [...]query.Col{
	query.ColTokens, query.ColInputTokens, query.ColOutputTokens, query.ColObservationCount, query.ColErrorCount,
	query.ColCost, query.ColInputCost, query.ColOutputCost,
}

// figures is where sessionFigures go.
func (s *sessionSum) figures() [len(sessionFigures)]*int64 {
	n := &s.Totals
	return [...]*int64{
		&n.Total, &n.Input, &n.Output, &n.Observations, &n.ByLevel[domain.LevelError],
		(*int64)(&n.Cost), (*int64)(&n.InputCost), (*int64)(&n.OutputCost),
	}
}

// lasted counts in a trace that took some time.
func (s *sessionSum) lasted(start, latency int64) {
	from, to := domain.At(start), domain.At(start+latency)
	if s.Traces == 0 || from.Before(s.Start) {
		s.Start = from
	}
	if s.Traces == 0 || s.End.Before(to) {
		s.End = to
	}
	s.Traces++
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
func (s *sessionSum) add(t *domain.Trace) {
	r := &query.Record{View: query.Traces, Trace: t}
	start, _ := r.Int(query.ColStart)
	latency, _ := r.Int(query.ColLatency)
	s.lasted(start, latency)
	if t.UserID != "" {
		s.users.add(t.UserID)
	}
	env, _ := r.Text(query.ColEnv)
	s.envs.add(env)
	for _, tag := range t.Tags {
		s.tags.add(tag)
	}
	for i, to := range s.figures() {
		v, _ := r.Int(sessionFigures[i])
		*to += v
	}
}

// addRows counts rows of a segment in.
func (m *sessionSums) addRows(o *openSegment, at int, rows []int32) {
	sessions, start, latency := o.col(query.Traces, query.ColSession), o.col(query.Traces, query.ColStart), o.col(query.Traces, query.ColLatency)
	if sessions == nil {
		return
	}
	var envs *column
	if m.envs {
		envs = o.col(query.Traces, query.ColEnv)
	}
	of := make([]*sessionSum, sessions.words) // each is looked up once
	for _, row := range rows {
		i := int(row)
		code := sessions.code(i)
		if code < 0 {
			continue
		}
		s := of[code]
		if s == nil {
			s = m.session(sessions.word(code))
			of[code] = s
		}
		from, _ := start.int(i)
		took, _ := latency.int(i)
		s.lasted(from, took)
		if env, ok := envs.string(i); ok {
			s.envs.add(env)
		}
		if m.full {
			s.addRest(o, i)
			continue
		}
		m.rest = append(m.rest, sessionRow{int32(at), row, s.rest})
		s.rest = int32(len(m.rest))
	}
}

// addRest counts in what a row has beside its time.
func (s *sessionSum) addRest(o *openSegment, row int) {
	if env, ok := o.col(query.Traces, query.ColEnv).string(row); ok {
		s.envs.add(env)
	}
	if user, ok := o.col(query.Traces, query.ColUser).string(row); ok {
		s.users.add(user)
	}
	if tags := o.col(query.Traces, query.ColTags); tags.code(row) >= 0 {
		tags.takeApart()
		for _, place := range tags.membersOf(tags.code(row)) {
			s.tags.add(tags.elements[place])
		}
	}
	for k, to := range s.figures() {
		v, _ := o.col(query.Traces, sessionFigures[k]).int(row)
		*to += v
	}
}

// complete counts in what was left out of sessions.
func (m *sessionSums) complete(ctx context.Context, sums []*sessionSum) error {
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
				if s.addRest(o, int(r.row)); o.err != nil {
					return o.err
				}
			}
			s.rest = 0
			s.session()
		}
		return nil
	})
}

func (s *sessionSum) session() *query.Session {
	s.Users, s.Envs, s.Tags = s.users.sorted(), s.envs.sorted(), s.tags.sorted()
	return &s.Session
}

// ofAll is what is gathered of all sessions.
var ofAll = []query.Col{query.ColID, query.ColStart, query.ColEnd, query.ColLatency, query.ColTraceCount}

// listSessions gathers the sessions of a project from its traces.
func (s *Store) listSessions(ctx context.Context, pid int64, l *query.List, r *query.Resolved) (*store.Page, error) {
	envs := !query.OnlyOver(ofAll, r.Conjuncts, r.Order)
	full := envs && !query.OnlyOver(append(slices.Clone(ofAll), query.ColEnvs), r.Conjuncts, r.Order)
	sums, err := s.sumSessions(ctx, pid, full, envs)
	if err != nil {
		return nil, err
	}
	return sums.page(ctx, l, r)
}

func (s *Store) sumSessions(ctx context.Context, pid int64, full, envs bool) (*sessionSums, error) {
	snap, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	sums := &sessionSums{s: s, pid: pid, snap: snap, full: full, envs: envs, of: map[string]*sessionSum{}}
	for _, n := range snap.fresh {
		if n.pid == pid && n.trace.SessionID != "" {
			sums.session(n.trace.SessionID).add(n.trace)
		}
	}
	q := scan{view: query.Traces, pid: pid}
	err = s.reads.read(ctx, func(c *sqlConn) error {
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
			sums.addRows(o, i, sel.rows)
			if o.err != nil {
				return o.err
			}
		}
		return nil
	})
	return sums, err
}

// page puts the sessions that match in order, and cuts a page of them.
func (m *sessionSums) page(ctx context.Context, l *query.List, r *query.Resolved) (*store.Page, error) {
	type placed struct {
		sum  *sessionSum
		sort []query.SortValue
	}
	page := &store.Page{}
	var all []placed
	for _, sum := range m.of {
		rec := &query.Record{View: query.Sessions, Session: sum.session()}
		if slices.ContainsFunc(r.Conjuncts, func(c query.Conjunct) bool { return !c.Program.Match(rec) }) {
			continue
		}
		page.Total++
		p := placed{sum, query.SortAll(query.Sessions, r.Order, rec)}
		if r.After == nil || query.CompareSorts(r.Order, p.sort, r.After) > 0 {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b placed) int { return query.CompareSorts(r.Order, a.sort, b.sort) })
	all = all[min(l.Offset, len(all)):]
	more := len(all) > l.Limit
	all = all[:min(len(all), l.Limit)]
	var sums []*sessionSum
	for _, p := range all {
		page.Rows = append(page.Rows, store.Row{Session: &p.sum.Session})
		sums = append(sums, p.sum)
	}
	if len(all) > 0 {
		page.Place(l, r, all[0].sort, all[len(all)-1].sort, more)
	}
	return page, m.complete(ctx, sums)
}
