package query

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Parse reads the text form of a filter: level:error cost>0.1 "refund policy".
// docs/query.md explains it. An empty text asks for every row. The error is
// Errors, with the places of all mistakes.
func Parse(v View, text string, b Bind) (Filter, error) {
	p := &parser{view: v, text: text, bind: b}
	if len(text) > MaxText {
		p.errs.add(TooLarge, Span{0, len(text)}, "", "the text is longer than %d bytes", MaxText)
		return nil, p.errs
	}
	if !utf8.ValidString(text) {
		at := len(text) - len(strings.TrimLeftFunc(text, func(r rune) bool { return r != utf8.RuneError }))
		p.errs.add(Unexpected, Span{at, min(at+1, len(text))}, "", "the text is not UTF-8")
		return nil, p.errs
	}
	p.space()
	if p.done() {
		return And{}, nil
	}
	f := p.or(0)
	if !p.done() && !p.stopped() {
		p.unexpected("nothing opens what this closes")
	}
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	f = Simplify(f)
	if err := Check(v, f); err != nil {
		return nil, err
	}
	return f, nil
}

// parser reads a text once, from left to right.
type parser struct {
	view    View
	text    string
	at      int
	bind    Bind
	related bool // inside obs(…) or the like
	errs    Errors
	lost    bool // after a mistake behind which nobody knows how the text goes on
}

// stopped reports whether nothing more is to be read: after a mistake in a
// single condition the others are looked at all the same.
func (p *parser) stopped() bool { return p.lost || len(p.errs) >= maxErrors }

// lose notes a mistake behind which reading ends.
func (p *parser) lose(code Code, pos Span, field, format string, args ...any) *Error {
	p.lost = true
	return p.errs.add(code, pos, field, format, args...)
}

func (p *parser) done() bool { return p.at >= len(p.text) }

func (p *parser) rest() string { return p.text[p.at:] }

func (p *parser) space() {
	for !p.done() {
		r, n := utf8.DecodeRuneInString(p.rest())
		if !unicode.IsSpace(r) {
			return
		}
		p.at += n
	}
}

func (p *parser) unexpected(hint string) {
	end := p.at
	what := "the text ends too early"
	if !p.done() {
		_, n := utf8.DecodeRuneInString(p.rest())
		end += n
		what = "this is not expected here: " + p.text[p.at:end]
	}
	p.lose(Unexpected, Span{p.at, end}, "", "%s", what).Hint = hint
}

// word reports whether a word of the language stands here, and goes past it.
func (p *parser) word(w string) bool {
	if !strings.HasPrefix(p.rest(), w) {
		return false
	}
	after := p.rest()[len(w):]
	if after != "" {
		if r, _ := utf8.DecodeRuneInString(after); !unicode.IsSpace(r) && r != '(' && r != ')' {
			return false
		}
	}
	p.at += len(w)
	p.space()
	return true
}

