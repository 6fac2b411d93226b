package local

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// A column of a segment is numbers of a fixed width that any row's is found in
// without decoding the others, and for texts a dictionary that the numbers
// point into. docs/format/segments.md describes the bytes.

// The forms of a column on disk; never reuse one.
const (
	packedInts    = 1 // what a value is above base, plus one; 0 is missing
	packedTexts   = 2 // a dictionary, then packed places in it
	packedHex     = 3 // the same of texts that are hexadecimal digits, in pairs
	packedPairs   = 4 // metadata pairs, see pairsWriter
	sameColumn    = 5 // the name of another column of the segment, which has the same bytes
	packedRollups = 6 // sums by hour and model, see rollupWriter
)

// column is a column of a segment, as it lies in its blob.
type column struct {
	blob  []byte // all of it: what the memory is counted by
	n     int    // rows
	base  int64
	width int    // bytes of a number
	mask  uint64 // of its bits
	nums  []byte // n numbers, and eight bytes behind them

	words int    // in the dictionary
	ends  []byte // where each text ends, four bytes each
	text  []byte
	hex   bool
	plain bool // row i has text i: there are no numbers

	pairs   *pairs         // of a column of metadata pairs: there is nothing else in it
	rollups []storedRollup // of a column of rollups, likewise

	// Of a column of lists, made when it is first asked for: the texts that they
	// are made of; the places of those that make up each list of the dictionary,
	// one list behind the other; and the lists that hold each of them, likewise.
	once       sync.Once
	elements   []string
	members    []int32
	listEnds   []int32
	holders    []int32
	holderEnds []int32

	// Made when a text is first sought: see find.
	hashed sync.Once
	table  []uint32

	// Of a column of traces, made when it is first asked for: which rows have each
	// text of the dictionary, or of a column of lists each element.
	inverts  bool
	inverted sync.Once
	rows     []uint16
	rowEnds  []int32
}

// maxInverted is how many rows are found by their texts.
const maxInverted = 1 << 16

// intsWriter gathers the integers of a column.
type intsWriter struct {
	values  []int64
	present []bool
}

func (w *intsWriter) add(v int64, ok bool) {
	w.values = append(w.values, v)
	w.present = append(w.present, ok)
}

// encode returns the column's bytes, nil where every value is missing.
func (w *intsWriter) encode() []byte {
	lo, hi, any := int64(0), int64(0), false
	for i, v := range w.values {
		if w.present[i] {
			if !any || v < lo {
				lo = v
			}
			if !any || v > hi {
				hi = v
			}
			any = true
		}
	}
	if !any {
		return nil
	}
	return w.pack(nil, lo, hi)
}

func (w *intsWriter) pack(b []byte, lo, hi int64) []byte {
	span := uint64(hi) - uint64(lo)
	width := 8
	if span < math.MaxUint64 {
		width = (bits.Len64(span+1) + 7) / 8
	} // else the greatest value reads as missing: no clock or counter spans that
	if span == 0 && w.full() {
		width = 0
	}
	b = append(b, packedInts, byte(width))
	b = binary.LittleEndian.AppendUint64(b, uint64(lo))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(w.values)))
	if width == 0 {
		return b
	}
	var word [8]byte
	for i, v := range w.values {
		u := uint64(0)
		if w.present[i] {
			u = uint64(v) - uint64(lo) + 1
		}
		binary.LittleEndian.PutUint64(word[:], u)
		b = append(b, word[:width]...)
	}
	return append(b, make([]byte, 8)...)
}

func (w *intsWriter) full() bool {
	for _, p := range w.present {
		if !p {
			return false
		}
	}
	return true
}

// textsWriter gathers the texts of a column.
type textsWriter struct {
	codes intsWriter
	at    map[string]int64
	words []string
}

