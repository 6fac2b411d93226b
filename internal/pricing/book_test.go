package pricing_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
)

func rate(t testing.TB, text string) pricing.Rate {
	t.Helper()
	r, err := pricing.ParseRate(text)
	if err != nil {
		t.Fatalf("ParseRate(%q): %v", text, err)
	}
	return r
}

// flat is a definition with one price for input.
func flat(t testing.TB, id, match, input string) pricing.Definition {
	t.Helper()
	return pricing.Definition{ID: id, ModelName: id, Match: match, Unit: "TOKENS", Tiers: []pricing.Tier{{
		ID: pricing.DefaultTierID(id), Name: pricing.DefaultTierName, Default: true,
		Prices: map[string]pricing.Rate{"input": rate(t, input)},
	}}}
}

func set(t *testing.T, b *pricing.Book, from domain.Time, version int64, defs ...pricing.Definition) {
	t.Helper()
	if err := b.SetProject("p", defs, from, version); err != nil {
		t.Fatalf("SetProject version %d: %v", version, err)
	}
}

func TestBuiltInList(t *testing.T) {
	b := pricing.NewBook()
	defs := b.Definitions("p")
	if len(defs) != 78 {
		t.Errorf("the built-in list has %d models, want 78", len(defs))
	}
	ids := map[string]bool{}
	for _, d := range defs {
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %v", d.ModelName, err)
		}
		if m, ok := b.Match("p", d.ModelName, domain.At(0)); !ok || m != d {
			t.Errorf("the name %s finds %v, want its own definition", d.ModelName, m)
		}
		if d.ID != "model_"+d.ModelName || !d.BuiltIn || d.Unit != "TOKENS" {
			t.Errorf("%s: id %q, built in %v, unit %q; want an id of its name, built in, TOKENS", d.ModelName, d.ID, d.BuiltIn, d.Unit)
		}
		if tier := d.Default(); tier.ID != d.ID+"_tier_default" || tier.Name != "Standard" {
			t.Errorf("%s: default tier is %q %q", d.ModelName, tier.ID, tier.Name)
		}
		for _, id := range append([]string{d.ID}, tierIDs(d)...) {
			if ids[id] {
				t.Errorf("the id %s is there twice", id)
			}
			ids[id] = true
		}
	}
	if diff := cmp.Diff([]string{"service_tier", "speed"}, b.AttributeKeys()); diff != "" {
		t.Errorf("AttributeKeys (-want +got):\n%s", diff)
	}
}

func tierIDs(d *pricing.Definition) []string {
	var ids []string
	for _, tier := range d.Tiers {
		ids = append(ids, tier.ID)
	}
	return ids
}

func TestTodaysPrices(t *testing.T) {
	b := pricing.NewBook()
	d, ok := b.Definition("p", "model_gpt-4o-mini")
	if !ok {
		t.Fatal("no definition model_gpt-4o-mini")
	}
	for key, want := range map[string]string{"input": "0.00000015", "output": "0.0000006", "input_cached_tokens": "0.000000075"} {
		if r, ok := d.Price(key); !ok || r.String() != want {
			t.Errorf("price of %s = %s, %v; want %s", key, r, ok, want)
		}
	}
	if r, ok := d.Price("total"); ok {
		t.Errorf("price of total = %s, want none", r)
	}
	if d, ok := b.Definition("p", "model_nothing"); ok {
		t.Errorf("an unknown id finds %v", d)
	}
}

