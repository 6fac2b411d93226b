package otlp

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// cursor walks JSON text that json.Valid has accepted; that is why its methods
// have no errors. It makes no tree: an export of 64 MiB costs its strings and
// nothing else.
type cursor struct {
	b []byte
	i int
}

// validCursor is a cursor on raw, if raw is JSON.
func validCursor(raw []byte) (cursor, bool) {
	return cursor{b: raw}, json.Valid(raw)
}

// kind is the first byte of the next value: one of { [ " t f n - 0..9, and 0
// at the end of the text.
func (c *cursor) kind() byte {
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case ' ', '\t', '\n', '\r', ',', ':':
			c.i++
		default:
			return c.b[c.i]
		}
	}
	return 0
}

// raw is the next value as it stands.
func (c *cursor) raw() []byte {
	first := c.kind()
	from := c.i
	switch first {
	case 0:
	case '"':
		c.skipString()
	case '{', '[':
		depth := 0
		for c.i < len(c.b) {
			switch c.b[c.i] {
			case '"':
				c.skipString()
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			c.i++
			if depth == 0 {
				break
			}
		}
	default:
		for c.i < len(c.b) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(c.b[c.i])) {
			c.i++
		}
	}
	return c.b[from:c.i]
}

// skipString moves past the string that begins here.
func (c *cursor) skipString() {
	c.i++
	for c.i < len(c.b) {
		n := bytes.IndexByte(c.b[c.i:], '"')
		if n < 0 {
			c.i = len(c.b)
			return
		}
		c.i += n + 1
		slashes := 0
		for j := c.i - 2; j >= 0 && c.b[j] == '\\'; j-- {
			slashes++
		}
		if slashes%2 == 0 {
			return
		}
	}
}

// members yields the keys of the next value, if that is an object; another
// value is passed over. The body may take the member's value or leave it.
func (c *cursor) members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if c.kind() != '{' {
			c.raw()
			return
		}
		c.i++
		for c.kind() == '"' {
			key := c.raw()
			key = key[1 : len(key)-1]
			if bytes.IndexByte(key, '\\') >= 0 {
				key = []byte(unquote(key))
			}
			c.kind()
			at := c.i
			if !yield(key) {
				return
			}
			if c.i == at {
				c.raw()
			}
		}
		c.i++
	}
}

// elements yields once per element of the next value, if that is an array;
// another value is passed over. The body may take the element or leave it.
func (c *cursor) elements() iter.Seq[int] {
	return func(yield func(int) bool) {
		if c.kind() != '[' {
			c.raw()
			return
		}
		c.i++
		for n := 0; ; n++ {
			if k := c.kind(); k == ']' || k == 0 {
				break
			}
			at := c.i
			if !yield(n) {
				return
			}
			if c.i == at {
				c.raw()
			}
		}
		c.i++
	}
}

// str is the next value as text: a string's content, null as "", anything
// else as it stands.
func (c *cursor) str() string {
	raw := c.raw()
	if len(raw) >= 2 && raw[0] == '"' {
		return unquote(raw[1 : len(raw)-1])
	}
	if string(raw) == "null" {
		return ""
	}
	return string(raw)
}

// unquote is the content of a JSON string without its quotes. What is no UTF-8
// and half surrogates become U+FFFD.
func unquote(in []byte) string {
	n := bytes.IndexByte(in, '\\')
	if n < 0 {
		return validUTF8(string(in))
	}
	out := make([]byte, 0, len(in))
	for {
		out = append(out, in[:n]...)
		in = in[n:]
		if len(in) < 2 {
			break
		}
		switch c := in[1]; c {
		case 'u':
			r, used := escaped(in)
			out = utf8.AppendRune(out, r)
			in = in[used:]
		default:
			out = append(out, unescape(c))
			in = in[2:]
		}
		if n = bytes.IndexByte(in, '\\'); n < 0 {
			out = append(out, in...)
			break
		}
	}
	return validUTF8(string(out))
}

func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// escaped reads \uXXXX, or two of them that are one character, and how many
// bytes that took.
func escaped(in []byte) (rune, int) {
	r, ok := hex4(in)
	if !ok {
		return utf8.RuneError, min(6, len(in))
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if low, ok := hex4(in[6:]); ok {
		if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
			return both, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(in []byte) (rune, bool) {
	if len(in) < 6 || in[0] != '\\' || in[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(in[2:6]), 16, 16)
	return rune(n), err == nil
}

// memberOf is the raw value under key in raw, where raw is a JSON object.
func memberOf(raw []byte, key string) ([]byte, bool) {
	c, ok := validCursor(raw)
	if !ok || c.kind() != '{' {
		return nil, false
	}
	var out []byte
	for k := range c.members() {
		if string(k) == key {
			out = c.raw()
		}
	}
	return out, out != nil
}

// looksLike reports whether s can only be JSON of a kind other than string.
func looksLike(s string) bool {
	if s == "" {
		return false
	}
	switch s[0] {
	case '{', '[', '-', 't', 'f', 'n':
		return true
	}
	return s[0] >= '0' && s[0] <= '9'
}

// inexact reports whether raw, a JSON number, is an integer that not every
// reader keeps exactly.
func inexact(raw string) bool {
	if len(raw) < 16 {
		return false
	}
	n, err := strconv.ParseInt(raw, 10, 64)
	if err == nil {
		return n > maxExact || n < -maxExact
	}
	for i := range len(raw) {
		if c := raw[i]; c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