func (w *textsWriter) add(s string, ok bool) {
	if !ok {
		w.codes.add(0, false)
		return
	}
	code, found := w.at[s]
	if !found {
		if w.at == nil {
			w.at = map[string]int64{}
		}
		code = int64(len(w.words))
		w.at[s] = code
		w.words = append(w.words, s)
	}
	w.codes.add(code, true)
}

// encode returns the column's bytes, nil where every value is missing.
func (w *textsWriter) encode() []byte {
	if len(w.words) == 0 {
		return nil
	}
	packed := true
	for _, s := range w.words {
		packed = packed && len(s)%2 == 0 && isLowerHex(s)
	}
	form := byte(packedTexts)
	if packed {
		form = packedHex
	}
	plain := len(w.words) == len(w.codes.values)
	b := []byte{form, 0}
	if plain {
		b[1] = 1
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(w.words)))
	end := uint32(0)
	var text []byte
	for _, s := range w.words {
		if packed {
			text, _ = hex.AppendDecode(text, []byte(s)) // they are hexadecimal digits
		} else {
			text = append(text, s...)
		}
		end = uint32(len(text))
		b = binary.LittleEndian.AppendUint32(b, end)
	}
	b = append(b, text...)
	if plain {
		return b
	}
	return w.codes.pack(b, 0, int64(len(w.words)-1))
}

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// openColumn reads the head of a column of n rows. The column points into blob.
func openColumn(blob []byte, n int) (*column, error) {
	c := &column{blob: blob, n: n}
	bad := fmt.Errorf("a column of %d rows: %w", n, errCorrupt)
	if len(blob) < 2 {
		return nil, bad
	}
	switch blob[0] {
	case packedInts:
		return c, c.openInts(blob, bad)
	case packedPairs:
		var err error
		c.pairs, err = openPairs(blob, n)
		return c, err
	case packedRollups:
		if int(blob[1]) < len(rollupColumns) {
			return c, nil // those of a release that summed up less: none that serves
		}
		var err error
		c.rollups, err = readRollups(blob[2:])
		return c, err
	}
	if blob[0] != packedTexts && blob[0] != packedHex || len(blob) < 6 {
		return nil, bad
	}
	c.hex, c.plain = blob[0] == packedHex, blob[1] == 1
	c.words = int(binary.LittleEndian.Uint32(blob[2:]))
	rest := blob[6:]
	if c.words < 1 || c.words > len(rest)/4 || c.plain && c.words != n {
		return nil, bad
	}
	c.ends, rest = rest[:4*c.words], rest[4*c.words:]
	last := uint32(0)
	for i := range c.words {
		end := binary.LittleEndian.Uint32(c.ends[4*i:])
		if end < last || end > uint32(len(rest)) {
			return nil, bad
		}
		last = end
	}
	c.text, rest = rest[:last], rest[last:]
	if c.plain {
		return c, nil
	}
	return c, c.openInts(rest, bad)
}

func (c *column) openInts(b []byte, bad error) error {
	if len(b) < 14 || b[0] != packedInts || b[1] > 8 || int(binary.LittleEndian.Uint32(b[10:])) != c.n {
		return bad
	}
	c.width, c.base = int(b[1]), int64(binary.LittleEndian.Uint64(b[2:]))
	c.nums = b[14:]
	c.mask = uint64(math.MaxUint64)
	if c.width < 8 {
		c.mask = 1<<(8*c.width) - 1
	}
	if c.width > 0 && len(c.nums) < c.n*c.width+8 {
		return bad
	}
	return nil
}

// int is the integer of row i.
func (c *column) int(i int) (int64, bool) {
	if c == nil {
		return 0, false
	}
	if c.width == 0 {
		return c.base, true
	}
	u := binary.LittleEndian.Uint64(c.nums[i*c.width:]) & c.mask
	return int64(u - 1 + uint64(c.base)), u != 0
}

