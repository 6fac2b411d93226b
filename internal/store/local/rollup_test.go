package local_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
)

// openDerived opens a store whose observations have figures of their own.
func openDerived(t *testing.T) *local.Store {
	t.Helper()
	s, err := local.Open(t.Context(), t.TempDir(), local.Options{SealAfter: -1, Derive: func(_ string, o *domain.Observation) {
		if n := o.Start.Nanos() / 1e9; n%5 > 0 {
			o.Derived.TotalCost = domain.Some(domain.Money(n % 4 * 1e9))
			o.Derived.Usage = []domain.Count{{Key: "input", Units: n % 900}, {Key: "total", Units: n % 1000}}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// modelled is random observations of some days, with a trace for each ten.
func modelled(r *rand.Rand, n int) (out []domain.ObservationPatch) {
	for i := range n {
		p := domain.ObservationPatch{Stamp: domain.Stamp{Time: 1, Op: domain.Replace}, Said: domain.AllObservationFields}
		at := r.Int64N(4*86400) * 1e9
		p.Value = domain.Observation{
			TraceID: fmt.Sprintf("%032x", i/10+1), ID: fmt.Sprintf("%016x", i+1), Start: domain.At(at), End: domain.At(at + r.Int64N(9e9)),
			Name: "n", Model: []string{"", "a", "b", "a-very-long-name"}[r.IntN(4)],
		}
		domain.SealObservation(&p)
		out = append(out, p)
	}
	return out
}

func summedUp(t *testing.T, s *local.Store, a query.Aggregate) *query.Result {
	t.Helper()
	r, err := s.Aggregate(t.Context(), "p", a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What rollups sum up is what the rows do, whatever is asked.
func TestRollups(t *testing.T) {
	local.SetRollupShare(t, 1)
	r := rand.New(rand.NewPCG(3, 4))
	segments, memory := openDerived(t), openDerived(t)
	rows := modelled(r, 2000)
	for _, s := range []*local.Store{segments, memory} {
		for n := 0; n < len(rows); n += 100 {
			batches := []store.Batch{{Project: "p", Observations: rows[n : n+100]}, {Project: "other", Observations: rows[n : n+50]}}
			for _, err := range s.Append(t.Context(), batches) {
				if err != nil {
					t.Fatal(err)
				}
			}
			if s == segments && n%700 == 0 {
				if err := s.Maintain(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	columns := []query.Col{query.ColCost, query.ColTokens, query.ColInputTokens, query.ColLatency, query.ColTTFT, query.ColOutputCost}
	aggs := []query.Agg{query.Count, query.Sum, query.Avg, query.Min, query.Max, query.P50, query.P99, query.Hist}
	ask := func(round int) {
		a := query.Aggregate{View: query.Observations, Limit: 10_000, Grain: query.Grain([]string{"", "hour", "4h", "day", "week", "30m"}[r.IntN(6)])}
		a.Bind.Zone = []*time.Location{nil, time.FixedZone("", 3600), time.FixedZone("", 5*3600+1800)}[r.IntN(3)]
		a.Measures = []query.Measure{{Agg: query.Count}}
		for range r.IntN(4) {
			a.Measures = append(a.Measures, query.Measure{Agg: aggs[r.IntN(len(aggs))], Ref: query.Ref{Column: columns[r.IntN(len(columns))]}})
		}
		if r.IntN(2) == 0 {
			a.By = []query.Dim{{Ref: query.Ref{Column: query.ColModel}}}
		}
		if r.IntN(2) == 0 {
			unit := []int64{1e9, 3600e9, 86400e9}[r.IntN(3)]
			a.From = r.Int64N(2*86400e9) / unit * unit
			a.To = a.From + max(unit, r.Int64N(3*86400e9)/unit*unit)
		}
		text := []string{"", "", "model:a", "-model:a", "has:model", "model:a*,b", "start<1970-01-02T06:00:00Z", "env:default"}[r.IntN(8)]
		var err error
		if a.Filter, err = query.Parse(query.Observations, text, query.Bind{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(summedUp(t, memory, a), summedUp(t, segments, a)); diff != "" {
			t.Fatalf("round %d, %+v where %q (-rows +rollups):\n%s", round, a, text, diff)
		}
	}
	for round := range 300 {
		ask(round)
	}
	// A trace that changed since, and one that is gone.
	changed := rows[30]
	changed.Stamp.Time, changed.Value.Model = 2, "c"
	domain.SealObservation(&changed)
	for _, s := range []*local.Store{segments, memory} {
		if err := s.Append(t.Context(), []store.Batch{{Project: "p", Observations: []domain.ObservationPatch{changed}}})[0]; err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteTraces(t.Context(), "p", []string{rows[500].Value.TraceID}); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 100 {
		ask(round)
	}
}

// Sums are read from rollups, not from rows; segments that lack them get them
// while nobody writes.
func TestRollupsInPlaceOfRows(t *testing.T) {
	s := openDerived(t)
	rows := modelled(rand.New(rand.NewPCG(5, 6)), 7000)
	if err := s.Append(t.Context(), []store.Batch{{Project: "p", Observations: rows}})[0]; err != nil {
		t.Fatal(err)
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	byDay := query.Aggregate{
		View: query.Observations, Grain: "day", By: []query.Dim{{Ref: query.Ref{Column: query.ColModel}}},
		Measures: []query.Measure{{Agg: query.Sum, Ref: query.Ref{Column: query.ColCost}}, {Agg: query.P95, Ref: query.Ref{Column: query.ColLatency}}},
	}
	want := summedUp(t, s, byDay)
	check := func(state string) {
		t.Helper()
		if diff := cmp.Diff(want, summedUp(t, s, byDay)); diff != "" {
			t.Errorf("%s (-before +now):\n%s", state, diff)
		}
	}
	s.Without(t, "o/rollup")
	check("without rollups")
	s.Without(t, "o.cost")
	if cmp.Equal(want, summedUp(t, s, byDay)) {
		t.Error("costs were taken away, and nothing is missing")
	}
	if err := s.Maintain(t.Context()); err != nil { // makes all columns anew
		t.Fatal(err)
	}
	check("with new rollups")
	s.Without(t, "o.cost")
	check("without costs of rows")
}

// What lies in the first and the last hour that a clock can show is counted as well.
func TestRollupsAtTheEndsOfTime(t *testing.T) {
	local.SetRollupShare(t, 1)
	s := openDerived(t)
	var rows []domain.ObservationPatch
	for i, at := range []int64{math.MaxInt64 - 2e9, math.MaxInt64 - 1e9, math.MinInt64 + 1e9} {
		p := said(fmt.Sprint("t", i), fmt.Sprint("o", i), "n", "text")
		p.Value.Start = domain.At(at)
		domain.SealObservation(&p)
		rows = append(rows, p)
	}
	if err := s.Append(t.Context(), []store.Batch{{Project: "p", Observations: rows}})[0]; err != nil {
		t.Fatal(err)
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct{ from, to, want int64 }{
		{math.MinInt64, math.MaxInt64, 3}, {0, math.MaxInt64, 2}, {math.MinInt64, 0, 1},
	} {
		r := summedUp(t, s, query.Aggregate{View: query.Observations, Measures: []query.Measure{{Agg: query.Count}}, From: at.from, To: at.to})
		if len(r.Groups) != 1 || r.Groups[0].Values[0].Int != at.want {
			t.Errorf("from %d to %d: %+v, want %d rows", at.from, at.to, r.Groups, at.want)
		}
	}
}
