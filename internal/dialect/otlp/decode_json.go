package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/clewhq/clew/internal/domain"
)

// decodeJSON reads an ExportTraceServiceRequest in OTLP's JSON, and the ways in
// which exporters miss it: names in snake_case, numbers as text and as halves,
// ids as base64 or byte lists. Members that it does not know are passed over.
func decodeJSON(body []byte) (export, error) {
	c, ok := validCursor(body)
	if !ok {
		return export{}, &domain.Error{Code: domain.Invalid, Msg: "the body is not valid JSON"}
	}
	if c.kind() != '{' {
		return export{}, &domain.Error{Code: domain.Invalid, Msg: "the body is not a JSON object"}
	}
	d := &jsonDecoder{cursor: c}
	for key := range d.members() {
		if is(key, "resourceSpans", "resource_spans") && d.isList("resourceSpans") {
			for range d.elements() {
				d.resourceSpans()
			}
		}
	}
	return d.x, nil
}

type jsonDecoder struct {
	cursor
	x export
}

// is reports whether a member's name is one of the two spellings.
func is(key []byte, camel, snake string) bool { return string(key) == camel || string(key) == snake }

// isList notes where a list is missing: then the spans in it are lost, and the
// sender is told.
func (d *jsonDecoder) isList(name string) bool {
	switch d.kind() {
	case '[':
		return true
	case 'n':
	default:
		d.x.rejects.add(1, "%s is not a list", name)
	}
	return false
}

func (d *jsonDecoder) resourceSpans() {
	resource := &resourcepb.Resource{}
	first := len(d.x.sources)
	for key := range d.members() {
		switch {
		case string(key) == "resource":
			for key := range d.members() {
				if string(key) == "attributes" {
					resource.Attributes = d.attributes()
				}
			}
		case is(key, "scopeSpans", "scope_spans") && d.isList("scopeSpans"):
			for range d.elements() {
				d.scopeSpans()
			}
		}
	}
	for i := first; i < len(d.x.sources); i++ {
		d.x.sources[i].resource = resource
	}
}

func (d *jsonDecoder) scopeSpans() {
	src := source{scope: &commonpb.InstrumentationScope{}}
	for key := range d.members() {
		switch string(key) {
		case "scope":
			for key := range d.members() {
				switch string(key) {
				case "name":
					src.scope.Name = d.str()
				case "version":
					src.scope.Version = d.str()
				case "attributes":
					src.scope.Attributes = d.attributes()
				}
			}
		case "spans":
			if !d.isList("spans") {
				continue
			}
			for range d.elements() {
				span, ids := d.span()
				src.spans, src.ids = append(src.spans, span), append(src.ids, ids)
			}
		}
	}
	if len(src.spans) > 0 {
		d.x.sources = append(d.x.sources, src)
		d.x.spans += len(src.spans)
	}
}

func (d *jsonDecoder) span() (*tracepb.Span, spanIDs) {
	s, ids := &tracepb.Span{}, spanIDs{}
	for key := range d.members() {
		switch string(key) {
		case "traceId", "trace_id":
			ids.trace = d.id(16)
		case "spanId", "span_id":
			ids.span = d.id(8)
		case "parentSpanId", "parent_span_id":
			ids.parent = d.id(8)
		case "traceState", "trace_state":
			s.TraceState = d.str()
		case "name":
			s.Name = d.str()
		case "kind":
			s.Kind = tracepb.Span_SpanKind(d.enum(tracepb.Span_SpanKind_value))
		case "flags":
			s.Flags = uint32(d.uint())
		case "startTimeUnixNano", "start_time_unix_nano":
			s.StartTimeUnixNano = d.uint()
		case "endTimeUnixNano", "end_time_unix_nano":
			s.EndTimeUnixNano = d.uint()
		case "attributes":
			s.Attributes = d.attributes()
		case "droppedAttributesCount", "dropped_attributes_count":
			s.DroppedAttributesCount = uint32(d.uint())
		case "events":
			for range d.elements() {
				s.Events = append(s.Events, d.event())
			}
		case "droppedEventsCount", "dropped_events_count":
			s.DroppedEventsCount = uint32(d.uint())
		case "links":
			for range d.elements() {
				s.Links = append(s.Links, d.link())
			}
		case "droppedLinksCount", "dropped_links_count":
			s.DroppedLinksCount = uint32(d.uint())
		case "status":
			s.Status = d.status()
		}
	}
	return s, ids
}