// keepNumber is the rows, of some, whose integer or place in the dictionary is v.
func (c *column) keepNumber(v int64, rows []int32) []int32 {
	switch {
	case c.plain:
		at, found := slices.BinarySearch(rows, int32(v))
		if !found {
			return nil
		}
		return rows[at : at+1]
	case c.width == 0:
		if v != c.base {
			return nil
		}
		return rows
	}
	want := uint64(v) - uint64(c.base) + 1
	if want == 0 || want > c.mask {
		return nil
	}
	n := 0
	switch c.width {
	case 1:
		for _, r := range rows {
			rows[n] = r
			if c.nums[r] == byte(want) {
				n++
			}
		}
	case 2:
		for _, r := range rows {
			rows[n] = r
			if binary.LittleEndian.Uint16(c.nums[2*r:]) == uint16(want) {
				n++
			}
		}
	default:
		for _, r := range rows {
			rows[n] = r
			if binary.LittleEndian.Uint64(c.nums[int(r)*c.width:])&c.mask == want {
				n++
			}
		}
	}
	return rows[:n]
}

// keepBetween is the rows, of some, whose integer lies from lo to hi.
func (c *column) keepBetween(lo, hi int64, rows []int32) []int32 {
	if c.width == 0 {
		if c.base < lo || c.base > hi {
			return nil
		}
		return rows
	}
	if hi < lo || hi < c.base {
		return nil
	}
	first, last := uint64(1), c.mask // of the numbers as they are stored
	if lo > c.base {
		if uint64(lo)-uint64(c.base) >= c.mask {
			return nil
		}
		first += uint64(lo) - uint64(c.base)
	}
	if d := uint64(hi) - uint64(c.base); d < last {
		last = d + 1
	}
	n, span := 0, last-first
	for _, r := range rows {
		rows[n] = r
		if binary.LittleEndian.Uint64(c.nums[int(r)*c.width:])&c.mask-first <= span {
			n++
		}
	}
	return rows[:n]
}

// code is the place of row i's text in the dictionary, -1 where it is missing.
func (c *column) code(i int) int {
	if c == nil {
		return -1
	}
	if c.plain {
		return i
	}
	v, ok := c.int(i)
	if !ok || v >= int64(c.words) {
		return -1
	}
	return int(v)
}

// rowsWith adds the rows that have a text of the dictionary. The column inverts.
func (c *column) rowsWith(code int, rows []int32) []int32 {
	c.inverted.Do(func() {
		c.invert(c.words, func(row int, f func(place int)) {
			if code := c.code(row); code >= 0 {
				f(code)
			}
		})
	})
	return c.rowsAt(code, rows)
}

// rowsHolding adds the rows whose list holds an element. The column inverts, and
// is taken apart.
func (c *column) rowsHolding(place int, rows []int32) []int32 {
	c.inverted.Do(func() {
		c.invert(len(c.elements), func(row int, f func(place int)) {
			code := c.code(row)
			if code < 0 {
				return
			}
			members := c.membersOf(code)
			for i, place := range members {
				if !slices.Contains(members[:i], place) {
					f(int(place))
				}
			}
		})
	})
	return c.rowsAt(place, rows)
}

// invert finds the rows of each place; of tells the places of a row.
func (c *column) invert(places int, of func(row int, f func(place int))) {
	ends, n := make([]int32, places), int32(0)
	for row := range c.n {
		of(row, func(place int) {
			ends[place]++
			n++
		})
	}
	end := int32(0)
	for place, n := range ends {
		ends[place] = end // where they begin, until all are there
		end += n
	}
	rows := make([]uint16, n)
	for row := range c.n {
		of(row, func(place int) {
			rows[ends[place]] = uint16(row)
			ends[place]++
		})
	}
	c.rows, c.rowEnds = rows, ends
}

func (c *column) rowsAt(place int, rows []int32) []int32 {
	from := int32(0)
	if place > 0 {
		from = c.rowEnds[place-1]
	}
	for _, row := range c.rows[from:c.rowEnds[place]] {
		rows = append(rows, int32(row))
	}
	return rows
}

