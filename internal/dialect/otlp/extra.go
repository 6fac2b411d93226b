package otlp

import (
	"encoding/hex"
	"strconv"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/clewhq/clew/internal/domain"
)

// extra keeps what no field of an observation holds: the span's kind, flags and
// trace state, its links, and the events that did not become content.
func (m *mapper) extra() domain.Body {
	s := m.span
	b := append(m.arena.begin(), '{')
	switch s.GetKind() {
	case tracepb.Span_SPAN_KIND_UNSPECIFIED, tracepb.Span_SPAN_KIND_INTERNAL:
	default:
		b = strconv.AppendInt(appendKey(b, "kind"), int64(s.GetKind()), 10)
	}
	if f := s.GetFlags(); f != 0 {
		b = strconv.AppendUint(appendKey(b, "flags"), uint64(f), 10)
	}
	if t := s.GetTraceState(); t != "" {
		b = appendString(appendKey(b, "traceState"), t)
	}
	if len(s.GetEvents()) > 0 {
		b = m.appendEvents(b)
	}
	if links := s.GetLinks(); len(links) > 0 {
		b = append(appendKey(b, "links"), '[')
		for i, l := range links {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendLink(b, l)
		}
		b = append(b, ']')
	}
	for _, c := range [...]struct {
		key string
		n   uint32
	}{
		{"droppedAttributesCount", s.GetDroppedAttributesCount() + uint32(m.dropped)},
		{"droppedEventsCount", s.GetDroppedEventsCount()},
		{"droppedLinksCount", s.GetDroppedLinksCount()},
	} {
		if c.n > 0 {
			b = strconv.AppendUint(appendKey(b, c.key), uint64(c.n), 10)
		}
	}
	if len(b) == 1 {
		return domain.Body{}
	}
	return domain.Body{Kind: domain.JSON, Data: m.arena.end(append(b, '}'))}
}

func (m *mapper) appendEvents(b []byte) []byte {
	open := false
	for i, e := range m.span.GetEvents() {
		if i < len(m.events) && m.events[i] {
			continue
		}
		if !open {
			b = append(appendKey(b, "events"), '[')
			open = true
		} else {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), e.GetName())
		b = append(b, `,"timeUnixNano":"`...)
		b = strconv.AppendUint(b, e.GetTimeUnixNano(), 10)
		b = appendObject(append(b, `","attributes":`...), e.GetAttributes())
		b = append(b, '}')
	}
	if open {
		b = append(b, ']')
	}
	return b
}

func appendLink(b []byte, l *tracepb.Span_Link) []byte {
	b = append(b, `{"traceId":"`...)
	b = hex.AppendEncode(b, l.GetTraceId())
	b = append(b, `","spanId":"`...)
	b = hex.AppendEncode(b, l.GetSpanId())
	b = append(b, '"')
	if s := l.GetTraceState(); s != "" {
		b = appendString(appendKey(b, "traceState"), s)
	}
	if f := l.GetFlags(); f != 0 {
		b = strconv.AppendUint(appendKey(b, "flags"), uint64(f), 10)
	}
	return append(appendObject(appendKey(b, "attributes"), l.GetAttributes()), '}')
}
