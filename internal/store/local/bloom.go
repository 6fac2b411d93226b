package local

import (
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// A block's search filter tells which words its bodies do not hold: a Bloom
// filter of the hashes of their terms. docs/format/bodies.md describes it.
const (
	bloomVersion = 1
	bloomBits    = 12 // for each term
	bloomProbes  = 6
)

// termSet gathers the hashes of terms, each once.
type termSet struct {
	slots []uint64 // 0 is free
	n     int
	buf   []byte
	seen  [4096]uint64 // short terms that were just added, by their bytes: most of a text repeats
}

func termHash(term []byte) uint64 { return max(1, xxhash.Sum64(term)) }

func (s *termSet) add(term []byte) {
	if len(term) <= 8 {
		v := uint64(0)
		for _, c := range term {
			v = v<<8 | uint64(c)
		}
		at := &s.seen[v*0x9E3779B97F4A7C15>>52]
		if *at == v {
			return
		}
		*at = v
	}
	h := termHash(term)
	if 2*s.n >= len(s.slots) {
		s.grow()
	}
	mask := uint64(len(s.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case h:
			return
		case 0:
			s.slots[i] = h
			s.n++
			return
		}
	}
}

func (s *termSet) grow() {
	old := s.slots
	s.slots, s.n = make([]uint64, max(4096, 2*len(old))), 0
	mask := uint64(len(s.slots) - 1)
	for _, h := range old {
		if h == 0 {
			continue
		}
		i := h & mask
		for s.slots[i] != 0 {
			i = (i + 1) & mask
		}
		s.slots[i] = h
		s.n++
	}
}

func (s *termSet) reset() {
	clear(s.slots)
	clear(s.seen[:])
	s.n = 0
}

// searchedParts is the bodies that a search looks at. What a span says about
// its trace is read as the trace's.
var searchedParts = []domain.Part{domain.Input, domain.Output, domain.Metadata, domain.TraceInput, domain.TraceOutput, domain.TraceMetadata}

// addBlock adds the terms of a block's records.
func (s *termSet) addBlock(block []byte) error {
	return eachRecord(block, func(_ int64, items []byte) error {
		for r := (reader{b: items}); len(r.b) > 0; {
			it := r.item()
			if r.err != nil {
				return r.err
			}
			for _, p := range searchedParts {
				if b := it.Content[p]; b.IsSet() {
					s.buf = query.Terms(b, s.buf, s.add)
				}
			}
		}
		return nil
	})
}

// filter is the bytes of the filter: its version, then a power of two of bits.
func (s *termSet) filter() []byte {
	size := 1 << bits.Len(uint(max(64, s.n*bloomBits)-1))
	if size*3/4 >= s.n*bloomBits { // three quarters of a power of two will do
		size = size * 3 / 4
	}
	b := make([]byte, 1+(size+7)/8)
	b[0] = bloomVersion
	n := uint64(len(b)-1) * 8
	for _, h := range s.slots {
		if h != 0 {
			for i := range uint64(bloomProbes) {
				at := bloomBit(h, i, n)
				b[1+at/8] |= 1 << (at % 8)
			}
		}
	}
	return b
}

// bloomBit is the place of a probe among n bits.
func bloomBit(h, i, n uint64) uint64 {
	hi, _ := bits.Mul64(h+i*(h>>32|1)*0x9E3779B97F4A7C15, n)
	return hi
}

// mayHold reports whether a filter may hold all of some terms. One that cannot
// be read may hold anything.
func mayHold(filter []byte, terms []uint64) bool {
	if len(filter) < 2 || filter[0] != bloomVersion {
		return true
	}
	n := uint64(len(filter)-1) * 8
	for _, h := range terms {
		for i := range uint64(bloomProbes) {
			if at := bloomBit(h, i, n); filter[1+at/8]&(1<<(at%8)) == 0 {
				return false
			}
		}
	}
	return true
}

// termHashes is the hashes of terms, each once.
func termHashes(terms []string) []uint64 {
	out := make([]uint64, len(terms))
	for i, t := range terms {
		out[i] = termHash([]byte(t))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// section makes the search filter of a block.
func (s *termSet) section(block []byte) ([]byte, error) {
	s.reset()
	if err := s.addBlock(block); err != nil {
		return nil, err
	}
	return s.filter(), nil
}
