package pricing

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/domain"
)

// The limits of one usage or cost map. What goes beyond is dropped key by key,
// like everything else that can't be counted.
const (
	maxKeys = 1000
	maxKey  = 200
)

// UsageFromJSON reads the usage details of a generation in any of the three
// shapes that Langfuse's API takes: exactly OpenAI's chat shape or exactly its
// responses shape, whose details become buckets of their own and are taken out
// of their parent, else a free map. Of that it keeps whole numbers of 0 to
// 2^53-1, also as text, and drops the rest key by key. It returns nil where
// nothing remains; the result is sorted by key, each once.
func UsageFromJSON(raw []byte) domain.Usage {
	if !json.Valid(raw) {
		return nil
	}
	if u, ok := openAIUsage(raw); ok {
		return u
	}
	var u domain.Usage
	eachMember(raw, func(key, value []byte) bool {
		if n, ok := units(value); ok && len(key) <= maxKey {
			u = append(u, domain.Count{Key: string(key), Units: n})
		}
		return true
	})
	return SortUsage(u)
}

// LegacyUsageFromJSON reads the older usage object of a batch: either promptTokens,
// completionTokens and totalTokens, whose costs count for nothing, or input,
// output and total with inputCost, outputCost and totalCost. A missing total is
// the sum of what is there. Usage details, where sent, win over this.
func LegacyUsageFromJSON(raw []byte) (domain.Usage, domain.Cost) {
	if !json.Valid(raw) {
		return nil, nil
	}
	var plain, tokens legacyCounts
	var cost domain.Cost
	isTokens := false
	eachMember(raw, func(key, value []byte) bool {
		switch string(key) {
		case "input", "output", "total":
			plain.set(string(key), value)
		case "promptTokens":
			isTokens = tokens.set("input", value) || isTokens
		case "completionTokens":
			isTokens = tokens.set("output", value) || isTokens
		case "totalTokens":
			isTokens = tokens.set("total", value) || isTokens
		case "inputCost", "outputCost", "totalCost":
			if m, ok := amount(value); ok {
				cost = append(cost, domain.Price{Key: strings.TrimSuffix(string(key), "Cost"), Amount: m})
			}
		}
		return true
	})
	if isTokens {
		return tokens.usage(), nil
	}
	return plain.usage(), SortCost(cost)
}

// legacyCounts is the three counts of the older usage object.
type legacyCounts struct{ input, output, total domain.Opt[int64] }

// set takes a count and reports whether there was one at all, null being none.
func (c *legacyCounts) set(key string, value []byte) bool {
	n, ok := units(value)
	switch {
	case string(value) == "null":
		return false
	case !ok:
	case key == "input":
		c.input = domain.Some(n)
	case key == "output":
		c.output = domain.Some(n)
	default:
		c.total = domain.Some(n)
	}
	return true
}

func (c *legacyCounts) usage() domain.Usage {
	if !c.total.Set && (c.input.Set || c.output.Set) {
		c.total = domain.Some(sum(c.input.Value, c.output.Value))
	}
	var u domain.Usage
	for _, v := range []struct {
		key string
		n   domain.Opt[int64]
	}{{"input", c.input}, {"output", c.output}, {"total", c.total}} {
		if v.n.Set {
			u = append(u, domain.Count{Key: v.key, Units: v.n.Value})
		}
	}
	return u
}

// CostFromJSON reads cost details: every key with a number that is not negative,
// in dollars, exact to a picodollar (rounded half away from zero) and at most
// Max. Text and everything else is dropped key by key; nil where nothing
// remains. The result is sorted by key, each once.
func CostFromJSON(raw []byte) domain.Cost {
	if !json.Valid(raw) {
		return nil
	}
	var c domain.Cost
	eachMember(raw, func(key, value []byte) bool {
		if m, ok := amount(value); ok && len(key) <= maxKey {
			c = append(c, domain.Price{Key: string(key), Amount: m})
		}
		return true
	})
	return SortCost(c)
}

// SortUsage makes counts in any order a Usage: sorted by key, of a key that
// comes twice the last one. It reuses the slice.
func SortUsage(u []domain.Count) domain.Usage {
	u = sortLast(u, func(c domain.Count) string { return c.Key })
	return domain.Usage(u)
}