// or = and { "OR" and } .
func (p *parser) or(depth int) Filter {
	parts := Or{p.and(depth)}
	for !p.stopped() && p.word("OR") {
		parts = append(parts, p.and(depth))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return parts
}

// and = unary { ["AND"] unary } .
func (p *parser) and(depth int) Filter {
	parts := And{p.unary(depth)}
	for !p.stopped() && !p.done() && p.text[p.at] != ')' {
		from := p.at
		if p.word("OR") {
			p.at = from
			break
		}
		if p.word("AND") && (p.done() || p.text[p.at] == ')') {
			p.unexpected("AND stands between two conditions")
			break
		}
		parts = append(parts, p.unary(depth))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return parts
}

// unary = [ "-" | "NOT" ] primary .
func (p *parser) unary(depth int) Filter {
	if depth > MaxDepth {
		p.lose(TooDeep, Span{p.at, p.at}, "", "the filter is nested more than %d deep", MaxDepth)
		return And{}
	}
	if p.done() {
		p.unexpected("a condition is missing")
		return And{}
	}
	if p.text[p.at] == '-' && p.at+1 < len(p.text) && !strings.ContainsRune(" \t\n\r", rune(p.text[p.at+1])) {
		p.at++
		return Not{p.unary(depth + 1)}
	}
	if p.word("NOT") {
		return Not{p.unary(depth + 1)}
	}
	return p.primary(depth)
}

// primary = "(" or ")" | rel | has | term | free .
func (p *parser) primary(depth int) Filter {
	switch p.text[p.at] {
	case '(':
		return p.group(depth, p.at)
	case ')', ',':
		p.unexpected("a condition is missing")
		return And{}
	case '"':
		return p.free()
	}
	for _, w := range []string{"OR", "AND"} {
		from := p.at
		if p.word(w) {
			p.at = from
			p.unexpected(w + " stands between two conditions; put it in quotes to search for the word")
			return And{}
		}
	}
	if f, ok := p.term(depth); ok {
		return f
	}
	return p.free()
}

// group reads what stands in parentheses; from is where the mistake begins if
// nothing closes them.
func (p *parser) group(depth, from int) Filter {
	p.at++
	p.space()
	if !p.done() && p.text[p.at] == ')' {
		p.at++
		p.lose(EmptyGroup, Span{from, p.at}, "", "the parentheses are empty")
		return And{}
	}
	f := p.or(depth + 1)
	if p.stopped() {
		return f
	}
	if p.done() {
		p.lose(UnclosedParen, Span{from, p.at}, "", "a closing parenthesis is missing")
		return f
	}
	p.at++
	p.space()
	return f
}

// free reads a word or a quoted phrase that is searched for everywhere.
func (p *parser) free() Filter {
	from := p.at
	a := p.atom(false)
	if p.lost {
		return And{}
	}
	f := Text{Query: a.text}
	if !p.done() && p.text[p.at] == '*' {
		f.Prefix = true
		p.at++
	}
	f.Pos = Span{from, p.at}
	if !p.done() && p.text[p.at] == '*' || a.text == "" && !a.quoted {
		p.unexpected("to search for a part of a word, put a star behind its beginning")
		return And{}
	}
	if len(Tokens(f.Query)) == 0 {
		p.errs.add(NoToken, f.Pos, "", "%q has no letter or digit to search for", f.Query)
	}
	p.space()
	return f
}

// atom is a bare or quoted piece of text.
type atom struct {
	text   string
	quoted bool
	pos    Span
}

// atom reads a piece. A bare one ends at a space, a quote, a parenthesis, a
// star, and in values at a comma and at two dots.
func (p *parser) atom(value bool) atom {
	from := p.at
	if !p.done() && p.text[p.at] == '"' {
		s := p.quoted()
		return atom{s, true, Span{from, p.at}}
	}
	for !p.done() {
		r, n := utf8.DecodeRuneInString(p.rest())
		if unicode.IsSpace(r) || strings.ContainsRune(`"()*`, r) || value && (r == ',' || strings.HasPrefix(p.rest(), "..")) || !value && r == ',' {
			break
		}
		p.at += n
	}
	return atom{p.text[from:p.at], false, Span{from, p.at}}
}

func (p *parser) quoted() string {
	from := p.at
	var b strings.Builder
	for p.at++; !p.done(); p.at++ {
		switch c := p.text[p.at]; c {
		case '"':
			p.at++
			return b.String()
		case '\\':
			p.at++
			if p.done() {
				continue
			}
			switch e := p.text[p.at]; e {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'u':
				r, end := hexRune([]byte(p.text), p.at)
				if end == 0 {
					b.WriteString(`\u`)
					continue
				}
				b.WriteRune(r)
				p.at = end - 1
			case '"', '\\':
				b.WriteByte(e)
			default:
				b.WriteByte('\\')
				b.WriteByte(e)
			}
		default:
			b.WriteByte(c)
		}
	}
	p.at = len(p.text) // a backslash at the end goes past it
	p.lose(UnclosedQuote, Span{from, p.at}, "", "a closing quote is missing")
	return ""
}

// Simplify is f with nested Ands and Ors made flat, single parts unwrapped, and
// double negations gone. It matches the same rows.
func Simplify(f Filter) Filter {
	switch f := f.(type) {
	case And:
		var out And
		for _, p := range f {
			if p = Simplify(p); isAnd(p) {
				out = append(out, p.(And)...)
			} else {
				out = append(out, p)
			}
		}
		if len(out) == 1 {
			return out[0]
		}
		return out
	case Or:
		var out Or
		for _, p := range f {
			if p = Simplify(p); isOr(p) {
				out = append(out, p.(Or)...)
			} else {
				out = append(out, p)
			}
		}
		if len(out) == 1 {
			return out[0]
		}
		return out
	case Not:
		inner := Simplify(f.Filter)
		if n, ok := inner.(Not); ok {
			return n.Filter
		}
		return Not{inner}
	case Rel:
		f.Where = Simplify(f.Where)
		return f
	case Cmp:
		return simpleCmp(f)
	}
	return f
}

func isAnd(f Filter) bool { _, ok := f.(And); return ok }
func isOr(f Filter) bool  { _, ok := f.(Or); return ok }

// simpleCmp drops repeated values of a list, and the list around a single one.
func simpleCmp(f Cmp) Filter {
	if f.Op != In {
		return f
	}
	var values []Value
	seen := map[Value]bool{}
	for _, v := range f.Values {
		if !seen[v] {
			seen[v] = true
			values = append(values, v)
		}
	}
	f.Values = values
	if len(values) == 1 {
		f.Op = Eq
	}
	return f
}
