// Package query is the one language of questions: which rows, in what order,
// how many, and summed up how. Every dialect's filters and the search bar
// compile to it, its matcher defines what a filter means, and each engine must
// find the same rows.
//
// A leaf is true or false for every row; where a value is missing it is false.
// Not is plain complement, so De Morgan's laws hold.
package query

import (
	"fmt"
	"strings"
	"time"
)

// Filter says which rows: And, Or, Not, Cmp, Has, Text or Rel.
type Filter interface{ filter() }

// And is true where all of its parts are; empty means everything.
type And []Filter

// Or is true where one of its parts is; empty means nothing.
type Or []Filter

// Not is true where its part is not.
type Not struct{ Filter Filter }

// Cmp compares a value of the row.
type Cmp struct {
	Ref    Ref
	Op     Op
	Values []Value // one; Between two, of which one may be open; In any number up to MaxValues
	Fold   bool    // texts: compare after case folding
	Pos    Span
}

// Has is true where the row has a value there.
type Has struct {
	Ref Ref
	Pos Span
}

// Text is true where a field holds these words, one after the other.
type Text struct {
	Scope  Ref    // a field; the zero Ref is every field that is searched
	Query  string // one or more tokens, see Tokens
	Prefix bool   // the last token may go on
	Pos    Span
}

// Rel is true where some related row matches.
type Rel struct {
	Name  Relation
	Where Filter
	Pos   Span
}

func (And) filter()  {}
func (Or) filter()   {}
func (Not) filter()  {}
func (Cmp) filter()  {}
func (Has) filter()  {}
func (Text) filter() {}
func (Rel) filter()  {}

// Span is where in a text form a part of it stands, in bytes; the zero Span is
// nowhere, as in filters that did not come from text.
type Span struct{ Start, End int }

// Ref names a value of a row: a column, and for maps a key in it.
type Ref struct {
	Column Col
	Key    string
}

// Relation is how rows belong to each other.
type Relation string

// The relations. Obs and Scores ask for some row of many, Trace for the one.
const (
	RelObs    Relation = "obs"
	RelScores Relation = "scores"
	RelTrace  Relation = "trace"
)

// Op is how Cmp compares.
type Op uint8

// The operators.
const (
	Eq Op = iota + 1
	In
	Lt
	Le
	Gt
	Ge
	Between // numbers include both ends, times are [from, to)
	Prefix
	Suffix
	Contains
	Like // * stands for anything, everything else for itself
)

var opNames = [...]string{"", "=", "in", "<", "<=", ">", ">=", "between", "prefix", "suffix", "contains", "like"}

// String is the operator as messages name it.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "unknown operator"
}

// ValueKind is what a Value holds.
type ValueKind uint8

// The kinds of value. Open stands for the missing end of a Between.
const (
	Open ValueKind = iota
	StrValue
	NumValue
	BoolValue
	TimeValue
	RelTimeValue
)

// Value is one literal of a filter.
type Value struct {
	Kind ValueKind
	Str  string
	Num  Decimal // a duration is in seconds, money in dollars
	Bool bool
	Time int64 // ns since 1970 UTC
	Rel  RelTime
}

// Str is a text value.
func Str(s string) Value { return Value{Kind: StrValue, Str: s} }

// Num is a numeric value.
func Num(d Decimal) Value { return Value{Kind: NumValue, Num: d} }

// Bool is a boolean value.
func Bool(b bool) Value { return Value{Kind: BoolValue, Bool: b} }

// TimeOf is an instant in ns since 1970 UTC.
func TimeOf(ns int64) Value { return Value{Kind: TimeValue, Time: ns} }

// RelTime is an instant relative to now, such as now-7d/d.
type RelTime struct {
	Amount int64  // of Unit, negative for the past
	Unit   string // s m h d w mo y, "" where Amount is 0
	Snap   string // the unit it is snapped down to, "" for none
}

