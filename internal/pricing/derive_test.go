package pricing_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
)

// usage and cost make sorted maps of JSON objects, in the words of a client.
func usage(t testing.TB, object string) domain.Usage {
	t.Helper()
	u := pricing.UsageFromJSON([]byte(object))
	if u == nil && object != "{}" {
		t.Fatalf("UsageFromJSON(%s) = nothing", object)
	}
	return u
}

func cost(t testing.TB, object string) domain.Cost {
	t.Helper()
	c := pricing.CostFromJSON([]byte(object))
	if c == nil && object != "{}" {
		t.Fatalf("CostFromJSON(%s) = nothing", object)
	}
	return c
}

// money is dollars in decimal text.
func money(t testing.TB, text string) domain.Money {
	t.Helper()
	m, ok := pricing.MoneyFromText(text)
	if !ok {
		t.Fatalf("MoneyFromText(%q) failed", text)
	}
	return m
}

func TestDeriveByBuiltInPrices(t *testing.T) {
	for _, c := range []struct {
		name       string
		model      string
		usage      string
		parameters string
		attributes []domain.Attribute
		tier       string // id after the model's
		tierName   string
		modelID    string
		wantUsage  string
		wantCost   string
	}{{
		name: "cached input", model: "gpt-4o-2024-08-06",
		usage:   `{"input": 1000, "input_cached_tokens": 200, "output": 500}`,
		modelID: "model_gpt-4o", tier: "default", tierName: "Standard",
		wantUsage: `{"input": 1000, "input_cached_tokens": 200, "output": 500, "total": 1700}`,
		wantCost:  `{"input": 0.0025, "input_cached_tokens": 0.00025, "output": 0.005, "total": 0.00775}`,
	}, {
		name: "the more specific model first", model: "gpt-4o-2024-05-13",
		usage:   `{"input": 1000, "output": 500}`,
		modelID: "model_gpt-4o-2024-05-13", tier: "default", tierName: "Standard",
		wantUsage: `{"input": 1000, "output": 500, "total": 1500}`,
		wantCost:  `{"input": 0.005, "output": 0.0075, "total": 0.0125}`,
	}, {
		name: "reasoning, from OpenAI's chat shape", model: "openai/GPT-5",
		usage: `{"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150,
			"prompt_tokens_details": {"cached_tokens": 100}, "completion_tokens_details": {"reasoning_tokens": 10}}`,
		modelID: "model_gpt-5", tier: "default", tierName: "Standard",
		wantUsage: `{"input": 20, "input_cached_tokens": 100, "output": 20, "output_reasoning_tokens": 10, "total": 150}`,
		wantCost: `{"input": 0.000025, "input_cached_tokens": 0.0000125, "output": 0.0002,
			"output_reasoning_tokens": 0.0001, "total": 0.0003375}`,
	}, {
		name: "272,000 on the input side is not over it", model: "gpt-5.4",
		usage:   `{"input": 200000, "input_cached_tokens": 72000, "output": 1000}`,
		modelID: "model_gpt-5.4", tier: "default", tierName: "Standard",
		wantUsage: `{"input": 200000, "input_cached_tokens": 72000, "output": 1000, "total": 273000}`,
		wantCost:  `{"input": 0.5, "input_cached_tokens": 0.018, "output": 0.015, "total": 0.533}`,
	}, {
		name: "one more is, cached ones counted", model: "gpt-5.4",
		usage:   `{"input": 200000, "input_cached_tokens": 72001, "output": 1000}`,
		modelID: "model_gpt-5.4", tier: "large_context_272k", tierName: "large context (>272k)",
		wantUsage: `{"input": 200000, "input_cached_tokens": 72001, "output": 1000, "total": 273001}`,
		wantCost:  `{"input": 1, "input_cached_tokens": 0.0360005, "output": 0.0225, "total": 1.0585005}`,
	}, {
		name: "all conditions of a tier", model: "gpt-5.4", parameters: `{"temperature": 1, "service_tier": "flex"}`,
		usage:   `{"input": 200000, "input_cached_tokens": 72001, "output": 1000}`,
		modelID: "model_gpt-5.4", tier: "flex_large_context_272k", tierName: "flex+large context (>272k)",
		wantUsage: `{"input": 200000, "input_cached_tokens": 72001, "output": 1000, "total": 273001}`,
		wantCost:  `{"input": 0.5, "input_cached_tokens": 0.01800025, "output": 0.01125, "total": 0.52925025}`,
	}, {
		name: "the first tier that holds", model: "gpt-5.4", parameters: `{"service_tier":"priority"}`,
		usage:   `{"input": 200000, "input_cached_tokens": 72001, "output": 1000}`,
		modelID: "model_gpt-5.4", tier: "fast_mode", tierName: "fast mode",
		wantUsage: `{"input": 200000, "input_cached_tokens": 72001, "output": 1000, "total": 273001}`,
		wantCost:  `{"input": 1, "input_cached_tokens": 0.0360005, "output": 0.03, "total": 1.0660005}`,
	}, {
		name: "a parameter below the top level is none", model: "gpt-4.1", parameters: `{"extra": {"service_tier": "priority"}}`,
		usage:   `{"input": 10}`,
		modelID: "model_gpt-4.1", tier: "default", tierName: "Standard",
		wantUsage: `{"input": 10, "total": 10}`,
		wantCost:  `{"input": 0.00002, "total": 0.00002}`,
	}, {
		name: "long context of Gemini", model: "models/gemini-2.5-pro",
		usage:   `{"input": 200001, "output": 10}`,
		modelID: "model_gemini-2.5-pro", tier: "large_context", tierName: "large context",
		wantUsage: `{"input": 200001, "output": 10, "total": 200011}`,
		wantCost:  `{"input": 0.5000025, "output": 0.00015, "total": 0.5001525}`,
	}, {
		name: "Gemini's own words", model: "gemini-2.5-flash",
		usage:   `{"promptTokenCount": 1000, "candidatesTokenCount": 20, "thoughtsTokenCount": 50, "input_audio": 100}`,
		modelID: "model_gemini-2.5-flash", tier: "default", tierName: "Standard",
		wantUsage: `{"promptTokenCount": 1000, "candidatesTokenCount": 20, "thoughtsTokenCount": 50, "input_audio": 100, "total": 1170}`,
		wantCost: `{"promptTokenCount": 0.0003, "candidatesTokenCount": 0.00005, "thoughtsTokenCount": 0.000125,
			"input_audio": 0.0001, "total": 0.000575}`,
	}, {
		name: "searches", model: "gemini-3-pro-preview",
		usage:   `{"webSearchQueries": 2, "output": 0}`,
		modelID: "model_gemini-3-pro", tier: "default", tierName: "Standard",
		wantUsage: `{"webSearchQueries": 2, "output": 0, "total": 2}`,
		wantCost:  `{"webSearchQueries": 0.028, "output": 0, "total": 0.028}`,
	}, {
		name: "Claude through Bedrock, cache by its own words", model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
		usage: `{"input": 100, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 200,
			"input_cache_creation_1h": 100, "output": 50}`,
		modelID: "model_claude-sonnet-4-5", tier: "default", tierName: "Standard",
		wantUsage: `{"input": 100, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 200,
			"input_cache_creation_1h": 100, "output": 50, "total": 1450}`,
		wantCost: `{"input": 0.0003, "cache_read_input_tokens": 0.0003, "cache_creation_input_tokens": 0.00075,
			"input_cache_creation_1h": 0.0006, "output": 0.00075, "total": 0.0027}`,
	}, {
		name: "an attribute of the metadata", model: "claude-opus-5", attributes: []domain.Attribute{{Key: "speed", Value: "fast"}},
		usage:   `{"input": 10, "output": 10}`,
		modelID: "model_claude-opus-5", tier: "fast_mode", tierName: "fast mode",
		wantUsage: `{"input": 10, "output": 10, "total": 20}`,
		wantCost:  `{"input": 0.0001, "output": 0.0005, "total": 0.0006}`,
	}, {
		name: "priced by the total", model: "text-embedding-3-small",
		usage:   `{"input": 1000}`,
		modelID: "model_text-embedding-3-small", tier: "default", tierName: "Standard",
		wantUsage: `{"input": 1000, "total": 1000}`,
		wantCost:  `{"total": 0.00002}`,
	}, {
		name: "a total that was given", model: "gpt-4",
		usage:   `{"input": 10, "output": 1, "total": 25}`,
		modelID: "model_gpt-4", tier: "default", tierName: "Standard",
		wantUsage: `{"input": 10, "output": 1, "total": 25}`,
		wantCost:  `{"input": 0.0003, "output": 0.00006, "total": 0.00036}`,
	}, {
		name: "a key that has no price", model: "gpt-4",
		usage:   `{"input": 10, "pages": 3}`,
		modelID: "model_gpt-4", tier: "default", tierName: "Standard",
		wantUsage: `{"input": 10, "pages": 3, "total": 13}`,
		wantCost:  `{"input": 0.0003, "total": 0.0003}`,
	}, {
		name: "no key that has a price", model: "gpt-4",
		usage:   `{"pages": 3}`,
		modelID: "model_gpt-4", tier: "default", tierName: "Standard",
		wantUsage: `{"pages": 3, "total": 3}`, wantCost: `{}`,
	}, {
		name: "no usage", model: "gpt-4", usage: `{}`,
		modelID: "model_gpt-4", wantUsage: `{}`, wantCost: `{}`,
	}, {
		name: "no such model", model: "my-gpt-4-finetune", usage: `{"input": 10, "output": 1}`,
		wantUsage: `{"input": 10, "output": 1, "total": 11}`, wantCost: `{}`,
	}, {
		name: "no model", usage: `{"input": 10}`,
		wantUsage: `{"input": 10, "total": 10}`, wantCost: `{}`,
	}} {
		t.Run(c.name, func(t *testing.T) {
			o := domain.Observation{
				Model: c.model, ModelParameters: []byte(c.parameters), ProvidedUsage: usage(t, c.usage),
				PriceAttributes: c.attributes, Start: domain.At(1), CreatedAt: domain.At(2),
			}
			pricing.NewBook().Derive("p", &o)
			want := domain.Derived{
				ModelID: c.modelID, Usage: usage(t, c.wantUsage), Cost: cost(t, c.wantCost), TierName: c.tierName,
			}
			if c.tier != "" {
				want.TierID = c.modelID + "_tier_" + c.tier
			}
			if m, ok := want.Cost.Get("total"); ok {
				want.TotalCost = domain.Some(m)
			}
			if diff := cmp.Diff(want, o.Derived); diff != "" {
				t.Errorf("Derive of %s with %s (-want +got):\n%s", c.model, c.usage, diff)
			}
		})
	}
}

