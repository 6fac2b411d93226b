package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// Engine is how the suite uses an engine.
type Engine struct {
	// Open opens the store of a name, empty the first time; after a Close it
	// opens what was stored under the name. derive may be nil.
	Open func(t *testing.T, name string, derive store.Derive) store.Traces
	// Settle does whatever the engine does in its own time, such as sealing.
	Settle func(t *testing.T, s store.Traces)
}

// RunTraces executes each promise of store.Traces.
func RunTraces(t *testing.T, e Engine) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *subject)
	}{
		{"ReadAfterWrite", tracesReadAfterWrite},
		{"Missing", tracesMissing},
		{"ProjectsAreApart", tracesProjectsAreApart},
		{"TraceIDForms", tracesIDForms},
		{"UpdatesBeforeCreates", tracesUpdatesBeforeCreates},
		{"RepeatsChangeNothing", tracesRepeatsChangeNothing},
		{"ShellTrace", tracesShell},
		{"WithoutTraceID", tracesWithoutTraceID},
		{"SameIDInTwoTraces", tracesSameIDInTwoTraces},
		{"Contents", tracesContents},
		{"ManyObservations", tracesManyObservations},
		{"Scores", tracesScores},
		{"Derive", tracesDerive},
		{"Delete", tracesDelete},
		{"DeleteThenLate", tracesDeleteThenLate},
		{"Changes", tracesChanges},
		{"ChangesInPieces", tracesChangesInPieces},
		{"Concurrent", tracesConcurrent},
		{"OddText", tracesOddText},
		{"Canceled", tracesCanceled},
		{"Closed", tracesClosed},
		{"Property", tracesProperty},
		{"ListsProperty", tracesListsProperty},
		{"AggregatesProperty", tracesAggregatesProperty},
		{"Scripts", tracesScripts},
		{"PagesWhileWriting", tracesPagesWhileWriting},
		{"ListsAfterDelete", tracesListsAfterDelete},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &subject{t: t, engine: e, name: strings.ReplaceAll(t.Name(), "/", "-")}
			s.open(nil)
			c.run(t, s)
		})
	}
}

// subject is the store that a test works on.
type subject struct {
	store.Traces
	t      *testing.T
	engine Engine
	name   string
	derive store.Derive
}

func (s *subject) open(derive store.Derive) {
	s.t.Helper()
	s.derive = derive
	s.Traces = s.engine.Open(s.t, s.name, derive)
}

// reopen closes the store and opens it again.
func (s *subject) reopen() {
	s.t.Helper()
	if err := s.Close(); err != nil {
		s.t.Fatalf("close: %v", err)
	}
	s.Traces = s.engine.Open(s.t, s.name, s.derive)
}

// everyState runs a check on what was just written, after the engine's own
// work, and after a restart.
func (s *subject) everyState(check func(state string)) {
	s.t.Helper()
	check("at once")
	s.engine.Settle(s.t, s.Traces)
	check("settled")
	s.reopen()
	check("reopened")
}

func (s *subject) append(batches ...store.Batch) {
	s.t.Helper()
	errs := s.Append(s.t.Context(), batches)
	if len(errs) != len(batches) {
		s.t.Fatalf("%d errors for %d batches", len(errs), len(batches))
	}
	for i, err := range errs {
		if err != nil {
			s.t.Fatalf("batch %d: %v", i, err)
		}
	}
}

// read is all that is read of a trace, without the times of its arrival.
type read struct {
	Trace        domain.Trace
	RootID       string
	Observations []domain.Observation
	Scores       []domain.Score
	Own          domain.Content
	Contents     []domain.Content
}

