package parea

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/llm"
)

// completion is a call of a model that a client asks us to make.
type completion struct {
	asked         object // the request
	id            string // of its log
	project       string
	model         string
	provider      string
	configuration object // of the log: as asked for, with what a deployed prompt adds
	endpoint      llm.Endpoint
	request       llm.Request
}

// completion calls a model through a connection of the project and answers when
// it is done. The call is kept as a log, also one that failed.
func (a *API) completion(w http.ResponseWriter, r *http.Request, c caller) error {
	call, err := a.planCompletion(r, c)
	if err != nil {
		return err
	}
	begun := a.now()
	reply, err := a.models.Complete(r.Context(), call.endpoint, call.request)
	log, keepErr := a.keepCompletion(r.Context(), call, begun, reply, err)
	if err = errors.Join(err, keepErr); err != nil {
		return err
	}
	out := fields{
		"inference_id": call.id, "trace_id": call.id, "content": log.text("output"), "model": call.model, "provider": call.provider,
		"latency": log["latency"], "input_tokens": reply.InputTokens, "output_tokens": reply.OutputTokens,
		"total_tokens": reply.InputTokens + reply.OutputTokens, "cost": 0.0, "cache_hit": false, "status": "success",
		"start_timestamp": log["start_timestamp"], "end_timestamp": log["end_timestamp"],
	}
	o, err := a.traces.Observation(r.Context(), call.project, call.id)
	switch {
	case err == nil:
		out["cost"] = float64(o.Observation.Derived.TotalCost.Value) / float64(domain.Dollar)
	case domain.CodeOf(err) != domain.NotFound: // a log that is not sampled is not kept
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, out)
	return nil
}

// streamCompletion is completion with the text as it comes, one event a piece:
// the SDK reads only the first line of what one read of the network gives it.
func (a *API) streamCompletion(w http.ResponseWriter, r *http.Request, c caller) error {
	call, err := a.planCompletion(r, c)
	if err != nil {
		return err
	}
	out := http.NewResponseController(w)
	started := false
	begun := a.now()
	reply, err := a.models.Stream(r.Context(), call.endpoint, call.request, func(text string) error {
		if !started {
			started = true
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
		}
		// The SDK takes every "data: " for its framing, also within the text.
		chunk := bytes.ReplaceAll(encoded(map[string]string{"chunk": text}), []byte("data: "), []byte(`data:\u0020`))
		if _, err := fmt.Fprintf(w, "data: %s\r\n\r\n", chunk); err != nil {
			return err
		}
		return out.Flush()
	})
	_, keepErr := a.keepCompletion(r.Context(), call, begun, reply, err)
	err = errors.Join(err, keepErr)
	switch {
	case err != nil && started:
		a.log.WarnContext(r.Context(), "a streamed completion broke off", "err", err)
		panic(http.ErrAbortHandler) // the status is sent: only a cut connection tells
	case err != nil:
		return err
	case !started: // the model said nothing, or only calls functions
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	}
	return nil
}

// planCompletion finds out what to call. What is missing is said before
// anything is called.
func (a *API) planCompletion(r *http.Request, c caller) (*completion, error) {
	o, err := a.read(r)
	if err != nil {
		return nil, err
	}
	call := &completion{asked: o, id: o.text("inference_id"), configuration: object{}}
	if call.id == "" {
		call.id = catalog.NewID("")
	}
	_ = json.Unmarshal(o["llm_configuration"], &call.configuration) // what is no object says nothing
	if call.configuration == nil {
		call.configuration = object{}
	}
	if err := a.findPrompt(r.Context(), c, call); err != nil {
		return nil, err
	}
	cfg := call.configuration
	if call.model = cfg.text("model"); call.model == "" {
		return nil, invalid("llm_configuration.model", "field required")
	}
	if err := call.prepare(); err != nil {
		return nil, err
	}
	conn, err := a.catalog.ConnectionFor(r.Context(), call.project, cfg.text("provider"), call.model)
	if domain.CodeOf(err) == domain.NotFound {
		return nil, &noConnectionError{err}
	}
	if err != nil {
		return nil, err
	}
	if conn.Adapter != catalog.AdapterOpenAI {
		return nil, &noConnectionError{domain.Errorf(domain.NotFound,
			"The LLM connection %s has the adapter %s. Only openai is executed yet: most providers have a base URL that speaks like it.", conn.Provider, conn.Adapter)}
	}
	if call.provider = cfg.text("provider"); call.provider == "" {
		call.provider = conn.Provider
		cfg["provider"] = encoded(conn.Provider)
	}
	call.endpoint = llm.Endpoint{BaseURL: conn.BaseURL, Key: conn.SecretKey, Headers: conn.Headers}
	if most, given := call.request.Params["max_tokens"]; given && (conn.BaseURL == "" || strings.HasPrefix(conn.BaseURL, llm.OpenAI)) {
		// OpenAI's newer models refuse the name that all others know.
		delete(call.request.Params, "max_tokens")
		call.request.Params["max_completion_tokens"] = most
	}
	return call, nil
}

