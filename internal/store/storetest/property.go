package storetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// world makes random patches about few things, so that they meet.
type world struct{ *rand.Rand }

func (w world) pick(from ...string) string { return from[w.IntN(len(from))] }

func (w world) instant() domain.Time {
	if w.IntN(4) == 0 {
		return domain.Time{}
	}
	return domain.At(int64(w.IntN(6)))
}

func (w world) tags() []string {
	var out []string
	for range w.IntN(3) {
		out = append(out, w.pick("a", "b", "c"))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (w world) stamp() domain.Stamp {
	return domain.Stamp{Time: int64(w.IntN(5)), Op: domain.Op(1 + w.IntN(3)), Event: w.pick("", "e1", "e2")}
}

// body is a body of any kind and weight; a few are large enough to be split.
func (w world) body() domain.Body {
	switch w.IntN(6) {
	case 0:
		return domain.TextBody(w.pick("", "text", "another text"))
	case 1:
		return domain.JSONBody([]byte(w.pick("0", "false", `""`, "[1,2]", `{"k":1}`)))
	case 2:
		big := make([]byte, 1+w.IntN(40_000))
		for i := range big {
			big[i] = byte('a' + w.IntN(26))
		}
		return domain.Body{Kind: domain.Text, Data: big}
	}
	return domain.Body{}
}

func (w world) object() domain.Body {
	if w.IntN(2) == 0 {
		return domain.Body{}
	}
	return domain.JSONBody([]byte(fmt.Sprintf(`{%q:%d,%q:{%q:%d}}`, w.pick("x", "y"), w.IntN(9), w.pick("n", "m"), w.pick("a", "b"), w.IntN(9))))
}

// content says some parts, or all of them for a Replace.
func (w world) content(parts ...domain.Part) (said domain.Parts, c domain.Content) {
	for _, p := range parts {
		if w.IntN(2) == 0 {
			continue
		}
		said = said.With(p)
		if p == domain.Metadata || p == domain.TraceMetadata {
			c[p] = w.object()
		} else {
			c[p] = w.body()
		}
	}
	return said, c
}

// observation is a patch of one of few observations. Those whose trace may be
// left out have it in one trace alone, since of two either may take it.
func (w world) observation() domain.ObservationPatch {
	trace := w.pick("t1", "t2", "t3")
	id := trace + "-" + w.pick("a", "b", "c")
	if w.IntN(4) == 0 {
		id, trace = w.pick("lost1", "lost2"), w.pick("t1", "")
	}
	p := domain.ObservationPatch{Stamp: w.stamp(), Said: domain.Fields(w.Uint64())&domain.AllObservationFields | domain.ObservationStart}
	p.Value = domain.Observation{
		TraceID: trace, ID: id, ParentID: w.pick("", "t1-a", "t2-b"), Type: domain.ObservationType(w.pick("SPAN", "GENERATION", "EVENT", "TOOL")),
		Name: w.pick("", "n1", "n2"), Start: domain.At(int64(w.IntN(9))), End: w.instant(), CompletionStart: w.instant(), Level: domain.Level(w.IntN(5)),
		StatusMessage: w.pick("", "s1", "s2"), Version: w.pick("", "v1", "v2"), Environment: w.pick("", "default", "prod"), Model: w.pick("", "m1", "m2"),
		ModelParameters: []byte(w.pick("", `{"t":1}`)), PromptName: w.pick("", "p"), Source: w.pick("", "batch", "otlp"),
		TraceName: w.pick("", "tn1", "tn2"), UserID: w.pick("", "u1", "u2"), SessionID: w.pick("", "s1", "s2"), Release: w.pick("", "r1"),
		Tags: w.tags(), AppRoot: w.IntN(3) == 0, Experiment: domain.Experiment{ItemID: w.pick("", "i1"), Name: w.pick("", "x")},
		Tools: w.tags(), Calls: w.tags(),
	}
	if p.Value.PromptName != "" {
		p.Value.PromptVersion = domain.Some(int64(w.IntN(3)))
	}
	if w.IntN(2) == 0 {
		p.Value.Public = domain.Some(w.IntN(2) == 0)
		p.Value.ProvidedUsage = domain.Usage{{Key: w.pick("input", "output"), Units: int64(w.IntN(9))}}
		p.Value.ProvidedCost = domain.Cost{{Key: "total", Amount: domain.Money(w.IntN(9))}}
		p.Value.PriceAttributes = []domain.Attribute{{Key: "k", Value: w.pick("a", "b")}}
	}
	p.Parts, p.Content = w.content(domain.Input, domain.Output, domain.Metadata, domain.TraceInput, domain.TraceMetadata, domain.Extra)
	domain.SealObservation(&p)
	if !p.Said.Has(domain.ObservationTags) {
		p.Value.Tags = nil // what is not said is not there
	}
	return p
}

func (w world) trace() domain.TracePatch {
	p := domain.TracePatch{Stamp: w.stamp(), Said: domain.Fields(w.Uint64()) & domain.AllTraceFields}
	p.Value = domain.Trace{
		ID: w.pick("t1", "t2", "t4"), Timestamp: w.instant(), Name: w.pick("", "n1", "n2"), UserID: w.pick("", "u1"), SessionID: w.pick("", "s1", "s2"),
		Release: w.pick("", "r1"), Version: w.pick("", "v1"), Environment: w.pick("", "prod", "dev"), Tags: w.tags(),
	}
	if w.IntN(2) == 0 {
		p.Value.Public = domain.Some(w.IntN(2) == 0)
	}
	p.Parts, p.Content = w.content(domain.Input, domain.Output, domain.Metadata)
	domain.SealTrace(&p)
	if !p.Said.Has(domain.TraceTags) {
		p.Value.Tags = nil
	}
	return p
}

func (w world) score() domain.ScorePatch {
	p := domain.ScorePatch{Stamp: w.stamp(), Said: domain.Fields(w.Uint64())&domain.AllScoreFields | domain.ScoreTimestamp}
	id := w.pick("s1", "s2", "s3")
	p.Value = domain.Score{
		ID: id, TraceID: "t" + id[1:], ObservationID: w.pick("", "t1-a"), Name: w.pick("n1", "n2"), Type: domain.ScoreNumeric, Value: domain.Some(float64(w.IntN(5))),
		Timestamp: domain.At(int64(w.IntN(5))), Environment: w.pick("", "prod"), Source: w.pick("", "API"), Comment: w.pick("", "c1", "c2"), Metadata: w.object().Data,
	}
	domain.SealScore(&p)
	return p
}

// patchesOf makes n patches as a batch.
func (w world) patchesOf(n int) store.Batch {
	b := store.Batch{Project: "p"}
	for range n {
		switch w.IntN(10) {
		case 0, 1:
			b.Traces = append(b.Traces, w.trace())
		case 2:
			b.Scores = append(b.Scores, w.score())
		default:
			b.Observations = append(b.Observations, w.observation())
		}
	}
	return b
}

// scattered is the patches of b in another order, cut into batches, some of
// them repeated.
func (w world) scattered(b store.Batch) [][]store.Batch {
	var single []store.Batch
	for i := range b.Observations {
		single = append(single, store.Batch{Project: "p", Observations: b.Observations[i : i+1]})
	}
	for i := range b.Traces {
		single = append(single, store.Batch{Project: "p", Traces: b.Traces[i : i+1]})
	}
	for i := range b.Scores {
		single = append(single, store.Batch{Project: "p", Scores: b.Scores[i : i+1]})
	}
	for range w.IntN(len(single) + 1) {
		single = append(single, single[w.IntN(len(single))])
	}
	w.Shuffle(len(single), func(i, j int) { single[i], single[j] = single[j], single[i] })
	var calls [][]store.Batch
	for len(single) > 0 {
		n := 1 + w.IntN(min(6, len(single)))
		var call []store.Batch
		for _, one := range single[:n] {
			if k := len(call); k > 0 && w.IntN(2) == 0 { // into the batch before
				call[k-1].Observations = append(slices.Clip(call[k-1].Observations), one.Observations...)
				call[k-1].Traces = append(slices.Clip(call[k-1].Traces), one.Traces...)
				call[k-1].Scores = append(slices.Clip(call[k-1].Scores), one.Scores...)
				continue
			}
			call = append(call, one)
		}
		calls = append(calls, call)
		single = single[n:]
	}
	return calls
}

// everything is all that can be read of the world's things, by name.
func everything(t *testing.T, s store.Traces) map[string]any {
	t.Helper()
	out := map[string]any{}
	note := func(name string, v any, err error) {
		switch domain.CodeOf(err) {
		case "":
			out[name] = v
		case domain.NotFound:
		default:
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, id := range []string{"t1", "t2", "t3", "t4", "lost1", "lost2"} {
		r, err := readTrace(t.Context(), s, "p", id)
		note("trace "+id, r, err)
	}
	for _, id := range []string{"t1-a", "t2-b", "t3-c", "lost1", "lost2"} {
		o, err := s.Observation(t.Context(), "p", id)
		if err == nil {
			o.Observation.CreatedAt, o.Observation.UpdatedAt = domain.Time{}, domain.Time{}
			o.Trace.CreatedAt, o.Trace.UpdatedAt = domain.Time{}, domain.Time{}
		}
		note("observation "+id, o, err)
	}
	for _, id := range []string{"s1", "s2", "s3"} {
		sc, err := s.Score(t.Context(), "p", id)
		sc.CreatedAt, sc.UpdatedAt = domain.Time{}, domain.Time{}
		note("score "+id, sc, err)
	}
	for _, v := range []query.View{query.Traces, query.Observations} {
		page, err := s.List(t.Context(), "p", query.List{View: v, Limit: 1000, Bind: query.Bind{Now: 5}})
		if err != nil {
			t.Fatalf("list %s: %v", v, err)
		}
		for _, r := range page.Rows {
			if r.Trace.CreatedAt, r.Trace.UpdatedAt = (domain.Time{}), (domain.Time{}); r.Observation != nil {
				r.Observation.CreatedAt, r.Observation.UpdatedAt = domain.Time{}, domain.Time{}
			}
			note(fmt.Sprint("row of ", v, " ", rowID(r)), store.Row{Trace: r.Trace, Observation: r.Observation}, nil)
		}
	}
	return out
}

// tracesProperty: any order, split, repetition and restart of a set of patches
// reads as all of it at once does, on the reference. CLEW_PROPERTY_ROUNDS asks
// for more rounds than the few that every run makes.
func tracesProperty(t *testing.T, s *subject) {
	rounds := 60
	if testing.Short() {
		rounds = 12
	}
	if n, err := strconv.Atoi(os.Getenv("CLEW_PROPERTY_ROUNDS")); err == nil {
		rounds = n
	}
	base := s.name
	for seed := range rounds {
		w := world{rand.New(rand.NewPCG(uint64(seed), 77))}
		b := w.patchesOf(2 + w.IntN(28))
		reference := NewMemory(nil)
		if errs := reference.Append(t.Context(), []store.Batch{b}); errs[0] != nil {
			t.Fatal(errs[0])
		}
		want := everything(t, reference)
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		s.name = fmt.Sprint(base, "-", seed)
		s.open(nil)
		for _, call := range w.scattered(b) {
			s.append(call...)
			switch w.IntN(8) {
			case 0:
				s.engine.Settle(t, s.Traces)
			case 1:
				s.reopen()
			}
		}
		s.everyState(func(state string) {
			if diff := cmp.Diff(want, everything(t, s), compare); diff != "" {
				t.Fatalf("seed %d, %d patches, %s (-at once on the reference +scattered):\n%.6000s", seed, b.Len(), state, diff)
			}
		})
	}
}
