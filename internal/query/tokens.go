package query

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/clewhq/clew/internal/domain"
)

// Token is a word of a text, or a stretch of a script that is written without
// spaces. A query's stretch is found anywhere inside one of a text.
type Token struct {
	Text    string // folded
	Stretch bool
}

// spaceless are the scripts that do not put spaces between words.
var spaceless = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// Tokens cuts a text into what search finds: normalised (NFKC), case-folded
// runs of letters, marks and digits.
func Tokens(s string) []Token {
	var out []Token
	eachToken(AppendFolded(nil, []byte(s)), func(t []byte, stretch bool) bool {
		out = append(out, Token{string(t), stretch})
		return true
	})
	return out
}

// FoldText is s as comparisons that ignore case see it: NFKC, full case
// folding, NFKC.
func FoldText(s string) string { return string(AppendFolded(nil, []byte(s))) }

// AppendFolded appends the folded form of a text to dst. Code points without a
// shape of their own, such as soft hyphens, are left out.
func AppendFolded(dst, b []byte) []byte {
	for len(b) > 0 {
		n := 0
		for n < len(b) && b[n] < utf8.RuneSelf {
			n++
		}
		at := len(dst)
		dst = append(dst, b[:n]...)
		lower(dst[at:])
		if n == len(b) {
			return dst
		}
		b = b[n:]
		// A mark may change the letter before it, so that one goes along.
		end := 0
		for end < len(b) && b[end] >= utf8.RuneSelf {
			end++
		}
		rest := b[:end]
		if at < len(dst) {
			last := dst[len(dst)-1]
			dst = dst[:len(dst)-1]
			rest = append([]byte{last}, rest...)
		}
		dst = appendFoldedWide(dst, rest)
		b = b[end:]
	}
	return dst
}

func lower(b []byte) {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// appendFoldedWide is AppendFolded for any text.
func appendFoldedWide(dst, b []byte) []byte {
	b = norm.NFKC.Bytes(b)
	if needsFold(b) {
		b = norm.NFKC.Bytes(cases.Fold().Bytes(b))
		b = bytes.Map(func(r rune) rune {
			if ignorable(r) {
				return -1
			}
			return r
		}, b)
	}
	return append(dst, b...)
}

// needsFold reports whether anything in b has case or is ignorable.
func needsFold(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		if r >= 0x3000 && r < 0xA000 { // kana and Han: the bulk of wide text
			continue
		}
		if r >= 'a' && r <= 'z' || r < 'A' {
			continue
		}
		if unicode.IsUpper(r) || unicode.IsTitle(r) || unicode.IsLower(r) || ignorable(r) || r >= 0xAB70 && r < 0xABC0 || unicode.Is(unicode.Mn, r) {
			return true
		}
	}
	return false
}

func ignorable(r rune) bool {
	return r == 0xAD || r >= 0x115F && (unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		r >= 0x180B && r <= 0x180F || r >= 0x200B && r <= 0x200F || r >= 0x202A && r <= 0x202E || r >= 0x2060 && r <= 0x206F || r == 0xFEFF || r >= 0xE0000 && r <= 0xE0FFF)
}

// eachToken calls f with the tokens of a folded text until f returns false.
func eachToken(b []byte, f func(token []byte, stretch bool) bool) {
	for i := 0; i < len(b); {
		start, stretch := i, false
		for first := true; i < len(b); first = false {
			c := b[i]
			if c < utf8.RuneSelf {
				if stretch || !wordByte[c] {
					break
				}
				i++
				continue
			}
			r, n := utf8.DecodeRune(b[i:])
			if !unicode.In(r, unicode.L, unicode.M, unicode.N) {
				break
			}
			wide := r >= 0x0E00 && (r >= 0x3400 && r < 0xA000 || unicode.In(r, spaceless...))
			if !first && unicode.Is(unicode.M, r) {
				wide = stretch // a mark goes with its letter
			}
			if first {
				stretch = wide
			} else if wide != stretch {
				break
			}
			i += n
		}
		if i > start {
			if !f(b[start:i], stretch) {
				return
			}
			continue
		}
		_, n := utf8.DecodeRune(b[i:])
		i += n
	}
}

var wordByte = func() (t [utf8.RuneSelf]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	return t
}()

// phrase is tokens to be found one after the other.
type phrase struct {
	tokens []Token
	prefix bool
	first  []byte // of the first token: without it the text need not be cut up
	whole  string // the query as a whole folded, for ids and tags
}

func newPhrase(query string, prefix bool) *phrase {
	p := &phrase{tokens: Tokens(query), prefix: prefix, whole: FoldText(query)}
	if len(p.tokens) > 0 {
		p.first = []byte(p.tokens[0].Text)
	}
	return p
}

// in reports whether a folded text holds the phrase.
func (p *phrase) in(folded []byte) bool {
	if !bytes.Contains(folded, p.first) {
		return false
	}
	var open []int // how many tokens each running attempt has matched
	found := false
	eachToken(folded, func(t []byte, stretch bool) bool {
		next := open[:0]
		for _, n := range open {
			if p.matches(n, t, stretch) {
				next = append(next, n+1)
			}
		}
		if p.matches(0, t, stretch) {
			next = append(next, 1)
		}
		open = next
		found = slices.Contains(open, len(p.tokens))
		return !found
	})
	return found
}

