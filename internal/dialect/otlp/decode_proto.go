package otlp

import (
	"strings"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/clewhq/clew/internal/domain"
)

// source is the spans of one resource and one scope, out of either encoding.
type source struct {
	resource *resourcepb.Resource
	scope    *commonpb.InstrumentationScope
	spans    []*tracepb.Span
	ids      []spanIDs // of each span; nil where the spans carry them as bytes
}

// spanIDs is the ids of one span as they are stored.
type spanIDs struct{ trace, span, parent string }

// export is a request in a form that no longer depends on its encoding.
type export struct {
	sources []source
	spans   int
	rejects rejects // what could not even be read as a span
}

// decodeProtobuf reads an ExportTraceServiceRequest. TracesData has the same
// wire format.
func decodeProtobuf(body []byte) (export, error) {
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil {
		// The one thing that the library refuses and exporters do send is text
		// that is no UTF-8.
		mended, ok := mend(nil, body, shapeTraces, 0)
		if !ok || proto.Unmarshal(mended, &data) != nil {
			return export{}, &domain.Error{Code: domain.Invalid, Msg: "the body is not an OTLP protobuf message", Err: err}
		}
	}
	var x export
	for _, rs := range data.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			if len(ss.GetSpans()) == 0 {
				continue
			}
			x.sources = append(x.sources, source{resource: rs.GetResource(), scope: ss.GetScope(), spans: ss.GetSpans()})
			x.spans += len(ss.GetSpans())
		}
	}
	return x, nil
}

// shape is a message of OTLP, or text; the zero shape is neither.
type shape uint8

const (
	shapeText shape = iota + 1
	shapeTraces
	shapeResourceSpans
	shapeResource
	shapeEntity
	shapeScopeSpans
	shapeScope
	shapeSpan
	shapeEvent
	shapeLink
	shapeStatus
	shapeKeyValue
	shapeValue
	shapeArray
	shapeList
)

// shapes is what each field of each message holds, by the field numbers of the
// OTLP 1.x proto files; fields that hold neither text nor messages are left out.
var shapes = map[shape]map[protowire.Number]shape{
	shapeTraces:        {1: shapeResourceSpans},
	shapeResourceSpans: {1: shapeResource, 2: shapeScopeSpans, 3: shapeText},
	shapeResource:      {1: shapeKeyValue, 3: shapeEntity},
	shapeEntity:        {1: shapeText, 2: shapeText, 3: shapeText, 4: shapeText},
	shapeScopeSpans:    {1: shapeScope, 2: shapeSpan, 3: shapeText},
	shapeScope:         {1: shapeText, 2: shapeText, 3: shapeKeyValue},
	shapeSpan:          {3: shapeText, 5: shapeText, 9: shapeKeyValue, 11: shapeEvent, 13: shapeLink, 15: shapeStatus},
	shapeEvent:         {2: shapeText, 3: shapeKeyValue},
	shapeLink:          {3: shapeText, 4: shapeKeyValue},
	shapeStatus:        {2: shapeText},
	shapeKeyValue:      {1: shapeText, 2: shapeValue},
	shapeValue:         {1: shapeText, 5: shapeArray, 6: shapeList},
	shapeArray:         {1: shapeValue},
	shapeList:          {1: shapeKeyValue},
}

// maxMendDepth bounds how often mend copies a byte; text in deeper values is
// left as it is.
const maxMendDepth = 48

// mend appends a message with U+FFFD for whatever in its texts is no UTF-8. It
// reports false where the bytes are no message.
func mend(dst, in []byte, s shape, depth int) ([]byte, bool) {
	for len(in) > 0 {
		num, typ, tag := protowire.ConsumeTag(in)
		if tag < 0 {
			return dst, false
		}
		size := protowire.ConsumeFieldValue(num, typ, in[tag:])
		if size < 0 {
			return dst, false
		}
		field, inner := in[:tag+size], shapes[s][num]
		in = in[tag+size:]
		if inner == 0 || typ != protowire.BytesType || depth == maxMendDepth {
			dst = append(dst, field...)
			continue
		}
		val, _ := protowire.ConsumeBytes(field[tag:])
		switch {
		case inner != shapeText:
			var ok bool
			if val, ok = mend(make([]byte, 0, len(val)), val, inner, depth+1); !ok {
				return dst, false
			}
		case !utf8.Valid(val):
			val = []byte(strings.ToValidUTF8(string(val), "\uFFFD"))
		}
		dst = protowire.AppendTag(dst, num, typ)
		dst = protowire.AppendBytes(dst, val)
	}
	return dst, true
}
