package langfuse

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
)

// value appends a body as the v1 reads show it: a JSON body as the value it is,
// a text that parses as JSON as that value, any other text as a string; numbers
// that a double cannot hold as strings of their own digits; null where there is
// no body.
func (s *stream) value(b domain.Body) {
	if b.Kind == domain.None {
		s.str("null")
		return
	}
	if !s.json(b.Data) {
		s.text(b.Data)
	}
}

// storedText appends a body as the v2 reads show it: always the text that is
// stored, a JSON string by itself, or null.
func (s *stream) storedText(b domain.Body) {
	if b.Kind == domain.JSON && len(b.Data) > 0 && b.Data[0] == '"' && s.json(b.Data) {
		return
	}
	if b.Kind == domain.None {
		s.str("null")
		return
	}
	s.text(b.Data)
}

// object appends a JSON object, with its numbers guarded; {} for no body. What
// is no object stands under the key "metadata", since clients need a map.
func (s *stream) object(b domain.Body) {
	switch {
	case !b.IsSet():
		s.str("{}")
	case first(b.Data) == '{' && s.json(b.Data):
	default:
		s.str(`{"metadata":`)
		s.value(b)
		s.str("}")
	}
}

// first is the first byte that is no space, 0 where there is none.
func first(b []byte) byte {
	if i := skipSpace(b, 0); i < len(b) {
		return b[i]
	}
	return 0
}

// json appends b if it is one JSON value, and reports whether it is.
func (s *stream) json(b []byte) bool {
	found := scanJSON(b)
	if !found.valid {
		return false
	}
	if found.nonASCII && !utf8.Valid(b) {
		b = repairUTF8(b)
	}
	if found.guard {
		s.guarded(b)
	} else {
		s.raw(b)
	}
	return true
}

// repairUTF8 is b with each byte that is no UTF-8 as U+FFFD.
func repairUTF8(b []byte) []byte {
	out := make([]byte, 0, len(b)+16)
	for len(b) > 0 {
		good := validPrefix(b)
		out = append(out, b[:good]...)
		if b = b[good:]; len(b) > 0 {
			out = append(out, "\uFFFD"...)
			b = b[1:]
		}
	}
	return out
}

// guarded appends a valid JSON value with quotes around each number that a
// double cannot hold.
func (s *stream) guarded(b []byte) {
	var pass scan
	from := 0 // what is not yet appended
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			i = pass.text(b, i+1)
		case c == '-' || isDigit(c):
			pass.guard = false
			end := pass.number(b, i)
			if pass.guard {
				s.raw(b[from:i])
				s.str(`"`)
				s.raw(b[i:end])
				s.str(`"`)
				from = end
			}
			i = end
		default:
			i++
		}
	}
	s.raw(b[from:])
}

// cutObject appends a metadata object as object does, but cuts what is longer
// than cutAt characters to a string of that length, unless keep names its key.
func (s *stream) cutObject(b domain.Body, keep map[string]bool) {
	if first(b.Data) != '{' || len(b.Data) <= cutAt {
		s.object(b)
		return
	}
	found := scanJSON(b.Data)
	if !found.valid {
		s.object(b)
		return
	}
	data := b.Data
	if found.nonASCII && !utf8.Valid(data) {
		data = repairUTF8(data)
	}
	s.str("{")
	n := 0
	walkObject(data, func(key, value []byte) {
		if n++; n > 1 {
			s.str(",")
		}
		s.raw(key)
		s.str(":")
		if len(keep) > 0 && keep[unescape(key)] {
			s.guarded(value)
		} else {
			s.cut(value)
		}
		s.spill()
	})
	s.str("}")
}

// cutAt is how many characters of a metadata value the v2 reads show unasked.
const cutAt = 200

// cut appends a JSON value, or the beginning of its text where it is long.
func (s *stream) cut(value []byte) {
	if len(value) <= cutAt {
		s.guarded(value)
		return
	}
	text := value
	if value[0] == '"' {
		text = []byte(unescape(value))
	}
	n := 0
	for i := range string(text) {
		if n == cutAt {
			s.text(text[:i])
			return
		}
		n++
	}
	s.guarded(value)
}

// unescape is the text of a valid JSON string.
func unescape(quoted []byte) string {
	var text string
	_ = json.Unmarshal(quoted, &text) // it was checked before
	return text
}

// walkObject calls f with the quoted key and the value of each member of a
// valid JSON object.
func walkObject(b []byte, f func(key, value []byte)) {
	var pass scan
	i := skipSpace(b, skipSpace(b, 0)+1)
	for i < len(b) && b[i] == '"' {
		end := pass.text(b, i+1)
		key := b[i:end]
		i = skipSpace(b, skipSpace(b, end)+1) // after the colon
		end = memberEnd(b, i)
		f(key, bytes.TrimRight(b[i:end], " \t\r\n"))
		i = skipSpace(b, end+1) // after the comma or the brace
	}
}

// memberEnd is the place of the comma or bracket that ends the value at i.
func memberEnd(b []byte, i int) int {
	var pass scan
	for depth := 0; ; i++ {
		switch b[i] {
		case '"':
			i = pass.text(b, i+1) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
}
