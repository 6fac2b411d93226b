package parea

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// condition is the one condition that a request for logs may have.
type condition struct {
	field, key, operator string
	value                json.RawMessage
}

// columns is which columns the fields of a log have; any other field stands in
// the metadata.
var columns = map[string]query.Col{
	"trace_name": query.ColName, "output": query.ColOutput, "error": query.ColStatus, "latency": query.ColLatency, "cost": query.ColCost,
	"input_tokens": query.ColInputTokens, "output_tokens": query.ColOutputTokens, "total_tokens": query.ColTokens,
	"start_timestamp": query.ColStart, "end_timestamp": query.ColEnd, "session_id": query.ColOwnSession, "end_user_identifier": query.ColOwnUser,
	"tags": query.ColOwnTags, "model": query.ColModel, "trace_id": query.ColID, "parent_trace_id": query.ColParent, "root_trace_id": query.ColTrace,
	"experiment_uuid": query.ColExperiment, "time_to_first_token": query.ColTTFT,
}

// parseCondition compiles the filter of a request, nil where it has none.
func (a *API) parseCondition(ctx context.Context, project string, o object) (query.Filter, error) {
	c := condition{o.text("filter_field"), o.text("filter_key"), strings.ToLower(o.text("filter_operator")), bytes.TrimSpace(o["filter_value"])}
	if c.field == "" || c.operator == "" {
		return nil, nil
	}
	f, err := a.compile(ctx, project, &c)
	if err != nil {
		return nil, err
	}
	if err := query.Check(query.Observations, f); err != nil {
		return nil, invalid("filter_value", err.Error())
	}
	return f, nil
}

func (a *API) compile(ctx context.Context, project string, c *condition) (query.Filter, error) {
	if name, isScore := strings.CutPrefix(c.field, "score:"); isScore {
		return c.scored(name)
	}
	if rest, isAnnotation := strings.CutPrefix(c.field, "annotation:"); isAnnotation {
		return a.annotated(ctx, project, c, rest)
	}
	col, known := columns[c.field]
	switch {
	case c.field == "status":
		return c.status()
	case known:
		return c.compare(query.Ref{Column: col})
	case c.field == "metadata" && c.key != "":
		return c.compare(query.Ref{Column: query.ColMetadata, Key: c.key})
	case c.field == "inputs" && c.key != "":
		return c.compare(query.Ref{Column: query.ColMetadata, Key: sideKey + ".inputs." + c.key})
	case c.onSide():
		return c.compare(query.Ref{Column: query.ColMetadata, Key: sideKey + "." + c.field})
	}
	return c.scored(c.field) // Parea's own sample filters by a score's bare name
}

// onSide reports whether the field is one that stands in the metadata.
func (c *condition) onSide() bool {
	kind, known := sideFields[c.field]
	return known && kind != scoresField || c.field == providerKey
}

// operators is every operator, for the error about another one.
const operators = "equals, not_equals, like, greater_than, greater_than_or_equal, less_than, less_than_or_equal, is_null, exists, in or between"

func (c *condition) unknownOperator() error {
	return invalid("filter_operator", fmt.Sprintf("%q is no operator; expected %s", c.operator, operators))
}

func betweenTwo() error { return invalid("filter_value", "between takes two values, like 1,5") }

// not is plain complement: what is missing is not equal to anything.
func not(f query.Filter) query.Filter { return query.Not{Filter: f} }

// presence compiles the operators that ask only whether there is a value; "false"
// turns them round.
func (c *condition) presence(has query.Filter) (f query.Filter, ok bool) {
	want := c.operator == "exists"
	if !want && c.operator != "is_null" {
		return nil, false
	}
	if strings.EqualFold(c.text(), "false") {
		want = !want
	}
	if want {
		return has, true
	}
	return not(has), true
}

// text is the value as text.
func (c *condition) text() string { return object{"v": c.value}.text("v") }

// list is the values of in and between: a JSON array, or texts with commas.
func (c *condition) list() []string {
	raw := c.value
	if text := strings.TrimSpace(c.text()); strings.HasPrefix(text, "[") {
		raw = json.RawMessage(text)
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		out := make([]string, len(list))
		for i, v := range list {
			out[i] = object{"v": v}.text("v")
		}
		return out
	}
	var out []string
	for part := range strings.SplitSeq(c.text(), ",") {
		out = append(out, strings.TrimSpace(part))
	}
	return out
}

