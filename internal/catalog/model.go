package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
	"github.com/clewhq/clew/internal/store"
)

// storedPriceList is one version of a project's own model definitions. Versions
// are only added: what was priced by one is priced by it for ever.
type storedPriceList struct {
	Project     string               `json:"project"`
	Version     int64                `json:"version"`
	From        int64                `json:"from"` // nanoseconds; holds for observations committed from then on
	Definitions []pricing.Definition `json:"definitions"`
}

// priceListID sorts the versions of a project in their order.
func priceListID(project string, version int64) string {
	return fmt.Sprintf("%s/%010d", project, version)
}

// LoadPrices puts every project's price lists into the book. It is done once,
// before anything is derived.
func (c *Catalog) LoadPrices(ctx context.Context) error {
	return c.records.View(ctx, instance, func(tx store.Tx) error {
		for r, err := range tx.Find(kindPriceList, "", "", "") {
			var l storedPriceList
			if err == nil {
				err = decode(r, &l)
			}
			if err == nil {
				err = c.prices.SetProject(l.Project, l.Definitions, domain.At(l.From), l.Version)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Models lists the model definitions that a project sees, built-in ones too.
func (c *Catalog) Models(project string) []*pricing.Definition { return c.prices.Definitions(project) }

// Model is one definition that a project sees; domain.NotFound.
func (c *Catalog) Model(project, id string) (*pricing.Definition, error) {
	d, found := c.prices.Definition(project, id)
	if !found {
		return nil, domain.Errorf(domain.NotFound, "Model not found")
	}
	return d, nil
}

// CreateModel adds a definition to a project's own; its id is made up. A name
// that the project has already is domain.Invalid. What was stored before keeps
// its price.
func (c *Catalog) CreateModel(ctx context.Context, project string, d pricing.Definition) (*pricing.Definition, error) {
	d.ID = NewID("model_")
	return c.SetModel(ctx, project, d)
}

// SetModel adds a definition to a project's own, or puts it in place of the one
// that has its id, as CreateModel does. The id of a built-in one is refused.
func (c *Catalog) SetModel(ctx context.Context, project string, d pricing.Definition) (*pricing.Definition, error) {
	if err := checkID("id", d.ID); err != nil {
		return nil, err
	}
	if known, found := c.prices.Definition(project, d.ID); found && known.BuiltIn {
		return nil, domain.Errorf(domain.Invalid, "Built-in models can't be changed: override them with a model of the same name")
	}
	d.BuiltIn = false
	for i := range d.Tiers {
		if d.Tiers[i].Default && d.Tiers[i].ID == "" {
			d.Tiers[i].ID = pricing.DefaultTierID(d.ID)
		} else if d.Tiers[i].ID == "" {
			d.Tiers[i].ID = NewID("tier_")
		}
	}
	d.CreatedAt = domain.TimeOf(c.now())
	d.UpdatedAt = d.CreatedAt
	if err := d.Validate(); err != nil {
		return nil, err
	}
	err := c.changePrices(ctx, project, func(defs []pricing.Definition) ([]pricing.Definition, error) {
		if slices.ContainsFunc(defs, func(o pricing.Definition) bool { return o.ModelName == d.ModelName && o.ID != d.ID }) {
			return nil, domain.Errorf(domain.Invalid, "Model name '%s' already exists in project", d.ModelName)
		}
		if i := slices.IndexFunc(defs, func(o pricing.Definition) bool { return o.ID == d.ID }); i >= 0 {
			d.CreatedAt = defs[i].CreatedAt
			defs[i] = d
			return defs, nil
		}
		return append(defs, d), nil
	})
	if err != nil {
		return nil, err
	}
	return c.Model(project, d.ID)
}

// DeleteModel removes one of a project's own definitions. A built-in or unknown
// one is domain.NotFound.
func (c *Catalog) DeleteModel(ctx context.Context, project, id string) error {
	return c.changePrices(ctx, project, func(defs []pricing.Definition) ([]pricing.Definition, error) {
		i := slices.IndexFunc(defs, func(d pricing.Definition) bool { return d.ID == id })
		if i < 0 {
			return nil, domain.Errorf(domain.NotFound, "No model with this id found. Note: You cannot delete built-in models, override them with a model with the same name.")
		}
		return slices.Delete(defs, i, i+1), nil
	})
}

// changePrices adds a version to a project's price lists, which change makes of
// the newest.
func (c *Catalog) changePrices(ctx context.Context, project string, change func([]pricing.Definition) ([]pricing.Definition, error)) error {
	var l storedPriceList
	err := c.records.Tx(ctx, instance, func(tx store.Tx) error {
		newest := storedPriceList{Project: project}
		for r, err := range tx.Find(kindPriceList, "project", project, "") {
			if err == nil {
				err = decode(r, &newest)
			}
			if err != nil {
				return err
			}
		}
		defs, err := change(newest.Definitions)
		if err != nil {
			return err
		}
		l = storedPriceList{project, newest.Version + 1, c.now().UnixNano(), defs}
		return put(tx, kindPriceList, priceListID(project, l.Version), l,
			store.Key{Name: "project", Value: project, Sort: fmt.Sprintf("%010d", l.Version)})
	})
	if err != nil {
		return err
	}
	return c.prices.SetProject(project, l.Definitions, domain.At(l.From), l.Version)
}

var _ json.Marshaler = pricing.Definition{} // the lists are kept in the package's own form