// find is the place of a text in the dictionary, -1 where it is not there.
func (c *column) find(text string) int {
	if c.hex {
		if len(text)%2 != 0 || !isLowerHex(text) {
			return -1
		}
		raw, _ := hex.DecodeString(text) // they are hexadecimal digits
		text = string(raw)
	}
	c.hashed.Do(c.hash)
	for at := xxhash.Sum64String(text); ; at++ {
		switch code := int(c.table[at%uint64(len(c.table))]) - 1; {
		case code < 0:
			return -1
		case c.stored(code) == text:
			return code
		}
	}
}

// hash makes the table that find looks at: the place of each text, plus one,
// where its hash says, or in the next that is free.
func (c *column) hash() {
	c.table = make([]uint32, tableSize(c.words))
	for code := range c.words {
		at := xxhash.Sum64String(c.stored(code))
		for c.table[at%uint64(len(c.table))] != 0 {
			at++
		}
		c.table[at%uint64(len(c.table))] = uint32(code + 1)
	}
}

// tableSize leaves every other entry free.
func tableSize(words int) int { return 2*words + 1 }

// word is a text of the dictionary. It points into the column unless it was
// packed.
func (c *column) word(code int) string {
	s := c.stored(code)
	if c.hex {
		return hex.EncodeToString([]byte(s))
	}
	return s
}

// stored is a text of the dictionary as it lies there: packed or not.
func (c *column) stored(code int) string {
	from := uint32(0)
	if code > 0 {
		from = binary.LittleEndian.Uint32(c.ends[4*(code-1):])
	}
	b := c.text[from:binary.LittleEndian.Uint32(c.ends[4*code:])]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// string is the text of row i.
func (c *column) string(i int) (string, bool) {
	code := c.code(i)
	if code < 0 {
		return "", false
	}
	return c.word(code), true
}

// takeApart finds out what the lists of a column are made of.
func (c *column) takeApart() {
	c.once.Do(func() {
		at := map[string]int32{}
		c.listEnds = make([]int32, c.words)
		for i := range c.listEnds {
			for rd := (reader{b: []byte(c.word(i))}); len(rd.b) > 0; {
				text := rd.text()
				place, found := at[text]
				if !found {
					place = int32(len(c.elements))
					at[text] = place
					c.elements = append(c.elements, text)
				}
				c.members = append(c.members, place)
			}
			c.listEnds[i] = int32(len(c.members))
		}
		c.holderEnds = make([]int32, len(c.elements))
		for _, place := range c.members {
			c.holderEnds[place]++
		}
		end := int32(0)
		for place, n := range c.holderEnds {
			c.holderEnds[place] = end // where they begin, until all are there
			end += n
		}
		c.holders = make([]int32, len(c.members))
		for list := range c.listEnds {
			for _, place := range c.membersOf(list) {
				c.holders[c.holderEnds[place]] = int32(list)
				c.holderEnds[place]++
			}
		}
	})
}

// holdersOf is the lists of the dictionary that hold a text, once the column is
// taken apart.
func (c *column) holdersOf(place int) []int32 {
	from := int32(0)
	if place > 0 {
		from = c.holderEnds[place-1]
	}
	return c.holders[from:c.holderEnds[place]]
}

// membersOf is the places of the texts of a list of the dictionary, once the
// column is taken apart.
func (c *column) membersOf(code int) []int32 {
	from := int32(0)
	if code > 0 {
		from = c.listEnds[code-1]
	}
	return c.members[from:c.listEnds[code]]
}

// list is the texts of row i of a column of lists.
func (c *column) list(i int) []string {
	code := c.code(i)
	if code < 0 {
		return nil
	}
	c.takeApart()
	members := c.membersOf(code)
	out := make([]string, len(members))
	for k, place := range members {
		out[k] = c.elements[place]
	}
	return out
}
