package storetest

import (
	"context"
	"maps"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// listed is a row with all that filters may look at.
type listed struct {
	record *query.Record
	row    store.Row
}

// List implements store.Traces: every row there is, tested one by one.
func (m *Memory) List(ctx context.Context, project string, l query.List) (*store.Page, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	r, err := l.Resolve()
	if err != nil {
		return nil, err
	}
	type placed struct {
		listed
		sort []query.SortValue
	}
	page := &store.Page{}
	var rows []placed
	for _, one := range m.rows(project, l.View) {
		if slices.ContainsFunc(r.Conjuncts, func(c query.Conjunct) bool { return !c.Program.Match(one.record) }) {
			continue
		}
		page.Total++
		p := placed{one, query.SortAll(l.View, r.Order, one.record)}
		if r.After == nil || query.CompareSorts(r.Order, p.sort, r.After) > 0 {
			rows = append(rows, p)
		}
	}
	slices.SortFunc(rows, func(a, b placed) int { return query.CompareSorts(r.Order, a.sort, b.sort) })
	rows = rows[min(l.Offset, len(rows)):]
	more := len(rows) > l.Limit
	rows = rows[:min(len(rows), l.Limit)]
	for _, p := range rows {
		page.Rows = append(page.Rows, p.row)
	}
	if len(rows) > 0 {
		page.Place(&l, r, rows[0].sort, rows[len(rows)-1].sort, more)
	}
	return page, nil
}

// Aggregate implements store.Traces.
func (m *Memory) Aggregate(ctx context.Context, project string, a query.Aggregate) (*query.Result, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	rows := m.rows(project, a.View)
	first, last := int64(0), int64(0)
	for i, one := range rows {
		at, _ := one.record.Int(query.ColStart)
		if i == 0 {
			first, last = at, at
		}
		first, last = min(first, at), max(last, at)
	}
	p, err := a.Prepare(first, last)
	if err != nil {
		return nil, err
	}
	t := p.NewTotals()
	for _, one := range rows {
		if slices.ContainsFunc(p.Conjuncts, func(c query.Conjunct) bool { return !c.Program.Match(one.record) }) {
			continue
		}
		if err := t.Add(one.record); err != nil {
			return nil, err
		}
	}
	return t.Result(), nil
}

// Facet implements store.Traces.
func (m *Memory) Facet(ctx context.Context, project string, f query.Facet) (*query.FacetResult, error) {
	a, err := f.Aggregate()
	if err != nil {
		return nil, err
	}
	r, err := m.Aggregate(ctx, project, *a)
	if err != nil {
		return nil, err
	}
	return f.Result(r), nil
}

// rows is every row of a view.
func (m *Memory) rows(project string, v query.View) []listed {
	p := m.projects[project]
	if p == nil {
		return nil
	}
	var out []listed
	folds := m.everyTrace(project)
	byKey := map[string]*folded{}
	for _, f := range folds {
		byKey[domain.TraceKey(f.trace.Trace.ID)] = f
	}
	switch v {
	case query.Traces:
		for _, f := range folds {
			out = append(out, listed{f.record(nil), f.row()})
		}
	case query.Observations:
		for _, f := range folds {
			for i := range f.trace.Observations {
				o := &f.trace.Observations[i]
				out = append(out, listed{f.record(o), store.Row{Trace: &f.trace.Trace, Observation: o, Content: func(context.Context) (domain.Content, error) {
					return domain.FoldContent(f.contents[o.ID]), nil
				}}})
			}
		}
	case query.Scores:
		for _, s := range p.foldScores() {
			rec := &query.Record{View: query.Scores, Score: &s}
			row := store.Row{Score: &s}
			if f := byKey[domain.TraceKey(s.TraceID)]; f != nil && s.TraceID != "" {
				rec.Trace, row.Trace = &f.trace.Trace, &f.trace.Trace
				rec.Observations = func() (found []*query.Record) {
					for i := range f.trace.Observations {
						if o := &f.trace.Observations[i]; o.ID == s.ObservationID {
							found = append(found, f.record(o))
						}
					}
					return found
				}
			}
			out = append(out, listed{rec, row})
		}
	case query.Sessions, query.Users:
		for _, s := range summaries(v, folds) {
			out = append(out, listed{&query.Record{View: v, Summary: s}, store.Row{Summary: s}})
		}
	}
	return out
}

// everyTrace folds every trace of a project, with its scores.
func (m *Memory) everyTrace(project string) (out []*folded) {
	p := m.projects[project]
	keys := map[string]bool{}
	for i := range p.observations {
		keys[p.home(&p.observations[i].patch)] = true
	}
	for i := range p.traces {
		keys[domain.TraceKey(p.traces[i].patch.Value.ID)] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		f := m.fold(project, key)
		for _, s := range p.foldScores() {
			if s.TraceID != "" && domain.TraceKey(s.TraceID) == key {
				f.trace.Scores = append(f.trace.Scores, s)
			}
		}
		out = append(out, f)
	}
	return out
}

func (f *folded) content() domain.Content {
	c := domain.NewTraceContent(domain.FoldContent(f.own))
	for i := range f.trace.Observations {
		o := &f.trace.Observations[i]
		one := domain.FoldContent(f.contents[o.ID])
		c.Add(o, &one, o.ID == f.trace.RootID)
	}
	return c.Fold()
}

func (f *folded) row() store.Row {
	row := store.Row{Trace: &f.trace.Trace, Content: func(context.Context) (domain.Content, error) { return f.content(), nil }}
	for i := range f.trace.Observations {
		row.Observations = append(row.Observations, f.trace.Observations[i].ID)
	}
	row.Scores = f.trace.Scores
	return row
}

func (f *folded) record(o *domain.Observation) *query.Record {
	r := &query.Record{View: query.Traces, Trace: &f.trace.Trace, Observation: o}
	r.ScoreList = func() []domain.Score { return f.trace.Scores }
	r.Content = func() *domain.Content {
		c := f.content()
		return &c
	}
	if o != nil {
		r.View = query.Observations
		r.Content = func() *domain.Content {
			c := domain.FoldContent(f.contents[o.ID])
			return &c
		}
		return r
	}
	r.Observations = func() (out []*query.Record) {
		for i := range f.trace.Observations {
			out = append(out, f.record(&f.trace.Observations[i]))
		}
		return out
	}
	return r
}

// summaries sums up the sessions, or the users, that traces name.
func summaries(v query.View, folds []*folded) []*query.Summary {
	byID := map[string]*query.Summary{}
	sessions := map[[2]string]bool{} // of users
	by, _ := v.SumsUp()
	add := func(list []string, s string) []string {
		if s == "" || slices.Contains(list, s) {
			return list
		}
		return slices.Sorted(slices.Values(append(list, s)))
	}
	for _, f := range folds {
		t := &f.trace.Trace
		id, named := query.TraceText(t, by)
		if !named {
			continue
		}
		s := byID[id]
		start := query.TraceTime(t)
		end := start
		if end.Before(t.Totals.End) {
			end = t.Totals.End
		}
		if s == nil {
			s = &query.Summary{ID: id, Start: start, End: end}
			byID[id] = s
		}
		if start.Before(s.Start) {
			s.Start = start
		}
		if s.End.Before(end) {
			s.End = end
		}
		s.Traces++
		s.Envs = add(s.Envs, t.Environment)
		if of := [2]string{id, t.SessionID}; v == query.Users && of[1] != "" && !sessions[of] {
			sessions[of] = true
			s.Sessions++
		}
		if v == query.Sessions {
			s.Users = add(s.Users, t.UserID)
			for _, tag := range t.Tags {
				s.Tags = add(s.Tags, tag)
			}
		}
		n, o := &s.Totals, &t.Totals
		n.Observations += o.Observations
		n.ByLevel[domain.LevelError] += o.ByLevel[domain.LevelError]
		n.Cost, n.InputCost, n.OutputCost = n.Cost+o.Cost, n.InputCost+o.InputCost, n.OutputCost+o.OutputCost
		n.Input, n.Output, n.Total = n.Input+o.Input, n.Output+o.Output, n.Total+o.Total
	}
	return slices.Collect(maps.Values(byID))
}

// DeleteScores implements store.Traces.
func (m *Memory) DeleteScores(ctx context.Context, project string, ids []string) error {
	end, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	p := m.projects[project]
	if p == nil {
		return nil
	}
	for _, id := range ids {
		before := len(p.scores)
		p.scores = slices.DeleteFunc(p.scores, func(a arrived[domain.ScorePatch]) bool { return a.patch.Value.ID == id })
		if len(p.scores) < before {
			m.change(store.ScoreChanged, project, id)
		}
	}
	return nil
}
