package otlp

import (
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/clewhq/clew/internal/domain"
)

// contentRule names the attributes of one convention's input and output; of
// each list the first that is not empty counts.
type contentRule struct {
	scope string // only for spans of this scope, "" for all
	in    []attr
	out   []attr
	owns  bool // the pair belongs together: a missing side stays empty
}

// earlyContentRules stand before what the events of a span say, lateContentRules
// behind it. The order is Langfuse's.
var (
	earlyContentRules = []contentRule{
		{in: []attr{aInput}, out: []attr{aOutput}, owns: true},
		{scope: "genkit-tracer", in: []attr{aGenkitInput}, out: []attr{aGenkitOutput}, owns: true},
		{in: []attr{aVercelPromptMessages, aVercelPrompt, aVercelToolArgs},
			out: []attr{aVercelText, aVercelOldText, aVercelToolResult, aVercelObject, aVercelOldObject, aVercelToolCalls, aVercelOldToolCalls}},
		{in: []attr{aFlueTurnIn, aFlueToolIn, aFlueTaskIn, aFlueWorkflowIn},
			out: []attr{aFlueTurnOut, aFlueToolOut, aFlueTaskOut, aFlueOperationOut, aFlueWorkflowOut}},
	}
	lateContentRules = []contentRule{
		{in: []attr{aADKRequest, aADKToolArgs}, out: []attr{aADKResponse, aADKToolResponse}},
		{in: []attr{aLogfirePrompt}, out: []attr{aLogfireMessages}},
		{in: []attr{aLiveKitText, aLiveKitTranscript, aLiveKitContext}, out: []attr{aLiveKitToolOutput, aLiveKitResponse}},
		{in: []attr{aMLflowInputs}, out: []attr{aMLflowOutputs}},
		{in: []attr{aTraceloopInput}, out: []attr{aTraceloopOutput}},
		{in: []attr{aOIInput}, out: []attr{aOIOutput}},
		{in: []attr{aPlainInput}, out: []attr{aPlainOutput}},
		{in: []attr{aPydanticMessages}, out: []attr{aPydanticResult}},
		{in: []attr{aPydanticToolArguments}, out: []attr{aPydanticToolResponse}},
		{in: []attr{aPrompt}, out: []attr{aCompletion}},
	}
)

// inputOutput is what a span took and gave. The first convention that says
// either decides; the other side is filled from later ones.
func (m *mapper) inputOutput() (in, out domain.Body) {
	for i := range earlyContentRules {
		r := &earlyContentRules[i]
		if m.apply(r, &in, &out) && r.owns {
			return in, out
		}
	}
	if in.IsSet() && out.IsSet() {
		return in, out
	}
	if len(m.span.GetEvents()) > 0 {
		m.contentEvents(&in, &out)
	}
	for i := range lateContentRules {
		if in.IsSet() && out.IsSet() {
			return in, out
		}
		m.apply(&lateContentRules[i], &in, &out)
	}
	m.flattened(&in, fPrompt, fInputMessages)
	m.flattened(&out, fCompletion, fOutputMessages)
	m.genAI(&in, &out, func(a attr) *commonpb.AnyValue { return m.val[a] })
	return in, out
}

// apply fills the sides that are still empty and reports whether it filled any.
func (m *mapper) apply(r *contentRule, in, out *domain.Body) bool {
	if r.scope != "" && r.scope != m.scope.name {
		return false
	}
	filled := m.fill(in, r.in)
	return m.fill(out, r.out) || filled
}

func (m *mapper) fill(side *domain.Body, from []attr) bool {
	if side.IsSet() {
		return false
	}
	for _, a := range from {
		v := m.val[a]
		if !isSet(v) || isBlank(v) {
			continue
		}
		*side = m.body(v)
		m.used[a] = true
		return true
	}
	return false
}

// isBlank reports whether v is a placeholder for nothing, which some tracers
// send in the place of what they don't have.
func isBlank(v *commonpb.AnyValue) bool {
	s, isText := v.Value.(*commonpb.AnyValue_StringValue)
	return isText && (s.StringValue == "" || s.StringValue == "{}")
}