func TestMatchingOrder(t *testing.T) {
	b := pricing.NewBook()
	future, past, undated := flat(t, "future", "^gpt-4o$", "3"), flat(t, "past", "^gpt-4o$", "2"), flat(t, "undated", "gpt-4", "1")
	future.StartDate, past.StartDate = domain.At(1000), domain.At(100)
	set(t, b, domain.Time{}, 1, undated, past, future)
	for _, c := range []struct {
		model string
		start domain.Time
		want  string
	}{
		{"gpt-4o", domain.At(1000), "future"},
		{"gpt-4o", domain.At(999), "past"},
		{"gpt-4o", domain.At(99), "undated"},
		{"gpt-4o", domain.Time{}, "future"},
		{"x/gpt-4-y", domain.At(5), "undated"}, // a pattern is searched for, not anchored
		{"gpt-5", domain.At(5), "model_gpt-5"},
		{"GPT-4o", domain.At(5), "model_gpt-4o"}, // a project's pattern minds the case unless it says otherwise
		{strings.Repeat("gpt-4o/", 100), domain.At(5), ""},
	} {
		d, _ := b.Match("p", c.model, c.start)
		if got := idOf(d); got != c.want {
			t.Errorf("Match(%q, at %v) = %q, want %q", c.model, c.start, got, c.want)
		}
	}
	if d, _ := b.Match("another", "gpt-4o", domain.At(1)); idOf(d) != "model_gpt-4o" {
		t.Errorf("another project's gpt-4o is %q, want the built-in one", idOf(d))
	}
	if d, ok := b.Definition("another", "past"); ok {
		t.Errorf("another project sees %q", idOf(d))
	}
}

func TestOnlyMatchNeedsNoStart(t *testing.T) {
	b := pricing.NewBook()
	d := flat(t, "later", "^mine$", "1")
	d.StartDate = domain.At(1000)
	set(t, b, domain.Time{}, 1, d)
	if got, _ := b.Match("p", "mine", domain.At(1)); idOf(got) != "later" {
		t.Errorf("the only definition that matches was not taken before its start: %q", idOf(got))
	}
}

func idOf(d *pricing.Definition) string {
	if d == nil {
		return ""
	}
	return d.ID
}

func TestVersionInForceWhenCommitted(t *testing.T) {
	b := pricing.NewBook()
	set(t, b, domain.At(100), 1, flat(t, "d", "^mine$", "1"))
	set(t, b, domain.At(200), 2, flat(t, "d", "^mine$", "2"))
	set(t, b, domain.At(300), 3)
	for _, c := range []struct {
		created domain.Time
		version int64
		want    domain.Opt[domain.Money]
	}{
		{domain.At(99), 0, domain.Opt[domain.Money]{}},
		{domain.At(100), 1, domain.Some(1 * domain.Dollar)},
		{domain.At(199), 1, domain.Some(1 * domain.Dollar)},
		{domain.At(200), 2, domain.Some(2 * domain.Dollar)},
		{domain.At(300), 3, domain.Opt[domain.Money]{}},
		{domain.Time{}, 3, domain.Opt[domain.Money]{}},
	} {
		for range 2 { // the second time from the cache
			o := domain.Observation{Model: "mine", ProvidedUsage: domain.Usage{{Key: "input", Units: 1}}, Start: domain.At(1), CreatedAt: c.created}
			b.Derive("p", &o)
			if o.Derived.PriceList != c.version || o.Derived.TotalCost != c.want {
				t.Errorf("committed at %v: list %d, cost %v; want %d, %v", c.created, o.Derived.PriceList, o.Derived.TotalCost, c.version, c.want)
			}
		}
	}
	if got := b.Version("p"); got != 3 {
		t.Errorf("Version = %d, want 3", got)
	}
	if got := b.Version("another"); got != 0 {
		t.Errorf("Version of a project without a list = %d, want 0", got)
	}
}

func TestSetVersionAgainAndOutOfOrder(t *testing.T) {
	b := pricing.NewBook()
	set(t, b, domain.At(200), 2, flat(t, "d", "^mine$", "2"))
	set(t, b, domain.At(100), 1, flat(t, "d", "^mine$", "1"))
	b.Match("p", "mine", domain.At(250))
	set(t, b, domain.At(200), 2, flat(t, "e", "^mine$", "5"))
	for at, want := range map[int64]string{150: "d", 250: "e"} {
		if d, _ := b.Match("p", "mine", domain.At(at)); idOf(d) != want {
			t.Errorf("Match at %d = %q, want %q", at, idOf(d), want)
		}
	}
}

