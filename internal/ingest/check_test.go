package ingest

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// checked writes one batch through a writer and returns what was kept of it and
// what was rejected.
func checked(t *testing.T, o Options, b *store.Batch) (*store.Batch, []Rejection) {
	t.Helper()
	g := &gated{}
	w := NewWriter(g, o)
	defer w.Close()
	rejected, err := w.Write(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.calls) == 0 {
		return &store.Batch{}, rejected
	}
	return &g.calls[0][0], rejected
}

func TestObservationChecks(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *domain.ObservationPatch)
		field  string // of the rejection, "" if it is kept
		kept   func(o *domain.ObservationPatch) bool
	}{
		"no id":             {change: func(p *domain.ObservationPatch) { p.Value.ID = "" }, field: "id"},
		"an id of 800":      {change: func(p *domain.ObservationPatch) { p.Value.ID = strings.Repeat("é", 800) }, kept: func(p *domain.ObservationPatch) bool { return len(p.Value.ID) == 1600 }},
		"an id of 801":      {change: func(p *domain.ObservationPatch) { p.Value.ID = strings.Repeat("é", 801) }, field: "id"},
		"a carriage return": {change: func(p *domain.ObservationPatch) { p.Value.TraceID = "a\rb" }, field: "traceId"},
		"a slash":           {change: func(p *domain.ObservationPatch) { p.Value.ParentID = "a/b" }, kept: func(p *domain.ObservationPatch) bool { return p.Value.ParentID == "a/b" }},
		"NUL":               {change: func(p *domain.ObservationPatch) { p.Value.Name = "a\x00b" }, kept: func(p *domain.ObservationPatch) bool { return p.Value.Name == "ab" }},
		"no UTF-8": {change: func(p *domain.ObservationPatch) {
			p.Value.Name = "a\xffb"
			p.Content[domain.Input] = domain.TextBody("\xff")
		}, kept: func(p *domain.ObservationPatch) bool {
			return p.Value.Name == "a\uFFFDb" && string(p.Content[domain.Input].Data) == "\uFFFD"
		}},
		"NUL in a body": {change: func(p *domain.ObservationPatch) { p.Content[domain.Input] = domain.TextBody("a\x00b") }, kept: func(p *domain.ObservationPatch) bool { return string(p.Content[domain.Input].Data) == "a\x00b" }},
		"a huge name":   {change: func(p *domain.ObservationPatch) { p.Value.Name = strings.Repeat("x", 1<<20+1) }, field: "a text field"},
		"no start": {change: func(p *domain.ObservationPatch) { p.Value.Start = domain.Time{}; p.Stamp.Time = 77 }, kept: func(p *domain.ObservationPatch) bool {
			return p.Value.Start == domain.At(77) && p.Said.Has(domain.ObservationStart)
		}},
		"an end of another":  {change: func(p *domain.ObservationPatch) { p.Value.Start = domain.At(90); p.Value.End = domain.At(50) }, kept: func(p *domain.ObservationPatch) bool { return p.Value.End == domain.At(50) }},
		"tags":               {change: func(p *domain.ObservationPatch) { p.Value.Tags = []string{"b", "", "a", "b", "\x00"} }, kept: func(p *domain.ObservationPatch) bool { return slices.Equal(p.Value.Tags, []string{"a", "b"}) }},
		"an odd environment": {change: func(p *domain.ObservationPatch) { p.Value.Environment = "Not Good!" }, kept: func(p *domain.ObservationPatch) bool { return p.Value.Environment == "default" }},
		"a sealed stamp":     {change: func(*domain.ObservationPatch) {}, kept: func(p *domain.ObservationPatch) bool { return p.Stamp.Hash != 0 }},
		"huge parameters":    {change: func(p *domain.ObservationPatch) { p.Value.ModelParameters = make([]byte, 1<<20+1) }, field: "modelParameters"},
	} {
		p := say("o", 1)
		c.change(&p)
		kept, rejected := checked(t, Options{}, batchOf(p))
		switch {
		case c.field != "":
			if len(rejected) != 1 || rejected[0].Err.Field != c.field || len(kept.Observations) != 0 {
				t.Errorf("%s: kept %d, rejected %+v, want %s to be named", name, len(kept.Observations), rejected, c.field)
			}
		case len(rejected) != 0 || len(kept.Observations) != 1 || !c.kept(&kept.Observations[0]):
			t.Errorf("%s: rejected %+v, kept %+v", name, rejected, kept.Observations)
		}
	}
}

