package query

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/clewhq/clew/internal/domain"
)

// SortOf is what a row sorts by under one key.
func SortOf(v View, k Key, r Row) SortValue {
	c := k.Ref.Column
	col, _ := ColumnOf(v, c)
	switch col.Kind {
	case ScoresKind:
		m, ok := Mean(r.Scores(c), k.Ref.Key)
		return SortValue{Missing: !ok, Float: m}
	case FloatKind:
		f, ok := r.Float(c)
		return SortValue{Missing: !ok, Float: f}
	case EnumKind:
		s, ok := r.Text(c)
		return SortValue{Missing: !ok, Int: int64(slices.Index(col.Words, s))}
	case IDKind, TextKind:
		s, ok := r.Text(c)
		if col.Kind == IDKind {
			s = domain.TraceKey(s)
		}
		return SortValue{Missing: !ok, Text: SortText(s)}
	}
	n, ok := r.Int(c)
	return SortValue{Missing: !ok, Int: n}
}

// SortText is the part of a text that decides its place.
func SortText(s string) string {
	if len(s) <= maxSortText {
		return s
	}
	n := 0
	for i := range s {
		if n++; n > maxSortText {
			return s[:i]
		}
	}
	return s
}

// SortAll is what a row sorts by under every key of an order.
func SortAll(v View, order []Key, r Row) []SortValue {
	out := make([]SortValue, len(order))
	for i, k := range order {
		out[i] = SortOf(v, k, r)
	}
	return out
}

// Compare orders two rows by their first key, or by any later one.
func (k Key) Compare(a, b SortValue) int {
	if k.Back {
		a, b = b, a
	}
	if a.Missing || b.Missing {
		switch {
		case a.Missing && b.Missing:
			return 0
		case a.Missing:
			return 1
		}
		return -1
	}
	c := cmp.Or(cmp.Compare(a.Int, b.Int), cmp.Compare(a.Float, b.Float), strings.Compare(a.Text, b.Text))
	if k.Desc {
		return -c
	}
	return c
}

// CompareSorts orders two rows.
func CompareSorts(order []Key, a, b []SortValue) int {
	for i, k := range order {
		if c := k.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

// cursorVersion is the first byte of a cursor.
const cursorVersion = 1

// maxCursor bounds the text of a cursor.
const maxCursor = 4 << 10

// orderHash tells whether a cursor belongs to a view and an order.
func orderHash(v View, order []Key) uint64 {
	var b strings.Builder
	b.WriteString(v.String())
	for _, k := range order {
		b.WriteString("|" + strconv.Itoa(int(k.Ref.Column)) + "." + k.Ref.Key + strconv.FormatBool(k.Desc))
	}
	return xxhash.Sum64String(b.String())
}

// EncodeCursor is the text of a place in an order: after the row of these
// values. now travels along, so that relative times stay what they were.
func EncodeCursor(v View, order []Key, at []SortValue, now int64) string {
	b := binary.LittleEndian.AppendUint64([]byte{cursorVersion}, orderHash(v, order))
	b = binary.AppendVarint(b, now)
	for _, s := range at {
		if s.Missing {
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		b = binary.AppendVarint(b, s.Int)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s.Float))
		b = binary.AppendUvarint(b, uint64(len(s.Text)))
		b = append(b, s.Text...)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

// DecodeCursor reads what EncodeCursor made, for the same view and order. The
// error is Errors with the code BadCursor.
func DecodeCursor(v View, order []Key, text string) (at []SortValue, now int64, err error) {
	var errs Errors
	errs.add(BadCursor, Span{}, "cursor", "the cursor is broken or belongs to another question; use one of an answer as it came")
	if len(text) > maxCursor {
		return nil, 0, errs
	}
	b, bad := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if bad != nil || len(b) < 14 || b[0] != cursorVersion {
		return nil, 0, errs
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.ChecksumIEEE(body) != sum || binary.LittleEndian.Uint64(body[1:]) != orderHash(v, order) {
		return nil, 0, errs
	}
	body = body[9:]
	varint := func() int64 {
		n, size := binary.Varint(body)
		if size <= 0 {
			bad, body = errs, nil
			return 0
		}
		body = body[size:]
		return n
	}
	now = varint()
	for range order {
		if len(body) == 0 {
			return nil, 0, errs
		}
		present := body[0] == 1
		body = body[1:]
		if !present {
			at = append(at, SortValue{Missing: true})
			continue
		}
		s := SortValue{Int: varint()}
		if len(body) < 9 {
			return nil, 0, errs
		}
		s.Float = math.Float64frombits(binary.LittleEndian.Uint64(body))
		n, size := binary.Uvarint(body[8:])
		if size <= 0 || n > uint64(len(body)-8-size) {
			return nil, 0, errs
		}
		body = body[8+size:]
		s.Text, body = string(body[:n]), body[n:]
		at = append(at, s)
	}
	if bad != nil || len(body) > 0 {
		return nil, 0, errs
	}
	return at, now, nil
}
