package otlp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/clewhq/clew/internal/domain"
)

var arrived = domain.TimeOf(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))

// attrs is a list of text attributes in OTLP's JSON.
func attrs(kv ...string) string {
	var list []string
	for i := 0; i < len(kv); i += 2 {
		list = append(list, fmt.Sprintf(`{"key":%q,"value":{"stringValue":%s}}`, kv[i], quoted(kv[i+1])))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// body is an export of one span of a scope; members are further ones of the
// span, each with a comma in front.
func body(scope, attributes, members string) string {
	return `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"bot"}}]},
		"scopeSpans":[{"scope":{"name":"` + scope + `","version":"4.14.0"},"spans":[{
		"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"step",
		"startTimeUnixNano":"1772355600000000000","endTimeUnixNano":"1772355601500000000","attributes":` + attributes + members + `}]}]}]}`
}

// mapped is what becomes of an export in JSON.
func mapped(t *testing.T, sender Sender, raw string) ([]domain.ObservationPatch, rejects) {
	t.Helper()
	x, err := decodeJSON([]byte(raw))
	if err != nil {
		t.Fatalf("decode: %v\n%s", err, raw)
	}
	m := mapper{sender: sender, now: arrived}
	return m.observations(&x)
}

func one(t *testing.T, sender Sender, raw string) domain.ObservationPatch {
	t.Helper()
	patches, rejected := mapped(t, sender, raw)
	if len(patches) != 1 || rejected.count != 0 {
		t.Fatalf("%d patches, %d rejected (%v), want one patch", len(patches), rejected.count, rejected.reasons)
	}
	return patches[0]
}

const sdk = "langfuse-sdk"

// Every attribute of Langfuse's own SDKs.
func TestLangfuseAttributes(t *testing.T) {
	p := one(t, Sender{}, body(sdk, attrs(
		"langfuse.observation.type", "generation",
		"langfuse.observation.input", `[{"role":"user","content":"Hi"}]`,
		"langfuse.observation.output", "Hello",
		"langfuse.observation.metadata.step", "3",
		"langfuse.observation.metadata.note", "plain",
		"langfuse.observation.level", "warn",
		"langfuse.observation.status_message", "slow",
		"langfuse.observation.model.name", "gpt-4o",
		"langfuse.observation.model.parameters", `{"temperature":0.2}`,
		"langfuse.observation.usage_details", `{"input":10,"output":5,"total":15}`,
		"langfuse.observation.cost_details", `{"input":0.001,"total":0.0025}`,
		"langfuse.observation.completion_start_time", `"2026-03-01T09:00:00.500Z"`,
		"langfuse.observation.prompt.name", "support",
		"langfuse.trace.name", "chat", "langfuse.trace.tags", `["b","a","b"]`, "langfuse.trace.public", "true",
		"langfuse.trace.metadata.tenant", "acme", "langfuse.trace.input", "asked", "langfuse.trace.output", "said",
		"user.id", "u1", "session.id", "s1",
		"langfuse.environment", "staging", "langfuse.release", "r7", "langfuse.version", "v3",
	), ""))
	o := p.Value
	want := domain.Observation{
		TraceID: "5b8efff798038103d269b633813fc60c", ID: "eee19b7ec3c1b174", Type: domain.TypeGeneration, Name: "step",
		Start: domain.At(1772355600000000000), End: domain.At(1772355601500000000), CompletionStart: domain.At(1772355600500000000),
		Level: domain.LevelWarning, StatusMessage: "slow", Version: "v3", Environment: "staging", Model: "gpt-4o",
		ModelParameters: []byte(`{"temperature":0.2}`),
		ProvidedUsage:   domain.Usage{{Key: "input", Units: 10}, {Key: "output", Units: 5}, {Key: "total", Units: 15}},
		ProvidedCost:    domain.Cost{{Key: "input", Amount: domain.Dollar / 1000}, {Key: "total", Amount: domain.Dollar / 400}},
		Source:          Source, TraceName: "chat", UserID: "u1", SessionID: "s1", Release: "r7",
		Public: domain.Some(true), Tags: []string{"a", "b"},
	}
	if diff := cmp.Diff(want, o, cmp.AllowUnexported(domain.Time{})); diff != "" {
		t.Errorf("observation (-want +got):\n%s", diff)
	}
	if (p.Stamp != domain.Stamp{Time: 1772355601500000000, Op: domain.Replace}) {
		t.Errorf("stamp is %+v, want a replace at the span's end", p.Stamp)
	}
	wantContent(t, p, map[domain.Part]string{
		domain.Input: `[{"role":"user","content":"Hi"}]`, domain.Output: "Hello",
		domain.TraceInput: "asked", domain.TraceOutput: "said", domain.TraceMetadata: `{"tenant":"acme"}`,
		domain.Metadata: `{"step":3,"note":"plain","resourceAttributes":{"service.name":"bot"},"scope":{"name":"langfuse-sdk","version":"4.14.0","attributes":{}}}`,
	})
}

func wantContent(t *testing.T, p domain.ObservationPatch, want map[domain.Part]string) {
	t.Helper()
	for part := range domain.Part(len(p.Content)) {
		if got := string(p.Content[part].Data); got != want[part] {
			t.Errorf("%v is\n%s\nwant\n%s", part, got, want[part])
		}
	}
}

// A link to a prompt needs a name and a version, and a generation.
func TestPromptLink(t *testing.T) {
	number := `,{"key":"langfuse.observation.prompt.version","value":{"intValue":"4"}}]`
	for _, c := range []struct {
		typ     string
		version bool
		want    string
	}{{"generation", true, "support"}, {"generation", false, ""}, {"span", true, ""}} {
		list := attrs("langfuse.observation.type", c.typ, "langfuse.observation.prompt.name", "support")
		if c.version {
			list = strings.TrimSuffix(list, "]") + number
		}
		o := one(t, Sender{}, body(sdk, list, "")).Value
		if o.PromptName != c.want || o.PromptVersion.Set != (c.want != "") {
			t.Errorf("%s, version %v: prompt is %q %+v, want %q", c.typ, c.version, o.PromptName, o.PromptVersion, c.want)
		}
	}
}

func TestTypes(t *testing.T) {
	for _, c := range []struct {
		scope string
		kv    []string
		want  domain.ObservationType
	}{
		{sdk, nil, domain.TypeSpan},
		{sdk, []string{"langfuse.observation.type", "event"}, domain.TypeEvent},
		{sdk, []string{"langfuse.observation.type", "agent"}, domain.TypeAgent},
		{sdk, []string{"langfuse.observation.type", "tool"}, domain.TypeTool},
		{sdk, []string{"langfuse.observation.type", "chain"}, domain.TypeChain},
		{sdk, []string{"langfuse.observation.type", "retriever"}, domain.TypeRetriever},
		{sdk, []string{"langfuse.observation.type", "evaluator"}, domain.TypeEvaluator},
		{sdk, []string{"langfuse.observation.type", "embedding"}, domain.TypeEmbedding},
		{sdk, []string{"langfuse.observation.type", "guardrail"}, domain.TypeGuardrail},
		{"x", []string{"openinference.span.kind", "LLM"}, domain.TypeGeneration},
		{"x", []string{"openinference.span.kind", "RERANKER"}, domain.TypeRetriever},
		{"x", []string{"gen_ai.operation.name", "chat"}, domain.TypeGeneration},
		{"x", []string{"gen_ai.operation.name", "embeddings"}, domain.TypeEmbedding},
		{"x", []string{"gen_ai.operation.name", "execute_tool"}, domain.TypeTool},
		{"x", []string{"gen_ai.tool.name", "search"}, domain.TypeTool},
		{"x", []string{"ai.operationId", "ai.generateText.doGenerate", "gen_ai.request.model", "m"}, domain.TypeGeneration},
		{"x", []string{"ai.operationId", "ai.generateText.doGenerate"}, domain.TypeSpan},
		{"x", []string{"traceloop.span.kind", "workflow"}, domain.TypeChain},
		{"x", []string{"llm.model_name", "m"}, domain.TypeGeneration},
	} {
		if o := one(t, Sender{}, body(c.scope, attrs(c.kv...), "")).Value; o.Type != c.want {
			t.Errorf("%v: type is %s, want %s", c.kv, o.Type, c.want)
		}
	}
	old := strings.Replace(body(sdk, attrs("langfuse.observation.type", "span", "langfuse.observation.model.name", "m"), ""), "4.14.0", "3.3.1", 1)
	if o := one(t, Sender{}, old).Value; o.Type != domain.TypeGeneration {
		t.Errorf("a span with a model, of an SDK that types nothing: %s, want GENERATION", o.Type)
	}
}

// What other conventions call input, output, model and usage.
func TestOtherConventions(t *testing.T) {
	for name, c := range map[string]struct {
		kv      []string
		in, out string
		model   string
		usage   domain.Usage
	}{
		"GenAI": {
			kv: []string{"gen_ai.input.messages", `[{"role":"user","parts":[]}]`, "gen_ai.output.messages", `[{"role":"assistant"}]`,
				"gen_ai.system_instructions", `[{"type":"text","content":"Be kind"}]`, "gen_ai.request.model", "gpt-4o", "gen_ai.response.model", "gpt-4o-2024",
				"gen_ai.usage.input_tokens", "100", "gen_ai.usage.output_tokens", "20", "gen_ai.usage.cache_read.input_tokens", "60"},
			in:  `[{"role":"system","parts":[{"type":"text","content":"Be kind"}]},{"role":"user","parts":[]}]`,
			out: `[{"role":"assistant"}]`, model: "gpt-4o-2024",
			usage: domain.Usage{{Key: "input", Units: 40}, {Key: "input_cached_tokens", Units: 60}, {Key: "output", Units: 20}},
		},
		"OpenInference": {
			kv: []string{"input.value", "question", "output.value", "answer", "llm.model_name", "claude",
				"llm.token_count.prompt", "7", "llm.token_count.completion", "3", "llm.token_count.total", "10",
				"llm.token_count.completion_details.reasoning", "1"},
			in: "question", out: "answer", model: "claude",
			usage: domain.Usage{{Key: "input", Units: 7}, {Key: "output", Units: 2}, {Key: "output_reasoning_tokens", Units: 1}, {Key: "total", Units: 10}},
		},
		"OpenInference messages": {
			kv: []string{"llm.input_messages.0.message.role", "user", "llm.input_messages.0.message.content", "hi",
				"llm.output_messages.0.message.content", "ho"},
			in: `[{"message":{"role":"user","content":"hi"}}]`, out: `[{"message":{"content":"ho"}}]`,
		},
		"OpenLLMetry": {
			kv: []string{"gen_ai.prompt.0.role", "user", "gen_ai.prompt.0.content", "hi", "gen_ai.completion.0.content", "ho",
				"gen_ai.usage.prompt_tokens", "5", "llm.usage.total_tokens", "9"},
			in: `[{"role":"user","content":"hi"}]`, out: `[{"content":"ho"}]`,
			usage: domain.Usage{{Key: "input", Units: 5}, {Key: "total", Units: 9}},
		},
		"a tool": {
			kv: []string{"gen_ai.tool.call.arguments", `{"q":1}`, "gen_ai.tool.call.result", "found"},
			in: `{"q":1}`, out: "found",
		},
		"one side only": {
			kv: []string{"output.value", "answer", "gen_ai.input.messages", `[]`},
			in: `[]`, out: "answer",
		},
		"an agent's sums": {
			kv: []string{"gen_ai.operation.name", "invoke_agent", "gen_ai.usage.input_tokens", "100", "gen_ai.request.model", "m"},
		},
	} {
		p := one(t, Sender{}, body("other", attrs(c.kv...), ""))
		if got := string(p.Content[domain.Input].Data); got != c.in {
			t.Errorf("%s: input is %s, want %s", name, got, c.in)
		}
		if got := string(p.Content[domain.Output].Data); got != c.out {
			t.Errorf("%s: output is %s, want %s", name, got, c.out)
		}
		if p.Value.Model != c.model {
			t.Errorf("%s: model is %q, want %q", name, p.Value.Model, c.model)
		}
		if diff := cmp.Diff(c.usage, p.Value.ProvidedUsage); diff != "" {
			t.Errorf("%s: usage (-want +got):\n%s", name, diff)
		}
	}
}

// What is kept nowhere else is in the metadata of spans that are not of a
// Langfuse SDK, each value as text; what became content is not kept twice.
func TestLeftovers(t *testing.T) {
	list := strings.TrimSuffix(attrs("input.value", "in", "http.route", "/x", "input", "taken by nobody"), "]") +
		`,{"key":"n","value":{"intValue":7}},{"key":"big","value":{"intValue":"9007199254740993"}},{"key":"nan","value":{"doubleValue":"NaN"}}]`
	p := one(t, Sender{}, body("other", list, ""))
	var m struct {
		Attributes map[string]string `json:"attributes"`
	}
	if err := json.Unmarshal(p.Content[domain.Metadata].Data, &m); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"http.route": "/x", "input": "taken by nobody", "n": "7", "big": "9007199254740993", "nan": "NaN"}
	if diff := cmp.Diff(want, m.Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

// Python SDKs from 5 on write every metadata value as JSON; nobody else's text
// is taken for more than it is.
func TestMetadataEncoding(t *testing.T) {
	kv := attrs("langfuse.observation.metadata.text", `"123"`, "langfuse.observation.metadata.number", "123",
		"langfuse.observation.metadata.raw", "not json", "langfuse.observation.metadata.list", `["a"]`)
	for _, c := range []struct {
		scope  string
		sender Sender
		want   string
	}{
		{sdk, Sender{JSONMetadata: true}, `{"text":"123","number":123,"raw":"not json","list":["a"]`},
		{sdk, Sender{}, `{"text":"\"123\"","number":123,"raw":"not json","list":["a"]`},
		{"other", Sender{JSONMetadata: true}, `{"text":"123","number":123,"raw":"not json","list":["a"]`},
		{"other", Sender{}, `{"text":"\"123\"","number":"123","raw":"not json","list":"[\"a\"]"`},
	} {
		p := one(t, c.sender, body(c.scope, kv, ""))
		if got := string(p.Content[domain.Metadata].Data); !strings.HasPrefix(got, c.want) {
			t.Errorf("scope %s, %+v: metadata is %s, want it to begin %s", c.scope, c.sender, got, c.want)
		}
	}
}

// A failed span is an error, and says why by its exception where its status
// does not. The events are kept.
func TestException(t *testing.T) {
	members := `,"status":{"code":"STATUS_CODE_ERROR"},"events":[{"name":"exception","timeUnixNano":"1772355601000000000","attributes":` +
		attrs("exception.type", "ValueError", "exception.message", "no such row", "exception.stacktrace", "line 1") + `}]`
	p := one(t, Sender{}, body(sdk, "[]", members))
	if p.Value.Level != domain.LevelError || p.Value.StatusMessage != "no such row" {
		t.Errorf("level %s, message %q", p.Value.Level, p.Value.StatusMessage)
	}
	want := `{"events":[{"name":"exception","timeUnixNano":"1772355601000000000","attributes":{"exception.type":"ValueError","exception.message":"no such row","exception.stacktrace":"line 1"}}]}`
	if got := string(p.Content[domain.Extra].Data); got != want {
		t.Errorf("extra is %s, want %s", got, want)
	}
}

// Roots by mark, parents that are none, ids in every form that exporters use.
func TestIDs(t *testing.T) {
	const trace, span = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
	p := one(t, Sender{}, body(sdk, `[{"key":"langfuse.internal.is_app_root","value":{"boolValue":true}}]`, `,"parentSpanId":"aaaaaaaaaaaaaaaa"`))
	if !p.Value.AppRoot || p.Value.ParentID != "aaaaaaaaaaaaaaaa" {
		t.Errorf("application root %v below %q", p.Value.AppRoot, p.Value.ParentID)
	}
	for _, parent := range []string{`"0000000000000000"`, `""`, `"` + span + `"`, "null"} {
		if p := one(t, Sender{}, body(sdk, "[]", `,"parentSpanId":`+parent)); p.Value.ParentID != "" {
			t.Errorf("parent %s is kept as %q", parent, p.Value.ParentID)
		}
	}
	for _, form := range []string{
		`"5B8EFFF798038103D269B633813FC60C"`, `"W47/95gDgQPSabYzgT/GDA=="`,
		`[91,142,255,247,152,3,129,3,210,105,182,51,129,63,198,12]`,
		`{"type":"Buffer","data":[91,142,255,247,152,3,129,3,210,105,182,51,129,63,198,12]}`,
	} {
		raw := strings.Replace(body(sdk, "[]", ""), `"`+trace+`"`, form, 1)
		if p := one(t, Sender{}, raw); p.Value.TraceID != trace {
			t.Errorf("trace id %s is read as %q", form, p.Value.TraceID)
		}
	}
	odd := strings.Replace(body(sdk, "[]", ""), trace, "run/7: ü", 1)
	if p := one(t, Sender{}, odd); p.Value.TraceID != "run/7: ü" {
		t.Errorf("an id of the sender's own is read as %q", p.Value.TraceID)
	}
}

func TestTimes(t *testing.T) {
	const start, end = `"startTimeUnixNano":"1772355600000000000"`, `"endTimeUnixNano":"1772355601500000000"`
	for name, c := range map[string]struct {
		replace, with string
		start, end    domain.Time
	}{
		"numbers":         {start, `"startTimeUnixNano":1772355600000000000`, domain.At(1772355600000000000), domain.At(1772355601500000000)},
		"halves":          {start, `"start_time_unix_nano":{"low":1000,"high":1}`, domain.At(1<<32 + 1000), domain.At(1772355601500000000)},
		"no start":        {start, `"x":0`, domain.At(1772355601500000000), domain.At(1772355601500000000)},
		"no end":          {end, `"x":0`, domain.At(1772355600000000000), domain.Time{}},
		"1970":            {start, `"startTimeUnixNano":"1"`, domain.At(1), domain.At(1772355601500000000)},
		"end before":      {end, `"endTimeUnixNano":"5"`, domain.At(1772355600000000000), domain.At(1772355600000000000)},
		"past year 2262":  {start, `"startTimeUnixNano":"18446744073709551615"`, domain.At(1772355601500000000), domain.At(1772355601500000000)},
		"negative number": {start, `"startTimeUnixNano":-5`, domain.At(1772355601500000000), domain.At(1772355601500000000)},
	} {
		o := one(t, Sender{}, strings.Replace(body(sdk, "[]", ""), c.replace, c.with, 1)).Value
		if o.Start != c.start || o.End != c.end {
			t.Errorf("%s: %v to %v, want %v to %v", name, o.Start, o.End, c.start, c.end)
		}
	}
}

// The good spans of an export are taken, whatever the others are like.
func TestPartial(t *testing.T) {
	raw := `{"resourceSpans":[{"scopeSpans":[{"spans":[
		{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"},
		{"spanId":"eee19b7ec3c1b174"}, {"traceId":"00000000000000000000000000000000","spanId":"0000000000000000"},
		{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"` + strings.Repeat("x", 801) + `"}, 7
		]}]}, {"scopeSpans":{"spans":[]}}]}`
	patches, rejected := mapped(t, Sender{}, raw)
	if len(patches) != 1 || rejected.count != 5 {
		t.Errorf("%d patches, %d rejected: %v", len(patches), rejected.count, rejected.reasons)
	}
	for _, want := range []string{"scopeSpans is not a list", "span 1 has no trace id", "span 2 has neither"} {
		if !strings.Contains(rejected.message(), want) {
			t.Errorf("the message %q does not say %q", rejected.message(), want)
		}
	}
}

// Both encodings of one export say the same.
func TestEncodingsAgree(t *testing.T) {
	str := func(s string) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
	}
	list := &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{
		str("a"), {Value: &commonpb.AnyValue_DoubleValue{DoubleValue: 0.5}}, {Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{1, 2}}},
		{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: []*commonpb.KeyValue{{Key: "k", Value: str("v")}}}}},
	}}}}
	raw, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{Key: "service.name", Value: str("bot")}}},
		ScopeSpans: []*tracepb.ScopeSpans{{
			Scope: &commonpb.InstrumentationScope{Name: "other", Version: "4.14.0"},
			Spans: []*tracepb.Span{{
				TraceId: []byte("\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c"), SpanId: []byte("\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74"),
				Name: "step", Kind: tracepb.Span_SPAN_KIND_CLIENT, StartTimeUnixNano: 1772355600000000000, EndTimeUnixNano: 1772355601500000000,
				Attributes: []*commonpb.KeyValue{{Key: "input.value", Value: list}},
				Links:      []*tracepb.Span_Link{{TraceId: make([]byte, 16), SpanId: []byte("12345678"), TraceState: "a=b"}},
				Status:     &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "no"},
			}},
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	x, err := decodeProtobuf(raw)
	if err != nil {
		t.Fatal(err)
	}
	m := mapper{now: arrived}
	binary, _ := m.observations(&x)
	text := one(t, Sender{}, body("other", `[{"key":"input.value","value":{"arrayValue":{"values":[{"stringValue":"a"},{"doubleValue":0.5},
		{"bytesValue":"AQI="},{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}]}}}]`,
		`,"kind":3,"links":[{"traceId":"00000000000000000000000000000000","spanId":"3132333435363738","traceState":"a=b"}],"status":{"code":2,"message":"no"}`))
	if diff := cmp.Diff(text, binary[0], cmp.AllowUnexported(domain.Time{})); diff != "" {
		t.Errorf("JSON and protobuf differ (-JSON +protobuf):\n%s", diff)
	}
	if got, want := string(text.Content[domain.Input].Data), `["a",0.5,"AQI=",{"k":"v"}]`; got != want {
		t.Errorf("input is %s, want %s", got, want)
	}
}

// Text that is no UTF-8 does not cost an export.
func TestInvalidUTF8(t *testing.T) {
	good, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{
		TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"), Name: "caf?",
	}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	x, err := decodeProtobuf([]byte(strings.Replace(string(good), "caf?", "caf\xe9", 1)))
	if err != nil {
		t.Fatal(err)
	}
	m := mapper{now: arrived}
	patches, _ := m.observations(&x)
	if len(patches) != 1 || patches[0].Value.Name != "caf\uFFFD" {
		t.Errorf("patches %+v", patches)
	}
}
