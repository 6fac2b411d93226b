package query

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/clewhq/clew/internal/domain"
)

// Facet asks for the values of a column and how many rows have each.
type Facet struct {
	View    View
	Filter  Filter
	Ref     Ref    // a map without a key: its keys; of one with a key what stands there
	Prefix  string // only values that begin so
	Limit   int    // 0: 100
	KeepOwn bool   // else what the filter says of the column itself is left out
	Bind    Bind
}

// FacetValue is a value and its rows; the missing one comes last.
type FacetValue struct {
	Value   string
	Missing bool
	Count   int64
}

// FacetResult is the answer to a Facet.
type FacetResult struct {
	Values  []FacetValue
	Stopped bool // before all rows were looked at, the newest first: bodies are, within bounds
}

// maxFacet is how many values a facet answers.
const maxFacet = 1000

// Aggregate is the aggregate whose groups are the facet's values. The error is
// a domain.Error.
func (f *Facet) Aggregate() (*Aggregate, error) {
	filter := f.Filter
	if filter == nil {
		filter = And{}
	}
	if !f.KeepOwn {
		var rest And
		for _, part := range flatten(filter) {
			if ref, is := refOf(part); !is || ref != f.Ref {
				rest = append(rest, part)
			}
		}
		filter = rest
	}
	if f.Limit < 0 || f.Limit > maxFacet {
		return nil, &domain.Error{Code: domain.Invalid, Field: "limit", Msg: fmt.Sprintf("a facet has 1 to %d values", maxFacet)}
	}
	return &Aggregate{
		View: f.View, Filter: filter, Measures: []Measure{{Agg: Count}}, By: []Dim{{Ref: f.Ref, Explode: true}},
		Order: []AggOrder{{Measure: 0, Dim: -1, Desc: true}}, Limit: maxAggRows, Bind: f.Bind,
	}, nil
}

// refOf is what a condition, or its negation, compares.
func refOf(f Filter) (Ref, bool) {
	switch f := f.(type) {
	case Not:
		return refOf(f.Filter)
	case Cmp:
		return f.Ref, true
	case Has:
		return f.Ref, true
	}
	return Ref{}, false
}

// Result is the facet's values in the groups of its aggregate.
func (f *Facet) Result(r *Result) *FacetResult {
	var out []FacetValue
	missing := int64(0)
	limit := cmp.Or(f.Limit, 100)
	for _, g := range r.Groups {
		switch d := g.Dims[0]; {
		case d.Missing:
			missing = g.Values[0].Int
		case len(out) < limit && strings.HasPrefix(d.Text, f.Prefix):
			out = append(out, FacetValue{Value: d.Text, Count: g.Values[0].Int})
		}
	}
	if missing > 0 && f.Prefix == "" {
		out = append(out, FacetValue{Missing: true, Count: missing})
	}
	return &FacetResult{Values: out, Stopped: r.Stopped}
}