// Bind is what is fixed once for a request: now, for relative times, and the
// zone that days are cut in. A nil Zone is UTC.
type Bind struct {
	Now  int64 // ns since 1970 UTC
	Zone *time.Location
}

func (b Bind) zone() *time.Location {
	if b.Zone == nil {
		return time.UTC
	}
	return b.Zone
}

// At is the instant that r stands for.
func (b Bind) At(r RelTime) int64 {
	t := time.Unix(0, b.Now).In(b.zone())
	n := int(r.Amount)
	switch r.Unit {
	case "s":
		t = t.Add(time.Duration(r.Amount) * time.Second)
	case "m":
		t = t.Add(time.Duration(r.Amount) * time.Minute)
	case "h":
		t = t.Add(time.Duration(r.Amount) * time.Hour)
	case "d":
		t = t.AddDate(0, 0, n)
	case "w":
		t = t.AddDate(0, 0, 7*n)
	case "mo":
		t = addMonths(t, n)
	case "y":
		t = addMonths(t, 12*n)
	}
	if r.Snap != "" {
		t = snap(t, r.Snap)
	}
	return t.UnixNano()
}

// addMonths moves by calendar months, clamped to the end of the month.
func addMonths(t time.Time, n int) time.Time {
	y, m, d := t.Date()
	first := time.Date(y, m, 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location()).AddDate(0, n, 0)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(d, last)-1)
}

// snap is the start of the unit that t lies in; weeks start on Monday.
func snap(t time.Time, unit string) time.Time {
	y, m, d := t.Date()
	z := t.Location()
	switch unit {
	case "s":
		return t.Truncate(time.Second)
	case "m":
		return time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, z)
	case "h":
		return time.Date(y, m, d, t.Hour(), 0, 0, 0, z)
	case "w":
		return time.Date(y, m, d-(int(t.Weekday())+6)%7, 0, 0, 0, 0, z)
	case "mo":
		return time.Date(y, m, 1, 0, 0, 0, 0, z)
	case "y":
		return time.Date(y, 1, 1, 0, 0, 0, 0, z)
	}
	return time.Date(y, m, d, 0, 0, 0, 0, z)
}

// The limits of a filter.
const (
	MaxLeaves = 200
	MaxDepth  = 20
	MaxValues = 10_000
	MaxString = 4 << 10  // bytes of a value
	MaxKey    = 400      // characters of a key
	MaxText   = 16 << 10 // bytes of a text form
)

// Code says what kind of mistake an Error is.
type Code string

// The codes.
const (
	UnknownField  Code = "unknown-field"
	BadOperator   Code = "bad-operator"
	BadValue      Code = "bad-value"
	MissingKey    Code = "missing-key"
	UnclosedQuote Code = "unclosed-quote"
	UnclosedParen Code = "unclosed-paren"
	EmptyGroup    Code = "empty-group"
	Unexpected    Code = "unexpected"
	TooDeep       Code = "too-deep"
	TooLarge      Code = "too-large"
	NotSortable   Code = "not-sortable"
	BadCursor     Code = "bad-cursor"
	NoToken       Code = "no-token"
)

// Error is one mistake in a question, for people to read.
type Error struct {
	Code    Code
	Message string
	Hint    string // what to write instead, "" where nothing is known
	Field   string // the field it is about, "" for none
	Pos     Span
}

// Error implements error.
func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Message + " (" + e.Hint + ")"
	}
	return e.Message
}

// Errors is every mistake found, at most ten.
type Errors []*Error

// Error implements error.
func (es Errors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "; ")
}

// maxErrors is how many mistakes are told of.
const maxErrors = 10

func (es *Errors) add(code Code, pos Span, field, format string, args ...any) *Error {
	e := &Error{Code: code, Message: fmt.Sprintf(format, args...), Field: field, Pos: pos}
	if len(*es) < maxErrors {
		*es = append(*es, e)
	}
	return e
}

// orNil is es as an error, nil where there is none.
func (es Errors) orNil() error {
	if len(es) == 0 {
		return nil
	}
	return es
}
