package domain_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
)

func rollup(os ...domain.Observation) *domain.Rollup {
	var r domain.Rollup
	for i := range os {
		r.Add(&os[i])
	}
	return &r
}

func at(start, end int64) domain.Observation {
	return domain.Observation{Start: domain.At(start), End: domain.At(end), Environment: "e"}
}

// named is an observation that starts at start, after change.
func named(id string, start int64, change func(o *domain.Observation)) domain.Observation {
	o := at(start, start)
	o.ID, o.ParentID = id, "p"
	change(&o)
	return o
}

func TestRollupTotals(t *testing.T) {
	a, b, c := at(10, 30), at(20, 15), at(25, 0)
	a.ID, b.ID, c.ID = "a", "b", "c"
	c.End = domain.Time{}
	a.Level, b.Level = domain.LevelError, domain.LevelDefault
	a.Derived = domain.Derived{
		TotalCost: domain.Some(domain.Money(7)),
		Usage:     domain.Usage{{Key: "input", Units: 1}, {Key: "input_cached", Units: 2}, {Key: "output", Units: 4}, {Key: "total", Units: 7}},
	}
	b.Derived = domain.Derived{TotalCost: domain.Some(domain.Money(5)), Usage: domain.Usage{{Key: "total", Units: 1}}}
	want := domain.Totals{
		Observations: 3, Start: domain.At(10), End: domain.At(30), Cost: 12, Input: 3, Output: 4, Total: 8,
	}
	want.ByLevel[domain.LevelError], want.ByLevel[domain.LevelDefault] = 1, 2
	got := rollup(a, b, c).Totals
	if diff := cmp.Diff(want, got, exportAll); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if l := got.Latency(); l != 20 {
		t.Errorf("latency %d, want 20", l)
	}
	if got := rollup(b).Totals; got.End != domain.At(20) {
		t.Errorf("an end before its start: the trace ends at %v, want at the start, 20", got.End)
	}
	if l := (&domain.Totals{}).Latency(); l != 0 {
		t.Errorf("latency without observations %d, want 0", l)
	}
}

// TestTraceFields holds the order of sources of each trace field: the trace's
// own word, then what the newest observation says of the trace, then the root.
func TestTraceFields(t *testing.T) {
	root := func(o *domain.Observation) { o.ParentID, o.Name = "", "root of "+o.ID }
	for _, c := range []struct {
		what         string
		own          domain.Trace
		observations []domain.Observation
		get          func(tr domain.Trace) any
		want         any
	}{
		{"name: own", domain.Trace{Name: "own"}, []domain.Observation{named("a", 1, func(o *domain.Observation) { o.TraceName = "said" })},
			func(tr domain.Trace) any { return tr.Name }, "own"},
		{"name: newest that says one", domain.Trace{}, []domain.Observation{
			named("a", 1, func(o *domain.Observation) { o.TraceName = "first" }), named("b", 2, func(o *domain.Observation) { o.TraceName = "second" }), named("c", 3, root),
		}, func(tr domain.Trace) any { return tr.Name }, "second"},
		{"name: equal starts go by id", domain.Trace{}, []domain.Observation{
			named("b", 1, func(o *domain.Observation) { o.TraceName = "b" }), named("a", 1, func(o *domain.Observation) { o.TraceName = "a" }),
		}, func(tr domain.Trace) any { return tr.Name }, "b"},
		{"name: newest root", domain.Trace{}, []domain.Observation{named("a", 1, root), named("b", 2, root), named("c", 3, func(o *domain.Observation) { o.Name = "child" })},
			func(tr domain.Trace) any { return tr.Name }, "root of b"},
		{"name: the application's root", domain.Trace{}, []domain.Observation{
			named("a", 1, func(o *domain.Observation) { o.Name = "http" }), named("b", 2, func(o *domain.Observation) { o.Name, o.AppRoot = "app", true }),
		}, func(tr domain.Trace) any { return tr.Name }, "app"},
		{"name: no root at all", domain.Trace{}, []domain.Observation{
			named("b", 2, func(o *domain.Observation) { o.Name = "later" }), named("a", 1, func(o *domain.Observation) { o.Name = "earliest" }),
		}, func(tr domain.Trace) any { return tr.Name }, "earliest"},
		{"name: a root without one", domain.Trace{}, []domain.Observation{
			named("a", 1, func(o *domain.Observation) { o.ParentID = "" }), named("b", 2, func(o *domain.Observation) { o.Name = "child" }),
		}, func(tr domain.Trace) any { return tr.Name }, ""},
		{"user: own", domain.Trace{UserID: "own"}, []domain.Observation{named("a", 1, func(o *domain.Observation) { o.UserID = "u" })},
			func(tr domain.Trace) any { return tr.UserID }, "own"},
		{"user: newest that says one", domain.Trace{}, []domain.Observation{
			named("b", 2, func(o *domain.Observation) { o.UserID = "u2" }), named("c", 3, root), named("a", 1, func(o *domain.Observation) { o.UserID = "u1" }),
		}, func(tr domain.Trace) any { return tr.UserID }, "u2"},
		{"session, release, version", domain.Trace{Release: "own"}, []domain.Observation{
			named("a", 1, func(o *domain.Observation) { o.SessionID, o.Release, o.Version = "s1", "r", "v1" }),
			named("b", 2, func(o *domain.Observation) { o.SessionID = "s2" }),
		}, func(tr domain.Trace) any { return []string{tr.SessionID, tr.Release, tr.Version} }, []string{"s2", "own", "v1"}},
		{"environment: own", domain.Trace{Environment: "own"}, []domain.Observation{named("a", 1, root)},
			func(tr domain.Trace) any { return tr.Environment }, "own"},
		{"environment: earliest", domain.Trace{}, []domain.Observation{
			named("b", 2, func(o *domain.Observation) { o.Environment = "late" }), named("a", 1, func(o *domain.Observation) { o.Environment = "early" }),
		}, func(tr domain.Trace) any { return tr.Environment }, "early"},
		{"environment: nobody says", domain.Trace{}, nil, func(tr domain.Trace) any { return tr.Environment }, "default"},
		{"tags: union", domain.Trace{Tags: []string{"b"}}, []domain.Observation{
			named("a", 1, func(o *domain.Observation) { o.Tags = []string{"a", "b"} }), named("b", 2, func(o *domain.Observation) { o.Tags = []string{"c"} }),
		}, func(tr domain.Trace) any { return tr.Tags }, []string{"a", "b", "c"}},
		{"public: own false", domain.Trace{Public: domain.Some(false)}, []domain.Observation{named("a", 1, func(o *domain.Observation) { o.Public = domain.Some(true) })},
			func(tr domain.Trace) any { return tr.Public }, domain.Some(false)},
		{"public: any", domain.Trace{}, []domain.Observation{
			named("a", 1, func(o *domain.Observation) { o.Public = domain.Some(true) }), named("b", 2, func(o *domain.Observation) { o.Public = domain.Some(false) }),
		}, func(tr domain.Trace) any { return tr.Public }, domain.Some(true)},
		{"public: none", domain.Trace{}, []domain.Observation{named("b", 2, func(o *domain.Observation) { o.Public = domain.Some(false) })},
			func(tr domain.Trace) any { return tr.Public }, domain.Opt[bool]{}},
		{"timestamp: own", domain.Trace{Timestamp: domain.At(9)}, []domain.Observation{named("a", 1, root)},
			func(tr domain.Trace) any { return tr.Timestamp }, domain.At(9)},
		{"timestamp: earliest start", domain.Trace{}, []domain.Observation{named("b", 5, root), named("a", 3, root)},
			func(tr domain.Trace) any { return tr.Timestamp }, domain.At(3)},
		{"parts: of both", domain.Trace{Parts: domain.Parts(0).With(domain.Input)}, []domain.Observation{
			named("a", 1, func(o *domain.Observation) { o.Parts = domain.Parts(0).With(domain.Output) }),
		}, func(tr domain.Trace) any { return tr.Parts }, domain.Parts(0).With(domain.Input).With(domain.Output)},
	} {
		for range 2 {
			if diff := cmp.Diff(c.want, c.get(rollup(c.observations...).Trace(c.own)), exportAll); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.what, diff)
			}
			slices.Reverse(c.observations)
		}
	}
}

