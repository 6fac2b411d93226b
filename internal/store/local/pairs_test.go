package local

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// Pairs are found in the rows that hold them, rows of which nothing is known are
// told apart from those that hold none, and each row's pairs come back.
func TestPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		rows := make([][]uint64, r.IntN(400))
		var w pairsWriter
		want := map[uint64][]int32{}
		for i := range rows {
			known := r.IntN(10) > 0
			if known {
				rows[i] = []uint64{}
				for range r.IntN(4) {
					rows[i] = append(rows[i], uint64(r.IntN(30))<<r.IntN(60))
				}
				slices.Sort(rows[i])
				rows[i] = slices.Compact(rows[i])
			}
			for _, p := range rows[i] {
				want[p] = append(want[p], int32(i))
			}
			w.add(rows[i], known)
		}
		b := w.encode()
		if !slices.ContainsFunc(rows, func(p []uint64) bool { return p != nil }) {
			if b != nil {
				t.Fatalf("nothing is known, yet there are %d bytes", len(b))
			}
			continue
		}
		p, err := openPairs(b, len(rows))
		if err != nil {
			t.Fatal(err)
		}
		for hash := range maps.Keys(want) {
			if got := p.holding(hash, nil); !slices.Equal(got, want[hash]) {
				t.Fatalf("rows that hold %d: %v, want %v", hash, got, want[hash])
			}
		}
		if got := p.holding(1<<63+1, nil); got != nil {
			t.Fatalf("rows %v hold what nobody wrote", got)
		}
		got := make([][]uint64, len(rows))
		p.each(len(rows), func(row int, pairs []uint64) { got[row] = append([]uint64{}, pairs...) })
		for i := range rows {
			if (rows[i] == nil) != (got[i] == nil) || !slices.Equal(rows[i], got[i]) {
				t.Fatalf("pairs of row %d: %v, want %v", i, got[i], rows[i])
			}
		}
	}
}

// Bytes of which some are missing or changed are told of, and never make a
// reader fall.
func TestDamagedPairs(t *testing.T) {
	var w pairsWriter
	for i := range 50 {
		w.add([]uint64{7, uint64(100 + i%5)}, i%9 != 0)
	}
	whole := w.encode()
	for n := range whole {
		if _, err := openPairs(whole[:n], 50); !errors.Is(err, errCorrupt) {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
		}
		damaged := bytes.Clone(whole)
		damaged[n] ^= 0xff
		p, err := openPairs(damaged, 50)
		if err != nil {
			continue
		}
		p.each(50, func(int, []uint64) {})
		p.holding(7, nil)
	}
}
