package query

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Check reports every mistake in a filter, as Errors; nil where there is none.
func Check(v View, f Filter) error {
	c := checker{}
	c.filter(v, f, 0, false)
	if c.leaves > MaxLeaves {
		c.errs.add(TooLarge, Span{}, "", "the filter has %d conditions, at most %d are allowed", c.leaves, MaxLeaves)
	}
	return c.errs.orNil()
}

// CheckOrder reports what is wrong with an order.
func CheckOrder(v View, keys []Key) error {
	var errs Errors
	if len(keys) > MaxKeys {
		errs.add(TooLarge, Span{}, "", "rows can be ordered by at most %d columns", MaxKeys)
	}
	for _, k := range keys {
		col, found := ColumnOf(v, k.Ref.Column)
		switch {
		case !found:
			errs.add(UnknownField, Span{}, "", "%s have no such column to order by", v)
		case col.Marks&MarkSort == 0:
			errs.add(NotSortable, Span{}, col.Name, "%s can't be ordered by %s", v, col.Name)
		case col.Kind.Keyed() != (k.Ref.Key != ""):
			errs.add(MissingKey, Span{}, col.Name, "to order by %s takes a name after a dot", col.Name)
		}
	}
	return errs.orNil()
}

type checker struct {
	errs   Errors
	leaves int
}

func (c *checker) filter(v View, f Filter, depth int, related bool) {
	if depth > MaxDepth {
		c.errs.add(TooDeep, Span{}, "", "the filter is nested more than %d deep", MaxDepth)
		return
	}
	switch f := f.(type) {
	case And:
		for _, p := range f {
			c.filter(v, p, depth+1, related)
		}
	case Or:
		for _, p := range f {
			c.filter(v, p, depth+1, related)
		}
	case Not:
		c.filter(v, f.Filter, depth+1, related)
	case Cmp:
		c.leaves++
		c.cmp(v, &f)
	case Has:
		c.leaves++
		c.ref(v, f.Ref, f.Pos)
	case Text:
		c.leaves++
		c.text(v, &f)
	case Rel:
		c.leaves++
		to, found := Related(v, f.Name)
		switch {
		case !found:
			c.errs.add(UnknownField, f.Pos, string(f.Name), "%s have no %s(…)", v, f.Name)
		case related:
			c.errs.add(TooDeep, f.Pos, string(f.Name), "%s(…) can't stand inside another relation", f.Name)
		default:
			c.filter(to, f.Where, depth+1, true)
		}
	case nil:
		c.errs.add(Unexpected, Span{}, "", "the filter has an empty part")
	}
}

// ref checks a reference and finds its column.
func (c *checker) ref(v View, r Ref, pos Span) (Column, bool) {
	col, found := ColumnOf(v, r.Column)
	switch {
	case !found:
		c.errs.add(UnknownField, pos, "", "%s have no such field", v)
		return col, false
	case col.Kind.Keyed() && r.Key == "" && col.Kind != MapKind:
		c.errs.add(MissingKey, pos, col.Name, "%s needs a name after a dot, like %s.accuracy", col.Name, col.Name)
		return col, false
	case !col.Kind.Keyed() && r.Key != "":
		c.errs.add(UnknownField, pos, col.Name, "%s has no parts, so nothing may follow it after a dot", col.Name)
		return col, false
	case utf8.RuneCountInString(r.Key) > MaxKey:
		c.errs.add(TooLarge, pos, col.Name, "the key of %s is longer than %d characters", col.Name, MaxKey)
		return col, false
	}
	return col, true
}

func (c *checker) text(v View, f *Text) {
	if f.Scope != (Ref{}) {
		col, ok := c.ref(v, f.Scope, f.Pos)
		if !ok {
			return
		}
		if k := col.Kind; k != BodyKind && k != MapKind && k != TextKind {
			c.errs.add(BadOperator, f.Pos, col.Name, "%s is a %s and can't be searched for words", col.Name, k)
			return
		}
	}
	if len(f.Query) > MaxString {
		c.errs.add(TooLarge, f.Pos, "", "the text to search for is longer than %d bytes", MaxString)
		return
	}
	if len(Tokens(f.Query)) == 0 {
		c.errs.add(NoToken, f.Pos, "", "%q has no letter or digit to search for", f.Query)
	}
}

