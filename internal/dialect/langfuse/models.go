package langfuse

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/pricing"
)

// modelReply is a model definition as the API shows it. The flat prices, and
// prices, are those of the default tier.
type modelReply struct {
	ID              string                `json:"id"`
	ModelName       string                `json:"modelName"`
	MatchPattern    string                `json:"matchPattern"`
	StartDate       *string               `json:"startDate"`
	Unit            *string               `json:"unit"`
	InputPrice      *pricing.Rate         `json:"inputPrice"`
	OutputPrice     *pricing.Rate         `json:"outputPrice"`
	TotalPrice      *pricing.Rate         `json:"totalPrice"`
	TokenizerID     *string               `json:"tokenizerId"`
	TokenizerConfig json.RawMessage       `json:"tokenizerConfig"`
	Managed         bool                  `json:"isLangfuseManaged"`
	CreatedAt       string                `json:"createdAt"`
	Prices          map[string]priceReply `json:"prices"`
	PricingTiers    []tierReply           `json:"pricingTiers"`
}

type priceReply struct {
	Price pricing.Rate `json:"price"`
}

type tierReply struct {
	ID         string                  `json:"id"`
	Name       string                  `json:"name"`
	Default    bool                    `json:"isDefault"`
	Priority   int                     `json:"priority"`
	Conditions []conditionWire         `json:"conditions"`
	Prices     map[string]pricing.Rate `json:"prices"`
}

// conditionWire is a condition of a tier, in requests and answers alike: about
// units, or about an attribute.
type conditionWire struct {
	UsageDetailPattern string   `json:"usageDetailPattern,omitempty"`
	Operator           string   `json:"operator"`
	Value              *float64 `json:"value,omitempty"`
	CaseSensitive      *bool    `json:"caseSensitive,omitempty"`
	Source             string   `json:"source,omitempty"`
	Key                string   `json:"key,omitempty"`
	Values             []string `json:"values,omitempty"`
}

func toModel(d *pricing.Definition) modelReply {
	m := modelReply{
		ID: d.ID, ModelName: d.ModelName, MatchPattern: d.Match, Managed: d.BuiltIn,
		CreatedAt: wireTime(d.CreatedAt), TokenizerConfig: d.TokenizerConfig,
		Prices: map[string]priceReply{}, PricingTiers: []tierReply{},
	}
	if d.StartDate.IsSet() {
		s := wireTime(d.StartDate)
		m.StartDate = &s
	}
	if d.Unit != "" {
		m.Unit = &d.Unit
	}
	if d.TokenizerHint == "openai" || d.TokenizerHint == "claude" { // the SDKs know these two
		m.TokenizerID = &d.TokenizerHint
	}
	for i := range d.Tiers {
		t := &d.Tiers[i]
		m.PricingTiers = append(m.PricingTiers, toTier(t))
		if !t.Default {
			continue
		}
		for key, rate := range t.Prices {
			m.Prices[key] = priceReply{rate}
		}
		for key, to := range map[string]**pricing.Rate{"input": &m.InputPrice, "output": &m.OutputPrice, "total": &m.TotalPrice} {
			if rate, found := t.Prices[key]; found {
				*to = &rate
			}
		}
	}
	return m
}

func toTier(t *pricing.Tier) tierReply {
	r := tierReply{ID: t.ID, Name: t.Name, Default: t.Default, Priority: t.Priority, Conditions: []conditionWire{}, Prices: t.Prices}
	for i := range t.Conditions {
		c := &t.Conditions[i]
		if c.IsUsage() {
			r.Conditions = append(r.Conditions, conditionWire{
				UsageDetailPattern: c.UsagePattern, Operator: string(c.Operator), Value: &c.Value, CaseSensitive: &c.CaseSensitive,
			})
			continue
		}
		r.Conditions = append(r.Conditions, conditionWire{Source: string(c.Source), Key: c.Key, Operator: "in", Values: c.Values})
	}
	return r
}

// wireTime is an instant as the API writes it.
func wireTime(t domain.Time) string {
	if !t.IsSet() {
		t = domain.At(0)
	}
	return string(appendTime(nil, t))
}

// listModels serves GET /models: the project's own definitions and the built-in
// ones, by name.
func (a *API) listModels(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	page, err := parsePage(r.URL.Query())
	if err != nil {
		return err
	}
	defs := slices.Clone(a.catalog.Models(p.Project))
	slices.SortStableFunc(defs, func(x, y *pricing.Definition) int {
		return cmp.Or(cmp.Compare(x.ModelName, y.ModelName), cmp.Compare(x.Unit, y.Unit), cmp.Compare(y.StartDate.Nanos(), x.StartDate.Nanos()))
	})
	from, to, meta := page.of(len(defs))
	list := make([]modelReply, 0, to-from)
	for _, d := range defs[from:to] {
		list = append(list, toModel(d))
	}
	httpio.WriteJSON(w, http.StatusOK, map[string]any{"data": list, "meta": meta})
	return nil
}

