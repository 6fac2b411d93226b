package local

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Texts are found in a dictionary, and rows by their numbers, in columns of
// every width.
func TestFind(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, words := range []int{1, 2, 200, 300, 70_000} {
		for _, form := range []string{"w-%d", "%08x"} {
			var w textsWriter
			rows := make([]string, 80_000)
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
