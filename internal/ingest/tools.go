package ingest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/domain"
)

const (
	maxToolBody = 4 << 20 // bytes of a body in which tools are looked for
	maxTools    = 1000    // tools, and calls, of one observation
	maxToolName = 200     // bytes
	maxNesting  = 8       // levels of messages in messages
)

// findTools notes which tools a write offers to the model and which of them the
// model called. They follow from a body, so they are said where the body is,
// and the latest body with something in it decides them as it is read itself.
func findTools(p *domain.ObservationPatch) {
	o := &p.Value
	o.Tools, o.Calls = nil, nil
	var offered []string
	if in := p.Content[domain.Input]; in.Truthy() {
		p.Said |= domain.ObservationTools
		if mayHold(in, inputMarks) {
			offered = toolNames(nil, parse(in.Data), 0)
		}
	}
	if m := p.Content[domain.Metadata]; mayHold(m, metadataMarks) {
		offered = toolsOfMetadata(offered, parse(m.Data))
	}
	if len(offered) > 0 {
		p.Said |= domain.ObservationTools
		slices.Sort(offered)
		offered = slices.Compact(offered)
		o.Tools = offered[:min(len(offered), maxTools)]
	}
	if out := p.Content[domain.Output]; out.Truthy() {
		p.Said |= domain.ObservationCalls
		if mayHold(out, outputMarks) {
			c := calls{seen: map[string]bool{}}
			c.find(parse(out.Data), 0)
			o.Calls = c.names
		}
	}
}

// How the keys and types begin that tools are found by, in each body. Parsing
// costs as much as all else that is done with a span, so prose is left alone.
var (
	inputMarks    = []string{"tool"}
	metadataMarks = []string{"tool", "ai.prompt.tools", "gen_ai.tool.definitions", "function_tools", "llm.tools."}
	outputMarks   = []string{"tool", "function", "arguments", "args"}
)

// mayHold reports whether a body is worth parsing: it is JSON, or text that
// looks like it, of a sensible size, and one of the marks stands behind a quote,
// also where that is one of a text inside.
func mayHold(b domain.Body, marks []string) bool {
	if len(b.Data) < 2 || len(b.Data) > maxToolBody || b.Data[0] != '{' && b.Data[0] != '[' {
		return false
	}
	for rest := b.Data; ; {
		i := bytes.IndexByte(rest, '"')
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
		for _, m := range marks {
			if len(rest) >= len(m) && string(rest[:len(m)]) == m {
				return true
			}
		}
	}
}

// parse is JSON as Go's values, nil for what is none.
func parse(data []byte) (v any) {
	if json.Unmarshal(data, &v) != nil {
		return nil
	}
	return v
}

// unquoted is v, or what it holds where it is JSON inside a text: senders of
// OpenTelemetry attributes can say lists and objects only so.
func unquoted(v any) any {
	s, isText := v.(string)
	if !isText || len(s) < 2 || s[0] != '{' && s[0] != '[' {
		return v
	}
	return parse([]byte(s))
}

func list(v any) []any {
	l, _ := unquoted(v).([]any)
	return l
}

func object(v any) map[string]any {
	m, _ := unquoted(v).(map[string]any)
	return m
}

// toolNames adds the names of the tools that an input offers: those under
// "tools" of the request or of one of its messages, and LangGraph's messages of
// the role tool that hold a definition.
func toolNames(names []string, input any, depth int) []string {
	if depth > maxNesting {
		return names
	}
	if messages, ok := input.([]any); ok {
		for _, m := range messages {
			names = toolNames(names, m, depth+1)
		}
		return names
	}
	in, _ := input.(map[string]any)
	names = definitions(names, in["tools"])
	if content := object(in["content"]); in["role"] == "tool" && content["type"] == "function" {
		names = definition(names, content)
	}
	return toolNames(names, unquoted(in["messages"]), depth+1)
}

func definitions(names []string, tools any) []string {
	for _, t := range list(tools) {
		names = definition(names, object(t))
	}
	return names
}

func definition(names []string, tool map[string]any) []string {
	if name := nameOf(tool); name != "" && len(names) < maxTools {
		names = append(names, name)
	}
	return names
}

// nameOf is the name in a definition or call of a tool, as the protocols spell it.
func nameOf(tool map[string]any) string {
	for _, v := range []any{object(tool["function"])["name"], tool["name"], tool["toolName"]} {
		if name, _ := v.(string); name != "" && len(name) <= maxToolName {
			return cleanText(name)
		}
	}
	return ""
}

// toolsOfMetadata adds the tools that instrumentations put into attributes
// instead of the input.
func toolsOfMetadata(names []string, metadata any) []string {
	m, _ := metadata.(map[string]any)
	for _, at := range []map[string]any{m, object(m["attributes"])} {
		for _, key := range []string{"tools", "ai.prompt.tools", "gen_ai.tool.definitions"} {
			names = definitions(names, at[key])
		}
		names = definitions(names, object(at["model_request_parameters"])["function_tools"])
		for key, v := range at {
			if strings.HasPrefix(key, "llm.tools.") && strings.HasSuffix(key, ".tool.json_schema") {
				names = definition(names, object(v))
			}
		}
	}
	return names
}

// calls gathers the calls of tools in an output, each once.
type calls struct {
	names []string
	seen  map[string]bool
}

// callTypes are the types of the content parts and items that are calls:
// Anthropic's, the AI SDK's, OpenTelemetry's, OpenAI's.
var callTypes = []string{"tool_use", "tool-call", "tool_call", "function_call", "function"}

func (c *calls) find(v any, depth int) {
	if depth > maxNesting {
		return
	}
	for _, e := range list(v) {
		c.find(e, depth+1)
	}
	m, _ := v.(map[string]any)
	if m == nil {
		return
	}
	if c.isCall(m) {
		c.add(m)
		return
	}
	for _, holder := range []map[string]any{m, object(m["additional_kwargs"])} {
		for _, key := range []string{"tool_calls", "toolCalls"} {
			for _, call := range list(holder[key]) {
				c.add(object(call))
			}
		}
	}
	for _, key := range []string{"choices", "message", "messages", "content", "parts", "output"} {
		switch inner := unquoted(m[key]).(type) {
		case []any, map[string]any:
			c.find(inner, depth+1)
		}
	}
}

// isCall reports whether an element of a list is a call by itself.
func (c *calls) isCall(m map[string]any) bool {
	kind, _ := m["type"].(string)
	_, hasArguments := arguments(m)
	return hasArguments && nameOf(m) != "" && (kind == "" && m["role"] == nil || slices.Contains(callTypes, kind))
}

// arguments is what a call gives its tool.
func arguments(call map[string]any) (any, bool) {
	for _, m := range []map[string]any{object(call["function"]), call} {
		for _, key := range []string{"arguments", "args", "input"} {
			if v, found := m[key]; found {
				return v, true
			}
		}
	}
	return nil, false
}

func (c *calls) add(call map[string]any) {
	name := nameOf(call)
	if name == "" || len(c.names) == maxTools {
		return
	}
	var key string
	for _, field := range []string{"call_id", "id", "toolCallId"} {
		if id, _ := call[field].(string); id != "" {
			key = id
			break
		}
	}
	if key == "" {
		v, _ := arguments(call)
		args, _ := json.Marshal(v) // it was parsed
		key = name + "\x00" + string(args)
	}
	if !c.seen[key] {
		c.seen[key] = true
		c.names = append(c.names, name)
	}
}
