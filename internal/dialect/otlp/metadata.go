package otlp

import (
	"encoding/json"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/clewhq/clew/internal/domain"
)

// resourceInfo is what the spans of one resource have in common.
type resourceInfo struct {
	environment [len(environmentAttrs)]string
	release     string
	version     string
	member      []byte               // "resourceAttributes":{…}
	trace       []*commonpb.KeyValue // metadata of whole traces
	traceBlob   *commonpb.AnyValue
}

// scopeInfo is what the spans of one scope have in common.
type scopeInfo struct {
	name     string
	sdk      bool   // a Langfuse SDK's own
	spanOnly bool   // of one that types nothing
	member   []byte // "scope":{…}
}

// enter prepares the mapper for the spans of src.
func (m *mapper) enter(src *source) {
	r := &resourceInfo{}
	attrs := src.resource.GetAttributes()
	for _, kv := range attrs {
		switch a := attrByName[kv.GetKey()]; a {
		case aRelease:
			r.release = short(kv.GetValue())
		case aTraceMetadata:
			r.traceBlob = kv.GetValue()
		default:
			for i, e := range environmentAttrs {
				if e == a {
					r.environment[i] = text(kv.GetValue())
				}
			}
			if familyOf(kv.GetKey()) == fTraceMetadata {
				r.trace = append(r.trace, kv)
			}
		}
	}
	r.version = short(find(attrs, "service.version"))
	r.member = append(r.member, `"resourceAttributes":`...)
	r.member = appendObject(r.member, attrs)
	m.resource = r

	s := &scopeInfo{name: src.scope.GetName()}
	s.sdk = strings.HasPrefix(s.name, "langfuse-sdk")
	s.spanOnly = spanOnlySDK(s.name, src.scope.GetVersion())
	s.member = append(s.member, `"scope":{`...)
	if s.name != "" {
		s.member = appendString(appendKey(s.member, "name"), s.name)
	}
	if v := src.scope.GetVersion(); v != "" {
		s.member = appendString(appendKey(s.member, "version"), v)
	}
	s.member = appendObject(appendKey(s.member, "attributes"), src.scope.GetAttributes())
	s.member = append(s.member, '}')
	m.scope = s
}

// pair is a member of a metadata object: a value, or JSON that came as text.
type pair struct {
	key string
	v   *commonpb.AnyValue
	raw []byte
}

// metadata is what a span says of itself, then where it came from. Keys of the
// user's stand before ours of the same name.
func (m *mapper) metadata() domain.Body {
	m.pairs = m.pairs[:0]
	m.addBlob(m.val[aAnyMetadata])
	m.addBlob(m.val[aObsMetadata])
	m.addFamily(fAnyMetadata)
	m.addFamily(fVercelMetadata)
	m.addFamily(fObsMetadata)
	b, taken := m.appendPairs(append(m.arena.begin(), '{'))
	if !m.scope.sdk && !taken.attributes {
		b = m.appendLeftovers(b)
	}
	if !taken.resource {
		b = appendMember(b, m.resource.member)
	}
	if !taken.scope {
		b = appendMember(b, m.scope.member)
	}
	return domain.Body{Kind: domain.JSON, Data: m.arena.end(append(b, '}'))}
}

// traceMetadata is what a span says of its trace; a root also passes on what
// its resource says.
func (m *mapper) traceMetadata(root bool) domain.Body {
	m.pairs = m.pairs[:0]
	if root {
		m.addBlob(m.resource.traceBlob)
		for _, kv := range m.resource.trace {
			m.addPair(kv.GetKey()[len(familyTable[fTraceMetadata].prefix):], kv.GetValue())
		}
	}
	m.addBlob(m.val[aAnyMetadata])
	m.addBlob(m.val[aTraceMetadata])
	m.addFamily(fAnyMetadata)
	m.addFamily(fTraceMetadata)
	if len(m.pairs) == 0 {
		return domain.Body{}
	}
	b, _ := m.appendPairs(append(m.arena.begin(), '{'))
	return domain.Body{Kind: domain.JSON, Data: m.arena.end(append(b, '}'))}
}

// addBlob adds metadata that came whole. What is no object is kept under the
// key "metadata", as Langfuse does with batches.
func (m *mapper) addBlob(v *commonpb.AnyValue) {
	if !isSet(v) {
		return
	}
	switch x := v.Value.(type) {
	case *commonpb.AnyValue_KvlistValue:
		for _, kv := range x.KvlistValue.GetValues() {
			m.addPair(kv.GetKey(), kv.GetValue())
		}
		return
	case *commonpb.AnyValue_StringValue:
		if x.StringValue == "" {
			return
		}
		if c, ok := validCursor(bytesOf(x.StringValue)); ok && c.kind() == '{' {
			for key := range c.members() {
				m.pairs = append(m.pairs, pair{key: validUTF8(string(key)), raw: c.raw()})
			}
			return
		}
	}
	m.addPair("metadata", v)
}

