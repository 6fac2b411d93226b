package query

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clewhq/clew/internal/domain"
)

// Every name that a column is understood by is found, and is the column's alone.
func TestColumnNames(t *testing.T) {
	for v := range registry {
		seen := map[string]Col{}
		for _, c := range Columns(v) {
			for _, name := range append([]string{c.Name}, c.Also...) {
				got, found := Lookup(v, name)
				if !found || got.Col != c.Col {
					t.Errorf("%s: %s leads to %v, %v", v, name, got.Name, found)
				}
				if other, taken := seen[name]; taken {
					t.Errorf("%s: %s names columns %d and %d", v, name, other, c.Col)
				}
				seen[name] = c.Col
			}
			if again, found := ColumnOf(v, c.Col); !found || again.Name != c.Name {
				t.Errorf("%s: column %s is not found by its number", v, c.Name)
			}
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, c := range []struct{ a, b string }{{"0.1", "1e-1"}, {"100", "1e2"}, {"-0", "0"}, {"007.50", "7.5"}, {"0.000", "0"}, {"1.", "1"}} {
		a, ok := ParseDecimal(c.a)
		b, ok2 := ParseDecimal(c.b)
		if !ok || !ok2 || a != b {
			t.Errorf("%s and %s: %v, %v", c.a, c.b, a, b)
		}
	}
	order := []string{"-1e30", "-2.5", "-2.4999", "-0.1", "0", "1e-30", "0.1", "0.10000000000000000001", "2", "10", "1e19", "1e30"}
	for i := range order {
		for j := range order {
			a, _ := ParseDecimal(order[i])
			b, _ := ParseDecimal(order[j])
			if want := (i > j); (a.Compare(b) > 0) != want {
				t.Errorf("%s > %s: %v", order[i], order[j], !want)
			}
		}
	}
	for _, s := range []string{"", "-", ".", "e5", "1e99999", "0x1", "1,5", "NaN", "Inf", " 1"} {
		if d, ok := ParseDecimal(s); ok {
			t.Errorf("%q is taken for %v", s, d)
		}
	}
	for _, c := range []struct {
		text  string
		scale int
		floor int64
		exact bool
	}{{"0.1", 12, 1e11, true}, {"1.5", 0, 1, false}, {"-1.5", 0, -2, false}, {"-2", 0, -2, true}, {"1e-13", 12, 0, false}, {"-1e-13", 12, -1, false}, {"1e40", 0, 1<<63 - 1, false}} {
		d, _ := ParseDecimal(c.text)
		if n, exact := d.Scaled(c.scale); n != c.floor || exact != c.exact {
			t.Errorf("%s by 10^%d: %d, %v", c.text, c.scale, n, exact)
		}
	}
}

func TestTokens(t *testing.T) {
	for text, want := range map[string]string{
		"user_id GPT-4o a.b": "user id gpt 4o a b", "Straße ＡＢ": "strasse ab", "退款政策ok": "[退款政策] ok", "カタカナ と ひらがな": "[カタカナ] [と] [ひらがな]",
		"soft\u00adhyphen": "softhyphen", "naïve café": "naïve café", "العربية لغة": "العربية لغة", "한국어": "[한국어]", "---": "", "Ⅳ x²": "iv x2",
	} {
		var got []string
		for _, tok := range Tokens(text) {
			if tok.Stretch {
				got = append(got, "["+tok.Text+"]")
			} else {
				got = append(got, tok.Text)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: %q, want %q", text, s, want)
		}
	}
	for body, word := range map[string]string{
		`{"a":"\u9000\u6b3e"}`: "退款", `{"a":"{\"b\":\"\\u9000\\u6b3e\"}"}`: "退款", `plain \u9000\u6b3e`: "退款", `["\ud83d\ude00 smile\nnext"]`: "next", `{"k":"line\ttab"}`: "tab",
	} {
		kind := domain.Text
		folded, _ := Searchable(nil, nil, domain.Body{Kind: kind, Data: []byte(body)})
		if !newPhrase(word, false).in(folded) {
			t.Errorf("%s does not hold %s: %s", body, word, folded)
		}
	}
}

// What an index of words is told of a body covers what the search finds in it.
func TestTermsCoverSearches(t *testing.T) {
	for _, text := range []string{"The refund-policy 42", "退款政策 refund", `{"q":"\u9000\u6b3e please"}`, "straße ＡＢ", "ñandú écoute"} {
		terms := map[string]bool{}
		b := domain.TextBody(text)
		Terms(b, nil, func(term []byte) { terms[string(term)] = true })
		folded, _ := Searchable(nil, nil, b)
		for _, tok := range Tokens(string(folded)) {
			f := Text{Query: tok.Text}
			for _, want := range f.Terms() {
				if !terms[want] {
					t.Errorf("%q: the term %q is missing", text, want)
				}
			}
		}
	}
}

func TestRelativeTimes(t *testing.T) {
	b := Bind{Now: time.Date(2026, 3, 31, 12, 30, 15, 0, time.UTC).UnixNano()}
	for text, want := range map[string]string{
		"now": "2026-03-31T12:30:15Z", "now-1mo": "2026-02-28T12:30:15Z", "now-1d/d": "2026-03-30T00:00:00Z", "now/w": "2026-03-30T00:00:00Z",
		"now+90s": "2026-03-31T12:31:45Z", "now/mo": "2026-03-01T00:00:00Z", "now-1y/y": "2025-01-01T00:00:00Z", "now-2h": "2026-03-31T10:30:15Z",
	} {
		r, ok := parseRelative(text)
		if got := time.Unix(0, b.At(r)).UTC().Format(time.RFC3339); !ok || got != want {
			t.Errorf("%s: %s, %v, want %s", text, got, ok, want)
		}
		if r.String() != text {
			t.Errorf("%s prints as %s", text, r)
		}
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones here")
	}
	b.Zone = berlin
	if got := time.Unix(0, b.At(RelTime{Snap: "d"})).UTC().Format(time.RFC3339); got != "2026-03-30T22:00:00Z" {
		t.Errorf("the day in Berlin begins at %s", got)
	}
}

// A cursor is refused by any other question, and when a bit of it is wrong.
func TestCursor(t *testing.T) {
	order := Order(Traces, []Key{{Ref: Ref{Column: ColCost}, Desc: true}})
	at := []SortValue{{Int: 5}, {Int: -7}, {Text: "id"}}
	text := EncodeCursor(Traces, order, at, 99)
	got, now, err := DecodeCursor(Traces, order, text)
	if diff := cmp.Diff(at, got); err != nil || now != 99 || diff != "" {
		t.Errorf("%v %d %s", err, now, diff)
	}
	if _, _, err := DecodeCursor(Observations, order, text); err == nil {
		t.Error("another view takes it")
	}
	if _, _, err := DecodeCursor(Traces, Order(Traces, nil), text); err == nil {
		t.Error("another order takes it")
	}
	for i := range text {
		broken := []byte(text)
		broken[i] ^= 1
		if back, _, err := DecodeCursor(Traces, order, string(broken)); err == nil {
			t.Errorf("byte %d changed: %v", i, back)
		}
	}
}

// randomFilter is a tree that Check accepts.
func randomFilter(r *rand.Rand, v View, depth int) Filter {
	if depth == 0 || r.IntN(3) == 0 {
		for {
			if f := randomLeaf(r, v, depth); Check(v, f) == nil {
				return f
			}
		}
	}
	parts := make([]Filter, 2+r.IntN(2))
	for i := range parts {
		parts[i] = randomFilter(r, v, depth-1)
	}
	switch r.IntN(3) {
	case 0:
		return Or(parts)
	case 1:
		return Not{parts[0]}
	}
	return And(parts)
}

func randomText(r *rand.Rand) string {
	return []string{"a", "x y", `q"uote`, "-minus", "a.b", "1.50", "true", "OR", "a..b", ".", "*", "a*b", "(p)", "退款", "back\\slash", "tab\t", "has:x", ">5", "a,b", "http://x/y?z=1", "~", "now-1d"}[r.IntN(22)]
}

func randomLeaf(r *rand.Rand, v View, depth int) Filter {
	if r.IntN(8) == 0 && depth >= 0 {
		rel := []Relation{RelObs, RelScores, RelTrace}[r.IntN(3)]
		if to, ok := Related(v, rel); ok {
			return Rel{Name: rel, Where: randomFilter(r, to, 0)}
		}
	}
	cols := Columns(v)
	c := cols[r.IntN(len(cols))]
	ref := Ref{Column: c.Col}
	if c.Kind.Keyed() {
		ref.Key = []string{"k", "a.b", "my key", `q"`, "Rouge L", "x:y"}[r.IntN(6)]
	}
	switch r.IntN(8) {
	case 0:
		return Has{Ref: ref}
	case 1:
		return Text{Query: randomText(r), Prefix: r.IntN(2) == 0}
	case 2:
		return Text{Scope: ref, Query: randomText(r)}
	}
	f := Cmp{Ref: ref, Op: Op(1 + r.IntN(11)), Fold: r.IntN(6) == 0}
	n := 1
	if f.Op == Between || f.Op == In {
		n = 2
	}
	kind := r.IntN(3)
	for range n {
		num := Num(DecimalOf(int64(r.IntN(2000)-1000), r.IntN(5)))
		val := num
		switch c.Kind {
		case BoolKind:
			val = Bool(r.IntN(2) == 0)
		case EnumKind:
			val = Str(c.Words[r.IntN(len(c.Words))])
		case TimeKind:
			val = TimeOf(r.Int64N(2e18))
		case MapKind, ScoresKind:
			val = []Value{num, Bool(true), Str(randomText(r))}[kind]
		case IDKind, TextKind, ListKind, BodyKind:
			val = Str(randomText(r))
		}
		f.Values = append(f.Values, val)
	}
	if f.Op == In && f.Values[0] == f.Values[1] {
		f.Values = f.Values[:1]
		f.Op = Eq
	}
	return f
}

// printable leaves out what the text form can't say.
func printable(f Filter) bool {
	switch f := f.(type) {
	case And:
		for _, p := range f {
			if !printable(p) {
				return false
			}
		}
	case Or:
		for _, p := range f {
			if !printable(p) {
				return false
			}
		}
	case Not:
		return printable(f.Filter)
	case Rel:
		return printable(f.Where)
	case Cmp:
		s := f.Values[0].Str
		switch {
		case f.Fold && f.Op == In: // becomes alternatives
			return false
		case f.Op == Like: // without a star, or with nothing else, it is another operator
			return strings.Count(s, "*") == 1 && s != "*" && s[0] != '*' && s[len(s)-1] != '*'
		}
	}
	return true
}

func TestPrintAndParse(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	for range 20_000 {
		v := View(1 + r.IntN(5))
		f := Simplify(randomFilter(r, v, 3))
		if !printable(f) {
			continue
		}
		text := Print(v, f)
		again, err := Parse(v, text, Bind{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(f, again, cmp.AllowUnexported(Decimal{}), cmpopts.IgnoreTypes(Span{})); diff != "" {
			t.Fatalf("%s (-printed +parsed):\n%s", text, diff)
		}
		if twice := Print(v, again); twice != text {
			t.Fatalf("%s prints as %s", text, twice)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`level:error cost>0.1 metadata.tenant=acme "refund"`, `obs(type:TOOL -name~"x*") OR tags:(a AND b)`, `score."Rouge L":0.3..0.6`, `start:now-1d/d..now/d`, `-(a OR "\u0041")`} {
		f.Add(uint8(1), s)
	}
	f.Fuzz(func(t *testing.T, view uint8, text string) {
		v := View(1 + view%4)
		first, err := Parse(v, text, Bind{})
		if err != nil {
			for _, e := range err.(Errors) {
				if e.Pos.Start < 0 || e.Pos.End > len(text) || e.Pos.Start > e.Pos.End {
					t.Errorf("%q: a mistake at %v", text, e.Pos)
				}
			}
			return
		}
		printed := Print(v, first)
		if len(printed) > MaxText {
			return // escapes take more room than what they stand for
		}
		second, err := Parse(v, printed, Bind{})
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, printed, err)
		}
		if again := Print(v, second); again != printed {
			t.Fatalf("%q prints as %q, then as %q", text, printed, again)
		}
	})
}
