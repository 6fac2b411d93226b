package otlp

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/clewhq/clew/internal/domain"
)

// maxExact is the greatest integer that every JSON reader keeps exactly.
const maxExact = 1<<53 - 1

// isSet reports whether v holds a value at all.
func isSet(v *commonpb.AnyValue) bool { return v != nil && v.Value != nil }

// text is v as text: strings as they are, everything else as JSON.
func text(v *commonpb.AnyValue) string {
	if v == nil {
		return ""
	}
	switch x := v.Value.(type) {
	case nil:
		return ""
	case *commonpb.AnyValue_StringValue:
		return x.StringValue
	case *commonpb.AnyValue_BytesValue:
		return base64.StdEncoding.EncodeToString(x.BytesValue)
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(x.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(x.IntValue, 10)
	case *commonpb.AnyValue_DoubleValue:
		if f := x.DoubleValue; math.IsNaN(f) || math.IsInf(f, 0) {
			return nonFinite(f)
		}
	}
	return string(appendJSON(nil, v))
}

// short is v as the text of a column: without NUL, which no column can hold.
func short(v *commonpb.AnyValue) string { return withoutNUL(text(v)) }

func withoutNUL(s string) string {
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(s, "\x00", "")
}

// body is v as a body: text as it came, everything else as JSON.
func (m *mapper) body(v *commonpb.AnyValue) domain.Body {
	if !isSet(v) {
		return domain.Body{}
	}
	switch v.Value.(type) {
	case *commonpb.AnyValue_StringValue, *commonpb.AnyValue_BytesValue:
		return textBody(text(v))
	}
	return domain.Body{Kind: domain.JSON, Data: m.arena.end(appendJSON(m.arena.begin(), v))}
}

// textBody is a body over the bytes of s itself: they were copied out of the
// request once already, and nobody writes into a body.
func textBody(s string) domain.Body {
	return domain.Body{Kind: domain.Text, Data: bytesOf(s)}
}

// bytesOf is the bytes of s, only to be read.
func bytesOf(s string) []byte {
	if s == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// appendJSON appends v as JSON. Integers past 2^53 and numbers that JSON lacks
// become strings, since readers would change them; bytes become base64.
func appendJSON(dst []byte, v *commonpb.AnyValue) []byte {
	if v == nil {
		return append(dst, "null"...)
	}
	switch x := v.Value.(type) {
	case *commonpb.AnyValue_StringValue:
		return appendString(dst, x.StringValue)
	case *commonpb.AnyValue_BoolValue:
		return strconv.AppendBool(dst, x.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return appendInt(dst, x.IntValue)
	case *commonpb.AnyValue_DoubleValue:
		return appendDouble(dst, x.DoubleValue)
	case *commonpb.AnyValue_BytesValue:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, x.BytesValue)
		return append(dst, '"')
	case *commonpb.AnyValue_ArrayValue:
		dst = append(dst, '[')
		for i, e := range x.ArrayValue.GetValues() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, e)
		}
		return append(dst, ']')
	case *commonpb.AnyValue_KvlistValue:
		return appendObject(dst, x.KvlistValue.GetValues())
	}
	return append(dst, "null"...)
}

// appendObject appends a list of attributes as one JSON object with typed
// values; of a key that comes twice the last value stands.
func appendObject(dst []byte, kvs []*commonpb.KeyValue) []byte {
	dst = append(dst, '{')
	first := true
	over := shadowed(kvs)
	for i, kv := range kvs {
		if over.has(i) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, kv.GetKey())
		dst = append(dst, ':')
		dst = appendJSON(dst, kv.GetValue())
	}
	return append(dst, '}')
}

// indexes is a set of places in a list; nil is the empty one.
type indexes map[int]struct{}

func (s indexes) has(i int) bool {
	_, ok := s[i]
	return ok
}

// shadowed is the places in kvs whose key comes again later.
func shadowed(kvs []*commonpb.KeyValue) indexes {
	var out indexes
	mark := func(i int) {
		if out == nil {
			out = indexes{}
		}
		out[i] = struct{}{}
	}
	if len(kvs) <= 16 {
		for i, a := range kvs {
			for _, b := range kvs[i+1:] {
				if a.GetKey() == b.GetKey() {
					mark(i)
					break
				}
			}
		}
		return out
	}
	last := make(map[string]int, len(kvs))
	for i, kv := range kvs {
		if j, found := last[kv.GetKey()]; found {
			mark(j)
		}
		last[kv.GetKey()] = i
	}
	return out
}

func appendInt(dst []byte, n int64) []byte {
	if n > maxExact || n < -maxExact {
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, n, 10)
		return append(dst, '"')
	}
	return strconv.AppendInt(dst, n, 10)
}

func appendDouble(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return appendString(dst, nonFinite(f))
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

func nonFinite(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case f > 0:
		return "Infinity"
	}
	return "-Infinity"
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string, escaping only what must be.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// appendKey appends s as the key of an object's next member; the object is
// open and dst holds at least its brace.
func appendKey(dst []byte, s string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(appendString(dst, s), ':')
}

// number is v as a number that a client may also have sent as text.
func number(v *commonpb.AnyValue) (float64, bool) {
	if v == nil {
		return 0, false
	}
	switch x := v.Value.(type) {
	case *commonpb.AnyValue_IntValue:
		return float64(x.IntValue), true
	case *commonpb.AnyValue_DoubleValue:
		return x.DoubleValue, !math.IsNaN(x.DoubleValue) && !math.IsInf(x.DoubleValue, 0)
	case *commonpb.AnyValue_StringValue:
		f, err := strconv.ParseFloat(strings.TrimSpace(x.StringValue), 64)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return 0, false
}

// integer is v as an exact integer, which may have come as text or as a
// double without a fraction.
func integer(v *commonpb.AnyValue) (int64, bool) {
	if v == nil {
		return 0, false
	}
	switch x := v.Value.(type) {
	case *commonpb.AnyValue_IntValue:
		return x.IntValue, true
	case *commonpb.AnyValue_StringValue:
		if n, err := strconv.ParseInt(strings.TrimSpace(x.StringValue), 10, 64); err == nil {
			return n, true
		}
	}
	f, ok := number(v)
	if !ok || f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}

// truth is v as a yes or no; ok is false where it is neither.
func truth(v *commonpb.AnyValue) (yes, ok bool) {
	if v == nil {
		return false, false
	}
	switch x := v.Value.(type) {
	case *commonpb.AnyValue_BoolValue:
		return x.BoolValue, true
	case *commonpb.AnyValue_StringValue:
		switch strings.ToLower(x.StringValue) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}

// validUTF8 is s with U+FFFD for what is no UTF-8.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// arena cuts many small byte slices out of few large ones. One slice is built
// at a time, between begin and end.
type arena struct{ free []byte }

// arenaChunk is what is taken at once; a larger slice gets its own memory.
const arenaChunk = 32 << 10

// begin is an empty slice to append to.
func (a *arena) begin() []byte {
	if cap(a.free) < 1<<10 {
		a.free = make([]byte, 0, arenaChunk)
	}
	return a.free[:0]
}

// end keeps what was appended to the slice of begin.
func (a *arena) end(b []byte) []byte {
	if cap(b) == cap(a.free) && len(b) > 0 && &b[0] == &a.free[:1][0] {
		a.free = a.free[len(b):len(b):cap(a.free)]
	}
	return b[:len(b):len(b)]
}
