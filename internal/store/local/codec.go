package local

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/clewhq/clew/internal/domain"
)

// The encodings of what SQLite keeps in blobs and of the items in chunks and
// blocks. docs/format/traces.md describes each byte. Integers are varints,
// texts are length-prefixed.

var errCorrupt = errors.New("corrupt record")

func putText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func putBytes(b, s []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func putTime(b []byte, t domain.Time) []byte {
	if !t.IsSet() {
		return append(b, 0)
	}
	return binary.AppendVarint(append(b, 1), t.Nanos())
}

// reader takes encoded values off the front of b; after the first fault every
// value is zero and err is set, so that callers check once.
type reader struct {
	b   []byte
	err error
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	return take(r, v, n)
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	return take(r, v, n)
}

func take[T any](r *reader, v T, n int) T {
	if n <= 0 {
		r.fail()
		var zero T
		return zero
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = errCorrupt
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// bytes is the next length-prefixed value, not copied.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string { return string(r.bytes()) }

// texts is all texts up to the end.
func (r *reader) texts() (out []string) {
	for len(r.b) > 0 {
		out = append(out, r.text())
	}
	return out
}

func (r *reader) time() domain.Time {
	if r.byte() == 0 {
		return domain.Time{}
	}
	return domain.At(r.int())
}

func putStamp(b []byte, s domain.Stamp) []byte {
	b = binary.AppendVarint(b, s.Time)
	b = append(b, byte(s.Op))
	b = putText(b, s.Event)
	return binary.LittleEndian.AppendUint64(b, s.Hash)
}

func (r *reader) stamp() domain.Stamp {
	return domain.Stamp{Time: r.int(), Op: domain.Op(r.byte()), Event: r.text(), Hash: r.fixed()}
}

// Kinds of stamps record.
const (
	stampsOne  = 1 // a single Replace, which won every field: how most spans stay
	stampsMany = 2
)

// putStamps encodes which writes won the fields of a fold with n fields.
func putStamps(b []byte, s *domain.Stamps, n int) []byte {
	if len(s.List) == 1 && s.Reset == 1 && allOnes(s.Field[:n]) {
		return putStamp(append(b, stampsOne), s.List[0])
	}
	b = append(b, stampsMany)
	b = binary.AppendUvarint(b, uint64(len(s.List)))
	for _, t := range s.List {
		b = putStamp(b, t)
	}
	b = binary.AppendUvarint(b, uint64(n))
	for _, at := range s.Field[:n] {
		b = binary.AppendUvarint(b, uint64(at))
	}
	b = binary.AppendUvarint(b, uint64(s.Reset))
	b = binary.AppendUvarint(b, uint64(len(s.Tags)))
	for _, at := range s.Tags {
		b = binary.AppendUvarint(b, uint64(at))
	}
	return b
}

func allOnes(at []uint16) bool {
	for _, v := range at {
		if v != 1 {
			return false
		}
	}
	return true
}

// stamps decodes what putStamps wrote, for a value with that many tags. Fields
// that a later release added are of index 0, as nobody said them.
func (r *reader) stamps(n, tags int) (s domain.Stamps) {
	switch r.byte() {
	case stampsOne:
		s.List = []domain.Stamp{r.stamp()}
		for i := range n {
			s.Field[i] = 1
		}
		s.Reset = 1
		for range tags {
			s.Tags = append(s.Tags, 1)
		}
	case stampsMany:
		count := r.uint()
		if count > math.MaxUint16 {
			r.fail()
			return s
		}
		for i := uint64(0); i < count && r.err == nil; i++ {
			s.List = append(s.List, r.stamp())
		}
		at := func() uint16 {
			v := r.uint()
			if v > count {
				r.fail()
				return 0
			}
			return uint16(v)
		}
		fields := r.uint()
		if fields > uint64(len(s.Field)) {
			r.fail()
			return s
		}
		for i := range fields {
			s.Field[i] = at()
		}
		s.Reset = at()
		if got := r.uint(); got != uint64(tags) {
			r.fail()
		}
		for i := 0; i < tags && r.err == nil; i++ {
			s.Tags = append(s.Tags, at())
		}
	default:
		r.fail()
	}
	if r.err != nil {
		return domain.Stamps{}
	}
	return s
}

// putItem encodes one write's bodies: the stamp, the parts it says, and those
// of them that are set.
func putItem(b []byte, it *domain.Item) []byte {
	b = putText(b, it.ID)
	b = putStamp(b, it.Stamp)
	b = binary.AppendUvarint(b, uint64(it.Said))
	b = binary.AppendUvarint(b, uint64(it.Content.Set()))
	for p := range it.Content {
		if body := &it.Content[p]; body.IsSet() {
			b = append(b, byte(body.Kind))
			b = putBytes(b, body.Data)
		}
	}
	return b
}

// item decodes one item; its bodies point into the reader's bytes.
func (r *reader) item() (it domain.Item) {
	it.ID = r.text()
	it.Stamp = r.stamp()
	it.Said = domain.Parts(r.uint())
	set := domain.Parts(r.uint())
	for p := range domain.Part(16) {
		if !set.Has(p) {
			continue
		}
		body := domain.Body{Kind: domain.BodyKind(r.byte()), Data: r.bytes()}
		if int(p) < len(it.Content) { // a part of a later release is skipped
			it.Content[p] = body
		}
	}
	return it
}

// skipItem passes over one item.
func (r *reader) skipItem() {
	r.bytes() // id
	r.int()
	r.byte()
	r.bytes() // event
	r.fixed()
	r.uint()
	for set := r.uint(); set != 0 && r.err == nil; set &= set - 1 {
		r.byte()
		r.bytes()
	}
}
