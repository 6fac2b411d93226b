// Package storetest holds the promises of package store as tests that every
// engine passes, and a reference engine that keeps them in the plainest way.
package storetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// Memory keeps every patch that it was ever given and folds them anew for each
// read. It is what other engines are compared with, so it does nothing cleverly.
type Memory struct {
	derive store.Derive
	now    func() time.Time

	mu       sync.Mutex
	closed   bool
	projects map[string]*patches
	changes  []store.Change
}

var _ store.Traces = (*Memory)(nil)

// patches is what was said in one project, in the order of its arrival.
type patches struct {
	observations []arrived[domain.ObservationPatch]
	traces       []arrived[domain.TracePatch]
	scores       []arrived[domain.ScorePatch]
	count        int
}

type arrived[P any] struct {
	patch P
	at    domain.Time
	n     int
}

// NewMemory makes an empty engine; derive may be nil.
func NewMemory(derive store.Derive) *Memory {
	if derive == nil {
		derive = func(string, *domain.Observation) {}
	}
	return &Memory{derive: derive, now: time.Now, projects: map[string]*patches{}}
}

// Reopen is an engine over what m held when it was closed.
func (m *Memory) Reopen() *Memory {
	return &Memory{derive: m.derive, now: m.now, projects: m.projects, changes: m.changes}
}

// begin locks m for one call.
func (m *Memory) begin(ctx context.Context) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, domain.Errorf(domain.Unavailable, "the store is closed")
	}
	return m.mu.Unlock, nil
}

