package domain

import (
	"bytes"
	"encoding/json"
	"slices"
)

// TraceContent finds a trace's input, output and metadata: its own content
// first, then what its spans say about it, then those of its root. Its memory
// is that of the bodies which may still decide, not of all it has seen.
type TraceContent struct {
	own        Content
	spans      [2]Body // newest trace input and output of a span
	root       Content
	rootMeta   Body
	metadata   merger // trace metadata of the spans, oldest to newest
	lastMerged []byte
}

// NewTraceContent starts from what the trace's own patches said.
func NewTraceContent(own Content) *TraceContent { return &TraceContent{own: own} }

// Add counts in the content of o; root says whether it is the one that stands
// for the trace. Observations come in the order of (start, id). Nothing of c is
// kept, only copies.
func (t *TraceContent) Add(o *Observation, c *Content, root bool) {
	for i, part := range [...]Part{TraceInput, TraceOutput} {
		target := [...]Part{Input, Output}[i]
		if says(t.own[target]) {
			continue
		}
		if b := c[part]; b.IsSet() && (says(b) || !says(t.spans[i])) {
			copyBody(&t.spans[i], b)
		}
		if root {
			copyBody(&t.root[target], c[target])
		}
	}
	// In batches a trace has metadata of its own, and a root's is the root's alone.
	if root && o.Source != SourceBatch {
		copyBody(&t.rootMeta, c[Metadata])
	}
	if m := c[TraceMetadata]; m.IsSet() && !bytes.Equal(m.Data, t.lastMerged) {
		t.metadata.merge(m.Data, 0) // merging the same object twice running changes nothing
		t.lastMerged = append(t.lastMerged[:0], m.Data...)
	}
}

// Fold is the trace's content as reads see it: Input, Output and Metadata.
func (t *TraceContent) Fold() Content {
	var c Content
	c[Input] = firstBody(t.own[Input], t.spans[0], t.root[Input])
	c[Output] = firstBody(t.own[Output], t.spans[1], t.root[Output])
	c[Metadata] = MergeJSON(MergeJSON(t.rootMeta, t.metadata.body()), t.own[Metadata])
	return c
}

// says reports whether a body says anything: an empty text, which SDKs send
// for "nothing yet", does not keep a weaker source from speaking.
func says(b Body) bool { return b.IsSet() && len(b.Data) > 0 && string(b.Data) != `""` }

// firstBody is the first body that says something, else the first that is set.
func firstBody(bs ...Body) Body {
	if i := slices.IndexFunc(bs, says); i >= 0 {
		return bs[i]
	}
	if i := slices.IndexFunc(bs, Body.IsSet); i >= 0 {
		return bs[i]
	}
	return Body{}
}

func copyBody(dst *Body, src Body) {
	dst.Kind, dst.Data = src.Kind, append(dst.Data[:0], src.Data...)
}

// merger merges any number of JSON values as MergeJSON does two, in time that
// does not grow with what was merged before.
type merger struct {
	raw  []byte // the value as it came, nil once it was taken apart
	list []*branch
	at   map[string]*branch
}

type branch struct {
	key   json.RawMessage
	value merger
}

// merge merges raw in as the later value; it keeps a copy.
func (m *merger) merge(raw []byte, depth int) {
	if m.empty() || depth > maxMergeDepth || !isObject(raw) || !m.open() {
		*m = merger{raw: bytes.Clone(raw)}
		return
	}
	ms, ok := members(raw)
	if !ok {
		*m = merger{raw: bytes.Clone(raw)}
		return
	}
	for _, x := range ms {
		m.child(x.key).merge(x.raw, depth+1)
	}
}

func (m *merger) empty() bool { return m.raw == nil && m.at == nil }

// open takes the raw object apart; false where it is no object.
func (m *merger) open() bool {
	if m.at != nil {
		return true
	}
	ms, ok := members(m.raw)
	if !ok {
		return false
	}
	m.raw, m.at = nil, make(map[string]*branch, len(ms))
	for _, x := range ms {
		m.child(x.key).raw = x.raw
	}
	return true
}

func (m *merger) child(key string) *merger {
	b := m.at[key]
	if b == nil {
		quoted, _ := json.Marshal(key) // a string always marshals
		b = &branch{key: quoted}
		m.at[key] = b
		m.list = append(m.list, b)
	}
	return &b.value
}

// body is the merged value.
func (m *merger) body() Body {
	if m.empty() {
		return Body{}
	}
	return Body{Kind: JSON, Data: m.append(nil)}
}

func (m *merger) append(dst []byte) []byte {
	if m.at == nil {
		return append(dst, m.raw...)
	}
	dst = append(dst, '{')
	for i, b := range m.list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, b.key...), ':')
		dst = b.value.append(dst)
	}
	return append(dst, '}')
}
