package query

import (
	"encoding/binary"
	"iter"
	"maps"
	"math"
	"slices"
	"unsafe"

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
	pos      buckets
	neg      *buckets // nil: there are none
}

// emptySketch is the bytes of a sketch that counted nothing.
const emptySketch = int(unsafe.Sizeof(Sketch{}))

// size is the bytes of the sketch.
func (s *Sketch) size() int {
	n := emptySketch + s.pos.size()
	if s.neg != nil {
		n += int(unsafe.Sizeof(*s.neg)) + s.neg.size()
	}
	return n
}

// gamma is how much wider each bucket is than the one before it: 1.02/0.98.
const gamma = 1.0408163265306123

var lnGamma = math.Log(gamma)

// buckets are counts by the index of their bucket: in order while they are few,
// as in most groups of a question that has many, else dense between the ends.
type buckets struct {
	few    []bucket
	from   int
	counts []uint32
}

type bucket struct {
	index int32
	n     uint32
}

// fewBuckets is up to how many are kept one by one.
const fewBuckets = 24

func (b *buckets) size() int {
	return cap(b.few)*int(unsafe.Sizeof(bucket{})) + cap(b.counts)*int(unsafe.Sizeof(uint32(0)))
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

// add counts in n numbers of a bucket, and returns by how many bytes it grew.
func (b *buckets) add(i int, n uint32) (grown int) {
	was := b.size()
	if b.counts == nil {
		at, found := slices.BinarySearchFunc(b.few, i, func(k bucket, i int) int { return int(k.index) - i })
		if found {
			b.few[at].n += n
			return 0
		}
		if len(b.few) < fewBuckets {
			b.few = slices.Insert(b.few, at, bucket{int32(i), n})
			return b.size() - was
		}
		b.from = min(i, int(b.few[0].index))
		b.counts = make([]uint32, max(i, int(b.few[fewBuckets-1].index))-b.from+1)
		for _, k := range b.few {
			b.counts[int(k.index)-b.from] = k.n
		}
		b.few = nil
	}
	switch {
	case i < b.from:
		b.counts = slices.Insert(b.counts, 0, make([]uint32, b.from-i)...)
		b.from = i
	case i >= b.from+len(b.counts):
		b.counts = append(b.counts, make([]uint32, i-b.from-len(b.counts)+1)...)
	}
	b.counts[i-b.from] += n
	return b.size() - was
}

// all is the buckets that hold any number, by their index.
func (b *buckets) all() iter.Seq2[int, int64] {
	return func(yield func(int, int64) bool) {
		for _, k := range b.few {
			if !yield(int(k.index), int64(k.n)) {
				return
			}
		}
		for i, n := range b.counts {
			if n > 0 && !yield(b.from+i, int64(n)) {
				return
			}
		}
	}
}

// below is the buckets of numbers below zero.
func (s *Sketch) below() (b *buckets, grown int) {
	if s.neg == nil {
		s.neg = &buckets{}
		grown = int(unsafe.Sizeof(buckets{}))
	}
	return s.neg, grown
}

// Add counts a number in; NaN and infinities are left out. It returns by how
// many bytes the sketch grew.
func (s *Sketch) Add(v float64) (grown int) {
	if v-v != 0 { // no number, or an infinite one
		return 0
	}
	s.span(v, v, 1)
	switch {
	case v > 0:
		i := bucketOf(v)
		if at := i - s.pos.from; at >= 0 && at < len(s.pos.counts) { // most are
			s.pos.counts[at]++
			return 0
		}
		return s.pos.add(i, 1)
	case v < 0:
		neg, grown := s.below()
		return grown + neg.add(bucketOf(-v), 1)
	}
	s.zero++
	return 0
}

// span notes n numbers between two of them.
func (s *Sketch) span(least, greatest float64, n int64) {
	if s.N == 0 || least < s.Min {
		s.Min = least
	}
	if s.N == 0 || greatest > s.Max {
		s.Max = greatest
	}
	s.N += n
}

// Merge counts in what another sketch counted, and returns by how many bytes
// this one grew.
func (s *Sketch) Merge(o *Sketch) (grown int) {
	if o.N == 0 {
		return 0
	}
	s.span(o.Min, o.Max, o.N)
	s.zero += o.zero
	for i, n := range o.pos.all() {
		grown += s.pos.add(i, uint32(n))
	}
	if o.neg != nil {
		neg, more := s.below()
		grown += more
		for i, n := range o.neg.all() {
			grown += neg.add(i, uint32(n))
		}
	}
	return grown
}

// sidedBucket is a bucket of a sketch, on one side of zero or at it.
type sidedBucket struct {
	side int // -1: below zero, 0: zero, 1: above
	at   int
}

// value is the number that stands for the bucket.
func (p sidedBucket) value() float64 { return float64(p.side) * middle(p.at) }

// all is the buckets that hold any number, from the least to the greatest.
func (s *Sketch) all() iter.Seq2[sidedBucket, int64] {
	return func(yield func(sidedBucket, int64) bool) {
		if s.neg != nil {
			below := maps.Collect(s.neg.all())
			for _, i := range slices.Backward(slices.Sorted(maps.Keys(below))) {
				if !yield(sidedBucket{-1, i}, below[i]) {
					return
				}
			}
		}
		if s.zero > 0 && !yield(sidedBucket{}, s.zero) {
			return
		}
		for i, n := range s.pos.all() {
			if !yield(sidedBucket{1, i}, n) {
				return
			}
		}
	}
}

// maxBucket is beyond the bucket of any whole number.
const maxBucket = 1100

// AppendPacked appends a sketch of whole numbers to b, for AddPacked. They have
// buckets from 0 on: the one of zero gets the number 0, bucket i above zero i+1,
// below it -i-1. For each bucket follows how far its number lies behind the one
// before, as a signed varint, and its count, as an unsigned one. Engines keep
// these bytes on disk, so they never change.
func (s *Sketch) AppendPacked(b []byte) []byte {
	last := 0
	for p, n := range s.all() {
		i := p.side * (p.at + 1)
		b = binary.AppendVarint(b, int64(i-last))
		b = binary.AppendUvarint(b, uint64(n))
		last = i
	}
	return b
}

// AddPacked counts in what AppendPacked wrote, whose numbers lie between least
// and greatest, and returns by how many bytes the sketch grew. ok is false where
// b holds something else.
func (s *Sketch) AddPacked(b []byte, least, greatest int64) (grown int, ok bool) {
	at, sum := 0, int64(0)
	for len(b) > 0 {
		step, width := int64(b[0]>>1)^-int64(b[0]&1), 1 // as most are
		if b[0] >= 0x80 {
			step, width = binary.Varint(b)
		}
		if width <= 0 || width >= len(b) || step < -2*maxBucket || step > 2*maxBucket {
			return grown, false
		}
		b = b[width:]
		n, width := uint64(b[0]), 1
		if b[0] >= 0x80 {
			n, width = binary.Uvarint(b)
		}
		if at += int(step); width <= 0 || n > math.MaxUint32 || at < -maxBucket || at > maxBucket {
			return grown, false
		}
		b = b[width:]
		sum += int64(n)
		switch i := at - 1 - s.pos.from; {
		case at > 0 && i >= 0 && i < len(s.pos.counts):
			s.pos.counts[i] += uint32(n)
		case at > 0:
			grown += s.pos.add(at-1, uint32(n))
		case at < 0:
			neg, more := s.below()
			grown += more + neg.add(-at-1, uint32(n))
		default:
			s.zero += int64(n)
		}
	}
	if sum > 0 {
		s.span(float64(least), float64(greatest), sum)
	}
	return grown, true
}

// Quantile is the number that a share q of all numbers do not exceed; ok is
// false where there are none.
func (s *Sketch) Quantile(q float64) (v float64, ok bool) {
	if s.N == 0 {
		return 0, false
	}
	rank := int64(math.Ceil(q * float64(s.N)))
	rank = max(1, min(s.N, rank))
	seen, bucket := int64(0), sidedBucket{}
	for p, n := range s.all() {
		bucket = p
		if seen += n; seen >= rank {
			break
		}
	}
	return min(max(bucket.value(), s.Min), s.Max), true
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
		i := int((min(max(bucket.value(), s.Min), s.Max) - s.Min) / width)
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

// seenBytes is about what a value takes that is counted exactly.
const seenBytes = 20

// Add counts a text in, and returns by about how many bytes it grew.
func (u *Unique) Add(s string) (grown int) { return u.addHash(xxhash.Sum64String(s)) }

func (u *Unique) addHash(h uint64) (grown int) {
	if u.ranks != nil {
		u.rank(h)
		return 0
	}
	if u.seen == nil {
		u.seen = map[uint64]struct{}{}
	}
	was := u.size()
	u.seen[h] = struct{}{}
	if len(u.seen) > uniqueExact {
		u.estimate()
	}
	return u.size() - was
}

// size is about how many bytes it takes.
func (u *Unique) size() int { return len(u.seen)*seenBytes + len(u.ranks) }

// estimate goes on without keeping every value.
func (u *Unique) estimate() {
	u.ranks = make([]uint8, 1<<uniqueBits)
	for h := range u.seen {
		u.rank(h)
	}
	u.seen = nil
}

func (u *Unique) rank(h uint64) {
	i := h >> (64 - uniqueBits)
	r := uint8(1)
	for rest := h << uniqueBits; r <= 64-uniqueBits && rest&(1<<63) == 0; rest <<= 1 {
		r++
	}
	u.ranks[i] = max(u.ranks[i], r)
}

// Merge counts in what another one counted, and returns by about how many bytes
// this one grew.
func (u *Unique) Merge(o *Unique) (grown int) {
	was := u.size()
	if o.ranks != nil && u.ranks == nil {
		u.estimate()
	}
	for i, r := range o.ranks {
		u.ranks[i] = max(u.ranks[i], r)
	}
	for h := range o.seen {
		u.addHash(h)
	}
	return u.size() - was
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