// Append implements store.Traces.
func (m *Memory) Append(ctx context.Context, batches []store.Batch) []error {
	errs := make([]error, len(batches))
	end, err := m.begin(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	defer end()
	now := domain.TimeOf(m.now())
	for i := range batches {
		b := &batches[i]
		p := m.projects[b.Project]
		if p == nil {
			p = &patches{}
			m.projects[b.Project] = p
		}
		for _, o := range b.Observations {
			p.count++
			p.observations = append(p.observations, arrived[domain.ObservationPatch]{o, now, p.count})
			m.change(store.TraceChanged, b.Project, p.home(&o))
		}
		for _, t := range b.Traces {
			p.count++
			p.traces = append(p.traces, arrived[domain.TracePatch]{t, now, p.count})
			m.change(store.TraceChanged, b.Project, domain.TraceKey(t.Value.ID))
			if t.Value.SessionID != "" {
				m.change(store.SessionChanged, b.Project, t.Value.SessionID)
			}
		}
		for _, s := range b.Scores {
			p.count++
			p.scores = append(p.scores, arrived[domain.ScorePatch]{s, now, p.count})
			m.change(store.ScoreChanged, b.Project, s.Value.ID)
		}
	}
	return errs
}

func (m *Memory) change(kind store.ChangeKind, project, key string) {
	m.changes = append(m.changes, store.Change{Kind: kind, Project: project, Key: key})
}

// home is the key of the trace that an observation patch counts to.
func (p *patches) home(o *domain.ObservationPatch) string {
	if o.Value.TraceID != "" {
		return domain.TraceKey(o.Value.TraceID)
	}
	for i := range p.observations {
		if v := &p.observations[i].patch.Value; v.ID == o.Value.ID && v.TraceID != "" {
			return domain.TraceKey(v.TraceID)
		}
	}
	return domain.TraceKey(o.Value.ID)
}

// folded is one trace, folded from its patches.
type folded struct {
	trace    store.Trace
	own      []domain.Item
	contents map[string][]domain.Item // by observation
}

// fold folds the trace of that key, nil if nothing was ever said of it.
func (m *Memory) fold(project, key string) *folded {
	p := m.projects[project]
	if p == nil {
		return nil
	}
	f := &folded{contents: map[string][]domain.Item{}}
	first, id := 0, ""
	seen := func(n int, form string) {
		if first == 0 || n < first {
			first, id = n, form
		}
	}
	var own domain.Fold[domain.Trace]
	for i := range p.traces {
		a := &p.traces[i]
		if domain.TraceKey(a.patch.Value.ID) != key {
			continue
		}
		seen(a.n, a.patch.Value.ID)
		w := a.patch.Fold()
		domain.FoldTrace(&own, &w)
		own.Value.Parts |= a.patch.Content.Set()
		f.own = append(f.own, domain.Item{Stamp: a.patch.Stamp, Said: a.patch.Parts, Content: a.patch.Content})
	}
	folds := map[string]*domain.Fold[domain.Observation]{}
	for i := range p.observations {
		a := &p.observations[i]
		if p.home(&a.patch) != key {
			continue
		}
		form := a.patch.Value.TraceID
		if form == "" {
			form = key
		}
		seen(a.n, form)
		o := folds[a.patch.Value.ID]
		if o == nil {
			o = &domain.Fold[domain.Observation]{}
			folds[a.patch.Value.ID] = o
		}
		w := a.patch.Fold()
		domain.FoldObservation(o, &w)
		o.Value.Parts |= a.patch.Content.Set()
		if !o.Value.CreatedAt.IsSet() {
			o.Value.CreatedAt = a.at
		}
		o.Value.UpdatedAt = a.at
		f.contents[o.Value.ID] = append(f.contents[o.Value.ID], domain.Item{
			ID: o.Value.ID, Stamp: a.patch.Stamp, Said: a.patch.Parts, Content: a.patch.Content,
		})
	}
	if first == 0 {
		return nil
	}
	own.Value.ID = id
	m.finish(project, f, own.Value, folds)
	return f
}

// finish puts a trace together from its folds.
func (m *Memory) finish(project string, f *folded, own domain.Trace, folds map[string]*domain.Fold[domain.Observation]) {
	var r domain.Rollup
	for _, id := range slices.Sorted(maps.Keys(folds)) {
		o := folds[id].Value
		o.TraceID = own.ID
		if o.End.Before(o.Start) {
			o.End = o.Start
		}
		m.derive(project, &o)
		r.Add(&o)
		f.trace.Observations = append(f.trace.Observations, o)
	}
	slices.SortStableFunc(f.trace.Observations, func(a, b domain.Observation) int {
		return cmp.Or(cmp.Compare(a.Start.Nanos(), b.Start.Nanos()), cmp.Compare(a.ID, b.ID))
	})
	f.trace.Trace, f.trace.RootID = r.Trace(own), r.RootID()
	f.trace.Source = f
}

// Own implements store.Contents.
func (f *folded) Own(context.Context) (domain.Content, error) { return domain.FoldContent(f.own), nil }

// Each implements store.Contents.
func (f *folded) Each(ctx context.Context, each func(i int, c *domain.Content) error) error {
	for i := range f.trace.Observations {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := domain.FoldContent(f.contents[f.trace.Observations[i].ID])
		if err := each(i, &c); err != nil {
			return err
		}
	}
	return nil
}

// Trace implements store.Traces.
func (m *Memory) Trace(ctx context.Context, project, id string) (*store.Trace, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	f := m.fold(project, domain.TraceKey(id))
	if f == nil {
		return nil, domain.Errorf(domain.NotFound, "no such trace")
	}
	for _, s := range m.projects[project].foldScores() {
		if s.TraceID != "" && domain.TraceKey(s.TraceID) == domain.TraceKey(id) {
			f.trace.Scores = append(f.trace.Scores, s)
		}
	}
	slices.SortFunc(f.trace.Scores, func(a, b domain.Score) int {
		return cmp.Or(cmp.Compare(a.Timestamp.Nanos(), b.Timestamp.Nanos()), cmp.Compare(a.ID, b.ID))
	})
	return &f.trace, nil
}

// foldScores folds every score of the project.
func (p *patches) foldScores() []domain.Score {
	byID := map[string][]domain.ScorePatch{}
	times := map[string][2]domain.Time{}
	for _, a := range p.scores {
		id := a.patch.Value.ID
		if t := times[id]; t[0].IsSet() {
			times[id] = [2]domain.Time{t[0], a.at}
		} else {
			times[id] = [2]domain.Time{a.at, a.at}
		}
		byID[id] = append(byID[id], a.patch)
	}
	var out []domain.Score
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		writes := slices.CompactFunc(slices.SortedFunc(slices.Values(byID[id]), func(a, b domain.ScorePatch) int { return a.Stamp.Compare(b.Stamp) }),
			func(a, b domain.ScorePatch) bool { return a.Stamp == b.Stamp })
		s := domain.FoldScores(writes)
		s.CreatedAt, s.UpdatedAt = times[id][0], times[id][1]
		out = append(out, s)
	}
	return out
}

