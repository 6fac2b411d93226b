package query

import (
	"slices"
	"strings"
	"time"
)

// termBuilder makes a filter of a field, an operator and values.
type termBuilder struct {
	p   *parser
	f   field
	op  string
	pos Span
}

// wrap puts a term into the relation that its field is of, and the negation
// that its operator says.
func (b *termBuilder) wrap(f Filter) Filter {
	if b.f.rel != "" {
		f = Rel{Name: b.f.rel, Where: f, Pos: b.pos}
	}
	if b.op == "!=" || b.op == "!~" {
		return Not{f}
	}
	return f
}

func (b *termBuilder) fail(pos Span, format string, args ...any) Filter {
	b.p.errs.add(BadValue, pos, b.f.col.Name, format, args...)
	return And{}
}

func (b *termBuilder) cmp(op Op, values ...Value) Filter {
	f := Cmp{Ref: b.f.ref, Op: op, Values: values, Pos: b.pos}
	c := checker{}
	view := b.p.view
	if b.f.rel != "" {
		view, _ = Related(view, b.f.rel)
	}
	c.cmp(view, &f)
	b.p.errs = append(b.p.errs, c.errs...)
	return f
}

func (b *termBuilder) folded(f Filter) Filter {
	if c, ok := f.(Cmp); ok {
		c.Fold = true
		return c
	}
	return f
}

var comparing = map[string]Op{">": Gt, ">=": Ge, "<": Lt, "<=": Le}

// compare makes the filter of an operator that takes a single value.
func (b *termBuilder) compare(a atom) Filter {
	if a.text == "" && !a.quoted {
		b.p.unexpected("a value is missing")
		return And{}
	}
	if b.op == "~=" {
		return b.folded(b.cmp(Eq, Str(a.text)))
	}
	op := comparing[b.op]
	if b.f.col.Kind == TimeKind {
		from, to, exact, ok := b.instant(a)
		if !ok {
			return And{}
		}
		switch {
		case exact:
			return b.cmp(op, from)
		case op == Gt:
			return b.cmp(Ge, to)
		case op == Le:
			return b.cmp(Lt, to)
		}
		return b.cmp(op, from)
	}
	v, ok := b.value(a)
	if !ok {
		return And{}
	}
	return b.cmp(op, v)
}

// list makes the filter of a list of items: one of them matches.
func (b *termBuilder) list(items []item) Filter {
	var plain []Value
	var out Or
	for i := range items {
		before := len(b.p.errs)
		f := b.item(&items[i])
		if len(b.p.errs) > before {
			continue
		}
		if c, ok := f.(Cmp); ok && c.Op == Eq && !c.Fold && b.f.col.Kind != BodyKind && b.f.col.Kind != BoolKind {
			if len(plain) == 0 || sameKind(plain[0], c.Values[0]) {
				plain = append(plain, c.Values[0])
				continue
			}
		}
		out = append(out, f)
	}
	switch {
	case len(plain) == 1:
		out = append(Or{b.cmp(Eq, plain...)}, out...)
	case len(plain) > 1:
		out = append(Or{b.cmp(In, plain...)}, out...)
	}
	if len(out) == 1 {
		return out[0]
	}
	return out
}

func sameKind(a, b Value) bool {
	kind := func(v Value) ValueKind {
		if v.Kind == RelTimeValue {
			return TimeValue
		}
		return v.Kind
	}
	return kind(a) == kind(b)
}

func (b *termBuilder) item(it *item) Filter {
	k := b.f.col.Kind
	switch {
	case it.ranged:
		return b.ranged(it)
	case len(it.pieces) == 0: // field:*
		return Has{b.f.ref, b.pos}
	}
	starred := slices.Contains(it.stars, true) || len(it.pieces) > 1
	textual := k == IDKind || k == TextKind || k == ListKind || k == BodyKind || k == MapKind || k == ScoresKind
	switch {
	case starred && !textual:
		return b.fail(it.pos, "%s is a %s, where a star has no meaning", b.f.col.Name, k)
	case b.op == "~" || b.op == "!~":
		if !starred {
			return b.folded(b.cmp(Contains, Str(it.pieces[0].text)))
		}
		return b.folded(b.pattern(it))
	case (k == BodyKind || k == MapKind && b.f.ref.Key == "") && b.op != "=":
		f := Text{Scope: b.f.ref, Query: it.pieces[0].text, Prefix: it.stars[len(it.stars)-1], Pos: it.pos}
		if len(it.pieces) > 1 || it.stars[0] {
			return b.fail(it.pos, "words are searched from their beginning; ~ finds any part of the text")
		}
		if len(Tokens(f.Query)) == 0 {
			b.p.errs.add(NoToken, it.pos, b.f.col.Name, "%q has no letter or digit to search for", f.Query)
		}
		return f
	case starred:
		return b.pattern(it)
	case k == TimeKind:
		from, to, exact, ok := b.instant(it.pieces[0])
		if !ok {
			return And{}
		}
		if exact {
			return b.cmp(Eq, from)
		}
		return b.cmp(Between, from, to)
	}
	v, ok := b.value(it.pieces[0])
	if !ok {
		return And{}
	}
	return b.cmp(Eq, v)
}

