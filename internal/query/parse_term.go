package query

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// field is a reference as it was read.
type field struct {
	col Column
	ref Ref
	rel Relation // of which the field is, "" for the row itself
	pos Span
}

// fieldEnd are the characters that a bare part of a field ends at.
const fieldEnd = `"(),:=!<>~*`

// name reads a bare part of a field.
func (p *parser) name() string {
	from := p.at
	for !p.done() {
		r, n := utf8.DecodeRuneInString(p.rest())
		if unicode.IsSpace(r) || strings.ContainsRune(fieldEnd, r) || r == '.' {
			break
		}
		p.at += n
	}
	return p.text[from:p.at]
}

// key reads a key: bare, with dots of its own, or quoted.
func (p *parser) key() string {
	var b strings.Builder
	for {
		if !p.done() && p.text[p.at] == '"' {
			b.WriteString(p.quoted())
		} else {
			b.WriteString(p.name())
		}
		if p.done() || p.text[p.at] != '.' || strings.HasPrefix(p.rest(), "..") {
			return b.String()
		}
		b.WriteByte('.')
		p.at++
	}
}

// operators are the operators, longer ones before those they begin with.
var operators = []string{"!=", "!~", ">=", "<=", "~~", "~=", ":", "=", ">", "<", "~"}

func (p *parser) operator() string {
	for _, op := range operators {
		if strings.HasPrefix(p.rest(), op) {
			p.at += len(op)
			return op
		}
	}
	return ""
}

// term reads field op list, has:field, no:field or rel(…). It reports false,
// and has read nothing, where no such thing stands here.
func (p *parser) term(depth int) (Filter, bool) {
	from := p.at
	first := p.name()
	if first == "" {
		p.at = from
		return nil, false
	}
	if to, isRel := Related(p.view, Relation(first)); isRel && !p.done() && (p.text[p.at] == '(' || p.text[p.at] == '.') {
		return p.relation(Relation(first), to, from, depth), true
	}
	if (first == "has" || first == "no") && strings.HasPrefix(p.rest(), ":") {
		p.at++
		fl, ok := p.field(p.at)
		if !ok {
			p.skipTerm()
			return And{}, true
		}
		p.space()
		var f Filter = Has{fl.ref, fl.pos}
		if fl.rel != "" {
			f = Rel{Name: fl.rel, Where: f, Pos: fl.pos}
		}
		if first == "no" {
			f = Not{f}
		}
		return f, true
	}
	// It is a term if an operator follows the field, whatever the field is.
	p.at = from
	if !p.looksLikeTerm() {
		return nil, false
	}
	fl, ok := p.field(from)
	if !ok {
		p.skipTerm()
		return And{}, true
	}
	opFrom := p.at
	op := p.operator()
	if op == ":" {
		if more := p.comparison(); more != "" {
			op = more
		}
	}
	p.space()
	f := p.values(fl, op, Span{from, max(p.opEnd(opFrom), opFrom)})
	p.space()
	return f, true
}

// skipTerm goes past what is left of a term whose field can't be read.
func (p *parser) skipTerm() {
	p.key()
	if p.operator() != "" {
		p.operator() // a second one, as in cost:>1
		p.space()
	}
	for depth := 0; !p.done() && !p.lost; {
		r, n := utf8.DecodeRuneInString(p.rest())
		switch {
		case r == '"':
			p.quoted()
			continue
		case r == '(':
			depth++
		case r == ')' && depth == 0, unicode.IsSpace(r) && depth == 0:
			p.space()
			return
		case r == ')':
			depth--
		}
		p.at += n
	}
}

// comparison reads an operator that stands behind a colon: cost:>0.1.
func (p *parser) comparison() string {
	for _, op := range []string{">=", "<=", ">", "<"} {
		if strings.HasPrefix(p.rest(), op) {
			p.at += len(op)
			return op
		}
	}
	return ""
}

// opEnd is where the operator that begins at from ends.
func (p *parser) opEnd(from int) int {
	at := from
	for at < len(p.text) && strings.IndexByte(":=!<>~", p.text[at]) >= 0 {
		at++
	}
	return at
}

// looksLikeTerm reports whether a field with an operator behind it stands here.
func (p *parser) looksLikeTerm() bool {
	from := p.at
	defer func() { p.at = from }()
	n, lost := len(p.errs), p.lost
	p.name()
	if !p.done() && p.text[p.at] == '.' {
		p.at++
		p.key()
	}
	bad := len(p.errs) > n
	p.errs, p.lost = p.errs[:n], lost
	return !bad && p.operator() != ""
}

