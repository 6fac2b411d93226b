package local

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
)

// A segment keeps the metadata pairs of its traces the other way round: for the
// hash of each pair, the rows of the traces that hold it. Most pairs are in many
// traces, and a filter asks for one.

// pairsWriter gathers the metadata pairs of a segment's traces.
type pairsWriter struct {
	held    []heldPair
	unknown intsWriter // rows of traces whose pairs are not known
	rows    int
}

type heldPair struct {
	hash uint64
	row  int64
}

// add takes the next row.
func (w *pairsWriter) add(pairs []uint64, known bool) {
	if !known {
		w.unknown.add(int64(w.rows), true)
	}
	for _, p := range pairs {
		w.held = append(w.held, heldPair{p, int64(w.rows)})
	}
	w.rows++
}

// encode returns the column's bytes, nil where nothing is known of any row.
func (w *pairsWriter) encode() []byte {
	if len(w.unknown.values) == w.rows {
		return nil
	}
	slices.SortFunc(w.held, func(a, b heldPair) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.row, b.row))
	})
	var hashes []byte
	var ends, rows intsWriter
	for i, p := range w.held {
		rows.add(p.row, true)
		if i+1 == len(w.held) || w.held[i+1].hash != p.hash {
			hashes = binary.LittleEndian.AppendUint64(hashes, p.hash)
			ends.add(int64(i+1), true)
		}
	}
	b := append([]byte{packedPairs, 0}, binary.LittleEndian.AppendUint32(nil, uint32(len(ends.values)))...)
	b = append(b, hashes...)
	for _, part := range []*intsWriter{&ends, &rows, &w.unknown} {
		most := int64(0)
		if n := len(part.values); n > 0 {
			most = part.values[n-1]
		}
		if part == &rows {
			most = int64(w.rows)
		}
		b = part.pack(b, 0, most)
	}
	return b
}

// pairs is a column that pairsWriter made, as it lies in its blob.
type pairs struct {
	hashes  []byte // sorted, eight bytes each
	ends    column // of the rows of each
	rows    column // those that hold the first pair, in order, then those of the second
	unknown column // rows of which nothing is known, in order
}

// openPairs reads a column of pairs of a segment of n traces.
func openPairs(b []byte, n int) (*pairs, error) {
	bad := fmt.Errorf("the pairs of %d rows: %w", n, errCorrupt)
	if len(b) < 6 {
		return nil, bad
	}
	size := int(binary.LittleEndian.Uint32(b[2:]))
	b = b[6:]
	if size > len(b)/8 {
		return nil, bad
	}
	p := &pairs{hashes: b[:8*size]}
	b = b[8*size:]
	for _, part := range []*column{&p.ends, &p.rows, &p.unknown} {
		if len(b) < 14 {
			return nil, bad
		}
		part.n = int(binary.LittleEndian.Uint32(b[10:]))
		if err := part.openInts(b, bad); err != nil {
			return nil, err
		}
		if part.base != 0 || part.width > 4 {
			return nil, bad
		}
		if b = b[14:]; part.width > 0 {
			b = b[part.n*part.width+8:]
		}
	}
	last := int64(0)
	for i := range p.ends.n {
		end, _ := p.ends.int(i)
		if end < last || end > int64(p.rows.n) {
			return nil, bad
		}
		last = end
	}
	if p.ends.n != size || last != int64(p.rows.n) {
		return nil, bad
	}
	return p, nil
}

func (p *pairs) hash(i int) uint64 { return binary.LittleEndian.Uint64(p.hashes[8*i:]) }

// holding adds the rows of the traces that hold a pair, in their order.
func (p *pairs) holding(hash uint64, rows []int32) []int32 {
	i := sort.Search(p.ends.n, func(i int) bool { return p.hash(i) >= hash })
	if i == p.ends.n || p.hash(i) != hash {
		return rows
	}
	return p.rowsOf(i, rows)
}

// rowsOf adds the rows of the i-th pair.
func (p *pairs) rowsOf(i int, rows []int32) []int32 {
	from := int64(0)
	if i > 0 {
		from, _ = p.ends.int(i - 1)
	}
	for to, _ := p.ends.int(i); from < to; from++ {
		row, _ := p.rows.int(int(from))
		rows = append(rows, int32(row))
	}
	return rows
}

// each calls f with the pairs, sorted, of each trace of which they are known.
func (p *pairs) each(traces int, f func(row int, pairs []uint64)) {
	of := make([][]uint64, traces)
	unknown := make([]bool, traces)
	var rows []int32
	for i := range p.ends.n {
		rows = p.rowsOf(i, rows[:0])
		for _, row := range rows {
			if int(row) < traces {
				of[row] = append(of[row], p.hash(i))
			}
		}
	}
	for i := range p.unknown.n {
		if row, _ := p.unknown.int(i); row < int64(traces) {
			unknown[row] = true
		}
	}
	for row, pairs := range of {
		if !unknown[row] {
			f(row, pairs)
		}
	}
}