func (p *phrase) matches(n int, t []byte, stretch bool) bool {
	want := p.tokens[n]
	switch {
	case want.Stretch != stretch:
		return false
	case stretch:
		return bytes.Contains(t, []byte(want.Text))
	case p.prefix && n == len(p.tokens)-1:
		return bytes.HasPrefix(t, []byte(want.Text))
	}
	return string(t) == want.Text
}

// Searchable appends to dst the text of a body that search looks at: its
// escapes undone, folded. scratch is reused.
func Searchable(dst, scratch []byte, b domain.Body) (folded, reuse []byte) {
	if !b.IsSet() {
		return dst, scratch
	}
	if len(dst) == 0 {
		if folded, plain := foldPlain(dst, b.Data); plain {
			return folded, scratch
		}
	}
	scratch = unescape(scratch[:0], b.Data, isQuoted(b))
	return AppendFolded(dst, scratch), scratch
}

// isQuoted reports whether a body is JSON, or text that looks like some: then
// all of its escapes are undone, else only \u ones.
func isQuoted(b domain.Body) bool {
	return b.Kind == domain.JSON || len(b.Data) > 0 && (b.Data[0] == '{' || b.Data[0] == '[' || b.Data[0] == '"')
}

// unescape appends b with the escapes of JSON strings undone at every depth of
// quoting. Escapes of white space become spaces.
func unescape(dst, b []byte, all bool) []byte {
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return append(dst, b...)
		}
		dst = append(dst, b[:i]...)
		b = b[i:]
		n := 1
		for n < len(b) && b[n] == '\\' {
			n++
		}
		if n == len(b) {
			return dst
		}
		switch c := b[n]; {
		case c == 'u' && (all || n == 1):
			r, used := hexRune(b, n)
			if used == 0 {
				dst = append(dst, ' ')
				b = b[n:]
				continue
			}
			dst = utf8.AppendRune(dst, r)
			b = b[used:]
		case !all:
			dst = append(dst, b[:n]...)
			b = b[n:]
		case c == 'n' || c == 't' || c == 'r' || c == 'b' || c == 'f':
			dst = append(dst, ' ')
			b = b[n+1:]
		default:
			b = b[n:]
		}
	}
}

// hexRune reads the \uXXXX whose u is at n, with the second half of a surrogate
// pair behind as many backslashes; used is 0 where it is none.
func hexRune(b []byte, n int) (r rune, used int) {
	r, ok := hex4(b, n+1)
	if !ok {
		return 0, 0
	}
	used = n + 5
	if r < 0xD800 || r > 0xDFFF {
		return r, used
	}
	m := used
	for m < len(b) && b[m] == '\\' {
		m++
	}
	if low, ok := hex4(b, m+1); ok && r < 0xDC00 && m > used && b[m] == 'u' && low >= 0xDC00 && low <= 0xDFFF {
		return (r-0xD800)<<10 + (low - 0xDC00) + 0x10000, m + 5
	}
	return utf8.RuneError, used
}

func hex4(b []byte, i int) (r rune, ok bool) {
	if i+4 > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 + rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 + rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// Terms calls f with everything of a body that an index of words holds: its
// words as search sees them, and of stretches each pair of neighbouring
// characters. buf is scratch space, handed back.
func Terms(b domain.Body, buf []byte, f func(term []byte)) []byte {
	if folded, plain := foldPlain(buf[:0], b.Data); plain {
		start := -1
		for i, c := range folded {
			if wordByte[c] {
				if start < 0 {
					start = i
				}
			} else if start >= 0 {
				f(folded[start:i])
				start = -1
			}
		}
		if start >= 0 {
			f(folded[start:])
		}
		return folded
	}
	folded, _ := Searchable(buf[:0], nil, b)
	eachToken(folded, func(t []byte, stretch bool) bool {
		if !stretch {
			f(t)
			return true
		}
		eachPair(t, f)
		return true
	})
	return folded
}

// foldPlain appends b in lower case where that is all that folding does: in
// ASCII without escapes.
func foldPlain(dst, b []byte) (folded []byte, plain bool) {
	dst = slices.Grow(dst, len(b))[:len(b)]
	for i, c := range b {
		l := lowerByte[c]
		if l == 0 {
			return dst[:0], false
		}
		dst[i] = l
	}
	return dst, true
}

// lowerByte is each byte in lower case, 0 for those that take more: wide
// characters, backslashes and NUL.
var lowerByte = func() (t [256]byte) {
	for c := range utf8.RuneSelf {
		if c != '\\' {
			t[c] = byte(c)
		}
		if c >= 'A' && c <= 'Z' {
			t[c] = byte(c) + 'a' - 'A'
		}
	}
	return t
}()

func eachPair(t []byte, f func(pair []byte)) {
	last := -1
	for i := 0; i < len(t); {
		_, n := utf8.DecodeRune(t[i:])
		if last >= 0 {
			f(t[last : i+n])
		}
		last = i
		i += n
	}
}

// Terms is what a text that matches must hold at least; none where an index of
// words can't tell.
func (f *Text) Terms() (terms []string) {
	tokens := Tokens(f.Query)
	for i, t := range tokens {
		switch {
		case t.Stretch:
			eachPair([]byte(t.Text), func(p []byte) { terms = append(terms, string(p)) })
		case !f.Prefix || i < len(tokens)-1:
			terms = append(terms, t.Text)
		}
	}
	return terms
}