// field reads and resolves a reference. A mistake is noted and ok is false.
func (p *parser) field(from int) (f field, ok bool) {
	view := p.view
	name := p.name()
	if to, isRel := Related(p.view, Relation(name)); isRel && strings.HasPrefix(p.rest(), ".") {
		f.rel, view = Relation(name), to
		p.at++
		name = p.name()
	}
	nameEnd := p.at
	col, found := Lookup(view, name)
	if !found {
		e := p.errs.add(UnknownField, Span{from, nameEnd}, name, "%s have no field %s", view, name)
		switch near := nearest(view, name); {
		case near != "":
			e.Hint = "did you mean " + near + "?"
		case len(searchedBodies[view]) > 0:
			e.Hint = "metadata." + name + ` for metadata, or quotes to search for the text`
		}
		return f, false
	}
	f.col, f.ref = col, Ref{Column: col.Col}
	if !p.done() && p.text[p.at] == '.' && !strings.HasPrefix(p.rest(), "..") {
		p.at++
		f.ref.Key = p.key()
	}
	f.pos = Span{from, p.at}
	c := checker{}
	if _, fine := c.ref(view, f.ref, f.pos); !fine {
		p.errs = append(p.errs, c.errs...)
		return f, false
	}
	return f, true
}

// relation reads rel(…), and rel.field… which is short for rel(field…).
func (p *parser) relation(rel Relation, to View, from, depth int) Filter {
	if p.related {
		p.lose(TooDeep, Span{from, p.at}, string(rel), "%s(…) can't stand inside another relation", rel)
		return And{}
	}
	outer := p.view
	defer func() { p.view, p.related = outer, false }()
	if p.text[p.at] == '.' {
		p.at++
		p.view, p.related = to, true
		f, ok := p.term(depth + 1)
		if !ok {
			p.unexpected("a field of " + to.String() + " is missing")
		}
		return Rel{Name: rel, Where: f, Pos: Span{from, p.at}}
	}
	p.view, p.related = to, true
	f := p.group(depth, from)
	return Rel{Name: rel, Where: f, Pos: Span{from, p.at}}
}

// item is one value of a list: a single one with stars between its pieces, or
// a range.
type item struct {
	pieces []atom // without the stars
	stars  []bool // a star before each piece, and one behind the last
	lo, hi *atom
	ranged bool
	pos    Span
}

// values reads the list behind an operator and makes the filter of it.
func (p *parser) values(f field, op string, pos Span) Filter {
	b := &termBuilder{p: p, f: f, op: op, pos: pos}
	switch op {
	case ">", "<", ">=", "<=", "~=", "~~":
		a := p.atom(op == ">" || op == "<")
		if op == "~~" {
			return b.wrap(Text{Scope: f.ref, Query: a.text, Prefix: p.star(), Pos: Span{pos.Start, p.at}})
		}
		return b.wrap(b.compare(a))
	}
	if !p.done() && p.text[p.at] == '(' && (op == ":" || op == "=") {
		return b.wrap(p.valueGroup(b))
	}
	var items []item
	for {
		it, ok := p.item()
		if !ok {
			return And{}
		}
		items = append(items, it)
		if p.done() || p.text[p.at] != ',' {
			break
		}
		p.at++
		p.space()
	}
	return b.wrap(b.list(items))
}

func (p *parser) star() bool {
	if !p.done() && p.text[p.at] == '*' {
		p.at++
		return true
	}
	return false
}

// valueGroup reads (a OR b) or (a AND b) behind an operator.
func (p *parser) valueGroup(b *termBuilder) Filter {
	from := p.at
	p.at++
	p.space()
	var items []item
	all := false
	for {
		it, ok := p.item()
		if !ok {
			return And{}
		}
		items = append(items, it)
		p.space()
		switch {
		case p.done():
			p.lose(UnclosedParen, Span{from, p.at}, b.f.col.Name, "a closing parenthesis is missing")
			return And{}
		case p.text[p.at] == ')':
			p.at++
			if !all {
				return b.list(items)
			}
			var out And
			for _, it := range items {
				out = append(out, b.list([]item{it}))
			}
			return out
		case p.word("AND") && (len(items) == 1 || all):
			all = true
		case !all && p.word("OR"):
		default:
			p.unexpected("values in parentheses stand with OR, or with AND, between them")
			return And{}
		}
	}
}

// item = range | glob .
func (p *parser) item() (it item, ok bool) {
	from := p.at
	if strings.HasPrefix(p.rest(), "..") {
		p.at += 2
		hi := p.atom(true)
		it.ranged, it.hi = true, &hi
		it.pos = Span{from, p.at}
		return it, p.ended(hi)
	}
	it.stars = append(it.stars, p.star())
	for !p.done() {
		a := p.atom(true)
		if p.lost {
			return it, false
		}
		if a.text == "" && !a.quoted {
			break
		}
		it.pieces = append(it.pieces, a)
		it.stars = append(it.stars, p.star())
	}
	if len(it.pieces) == 1 && !slices.Contains(it.stars, true) && strings.HasPrefix(p.rest(), "..") {
		p.at += 2
		it.ranged, it.lo = true, &it.pieces[0]
		if hi := p.atom(true); hi.text != "" || hi.quoted {
			it.hi = &hi
		}
	}
	it.pos = Span{from, p.at}
	if p.lost {
		return it, false
	}
	if len(it.pieces) == 0 && !it.stars[0] {
		p.unexpected("a value is missing")
		return it, false
	}
	return it, true
}

func (p *parser) ended(a atom) bool {
	if !p.lost && a.text == "" && !a.quoted {
		p.unexpected("a value is missing")
	}
	return !p.lost
}
