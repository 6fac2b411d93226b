package pricing

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// eachMember calls f with every key and raw value of a JSON object, in their
// order, until f returns false. It allocates nothing for plain keys, which is
// why it is here: it runs for every generation. Of text that is no JSON it
// calls f for some members or none.
func eachMember(raw []byte, f func(key, value []byte) bool) {
	raw, ok := bytes.CutPrefix(trim(raw), []byte{'{'})
	for ok {
		var key, value []byte
		if key, raw, ok = cutValue(trim(raw)); !ok || key[0] != '"' {
			return
		}
		if raw, ok = bytes.CutPrefix(trim(raw), []byte{':'}); !ok {
			return
		}
		if value, raw, ok = cutValue(trim(raw)); !ok || !f(unquote(key), value) {
			return
		}
		raw, ok = bytes.CutPrefix(trim(raw), []byte{','})
	}
}

// cutValue cuts the first value off JSON text that begins with one.
func cutValue(raw []byte) (value, rest []byte, ok bool) {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			n := stringEnd(raw[i:])
			if n == 0 {
				return nil, nil, false
			}
			i += n - 1
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return raw[:i], raw[i:], i > 0
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return raw[:i], raw[i:], i > 0
			}
			continue
		default:
			if depth > 0 || i+1 < len(raw) && isBare(raw[i+1]) {
				continue
			}
		}
		if depth == 0 {
			return raw[:i+1], raw[i+1:], true
		}
	}
	return nil, nil, false
}

// isBare reports whether c goes on with a number or a literal.
func isBare(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '.' || c == '-' || c == '+' || c == 'E'
}

// stringEnd is the length of the string that raw begins with, 0 if it has no end.
func stringEnd(raw []byte) int {
	for i := 1; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// unquote is the text of a JSON string.
func unquote(raw []byte) []byte {
	inside := raw[1 : len(raw)-1]
	if bytes.IndexByte(inside, '\\') < 0 && utf8.Valid(inside) {
		return inside
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return nil
	}
	return []byte(s)
}

func trim(raw []byte) []byte {
	for len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t' || raw[0] == '\n' || raw[0] == '\r') {
		raw = raw[1:]
	}
	return raw
}
