package domain_test

import (
	"testing"

	"github.com/clewhq/clew/internal/domain"
)

func TestStampOrder(t *testing.T) {
	ordered := []domain.Stamp{
		{Time: 1, Op: domain.Replace, Event: "z", Hash: 9},
		{Time: 2, Op: domain.Create, Event: "b", Hash: 9},
		{Time: 2, Op: domain.Update, Event: "a", Hash: 9},
		{Time: 2, Op: domain.Replace, Event: "", Hash: 9},
		{Time: 2, Op: domain.Replace, Event: "a", Hash: 1},
		{Time: 2, Op: domain.Replace, Event: "a", Hash: 2},
	}
	for i := range ordered {
		for j := range ordered {
			got, want := ordered[i].Compare(ordered[j]), 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got != want {
				t.Errorf("%+v compared to %+v = %d, want %d", ordered[i], ordered[j], got, want)
			}
		}
	}
}

// TestSealTellsContentsApart seals observations that differ in one respect
// each, some of them only in where one list ends and the next begins.
func TestSealTellsContentsApart(t *testing.T) {
	values := map[string]domain.ObservationPatch{
		"nothing":           {},
		"id":                {Value: domain.Observation{ID: "a"}},
		"trace id":          {Value: domain.Observation{TraceID: "a"}},
		"parent":            {Value: domain.Observation{ParentID: "a"}},
		"type":              {Value: domain.Observation{Type: "a"}},
		"name":              {Value: domain.Observation{Name: "a"}},
		"start 0":           {Value: domain.Observation{Start: domain.At(0)}},
		"end 0":             {Value: domain.Observation{End: domain.At(0)}},
		"first token 0":     {Value: domain.Observation{CompletionStart: domain.At(0)}},
		"level":             {Value: domain.Observation{Level: domain.LevelError}},
		"parameters":        {Value: domain.Observation{ModelParameters: []byte("{}")}},
		"usage":             {Value: domain.Observation{ProvidedUsage: domain.Usage{{Key: "a", Units: 1}}}},
		"cost":              {Value: domain.Observation{ProvidedCost: domain.Cost{{Key: "a", Amount: 1}}}},
		"two attributes":    {Value: domain.Observation{PriceAttributes: []domain.Attribute{{Key: "a", Value: "b"}, {Key: "c", Value: "d"}}}},
		"prompt":            {Value: domain.Observation{PromptName: "a"}},
		"prompt version 0":  {Value: domain.Observation{PromptVersion: domain.Some[int64](0)}},
		"experiment":        {Value: domain.Observation{Experiment: domain.Experiment{ItemID: "a"}}},
		"public false":      {Value: domain.Observation{Public: domain.Some(false)}},
		"public true":       {Value: domain.Observation{Public: domain.Some(true)}},
		"tag":               {Value: domain.Observation{Tags: []string{"a"}}},
		"two tags":          {Value: domain.Observation{Tags: []string{"a", "b"}}},
		"app root":          {Value: domain.Observation{AppRoot: true}},
		"said":              {Said: domain.ObservationName},
		"part said":         {Parts: domain.Parts(0).With(domain.Input)},
		"empty text":        {Content: domain.Content{domain.Input: domain.TextBody("")}},
		"text":              {Content: domain.Content{domain.Input: domain.TextBody("1")}},
		"JSON":              {Content: domain.Content{domain.Input: domain.JSONBody([]byte("1"))}},
		"JSON in output":    {Content: domain.Content{domain.Output: domain.JSONBody([]byte("1"))}},
		"longer than a run": {Value: domain.Observation{Name: string(make([]byte, 1000))}},
	}
	seen := map[uint64]string{}
	for name, p := range values {
		domain.SealObservation(&p)
		if other, found := seen[p.Stamp.Hash]; found {
			t.Errorf("%q and %q have the same hash", name, other)
		}
		seen[p.Stamp.Hash] = name
	}
}

func TestSealReplaceSaysEverything(t *testing.T) {
	o := domain.ObservationPatch{Stamp: domain.Stamp{Op: domain.Replace}}
	domain.SealObservation(&o)
	if o.Said != domain.AllObservationFields || o.Parts != domain.AllParts {
		t.Errorf("observation says %b and parts %b, want all", o.Said, o.Parts)
	}
	tr := domain.TracePatch{Stamp: domain.Stamp{Op: domain.Replace}}
	domain.SealTrace(&tr)
	if tr.Said != domain.AllTraceFields || tr.Parts != domain.AllParts {
		t.Errorf("trace says %b and parts %b, want all", tr.Said, tr.Parts)
	}
	s := domain.ScorePatch{Stamp: domain.Stamp{Op: domain.Replace}}
	domain.SealScore(&s)
	if s.Said != domain.AllScoreFields {
		t.Errorf("score says %b, want all", s.Said)
	}
}

// TestSealIgnoresWhatTheEngineKeeps: a client that repeats a write must give
// the stamp it gave before, whenever it is written.
func TestSealIgnoresWhatTheEngineKeeps(t *testing.T) {
	a := domain.ObservationPatch{Value: domain.Observation{ID: "a", Name: "n"}}
	b := a
	b.Value.CreatedAt, b.Value.Derived.ModelID, b.Stamp.Time = domain.At(5), "m", 9
	domain.SealObservation(&a)
	domain.SealObservation(&b)
	if a.Stamp.Hash != b.Stamp.Hash {
		t.Errorf("hash %x and %x, want equal", a.Stamp.Hash, b.Stamp.Hash)
	}
}

func TestSealScoreAndTraceByValue(t *testing.T) {
	scores := []domain.Score{
		{}, {ID: "a"}, {TraceID: "a"}, {Name: "a"}, {Value: domain.Some(0.0)}, {Value: domain.Some(1.0)},
		{StringValue: "a"}, {Metadata: []byte("a")}, {Timestamp: domain.At(0)}, {Comment: "a"}, {ExecutionTraceID: "a"},
	}
	seenScores := map[uint64]domain.Score{}
	for _, s := range scores {
		p := domain.ScorePatch{Value: s}
		domain.SealScore(&p)
		if other, found := seenScores[p.Stamp.Hash]; found {
			t.Errorf("scores %+v and %+v have the same hash", other, s)
		}
		seenScores[p.Stamp.Hash] = s
	}
	seenTraces := map[uint64]domain.Trace{}
	for _, s := range []domain.Trace{
		{}, {ID: "a"}, {Name: "a"}, {UserID: "a"}, {Tags: []string{"a"}}, {Tags: []string{"a", ""}}, {Public: domain.Some(false)},
	} {
		p := domain.TracePatch{Value: s}
		domain.SealTrace(&p)
		if other, found := seenTraces[p.Stamp.Hash]; found {
			t.Errorf("traces %+v and %+v have the same hash", other, s)
		}
		seenTraces[p.Stamp.Hash] = s
	}
}

func TestFields(t *testing.T) {
	s := domain.ObservationName | domain.ObservationEnd
	if !s.Has(domain.ObservationName) || !s.Has(s) || s.Has(domain.ObservationName|domain.ObservationStart) || s.Has(domain.ObservationTags) {
		t.Error("Has: want true exactly where every field is in the set")
	}
	var p domain.Parts
	if p = p.With(domain.Extra); !p.Has(domain.Extra) || p.Has(domain.Input) || domain.AllParts.With(domain.Extra) != domain.AllParts {
		t.Error("Parts: want Extra alone, and as one of all")
	}
}
