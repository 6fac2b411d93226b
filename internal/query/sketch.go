package query

import (
	"encoding/binary"
	"iter"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Sketch counts numbers in buckets whose bounds grow by a constant factor, so
// that quantiles have a relative error of at most 2 %. The order of numbers and
// how they were split before merging make no difference. Zero and negative
// numbers are counted apart.
type Sketch struct {
	N        int64
	Min, Max float64
	zero     int64
	pos, neg buckets
}

// gamma is how much wider each bucket is than the one before it: 1.02/0.98.
const gamma = 1.0408163265306123

var lnGamma = math.Log(gamma)

// buckets are counts by the index of their bucket, dense between the ends.
type buckets struct {
	from   int
	counts []int64
}

// bucketOf is the bucket of a number above zero: (gamma^(i-1), gamma^i].
func bucketOf(v float64) int {
	if v < 1 || v >= 1<<63 {
		return int(math.Ceil(math.Log(v) / lnGamma))
	}
	// A logarithm costs more than all else that is done with a number: the
	// exponent and six bits behind it lead to the bucket, or to the one before.
	at := int(bucketStarts[math.Float64bits(v)>>46-1023<<6])
	for v > bucketBounds[at] {
		at++
	}
	return at
}

// bucketBounds is the upper bounds of the buckets from 0 on, and bucketStarts
// the first bucket that a number with these leading bits may be in.
var bucketBounds, bucketStarts = func() (bounds []float64, starts []uint16) {
	for i := 0; ; i++ {
		b := math.Pow(gamma, float64(i))
		if bounds = append(bounds, b); b > 1<<63 {
			break
		}
	}
	at := 0
	for i := range 63 << 6 {
		least := math.Float64frombits(uint64(i+1023<<6) << 46)
		for bounds[at] < least {
			at++
		}
		starts = append(starts, uint16(at))
	}
	return bounds, starts
}()

// middle is the number that stands for a bucket.
func middle(i int) float64 { return 2 * math.Pow(gamma, float64(i)) / (1 + gamma) }

func (b *buckets) add(i int, n int64) {
	switch {
	case len(b.counts) == 0:
		b.from, b.counts = i, append(b.counts, 0)
	case i < b.from:
		b.counts = slices.Insert(b.counts, 0, make([]int64, b.from-i)...)
		b.from = i
	case i >= b.from+len(b.counts):
		b.counts = append(b.counts, make([]int64, i-b.from-len(b.counts)+1)...)
	}
	b.counts[i-b.from] += n
}

// Add counts a number in; NaN and infinities are left out.
func (s *Sketch) Add(v float64) {
	if v-v != 0 { // no number, or an infinite one
		return
	}
	if s.N == 0 || v < s.Min {
		s.Min = v
	}
	if s.N == 0 || v > s.Max {
		s.Max = v
	}
	s.N++
	switch {
	case v > 0:
		i := bucketOf(v)
		if at := i - s.pos.from; at >= 0 && at < len(s.pos.counts) { // most are
			s.pos.counts[at]++
		} else {
			s.pos.add(i, 1)
		}
	case v < 0:
		s.neg.add(bucketOf(-v), 1)
	default:
		s.zero++
	}
}

// Merge counts in what another sketch counted.
func (s *Sketch) Merge(o *Sketch) {
	if o.N == 0 {
		return
	}
	if s.N == 0 || o.Min < s.Min {
		s.Min = o.Min
	}
	if s.N == 0 || o.Max > s.Max {
		s.Max = o.Max
	}
	s.N += o.N
	s.zero += o.zero
	for i, n := range o.pos.counts {
		if n > 0 {
			s.pos.add(o.pos.from+i, n)
		}
	}
	for i, n := range o.neg.counts {
		if n > 0 {
			s.neg.add(o.neg.from+i, n)
		}
	}
}

// all is the buckets that hold any number, from the least to the greatest: 0 is
// that of zero, i+1 that of (gamma^(i-1), gamma^i], and -i-1 that of the same
// numbers below zero.
func (s *Sketch) all() iter.Seq2[int, int64] {
	return func(yield func(int, int64) bool) {
		for i, n := range slices.Backward(s.neg.counts) {
			if n > 0 && !yield(-s.neg.from-i-1, n) {
				return
			}
		}
		if s.zero > 0 && !yield(0, s.zero) {
			return
		}
		for i, n := range s.pos.counts {
			if n > 0 && !yield(s.pos.from+i+1, n) {
				return
			}
		}
	}
}

// valueOf is the number that stands for one of all buckets.
func valueOf(bucket int) float64 {
	switch {
	case bucket > 0:
		return middle(bucket - 1)
	case bucket < 0:
		return -middle(-bucket - 1)
	}
	return 0
}

// maxBucket is beyond the bucket of any whole number.
const maxBucket = 1100

// AppendPacked appends a sketch of whole numbers to b, for AddPacked: for each
// bucket how far it lies behind the one before, as a signed varint, and its
// count, as an unsigned one. Engines keep these bytes on disk, so neither they
// nor the numbers of the buckets ever change.
func (s *Sketch) AppendPacked(b []byte) []byte {
	last := 0
	for i, n := range s.all() {
		b = binary.AppendVarint(b, int64(i-last))
		b = binary.AppendUvarint(b, uint64(n))
		last = i
	}
	return b
}

// AddPacked counts in what AppendPacked wrote, whose numbers lie between least
// and greatest. ok is false where b holds something else.
func (s *Sketch) AddPacked(b []byte, least, greatest int64) (ok bool) {
	if s.N == 0 || float64(least) < s.Min {
		s.Min = float64(least)
	}
	if s.N == 0 || float64(greatest) > s.Max {
		s.Max = float64(greatest)
	}
	at := 0
	for len(b) > 0 {
		step, width := int64(b[0]>>1)^-int64(b[0]&1), 1 // as most are
		if b[0] >= 0x80 {
			step, width = binary.Varint(b)
		}
		if width <= 0 || width >= len(b) || step < -2*maxBucket || step > 2*maxBucket {
			return false
		}
		b = b[width:]
		n, width := uint64(b[0]), 1
		if b[0] >= 0x80 {
			n, width = binary.Uvarint(b)
		}
		if at += int(step); width <= 0 || at < -maxBucket || at > maxBucket {
			return false
		}
		b = b[width:]
		s.N += int64(n)
		switch i := at - 1 - s.pos.from; {
		case at > 0 && i >= 0 && i < len(s.pos.counts):
			s.pos.counts[i] += int64(n)
		case at > 0:
			s.pos.add(at-1, int64(n))
		case at < 0:
			s.neg.add(-at-1, int64(n))
		default:
			s.zero += int64(n)
		}
	}
	return true
}

// Quantile is the number that a share q of all numbers do not exceed; ok is
// false where there are none.
func (s *Sketch) Quantile(q float64) (v float64, ok bool) {
	if s.N == 0 {
		return 0, false
	}
	rank := int64(math.Ceil(q * float64(s.N)))
	rank = max(1, min(s.N, rank))
	seen, bucket := int64(0), 0
	for i, n := range s.all() {
		bucket = i
		if seen += n; seen >= rank {
			break
		}
	}
	return min(max(valueOf(bucket), s.Min), s.Max), true
}

// Bin is one bar of a histogram: how many numbers lie in [Lower, Upper), in the
// last one also Upper.
type Bin struct {
	Lower, Upper float64
	Count        int64
}

// Histogram is bars of equal width over all numbers. Their heights come from
// the sketch and sum to N.
func (s *Sketch) Histogram(bins int) []Bin {
	if s.N == 0 {
		return nil
	}
	width := (s.Max - s.Min) / float64(bins)
	if width == 0 {
		return []Bin{{s.Min, s.Max, s.N}}
	}
	out := make([]Bin, bins)
	for i := range out {
		out[i].Lower = s.Min + float64(i)*width
		out[i].Upper = s.Min + float64(i+1)*width
	}
	out[bins-1].Upper = s.Max
	for bucket, n := range s.all() {
		i := int((min(max(valueOf(bucket), s.Min), s.Max) - s.Min) / width)
		out[min(i, bins-1)].Count += n
	}
	return out
}

// uniqueExact is how many different values are counted exactly in a group;
// beyond it, the count is an estimate with an error of 0.8 %.
const uniqueExact = 100_000

// Unique counts different texts.
type Unique struct {
	seen  map[uint64]struct{}
	ranks []uint8 // of a HyperLogLog, nil as long as the count is exact
}

// uniqueBits is the precision of the HyperLogLog.
const uniqueBits = 14

// Add counts a text in.
func (u *Unique) Add(s string) { u.addHash(xxhash.Sum64String(s)) }

func (u *Unique) addHash(h uint64) {
	if u.ranks != nil {
		u.rank(h)
		return
	}
	if u.seen == nil {
		u.seen = map[uint64]struct{}{}
	}
	u.seen[h] = struct{}{}
	if len(u.seen) > uniqueExact {
		u.ranks = make([]uint8, 1<<uniqueBits)
		for h := range u.seen {
			u.rank(h)
		}
		u.seen = nil
	}
}

func (u *Unique) rank(h uint64) {
	i := h >> (64 - uniqueBits)
	r := uint8(1)
	for rest := h << uniqueBits; r <= 64-uniqueBits && rest&(1<<63) == 0; rest <<= 1 {
		r++
	}
	u.ranks[i] = max(u.ranks[i], r)
}

// Merge counts in what another one counted.
func (u *Unique) Merge(o *Unique) {
	if o.ranks != nil {
		if u.ranks == nil {
			u.ranks = make([]uint8, 1<<uniqueBits)
			for h := range u.seen {
				u.rank(h)
			}
			u.seen = nil
		}
		for i, r := range o.ranks {
			u.ranks[i] = max(u.ranks[i], r)
		}
		return
	}
	for h := range o.seen {
		u.addHash(h)
	}
}

// Count is how many different texts there were.
func (u *Unique) Count() int64 {
	if u.ranks == nil {
		return int64(len(u.seen))
	}
	const m = 1 << uniqueBits
	sum, empty := 0.0, 0
	for _, r := range u.ranks {
		sum += math.Pow(2, -float64(r))
		if r == 0 {
			empty++
		}
	}
	n := 0.7213 / (1 + 1.079/m) * m * m / sum
	if n <= 2.5*m && empty > 0 {
		n = m * math.Log(m/float64(empty))
	}
	return int64(math.Round(n))
}
