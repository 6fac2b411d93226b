package local

import (
	"context"
	"maps"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// sessionSum gathers a session from its traces.
type sessionSum struct {
	query.Session
	users, envs, tags map[string]bool
}

// sessionSums gathers every session of a project.
type sessionSums map[string]*sessionSum

func (m sessionSums) of(id string) *sessionSum {
	s := m[id]
	if s == nil {
		s = &sessionSum{users: map[string]bool{}, envs: map[string]bool{}, tags: map[string]bool{}}
		s.ID = id
		m[id] = s
	}
	return s
}

// add counts a trace in. The row is one of the traces' view.
func (s *sessionSum) add(r query.Row) {
	at, _ := r.Int(query.ColStart)
	latency, _ := r.Int(query.ColLatency)
	start, end := domain.At(at), domain.At(at+latency)
	if s.Traces == 0 || start.Before(s.Start) {
		s.Start = start
	}
	if s.Traces == 0 || s.End.Before(end) {
		s.End = end
	}
	s.Traces++
	note := func(set map[string]bool, c query.Col) {
		if v, ok := r.Text(c); ok {
			set[v] = true
		}
	}
	note(s.users, query.ColUser)
	note(s.envs, query.ColEnv)
	for _, t := range r.List(query.ColTags) {
		s.tags[t] = true
	}
	n := &s.Totals
	for c, to := range map[query.Col]*int64{
		query.ColTokens: &n.Total, query.ColInputTokens: &n.Input, query.ColOutputTokens: &n.Output,
		query.ColObservationCount: &n.Observations, query.ColErrorCount: &n.ByLevel[domain.LevelError],
		query.ColCost: (*int64)(&n.Cost), query.ColInputCost: (*int64)(&n.InputCost), query.ColOutputCost: (*int64)(&n.OutputCost),
	} {
		v, _ := r.Int(c)
		*to += v
	}
}

func (s *sessionSum) session() *query.Session {
	s.Users = slices.Sorted(maps.Keys(s.users))
	s.Envs = slices.Sorted(maps.Keys(s.envs))
	s.Tags = slices.Sorted(maps.Keys(s.tags))
	return &s.Session
}

// listSessions gathers the sessions of a project from its traces.
func (s *Store) listSessions(ctx context.Context, pid int64, l *query.List, r *query.Resolved) (*store.Page, error) {
	sums, err := s.sumSessions(ctx, pid)
	if err != nil {
		return nil, err
	}
	return pageOfSessions(sums, l, r), nil
}

func (s *Store) sumSessions(ctx context.Context, pid int64) (sessionSums, error) {
	snap, err := s.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	sums := sessionSums{}
	for _, n := range snap.fresh {
		if n.pid == pid && n.trace.SessionID != "" {
			sums.of(n.trace.SessionID).add(n.record(nil, nil))
		}
	}
	q := scan{view: query.Traces, pid: pid}
	err = s.reads.read(ctx, func(c *sqlConn) error {
		x := s.newLookup(ctx, pid)
		x.c = c
		for _, seg := range snap.segments {
			if err := ctx.Err(); err != nil {
				return err
			}
			o := &openSegment{segment: seg, x: x}
			sel, err := q.sel(o, snap.staleIn(seg))
			if err != nil {
				return err
			}
			sessions := o.col(query.Traces, query.ColSession)
			row := traceRow{o: o}
			for _, i := range sel.rows {
				if id, ok := sessions.string(int(i)); ok {
					row.i = int(i)
					sums.of(id).add(&row)
				}
			}
			if o.err != nil {
				return o.err
			}
		}
		return nil
	})
	return sums, err
}

func pageOfSessions(sums sessionSums, l *query.List, r *query.Resolved) *store.Page {
	type placed struct {
		session *query.Session
		sort    []query.SortValue
	}
	page := &store.Page{}
	var all []placed
	for _, sum := range sums {
		rec := &query.Record{View: query.Sessions, Session: sum.session()}
		if slices.ContainsFunc(r.Conjuncts, func(c query.Conjunct) bool { return !c.Program.Match(rec) }) {
			continue
		}
		page.Total++
		p := placed{rec.Session, query.SortAll(query.Sessions, r.Order, rec)}
		if r.After == nil || query.CompareSorts(r.Order, p.sort, r.After) > 0 {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b placed) int { return query.CompareSorts(r.Order, a.sort, b.sort) })
	all = all[min(l.Offset, len(all)):]
	more := len(all) > l.Limit
	all = all[:min(len(all), l.Limit)]
	for _, p := range all {
		page.Rows = append(page.Rows, store.Row{Session: p.session})
	}
	if len(all) > 0 {
		page.Place(l, r, all[0].sort, all[len(all)-1].sort, more)
	}
	return page
}