// findPrompt finds the project, and puts the deployed prompt that a request
// names below what it says itself.
func (a *API) findPrompt(ctx context.Context, c caller, call *completion) (err error) {
	id := call.asked.text("deployment_id")
	if call.project, err = a.project(ctx, c, call.asked); err != nil || id == "" {
		return err
	}
	projects := []string{call.project}
	if c.project == "" && !call.asked.has("project_uuid") && !call.asked.has("project_name") {
		if projects, err = a.projects(ctx, c); err != nil {
			return err
		}
	}
	project, p, err := a.findDeployed(ctx, projects, id)
	if err != nil {
		return err
	}
	call.project = project
	deployed := toDeployed(id, p, nil)
	cfg := call.configuration
	for key, value := range map[string]any{
		"model": deployed["model"], "provider": deployed["provider"], "messages": deployed["prompt"].(fields)["raw_messages"],
	} {
		if !cfg.has(key) && value != nil {
			cfg[key] = encoded(value)
		}
	}
	params := object{}
	for k, v := range deployed["model_params"].(fields) {
		params[k] = encoded(v)
	}
	var own object
	_ = json.Unmarshal(cfg["model_params"], &own)
	for k := range own {
		if own.has(k) && !usual(k, own[k]) {
			params[k] = own[k]
		}
	}
	cfg["model_params"] = encoded(params)
	return nil
}

// usualParams are the values that SDKs send for what nobody said, and that
// every provider takes for granted: some models refuse to be told them.
var usualParams = map[string]any{"temp": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0, "safe_prompt": false}

// usual reports whether a parameter has such a value.
func usual(name string, value json.RawMessage) bool {
	var is any
	want, known := usualParams[name]
	return known && json.Unmarshal(value, &is) == nil && is == want
}

// openAIRoles is what providers call the roles that only Parea has.
var openAIRoles = map[string]string{"example_user": "user", "example_assistant": "assistant"}

// prepare fills the messages in and brings all into OpenAI's form.
func (call *completion) prepare() error {
	cfg, values := call.configuration, textMap(call.asked["llm_inputs"])
	var messages []object
	if json.Unmarshal(cfg["messages"], &messages) != nil || len(messages) == 0 {
		return invalid("llm_configuration.messages", "field required")
	}
	call.request = llm.Request{Model: call.model, Params: map[string]json.RawMessage{}}
	for i, m := range messages {
		if !m.has("role") {
			return invalid(fmt.Sprintf("llm_configuration.messages.%d.role", i), "field required")
		}
		var text string
		if json.Unmarshal(m["content"], &text) == nil && text != "" {
			m["content"] = encoded(fill(text, values))
		}
		sent := maps.Clone(m)
		if role, found := openAIRoles[m.text("role")]; found {
			sent["role"] = encoded(role)
		}
		call.request.Messages = append(call.request.Messages, encoded(sent))
	}
	cfg["messages"] = encoded(messages)
	_ = json.Unmarshal(cfg["functions"], &call.request.Tools) // what is no list is none
	for i, t := range call.request.Tools {
		var text string
		if json.Unmarshal(t, &text) == nil && json.Valid([]byte(text)) {
			call.request.Tools[i] = json.RawMessage(text) // deployed prompts have schemas as texts
		}
	}
	if choice := bytes.TrimSpace(cfg["function_call"]); cfg.has("function_call") {
		var text string
		if json.Unmarshal(choice, &text) == nil && strings.HasPrefix(strings.TrimSpace(text), "{") && json.Valid([]byte(text)) {
			choice = []byte(strings.TrimSpace(text))
		}
		call.request.ToolChoice = choice
	}
	var params object
	_ = json.Unmarshal(cfg["model_params"], &params)
	for k, v := range params {
		if !params.has(k) || usual(k, v) {
			continue
		}
		if name := parameterNames[k]; name != "" {
			k = name
		}
		call.request.Params[k] = v
	}
	return nil
}