func readTrace(ctx context.Context, s store.Traces, project, id string) (*read, error) {
	t, err := s.Trace(ctx, project, id)
	if err != nil {
		return nil, err
	}
	r := &read{Trace: t.Trace, RootID: t.RootID, Observations: slices.Clone(t.Observations), Scores: slices.Clone(t.Scores)}
	if r.Own, err = t.Source.Own(ctx); err != nil {
		return nil, fmt.Errorf("own content: %w", err)
	}
	copyContent(&r.Own)
	err = t.Source.Each(ctx, func(i int, c *domain.Content) error {
		if i != len(r.Contents) {
			return fmt.Errorf("content %d comes after %d", i, len(r.Contents))
		}
		out := *c
		copyContent(&out)
		r.Contents = append(r.Contents, out)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("contents: %w", err)
	}
	if len(r.Contents) != len(r.Observations) {
		return nil, fmt.Errorf("%d contents of %d observations", len(r.Contents), len(r.Observations))
	}
	r.Trace.CreatedAt, r.Trace.UpdatedAt = domain.Time{}, domain.Time{}
	for i := range r.Observations {
		r.Observations[i].CreatedAt, r.Observations[i].UpdatedAt = domain.Time{}, domain.Time{}
	}
	for i := range r.Scores {
		r.Scores[i].CreatedAt, r.Scores[i].UpdatedAt = domain.Time{}, domain.Time{}
	}
	return r, nil
}

func copyContent(c *domain.Content) {
	for p := range c {
		c[p].Data = slices.Clone(c[p].Data)
	}
}

// compare takes bodies whole: by the byte, large ones would take minutes.
var compare = cmp.Options{
	cmp.AllowUnexported(domain.Time{}), cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b domain.Body) bool { return a.Kind == b.Kind && bytes.Equal(a.Data, b.Data) }),
}

func (s *subject) trace(id string) *read {
	s.t.Helper()
	r, err := readTrace(s.t.Context(), s, "p", id)
	if err != nil {
		s.t.Fatalf("trace %s: %v", id, err)
	}
	return r
}

func (s *subject) noTrace(id string) {
	s.t.Helper()
	if _, err := s.Trace(s.t.Context(), "p", id); domain.CodeOf(err) != domain.NotFound {
		s.t.Errorf("trace %s: %v, want not found", id, err)
	}
}

// span is a whole span.
func span(trace, id string, start int64, input string) domain.ObservationPatch {
	p := domain.ObservationPatch{
		Stamp: domain.Stamp{Time: start + 10, Op: domain.Replace},
		Value: domain.Observation{ID: id, TraceID: trace, Name: "name of " + id, Type: domain.TypeSpan, Start: domain.At(start), End: domain.At(start + 10), Environment: "default"},
	}
	if input != "" {
		p.Content[domain.Input] = domain.TextBody(input)
	}
	domain.SealObservation(&p)
	return p
}

// update says only a name and an output.
func update(trace, id string, at int64, name, output string) domain.ObservationPatch {
	p := domain.ObservationPatch{
		Stamp: domain.Stamp{Time: at, Op: domain.Update},
		Said:  domain.ObservationName | domain.ObservationStart,
		Value: domain.Observation{ID: id, TraceID: trace, Name: name, Start: domain.At(at)},
		Parts: domain.Parts(0).With(domain.Output),
	}
	p.Content[domain.Output] = domain.TextBody(output)
	domain.SealObservation(&p)
	return p
}

func named(id string, at int64, name string) domain.TracePatch {
	p := domain.TracePatch{Stamp: domain.Stamp{Time: at, Op: domain.Create}, Said: domain.TraceName, Value: domain.Trace{ID: id, Name: name}}
	domain.SealTrace(&p)
	return p
}

func rated(id, trace, observation string, at int64, value float64) domain.ScorePatch {
	p := domain.ScorePatch{
		Stamp: domain.Stamp{Time: at, Op: domain.Create},
		Said:  domain.ScoreTraceID | domain.ScoreObservationID | domain.ScoreName | domain.ScoreValue | domain.ScoreTimestamp,
		Value: domain.Score{ID: id, TraceID: trace, ObservationID: observation, Name: "good", Type: domain.ScoreNumeric, Value: domain.Some(value), Timestamp: domain.At(at)},
	}
	domain.SealScore(&p)
	return p
}