// pattern makes the filter of a text with stars.
func (b *termBuilder) pattern(it *item) Filter {
	n := len(it.pieces)
	first, last := it.stars[0], it.stars[n]
	if n == 1 {
		s := Str(it.pieces[0].text)
		switch {
		case first && last:
			return b.cmp(Contains, s)
		case first:
			return b.cmp(Suffix, s)
		case last:
			return b.cmp(Prefix, s)
		}
		return b.cmp(Eq, s)
	}
	var p strings.Builder
	for i, a := range it.pieces {
		if it.stars[i] {
			p.WriteByte('*')
		}
		if strings.Contains(a.text, "*") {
			return b.fail(a.pos, "a star that stands for itself can't stand among those that stand for anything")
		}
		p.WriteString(a.text)
	}
	if last {
		p.WriteByte('*')
	}
	if !strings.Contains(p.String(), "*") {
		return b.cmp(Eq, Str(p.String()))
	}
	return b.cmp(Like, Str(p.String()))
}

func (b *termBuilder) ranged(it *item) Filter {
	ends := [2]Value{}
	kind := StrValue
	for i, a := range [2]*atom{it.lo, it.hi} {
		if a == nil {
			continue
		}
		if b.f.col.Kind == TimeKind {
			from, to, exact, ok := b.instant(*a)
			if !ok {
				return And{}
			}
			if ends[i] = from; i == 1 && !exact {
				ends[i] = to
			}
			continue
		}
		v, ok := b.value(*a)
		if !ok {
			return And{}
		}
		ends[i], kind = v, v.Kind
	}
	if ends[0].Kind == Open && ends[1].Kind == Open {
		return b.fail(it.pos, "a range needs at least one end")
	}
	if other := ends[0].Kind != Open && ends[1].Kind != Open && !sameKind(ends[0], ends[1]); other && kind != Open {
		return b.fail(it.pos, "both ends of a range are of one kind")
	}
	return b.cmp(Between, ends[0], ends[1])
}

// value types a piece by the kind of the column.
func (b *termBuilder) value(a atom) (v Value, ok bool) {
	switch k := b.f.col.Kind; k {
	case IDKind, TextKind, ListKind, BodyKind:
		return Str(a.text), true
	case EnumKind:
		up := strings.ToUpper(a.text)
		if !slices.Contains(b.f.col.Words, up) {
			e := b.p.errs.add(BadValue, a.pos, b.f.col.Name, "%s is never %q", b.f.col.Name, a.text)
			e.Hint = "one of " + strings.Join(b.f.col.Words, ", ")
			return v, false
		}
		return Str(up), true
	case BoolKind:
		switch strings.ToLower(a.text) {
		case "true", "yes":
			return Bool(true), true
		case "false", "no":
			return Bool(false), true
		}
		b.fail(a.pos, "%s is true or false", b.f.col.Name)
		return v, false
	case MapKind, ScoresKind:
		return b.loose(a), true
	case DurationKind:
		if d, ok := parseDuration(a.text); ok && !a.quoted {
			return Num(d), true
		}
		b.fail(a.pos, "%q is no duration like 350ms, 2s or 1.5m", a.text)
		return v, false
	default:
		text := a.text
		if k == MoneyKind || k == PricesKind {
			text = strings.Replace(text, "$", "", 1)
		}
		if d, ok := parseNumber(text); ok && !a.quoted {
			return Num(d), true
		}
		b.fail(a.pos, "%q is no number", a.text)
		return v, false
	}
}