func TestProvidedCostStands(t *testing.T) {
	for _, c := range []struct{ provided, want, total string }{
		{`{"input": 0.1, "output": 0.2}`, `{"input": 0.1, "output": 0.2, "total": 0.3}`, "0.3"},
		{`{"output": 0.2}`, `{"output": 0.2, "total": 0.2}`, "0.2"},
		{`{"input": 0.1, "total": 5}`, `{"input": 0.1, "total": 5}`, "5"},
		{`{"total": 0}`, `{"total": 0}`, "0"},
		{`{"input": 0.1, "input_cached_tokens": 0.2}`, `{"input": 0.1, "input_cached_tokens": 0.2}`, ""},
	} {
		o := domain.Observation{Model: "gpt-4", ProvidedUsage: usage(t, `{"input": 1, "output": 1}`), ProvidedCost: cost(t, c.provided)}
		sent := cost(t, c.provided)
		pricing.NewBook().Derive("p", &o)
		want := domain.Derived{ModelID: "model_gpt-4", Usage: usage(t, `{"input": 1, "output": 1, "total": 2}`), Cost: cost(t, c.want)}
		if c.total != "" {
			want.TotalCost = domain.Some(money(t, c.total))
		}
		if diff := cmp.Diff(want, o.Derived); diff != "" {
			t.Errorf("Derive with provided cost %s (-want +got):\n%s", c.provided, diff)
		}
		if diff := cmp.Diff(sent, o.ProvidedCost); diff != "" {
			t.Errorf("Derive changed the provided cost %s (-want +got):\n%s", c.provided, diff)
		}
	}
}