func spans(list ...domain.ObservationPatch) store.Batch {
	return store.Batch{Project: "p", Observations: list}
}

func tracesReadAfterWrite(t *testing.T, s *subject) {
	s.append(spans(span("t", "b", 20, "in b"), span("t", "a", 10, "in a")), store.Batch{Project: "p", Traces: []domain.TracePatch{named("t", 5, "mine")}})
	s.everyState(func(state string) {
		r := s.trace("t")
		if r.Trace.ID != "t" || r.Trace.Name != "mine" || r.Trace.Totals.Observations != 2 || r.RootID == "" {
			t.Errorf("%s: trace %+v, root %q", state, r.Trace, r.RootID)
		}
		if len(r.Observations) != 2 || r.Observations[0].ID != "a" || r.Observations[1].ID != "b" {
			t.Errorf("%s: observations %+v, want a and b in the order of their starts", state, r.Observations)
		}
		if got := string(r.Contents[1][domain.Input].Data); got != "in b" {
			t.Errorf("%s: input of b is %q", state, got)
		}
		o, err := s.Observation(t.Context(), "p", "a")
		if err != nil || o.Observation.TraceID != "t" || string(o.Content[domain.Input].Data) != "in a" || o.Trace.Name != "mine" {
			t.Errorf("%s: observation a: %+v, %v", state, o, err)
		}
	})
}

