package query

import (
	"encoding/binary"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Quantiles are within two per cent of the exact ones, however the numbers were
// split, and histograms count every number.
func TestSketch(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var all []float64
	whole, left, right := &Sketch{}, &Sketch{}, &Sketch{}
	for i := range 50_000 {
		v := math.Exp(r.NormFloat64()*3 + 15)
		switch r.IntN(20) {
		case 0:
			v = 0
		case 1:
			v = -v
		case 2, 3, 4:
			v /= 1e9
		}
		all = append(all, v)
		whole.Add(v)
		[]*Sketch{left, right}[i%2].Add(v)
	}
	slices.Sort(all)
	left.Merge(right)
	for _, q := range []float64{0, 0.01, 0.05, 0.2, 0.5, 0.75, 0.9, 0.95, 0.99, 1} {
		exact := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		got, ok := whole.Quantile(q)
		if !ok || math.Abs(got-exact) > 0.0201*math.Abs(exact) {
			t.Errorf("quantile %v is %v, exactly %v", q, got, exact)
		}
		if merged, _ := left.Quantile(q); merged != got {
			t.Errorf("quantile %v is %v when split, %v at once", q, merged, got)
		}
	}
	n := int64(0)
	for _, b := range whole.Histogram(10) {
		n += b.Count
	}
	if n != int64(len(all)) {
		t.Errorf("the histogram counts %d of %d", n, len(all))
	}
}

// The quick way to a bucket leads where its definition says.
func TestBucketOf(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200_000 {
		v := math.Exp(r.Float64() * 43)
		i := bucketOf(v)
		if v > bucketBounds[i]*(1+1e-12) || i > 0 && v < bucketBounds[i-1]*(1-1e-12) {
			t.Fatalf("%v is in bucket %d", v, i)
		}
	}
}

func TestUnique(t *testing.T) {
	exact, many, split := &Unique{}, &Unique{}, &Unique{}
	for i := range 300_000 {
		s := string(rune('a'+i%26)) + string(rune(0x4e00+i%20_000)) + string(rune('0'+i/30_000))
		if i < 50_000 {
			exact.Add(s)
		}
		many.Add(s)
	}
	for i := range 300_000 {
		other := &Unique{}
		other.Add(string(rune('a'+i%26)) + string(rune(0x4e00+i%20_000)) + string(rune('0'+i/30_000)))
		if i%1000 == 0 {
			split.Merge(other)
		} else {
			split.Add(string(rune('a'+i%26)) + string(rune(0x4e00+i%20_000)) + string(rune('0'+i/30_000)))
		}
	}
	want := map[string]bool{}
	for i := range 300_000 {
		want[string(rune('a'+i%26))+string(rune(0x4e00+i%20_000))+string(rune('0'+i/30_000))] = true
	}
	if n := many.Count(); math.Abs(float64(n)-float64(len(want))) > 0.03*float64(len(want)) || split.Count() != n {
		t.Errorf("%d and %d of %d different texts", n, split.Count(), len(want))
	}
	if n := exact.Count(); n > 50_000 || n < 1 {
		t.Errorf("%d of at most 50,000", n)
	}
}

// A packed sketch counts in as the numbers themselves do; broken ones are told.
func TestPackedSketch(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for round := range 200 {
		one, other := &Sketch{}, &Sketch{}
		least, greatest := int64(math.MaxInt64), int64(math.MinInt64)
		for range r.IntN(300) {
			v := int64(math.Exp(r.Float64()*44)) * int64(r.IntN(3)-1)
			if r.IntN(90) == 0 {
				v = math.MaxInt64
			}
			least, greatest = min(least, v), max(greatest, v)
			one.Add(float64(v))
		}
		for range r.IntN(5) {
			other.Add(r.Float64() * 1e6)
		}
		want := &Sketch{}
		want.Merge(other)
		want.Merge(one)
		packed := one.AppendPacked(nil)
		if _, ok := other.AddPacked(packed, least, greatest); !ok {
			t.Fatalf("round %d: what was packed is refused", round)
		}
		if other.N != want.N || other.Min != want.Min || other.Max != want.Max || !maps.Equal(maps.Collect(other.all()), maps.Collect(want.all())) {
			t.Fatalf("round %d: %+v, want %+v", round, other, want)
		}
		if len(packed) == 0 {
			continue
		}
		if _, ok := (&Sketch{}).AddPacked(packed[:len(packed)-1], least, greatest); ok {
			t.Errorf("round %d: packed without its end is taken", round)
		}
	}
	for _, broken := range [][]byte{{2}, {0x80}, {2, 0x80}, binary.AppendVarint(nil, math.MaxInt64), append(binary.AppendVarint(nil, 5000), 1), {2, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		if _, ok := (&Sketch{}).AddPacked(broken, 0, 1); ok {
			t.Errorf("% x is taken", broken)
		}
	}
}
