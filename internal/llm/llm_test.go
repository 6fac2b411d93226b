package llm_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/llm"
)

// provider answers every call with a status and a body, and keeps the last one.
type provider struct {
	*httptest.Server
	status int
	body   string
	last   *http.Request
	asked  string
}

func serve(t *testing.T, status int, body string) *provider {
	p := &provider{status: status, body: body}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		p.last, p.asked = r, string(b)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(p.status)
		_, _ = io.WriteString(w, p.body)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) endpoint() llm.Endpoint {
	return llm.Endpoint{BaseURL: p.URL + "/v1/", Key: "sk-secret-key", Headers: map[string]string{"X-Team": "blue"}}
}

var question = llm.Request{Model: "m", Messages: []json.RawMessage{json.RawMessage(`{"role":"user","content":"hi","name":"kept"}`)}}

func client(t *testing.T) *llm.Client {
	c := llm.NewClient()
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestComplete(t *testing.T) {
	p := serve(t, 200, `{"model":"m-2","choices":[{"message":{"content":"Hello","tool_calls":[
		{"function":{"name":"a","arguments":"{\"x\":1}"}},{"function":{"name":"b","arguments":"{}"}}]}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}`)
	q := question
	q.Tools = []json.RawMessage{json.RawMessage(`{"name":"a"}`)}
	q.ToolChoice = json.RawMessage(`{"name":"a"}`)
	q.Params = map[string]json.RawMessage{"temperature": json.RawMessage(`0.10`)}
	got, err := client(t).Complete(t.Context(), p.endpoint(), q)
	if err != nil {
		t.Fatal(err)
	}
	want := &llm.Reply{
		Content: "Hello", Model: "m-2", InputTokens: 3, OutputTokens: 2,
		Calls: []llm.Call{{Name: "a", Arguments: `{"x":1}`}, {Name: "b", Arguments: "{}"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	sent := `{"messages":[{"role":"user","content":"hi","name":"kept"}],"model":"m","temperature":0.10,` +
		`"tool_choice":{"function":{"name":"a"},"type":"function"},"tools":[{"function":{"name":"a"},"type":"function"}]}`
	if p.asked != sent {
		t.Errorf("sent %s\nwant %s", p.asked, sent)
	}
	if h := p.last.Header; p.last.URL.Path != "/v1/chat/completions" || h.Get("Authorization") != "Bearer sk-secret-key" || h.Get("X-Team") != "blue" {
		t.Errorf("sent %s with %v", p.last.URL, h)
	}
}

func TestStream(t *testing.T) {
	p := serve(t, 200, strings.Join([]string{
		`data: {"model":"m-2","choices":[{"delta":{"role":"assistant","content":"Hel"}}]}`,
		`: a comment`, `event: x`,
		`data:{"choices":[{"delta":{"content":"lo"}}]}`,
		`data: {"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"name":"b","arguments":"{\"y\""}}]}}]}`,
		`data: {"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"arguments":":2}"}}]}}]}`,
		`data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}`,
		`data: [DONE]`, ``,
	}, "\r\n\r\n"))
	var chunks []string
	got, err := client(t).Stream(t.Context(), p.endpoint(), question, func(s string) error { chunks = append(chunks, s); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"Hel", "lo"}, chunks); d != "" {
		t.Error(d)
	}
	if got.Content != "Hello" || got.InputTokens != 3 || got.OutputTokens != 2 || got.Model != "m-2" || got.FirstChunk <= 0 {
		t.Errorf("got %+v", got)
	}
	if d := cmp.Diff([]llm.Call{{}, {Name: "b", Arguments: `{"y":2}`}}, got.Calls); d != "" {
		t.Error(d)
	}
	if !strings.Contains(p.asked, `"stream":true`) || !strings.Contains(p.asked, `"include_usage":true`) {
		t.Errorf("sent %s", p.asked)
	}
	stop := errors.New("enough")
	if got, err := client(t).Stream(t.Context(), p.endpoint(), question, func(string) error { return stop }); !errors.Is(err, stop) || got.Content != "Hel" {
		t.Errorf("stopped: %+v, %v", got, err)
	}
}

// A stream is whole by its last word, or by a reason to finish.
func TestStreamEnds(t *testing.T) {
	none := func(string) error { return nil }
	for body, whole := range map[string]bool{
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n": true,
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n":                            false,
		"data: {\"error\":{\"message\":\"too much\"}}\n\ndata: [DONE]\n\n":                     false,
		"data: {broken\n\ndata: [DONE]\n\n":                                                    false,
	} {
		if _, err := client(t).Stream(t.Context(), serve(t, 200, body).endpoint(), question, none); (err == nil) != whole {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// What a provider says of a failure is told, the key never.
func TestFailures(t *testing.T) {
	closed := serve(t, 200, "")
	closed.Close()
	for _, c := range []struct {
		p    *provider
		want string
	}{
		{serve(t, 401, `{"error":{"message":"bad key"}}`), "the provider answered 401: bad key"},
		{serve(t, 404, `{"error":"model not found"}`), "the provider answered 404: model not found"},
		{serve(t, 500, "oops\xff"), "the provider answered 500: oops\uFFFD"},
		{serve(t, 302, ""), "the provider answered 302: "},
		{serve(t, 200, `[]`), "the provider's answer is no chat completion: []"},
		{serve(t, 200, `{"choices":[]}`), `the provider's answer is no chat completion: {"choices":[]}`},
		{closed, "the provider can't be reached: dial tcp "},
	} {
		_, err := client(t).Complete(t.Context(), c.p.endpoint(), question)
		if domain.CodeOf(err) != domain.Upstream || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "sk-secret") {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// The addresses at which clouds tell a machine's secrets are never called.
func TestRefusesLinkLocal(t *testing.T) {
	for _, url := range []string{"http://169.254.169.254/v1", "http://[fe80::1%25lo]/v1", "http://[::ffff:169.254.169.254]/v1"} {
		_, err := client(t).Complete(t.Context(), llm.Endpoint{BaseURL: url, Key: "k"}, question)
		if domain.CodeOf(err) != domain.Upstream || !strings.Contains(err.Error(), "one link only") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
