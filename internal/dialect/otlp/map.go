package otlp

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/clewhq/clew/internal/domain"
)

// Source is what observations say of the dialect they came in.
const Source = "otlp"

// Sender is what a request's headers say about who encoded its spans.
type Sender struct {
	// JSONMetadata says that every metadata value is JSON text, strings
	// included, as Python SDK 5 and later write it, on the spans of other
	// tracers that they export too.
	JSONMetadata bool
}

// mapper turns the spans of one request into patches. It is used once; what a
// resource or scope says is worked out once, and of a span only what differs.
type mapper struct {
	sender Sender
	now    domain.Time
	arena  arena

	resource *resourceInfo
	scope    *scopeInfo
	lastEnv  [2]string // an environment as sent, and what it became
	lastID   [2]string // a trace id's bytes, and its text

	// Of the span at hand.
	span     *tracepb.Span
	val      [attrCount]*commonpb.AnyValue
	seen     []attr // which of val are set
	families [familyCount][]*commonpb.KeyValue
	rest     []*commonpb.KeyValue // candidates for the leftovers
	used     [attrCount]bool      // loose attributes that became content
	events   []bool               // events that became content
	dropped  int                  // flattened attributes that fit nowhere
	pairs    []pair               // scratch of the metadata
}

// observations maps every span that can be one, and says why others can't.
func (m *mapper) observations(x *export) ([]domain.ObservationPatch, rejects) {
	out := make([]domain.ObservationPatch, 0, x.spans)
	rejected := x.rejects
	n := 0
	for i := range x.sources {
		src := &x.sources[i]
		m.enter(src)
		for j, span := range src.spans {
			var ids spanIDs
			if src.ids != nil {
				ids = src.ids[j]
			} else {
				ids = m.byteIDs(span)
			}
			if why := ids.check(); why != "" {
				rejected.add(1, "span %d %s", n, why)
			} else {
				out = append(out, domain.ObservationPatch{})
				m.observation(&out[len(out)-1], span, ids)
			}
			n++
		}
	}
	return out, rejected
}

// byteIDs is the ids of a span as hexadecimal text.
func (m *mapper) byteIDs(s *tracepb.Span) spanIDs {
	var ids spanIDs
	if string(s.GetTraceId()) != m.lastID[0] {
		m.lastID = [2]string{string(s.GetTraceId()), hex.EncodeToString(s.GetTraceId())}
	}
	ids.trace = m.lastID[1]
	var buf [64]byte
	b := hex.AppendEncode(buf[:0], s.GetSpanId())
	n := len(b)
	b = hex.AppendEncode(b, s.GetParentSpanId())
	both := string(b)
	ids.span, ids.parent = both[:n], both[n:]
	return ids
}

// maxID is the most characters an id may have.
const maxID = 800

// check says what is wrong with the ids of a span, "" if nothing.
func (ids *spanIDs) check() string {
	switch {
	case isZeros(ids.trace) && isZeros(ids.span):
		return "has neither a trace id nor a span id; is this another signal than traces?"
	case isZeros(ids.trace):
		return "has no trace id"
	case isZeros(ids.span):
		return "has no span id"
	}
	for _, id := range [...]string{ids.trace, ids.span, ids.parent} {
		if len(id) > maxID && utf8.RuneCountInString(id) > maxID {
			return "has an id of more than 800 characters"
		}
		if strings.ContainsAny(id, "\r") {
			return "has an id with a carriage return"
		}
	}
	return ""
}

// isZeros reports whether an id is none: empty, or OpenTelemetry's invalid id,
// which is all zeros.
func isZeros(id string) bool {
	if id == "" {
		return true
	}
	if len(id) != 16 && len(id) != 32 {
		return false
	}
	return strings.Trim(id, "0") == ""
}

// read takes the attributes of a span apart. Of a key that comes twice the
// last value stands.
func (m *mapper) read(s *tracepb.Span) {
	for _, a := range m.seen {
		m.val[a] = nil
		m.used[a] = false
	}
	m.span, m.seen, m.rest, m.events, m.dropped = s, m.seen[:0], m.rest[:0], m.events[:0], 0
	for f := range m.families {
		m.families[f] = m.families[f][:0]
	}
	for _, kv := range s.GetAttributes() {
		if kv == nil {
			continue
		}
		a := attrByName[kv.Key]
		var f family
		fate := uint8(kept)
		if a != noAttr {
			if m.val[a] == nil {
				m.seen = append(m.seen, a)
			}
			m.val[a] = kv.Value
			if !isSet(kv.Value) {
				m.val[a] = &commonpb.AnyValue{}
			}
			f, fate = attrTable[a].family, attrTable[a].fate
		}
		if f == noFamily {
			if f = familyOf(kv.Key); f != noFamily && a == noAttr {
				fate = familyTable[f].fate
			}
		}
		if f != noFamily {
			m.families[f] = append(m.families[f], kv)
		}
		if fate != content && (fate != langfuse || !m.scope.sdk) {
			m.rest = append(m.rest, kv)
		}
	}
}