func (d *jsonDecoder) status() *tracepb.Status {
	st := &tracepb.Status{}
	for key := range d.members() {
		switch string(key) {
		case "code":
			st.Code = tracepb.Status_StatusCode(d.enum(tracepb.Status_StatusCode_value))
		case "message":
			st.Message = d.str()
		}
	}
	return st
}

func (d *jsonDecoder) event() *tracepb.Span_Event {
	e := &tracepb.Span_Event{}
	for key := range d.members() {
		switch string(key) {
		case "name":
			e.Name = d.str()
		case "timeUnixNano", "time_unix_nano":
			e.TimeUnixNano = d.uint()
		case "attributes":
			e.Attributes = d.attributes()
		}
	}
	return e
}

func (d *jsonDecoder) link() *tracepb.Span_Link {
	l := &tracepb.Span_Link{}
	for key := range d.members() {
		switch string(key) {
		case "traceId", "trace_id":
			l.TraceId = idBytes(d.id(16))
		case "spanId", "span_id":
			l.SpanId = idBytes(d.id(8))
		case "traceState", "trace_state":
			l.TraceState = d.str()
		case "flags":
			l.Flags = uint32(d.uint())
		case "attributes":
			l.Attributes = d.attributes()
		}
	}
	return l
}

// idBytes is the bytes of a link's id; one that is not hexadecimal is kept as
// the text's own bytes.
func idBytes(id string) []byte {
	if b, err := hex.DecodeString(id); err == nil {
		return b
	}
	return []byte(id)
}

// attributes reads a list of {key, value}, and an object of values that some
// senders write instead.
func (d *jsonDecoder) attributes() []*commonpb.KeyValue {
	var kvs []*commonpb.KeyValue
	switch d.kind() {
	case '[':
		for range d.elements() {
			kv := &commonpb.KeyValue{}
			for key := range d.members() {
				switch string(key) {
				case "key":
					kv.Key = d.str()
				case "value":
					kv.Value = d.value()
				}
			}
			kvs = append(kvs, kv)
		}
	case '{':
		for key := range d.members() {
			kvs = append(kvs, &commonpb.KeyValue{Key: validUTF8(string(key)), Value: d.value()})
		}
	default:
		d.raw()
	}
	return kvs
}

// value reads an AnyValue. A value that is no object of one is taken for what
// it is.
func (d *jsonDecoder) value() *commonpb.AnyValue {
	switch d.kind() {
	case '{':
	case '"':
		return textValue(d.str())
	case '[':
		list := &commonpb.ArrayValue{}
		for range d.elements() {
			list.Values = append(list.Values, d.value())
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: list}}
	default:
		switch raw := string(d.raw()); raw {
		case "null":
			return &commonpb.AnyValue{}
		case "true", "false":
			return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: raw == "true"}}
		default:
			return doubleValue(raw)
		}
	}
	v := &commonpb.AnyValue{}
	for key := range d.members() {
		d.variant(v, string(key))
	}
	return v
}

