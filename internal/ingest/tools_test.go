package ingest

import (
	"strings"
	"testing"

	"github.com/clewhq/clew/internal/domain"
)

func TestTools(t *testing.T) {
	for _, x := range []struct{ name, input, output, metadata, tools, calls string }{
		{"OpenAI", `{"messages":[{"role":"user"}],"tools":[{"type":"function","function":{"name":"weather","parameters":{}}},{"type":"function","function":{"name":"book"}}]}`,
			`{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"weather","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"weather","arguments":"{}"}}]}`,
			``, "book weather", "weather weather"},
		{"choices, one call told twice", ``, `{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"1"}}],"additional_kwargs":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"1"}}]}}}]}`, ``, "", "f"},
		{"Anthropic", `{"tools":[{"name":"search","input_schema":{}}],"messages":[]}`, `{"role":"assistant","content":[{"type":"text","text":"x"},{"type":"tool_use","id":"t","name":"search","input":{"q":1}}]}`, ``, "search", "search"},
		{"AI SDK", `{"prompt":"tool"}`, `{"toolCalls":"[{\"toolCallId\":\"1\",\"toolName\":\"w\",\"args\":\"{}\"}]"}`, `{"ai.prompt.tools":["{\"type\":\"function\",\"name\":\"w\"}"]}`, "w", "w"},
		{"AI SDK parts", ``, `[{"role":"assistant","content":[{"type":"tool-call","toolCallId":"1","toolName":"w","input":{}}]}]`, ``, "", "w"},
		{"OpenTelemetry parts", `[{"role":"user","parts":[]}]`, `[{"role":"assistant","parts":[{"type":"tool_call","id":"1","name":"w","arguments":{}}]}]`, `{"attributes":{"gen_ai.tool.definitions":"[{\"name\":\"w\"}]"}}`, "w", "w"},
		{"OpenAI responses", ``, `{"output":[{"type":"function_call","call_id":"1","name":"w","arguments":"{}"},{"type":"message","content":[{"type":"output_text"}]}]}`, ``, "", "w"},
		{"LangGraph", `[{"role":"tool","content":{"type":"function","function":{"name":"g"}}},{"role":"tool","content":"an answer"}]`, ``, ``, "g", ""},
		{"OpenInference", `hi`, ``, `{"attributes":{"llm.tools.0.tool.json_schema":"{\"function\":{\"name\":\"o\"}}"}}`, "o", ""},
		{"a request inside of a text", `{"messages":"[{\"role\":\"user\",\"tools\":[{\"name\":\"x\"}]}]"}`, ``, ``, "x", ""},
		{"bare calls, the same twice", ``, `[{"name":"a","arguments":{"x":1}},{"name":"a","arguments":{"x":1}},{"name":"a","arguments":{"x":2}}]`, ``, "", "a a"},
		{"no tools", `{"tools":5,"messages":"tool"}`, `{"tool_calls":{"name":"x"},"name":"function"}`, `{"tools":"many"}`, "", ""},
		{"a record that is no call", ``, `[{"name":"Ann","role":"user","input":"tool"}]`, ``, "", ""},
		{"nested beyond reason", ``, strings.Repeat(`{"message":`, 5000) + `{"tool_calls":[]}` + strings.Repeat("}", 5000), ``, "", ""},
	} {
		for _, kind := range []domain.BodyKind{domain.JSON, domain.Text} {
			p := domain.ObservationPatch{}
			for part, text := range map[domain.Part]string{domain.Input: x.input, domain.Output: x.output, domain.Metadata: x.metadata} {
				if text != "" {
					p.Content[part] = domain.Body{Kind: kind, Data: []byte(text)}
				}
			}
			findTools(&p)
			if got := strings.Join(p.Value.Tools, " "); got != x.tools {
				t.Errorf("%s: tools %q, want %q", x.name, got, x.tools)
			}
			if got := strings.Join(p.Value.Calls, " "); got != x.calls {
				t.Errorf("%s: calls %q, want %q", x.name, got, x.calls)
			}
			if p.Said.Has(domain.ObservationCalls) != (x.output != "") {
				t.Errorf("%s: said %b", x.name, p.Said)
			}
		}
	}
}