// any reports whether one of the attributes is there and not empty.
func (m *mapper) any(as []attr) bool {
	for _, a := range as {
		if v := m.val[a]; isSet(v) {
			if s, isText := v.Value.(*commonpb.AnyValue_StringValue); !isText || s.StringValue != "" {
				return true
			}
		}
	}
	return false
}

// first is the first of the attributes that is not empty, as a column's text.
func (m *mapper) first(as []attr) string {
	for _, a := range as {
		if v := m.val[a]; v != nil {
			if s := short(v); s != "" {
				return s
			}
		}
	}
	return ""
}

// What each field is taken from, the first that is not empty.
var (
	nameAttrs    = []attr{aToolName, aGenkitName, aLogfireMessage, aVercelToolName}
	userAttrs    = []attr{aLangfuseUser, aUser, aObsMetaUser, aTraceMetaUser, aVercelUser, aTraceloopUser}
	sessionAttrs = []attr{aLangfuseSession, aSession, aConversation, aObsMetaSession, aTraceMetaSession,
		aVercelSession, aTraceloopSession, aADKSession}
	tagAttrs         = []attr{aTraceTags, aTags, aObsMetaTags, aTraceMetaTags, aVercelTags, aOITags}
	environmentAttrs = [...]attr{aEnvironment, aDeploymentEnvName, aDeploymentEnv}
)

// observation fills p with what a span says.
func (m *mapper) observation(p *domain.ObservationPatch, s *tracepb.Span, ids spanIDs) {
	m.read(s)
	o := &p.Value
	o.TraceID, o.ID = ids.trace, ids.span
	if !isZeros(ids.parent) && ids.parent != ids.span {
		o.ParentID = ids.parent
	}
	p.Stamp = domain.Stamp{Time: nanos(s.GetEndTimeUnixNano()), Op: domain.Replace}
	p.Said, p.Parts = domain.AllObservationFields, domain.AllParts
	o.Source = Source
	m.times(o)
	o.Type = m.kind()
	o.Name = m.name()
	o.Level = m.level()
	o.StatusMessage = m.statusMessage()
	o.Environment = m.environment()
	if o.Version = short(m.val[aVersion]); o.Version == "" {
		o.Version = m.resource.version
	}
	if o.Release = short(m.val[aRelease]); o.Release == "" {
		o.Release = m.resource.release
	}
	o.TraceName = short(m.val[aTraceName])
	if o.UserID = m.first(userAttrs); o.UserID == "" {
		o.UserID = withoutNUL(unquoted(text(m.val[aMLflowUser])))
	}
	if o.SessionID = m.first(sessionAttrs); o.SessionID == "" {
		o.SessionID = withoutNUL(unquoted(text(m.val[aMLflowSession])))
	}
	o.Tags = m.tags()
	for _, a := range [...]attr{aTracePublic, aPublic} {
		if yes, ok := truth(m.val[a]); ok {
			o.Public = domain.Some(yes)
			break
		}
	}
	appRoot, _ := truth(m.val[aAppRoot])
	asRoot, _ := truth(m.val[aAsRoot])
	o.AppRoot = appRoot || asRoot
	m.generation(o)
	m.experiment(&o.Experiment)
	m.contents(p)
}

// contents fills the bodies of p.
func (m *mapper) contents(p *domain.ObservationPatch) {
	c := &p.Content
	c[domain.Input], c[domain.Output] = m.inputOutput()
	c[domain.TraceInput] = m.body(m.val[aTraceInput])
	c[domain.TraceOutput] = m.body(m.val[aTraceOutput])
	c[domain.Metadata] = m.metadata()
	c[domain.TraceMetadata] = m.traceMetadata(p.Value.ParentID == "")
	c[domain.Extra] = m.extra()
}

// nanos is a time on the wire; what is past the year 2262 is none.
func nanos(t uint64) int64 {
	if t > math.MaxInt64 {
		return 0
	}
	return int64(t)
}

// times fills the times of o. An end that is missing stays so: the span is
// still running.
func (m *mapper) times(o *domain.Observation) {
	start, end := nanos(m.span.GetStartTimeUnixNano()), nanos(m.span.GetEndTimeUnixNano())
	switch {
	case start != 0:
		o.Start = domain.At(start)
	case end != 0:
		o.Start = domain.At(end)
	default:
		o.Start = m.now
	}
	if end != 0 {
		o.End = domain.At(max(end, o.Start.Nanos()))
	}
	o.CompletionStart = m.completionStart(o.Start)
}

// completionStart is when the first token came.
func (m *mapper) completionStart(start domain.Time) domain.Time {
	if v := m.val[aCompletionStart]; v != nil {
		if t, ok := parseTime(text(v)); ok {
			return t
		}
	}
	for _, a := range [...]attr{aVercelFirstChunk, aVercelFirstChunkStream} {
		if ms, ok := number(m.val[a]); ok {
			return later(start, math.Ceil(ms)*1e6)
		}
	}
	if s, ok := number(m.val[aTimeToFirstChunk]); ok {
		return later(start, s*1e9)
	}
	for _, e := range m.span.GetEvents() {
		switch e.GetName() {
		case "llm.content.completion.chunk", "gen_ai.content.completion.chunk":
			if t := nanos(e.GetTimeUnixNano()); t != 0 {
				return domain.At(t)
			}
		}
	}
	return domain.Time{}
}