func TestTotalIsTheSumOfItsParts(t *testing.T) {
	b := pricing.NewBook()
	rnd := rand.New(rand.NewPCG(1, 2))
	keys := []string{"input", "output", "input_cached_tokens", "output_reasoning_tokens", "input_cache_creation", "reasoning_tokens", "web_search_queries"}
	for range 2000 {
		defs := b.Definitions("p")
		o := domain.Observation{Model: defs[rnd.IntN(len(defs))].ModelName}
		for _, k := range keys {
			if rnd.IntN(2) == 0 {
				o.ProvidedUsage = append(o.ProvidedUsage, domain.Count{Key: k, Units: rnd.Int64N(1e6)})
			}
		}
		o.ProvidedUsage = pricing.SortUsage(o.ProvidedUsage)
		b.Derive("p", &o)
		if d, _ := b.Definition("p", o.Derived.ModelID); d == nil || d.ModelName != o.Model {
			t.Fatalf("%s was taken for %v", o.Model, d)
		}
		if _, byTotal := o.Derived.Cost.Get("total"); byTotal && len(o.Derived.Cost) == 1 {
			continue
		}
		var sum domain.Money
		for _, p := range o.Derived.Cost {
			if p.Key != "total" {
				sum += p.Amount
			}
		}
		if sum != o.Derived.TotalCost.Value {
			t.Fatalf("%s with %v: the parts are %d, the total is %d", o.Model, o.ProvidedUsage, sum, o.Derived.TotalCost.Value)
		}
	}
}

