package parea

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// annotated compiles a comparison of what people scored by a criterion, of which
// the type and the number are given.
func (a *API) annotated(ctx context.Context, project string, c *condition, rest string) (query.Filter, error) {
	typ, number, _ := strings.Cut(rest, ":")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil || typ != "continuous" && typ != "categorical" {
		return nil, invalid("filter_field", "must be annotation:continuous: or annotation:categorical: and the number of a criterion")
	}
	configs, _, err := a.catalog.ScoreConfigs(ctx, project, 0, 10_000)
	if err != nil {
		return nil, err
	}
	any := query.Or{}
	for i := range configs {
		if criterionID(configs[i].ID) != id {
			continue
		}
		f, err := c.numericOrLabel(&configs[i], typ)
		if err != nil {
			return nil, err
		}
		any = append(any, f)
	}
	return any, nil
}

// numericOrLabel compares a criterion's scores. Those of a categorical one have
// labels: the operator says which labels are taken, by themselves or by their
// numbers.
func (c *condition) numericOrLabel(cfg *catalog.ScoreConfig, typ string) (query.Filter, error) {
	if typ != "categorical" || cfg.Type != domain.ScoreCategorical || c.operator == "exists" || c.operator == "is_null" {
		return c.scored(cfg.Name)
	}
	takes, err := c.label()
	if err != nil {
		return nil, err
	}
	f := query.Cmp{Ref: query.Ref{Column: query.ColScore, Key: cfg.Name}, Op: query.In}
	for _, k := range cfg.Categories {
		if takes(k) {
			f.Values = append(f.Values, query.Str(k.Label))
		}
	}
	any := query.Filter(query.Or{})
	if f.Values != nil {
		any = query.Rel{Name: query.RelTrace, Where: f}
	}
	if c.operator == "not_equals" {
		return not(any), nil
	}
	return any, nil
}

// label is which categories the operator and its value take; of not_equals those
// of equals.
func (c *condition) label() (takes func(catalog.Category) bool, err error) {
	texts := []string{c.text()}
	switch c.operator {
	case "in", "between":
		texts = c.list()
	case "like":
		parts := strings.Split(strings.ToLower(c.text()), "%")
		return func(k catalog.Category) bool { return likeParts(strings.ToLower(k.Label), parts) }, nil
	}
	numbers := make([]float64, len(texts))
	for i, t := range texts {
		if numbers[i], err = strconv.ParseFloat(t, 64); err != nil {
			numbers[i] = math.NaN() // it equals and orders nothing
		}
	}
	switch c.operator {
	case "equals", "not_equals", "in":
		return func(k catalog.Category) bool {
			return slices.Contains(texts, k.Label) || slices.Contains(numbers, k.Value)
		}, nil
	}
	if _, isOrder := orderings[c.operator]; !isOrder && c.operator != "between" {
		return nil, c.unknownOperator()
	}
	if len(numbers) == 0 || slices.ContainsFunc(numbers, math.IsNaN) {
		return nil, invalid("filter_value", "must be a number to put the numbers of labels in order")
	}
	switch n := numbers[0]; c.operator {
	case "greater_than":
		return func(k catalog.Category) bool { return k.Value > n }, nil
	case "greater_than_or_equal":
		return func(k catalog.Category) bool { return k.Value >= n }, nil
	case "less_than":
		return func(k catalog.Category) bool { return k.Value < n }, nil
	case "less_than_or_equal":
		return func(k catalog.Category) bool { return k.Value <= n }, nil
	default:
		if len(numbers) != 2 {
			return nil, betweenTwo()
		}
		return func(k catalog.Category) bool { return k.Value >= n && k.Value <= numbers[1] }, nil
	}
}

// likeParts reports whether a text holds the only part, or is made of all of
// them with anything between.
func likeParts(text string, parts []string) bool {
	last := len(parts) - 1
	if last == 0 {
		return strings.Contains(text, parts[0])
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	for _, p := range parts[1:last] {
		if ok {
			_, rest, ok = strings.Cut(rest, p)
		}
	}
	return ok && strings.HasSuffix(rest, parts[last])
}
