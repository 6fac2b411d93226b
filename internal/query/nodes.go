package query

import (
	"bytes"
	"encoding/json"
	"strings"
)

// eachNode calls f with every value that a dotted path names in a JSON object,
// and with the scalars of a list there, until f returns true; it reports
// whether one did. Key "a.b" names a literal key a.b as well as b within a.
func eachNode(raw []byte, path string, f func(node []byte, element bool) bool) bool {
	return eachMember(raw, func(key, value []byte) bool {
		k, ok := unquote(key)
		switch {
		case !ok:
		case k == path:
			if f(value, false) {
				return true
			}
			return len(value) > 0 && value[0] == '[' && eachElement(value, func(e []byte) bool {
				return e[0] != '{' && e[0] != '[' && f(e, true)
			})
		case len(k) < len(path) && path[len(k)] == '.' && strings.HasPrefix(path, k):
			return len(value) > 0 && value[0] == '{' && eachNode(value, path[len(k)+1:], f)
		}
		return false
	})
}

// eachMember calls f with the quoted key and the value of each member of a
// JSON object until f returns true.
func eachMember(raw []byte, f func(key, value []byte) bool) bool {
	i := skipSpace(raw, 0)
	if i >= len(raw) || raw[i] != '{' {
		return false
	}
	for i++; ; {
		if i = skipSpace(raw, i); i >= len(raw) || raw[i] != '"' {
			return false
		}
		key := i
		i = skipValue(raw, i)
		end := i
		if i = skipSpace(raw, i); i >= len(raw) || raw[i] != ':' {
			return false
		}
		value := skipSpace(raw, i+1)
		i = skipValue(raw, value)
		if i > len(raw) || value >= i {
			return false
		}
		if f(raw[key:end], raw[value:i]) {
			return true
		}
		if i = skipSpace(raw, i); i >= len(raw) || raw[i] != ',' {
			return false
		}
		i++
	}
}

// eachElement calls f with each element of a JSON list until f returns true.
func eachElement(raw []byte, f func(element []byte) bool) bool {
	for i := 1; ; {
		value := skipSpace(raw, i)
		i = skipValue(raw, value)
		if value >= len(raw) || i > len(raw) || value >= i {
			return false
		}
		if f(raw[value:i]) {
			return true
		}
		if i = skipSpace(raw, i); i >= len(raw) || raw[i] != ',' {
			return false
		}
		i++
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue is where the JSON value that begins at i ends. The text is taken to
// be valid; of any other the answer is some place not before i.
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			i = min(i+1, len(b))
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
			i++
			continue
		default:
			for i < len(b) && !bytes.ContainsRune([]byte(",:]} \t\r\n"), rune(b[i])) {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
	return len(b)
}

func unquote(quoted []byte) (string, bool) {
	if len(quoted) < 2 || quoted[0] != '"' {
		return "", false
	}
	if inner := quoted[1 : len(quoted)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	var s string
	err := json.Unmarshal(quoted, &s)
	return s, err == nil
}

// nodeText is a node as text compares it: a string's own text, anything else
// as compact JSON. Null is no value.
func nodeText(node []byte) (text string, ok bool) {
	switch {
	case len(node) == 0 || node[0] == 'n':
		return "", false
	case node[0] == '"':
		return unquote(node)
	case node[0] == '{' || node[0] == '[':
		var b bytes.Buffer
		if json.Compact(&b, node) != nil {
			return string(node), true
		}
		return b.String(), true
	}
	return string(node), true
}

// EachLeaf calls f with the dotted path and the text of every value of a JSON
// object that is no object itself, and of the scalars of its lists: what a
// comparison with a text may be equal to. Nulls are left out.
func EachLeaf(raw []byte, f func(path, text string)) { eachLeaf(raw, "", 0, f) }

func eachLeaf(raw []byte, prefix string, depth int, f func(path, text string)) {
	if depth > 20 {
		return
	}
	eachMember(raw, func(key, value []byte) bool {
		k, ok := unquote(key)
		if !ok {
			return false
		}
		path := prefix + k
		if value[0] == '{' {
			eachLeaf(value, path+".", depth+1, f)
		}
		if text, ok := nodeText(value); ok {
			f(path, text)
		}
		if value[0] == '[' {
			eachElement(value, func(e []byte) bool {
				if text, ok := nodeText(e); ok && e[0] != '{' && e[0] != '[' {
					f(path, text)
				}
				return false
			})
		}
		return false
	})
}