// variant reads the member of an AnyValue that says which kind it is of.
func (d *jsonDecoder) variant(v *commonpb.AnyValue, key string) {
	switch key {
	case "stringValue", "string_value":
		v.Value = &commonpb.AnyValue_StringValue{StringValue: d.str()}
	case "boolValue", "bool_value":
		v.Value = &commonpb.AnyValue_BoolValue{BoolValue: d.str() == "true"}
	case "intValue", "int_value":
		v.Value = d.intValue().Value
	case "doubleValue", "double_value":
		v.Value = doubleValue(d.str()).Value
	case "bytesValue", "bytes_value":
		v.Value = bytesValue(d.str()).Value
	case "arrayValue", "array_value":
		v.Value = &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: d.list()}}
	case "kvlistValue", "kvlist_value":
		list := &commonpb.KeyValueList{}
		for key := range d.members() {
			if string(key) == "values" {
				list.Values = d.attributes()
			}
		}
		v.Value = &commonpb.AnyValue_KvlistValue{KvlistValue: list}
	}
}

// list reads the values of an ArrayValue.
func (d *jsonDecoder) list() []*commonpb.AnyValue {
	var out []*commonpb.AnyValue
	for key := range d.members() {
		if string(key) == "values" {
			for range d.elements() {
				out = append(out, d.value())
			}
		}
	}
	return out
}

func textValue(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

// intValue reads a number, a number as text, or its two halves. What is none
// of them stays the text it is.
func (d *jsonDecoder) intValue() *commonpb.AnyValue {
	var n int64
	if d.kind() == '{' {
		n = int64(d.halves())
	} else {
		s := d.str()
		var err error
		if n, err = strconv.ParseInt(s, 10, 64); err != nil {
			return doubleValue(s)
		}
	}
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: n}}
}

// halves reads {low, high}, as JS libraries write numbers of 64 bits.
func (d *jsonDecoder) halves() uint64 {
	var n uint64
	for key := range d.members() {
		half, _ := strconv.ParseInt(d.str(), 10, 64)
		switch string(key) {
		case "low":
			n |= uint64(uint32(half))
		case "high":
			n |= uint64(uint32(half)) << 32
		}
	}
	return n
}

// doubleValue reads a number; what is none, NaN among it, stays text.
func doubleValue(s string) *commonpb.AnyValue {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return textValue(s)
	}
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: f}}
}

// bytesValue reads base64 of either alphabet; what is none stays text.
func bytesValue(s string) *commonpb.AnyValue {
	b, err := fromBase64(s)
	if err != nil {
		return textValue(s)
	}
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: b}}
}

func fromBase64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "-_") {
		return base64.RawURLEncoding.DecodeString(s)
	}
	return base64.RawStdEncoding.DecodeString(s)
}

// uint reads a number that is not negative: as such, as text, or in halves. A
// number with a fraction or an exponent loses what an integer can't hold.
func (d *jsonDecoder) uint() uint64 {
	if d.kind() == '{' {
		return d.halves()
	}
	s := d.str()
	n, err := strconv.ParseUint(s, 10, 64)
	if err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > 0 && f < math.MaxUint64 {
		return uint64(f)
	}
	return 0
}

// enum reads a number or the name of one.
func (d *jsonDecoder) enum(names map[string]int32) int32 {
	s := d.str()
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return int32(n)
	}
	return names[s]
}

// id reads an id of n bytes: hexadecimal in either case, base64, a list of
// bytes, also as Node writes its buffers. Any other text is an id as it is.
func (d *jsonDecoder) id(n int) string {
	switch d.kind() {
	case '[':
		return d.byteList(n)
	case '{':
		id := ""
		for key := range d.members() {
			if string(key) == "data" {
				id = d.byteList(n)
			}
		}
		return id
	}
	s := d.str()
	if len(s) == 2*n {
		if lower := strings.ToLower(s); isHex(lower) {
			return lower
		}
	}
	if len(s) == base64.StdEncoding.EncodedLen(n) {
		if b, err := fromBase64(s); err == nil && len(b) == n {
			return hex.EncodeToString(b)
		}
	}
	return s
}

func (d *jsonDecoder) byteList(n int) string {
	var b []byte
	for range d.elements() {
		v, err := strconv.ParseUint(d.str(), 10, 8)
		if err != nil || len(b) == n {
			return ""
		}
		b = append(b, byte(v))
	}
	return hex.EncodeToString(b)
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
