package langfuse

import (
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
)

const (
	flushAt = 256 << 10 // a stream hands on what it holds at this many bytes
	slack   = 8 << 10   // room for the narrow fields of one element beyond that
)

// stream writes a JSON answer piece by piece through one buffer, so that its
// memory does not grow with the answer. Without a writer it gathers all of it.
type stream struct {
	buf []byte
	out io.Writer
	err error // the first failure to write: nobody reads any more
}

func newStream(out io.Writer) *stream {
	s := &stream{out: out}
	if buf, _ := buffers.Get().(*[]byte); buf != nil {
		s.buf = (*buf)[:0]
	} else {
		s.buf = make([]byte, 0, flushAt+slack)
	}
	return s
}

// buffers are those of finished answers: most answers need a small part of one.
var buffers sync.Pool // *[]byte

// str appends text that is JSON already, such as keys and signs.
func (s *stream) str(json string) { s.buf = append(s.buf, json...) }

// raw appends any number of bytes that are JSON already.
func (s *stream) raw(b []byte) {
	if s.out != nil && len(s.buf)+len(b) > flushAt {
		s.flush()
		if len(b) >= flushAt/2 {
			s.write(b)
			return
		}
	}
	s.buf = append(s.buf, b...)
}

// spill hands on what is held once there is enough of it.
func (s *stream) spill() {
	if s.out != nil && len(s.buf) >= flushAt {
		s.flush()
	}
}

func (s *stream) flush() {
	s.write(s.buf)
	s.buf = s.buf[:0]
}

func (s *stream) write(b []byte) {
	if s.err == nil && len(b) > 0 {
		_, s.err = s.out.Write(b)
	}
}

// answer starts the stream of a JSON answer. Nothing goes out before the buffer
// is full, so that an early failure can still be told.
func answer(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	return newStream(w)
}

// finish sends the rest.
func (s *stream) finish() error {
	s.flush()
	if buf := s.buf; cap(buf) >= flushAt && cap(buf) <= 2*flushAt {
		buffers.Put(&buf)
	}
	s.buf = nil
	if s.err != nil {
		return &domain.Error{Code: domain.Canceled, Msg: "the client went away", Err: s.err}
	}
	return nil
}

// text appends b as a JSON string; bytes that are not UTF-8 become U+FFFD.
func (s *stream) text(b []byte) {
	s.str(`"`)
	if utf8.Valid(b) {
		s.escaped(b)
	} else {
		s.repaired(b)
	}
	s.str(`"`)
}

// escaped appends valid UTF-8 with what a JSON string can't hold escaped.
func (s *stream) escaped(b []byte) {
	for i := 0; i < len(b); {
		end, _ := plain(b, i)
		s.raw(b[i:end])
		if end == len(b) {
			return
		}
		s.buf = appendEscape(s.buf, b[end])
		i = end + 1
	}
}

// repaired is escaped for text that is not UTF-8 throughout.
func (s *stream) repaired(b []byte) {
	for len(b) > 0 {
		good := validPrefix(b)
		s.escaped(b[:good])
		if b = b[good:]; len(b) > 0 {
			s.str("\uFFFD")
			s.spill()
			b = b[1:]
		}
	}
}

// validPrefix is the length of b's longest prefix that is UTF-8.
func validPrefix(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// appendEscape appends the escape of a quote, backslash or control character.
func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\t':
		return append(dst, '\\', 't')
	case '\r':
		return append(dst, '\\', 'r')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// quote appends a short text as a JSON string.
func (s *stream) quote(v string) {
	for i := range len(v) {
		if c := v[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			s.text([]byte(v))
			return
		}
	}
	s.buf = append(s.buf, '"')
	s.buf = append(s.buf, v...)
	s.buf = append(s.buf, '"')
}

// orNull appends a short text as a JSON string, null where there is none.
func (s *stream) orNull(v string) {
	if v == "" {
		s.str("null")
		return
	}
	s.quote(v)
}

func (s *stream) int(n int64) { s.buf = strconv.AppendInt(s.buf, n, 10) }

func (s *stream) bool(v bool) { s.buf = strconv.AppendBool(s.buf, v) }

// time appends an instant in UTC and milliseconds, finer digits cut off; null
// where there is none.
func (s *stream) time(t domain.Time) {
	if !t.IsSet() {
		s.str("null")
		return
	}
	s.buf = append(s.buf, '"')
	s.buf = appendTime(s.buf, t)
	s.buf = append(s.buf, '"')
}

func appendTime(dst []byte, t domain.Time) []byte {
	ms := millis(t)
	sec := floorDiv(ms, 1000)
	at := time.Unix(sec, 0).UTC()
	year, month, day := at.Date()
	hour, minute, second := at.Clock()
	dst = append(dst, digit(year/1000), digit(year/100), digit(year/10), digit(year), '-')
	dst = append(append2(dst, int(month)), '-')
	dst = append(append2(dst, day), 'T')
	dst = append(append2(dst, hour), ':')
	dst = append(append2(dst, minute), ':')
	dst = append(append2(dst, second), '.')
	frac := int(ms - sec*1000)
	return append(dst, digit(frac/100), digit(frac/10), digit(frac), 'Z')
}

func append2(dst []byte, n int) []byte { return append(dst, digit(n/10), digit(n)) }

func digit(n int) byte { return '0' + byte(n%10) }

// millis is the whole milliseconds of an instant: what the API shows of it.
func millis(t domain.Time) int64 { return floorDiv(t.Nanos(), int64(time.Millisecond)) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// seconds appends the time between two instants as the answer shows them, so
// that it is the difference of what the client reads; 0 where it is negative.
func (s *stream) seconds(from, to domain.Time) {
	s.buf = appendScaled(s.buf, max(0, millis(to)-millis(from)), 3)
}

// money appends dollars, exact and without an exponent.
func (s *stream) money(m domain.Money) { s.buf = appendScaled(s.buf, int64(m), 12) }

// appendScaled appends n / 10^scale in the fewest digits.
func appendScaled(dst []byte, n int64, scale int) []byte {
	u := uint64(n)
	if n < 0 {
		dst = append(dst, '-')
		u = -u
	}
	unit := uint64(1)
	for range scale {
		unit *= 10
	}
	dst = strconv.AppendUint(dst, u/unit, 10)
	if u %= unit; u == 0 {
		return dst
	}
	dst = append(dst, '.')
	for ; u > 0; u %= unit {
		unit /= 10
		dst = append(dst, '0'+byte(u/unit))
	}
	return dst
}

// float appends a double in its shortest form; what JSON has no number for is 0.
func (s *stream) float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	s.buf = strconv.AppendFloat(s.buf, f, format, -1, 64)
}
