package pricing

import (
	"cmp"
	"slices"

	"github.com/clewhq/clew/internal/domain"
)

// Derive sets o.Derived by the price lists of the project as of o.CreatedAt.
//
// Cost that was provided is kept exactly and nothing is computed beside it.
// Else each usage key that the tier prices, by its own name or by the one it is
// an alias of, costs units × price, and the total is what a priced "total"
// costs, else the sum of the parts. A usage key without a price costs nothing,
// and there are no prices to fall back on. The results share memory with o's
// provided usage and cost.
func (b *Book) Derive(project string, o *domain.Observation) {
	o.Derived = domain.Derived{Usage: withTotal(o.ProvidedUsage)}
	var m *model
	if o.Model != "" {
		l := b.at(project, o.CreatedAt)
		o.Derived.PriceList = l.version
		if m = l.match(o.Model, o.Start); m != nil {
			o.Derived.ModelID = m.def.ID
		}
	}
	switch {
	case len(o.ProvidedCost) > 0:
		o.Derived.Cost, o.Derived.TotalCost = providedCost(o.ProvidedCost)
	case m != nil && len(o.Derived.Usage) > 0:
		t := m.tier(o, o.Derived.Usage)
		o.Derived.TierID, o.Derived.TierName = t.ID, t.Name
		o.Derived.Cost, o.Derived.TotalCost = t.cost(o.Derived.Usage)
	}
}

const total = "total"

// withTotal is the usage with a total: the given one, else the sum of all keys.
func withTotal(u domain.Usage) domain.Usage {
	if len(u) == 0 {
		return nil
	}
	var n int64
	for i := range u {
		if u[i].Key == total {
			return u
		}
		n = sum(n, u[i].Units)
	}
	out := append(make(domain.Usage, 0, len(u)+1), u...)
	at, _ := slices.BinarySearchFunc(out, total, func(c domain.Count, key string) int { return cmp.Compare(c.Key, key) })
	return slices.Insert(out, at, domain.Count{Key: total, Units: n})
}

// providedCost is the cost as sent, and its total: the given one, else that of
// input and output where there is nothing beside them, else none.
func providedCost(c domain.Cost) (domain.Cost, domain.Opt[domain.Money]) {
	var all domain.Money
	simple := true
	for i := range c {
		switch c[i].Key {
		case total:
			return c, domain.Some(c[i].Amount)
		case "input", "output":
			all = plus(all, c[i].Amount)
		default:
			simple = false
		}
	}
	if !simple {
		return c, domain.Opt[domain.Money]{}
	}
	return insertTotal(append(make(domain.Cost, 0, len(c)+1), c...), all), domain.Some(all)
}

// cost is what the units cost in this tier; nothing where none has a price.
func (t *tier) cost(u domain.Usage) (domain.Cost, domain.Opt[domain.Money]) {
	c := make(domain.Cost, 0, len(u)+1)
	var all domain.Money
	for i := range u {
		rate, found := t.Prices[u[i].Key]
		if !found {
			if rate, found = t.Prices[priceKey(u[i].Key)]; !found {
				continue
			}
		}
		amount := rate.Cost(u[i].Units)
		c = append(c, domain.Price{Key: u[i].Key, Amount: amount})
		all = plus(all, amount)
	}
	if len(c) == 0 {
		return nil, domain.Opt[domain.Money]{}
	}
	if amount, found := c.Get(total); found {
		return c, domain.Some(amount)
	}
	return insertTotal(c, all), domain.Some(all)
}

func insertTotal(c domain.Cost, amount domain.Money) domain.Cost {
	at, _ := slices.BinarySearchFunc(c, total, func(p domain.Price, key string) int { return cmp.Compare(p.Key, key) })
	return slices.Insert(c, at, domain.Price{Key: total, Amount: amount})
}