// SortCost makes prices in any order a Cost: sorted by key, of a key that comes
// twice the last one. It reuses the slice.
func SortCost(c []domain.Price) domain.Cost {
	c = sortLast(c, func(p domain.Price) string { return p.Key })
	return domain.Cost(c)
}

func sortLast[E any](es []E, key func(E) string) []E {
	if len(es) == 0 {
		return nil
	}
	slices.Reverse(es)
	slices.SortStableFunc(es, func(a, b E) int { return cmp.Compare(key(a), key(b)) })
	es = slices.CompactFunc(es, func(a, b E) bool { return key(a) == key(b) })
	return es[:min(len(es), maxKeys)]
}

// openAIShape is the words of one of OpenAI's two usage objects.
type openAIShape struct{ input, output, inputDetails, outputDetails string }

func openAIShapeOf(key string) (openAIShape, bool) {
	switch key {
	case "prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details":
		return openAIShape{"prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"}, true
	case "input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details":
		return openAIShape{"input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"}, true
	}
	return openAIShape{}, false
}

// openAIUsage reads either of OpenAI's shapes and reports whether it was one:
// the three counts, perhaps details, no other key, nothing but whole numbers.
func openAIUsage(raw []byte) (domain.Usage, bool) {
	var shape openAIShape
	var input, output, total domain.Opt[int64]
	var u domain.Usage
	whole := true
	eachMember(raw, func(key, value []byte) bool {
		k := string(key)
		if s, ok := openAIShapeOf(k); ok && shape.input == "" {
			shape = s
		}
		switch k {
		case "total_tokens":
			total.Value, total.Set = number(value)
			whole = total.Set
		case shape.input:
			input.Value, input.Set = number(value)
			whole = input.Set
		case shape.output:
			output.Value, output.Set = number(value)
			whole = output.Set
		case shape.inputDetails:
			u, whole = appendDetails(u, "input_", value)
		case shape.outputDetails:
			u, whole = appendDetails(u, "output_", value)
		default:
			whole = false
		}
		return whole
	})
	if !whole || !input.Set || !output.Set || !total.Set {
		return nil, false
	}
	u = SortUsage(u)
	for _, d := range u {
		if strings.HasPrefix(d.Key, "input_") {
			input.Value = max(input.Value-d.Units, 0)
		} else {
			output.Value = max(output.Value-d.Units, 0)
		}
	}
	u = append(u, domain.Count{Key: "input", Units: input.Value},
		domain.Count{Key: "output", Units: output.Value},
		domain.Count{Key: "total", Units: total.Value})
	return SortUsage(u), true
}

// appendDetails appends the details of one side; null ones don't count.
func appendDetails(u domain.Usage, side string, raw []byte) (domain.Usage, bool) {
	if string(raw) == "null" {
		return u, true
	}
	whole := raw[0] == '{'
	eachMember(raw, func(key, value []byte) bool {
		if string(value) == "null" {
			return true
		}
		n, ok := number(value)
		if whole = ok && len(key) <= maxKey; whole {
			u = append(u, domain.Count{Key: side + string(key), Units: n})
		}
		return whole
	})
	return u, whole
}

// units is the value as a number of units: a whole number, or its digits as text.
func units(value []byte) (int64, bool) {
	if len(value) > 2 && value[0] == '"' {
		text := string(value[1 : len(value)-1])
		if leadingDigits(text) != text {
			return 0, false
		}
		trimmed := strings.TrimLeft(text, "0")
		if trimmed == "" {
			return 0, true
		}
		return number([]byte(trimmed))
	}
	return number(value)
}

// number is the value as a whole number of 0 to 2^53-1; 5.0 and 1e3 are whole.
func number(value []byte) (int64, bool) {
	if n, ok := plainDigits(value); ok {
		return n, true
	}
	d, ok := parseDecimal(string(value))
	if !ok {
		return 0, false
	}
	return d.integer()
}

// plainDigits reads the usual case without an allocation.
func plainDigits(value []byte) (int64, bool) {
	if len(value) == 0 || len(value) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// amount is the value as dollars that are not negative.
func amount(value []byte) (domain.Money, bool) {
	m, ok := MoneyFromText(string(value))
	return m, ok && m >= 0
}

// sum adds counts that aren't negative, without overflow.
func sum(a, b int64) int64 {
	if a > maxUnits-b {
		return maxUnits
	}
	return a + b
}

// maxUnits bounds a sum of units: the greatest integer that every JSON reader holds.
const maxUnits = 1<<53 - 1