// omitted reports whether the caller does not want a part of the call kept.
func (call *completion) omitted(part string) bool {
	return call.asked.text("log_omit") == "true" || call.asked.text("log_omit_"+part) == "true"
}

// keepCompletion keeps a call as a log and shows what it kept. It does so too if
// the caller has gone: the call was made and costs.
func (a *API) keepCompletion(ctx context.Context, call *completion, begun time.Time, reply *llm.Reply, failure error) (object, error) {
	ended := a.now()
	o := object{}
	for _, k := range []string{
		"parent_trace_id", "root_trace_id", "trace_name", "end_user_identifier", "session_id", "metadata", "tags", "target", "log_sample_rate",
		"experiment_uuid", "project_uuid", "project_name", "deployment_id",
	} {
		if call.asked.has(k) {
			o[k] = call.asked[k]
		}
	}
	o["trace_id"] = encoded(call.id)
	if !o.has("trace_name") {
		o["trace_name"] = encoded("llm-" + call.provider)
	}
	o["start_timestamp"], o["end_timestamp"] = encoded(wireTime(domain.TimeOf(begun))), encoded(wireTime(domain.TimeOf(ended)))
	o["latency"], o["status"] = encoded(ended.Sub(begun).Seconds()), encoded("success")
	cfg := maps.Clone(call.configuration)
	if call.omitted("inputs") {
		delete(cfg, "messages")
	} else {
		o["inputs"] = call.asked["llm_inputs"]
	}
	o["configuration"] = encoded(cfg)
	if reply != nil {
		o["input_tokens"], o["output_tokens"] = encoded(reply.InputTokens), encoded(reply.OutputTokens)
		o["total_tokens"] = encoded(reply.InputTokens + reply.OutputTokens)
		o["output"] = encoded(outputOf(reply))
		if reply.FirstChunk > 0 {
			o["time_to_first_token"] = encoded(reply.FirstChunk.Seconds())
		}
	}
	if failure != nil {
		o["status"], o["error"] = encoded("error"), encoded("the client went away")
		if e, ok := errors.AsType[*domain.Error](failure); ok {
			o["error"] = encoded(e.Msg)
		}
	}
	kept := maps.Clone(o)
	if call.omitted("outputs") {
		delete(kept, "output")
	}
	l, err := parseLog(kept, call.id)
	if err != nil {
		return o, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWithin)
	defer cancel()
	return o, a.keep(ctx, caller{project: call.project}, &l)
}

// keepWithin is how long the log of a call may wait for a full queue.
const keepWithin = 30 * time.Second

// outputOf is an answer as SDKs log it: its text, or the calls of functions as
// a JSON list.
func outputOf(r *llm.Reply) string {
	if len(r.Calls) == 0 {
		return r.Content
	}
	calls := make([]fields, len(r.Calls))
	for i, c := range r.Calls {
		var arguments any = c.Arguments
		if json.Valid([]byte(c.Arguments)) {
			arguments = json.RawMessage(c.Arguments)
		}
		calls[i] = fields{"name": c.Name, "arguments": arguments}
	}
	return string(encoded(calls))
}

// noConnectionError says that a project can't call a model.
type noConnectionError struct{ err error }

// Error implements error.
func (e *noConnectionError) Error() string { return e.err.Error() }