func TestAbsurdCostSaturates(t *testing.T) {
	o := domain.Observation{Model: "o1-pro", ProvidedUsage: domain.Usage{{Key: "input", Units: 1 << 62}, {Key: "output", Units: 1 << 62}}}
	pricing.NewBook().Derive("p", &o)
	want := domain.Cost{{Key: "input", Amount: pricing.Max}, {Key: "output", Amount: pricing.Max}, {Key: "total", Amount: pricing.Max}}
	if diff := cmp.Diff(want, o.Derived.Cost); diff != "" {
		t.Errorf("cost of 2^62 tokens a side (-want +got):\n%s", diff)
	}
	if n, _ := o.Derived.Usage.Get("total"); n != 1<<53-1 {
		t.Errorf("total usage = %d, want 2^53-1", n)
	}
}

func TestDeriveWhileListsChange(t *testing.T) {
	b := pricing.NewBook()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 300 {
				o := domain.Observation{Model: fmt.Sprintf("m%d", n%7), ProvidedUsage: domain.Usage{{Key: "input", Units: 1}}, CreatedAt: domain.At(int64(n))}
				b.Derive(fmt.Sprintf("p%d", i%2), &o)
				if v := o.Derived.PriceList; v > 0 && o.Derived.TotalCost.Value != domain.Money(v)*domain.Dollar {
					t.Errorf("list %d gave %d, want %d dollars", v, o.Derived.TotalCost.Value, v)
				}
			}
		})
	}
	for v := range int64(50) {
		for _, p := range []string{"p0", "p1"} {
			if err := b.SetProject(p, []pricing.Definition{flat(t, "d", "^m", fmt.Sprint(v+1))}, domain.At(v), v+1); err != nil {
				t.Fatalf("SetProject: %v", err)
			}
			b.AttributeKeys()
		}
	}
	wg.Wait()
}

func BenchmarkDerive(b *testing.B) {
	for name, o := range map[string]domain.Observation{
		"plain":      {Model: "gpt-4o-mini", ProvidedUsage: usage(b, `{"input": 100, "output": 20, "total": 120}`)},
		"no total":   {Model: "gpt-4o-mini", ProvidedUsage: usage(b, `{"input": 100, "output": 20}`)},
		"tiers":      {Model: "gpt-5.6-sol", ProvidedUsage: usage(b, `{"input": 100, "input_cached_tokens": 20, "output": 20, "output_reasoning_tokens": 10}`)},
		"parameters": {Model: "gpt-5.6-sol", ModelParameters: []byte(`{"temperature":0.7,"max_tokens":512,"service_tier":"default"}`), ProvidedUsage: usage(b, `{"input": 100, "output": 20}`)},
		"no match":   {Model: "mine", ProvidedUsage: usage(b, `{"input": 100, "output": 20, "total": 120}`)},
		"span":       {},
	} {
		b.Run(name, func(b *testing.B) {
			book := pricing.NewBook()
			b.ReportAllocs()
			for b.Loop() {
				book.Derive("p", &o)
			}
		})
	}
}

func BenchmarkNewBook(b *testing.B) {
	for b.Loop() {
		pricing.NewBook()
	}
}
