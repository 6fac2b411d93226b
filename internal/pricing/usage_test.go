package pricing_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
)

func TestUsageFromJSON(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     domain.Usage
	}{
		{"chat shape", `{"prompt_tokens":120,"completion_tokens":30,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":100},"completion_tokens_details":{"reasoning_tokens":10}}`,
			domain.Usage{{Key: "input", Units: 20}, {Key: "input_cached_tokens", Units: 100}, {Key: "output", Units: 20}, {Key: "output_reasoning_tokens", Units: 10}, {Key: "total", Units: 150}}},
		{"responses shape", `{"input_tokens":50,"output_tokens":7,"total_tokens":57,"input_tokens_details":{"cached_tokens":20},"output_tokens_details":{"reasoning_tokens":0}}`,
			domain.Usage{{Key: "input", Units: 30}, {Key: "input_cached_tokens", Units: 20}, {Key: "output", Units: 7}, {Key: "output_reasoning_tokens", Units: 0}, {Key: "total", Units: 57}}},
		{"shape without details", `{ "total_tokens" : 3 , "completion_tokens":1,"prompt_tokens":2 }`,
			domain.Usage{{Key: "input", Units: 2}, {Key: "output", Units: 1}, {Key: "total", Units: 3}}},
		{"null details", `{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null,"audio_tokens":1}}`,
			domain.Usage{{Key: "input", Units: 5}, {Key: "output", Units: 0}, {Key: "output_audio_tokens", Units: 1}, {Key: "total", Units: 6}}},
		{"details beyond their parent", `{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"prompt_tokens_details":{"a":4,"b":4}}`,
			domain.Usage{{Key: "input", Units: 0}, {Key: "input_a", Units: 4}, {Key: "input_b", Units: 4}, {Key: "output", Units: 1}, {Key: "total", Units: 6}}},
		{"details before their parent", `{"prompt_tokens_details":{"a":4},"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}`,
			domain.Usage{{Key: "input", Units: 1}, {Key: "input_a", Units: 4}, {Key: "output", Units: 1}, {Key: "total", Units: 6}}},
		{"almost a shape: one key more", `{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"cost":1}`,
			domain.Usage{{Key: "completion_tokens", Units: 1}, {Key: "cost", Units: 1}, {Key: "prompt_tokens", Units: 5}, {Key: "total_tokens", Units: 6}}},
		{"almost a shape: one key less", `{"prompt_tokens":5,"total_tokens":6}`,
			domain.Usage{{Key: "prompt_tokens", Units: 5}, {Key: "total_tokens", Units: 6}}},
		{"two shapes mixed", `{"prompt_tokens":5,"output_tokens":1,"total_tokens":6}`,
			domain.Usage{{Key: "output_tokens", Units: 1}, {Key: "prompt_tokens", Units: 5}, {Key: "total_tokens", Units: 6}}},
		{"almost a shape: a fraction", `{"prompt_tokens":5.5,"completion_tokens":1,"total_tokens":6}`,
			domain.Usage{{Key: "completion_tokens", Units: 1}, {Key: "total_tokens", Units: 6}}},
		{"almost a shape: a detail that is text", `{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"prompt_tokens_details":{"a":"4"}}`,
			domain.Usage{{Key: "completion_tokens", Units: 1}, {Key: "prompt_tokens", Units: 5}, {Key: "total_tokens", Units: 6}}},
		{"free map", `{"output":2,"input":1,"images":0}`, domain.Usage{{Key: "images", Units: 0}, {Key: "input", Units: 1}, {Key: "output", Units: 2}}},
		{"text", `{"a":"100","b":"1.5","c":"-1","d":"","e":"x","f":" 7","g":"007","h":"0","i":"1e3"}`,
			domain.Usage{{Key: "a", Units: 100}, {Key: "g", Units: 7}, {Key: "h", Units: 0}}},
		{"what can't be counted", `{"a":1.5,"b":-1,"c":{"d":1},"e":[1],"f":null,"g":true,"h":3,"i":1e-3}`, domain.Usage{{Key: "h", Units: 3}}},
		{"whole numbers however written", `{"a":5.0,"b":1e3,"c":1.25E2,"d":-0,"e":0.0}`,
			domain.Usage{{Key: "a", Units: 5}, {Key: "b", Units: 1000}, {Key: "c", Units: 125}, {Key: "d", Units: 0}, {Key: "e", Units: 0}}},
		{"beyond 2^53", `{"a":9007199254740991,"b":9007199254740992,"c":1e300,"d":"99999999999999999999"}`,
			domain.Usage{{Key: "a", Units: 9007199254740991}}},
		{"the last of two", `{"a":1,"b":2,"a":3}`, domain.Usage{{Key: "a", Units: 3}, {Key: "b", Units: 2}}},
		{"escaped keys", `{"\u0061\"":1}`, domain.Usage{{Key: `a"`, Units: 1}}},
		{"nothing left", `{"a":null}`, nil},
		{"empty", `{}`, nil},
		{"no object", `[{"a":1}]`, nil},
		{"text instead", `"{\"a\":1}"`, nil},
		{"broken", `{"a":1`, nil},
		{"broken later", `{"a":1,}`, nil},
		{"none", ``, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, pricing.UsageFromJSON([]byte(c.in))); diff != "" {
				t.Errorf("UsageFromJSON(%s) (-want +got):\n%s", c.in, diff)
			}
		})
	}
}