// addFamily adds metadata that came with one attribute for each key.
func (m *mapper) addFamily(f family) {
	prefix := len(familyTable[f].prefix)
	for _, kv := range m.families[f] {
		if f == fVercelMetadata {
			switch attrByName[kv.Key] {
			case aVercelUser, aVercelSession, aVercelTags, aVercelPromptLink:
				continue // these are fields
			}
		}
		m.addPair(kv.Key[prefix:], kv.Value)
	}
}

func (m *mapper) addPair(key string, v *commonpb.AnyValue) {
	if !isSet(v) {
		return
	}
	if s, isText := v.Value.(*commonpb.AnyValue_StringValue); isText {
		if raw, ok := m.decoded(s.StringValue); ok {
			m.pairs = append(m.pairs, pair{key: key, raw: raw})
			return
		}
	}
	m.pairs = append(m.pairs, pair{key: key, v: v})
}

// decoded is the JSON that a metadata value's text stands for. Python SDKs from
// 5 on write every value as JSON; older SDKs and those for JS write strings as
// they are and everything else as JSON, integers of more than 53 bits being
// text already; nobody else writes JSON that is meant to be read.
func (m *mapper) decoded(s string) ([]byte, bool) {
	switch {
	case m.sender.JSONMetadata:
		if s == "" || s[0] != '"' && !looksLike(s) {
			return nil, false
		}
	case !m.scope.sdk || !looksLike(s) || inexact(s):
		return nil, false
	}
	raw := bytesOf(s)
	return raw, json.Valid(raw)
}

// taken is which of our own keys the user's metadata holds.
type taken struct{ resource, scope, attributes bool }

// appendPairs appends the members gathered; of a key that comes twice the last
// stands, in the place of the first.
func (m *mapper) appendPairs(b []byte) ([]byte, taken) {
	var t taken
	m.dedupe()
	for i := range m.pairs {
		p := &m.pairs[i]
		switch p.key {
		case "resourceAttributes":
			t.resource = true
		case "scope":
			t.scope = true
		case "attributes":
			t.attributes = true
		}
		b = appendKey(b, p.key)
		if p.raw != nil {
			b = append(b, p.raw...)
		} else {
			b = appendJSON(b, p.v)
		}
	}
	return b, t
}

func (m *mapper) dedupe() {
	ps := m.pairs
	if len(ps) > 24 {
		m.dedupeMany()
		return
	}
	n := 0
next:
	for i := range ps {
		for j := range n {
			if ps[j].key == ps[i].key {
				ps[j] = ps[i]
				continue next
			}
		}
		ps[n] = ps[i]
		n++
	}
	m.pairs = ps[:n]
}

func (m *mapper) dedupeMany() {
	at := make(map[string]int, len(m.pairs))
	n := 0
	for _, p := range m.pairs {
		if j, found := at[p.key]; found {
			m.pairs[j] = p
			continue
		}
		at[p.key] = n
		m.pairs[n] = p
		n++
	}
	m.pairs = m.pairs[:n]
}

// appendLeftovers appends, as text each, the attributes that are not kept as
// content; only where there are any.
func (m *mapper) appendLeftovers(b []byte) []byte {
	kvs := m.leftovers()
	if len(kvs) == 0 {
		return b
	}
	b = append(appendKey(b, "attributes"), '{')
	over := shadowed(kvs)
	for i, kv := range kvs {
		if over.has(i) || !isSet(kv.Value) {
			continue
		}
		b = appendKey(b, kv.Key)
		if s, isText := kv.Value.Value.(*commonpb.AnyValue_StringValue); isText {
			b = appendString(b, s.StringValue)
		} else {
			b = appendString(b, text(kv.Value))
		}
	}
	return append(b, '}')
}

// leftovers is the span's attributes without those that became content.
func (m *mapper) leftovers() []*commonpb.KeyValue {
	n := 0
	for _, kv := range m.rest {
		if a := attrByName[kv.Key]; a != noAttr && m.used[a] {
			continue
		}
		m.rest[n] = kv
		n++
	}
	m.rest = m.rest[:n]
	return m.rest
}

func appendMember(b, member []byte) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(b, member...)
}

// blobOrFamily is metadata of an experiment, as text: whole as it came, or an
// object of its flattened keys.
func (m *mapper) blobOrFamily(a attr, f family) string {
	if v := m.val[a]; isSet(v) {
		return text(v)
	}
	m.pairs = m.pairs[:0]
	m.addFamily(f)
	if len(m.pairs) == 0 {
		return ""
	}
	b, _ := m.appendPairs([]byte{'{'})
	return string(append(b, '}'))
}