// loose types a piece by its look: a map's values have no kind of their own.
func (b *termBuilder) loose(a atom) Value {
	if a.quoted {
		return Str(a.text)
	}
	switch a.text {
	case "true":
		return Bool(true)
	case "false":
		return Bool(false)
	}
	if d, ok := ParseDecimal(a.text); ok {
		return Num(d)
	}
	if b.f.col.Kind == MapKind {
		if t, err := time.Parse(time.RFC3339Nano, a.text); err == nil {
			return TimeOf(t.UnixNano())
		}
	}
	return Str(a.text)
}

// parseNumber reads a number with _ between its digits, and k, M or % behind.
func parseNumber(s string) (Decimal, bool) {
	shift := 0
	switch {
	case strings.HasSuffix(s, "k"):
		s, shift = s[:len(s)-1], 3
	case strings.HasSuffix(s, "M"):
		s, shift = s[:len(s)-1], 6
	case strings.HasSuffix(s, "%"):
		s, shift = s[:len(s)-1], -2
	}
	d, ok := ParseDecimal(strings.ReplaceAll(s, "_", ""))
	if ok && d.digits != "" {
		d.exp += shift
	}
	return d, ok
}

// durationUnits are how many thousandths of a second each unit is.
var durationUnits = []struct {
	name string
	ms   int64
}{{"ms", 1}, {"s", 1000}, {"m", 60_000}, {"h", 3_600_000}}

// parseDuration reads a duration in seconds, or with a unit.
func parseDuration(s string) (Decimal, bool) {
	for _, u := range durationUnits {
		rest, found := strings.CutSuffix(s, u.name)
		if !found || rest == "" || rest[len(rest)-1] == 'm' {
			continue
		}
		d, ok := parseNumber(rest)
		return d.times(u.ms, -3), ok
	}
	return parseNumber(s)
}

// instant reads a time. One that leaves out its end stands for the interval
// [from, to); exact says that it is a single instant.
func (b *termBuilder) instant(a atom) (from, to Value, exact, ok bool) {
	if r, isRel := parseRelative(a.text); isRel {
		v := Value{Kind: RelTimeValue, Rel: r}
		return v, v, true, true
	}
	if t, err := time.Parse(time.RFC3339Nano, a.text); err == nil {
		return TimeOf(t.UnixNano()), Value{}, true, true
	}
	z := b.p.bind.zone()
	if t, err := time.ParseInLocation("2006-01-02T15:04:05.999999999", a.text, z); err == nil && len(a.text) > len("2006-01-02T15:04") {
		return TimeOf(t.UnixNano()), Value{}, true, true
	}
	for _, form := range []struct {
		layout string
		next   func(t time.Time) time.Time
	}{
		{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
		{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
		{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
		{"2006-01-02T15", func(t time.Time) time.Time { return t.Add(time.Hour) }},
		{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	} {
		if t, err := time.ParseInLocation(form.layout, a.text, z); err == nil {
			return TimeOf(t.UnixNano()), TimeOf(form.next(t).UnixNano()), false, true
		}
	}
	b.fail(a.pos, "%q is no time like 2026-08-22, 2026-08-22T14:05:00Z or now-2h", a.text)
	return from, to, false, false
}

var relUnits = []string{"mo", "s", "m", "h", "d", "w", "y"}

// parseRelative reads now, now-2h and now-7d/d.
func parseRelative(s string) (r RelTime, ok bool) {
	rest, ok := strings.CutPrefix(s, "now")
	if !ok {
		return r, false
	}
	if head, snap, cut := strings.Cut(rest, "/"); cut {
		if !slices.Contains(relUnits, snap) {
			return r, false
		}
		rest, r.Snap = head, snap
	}
	if rest == "" {
		return r, true
	}
	if rest[0] != '-' && rest[0] != '+' {
		return r, false
	}
	digits := 1
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	if digits == 1 || digits > 7 || !slices.Contains(relUnits, rest[digits:]) {
		return r, false
	}
	for _, c := range rest[1:digits] {
		r.Amount = r.Amount*10 + int64(c-'0')
	}
	if rest[0] == '-' {
		r.Amount = -r.Amount
	}
	if r.Amount != 0 {
		r.Unit = rest[digits:]
	}
	return r, true
}
