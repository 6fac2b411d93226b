package domain_test

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
)

var exportAll = cmp.AllowUnexported(domain.Time{})

// word is one of a few words, or none: collisions and nulls are the point.
func word(r *rand.Rand) string { return []string{"", "a", "b", "c", "d"}[r.Intn(5)] }

func instant(r *rand.Rand) domain.Time {
	if r.Intn(4) == 0 {
		return domain.Time{}
	}
	return domain.At(int64(r.Intn(5)))
}

func tagList(r *rand.Rand) []string {
	var out []string
	for range r.Intn(3) {
		out = append(out, word(r)+"!")
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func stamp(r *rand.Rand) domain.Stamp {
	return domain.Stamp{Time: int64(r.Intn(4)), Op: domain.Op(1 + r.Intn(3)), Event: word(r)}
}

func randomObservation(r *rand.Rand) domain.ObservationPatch {
	p := domain.ObservationPatch{Stamp: stamp(r), Said: domain.Fields(r.Uint64()) & domain.AllObservationFields}
	v := domain.Observation{
		TraceID: "t", ID: "o", ParentID: word(r), Type: domain.ObservationType(word(r)), Name: word(r),
		Start: instant(r), End: instant(r), CompletionStart: instant(r), Level: domain.Level(r.Intn(5)),
		StatusMessage: word(r), Version: word(r), Environment: word(r), Model: word(r), ModelParameters: []byte(word(r)),
		PromptName: word(r), PromptVersion: domain.Some(int64(r.Intn(3))), Source: word(r), TraceName: word(r),
		UserID: word(r), SessionID: word(r), Release: word(r), Tags: tagList(r), AppRoot: r.Intn(2) == 0,
		Experiment: domain.Experiment{ItemID: word(r), Name: word(r)},
		Public:     domain.Opt[bool]{Value: r.Intn(2) == 0, Set: r.Intn(2) == 0},
	}
	if r.Intn(2) == 0 {
		v.ProvidedUsage = domain.Usage{{Key: word(r), Units: int64(r.Intn(9))}}
		v.ProvidedCost = domain.Cost{{Key: word(r), Amount: domain.Money(r.Intn(9))}}
		v.PriceAttributes = []domain.Attribute{{Key: word(r), Value: word(r)}}
	}
	p.Value = v
	domain.SealObservation(&p)
	if !p.Said.Has(domain.ObservationTags) {
		p.Value.Tags = nil // what is not said is not there
	}
	return p
}

func randomTrace(r *rand.Rand) domain.TracePatch {
	p := domain.TracePatch{Stamp: stamp(r), Said: domain.Fields(r.Uint64()) & domain.AllTraceFields}
	p.Value = domain.Trace{
		ID: "t", Timestamp: instant(r), Name: word(r), UserID: word(r), SessionID: word(r), Release: word(r),
		Version: word(r), Environment: word(r), Tags: tagList(r), Public: domain.Opt[bool]{Value: r.Intn(2) == 0, Set: r.Intn(2) == 0},
	}
	domain.SealTrace(&p)
	if !p.Said.Has(domain.TraceTags) {
		p.Value.Tags = nil
	}
	return p
}

// foldsAlike checks that ps folds to one and the same value in any order, with
// repetitions, and in groups that are folded before they are put together.
func foldsAlike[E domain.Observation | domain.Trace](
	t *testing.T, r *rand.Rand, ps []domain.Patch[E], fold func(f, w *domain.Fold[E]) bool,
) {
	t.Helper()
	all := func(ps []domain.Patch[E]) domain.Fold[E] {
		var f domain.Fold[E]
		for i := range ps {
			w := ps[i].Fold()
			fold(&f, &w)
		}
		return f
	}
	want := all(ps)
	for range 4 {
		other := slices.Clone(ps)
		r.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		other = append(other, other[:r.Intn(len(other)+1)]...)
		if diff := cmp.Diff(want, all(other), exportAll); diff != "" {
			t.Fatalf("in another order (-want +got):\n%s", diff)
		}
		cut := r.Intn(len(other) + 1)
		a, b := all(other[:cut]), all(other[cut:])
		a2, b2 := all(other[:cut]), all(other[cut:])
		fold(&a, &b)
		fold(&b2, &a2)
		if diff := cmp.Diff(want, a, exportAll); diff != "" {
			t.Fatalf("two folds put together (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, b2, exportAll); diff != "" {
			t.Fatalf("two folds put together the other way (-want +got):\n%s", diff)
		}
		if fold(&a, &b) {
			t.Fatal("folding the same in again reports a change")
		}
		if diff := cmp.Diff(want, a, exportAll); diff != "" {
			t.Fatalf("folded in again (-want +got):\n%s", diff)
		}
	}
}

func TestFoldProperty(t *testing.T) {
	for seed := range int64(400) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewSource(seed))
			n := 1 + r.Intn(7)
			observations, traces := make([]domain.ObservationPatch, n), make([]domain.TracePatch, n)
			for i := range n {
				observations[i], traces[i] = randomObservation(r), randomTrace(r)
			}
			foldsAlike(t, r, observations, domain.FoldObservation)
			foldsAlike(t, r, traces, domain.FoldTrace)
		})
	}
}

