package local_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
)

// Searches find every row, newest first, page after page: words that all rows
// have, some, or few, in blocks and in what is not sealed yet, where rows came in
// another order than that of their times.
func TestSearchPages(t *testing.T) {
	local.SetOpenRows(t, 40)
	s, err := local.Open(t.Context(), t.TempDir(), local.Options{SealAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(7, 8))
	type row struct {
		trace, id, text string
		at              int64
	}
	var rows []row
	const observations = 2
	traces := 3000
	if testing.Short() {
		traces = 1000
	}
	for n := 0; n < traces; n += 100 {
		batch := store.Batch{Project: "p"}
		for i := range 100 {
			for k := range observations {
				words := []string{"common"}
				for word, one := range map[string]int{"half": 2, "Seldom": 60, "rare": 1500, "退款政策": 40} {
					if r.IntN(one) == 0 {
						words = append(words, word)
					}
				}
				words = append(words, fmt.Sprint("filler", r.IntN(5000)))
				one := row{fmt.Sprintf("%032x", n+i+1), fmt.Sprintf("%016x", (n+i)*observations+k+1), strings.Join(words, " "), int64(n+i+r.IntN(900))*1e9 + int64(k)}
				rows = append(rows, one)
				p := domain.ObservationPatch{Stamp: domain.Stamp{Time: one.at, Op: domain.Replace}, Said: domain.AllObservationFields}
				p.Value = domain.Observation{TraceID: one.trace, ID: one.id, Start: domain.At(one.at), End: domain.At(one.at + 1e6), Name: "step"}
				p.Content[domain.Input] = domain.JSONBody(fmt.Appendf(nil, `{"text":%q}`, one.text))
				p.Parts = p.Parts.With(domain.Input)
				domain.SealObservation(&p)
				batch.Observations = append(batch.Observations, p)
			}
		}
		if err := s.Append(t.Context(), []store.Batch{batch})[0]; err != nil {
			t.Fatal(err)
		}
		if n%800 == 500 { // what comes after the last stays as it was written
			if err := s.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.at != b.at {
			return int(b.at - a.at)
		}
		return strings.Compare(b.id, a.id)
	})
	for _, q := range []struct{ text, holds string }{
		{"input:common", "common"}, {"input:half", "half"}, {"input:seldom", "Seldom"}, {"input:rare", "rare"}, {"input:款政", "款政"},
		{"input:half input:seldom", "half&Seldom"}, {"input:half -input:rare", "half&!rare"}, {"rare", "rare"}, {"input:absent", "absent"},
	} {
		f, err := query.Parse(query.Observations, q.text, query.Bind{})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, one := range rows {
			match := true
			for word := range strings.SplitSeq(q.holds, "&") {
				word, not := strings.CutPrefix(word, "!")
				match = match && strings.Contains(one.text, word) != not
			}
			if match {
				want = append(want, one.id)
			}
		}
		for _, way := range []string{"", "counted", "oldest first"} {
			total := way == "counted"
			const limit = 37
			pages := 30
			if total {
				pages = 2
			}
			var got []string
			l := query.List{View: query.Observations, Filter: f, Limit: limit, Total: total}
			want := want
			if way == "oldest first" {
				l.Order = []query.Key{{Ref: query.Ref{Column: query.ColStart}}}
				want = slices.Clone(want)
				slices.Reverse(want)
			}
			for range pages {
				page, err := s.List(t.Context(), "p", l)
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range page.Rows {
					got = append(got, one.Observation.ID)
				}
				if page.Stopped {
					t.Fatalf("%s: stopped after %d rows", q.text, len(got))
				}
				if total && page.Total != int64(len(want)) && !(page.AtLeast && page.Total < int64(len(want))) {
					t.Errorf("%s: %d in all, want %d", q.text, page.Total, len(want))
				}
				if l.After = page.Next; l.After == "" {
					break
				}
			}
			if l.After != "" {
				want = want[:min(len(want), limit*pages)]
			}
			if !slices.Equal(got, want) {
				at := 0
				for at < min(len(got), len(want)) && got[at] == want[at] {
					at++
				}
				t.Errorf("%s (%s): %d rows, want %d; they differ from row %d on", q.text, way, len(got), len(want), at)
			}
		}
	}
}