// tiered is a definition with one tier that holds under a condition.
func tiered(t *testing.T, c ...pricing.Condition) pricing.Definition {
	d := flat(t, "d", "^mine$", "1")
	d.Tiers = append(d.Tiers, pricing.Tier{ID: "t2", Name: "other", Priority: 1, Conditions: c, Prices: map[string]pricing.Rate{"output": rate(t, "2")}})
	return d
}

func TestConditions(t *testing.T) {
	big := func(pattern string, op pricing.Operator, v float64, caseSensitive bool) pricing.Condition {
		return pricing.Condition{UsagePattern: pattern, Operator: op, Value: v, CaseSensitive: caseSensitive}
	}
	is := func(source pricing.Source, key string, values ...string) pricing.Condition {
		return pricing.Condition{Source: source, Key: key, Values: values}
	}
	for _, c := range []struct {
		condition pricing.Condition
		holds     bool
	}{ // of {"Input_x": 3, "input": 4, "output": 5, "total": 12}
		{big("input", pricing.Greater, 7, false), false},
		{big("INPUT", pricing.Greater, 6.5, false), true},
		{big("input", pricing.Greater, 4, true), false},
		{big("input", pricing.Equal, 4, true), true},
		{big("^(input|out)", pricing.GreaterOrEqual, 12, false), true},
		{big("^(input|out)", pricing.NotEqual, 12, false), false},
		{big("nothing", pricing.LessOrEqual, 0, false), true},
		{big("nothing", pricing.Less, 0, false), false},
		{is(pricing.ModelParameters, "service_tier", "flex", "fast"), true},
		{is(pricing.Metadata, "service_tier", "flex", "fast"), false},
		{is(pricing.AnySource, "service_tier", "fast"), true},
		{is(pricing.AnySource, "service_tier", "fas"), false},
		{is(pricing.Metadata, "region", "eu"), true},
		{is(pricing.ModelParameters, "region", "eu"), false},
		{is(pricing.ModelParameters, "n", "2"), true},
		{is(pricing.ModelParameters, "stream", "true"), true},
		{is(pricing.ModelParameters, `quo"ted`, "a\nb"), true},
		{is(pricing.ModelParameters, "missing", "null", ""), false},
	} {
		b := pricing.NewBook()
		set(t, b, domain.Time{}, 1, tiered(t, c.condition))
		o := domain.Observation{
			Model:           "mine",
			ModelParameters: []byte(`{"n":2, "stream" : true, "service_tier":"fast", "quo\"ted":"a\nb"}`),
			PriceAttributes: []domain.Attribute{{Key: "region", Value: "eu"}},
			ProvidedUsage:   usage(t, `{"Input_x": 3, "input": 4, "output": 5}`),
		}
		b.Derive("p", &o)
		want := pricing.DefaultTierID("d")
		if c.holds {
			want = "t2"
		}
		if o.Derived.TierID != want {
			t.Errorf("%+v: tier %q, want %q", c.condition, o.Derived.TierID, want)
		}
		if _, ok := o.Derived.Cost.Get("input"); ok == c.holds {
			t.Errorf("%+v: priced by %v; the tier's prices must replace all others", c.condition, o.Derived.Cost)
		}
	}
}

