package domain_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
)

func textBody(s string) domain.Body { return domain.TextBody(s) }

func objectBody(s string) domain.Body { return domain.JSONBody([]byte(s)) }

func TestTraceContent(t *testing.T) {
	const in, meta = domain.Input, domain.Metadata
	type span struct {
		root    bool
		content domain.Content
		source  string
	}
	for _, tc := range []struct {
		name  string
		own   domain.Content
		spans []span
		want  domain.Content
	}{
		{"nothing", domain.Content{}, nil, domain.Content{}},
		{"own stands over all", domain.Content{in: textBody("own")},
			[]span{{root: true, content: domain.Content{in: textBody("root"), domain.TraceInput: textBody("span")}}}, domain.Content{in: textBody("own")}},
		{"the newest span that says it", domain.Content{},
			[]span{
				{root: true, content: domain.Content{in: textBody("root"), domain.TraceInput: textBody("old")}},
				{content: domain.Content{in: textBody("child"), domain.TraceInput: textBody("new")}},
				{content: domain.Content{domain.TraceInput: textBody("")}},
				{content: domain.Content{in: textBody("last")}},
			}, domain.Content{in: textBody("new")}},
		{"the root's", domain.Content{},
			[]span{{content: domain.Content{in: textBody("child")}}, {root: true, content: domain.Content{in: textBody("root")}}}, domain.Content{in: textBody("root")}},
		{"an empty text lets others speak", domain.Content{in: textBody("")},
			[]span{{root: true, content: domain.Content{in: objectBody(`{"a":1}`), domain.TraceInput: objectBody(`""`)}}}, domain.Content{in: objectBody(`{"a":1}`)}},
		{"an empty text where nobody speaks", domain.Content{in: textBody("")},
			[]span{{root: true, content: domain.Content{}}}, domain.Content{in: textBody("")}},
		{"false and 0 speak", domain.Content{in: objectBody(`false`)},
			[]span{{root: true, content: domain.Content{in: textBody("root"), domain.TraceInput: objectBody(`0`)}}}, domain.Content{in: objectBody(`false`)}},
		{"a root of a batch keeps its metadata to itself", domain.Content{},
			[]span{{root: true, content: domain.Content{in: textBody("root"), meta: objectBody(`{"k":1}`)}, source: domain.SourceBatch}},
			domain.Content{in: textBody("root")}},
		{"metadata of all, by key", domain.Content{meta: objectBody(`{"o":"own","k":{"z":9}}`)},
			[]span{
				{content: domain.Content{meta: objectBody(`{"child":1}`), domain.TraceMetadata: objectBody(`{"k":{"p":1},"n":1}`)}},
				{root: true, content: domain.Content{meta: objectBody(`{"root":1,"n":0,"o":0}`)}},
				{content: domain.Content{domain.TraceMetadata: objectBody(`{"k":{"p":2,"r":3}}`)}},
			}, domain.Content{meta: objectBody(`{"root":1,"n":1,"o":"own","k":{"p":2,"r":3,"z":9}}`)}},
	} {
		c := domain.NewTraceContent(tc.own)
		for _, s := range tc.spans {
			c.Add(&domain.Observation{Source: s.source}, &s.content, s.root)
			for _, b := range s.content { // bodies are valid only until Add returns
				for j := range b.Data {
					b.Data[j] = '!'
				}
			}
		}
		if diff := cmp.Diff(tc.want, c.Fold()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestTraceContentMergesAsMergeJSON compares the merge over many spans with the
// same merge step by step.
func TestTraceContentMergesAsMergeJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var value func(depth int) any
	value = func(depth int) any {
		if depth == 0 || r.IntN(3) == 0 {
			return []any{nil, "", 1.5, "text", []any{1.0}, map[string]any{}}[r.IntN(6)]
		}
		m := map[string]any{}
		for range r.IntN(4) {
			m[fmt.Sprint("k", r.IntN(3))] = value(depth - 1)
		}
		return m
	}
	for range 2000 {
		c := domain.NewTraceContent(domain.Content{})
		var want domain.Body
		var steps []string
		for range 1 + r.IntN(5) {
			raw, err := json.Marshal(value(4))
			if err != nil {
				t.Fatal(err)
			}
			b := domain.JSONBody(raw)
			steps = append(steps, string(raw))
			want = domain.MergeJSON(want, b)
			c.Add(&domain.Observation{}, &domain.Content{domain.TraceMetadata: b}, false)
		}
		if got := c.Fold()[domain.Metadata]; string(got.Data) != string(want.Data) {
			t.Fatalf("merge of %q: got %s, want %s", steps, got.Data, want.Data)
		}
	}
}