func TestFoldScoresProperty(t *testing.T) {
	for seed := range int64(200) {
		r := rand.New(rand.NewSource(seed))
		ps := make([]domain.ScorePatch, 1+r.Intn(6))
		for i := range ps {
			p := domain.ScorePatch{Stamp: stamp(r), Said: domain.Fields(r.Uint64()) & domain.AllScoreFields}
			p.Value = domain.Score{
				ID: "s", TraceID: word(r), ObservationID: word(r), Name: word(r), Type: domain.ScoreType(word(r)),
				Value: domain.Some(float64(r.Intn(3))), StringValue: word(r), Timestamp: instant(r), Environment: word(r),
				Source: word(r), Comment: word(r), Metadata: []byte(randomObject(r, 2)),
			}
			domain.SealScore(&p)
			ps[i] = p
		}
		want := domain.FoldScores(ps)
		for range 4 {
			other := append(slices.Clone(ps), ps[:r.Intn(len(ps)+1)]...)
			r.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
			if diff := cmp.Diff(want, domain.FoldScores(other), exportAll); diff != "" {
				t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
			}
		}
	}
}

// randomObject is a JSON object of few keys, nested up to depth.
func randomObject(r *rand.Rand, depth int) string {
	s := "{"
	for i, key := range r.Perm(3)[:r.Intn(4)] {
		if i > 0 {
			s += ","
		}
		value := []string{"null", "1", `"x"`, "[1,2]", "{}"}[r.Intn(5)]
		if depth > 0 && r.Intn(2) == 0 {
			value = randomObject(r, depth-1)
		}
		s += fmt.Sprintf(`"k%d":%s`, key, value)
	}
	return s + "}"
}

func randomItem(r *rand.Rand) domain.Item {
	it := domain.Item{Stamp: stamp(r), Said: domain.Parts(r.Uint32()) & domain.AllParts}
	it.Stamp.Hash = r.Uint64()
	if it.Stamp.Op == domain.Replace {
		it.Said = domain.AllParts
	}
	for p := domain.Input; p <= domain.Extra; p++ {
		if !it.Said.Has(p) {
			continue
		}
		switch r.Intn(5) {
		case 0:
			it.Content[p] = domain.TextBody(word(r))
		case 1:
			it.Content[p] = domain.JSONBody([]byte([]string{"0", "false", `""`, "1", "[]"}[r.Intn(5)]))
		case 2, 3:
			it.Content[p] = domain.JSONBody([]byte(randomObject(r, 2)))
		}
	}
	return it
}

// TestCompactProperty: whatever arrives later, compacting before has changed
// nothing of what is read; and content folds alike in any order.
func TestCompactProperty(t *testing.T) {
	for seed := range int64(3000) {
		r := rand.New(rand.NewSource(seed))
		items := make([]domain.Item, 1+r.Intn(7))
		for i := range items {
			items[i] = randomItem(r)
		}
		want := domain.FoldContent(items)
		r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		if diff := cmp.Diff(want, domain.FoldContent(append(items, items[0]))); diff != "" {
			t.Fatalf("seed %d: in another order (-want +got):\n%s", seed, diff)
		}
		cut := r.Intn(len(items) + 1)
		early := domain.Compact(items[:cut])
		if diff := cmp.Diff(want, domain.FoldContent(slices.Concat(early, items[cut:]))); diff != "" {
			t.Fatalf("seed %d: compacted before the last %d of %d (-want +got):\n%s", seed, len(items)-cut, len(items), diff)
		}
		whole := domain.Compact(slices.Concat(early, items[cut:]))
		if diff := cmp.Diff(domain.Compact(items), whole); diff != "" {
			t.Fatalf("seed %d: compacted in two steps (-at once +in steps):\n%s", seed, diff)
		}
	}
}