// genAI reads the attributes of the current GenAI conventions, of the span or
// of an event.
func (m *mapper) genAI(in, out *domain.Body, val func(attr) *commonpb.AnyValue) {
	messages, gave := val(aInputMessages), val(aOutputMessages)
	if !isSet(messages) && !isSet(gave) && !isSet(val(aSystemInstructions)) {
		messages, gave = val(aToolArguments), val(aToolResult)
	}
	if !in.IsSet() {
		*in = m.withInstructions(messages, val(aSystemInstructions))
	}
	if !out.IsSet() && isSet(gave) {
		*out = m.body(gave)
	}
}

// withInstructions puts the system instructions in front of the messages, where
// there are some and no message is the system's already.
func (m *mapper) withInstructions(messages, instructions *commonpb.AnyValue) domain.Body {
	if !isSet(instructions) {
		return m.body(messages)
	}
	said := appendJSONText(nil, instructions)
	b := append(m.arena.begin(), `[{"role":"system",`...)
	if said[0] == '[' {
		b = append(b, `"parts":`...)
	} else {
		b = append(b, `"content":`...)
	}
	b = append(append(b, said...), '}')
	if isSet(messages) {
		raw := appendJSONText(nil, messages)
		c, ok := validCursor(raw)
		if !ok || c.kind() != '[' || hasSystem(raw) {
			return m.body(messages)
		}
		for range c.elements() {
			b = append(append(b, ','), c.raw()...)
		}
	}
	return domain.Body{Kind: domain.JSON, Data: m.arena.end(append(b, ']'))}
}

// hasSystem reports whether one of the messages in a JSON list is the system's.
func hasSystem(list []byte) bool {
	c := cursor{b: list}
	for range c.elements() {
		if role, found := memberOf(c.raw(), "role"); found && string(role) == `"system"` {
			return true
		}
	}
	return false
}

// appendJSONText appends v as JSON; text that is JSON stands for what it says.
func appendJSONText(dst []byte, v *commonpb.AnyValue) []byte {
	if s, isText := v.Value.(*commonpb.AnyValue_StringValue); isText {
		if _, ok := validCursor(bytesOf(s.StringValue)); ok && looksLike(s.StringValue) {
			return append(dst, s.StringValue...)
		}
	}
	return appendJSON(dst, v)
}

// contentEvents reads what older conventions put into events.
func (m *mapper) contentEvents(in, out *domain.Body) {
	events := m.span.GetEvents()
	m.events = append(m.events[:0], make([]bool, len(events))...)
	var asked, gave []byte
	choices := 0
	for i, e := range events {
		name := e.GetName()
		switch {
		case name == "gen_ai.client.inference.operation.details":
			m.genAI(in, out, func(a attr) *commonpb.AnyValue { return find(e.GetAttributes(), attrTable[a].name) })
		case name == "gen_ai.choice":
			gave = appendMessage(gave, e, "")
			choices++
		case strings.HasPrefix(name, "gen_ai.") && strings.HasSuffix(name, ".message"):
			asked = appendMessage(asked, e, strings.TrimSuffix(strings.TrimPrefix(name, "gen_ai."), ".message"))
		case name == "gen_ai.content.prompt":
			m.contentEvent(in, e, attrTable[aPrompt].name)
		case name == "gen_ai.content.completion":
			m.contentEvent(out, e, attrTable[aCompletion].name)
		default:
			continue
		}
		m.events[i] = true
	}
	if len(asked) > 0 && !in.IsSet() {
		*in = domain.JSONBody(append(append([]byte{'['}, asked...), ']'))
	}
	if len(gave) > 0 && !out.IsSet() {
		if choices > 1 {
			gave = append(append([]byte{'['}, gave...), ']')
		}
		*out = domain.JSONBody(gave)
	}
}

// contentEvent takes the attribute that an event is named after, else all of
// the event's attributes.
func (m *mapper) contentEvent(side *domain.Body, e *tracepb.Span_Event, key string) {
	if side.IsSet() {
		return
	}
	if v := find(e.GetAttributes(), key); isSet(v) {
		*side = m.body(v)
		return
	}
	*side = domain.JSONBody(appendObject(nil, e.GetAttributes()))
}

