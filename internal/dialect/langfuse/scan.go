package langfuse

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
)

// maxDepth is how deeply a value may nest and still be shown as a value:
// clients parse recursively, so anything deeper goes out as text.
const maxDepth = 500

// scan is what one pass over a text says of it.
type scan struct {
	valid    bool // it is one JSON value, not nested deeper than maxDepth
	guard    bool // it has numbers that a double cannot hold
	nonASCII bool // it has bytes of 0x80 and above, not yet checked as UTF-8
}

// The states of the scanner: what must come next.
const (
	wantValue = iota
	wantKey
	wantMore // a comma or the end of what is open
)

// scanJSON checks that b is one JSON value with white space around it. It
// neither recurses nor allocates, and gives up at the first wrong byte, so that
// it costs prose next to nothing.
func scanJSON(b []byte) scan {
	var s scan
	var objects [maxDepth/64 + 1]uint64 // bit d: level d is an object
	depth, state := 0, wantValue
	for i := skipSpace(b, 0); ; {
		if i >= len(b) {
			s.valid = state == wantMore && depth == 0
			return s
		}
		c := b[i]
		switch state {
		case wantValue:
			switch {
			case c == '"':
				if i = s.text(b, i+1); i < 0 {
					return s
				}
			case c == '{' || c == '[':
				if depth == maxDepth {
					return s
				}
				if i = skipSpace(b, i+1); i == len(b) {
					return s
				}
				if b[i] == c+2 { // the closing sign of both is two after
					i++
					break
				}
				objects[depth/64] &^= 1 << (depth % 64)
				if c == '{' {
					objects[depth/64] |= 1 << (depth % 64)
					state = wantKey
				}
				depth++
				continue
			case c == '-' || isDigit(c):
				if i = s.number(b, i); i < 0 {
					return s
				}
			default:
				if i = literal(b, i); i < 0 {
					return s
				}
			}
			state, i = wantMore, skipSpace(b, i)
		case wantKey:
			if c != '"' {
				return s
			}
			if i = s.text(b, i+1); i < 0 {
				return s
			}
			if i = skipSpace(b, i); i == len(b) || b[i] != ':' {
				return s
			}
			state, i = wantValue, skipSpace(b, i+1)
		case wantMore:
			if depth == 0 {
				return s
			}
			object := objects[(depth-1)/64]>>((depth-1)%64)&1 == 1
			switch {
			case c == ',' && object:
				state = wantKey
			case c == ',':
				state = wantValue
			case c == '}' && object, c == ']' && !object:
				depth--
			default:
				return s
			}
			i = skipSpace(b, i+1)
		}
	}
}

func isDigit(c byte) bool { return c-'0' < 10 }

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

func literal(b []byte, i int) int {
	for _, word := range [...]string{"true", "false", "null"} {
		if b[i] == word[0] {
			if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
				return i + len(word)
			}
			break
		}
	}
	return -1
}

// text runs over the rest of a string and returns the place after it, -1 where
// it is broken.
func (s *scan) text(b []byte, i int) int {
	for {
		var high bool
		i, high = plain(b, i)
		s.nonASCII = s.nonASCII || high
		if i == len(b) || b[i] < ' ' {
			return -1
		}
		if b[i] == '"' {
			return i + 1
		}
		if i+1 >= len(b) {
			return -1
		}
		switch b[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i += 2
		case 'u':
			if i+6 > len(b) || !isHex4(b[i+2:i+6]) {
				return -1
			}
			i += 6
		default:
			return -1
		}
	}
}

func isHex4(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) && (c|0x20)-'a' > 5 {
			return false
		}
	}
	return true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain runs from i to the first byte that is a quote, a backslash or a control
// character, eight bytes a step, and reports whether bytes of 0x80 and above
// may be among those passed.
func plain(b []byte, i int) (end int, high bool) {
	var seen uint64
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^('"'*ones), w^('\\'*ones)
		// Each term's lowest mark is exact; a borrow can only mark bytes above it.
		marks := ((quote-ones)&^quote | (slash-ones)&^slash | (w-' '*ones)&^w) & highs
		seen |= w
		if marks != 0 {
			return i + bits.TrailingZeros64(marks)/8, seen&highs != 0
		}
	}
	for ; i < len(b); i++ {
		c := b[i]
		if c == '"' || c == '\\' || c < ' ' {
			break
		}
		seen |= uint64(c)
	}
	return i, seen&highs != 0
}

// number runs over a number and returns the place after it, -1 where it is
// broken.
func (s *scan) number(b []byte, i int) int {
	start := i
	if b[i] == '-' {
		i++
	}
	from := i
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	digits := i - from
	if digits == 0 || digits > 1 && b[from] == '0' {
		return -1
	}
	exact := digits <= 15
	if i < len(b) && b[i] == '.' {
		from = i + 1
		for i++; i < len(b) && isDigit(b[i]); i++ {
		}
		if i == from {
			return -1
		}
		exact = digits+i-from <= 15 // any 15 digits survive a double
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		from = i
		for i < len(b) && isDigit(b[i]) {
			i++
		}
		if i == from {
			return -1
		}
		exact = exact && i-from <= 2 // 10^±99 is far from a double's ends
	}
	if !exact && !doubleHolds(b[start:i]) {
		s.guard = true
	}
	return i
}

// doubleHolds reports whether a reader that keeps numbers as doubles still has
// the number num, a valid JSON number: an integer below 2^53, or one that a
// double prints with the same digits.
func doubleHolds(num []byte) bool {
	num = bytes.TrimPrefix(num, []byte("-"))
	if !bytes.ContainsAny(num, ".eE") {
		n, err := strconv.ParseUint(string(num), 10, 64)
		return err == nil && n < 1<<53
	}
	f, err := strconv.ParseFloat(string(num), 64)
	if err != nil {
		return false
	}
	if len(num) > 800 {
		return false // no double prints that long, whatever zeros it carries
	}
	var a, b [832]byte
	ad, ae := significant(a[:0], num)
	bd, be := significant(b[:0], strconv.AppendFloat(make([]byte, 0, 32), f, 'e', -1, 64))
	return bytes.Equal(ad, bd) && (ae == be || len(ad) == 0)
}

// significant appends num's digits without zeros at either end; the number is
// 0.digits times ten to the exponent.
func significant(dst, num []byte) (digits []byte, exponent int) {
	point, sawPoint := 0, false
	for i, c := range num {
		if c|0x20 == 'e' {
			exponent, _ = strconv.Atoi(string(num[i+1:])) // a double was read from it, so it is small
			break
		}
		if c == '.' {
			sawPoint = true
			continue
		}
		if len(dst) == 0 && c == '0' {
			if sawPoint {
				point--
			}
			continue
		}
		if !sawPoint {
			point++
		}
		dst = append(dst, c)
	}
	return bytes.TrimRight(dst, "0"), exponent + point
}