func TestAttributeKeysOfProjects(t *testing.T) {
	b := pricing.NewBook()
	set(t, b, domain.Time{}, 1,
		tiered(t, pricing.Condition{Source: pricing.Metadata, Key: "region", Values: []string{"eu"}},
			pricing.Condition{Source: pricing.ModelParameters, Key: "n", Values: []string{"2"}}))
	if diff := cmp.Diff([]string{"region", "service_tier", "speed"}, b.AttributeKeys()); diff != "" {
		t.Errorf("AttributeKeys (-want +got):\n%s", diff)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		field  string
		change func(d *pricing.Definition)
	}{
		{"id", func(d *pricing.Definition) { d.ID = "" }},
		{"modelName", func(d *pricing.Definition) { d.ModelName = "" }},
		{"matchPattern", func(d *pricing.Definition) { d.Match = "" }},
		{"matchPattern", func(d *pricing.Definition) { d.Match = "(?=look-ahead)" }},
		{"matchPattern", func(d *pricing.Definition) { d.Match = `(a)\1` }},
		{"pricingTiers", func(d *pricing.Definition) { d.Tiers = nil }},
		{"pricingTiers", func(d *pricing.Definition) { d.Tiers = d.Tiers[1:] }},
		{"pricingTiers[0]", func(d *pricing.Definition) { d.Tiers[0].Priority = 2 }},
		{"pricingTiers[0].prices", func(d *pricing.Definition) { d.Tiers[0].Prices = nil }},
		{"pricingTiers[1].name", func(d *pricing.Definition) { d.Tiers[1].Name = "Standard" }},
		{"pricingTiers[1].priority", func(d *pricing.Definition) { d.Tiers[1].Priority = 0 }},
		{"pricingTiers[1].conditions", func(d *pricing.Definition) { d.Tiers[1].Conditions = nil }},
		{"pricingTiers[1].conditions[0].values", func(d *pricing.Definition) { d.Tiers[1].Conditions[0].Values = nil }},
		{"pricingTiers[1].conditions[0].source", func(d *pricing.Definition) { d.Tiers[1].Conditions[0].Source = "x" }},
		{"pricingTiers[1].conditions[0].key", func(d *pricing.Definition) { d.Tiers[1].Conditions[0].Key = "" }},
		{"pricingTiers[1].conditions[0].operator", func(d *pricing.Definition) {
			d.Tiers[1].Conditions[0] = pricing.Condition{UsagePattern: "input", Operator: "in"}
		}},
		{"pricingTiers[1].conditions[0].usageDetailPattern", func(d *pricing.Definition) {
			d.Tiers[1].Conditions[0] = pricing.Condition{UsagePattern: "a)(b", Operator: pricing.Less}
		}},
	} {
		d := tiered(t, pricing.Condition{Key: "k", Values: []string{"v"}})
		if err := d.Validate(); err != nil {
			t.Fatalf("before the change: %v", err)
		}
		c.change(&d)
		err := d.Validate()
		e, _ := err.(*domain.Error)
		if e == nil || e.Code != domain.Invalid || e.Field != c.field {
			t.Errorf("Validate = %v, want invalid %s", err, c.field)
		}
		b := pricing.NewBook()
		if err := b.SetProject("p", []pricing.Definition{d}, domain.Time{}, 1); domain.CodeOf(err) != domain.Invalid || b.Version("p") != 0 {
			t.Errorf("SetProject with a broken %s = %v, version %d; want invalid and no version", c.field, err, b.Version("p"))
		}
	}
}

func TestDefinitionAsRecord(t *testing.T) {
	d := tiered(t, pricing.Condition{UsagePattern: "in", Operator: pricing.Less, Value: 1.5, CaseSensitive: true},
		pricing.Condition{Source: pricing.Metadata, Key: "k", Values: []string{"v"}})
	d.StartDate, d.CreatedAt, d.UpdatedAt = domain.At(0), domain.At(1), domain.At(2)
	d.Provider, d.TokenizerHint, d.TokenizerConfig = "openai", "o200k_base", []byte(`{"a":1}`)
	d.Tiers[0].Prices["finest"] = rate(t, "0.000000000000000000000000000001")
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	var back pricing.Definition
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatalf("Unmarshal %s: %v", raw, err)
	}
	same := cmp.Comparer(func(a, b domain.Time) bool { return a == b })
	rates := cmp.Comparer(func(a, b pricing.Rate) bool { return a == b })
	if diff := cmp.Diff(d, back, same, rates, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("through %s (-want +got):\n%s", raw, diff)
	}
}