// appendMessage appends an event as a message: its role, then its attributes.
func appendMessage(list []byte, e *tracepb.Span_Event, role string) []byte {
	if len(list) > 0 {
		list = append(list, ',')
	}
	list = append(list, '{')
	if role != "" && find(e.GetAttributes(), "role") == nil {
		list = appendString(appendKey(list, "role"), role)
	}
	over := shadowed(e.GetAttributes())
	for i, kv := range e.GetAttributes() {
		if !over.has(i) {
			list = appendJSONText(appendKey(list, kv.GetKey()), nonNil(kv.GetValue()))
		}
	}
	return append(list, '}')
}

func nonNil(v *commonpb.AnyValue) *commonpb.AnyValue {
	if v == nil {
		return &commonpb.AnyValue{}
	}
	return v
}

// flattened fills a side from the first family that has attributes.
func (m *mapper) flattened(side *domain.Body, families ...family) {
	for _, f := range families {
		if side.IsSet() || len(m.families[f]) == 0 {
			continue
		}
		t := tree{slots: maxSlots}
		for _, kv := range m.families[f] {
			if isSet(kv.Value) && !t.put(kv.Key[len(familyTable[f].prefix):], kv.Value) {
				m.dropped++
			}
		}
		if len(t.root.kids) > 0 {
			*side = domain.Body{Kind: domain.JSON, Data: m.arena.end(t.root.appendJSON(m.arena.begin()))}
		}
	}
}

const (
	// maxSlots bounds the elements of all lists that one span's flattened
	// attributes make: an index can name any number. As in Langfuse.
	maxSlots = 10_001
	// maxSegments bounds how deep a flattened name may go.
	maxSegments = 32
)

// tree puts flattened attributes, as a.0.b, together again.
type tree struct {
	root  node
	slots int // elements of lists that may still be made
}

// node is a value, or what lies below it by name. Names that are all numbers
// make a list.
type node struct {
	v    *commonpb.AnyValue
	kids []kid
	size int // of the list, if it is one
}

type kid struct {
	name string
	n    *node
}

// put adds a value under a dotted name. It reports false for a name that can't
// be placed.
func (t *tree) put(name string, v *commonpb.AnyValue) bool {
	segments := strings.Split(name, ".")
	if len(segments) > maxSegments {
		return false
	}
	for _, s := range segments {
		switch s {
		case "__proto__", "constructor", "prototype":
			return false
		}
	}
	at := &t.root
	for _, s := range segments {
		next := at.child(s)
		if next == nil {
			if i, isIndex := index(s); isIndex && i >= at.size {
				if t.slots -= i + 1 - at.size; t.slots < 0 {
					t.slots += i + 1 - at.size
					return false
				}
				at.size = i + 1
			}
			next = &node{}
			at.kids = append(at.kids, kid{s, next})
		}
		at = next
	}
	at.v = v
	return true
}

func (n *node) child(name string) *node {
	for i := range n.kids {
		if n.kids[i].name == name {
			return n.kids[i].n
		}
	}
	return nil
}

// index reads a segment that is a plain number.
func index(s string) (int, bool) {
	if s == "" || len(s) > 5 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func (n *node) appendJSON(b []byte) []byte {
	if len(n.kids) == 0 {
		return appendJSON(b, n.v)
	}
	if list := n.list(); list != nil {
		b = append(b, '[')
		for i, e := range list {
			if i > 0 {
				b = append(b, ',')
			}
			if e == nil {
				b = append(b, "null"...)
			} else {
				b = e.appendJSON(b)
			}
		}
		return append(b, ']')
	}
	b = append(b, '{')
	for i, k := range n.kids {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k.name), ':')
		b = k.n.appendJSON(b)
	}
	return append(b, '}')
}

// list is n's elements in order, nil where n is no list.
func (n *node) list() []*node {
	list := make([]*node, n.size)
	for _, k := range n.kids {
		i, isIndex := index(k.name)
		if !isIndex {
			return nil
		}
		list[i] = k.n
	}
	return list
}
