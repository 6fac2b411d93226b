package otlp

import (
	"encoding/json"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
)

// modelAttrs are Langfuse's order, then the spellings that are ours to add.
var modelAttrs = []attr{
	aModelName, aResponseModel, aVercelModel, aRequestModel, aLLMResponseModel, aLLMModel, aPlainModel,
	aLLMResponseModelName, aEmbeddingModel, aLLMRequestModelName, aRerankerModel, aVercelSDKModel,
}

// generation fills what a span says of a model, its usage and its prompt. Spans
// that repeat the sums of their children say nothing of it.
func (m *mapper) generation(o *domain.Observation) {
	if o.Type == domain.TypeGeneration {
		m.prompt(o)
	}
	if m.aggregates() {
		return
	}
	if o.Model = m.first(modelAttrs); o.Model == "" {
		o.Model = withoutNUL(unquoted(text(m.val[aMLflowModel])))
	}
	o.ModelParameters = m.modelParameters()
	o.ProvidedUsage = m.usage()
	o.ProvidedCost = m.cost()
}

// prompt links a generation to a prompt; name and version are both needed.
func (m *mapper) prompt(o *domain.Observation) {
	for _, pair := range [...][2]attr{{aPromptName, aPromptVersion}, {aOldPromptName, aOldPromptVersion}} {
		name := short(m.val[pair[0]])
		if version, ok := integer(m.val[pair[1]]); ok && name != "" {
			o.PromptName, o.PromptVersion = name, domain.Some(version)
			return
		}
	}
	var link struct {
		Name    string `json:"name"`
		Version *int64 `json:"version"`
	}
	raw := text(m.val[aVercelPromptLink])
	if raw != "" && json.Unmarshal([]byte(raw), &link) == nil && link.Name != "" && link.Version != nil {
		o.PromptName, o.PromptVersion = withoutNUL(link.Name), domain.Some(*link.Version)
	}
}

// modelParameters is an object that came whole, else one of the attributes that
// came one by one. What Langfuse's own attribute says stands as it came, even
// where it is no JSON.
func (m *mapper) modelParameters() []byte {
	if s := text(m.val[aModelParameters]); s != "" {
		return bytesOf(s)
	}
	for _, a := range [...]attr{aLLMParameters, aModelConfig} {
		s := text(m.val[a])
		if c, ok := validCursor(bytesOf(s)); ok && c.kind() == '{' {
			return bytesOf(s)
		}
	}
	var out []byte
	for _, f := range [...]family{fSettings, fRequest, fInvocation} {
		prefix := len(familyTable[f].prefix)
		for _, kv := range m.families[f] {
			key := kv.Key[prefix:]
			if key == "model" || !isSet(kv.Value) {
				continue
			}
			if out == nil {
				out = append(m.arena.begin(), '{')
			}
			out = appendParameter(appendKey(out, key), kv.Value)
		}
	}
	if out == nil {
		return nil
	}
	return m.arena.end(append(out, '}'))
}

// appendParameter keeps texts and numbers; anything else becomes JSON text, as
// the API's parameters hold nothing deeper.
func appendParameter(dst []byte, v *commonpb.AnyValue) []byte {
	switch v.Value.(type) {
	case *commonpb.AnyValue_StringValue, *commonpb.AnyValue_IntValue, *commonpb.AnyValue_DoubleValue:
		return appendJSON(dst, v)
	}
	return appendString(dst, text(v))
}

// usageAliases are the spellings of each bucket after their family's prefix;
// the first that is present wins, a 0 too.
var usageAliases = [...]struct {
	key   string
	names []string
}{
	{"in", []string{"prompt_tokens", "input_tokens", "prompt", "promptTokens", "inputTokens"}},
	{"out", []string{"completion_tokens", "output_tokens", "completion", "completionTokens", "outputTokens"}},
	{"total", []string{"total_tokens", "total", "tokens", "totalTokens"}},
	{"input_cached_tokens", []string{"cache_read.input_tokens", "cache_read_input_tokens", "cache_read_tokens",
		"details.cache_read_tokens", "details.cache_read_input_tokens", "prompt_details.cache_read", "input_cached_tokens", "cachedInputTokens"}},
	{"input_cache_creation", []string{"cache_creation.input_tokens", "cache_creation_input_tokens", "cache_write_tokens",
		"details.cache_write_tokens", "details.cache_creation_input_tokens", "prompt_details.cache_write", "input_cache_creation"}},
	{"output_reasoning_tokens", []string{"reasoning.output_tokens", "completion_details.reasoning", "reasoningTokens"}},
	{"output_audio_tokens", []string{"completion_details.audio"}},
}