func TestUsageIsBounded(t *testing.T) {
	var s strings.Builder
	s.WriteString(`{"` + strings.Repeat("k", 300) + `":1`)
	for i := range 5000 {
		s.WriteString(`,"k` + strconv.Itoa(i) + `":1`)
	}
	s.WriteString("}")
	if got := len(pricing.UsageFromJSON([]byte(s.String()))); got != 1000 {
		t.Errorf("of 5000 keys %d are kept, want 1000", got)
	}
}

func TestLegacyUsageFromJSON(t *testing.T) {
	for _, c := range []struct {
		name, in string
		usage    domain.Usage
		cost     domain.Cost
	}{
		{"tokens", `{"promptTokens":5,"completionTokens":2,"totalTokens":9,"totalCost":1}`, domain.Usage{{Key: "input", Units: 5}, {Key: "output", Units: 2}, {Key: "total", Units: 9}}, nil},
		{"tokens without total", `{"promptTokens":5,"completionTokens":2}`, domain.Usage{{Key: "input", Units: 5}, {Key: "output", Units: 2}, {Key: "total", Units: 7}}, nil},
		{"tokens beat input", `{"input":1,"promptTokens":5}`, domain.Usage{{Key: "input", Units: 5}, {Key: "total", Units: 5}}, nil},
		{"null tokens don't", `{"input":1,"promptTokens":null}`, domain.Usage{{Key: "input", Units: 1}, {Key: "total", Units: 1}}, nil},
		{"plain with costs", `{"input":5,"output":2,"total":7,"unit":"TOKENS","inputCost":0.1,"outputCost":0.2,"totalCost":0.3}`,
			domain.Usage{{Key: "input", Units: 5}, {Key: "output", Units: 2}, {Key: "total", Units: 7}},
			domain.Cost{{Key: "input", Amount: domain.Dollar / 10}, {Key: "output", Amount: domain.Dollar / 5}, {Key: "total", Amount: 3 * domain.Dollar / 10}}},
		{"only output", `{"output":2,"input":null}`, domain.Usage{{Key: "output", Units: 2}, {Key: "total", Units: 2}}, nil},
		{"only total", `{"total":4}`, domain.Usage{{Key: "total", Units: 4}}, nil},
		{"only a cost", `{"totalCost":2}`, nil, domain.Cost{{Key: "total", Amount: 2 * domain.Dollar}}},
		{"unknown words", `{"prompt":4,"unit":"TOKENS"}`, nil, nil},
		{"broken", `{"input":5`, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, m := pricing.LegacyUsageFromJSON([]byte(c.in))
			if diff := cmp.Diff(c.usage, u); diff != "" {
				t.Errorf("usage of %s (-want +got):\n%s", c.in, diff)
			}
			if diff := cmp.Diff(c.cost, m); diff != "" {
				t.Errorf("cost of %s (-want +got):\n%s", c.in, diff)
			}
		})
	}
}

