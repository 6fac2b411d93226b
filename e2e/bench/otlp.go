package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	tracesPerRequest = 25
	spansPerTrace    = 8
	spansPerRequest  = tracesPerRequest * spansPerTrace
	inputBytes       = 4096
	outputBytes      = 1024
)

// request is an export of 25 traces of 8 spans, built once; ids and times are
// put in anew for each sending, so that the generator costs little.
type request struct {
	body  []byte
	spans []patchable
}

// patchable is where a span's changing bytes lie in the body.
type patchable struct {
	trace, span, parent int // offsets; parent is -1 in a root
	start, end          int
}

// newRequest builds a request of other texts than any before.
func newRequest(t *texts) *request {
	r := &request{}
	var spans []byte
	for trace := range tracesPerRequest {
		for i := range spansPerTrace {
			span, at := r.span(t, trace, i)
			spans = protowire.AppendTag(spans, 2, protowire.BytesType)
			spans = protowire.AppendVarint(spans, uint64(len(span)))
			at.shift(len(spans))
			spans = append(spans, span...)
			r.spans = append(r.spans, at)
		}
	}
	var scope []byte
	scope = appendText(scope, 1, "langfuse-sdk")
	scope = appendText(scope, 2, "4.14.0")
	scopeSpans := appendBytes(nil, 1, scope)
	shift := len(scopeSpans)
	scopeSpans = append(scopeSpans, spans...)
	resource := appendBytes(nil, 1, appendBytes(nil, 1, attribute("service.name", "bench")))
	head := protowire.AppendTag(resource, 2, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(scopeSpans)))
	shift += len(head)
	resourceSpans := append(head, scopeSpans...)
	body := protowire.AppendTag(nil, 1, protowire.BytesType)
	body = protowire.AppendVarint(body, uint64(len(resourceSpans)))
	shift += len(body)
	r.body = append(body, resourceSpans...)
	for i := range r.spans {
		r.spans[i].shift(shift)
	}
	return r
}

func (p *patchable) shift(n int) {
	p.trace += n
	p.span += n
	if p.parent >= 0 {
		p.parent += n
	}
	p.start += n
	p.end += n
}

// span is one span of a trace: the root, or a generation below it.
func (r *request) span(t *texts, trace, i int) ([]byte, patchable) {
	at := patchable{parent: -1}
	var b []byte
	b, at.trace = appendSpace(b, 1, 16)
	b, at.span = appendSpace(b, 2, 8)
	if i > 0 {
		b, at.parent = appendSpace(b, 4, 8)
	}
	name := "answer-question"
	if i > 0 {
		name = fmt.Sprintf("step-%d", i)
	}
	b = appendText(b, 5, name)
	b = protowire.AppendVarint(protowire.AppendTag(b, 6, protowire.VarintType), 1)
	b, at.start = appendFixed(b, 7)
	b, at.end = appendFixed(b, 8)
	add := func(key, value string) { b = appendBytes(b, 9, attribute(key, value)) }
	add("langfuse.observation.input", t.input(inputBytes))
	add("langfuse.observation.output", t.prose(outputBytes))
	add("langfuse.environment", "production")
	add("user.id", fmt.Sprintf("user-%d", t.r.IntN(500)))
	add("session.id", fmt.Sprintf("session-%d", trace))
	if i == 0 {
		add("langfuse.observation.type", "span")
		add("langfuse.trace.name", "answer-question")
		add("langfuse.trace.metadata.tenant", fmt.Sprintf("tenant-%d", t.r.IntN(50)))
		return b, at
	}
	add("langfuse.observation.type", "generation")
	add("langfuse.observation.model.name", "gpt-4o")
	add("langfuse.observation.model.parameters", `{"temperature":0.2,"max_tokens":1024}`)
	add("langfuse.observation.usage_details", fmt.Sprintf(`{"input":%d,"output":%d,"total":%d}`, 1000+i, 250, 1250+i))
	add("langfuse.observation.metadata.step", fmt.Sprint(i))
	return b, at
}

// fill gives the request's traces ids that begin with number, and times of now.
// With one trace id for all, every span belongs to that trace.
func (r *request) fill(number uint64, whole []byte) {
	now := uint64(time.Now().UnixNano())
	for i := range r.spans {
		p := &r.spans[i]
		id := r.body[p.trace : p.trace+16]
		binary.BigEndian.PutUint64(id, number)
		binary.BigEndian.PutUint64(id[8:], uint64(i/spansPerTrace)+1)
		if whole != nil {
			copy(id, whole)
		}
		span := number*spansPerRequest + uint64(i) + 1
		binary.BigEndian.PutUint64(r.body[p.span:], span)
		if p.parent >= 0 {
			binary.BigEndian.PutUint64(r.body[p.parent:], span-uint64(i%spansPerTrace))
		}
		start := now - uint64(spansPerRequest-i)*1e6
		binary.LittleEndian.PutUint64(r.body[p.start:], start)
		binary.LittleEndian.PutUint64(r.body[p.end:], start+uint64(700+i)*1e6)
	}
}

// traceID is the id of one of the traces that fill makes.
func traceID(number uint64, trace int) string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], number)
	binary.BigEndian.PutUint64(id[8:], uint64(trace)+1)
	return hex.EncodeToString(id[:])
}

func attribute(key, value string) []byte {
	return appendBytes(appendText(nil, 1, key), 2, appendText(nil, 1, value))
}

func appendText(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

// appendSpace adds n zero bytes and tells where they are.
func appendSpace(b []byte, field protowire.Number, n int) ([]byte, int) {
	b = appendBytes(b, field, make([]byte, n))
	return b, len(b) - n
}

func appendFixed(b []byte, field protowire.Number) ([]byte, int) {
	b = protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), 0)
	return b, len(b) - 8
}
