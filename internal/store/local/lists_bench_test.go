package local_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
)

// BenchmarkLists asks some questions of 31,300 traces with 250,400 observations,
// between which other projects have some of theirs.
func BenchmarkLists(b *testing.B) {
	s, err := local.Open(b.Context(), b.TempDir(), local.Options{SealAfter: -1, Derive: func(_ string, o *domain.Observation) {
		o.Derived.TotalCost = domain.Some(domain.Money(o.Start.Nanos() * 17 % 1e12))
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 1))
	const traces = 30_000
	const fresh = 1300 // are in memory, as under a load
	for n := 0; n < traces+fresh; n += 50 {
		if n == traces {
			if err := s.Maintain(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		batch := store.Batch{Project: "p"}
		for i := range 50 {
			tid := fmt.Sprintf("%032x", n+i+1)
			start := int64(n+i) * 30 * 86400e9 / traces
			for k := range 8 {
				p := domain.ObservationPatch{Stamp: domain.Stamp{Time: start, Op: domain.Replace}, Said: domain.AllObservationFields}
				p.Value = domain.Observation{
					TraceID: tid, ID: fmt.Sprintf("%016x", (n+i)*8+k+1), Start: domain.At(start + int64(k)*1e6), End: domain.At(start + int64(k)*1e6 + r.Int64N(5e9)),
					Name: fmt.Sprint("step-", r.IntN(20)), Model: fmt.Sprint("model-", r.IntN(6)), Environment: []string{"production", "staging"}[r.IntN(2)],
				}
				if k == 0 {
					p.Value.UserID, p.Value.TraceName = fmt.Sprint("user-", r.IntN(5000)), fmt.Sprint("name-", r.IntN(8))
					p.Value.Tags = slices.Compact(slices.Sorted(slices.Values([]string{fmt.Sprint("tag-", r.IntN(40)), fmt.Sprint("tag-", r.IntN(40))})))
					p.Content[domain.TraceMetadata] = domain.JSONBody(fmt.Appendf(nil, `{"tenant":"t-%d"}`, r.IntN(200)))
					p.Parts = p.Parts.With(domain.TraceMetadata)
				}
				domain.SealObservation(&p)
				batch.Observations = append(batch.Observations, p)
			}
			if i%10 == 0 {
				sc := domain.ScorePatch{Stamp: domain.Stamp{Time: start}, Said: domain.AllScoreFields}
				sc.Value = domain.Score{ID: "s-" + tid, TraceID: tid, Name: "quality", Type: domain.ScoreNumeric, Value: domain.Some(r.Float64()), Timestamp: domain.At(start)}
				domain.SealScore(&sc)
				batch.Scores = append(batch.Scores, sc)
			}
		}
		other := store.Batch{Project: fmt.Sprint("other-", n%999), Observations: batch.Observations[:1]}
		for _, err := range s.Append(b.Context(), []store.Batch{batch, other}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, q := range []struct {
		view query.View
		text string
	}{
		{query.Traces, ""}, {query.Traces, "name:name-3"}, {query.Traces, "user:user-77"}, {query.Traces, "tags:tag-7"}, {query.Traces, "metadata.tenant:t-42"}, {query.Traces, "score.quality>0.9"},
		{query.Observations, "cost>1000"}, {query.Observations, "model:model-2 latency>4"},
	} {
		f, err := query.Parse(q.view, q.text, query.Bind{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(q.view, " ", q.text), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.List(b.Context(), "p", query.List{View: q.view, Filter: f, Limit: 50, Total: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("by day and model", func(b *testing.B) {
		lat := query.Ref{Column: query.ColLatency}
		for b.Loop() {
			if _, err := s.Aggregate(b.Context(), "p", query.Aggregate{
				View: query.Observations, Grain: "day", By: []query.Dim{{Ref: query.Ref{Column: query.ColModel}}}, Limit: 10_000,
				Measures: []query.Measure{{Agg: query.Count}, {Agg: query.Sum, Ref: query.Ref{Column: query.ColCost}}, {Agg: query.P50, Ref: lat}, {Agg: query.P95, Ref: lat}, {Agg: query.P99, Ref: lat}},
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
