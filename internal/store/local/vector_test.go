package local

import (
	"encoding/binary"
	"slices"
	"testing"
)

// Numbers are found in the texts that hold them, also where chance makes every
// byte of a column a hexadecimal digit, so that it is stored in pairs.
func TestMarkHolding(t *testing.T) {
	word := func(numbers ...uint64) string {
		var b []byte
		for _, n := range numbers {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
		return string(b)
	}
	const digits, others = 0x6162636465663031, 0x3736353433323130
	for name, words := range map[string][]string{
		"binary": {word(1, 1<<40), word(), word(1 << 40), word(7), word(1)},
		"digits": {word(digits), word(others, digits), word(others)},
	} {
		var w textsWriter
		for _, s := range append(words, words[0]) { // one comes twice, so that there are numbers
			w.add(s, true)
		}
		col, err := openColumn(w.encode(), len(words)+1)
		if err != nil {
			t.Fatal(err)
		}
		if col.hex != (name == "digits") {
			t.Errorf("%s: in pairs of digits: %v", name, col.hex)
		}
		for _, n := range []uint64{0, 1, 7, 1 << 40, digits, others} {
			want := make([]bool, len(words))
			for i, s := range words {
				for b := []byte(s); len(b) > 0; b = b[8:] {
					want[i] = want[i] || binary.LittleEndian.Uint64(b) == n
				}
			}
			got := make([]bool, col.words)
			if col.markHolding(n, got); !slices.Equal(got, want) {
				t.Errorf("%s: %d is held by %v, want %v", name, n, got, want)
			}
		}
	}
}
