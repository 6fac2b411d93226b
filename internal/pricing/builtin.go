package pricing

import (
	"bytes"
	_ "embed" // for the price list
	"encoding/json"
	"strings"
)

// pricesJSON is the built-in list: USD per single unit, the more specific
// models first, since the first that matches wins. A list that was released is
// in force for what was committed under it; when prices change, add a second
// list that holds from a later time instead of editing this one.
//
//go:embed prices.json
var pricesJSON []byte

// priceFile is prices.json.
type priceFile struct {
	Currency string       `json:"currency"`
	AsOf     string       `json:"as_of"`
	Models   []priceEntry `json:"models"`
}

// priceEntry is one model of the file: its usual prices, and the tiers that
// replace them, tried in their order.
type priceEntry struct {
	Model         string          `json:"model"`
	Provider      string          `json:"provider"`
	Unit          string          `json:"unit"`
	TokenizerHint string          `json:"tokenizer_hint"`
	Match         string          `json:"match"`
	Prices        map[string]Rate `json:"prices"`
	Tiers         []struct {
		Name   string          `json:"name"`
		AllOf  []priceWhen     `json:"all_of"`
		Prices map[string]Rate `json:"prices"`
	} `json:"tiers"`
}

// priceWhen is a condition: an attribute has one of some values, or more than
// so many units have "input" in their key, cached ones included.
type priceWhen struct {
	Param               string   `json:"param"`
	In                  []string `json:"in"`
	InputSideTokensOver int64    `json:"input_side_tokens_over"`
}

// builtIn reads the built-in list.
func builtIn() []Definition {
	d := json.NewDecoder(bytes.NewReader(pricesJSON))
	d.DisallowUnknownFields()
	var f priceFile
	if err := d.Decode(&f); err != nil {
		panic("pricing: prices.json: " + err.Error()) // a mistake in this build, which tests show
	}
	defs := make([]Definition, len(f.Models))
	for i := range f.Models {
		defs[i] = f.Models[i].definition()
	}
	return defs
}

// definition gives the entry ids that follow from its names alone, so that they
// are the same in every release.
func (e *priceEntry) definition() Definition {
	id := "model_" + e.Model
	d := Definition{
		ID:            id,
		ModelName:     e.Model,
		Match:         e.Match,
		Unit:          strings.ToUpper(e.Unit) + "S",
		BuiltIn:       true,
		Provider:      e.Provider,
		TokenizerHint: e.TokenizerHint,
		Tiers:         []Tier{{ID: DefaultTierID(id), Name: DefaultTierName, Default: true, Prices: e.Prices}},
	}
	for i, t := range e.Tiers {
		next := Tier{ID: id + "_tier_" + slug(t.Name), Name: t.Name, Priority: i + 1, Prices: t.Prices}
		for _, w := range t.AllOf {
			c := Condition{Key: w.Param, Values: w.In}
			if w.InputSideTokensOver > 0 {
				c = Condition{UsagePattern: "input", Operator: Greater, Value: float64(w.InputSideTokensOver)}
			}
			next.Conditions = append(next.Conditions, c)
		}
		d.Tiers = append(d.Tiers, next)
	}
	return d
}

// slug is the letters and digits of a name with _ between its words.
func slug(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "_")
}