// getModel serves GET /models/{modelId}.
func (a *API) getModel(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	d, err := a.catalog.Model(p.Project, r.PathValue("modelId"))
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toModel(d))
	return nil
}

// deleteModel serves DELETE /models/{modelId}.
func (a *API) deleteModel(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	if err := a.catalog.DeleteModel(r.Context(), p.Project, r.PathValue("modelId")); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, messageReply{"Model successfully deleted"})
	return nil
}

// modelRequest is the body that creates a definition: with flat prices or with
// tiers.
type modelRequest struct {
	ModelName       string          `json:"modelName"`
	MatchPattern    string          `json:"matchPattern"`
	Unit            string          `json:"unit"`
	StartDate       *string         `json:"startDate"`
	InputPrice      *pricing.Rate   `json:"inputPrice"`
	OutputPrice     *pricing.Rate   `json:"outputPrice"`
	TotalPrice      *pricing.Rate   `json:"totalPrice"`
	TokenizerID     *string         `json:"tokenizerId"`
	TokenizerConfig json.RawMessage `json:"tokenizerConfig"`
	PricingTiers    []tierRequest   `json:"pricingTiers"`
}

type tierRequest struct {
	Name       string                  `json:"name"`
	Default    bool                    `json:"isDefault"`
	Priority   int                     `json:"priority"`
	Conditions []conditionWire         `json:"conditions"`
	Prices     map[string]pricing.Rate `json:"prices"`
}

// postModel serves POST /models.
func (a *API) postModel(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	return a.writeModel(w, r, func(d pricing.Definition) (*pricing.Definition, error) {
		return a.catalog.CreateModel(r.Context(), p.Project, d)
	})
}

// putModel serves PUT /models/{modelId}: it creates a definition of that id or
// replaces it.
func (a *API) putModel(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	return a.writeModel(w, r, func(d pricing.Definition) (*pricing.Definition, error) {
		d.ID = r.PathValue("modelId")
		return a.catalog.SetModel(r.Context(), p.Project, d)
	})
}

func (a *API) writeModel(w http.ResponseWriter, r *http.Request, write func(pricing.Definition) (*pricing.Definition, error)) error {
	var in modelRequest
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	d, err := in.definition()
	if err != nil {
		return err
	}
	made, err := write(d)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toModel(made))
	return nil
}

func (in *modelRequest) definition() (pricing.Definition, error) {
	d := pricing.Definition{ModelName: in.ModelName, Match: in.MatchPattern, Unit: in.Unit}
	if in.StartDate != nil && *in.StartDate != "" {
		t, err := parseQueryTime(*in.StartDate)
		if err != nil {
			return d, invalid("startDate", "expected a time like 2026-01-02T03:04:05.678Z")
		}
		d.StartDate = t
	}
	if in.TokenizerID != nil {
		d.TokenizerHint = *in.TokenizerID
	}
	if string(in.TokenizerConfig) != "null" {
		d.TokenizerConfig = in.TokenizerConfig
	}
	flat := in.InputPrice != nil || in.OutputPrice != nil || in.TotalPrice != nil
	switch {
	case flat && len(in.PricingTiers) > 0:
		return d, invalid("pricingTiers", "flat prices and pricingTiers exclude each other")
	case in.TotalPrice != nil && (in.InputPrice != nil || in.OutputPrice != nil):
		return d, invalid("totalPrice", "totalPrice excludes inputPrice and outputPrice")
	case len(in.PricingTiers) == 0:
		d.Tiers = []pricing.Tier{in.flatTier()}
		return d, nil
	}
	for i := range in.PricingTiers {
		d.Tiers = append(d.Tiers, in.PricingTiers[i].tier())
	}
	return d, nil
}

func (in *modelRequest) flatTier() pricing.Tier {
	t := pricing.Tier{Name: pricing.DefaultTierName, Default: true, Prices: map[string]pricing.Rate{}}
	for key, rate := range map[string]*pricing.Rate{"input": in.InputPrice, "output": in.OutputPrice, "total": in.TotalPrice} {
		if rate != nil {
			t.Prices[key] = *rate
		}
	}
	return t
}

func (in *tierRequest) tier() pricing.Tier {
	t := pricing.Tier{Name: in.Name, Default: in.Default, Priority: in.Priority, Prices: in.Prices}
	for _, c := range in.Conditions {
		if c.UsageDetailPattern == "" {
			t.Conditions = append(t.Conditions, pricing.Condition{Source: pricing.Source(c.Source), Key: c.Key, Values: c.Values})
			continue
		}
		u := pricing.Condition{UsagePattern: c.UsageDetailPattern, Operator: pricing.Operator(c.Operator)}
		if c.Value != nil {
			u.Value = *c.Value
		}
		if c.CaseSensitive != nil {
			u.CaseSensitive = *c.CaseSensitive
		}
		t.Conditions = append(t.Conditions, u)
	}
	return t
}