func TestCostFromJSON(t *testing.T) {
	for in, want := range map[string]domain.Cost{
		`{"total":0.0021,"input":1.5e-3,"output":0}`:                     {{Key: "input", Amount: 1_500_000_000}, {Key: "output", Amount: 0}, {Key: "total", Amount: 2_100_000_000}},
		`{"a":"1","b":-1,"c":null,"d":{"e":1},"f":true,"g":[1],"h":0.1}`: {{Key: "h", Amount: domain.Dollar / 10}},
		`{"a":NaN}`:        nil,
		`{"a":1e300}`:      {{Key: "a", Amount: pricing.Max}},
		`{"a":1,"a":2}`:    {{Key: "a", Amount: 2 * domain.Dollar}},
		`{"a":-0.0}`:       {{Key: "a", Amount: 0}},
		`{"a":0.1`:         nil,
		`{}`:               nil,
		`null`:             nil,
		`{"a":1,"b":true}`: {{Key: "a", Amount: domain.Dollar}},
	} {
		if diff := cmp.Diff(want, pricing.CostFromJSON([]byte(in))); diff != "" {
			t.Errorf("CostFromJSON(%s) (-want +got):\n%s", in, diff)
		}
	}
}

func FuzzUsageFromJSON(f *testing.F) {
	for _, s := range []string{
		`{"input":1,"output":"2","x":1.5}`, `{"prompt_tokens":120,"completion_tokens":30,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":100}}`,
		`{"input":5,"totalCost":0.25}`, `{"a":{"b":["}",1e3,"\"" ]},"\u0061":1}`, `{"":0,"a":-1}`, `{"a":1,"a":2}`, "{\"\xff\":1}", `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	b := pricing.NewBook()
	f.Fuzz(func(t *testing.T, raw []byte) {
		legacy, legacyCost := pricing.LegacyUsageFromJSON(raw)
		for _, u := range []domain.Usage{pricing.UsageFromJSON(raw), legacy} {
			if !slices.IsSortedFunc(u, func(a, b domain.Count) int { return strictly(a.Key, b.Key) }) {
				t.Errorf("usage of %q is not sorted, or has a key twice: %v", raw, u)
			}
			for _, c := range u {
				if c.Units < 0 || c.Units >= 1<<53 {
					t.Errorf("usage of %q: %s = %d", raw, c.Key, c.Units)
				}
			}
			o := domain.Observation{Model: "gpt-5.4", ModelParameters: raw, ProvidedUsage: u}
			b.Derive("p", &o)
			if o.Derived.TotalCost.Value < 0 || len(u) > 0 && len(o.Derived.Usage) < len(u) {
				t.Errorf("derived of %q: %+v", raw, o.Derived)
			}
		}
		for _, c := range []domain.Cost{pricing.CostFromJSON(raw), legacyCost} {
			if !slices.IsSortedFunc(c, func(a, b domain.Price) int { return strictly(a.Key, b.Key) }) {
				t.Errorf("cost of %q is not sorted, or has a key twice: %v", raw, c)
			}
			for _, p := range c {
				if p.Amount < 0 || p.Amount > pricing.Max {
					t.Errorf("cost of %q: %s = %d", raw, p.Key, p.Amount)
				}
			}
		}
	})
}

// strictly compares a key with the one before it: equal ones are out of order.
func strictly(a, b string) int {
	if a <= b {
		return -1
	}
	return 1
}

func BenchmarkUsageFromJSON(b *testing.B) {
	for name, raw := range map[string]string{
		"free": `{"input": 1200, "output": 350, "total": 1550}`,
		"chat": `{"prompt_tokens":120,"completion_tokens":30,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":100},"completion_tokens_details":{"reasoning_tokens":10}}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pricing.UsageFromJSON([]byte(raw))
			}
		})
	}
}