// later is t and ns nanoseconds, where those are plausible.
func later(t domain.Time, ns float64) domain.Time {
	if ns < 0 || ns > 1e18 {
		return domain.Time{}
	}
	return domain.At(t.Nanos() + int64(ns))
}

// timeLayouts are the forms in which SDKs write a time; one without a zone is
// in UTC.
var timeLayouts = [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02"}

// parseTime reads a time; JS SDKs put it in JSON quotes, once or twice.
func parseTime(s string) (domain.Time, bool) {
	s = strings.TrimSpace(unquoted(unquoted(s)))
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			if t.Year() < 1678 || t.Year() > 2261 {
				return domain.Time{}, false
			}
			return domain.TimeOf(t), true
		}
	}
	return domain.Time{}, false
}

// unquoted is the content of s where s is one JSON string, else s.
func unquoted(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	c, ok := validCursor(bytesOf(s))
	if !ok {
		return s
	}
	return c.str()
}

func (m *mapper) name() string {
	if s := m.first(nameAttrs); s != "" {
		return s
	}
	if op := short(m.val[aVercelOperationID]); op != "" {
		if f := short(m.val[aVercelFunction]); f != "" {
			return f + ":" + op
		}
		return op
	}
	return withoutNUL(m.span.GetName())
}

// statusMessage falls back to what an exception event says of an error.
func (m *mapper) statusMessage() string {
	if s := short(m.val[aStatusMessage]); s != "" {
		return s
	}
	st := m.span.GetStatus()
	if st.GetMessage() != "" || st.GetCode() != tracepb.Status_STATUS_CODE_ERROR {
		return withoutNUL(st.GetMessage())
	}
	for _, e := range m.span.GetEvents() {
		if e.GetName() != "exception" {
			continue
		}
		for _, key := range [...]string{"exception.message", "exception.type"} {
			if s := short(find(e.GetAttributes(), key)); s != "" {
				return s
			}
		}
	}
	return ""
}

// find is the value under key, the last one where there are more.
func find(kvs []*commonpb.KeyValue, key string) *commonpb.AnyValue {
	for _, kv := range slices.Backward(kvs) {
		if kv.GetKey() == key {
			return kv.GetValue()
		}
	}
	return nil
}

func (m *mapper) environment() string {
	name := ""
	for i, a := range environmentAttrs {
		if name = text(m.val[a]); name != "" {
			break
		}
		if name = m.resource.environment[i]; name != "" {
			break
		}
	}
	if name == "" {
		return domain.DefaultEnvironment
	}
	if m.lastEnv[0] != name {
		m.lastEnv = [2]string{name, domain.Environment(name)}
	}
	return m.lastEnv[1]
}

// tags are sorted and unique. They come as a list, as a list in JSON text, as
// text with commas, or as one tag.
func (m *mapper) tags() []string {
	for _, a := range tagAttrs {
		if !isSet(m.val[a]) {
			continue
		}
		if tags := parseTags(m.val[a]); len(tags) > 0 {
			slices.Sort(tags)
			return slices.Compact(tags)
		}
	}
	return nil
}

func parseTags(v *commonpb.AnyValue) []string {
	var out []string
	add := func(s string) {
		if s = strings.TrimSpace(withoutNUL(s)); s != "" {
			out = append(out, s)
		}
	}
	if list, isList := v.Value.(*commonpb.AnyValue_ArrayValue); isList {
		for _, e := range list.ArrayValue.GetValues() {
			add(text(e))
		}
		return out
	}
	s := unquoted(text(v))
	if c, ok := validCursor(bytesOf(s)); ok && c.kind() == '[' {
		for range c.elements() {
			add(c.str())
		}
		return out
	}
	for part := range strings.SplitSeq(s, ",") {
		add(part)
	}
	return out
}

// experiment is the experiment item that a span belongs to.
func (m *mapper) experiment(x *domain.Experiment) {
	if m.val[aExperimentID] == nil && m.val[aItemID] == nil && m.val[aExperimentName] == nil {
		return
	}
	x.ID = short(m.val[aExperimentID])
	x.Name = short(m.val[aExperimentName])
	x.Description = short(m.val[aExperimentDescription])
	x.Metadata = m.blobOrFamily(aExperimentMetadata, fExperimentMetadata)
	x.DatasetID = short(m.val[aExperimentDataset])
	x.ItemID = short(m.val[aItemID])
	if v := short(m.val[aItemVersion]); v != "" {
		if _, ok := parseTime(v); ok { // Langfuse drops a version that is no time
			x.ItemVersion = unquoted(v)
		}
	}
	x.ItemMetadata = m.blobOrFamily(aItemMetadata, fItemMetadata)
	x.ItemExpectedOutput = text(m.val[aItemExpected])
	x.RootObservationID = short(m.val[aItemRoot])
}