// The places of usageAliases that the sums need.
const (
	usageIn = iota
	usageOut
	usageTotal
	usageCached
	usageCacheCreation
	usageReasoning
	usageAudio
	usageBuckets
)

// usageName is where each spelling stands in usageAliases.
var usageName = func() map[string][2]int {
	m := map[string][2]int{}
	for bucket, u := range usageAliases {
		for rank, name := range u.names {
			m[name] = [2]int{bucket, rank}
		}
	}
	return m
}()

// usage is Langfuse's own usage details, else what the other conventions count,
// in buckets that are disjoint but for the total.
func (m *mapper) usage() domain.Usage {
	if v := m.val[aUsageDetails]; isSet(v) {
		if raw := text(v); json.Valid(bytesOf(raw)) {
			return pricing.UsageFromJSON(bytesOf(raw))
		}
	}
	var found [usageBuckets]domain.Opt[int64]
	var rank [usageBuckets]int
	var out domain.Usage
	for _, f := range [...]family{fUsage, fTokenCount, fVercelUsage} {
		prefix := len(familyTable[f].prefix)
		for _, kv := range m.families[f] {
			n, ok := integer(kv.Value)
			key := kv.Key[prefix:]
			if !ok || n < 0 || strings.Contains(key, "cost") {
				continue
			}
			at, known := usageName[key]
			switch bucket := at[0]; {
			case !known:
				out = append(out, domain.Count{Key: strings.TrimPrefix(key, "details."), Units: n})
			case !found[bucket].Set || at[1] < rank[bucket]:
				found[bucket], rank[bucket] = domain.Some(n), at[1]
			}
		}
	}
	if n, ok := integer(m.val[aLLMTotalTokens]); ok && n >= 0 && !found[usageTotal].Set {
		found[usageTotal] = domain.Some(n)
	}
	return pricing.SortUsage(disjoint(out, found))
}

// disjoint appends the buckets that were found; what has a bucket of its own is
// taken out of its side.
func disjoint(out domain.Usage, found [usageBuckets]domain.Opt[int64]) domain.Usage {
	if in := found[usageIn]; in.Set {
		out = append(out, domain.Count{Key: "input", Units: max(0, in.Value-found[usageCached].Value-found[usageCacheCreation].Value)})
	}
	if o := found[usageOut]; o.Set {
		out = append(out, domain.Count{Key: "output", Units: max(0, o.Value-found[usageReasoning].Value-found[usageAudio].Value)})
	}
	for bucket := usageTotal; bucket < usageBuckets; bucket++ {
		if n := found[bucket]; n.Set {
			out = append(out, domain.Count{Key: usageAliases[bucket].key, Units: n.Value})
		}
	}
	return out
}

// cost is Langfuse's own cost details, else what the other conventions name.
func (m *mapper) cost() domain.Cost {
	if v := m.val[aCostDetails]; isSet(v) {
		if raw := text(v); json.Valid(bytesOf(raw)) {
			return pricing.CostFromJSON(bytesOf(raw))
		}
	}
	var out domain.Cost
	for _, c := range [...]struct {
		key   string
		attrs [2]attr
	}{
		{"total", [2]attr{aUsageCost, aCostTotal}},
		{"input", [2]attr{aUsageInputCost, aCostInput}},
		{"output", [2]attr{aUsageOutputCost, aCostOutput}},
	} {
		for _, a := range c.attrs {
			if amount, ok := pricing.MoneyFromText(text(m.val[a])); ok && amount >= 0 {
				out = append(out, domain.Price{Key: c.key, Amount: amount})
				break
			}
		}
	}
	return pricing.SortCost(out)
}
