package query

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Print is the canonical text of a filter: Parse reads it as the same filter,
// but for what Simplify leaves out, and Print of that is the same text.
func Print(v View, f Filter) string {
	w := &printer{}
	f = Simplify(f)
	if and, ok := f.(And); ok && len(and) == 0 {
		return ""
	}
	w.filter(v, f, 0)
	return w.b.String()
}

type printer struct{ b strings.Builder }

// The places that a filter may stand in, by how tightly they bind.
const (
	inOr = iota
	inAnd
	inNot
)

func (w *printer) str(s string) { w.b.WriteString(s) }

func (w *printer) filter(v View, f Filter, place int) {
	switch f := f.(type) {
	case And:
		if len(f) == 0 {
			w.str("has:start")
			return
		}
		w.group(v, f, " ", place > inAnd, inAnd)
	case Or:
		if len(f) == 0 {
			w.str("-has:start")
			return
		}
		w.group(v, f, " OR ", place > inOr, inOr)
	case Not:
		w.str("-")
		w.filter(v, f.Filter, inNot)
	case Has:
		w.str("has:" + fieldText(v, f.Ref))
	case Rel:
		to, _ := Related(v, f.Name)
		w.str(string(f.Name) + "(")
		w.filter(to, f.Where, inOr)
		w.str(")")
	case Text:
		w.search(v, f)
	case Cmp:
		w.cmp(v, f, place)
	}
}

func (w *printer) group(v View, parts []Filter, between string, parens bool, place int) {
	if parens {
		w.str("(")
	}
	for i, p := range parts {
		if i > 0 {
			w.str(between)
		}
		inner := place
		if place == inOr {
			if _, isOr := p.(Or); isOr {
				inner = inAnd
			}
		}
		w.filter(v, p, inner)
	}
	if parens {
		w.str(")")
	}
}

// fieldText is a reference as it is written.
func fieldText(v View, r Ref) string {
	col, _ := ColumnOf(v, r.Column)
	if !col.Kind.Keyed() || r.Key == "" && col.Kind == MapKind {
		if r.Key == "" {
			return col.Name
		}
	}
	return col.Name + "." + quotedKey(r.Key)
}

func quotedKey(key string) string {
	bare := key != "" && !strings.Contains(key, "..") && key[0] != '.' && key[len(key)-1] != '.'
	for _, r := range key {
		bare = bare && !unicode.IsSpace(r) && !unicode.IsControl(r) && r != unicode.ReplacementChar && !strings.ContainsRune(fieldEnd+`\`, r)
	}
	if bare {
		return key
	}
	return quote(key)
}

// quote writes a text in quotes.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			b.WriteString(`\u` + strconv.FormatInt(0x10000+int64(r), 16)[1:])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// needsQuotes reports whether a text can't stand bare as a value.
func needsQuotes(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") || strings.ContainsAny(s[:1], "><=~:!") {
		return true
	}
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`"()*,\`, r)
	})
}

func textValue(s string) string {
	if needsQuotes(s) {
		return quote(s)
	}
	return s
}

func (w *printer) search(v View, f Text) {
	star := ""
	if f.Prefix {
		star = "*"
	}
	if f.Scope == (Ref{}) {
		s := f.Query
		if needsQuotes(s) || s[0] == '-' || strings.ContainsAny(s, ":=!<>~") || s == "OR" || s == "AND" || s == "NOT" {
			s = quote(s)
		}
		w.str(s + star)
		return
	}
	col, _ := ColumnOf(v, f.Scope.Column)
	op := "~~"
	if col.Kind == BodyKind || col.Kind == MapKind && f.Scope.Key == "" {
		op = ":"
	}
	w.str(fieldText(v, f.Scope) + op + textValue(f.Query) + star)
}

// value is a literal as it is written for a kind of column.
func value(k Kind, v Value) string {
	switch v.Kind {
	case StrValue:
		if k != MapKind && k != ScoresKind {
			return textValue(v.Str)
		}
		b := termBuilder{f: field{col: Column{Kind: k}}}
		if needsQuotes(v.Str) || b.loose(atom{text: v.Str}).Kind != StrValue {
			return quote(v.Str)
		}
		return v.Str
	case NumValue:
		if k == DurationKind {
			return v.Num.String() + "s"
		}
		return v.Num.String()
	case BoolValue:
		return strconv.FormatBool(v.Bool)
	case TimeValue:
		return time.Unix(0, v.Time).UTC().Format(time.RFC3339Nano)
	case RelTimeValue:
		return v.Rel.String()
	}
	return ""
}

// String is the instant as it is written.
func (r RelTime) String() string {
	s := "now"
	switch {
	case r.Amount > 0:
		s += "+" + strconv.FormatInt(r.Amount, 10) + r.Unit
	case r.Amount < 0:
		s += strconv.FormatInt(r.Amount, 10) + r.Unit
	}
	if r.Snap != "" {
		s += "/" + r.Snap
	}
	return s
}

func (w *printer) cmp(v View, f Cmp, place int) {
	col, _ := ColumnOf(v, f.Ref.Column)
	name := fieldText(v, f.Ref)
	if len(f.Values) == 0 { // in nothing
		w.filter(v, Or{}, place)
		return
	}
	one := value(col.Kind, f.Values[0])
	colon := ":"
	if f.Fold {
		colon = "~"
	}
	switch f.Op {
	case Eq:
		switch {
		case f.Fold:
			colon = "~="
		case col.Kind == BodyKind || col.Kind == MapKind && f.Ref.Key == "":
			colon = "="
		}
		w.str(name + colon + one)
	case In:
		w.in(v, f, col, name, place)
	case Lt, Le, Gt, Ge:
		w.str(name + opNames[f.Op] + one)
	case Between:
		w.str(name + ":" + one + ".." + value(col.Kind, f.Values[1]))
	default:
		w.pattern(f, col, name, colon)
	}
}

// in writes a list; one that ignores case, or of bodies, as alternatives.
func (w *printer) in(v View, f Cmp, col Column, name string, place int) {
	if f.Fold || col.Kind == BodyKind {
		var any Or
		for _, val := range f.Values {
			one := f
			one.Op, one.Values = Eq, []Value{val}
			any = append(any, one)
		}
		w.filter(v, Simplify(any), place)
		return
	}
	w.str(name + ":")
	for i, val := range f.Values {
		if i > 0 {
			w.str(",")
		}
		w.str(value(col.Kind, val))
	}
}

// pattern writes a text with stars. Bodies have : for words, so theirs is =.
func (w *printer) pattern(f Cmp, col Column, name, colon string) {
	s := f.Values[0].Str
	if !f.Fold && (col.Kind == BodyKind || col.Kind == MapKind && f.Ref.Key == "") {
		colon = "="
	}
	w.str(name + colon)
	switch f.Op {
	case Prefix:
		w.str(textValue(s) + "*")
	case Suffix:
		w.str("*" + textValue(s))
	case Contains:
		switch {
		case f.Fold:
			w.str(textValue(s))
		default:
			w.str("*" + textValue(s) + "*")
		}
	case Like:
		for i, part := range strings.Split(s, "*") {
			if i > 0 {
				w.str("*")
			}
			if part != "" {
				w.str(textValue(part))
			}
		}
	}
}