func TestScoreChecks(t *testing.T) {
	whole := func(s domain.Score) domain.ScorePatch {
		return domain.ScorePatch{Stamp: domain.Stamp{Time: 5, Op: domain.Create}, Said: domain.AllScoreFields, Value: s}
	}
	number := domain.Some(0.5)
	for name, c := range map[string]struct {
		in    domain.Score
		field string
		want  func(s *domain.Score) bool
	}{
		"a number":         {domain.Score{ID: "s", TraceID: "t", Name: "n", Value: number}, "", func(s *domain.Score) bool { return s.Type == domain.ScoreNumeric && s.Timestamp == domain.At(5) }},
		"a text":           {domain.Score{ID: "s", TraceID: "t", Name: "n", StringValue: "good"}, "", func(s *domain.Score) bool { return s.Type == domain.ScoreCategorical && s.Value == domain.Some(0.0) }},
		"true":             {domain.Score{ID: "s", TraceID: "t", Name: "n", Type: domain.ScoreBoolean, Value: domain.Some(1.0)}, "", func(s *domain.Score) bool { return s.StringValue == "True" }},
		"a correction":     {domain.Score{ID: "s", TraceID: "t", Name: "n", Type: domain.ScoreCorrection, StringValue: "x"}, "", func(s *domain.Score) bool { return s.Name == "output" }},
		"of a session":     {domain.Score{ID: "s", SessionID: "x", Name: "n", Value: number}, "", func(*domain.Score) bool { return true }},
		"NaN":              {domain.Score{ID: "s", TraceID: "t", Name: "n", Value: domain.Some(math.NaN())}, "value", nil},
		"a half truth":     {domain.Score{ID: "s", TraceID: "t", Name: "n", Type: domain.ScoreBoolean, Value: number}, "value", nil},
		"a long text":      {domain.Score{ID: "s", TraceID: "t", Name: "n", Type: domain.ScoreText, StringValue: strings.Repeat("é", 501)}, "value", nil},
		"no name":          {domain.Score{ID: "s", TraceID: "t", Value: number}, "name", nil},
		"no target":        {domain.Score{ID: "s", Name: "n", Value: number}, "traceId", nil},
		"two targets":      {domain.Score{ID: "s", TraceID: "t", SessionID: "x", Name: "n", Value: number}, "traceId", nil},
		"no trace":         {domain.Score{ID: "s", SessionID: "x", ObservationID: "o", Name: "n", Value: number}, "observationId", nil},
		"an unknown type":  {domain.Score{ID: "s", TraceID: "t", Name: "n", Type: "STARS", Value: number}, "dataType", nil},
		"an annotation":    {domain.Score{ID: "s", TraceID: "t", Name: "n", Value: number, Source: domain.SourceAnnotation}, "configId", nil},
		"a session's edit": {domain.Score{ID: "s", SessionID: "x", Name: "n", Type: domain.ScoreCorrection, StringValue: "x"}, "dataType", nil},
	} {
		kept, rejected := checked(t, Options{}, &store.Batch{Project: "p", Scores: []domain.ScorePatch{whole(c.in)}})
		switch {
		case c.field != "":
			if len(rejected) != 1 || rejected[0].Err.Field != c.field || rejected[0].Kind != Score {
				t.Errorf("%s: rejected %+v, want %s to be named", name, rejected, c.field)
			}
		case len(rejected) != 0 || !c.want(&kept.Scores[0].Value):
			t.Errorf("%s: rejected %+v, kept %+v", name, rejected, kept.Scores)
		}
	}
}

// What price tiers may ask for is taken from the metadata, and masks come first.
func TestPriceAttributesAndMask(t *testing.T) {
	p := say("o", 1)
	p.Content[domain.Metadata] = domain.JSONBody([]byte(`{"tier":"flex","region":1,"secret":"x","deep":{"tier":"no"}}`))
	kept, _ := checked(t, Options{
		PriceKeys: []string{"tier", "region", "secret"},
		Mask: func(project string, c *domain.Content) {
			if project == "p" {
				c[domain.Metadata].Data = []byte(strings.Replace(string(c[domain.Metadata].Data), `,"secret":"x"`, "", 1))
			}
		},
	}, batchOf(p))
	want := []domain.Attribute{{Key: "tier", Value: "flex"}}
	if diff := cmp.Diff(want, kept.Observations[0].Value.PriceAttributes); diff != "" {
		t.Errorf("price attributes (-want +got):\n%s", diff)
	}
	if strings.Contains(string(kept.Observations[0].Content[domain.Metadata].Data), "secret") {
		t.Error("what was masked is kept")
	}
}
