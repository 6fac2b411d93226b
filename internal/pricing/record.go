package pricing

import (
	"encoding/json"

	"github.com/clewhq/clew/internal/domain"
)

// record is a Definition as the catalog keeps it. Its names are on disk: add
// to them, but never change one.
type record struct {
	ID              string          `json:"id"`
	ModelName       string          `json:"modelName"`
	Match           string          `json:"match"`
	Unit            string          `json:"unit,omitempty"`
	StartDate       *int64          `json:"startDate,omitempty"` // nanoseconds since 1970 UTC, like every time here
	Tiers           []tierRecord    `json:"tiers"`
	BuiltIn         bool            `json:"builtIn,omitempty"`
	Provider        string          `json:"provider,omitempty"`
	TokenizerHint   string          `json:"tokenizerHint,omitempty"`
	TokenizerConfig json.RawMessage `json:"tokenizerConfig,omitempty"`
	CreatedAt       *int64          `json:"createdAt,omitempty"`
	UpdatedAt       *int64          `json:"updatedAt,omitempty"`
}

type tierRecord struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Default    bool              `json:"default,omitempty"`
	Priority   int               `json:"priority"`
	Conditions []conditionRecord `json:"conditions,omitempty"`
	Prices     map[string]Rate   `json:"prices"` // dollars per unit, exact
}

type conditionRecord struct {
	UsagePattern  string   `json:"usagePattern,omitempty"`
	CaseSensitive bool     `json:"caseSensitive,omitempty"`
	Operator      Operator `json:"operator,omitempty"`
	Value         float64  `json:"value,omitempty"`
	Source        Source   `json:"source,omitempty"`
	Key           string   `json:"key,omitempty"`
	Values        []string `json:"values,omitempty"`
}

// MarshalJSON implements json.Marshaler: the form in which a catalog keeps a
// project's definition, not that of any dialect.
func (d Definition) MarshalJSON() ([]byte, error) {
	r := record{
		ID: d.ID, ModelName: d.ModelName, Match: d.Match, Unit: d.Unit, StartDate: nanos(d.StartDate),
		BuiltIn: d.BuiltIn, Provider: d.Provider, TokenizerHint: d.TokenizerHint, TokenizerConfig: d.TokenizerConfig,
		CreatedAt: nanos(d.CreatedAt), UpdatedAt: nanos(d.UpdatedAt),
	}
	for _, t := range d.Tiers {
		tr := tierRecord{ID: t.ID, Name: t.Name, Default: t.Default, Priority: t.Priority, Prices: t.Prices}
		for _, c := range t.Conditions {
			tr.Conditions = append(tr.Conditions, conditionRecord(c))
		}
		r.Tiers = append(r.Tiers, tr)
	}
	return json.Marshal(r)
}

// UnmarshalJSON implements json.Unmarshaler for what MarshalJSON wrote.
func (d *Definition) UnmarshalJSON(raw []byte) error {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	*d = Definition{
		ID: r.ID, ModelName: r.ModelName, Match: r.Match, Unit: r.Unit, StartDate: instant(r.StartDate),
		BuiltIn: r.BuiltIn, Provider: r.Provider, TokenizerHint: r.TokenizerHint, TokenizerConfig: r.TokenizerConfig,
		CreatedAt: instant(r.CreatedAt), UpdatedAt: instant(r.UpdatedAt),
	}
	for _, tr := range r.Tiers {
		t := Tier{ID: tr.ID, Name: tr.Name, Default: tr.Default, Priority: tr.Priority, Prices: tr.Prices}
		for _, c := range tr.Conditions {
			t.Conditions = append(t.Conditions, Condition(c))
		}
		d.Tiers = append(d.Tiers, t)
	}
	return nil
}

func nanos(t domain.Time) *int64 {
	if !t.IsSet() {
		return nil
	}
	ns := t.Nanos()
	return &ns
}

func instant(ns *int64) domain.Time {
	if ns == nil {
		return domain.Time{}
	}
	return domain.At(*ns)
}
