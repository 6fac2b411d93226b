package query

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/clewhq/clew/internal/domain"
)

// Whatever holds the words is never said not to, and plain text that lacks them
// is.
func TestMayBeIn(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	pieces := []string{
		"a", "b", "A", "B", "n", "u", "k", "s", " ", ".", "-", "\\n", "\\u0061", "\\u004", "\\", "\\\\", "\"", "\\\"", "\\/", "\\g",
		"ſ", "\u212a", "ａ", "\u00ad", "é", "e\u0301", "退", "款", "\\u9000", "ﬁ", "fi", "0", "7", "{", "[",
	}
	text := func(most int) string {
		var b strings.Builder
		for range r.IntN(most) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		return b.String()
	}
	held, told := 0, 0
	for range 300_000 {
		f := Text{Query: text(4), Prefix: r.IntN(2) == 0, Scope: Ref{Column: ColInput}}
		if len(f.Terms()) == 0 {
			continue
		}
		plan, err := Plan(Observations, f, Bind{})
		if err != nil || plan[0].Words == nil {
			continue
		}
		w := plan[0].Words
		b := domain.Body{Kind: []domain.BodyKind{domain.Text, domain.JSON}[r.IntN(2)], Data: []byte(text(12))}
		folded, _ := Searchable(nil, nil, b)
		switch in, may := w.In(folded), w.MayBeIn(b); {
		case in && !may:
			t.Fatalf("%q holds %q (prefix %v), which is denied", b.Data, f.Query, f.Prefix)
		case in:
			held++
		case !may:
			told++
		}
	}
	if held < 1000 || told < 1000 {
		t.Errorf("only %d texts held their words, and %d were told apart", held, told)
	}
}