// compare compiles a comparison of a column, or of a value in the metadata.
func (c *condition) compare(ref query.Ref) (query.Filter, error) {
	if f, ok := c.presence(query.Has{Ref: ref}); ok {
		return f, nil
	}
	col, _ := query.ColumnOf(query.Observations, ref.Column)
	isTime := col.Kind == query.TimeKind
	isNumber := col.Kind == query.IntKind || col.Kind == query.MoneyKind || col.Kind == query.DurationKind || col.Kind == query.FloatKind || col.Kind == query.ScoresKind || sideFields[c.field] == numberField
	value := func(text string) (query.Value, error) {
		switch {
		case isTime:
			raw, _ := json.Marshal(text) // a text can be marshalled
			t := parseTime(raw)
			if !t.IsSet() {
				return query.Value{}, invalid("filter_value", strconv.Quote(text)+" is no time")
			}
			return query.TimeOf(t.Nanos()), nil
		case isNumber:
			if b, err := strconv.ParseBool(strings.ToLower(text)); err == nil && col.Kind == query.ScoresKind && len(text) > 1 {
				return query.Num(query.DecimalOf(map[bool]int64{true: 1}[b], 0)), nil // of a score that is a truth value
			}
			d, ok := query.ParseDecimal(text)
			if !ok {
				return query.Value{}, invalid("filter_value", strconv.Quote(text)+" is no number, as "+c.field+" is one")
			}
			return query.Num(d), nil
		}
		return query.Str(text), nil
	}
	leaf := func(op query.Op, fold bool, texts ...string) (query.Filter, error) {
		f := query.Cmp{Ref: ref, Op: op, Fold: fold}
		for _, t := range texts {
			v, err := value(t)
			if err != nil {
				return nil, err
			}
			f.Values = append(f.Values, v)
		}
		return f, nil
	}
	equals := func(text string) (query.Filter, error) {
		if (isNumber || isTime) && c.operator != "between" {
			v, err := value(text)
			if err != nil {
				return nil, err
			}
			if isTime || col.Kind == query.IntKind {
				return query.Cmp{Ref: ref, Op: query.Eq, Values: []query.Value{v}}, nil
			}
			return near(ref, v), nil
		}
		if ref.Column == query.ColMetadata { // a value may be a number, a truth value or a text
			return anyForm(ref, text), nil
		}
		return leaf(query.Eq, false, text)
	}
	switch c.operator {
	case "equals":
		return equals(c.text())
	case "not_equals":
		f, err := equals(c.text())
		return not(f), err
	case "in":
		any := query.Or{}
		for _, t := range c.list() {
			f, err := equals(t)
			if err != nil {
				return nil, err
			}
			any = append(any, f)
		}
		return any, nil
	case "like":
		if isNumber || isTime {
			return nil, invalid("filter_operator", "like compares texts, and "+c.field+" is none")
		}
		text := c.text()
		if strings.Contains(text, "%") && col.Kind == query.BodyKind {
			return bodyPattern(ref, strings.Split(text, "%")), nil
		}
		if strings.Contains(text, "%") {
			return leaf(query.Like, true, strings.ReplaceAll(strings.ReplaceAll(text, "*", "?"), "%", "*"))
		}
		return leaf(query.Contains, true, text)
	case "between":
		list := c.list()
		if len(list) != 2 {
			return nil, betweenTwo()
		}
		if col.Kind == query.ScoresKind { // one and the same score lies between
			return leaf(query.Between, false, list...)
		}
		low, err := c.order(ref, query.Ge, list[0], value)
		if err != nil {
			return nil, err
		}
		high, err := c.order(ref, query.Le, list[1], value)
		return query.And{low, high}, err
	}
	op, known := orderings[c.operator]
	if !known {
		return nil, c.unknownOperator()
	}
	return c.order(ref, op, c.text(), value)
}

// bodyPattern matches a body with a pattern, by the parts between its "%": the
// first begins it, the last ends it, and it holds those between, wherever.
func bodyPattern(ref query.Ref, parts []string) query.Filter {
	all := query.And{query.Has{Ref: ref}}
	for i, part := range parts {
		op := query.Contains
		switch {
		case part == "":
			continue
		case i == 0:
			op = query.Prefix
		case i == len(parts)-1:
			op = query.Suffix
		}
		all = append(all, query.Cmp{Ref: ref, Op: op, Fold: true, Values: []query.Value{query.Str(part)}})
	}
	return all
}