// Observation implements store.Traces.
func (m *Memory) Observation(ctx context.Context, project, id string) (*store.Observation, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	if p := m.projects[project]; p != nil {
		for i := range p.observations {
			if p.observations[i].patch.Value.ID != id {
				continue
			}
			f := m.fold(project, p.home(&p.observations[i].patch))
			for j := range f.trace.Observations {
				if o := f.trace.Observations[j]; o.ID == id {
					return &store.Observation{Observation: o, Trace: f.trace.Trace, Content: domain.FoldContent(f.contents[id])}, nil
				}
			}
		}
	}
	return nil, domain.Errorf(domain.NotFound, "no such observation")
}

// Score implements store.Traces.
func (m *Memory) Score(ctx context.Context, project, id string) (domain.Score, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return domain.Score{}, err
	}
	defer end()
	if p := m.projects[project]; p != nil {
		for _, s := range p.foldScores() {
			if s.ID == id {
				return s, nil
			}
		}
	}
	return domain.Score{}, domain.Errorf(domain.NotFound, "no such score")
}

// DeleteTraces implements store.Traces.
func (m *Memory) DeleteTraces(ctx context.Context, project string, ids []string) error {
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
		key := domain.TraceKey(id)
		m.change(store.TraceChanged, project, key)
		homes := map[int]bool{}
		for i := range p.observations {
			homes[p.observations[i].n] = p.home(&p.observations[i].patch) == key
		}
		p.observations = slices.DeleteFunc(p.observations, func(a arrived[domain.ObservationPatch]) bool { return homes[a.n] })
		p.traces = slices.DeleteFunc(p.traces, func(a arrived[domain.TracePatch]) bool { return domain.TraceKey(a.patch.Value.ID) == key })
		for _, s := range p.foldScores() {
			if s.TraceID != "" && domain.TraceKey(s.TraceID) == key {
				m.change(store.ScoreChanged, project, s.ID)
				p.scores = slices.DeleteFunc(p.scores, func(a arrived[domain.ScorePatch]) bool { return a.patch.Value.ID == s.ID })
			}
		}
	}
	return nil
}

// Changes implements store.Traces.
func (m *Memory) Changes(ctx context.Context, after store.Cursor, limit int) ([]store.Change, store.Cursor, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer end()
	from := 0
	if len(after) > 0 {
		if from, err = strconv.Atoi(string(after)); err != nil || from < 0 || from > len(m.changes) {
			return nil, nil, domain.Errorf(domain.Invalid, "this is no cursor")
		}
	}
	to := min(len(m.changes), from+limit)
	return slices.Clone(m.changes[from:to]), store.Cursor(strconv.Itoa(to)), nil
}

// Head implements store.Traces.
func (m *Memory) Head(ctx context.Context) (store.Cursor, error) {
	end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return store.Cursor(strconv.Itoa(len(m.changes))), nil
}

// Limits implements store.Traces.
func (m *Memory) Limits() store.Limits { return store.Limits{Patches: 100, Bytes: 1 << 20} }

// Ready implements store.Traces.
func (m *Memory) Ready(ctx context.Context) error {
	end, err := m.begin(ctx)
	if err == nil {
		end()
	}
	return err
}

// Close implements store.Traces.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