// comparisons is which operators a kind of column has.
var comparisons = map[Kind][]Op{
	IDKind:       {Eq, In, Prefix, Suffix, Contains, Like, Lt, Le, Gt, Ge, Between},
	TextKind:     {Eq, In, Prefix, Suffix, Contains, Like, Lt, Le, Gt, Ge, Between},
	EnumKind:     {Eq, In},
	BoolKind:     {Eq},
	IntKind:      {Eq, In, Lt, Le, Gt, Ge, Between},
	FloatKind:    {Eq, In, Lt, Le, Gt, Ge, Between},
	MoneyKind:    {Eq, In, Lt, Le, Gt, Ge, Between},
	DurationKind: {Eq, In, Lt, Le, Gt, Ge, Between},
	TimeKind:     {Eq, In, Lt, Le, Gt, Ge, Between},
	CountsKind:   {Eq, In, Lt, Le, Gt, Ge, Between},
	PricesKind:   {Eq, In, Lt, Le, Gt, Ge, Between},
	ListKind:     {Eq, In, Prefix, Suffix, Contains, Like},
	BodyKind:     {Eq, Prefix, Suffix, Contains},
}

// byValue is which operators a map or scores have for a kind of value.
var byValue = map[Kind]map[ValueKind][]Op{
	MapKind: {
		StrValue: comparisons[TextKind], NumValue: comparisons[IntKind], BoolValue: {Eq},
		TimeValue: comparisons[TimeKind], RelTimeValue: comparisons[TimeKind],
	},
	ScoresKind: {
		StrValue: {Eq, In, Prefix, Contains}, NumValue: comparisons[IntKind], BoolValue: {Eq},
	},
}

// takes is which kind of value a kind of column is compared with.
func (k Kind) takes(v ValueKind) bool {
	switch k {
	case IDKind, TextKind, EnumKind, ListKind, BodyKind:
		return v == StrValue
	case BoolKind:
		return v == BoolValue
	case TimeKind:
		return v == TimeValue || v == RelTimeValue
	case IntKind, FloatKind, MoneyKind, DurationKind, CountsKind, PricesKind:
		return v == NumValue
	}
	return v != Open
}

func (c *checker) cmp(v View, f *Cmp) {
	col, ok := c.ref(v, f.Ref, f.Pos)
	if !ok {
		return
	}
	kind, ok := c.values(col, f)
	if !ok {
		return
	}
	allowed := comparisons[col.Kind]
	if per := byValue[col.Kind]; per != nil {
		allowed = per[kind]
	}
	switch mean, _ := ScoresOver(f.Ref.Column); {
	case mean && col.Kind == ScoresKind && kind != NumValue:
		c.errs.add(BadValue, f.Pos, col.Name, "%s is a mean and is compared with a number", col.Name)
		return
	case !slices.Contains(allowed, f.Op):
		c.errs.add(BadOperator, f.Pos, col.Name, "%s is a %s, which has no %s", col.Name, col.Kind, f.Op)
		return
	case f.Fold && (kind != StrValue || col.Kind == EnumKind || f.Op >= Lt && f.Op <= Between):
		c.errs.add(BadOperator, f.Pos, col.Name, "%s of %s can't ignore case", f.Op, col.Name)
		return
	}
	for _, val := range f.Values {
		switch {
		case len(val.Str) > MaxString:
			c.errs.add(TooLarge, f.Pos, col.Name, "a value of %s is longer than %d bytes", col.Name, MaxString)
		case col.Kind == EnumKind && !slices.Contains(col.Words, strings.ToUpper(val.Str)):
			c.errs.add(BadValue, f.Pos, col.Name, "%s is never %q", col.Name, val.Str).Hint = "one of " + strings.Join(col.Words, ", ")
		}
	}
}

// values checks how many values there are and that they are of one kind that
// suits the column.
func (c *checker) values(col Column, f *Cmp) (kind ValueKind, ok bool) {
	n := len(f.Values)
	switch {
	case f.Op == In && n > MaxValues:
		c.errs.add(TooLarge, f.Pos, col.Name, "%d values for %s, at most %d are allowed", n, col.Name, MaxValues)
		return 0, false
	case f.Op == Between && (n != 2 || f.Values[0].Kind == Open && f.Values[1].Kind == Open),
		f.Op != In && f.Op != Between && n != 1:
		c.errs.add(BadValue, f.Pos, col.Name, "%s of %s has %d values", f.Op, col.Name, n)
		return 0, false
	case n == 0: // in nothing
		return StrValue, false
	}
	for _, val := range f.Values {
		if val.Kind == Open && f.Op == Between {
			continue
		}
		k := val.Kind
		if k == RelTimeValue {
			k = TimeValue
		}
		if kind != 0 && k != kind || !col.Kind.takes(val.Kind) {
			c.errs.add(BadValue, f.Pos, col.Name, "%s is a %s, which a %s can't be compared with", col.Name, col.Kind, valueNames[val.Kind])
			return 0, false
		}
		kind = k
	}
	return kind, true
}

var valueNames = [...]string{"missing value", "text", "number", "boolean", "time", "time"}