func tracesMissing(t *testing.T, s *subject) {
	for _, project := range []string{"p", "unknown"} {
		_, err1 := s.Trace(t.Context(), project, "x")
		_, err2 := s.Observation(t.Context(), project, "x")
		_, err3 := s.Score(t.Context(), project, "x")
		for _, err := range []error{err1, err2, err3} {
			if domain.CodeOf(err) != domain.NotFound {
				t.Errorf("project %s: %v, want not found", project, err)
			}
		}
		s.append(spans(span("t", "o", 1, "")))
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
	if l := s.Limits(); l.Patches <= 0 || l.Bytes <= 0 {
		t.Errorf("limits %+v", l)
	}
}

func tracesProjectsAreApart(t *testing.T, s *subject) {
	for _, project := range []string{"p", "q"} {
		s.append(store.Batch{Project: project, Observations: []domain.ObservationPatch{span("t", "o", 1, "of "+project)}, Scores: []domain.ScorePatch{rated("s", "t", "", 1, float64(project[0]))}})
	}
	s.append(store.Batch{Project: "q", Observations: []domain.ObservationPatch{span("only q", "x", 1, "")}})
	s.everyState(func(state string) {
		for _, project := range []string{"p", "q"} {
			r, err := readTrace(t.Context(), s, project, "t")
			if err != nil || string(r.Contents[0][domain.Input].Data) != "of "+project || len(r.Scores) != 1 || r.Scores[0].Value.Value != float64(project[0]) {
				t.Errorf("%s: project %s reads %+v, %v", state, project, r, err)
			}
			o, err := s.Observation(t.Context(), project, "o")
			if err != nil || string(o.Content[domain.Input].Data) != "of "+project {
				t.Errorf("%s: project %s reads observation %+v, %v", state, project, o, err)
			}
		}
		s.noTrace("only q")
	})
	if err := s.DeleteTraces(t.Context(), "q", []string{"t"}); err != nil {
		t.Fatal(err)
	}
	s.trace("t")
}

// A UUID and its digits name one trace; it is read in its first writer's form.
func tracesIDForms(t *testing.T, s *subject) {
	const digits, uuid = "5b8efff798038103d269b633813fc60c", "5b8efff7-9803-8103-d269-b633813fc60c"
	s.append(spans(span(uuid, "a", 1, "")))
	s.append(spans(span(digits, "b", 2, "")), store.Batch{Project: "p", Scores: []domain.ScorePatch{rated("s", digits, "", 1, 1)}})
	s.everyState(func(state string) {
		for _, id := range []string{digits, uuid, strings.ToUpper(digits)} {
			if r := s.trace(id); r.Trace.ID != uuid || len(r.Observations) != 2 || len(r.Scores) != 1 || r.Observations[1].TraceID != uuid {
				t.Errorf("%s: asked as %s: %+v", state, id, r)
			}
		}
	})
}

func tracesUpdatesBeforeCreates(t *testing.T, s *subject) {
	s.append(spans(update("t", "o", 100, "late name", "late")))
	s.engine.Settle(t, s.Traces)
	s.append(spans(update("t", "o", 50, "early name", "early")))
	create := domain.ObservationPatch{
		Stamp: domain.Stamp{Time: 10, Op: domain.Create}, Said: domain.ObservationName | domain.ObservationStart | domain.ObservationEnvironment,
		Value: domain.Observation{ID: "o", TraceID: "t", Name: "first name", Start: domain.At(10), Environment: "prod"}, Parts: domain.Parts(0).With(domain.Input),
	}
	create.Content[domain.Input] = domain.TextBody("in")
	domain.SealObservation(&create)
	s.append(spans(create))
	s.everyState(func(state string) {
		r := s.trace("t")
		o := r.Observations[0]
		if o.Name != "late name" || o.Start != domain.At(10) || o.Environment != "prod" || r.Trace.Environment != "prod" {
			t.Errorf("%s: %+v", state, o)
		}
		if c := r.Contents[0]; string(c[domain.Input].Data) != "in" || string(c[domain.Output].Data) != "late" {
			t.Errorf("%s: content %q", state, c)
		}
	})
}

func tracesRepeatsChangeNothing(t *testing.T, s *subject) {
	batch := store.Batch{Project: "p", Observations: []domain.ObservationPatch{span("t", "a", 1, "x"), update("t", "a", 30, "n", "out")},
		Traces: []domain.TracePatch{named("t", 1, "n")}, Scores: []domain.ScorePatch{rated("s", "t", "a", 3, 0.5)}}
	s.append(batch)
	want := s.trace("t")
	for range 3 {
		s.append(batch, batch)
		s.engine.Settle(t, s.Traces)
	}
	s.everyState(func(state string) {
		if diff := cmp.Diff(want, s.trace("t"), compare); diff != "" {
			t.Errorf("%s (-first +repeated):\n%s", state, diff)
		}
	})
}

// A trace may be named before it has observations, or say nothing at all.
func tracesShell(t *testing.T, s *subject) {
	bare := domain.TracePatch{Stamp: domain.Stamp{Time: 1, Op: domain.Create}, Value: domain.Trace{ID: "bare"}}
	domain.SealTrace(&bare)
	with := named("t", 1, "named")
	with.Parts = with.Parts.With(domain.Input)
	with.Content[domain.Input] = domain.TextBody("asked")
	domain.SealTrace(&with)
	s.append(store.Batch{Project: "p", Traces: []domain.TracePatch{bare, with}})
	s.everyState(func(state string) {
		if r := s.trace("bare"); len(r.Observations) != 0 || r.RootID != "" {
			t.Errorf("%s: bare %+v", state, r)
		}
		if r := s.trace("t"); r.Trace.Name != "named" || string(r.Own[domain.Input].Data) != "asked" {
			t.Errorf("%s: %+v, %q", state, r.Trace, r.Own)
		}
	})
}

func tracesWithoutTraceID(t *testing.T, s *subject) {
	s.append(spans(update("", "o", 20, "before", "first")))
	if r := s.trace("o"); len(r.Observations) != 1 || r.Observations[0].TraceID != "o" {
		t.Errorf("while the trace is unknown: %+v", r)
	}
	s.engine.Settle(t, s.Traces)
	s.append(spans(span("t", "o", 1, "in")))
	s.append(spans(update("", "o", 30, "after", "second")))
	s.everyState(func(state string) {
		s.noTrace("o")
		r := s.trace("t")
		if len(r.Observations) != 1 || r.Observations[0].Name != "after" {
			t.Fatalf("%s: %+v", state, r.Observations)
		}
		if c := r.Contents[0]; string(c[domain.Input].Data) != "in" || string(c[domain.Output].Data) != "second" {
			t.Errorf("%s: content %q", state, c)
		}
		if o, err := s.Observation(t.Context(), "p", "o"); err != nil || o.Observation.TraceID != "t" {
			t.Errorf("%s: observation %+v, %v", state, o, err)
		}
	})
}

func tracesSameIDInTwoTraces(t *testing.T, s *subject) {
	s.append(spans(span("t1", "o", 1, "one"), span("t2", "o", 2, "two")))
	first := ""
	s.everyState(func(state string) {
		if a, b := s.trace("t1"), s.trace("t2"); string(a.Contents[0][domain.Input].Data) != "one" || string(b.Contents[0][domain.Input].Data) != "two" {
			t.Errorf("%s: %q, %q", state, a.Contents, b.Contents)
		}
		o, err := s.Observation(t.Context(), "p", "o")
		if err != nil || first != "" && o.Observation.TraceID != first {
			t.Fatalf("%s: of two traces, %q answered and then %+v, %v", state, first, o, err)
		}
		first = o.Observation.TraceID
	})
}

// Bodies come back byte for byte, of any size and part.
func tracesContents(t *testing.T, s *subject) {
	big := strings.Repeat("0123456789abcdef", 200_000) // past every size at which an engine splits
	p := span("t", "a", 1, big)
	p.Content[domain.Output] = domain.JSONBody([]byte(`{"n": 12345678901234567890.10, "n": [1 , 2]}`))
	p.Content[domain.Metadata] = domain.JSONBody([]byte(`{"k":{"a":1}}`))
	p.Content[domain.TraceInput] = domain.TextBody("")
	p.Content[domain.Extra] = domain.JSONBody([]byte(`{"x":null}`))
	domain.SealObservation(&p)
	more := update("t", "a", 99, "n", "y")
	more.Parts = domain.Parts(0).With(domain.Metadata)
	more.Content = domain.Content{}
	more.Content[domain.Metadata] = domain.JSONBody([]byte(`{"k":{"b":2}}`))
	domain.SealObservation(&more)
	s.append(spans(p, span("t", "b", 2, "small")))
	s.append(spans(more))
	want := p.Content
	want[domain.Metadata] = domain.JSONBody([]byte(`{"k":{"a":1,"b":2}}`))
	s.everyState(func(state string) {
		r := s.trace("t")
		for part := range want {
			if got := r.Contents[0][part]; !cmp.Equal(want[part], got, compare) {
				t.Errorf("%s: %v of %d bytes, %.80q, want %d, %.80q", state, domain.Part(part), len(got.Data), got.Data, len(want[part].Data), want[part].Data)
			}
		}
		if got := string(r.Contents[1][domain.Input].Data); got != "small" {
			t.Errorf("%s: the other's input is %q", state, got)
		}
	})
}

func tracesManyObservations(t *testing.T, s *subject) {
	const n = 700
	var batch store.Batch
	for i := range n {
		batch.Observations = append(batch.Observations, span("t", fmt.Sprintf("o%04d", i), int64(n-i), strings.Repeat(fmt.Sprint(i, " "), 600)))
		if len(batch.Observations) == 100 {
			batch.Project = "p"
			s.append(batch)
			batch = store.Batch{}
		}
	}
	s.everyState(func(state string) {
		r := s.trace("t")
		for i := range r.Observations {
			id := fmt.Sprintf("o%04d", n-1-i)
			if r.Observations[i].ID != id || !strings.HasPrefix(string(r.Contents[i][domain.Input].Data), fmt.Sprint(n-1-i, " ")) {
				t.Fatalf("%s: observation %d is %s with %.20q, want %s", state, i, r.Observations[i].ID, r.Contents[i][domain.Input].Data, id)
			}
		}
		if len(r.Observations) != n || r.Trace.Totals.Observations != n {
			t.Errorf("%s: %d observations, totals say %d", state, len(r.Observations), r.Trace.Totals.Observations)
		}
	})
}