func TestRootID(t *testing.T) {
	child := func(*domain.Observation) {}
	root := func(o *domain.Observation) { o.ParentID = "" }
	for _, c := range []struct {
		what string
		os   []domain.Observation
		want string
	}{
		{"no observations", nil, ""},
		{"the earliest root", []domain.Observation{named("a", 1, child), named("c", 3, root), named("b", 2, root)}, "b"},
		{"no root: the earliest", []domain.Observation{named("b", 2, child), named("a", 2, child)}, "a"},
	} {
		if got := rollup(c.os...).RootID(); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// TestRollupProperty: a rollup kept by adding and removing, gathered anew
// whenever Remove says so, equals a fresh one.
func TestRollupProperty(t *testing.T) {
	for seed := range int64(300) {
		r := rand.New(rand.NewSource(seed))
		kept := &domain.Rollup{}
		held := map[string]domain.Observation{}
		for step := range 30 {
			id := strings.Repeat("i", 1+r.Intn(6))
			if old, found := held[id]; found {
				delete(held, id)
				if !kept.Remove(&old) {
					kept = fresh(held)
				}
			}
			if r.Intn(4) > 0 {
				o := randomObservation(r).Value
				o.ID, o.Start = id, domain.At(int64(r.Intn(6)))
				o.Parts = domain.Parts(r.Intn(128))
				o.Derived.TotalCost = domain.Some(domain.Money(r.Intn(5)))
				o.Derived.Usage = domain.Usage{{Key: "input", Units: int64(r.Intn(5))}, {Key: "total", Units: int64(r.Intn(5))}}
				held[id] = o
				kept.Add(&o)
			}
			if diff := cmp.Diff(seen(fresh(held)), seen(kept), exportAll); diff != "" {
				t.Fatalf("seed %d, step %d (-anew +kept):\n%s", seed, step, diff)
			}
		}
	}
}

func fresh(held map[string]domain.Observation) *domain.Rollup {
	var r domain.Rollup
	for _, o := range held {
		r.Add(&o)
	}
	return &r
}

// seen is everything that a rollup shows.
func seen(r *domain.Rollup) string {
	return fmt.Sprintf("%+v\n%s\n%+v", r.Totals, r.RootID(), r.Trace(domain.Trace{ID: "t", Tags: []string{"own"}}))
}