var orderings = map[string]query.Op{
	"greater_than": query.Gt, "greater_than_or_equal": query.Ge, "less_than": query.Lt, "less_than_or_equal": query.Le,
}

// order compares by size: a value in the metadata as a number if it is compared
// with one.
func (c *condition) order(ref query.Ref, op query.Op, text string, value func(string) (query.Value, error)) (query.Filter, error) {
	if ref.Column == query.ColMetadata {
		if d, ok := query.ParseDecimal(text); ok {
			return query.Cmp{Ref: ref, Op: op, Values: []query.Value{query.Num(d)}}, nil
		}
	}
	v, err := value(text)
	return query.Cmp{Ref: ref, Op: op, Values: []query.Value{v}}, err
}

// near takes numbers as equal that differ by no more than their last digits.
func near(ref query.Ref, v query.Value) query.Filter {
	ns, ok := v.Num.Scaled(9)
	if !ok {
		return query.Cmp{Ref: ref, Op: query.Eq, Values: []query.Value{v}}
	}
	return query.Cmp{Ref: ref, Op: query.Between, Values: []query.Value{query.Num(query.DecimalOf(ns-1, 9)), query.Num(query.DecimalOf(ns+1, 9))}}
}

// anyForm is equality with a value of which only the text is known.
func anyForm(ref query.Ref, text string) query.Filter {
	any := query.Or{query.Cmp{Ref: ref, Op: query.Eq, Values: []query.Value{query.Str(text)}}}
	if d, ok := query.ParseDecimal(text); ok {
		any = append(any, query.Cmp{Ref: ref, Op: query.Eq, Values: []query.Value{query.Num(d)}})
	}
	if b, err := strconv.ParseBool(strings.ToLower(text)); err == nil {
		any = append(any, query.Cmp{Ref: ref, Op: query.Eq, Values: []query.Value{query.Bool(b)}})
	}
	return any
}

// status compiles a comparison of how a log ended.
func (c *condition) status() (query.Filter, error) {
	failed := query.Cmp{Ref: query.Ref{Column: query.ColLevel}, Op: query.Eq, Values: []query.Value{query.Str(domain.LevelError.String())}}
	ended := query.Or{query.Has{Ref: query.Ref{Column: query.ColEnd}}, failed}
	if f, ok := c.presence(ended); ok {
		return f, nil
	}
	one := func(text string) query.Filter {
		switch text {
		case "error":
			return failed
		case "success":
			return query.And{ended, not(failed)}
		}
		return query.Or{} // no log has it
	}
	switch c.operator {
	case "equals":
		return one(c.text()), nil
	case "not_equals":
		return not(one(c.text())), nil
	case "in":
		any := query.Or{}
		for _, t := range c.list() {
			any = append(any, one(t))
		}
		return any, nil
	case "like":
		any := query.Or{}
		for _, s := range []string{"success", "error"} {
			if strings.Contains(s, strings.ToLower(strings.Trim(c.text(), "%"))) {
				any = append(any, one(s))
			}
		}
		return any, nil
	}
	return nil, invalid("filter_operator", fmt.Sprintf("%q can't compare a status; use equals, not_equals, in, like, is_null or exists", c.operator))
}

// scored compiles a comparison of the scores of a name, on any log of the tree.
func (c *condition) scored(name string) (query.Filter, error) {
	if name == "" {
		return nil, invalid("filter_field", "score: needs the name of a score behind it")
	}
	inTree := func(f query.Filter) query.Filter { return query.Rel{Name: query.RelTrace, Where: f} }
	ref := query.Ref{Column: query.ColScore, Key: name}
	f, err := c.compare(ref)
	if err != nil {
		return nil, err
	}
	if n, isNot := f.(query.Not); isNot { // none of the tree's, not some other one
		return not(inTree(n.Filter)), nil
	}
	return inTree(f), nil
}

// timeRanges is how far back a range of time reaches.
var timeRanges = map[string]time.Duration{
	"1h": time.Hour, "3h": 3 * time.Hour, "6h": 6 * time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour,
	"1m": 30 * 24 * time.Hour, "3m": 91 * 24 * time.Hour, "6m": 182 * 24 * time.Hour, "1y": 365 * 24 * time.Hour,
}
