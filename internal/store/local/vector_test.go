package local

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/clewhq/clew/internal/domain"
)

// Texts are found in a dictionary, and rows by their numbers, in columns of
// every width.
func TestFind(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, words := range []int{1, 2, 200, 300, 70_000} {
		for _, form := range []string{"w-%d", "%08x"} {
			var w textsWriter
			rows := make([]string, min(80_000, 300*words))
			for i := range rows {
				rows[i] = fmt.Sprintf(form, r.IntN(words))
				w.add(rows[i], i%7 != 3)
			}
			col, err := openColumn(w.encode(), len(rows))
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				text := fmt.Sprintf(form, r.IntN(words+1))
				var want, all []int32
				for i := range rows {
					all = append(all, int32(i))
					if rows[i] == text && i%7 != 3 {
						want = append(want, int32(i))
					}
				}
				var got []int32
				if code := col.find(text); code >= 0 {
					got = col.keepNumber(int64(code), all)
				}
				if code := col.find(text); code >= 0 && col.n <= maxInverted {
					if found := col.rowsWith(code, nil); !slices.Equal(found, got) {
						t.Fatalf("%d words %s: %s is found in %d rows, want %d", words, form, text, len(found), len(got))
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%d words %s: %s is in %d rows, want %d", words, form, text, len(got), len(want))
				}
			}
			for _, text := range []string{"", "W-1", "0000000G", "0"} {
				if code := col.find(text); code >= 0 && col.word(code) != text {
					t.Errorf("%q is found at %d, which is %q", text, code, col.word(code))
				}
			}
		}
	}
}

// Columns that are alike are kept once.
func TestSameColumns(t *testing.T) {
	w := newSegmentWriter()
	for i := range 100 {
		for _, name := range []string{"o.b", "o.a", "t.a"} {
			w.int(name, i, int64(i)*1000, true)
		}
		w.int("o.c", i, int64(i)*1001, true)
	}
	w.seg.observations, w.seg.traces = 100, 100
	out := w.encoded()
	for name, same := range map[string]string{"o.a": "", "o.b": "o.a", "o.c": "", "t.a": ""} {
		if b := out[name]; (b[0] == sameColumn) != (same != "") || same != "" && string(b[1:]) != same {
			t.Errorf("%s: %q", name, b[:min(len(b), 20)])
		}
	}
}

// Rows are found by an interval, also one that reaches beyond what is stored.
func TestKeepBetween(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		var w intsWriter
		base, width := r.Int64()-1<<62, r.IntN(64)
		all := make([]int32, 200)
		for i := range all {
			all[i] = int32(i)
			v := base
			if width > 0 {
				v += r.Int64N(1 << (width - 1))
			}
			w.add(v, width == 0 || r.IntN(5) > 0)
		}
		b := w.encode()
		if b == nil {
			continue
		}
		col, err := openColumn(b, len(all))
		if err != nil {
			t.Fatal(err)
		}
		edges := []int64{math.MinInt64, math.MaxInt64, 0, base, base - 1, base + 1, w.values[7], w.values[8], w.values[9] + 1}
		for range 20 {
			lo, hi := edges[r.IntN(len(edges))], edges[r.IntN(len(edges))]
			var want []int32
			for i, v := range w.values {
				if w.present[i] && v >= lo && v <= hi {
					want = append(want, int32(i))
				}
			}
			if got := col.keepBetween(lo, hi, slices.Clone(all)); !slices.Equal(got, want) {
				t.Fatalf("width %d, from %d to %d of base %d: %d rows, want %d", col.width, lo, hi, col.base, len(got), len(want))
			}
		}
	}
}

// A filter of keys knows every spelling of those that it holds.
func TestKeyFilter(t *testing.T) {
	ids := []string{
		"0af7651916cd43dd8448eb211c80319c", "0AF7651916CD43DD8448EB211C80319C", "0af76519-16cd-43dd-8448-eb211c80319c", "0AF76519-16cd-43DD-8448-EB211c80319c",
		"", "x", "my trace", strings.Repeat("é", 16), strings.Repeat("z", 36), strings.Repeat("long", 30),
	}
	f := newKeyFilter(len(ids))
	for _, id := range ids {
		f.add(domain.TraceKey(id))
		if !f.may(id) {
			t.Errorf("%q is not known", id)
		}
	}
	wrong := 0
	for i := range 1000 {
		if f.may(fmt.Sprintf("%032x", i)) {
			wrong++
		}
	}
	if wrong > 50 {
		t.Errorf("%d of 1000 other ids seem known", wrong)
	}
}
