// Package llm calls models over HTTP, by OpenAI's API for chat completions,
// which most providers, gateways and local servers speak.
package llm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/clewhq/clew/internal/domain"
)

// OpenAI is where the API is if an endpoint does not say.
const OpenAI = "https://api.openai.com/v1"

// The limits of a call.
const (
	dialWithin  = 10 * time.Second
	firstWithin = 5 * time.Minute // from the request to the first byte of its answer
	maxReply    = 32 << 20        // bytes
	maxComplain = 2 << 10         // bytes of what a provider says of a failure
)

// Endpoint is where models are called, and as whom.
type Endpoint struct {
	BaseURL string // "" = OpenAI; "/chat/completions" is put behind it
	Key     string // sent as bearer token
	Headers map[string]string
}

// Request is a call of a model.
type Request struct {
	Model      string
	Messages   []json.RawMessage          // as OpenAI has them
	Tools      []json.RawMessage          // schemas of functions, without a wrapper
	ToolChoice json.RawMessage            // "auto", "none", or {"name"}; nil: not said
	Params     map[string]json.RawMessage // temperature and the like, by OpenAI's names
}

// Call is a function that a model wants to have called.
type Call struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // JSON, as the model wrote it
}

// Reply is what a model answered.
type Reply struct {
	Content      string
	Calls        []Call
	Model        string // as the provider names it, "" if it does not
	InputTokens  int64
	OutputTokens int64
	FirstChunk   time.Duration // from the request to the first text of a stream
}

// Client calls models. It is safe for concurrent use.
type Client struct{ http *http.Client }

// NewClient makes a Client. It connects to any address but those that are of
// one link only, at which clouds tell a machine's own secrets: whoever may set
// a connection should not get at them by it. Redirects are not followed, since
// they would carry a key elsewhere.
func NewClient() *Client {
	dialer := net.Dialer{Timeout: dialWithin, Control: refuseLinkLocal}
	return &Client{&http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16,
			IdleConnTimeout: time.Minute, TLSHandshakeTimeout: dialWithin, ResponseHeaderTimeout: firstWithin,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := at.Addr().Unmap(); ip.IsLinkLocalUnicast() || ip.IsMulticast() {
		return fmt.Errorf("%s is an address of one link only, which is never called", ip)
	}
	return nil
}

// Close ends idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Complete calls a model and waits for all of its answer. A failure of the
// provider is domain.Upstream with what it said; a key is never part of it.
func (c *Client) Complete(ctx context.Context, e Endpoint, q Request) (*Reply, error) {
	res, err := c.post(ctx, e, q, false)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	if err == nil && len(b) > maxReply {
		err = fmt.Errorf("the answer is longer than %d bytes", maxReply)
	}
	if err != nil {
		return nil, failed(ctx, err)
	}
	var a answer
	if err := json.Unmarshal(b, &a); err != nil || len(a.Choices) == 0 {
		return nil, upstream("the provider's answer is no chat completion: " + shortened(b))
	}
	r := &Reply{}
	r.add(&a, &a.Choices[0].Message)
	return r, nil
}

// Stream calls a model and hands each piece of text to chunk as it comes. An
// error of chunk ends the call and is returned. The reply is what came until
// then, also beside an error; it is nil where nothing did.
func (c *Client) Stream(ctx context.Context, e Endpoint, q Request, chunk func(text string) error) (*Reply, error) {
	begun := time.Now()
	res, err := c.post(ctx, e, q, true)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	r := &Reply{}
	lines := bufio.NewScanner(io.LimitReader(res.Body, maxReply))
	lines.Buffer(nil, 1<<20)
	ended := false // by its last word, or by a reason to finish, which some servers leave it at
	for lines.Scan() {
		data, found := bytes.CutPrefix(lines.Bytes(), []byte("data:")) // of an event nothing else is used
		if !found {
			continue
		}
		data = bytes.TrimSpace(data)
		if string(data) == "[DONE]" {
			ended = true
			break
		}
		var a answer
		if err := json.Unmarshal(data, &a); err != nil {
			return r, upstream("the provider's stream holds what is no JSON: " + shortened(data))
		}
		if len(a.Error) > 0 {
			return r, upstream("the provider broke off: " + complaint(data))
		}
		text := ""
		if len(a.Choices) > 0 {
			text, ended = a.Choices[0].Delta.Content, ended || a.Choices[0].Finish != ""
			r.add(&a, &a.Choices[0].Delta)
		} else {
			r.add(&a, nil)
		}
		if text == "" {
			continue
		}
		if r.FirstChunk == 0 {
			r.FirstChunk = time.Since(begun)
		}
		if err := chunk(text); err != nil {
			return r, err
		}
	}
	switch err := lines.Err(); {
	case err != nil:
		return r, failed(ctx, err)
	case !ended:
		return r, upstream("the provider's stream ended before it was complete")
	}
	return r, nil
}

// answer is a completion or an event of a stream.
type answer struct {
	Model   string `json:"model"`
	Choices []struct {
		Message said   `json:"message"`
		Delta   said   `json:"delta"`
		Finish  string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		Input  int64 `json:"prompt_tokens"`
		Output int64 `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// said is a message or a part of one.
type said struct {
	Content string `json:"content"`
	Calls   []struct {
		Index    int  `json:"index"`
		Function Call `json:"function"`
	} `json:"tool_calls"`
	Legacy *Call `json:"function_call"`
}

// maxCalls bounds what the index of a call in a stream may be.
const maxCalls = 1000

// add puts a message, or a part of one, behind what came before.
func (r *Reply) add(a *answer, s *said) {
	if a.Model != "" {
		r.Model = a.Model
	}
	if a.Usage != nil {
		r.InputTokens, r.OutputTokens = a.Usage.Input, a.Usage.Output
	}
	if s == nil {
		return
	}
	r.Content += s.Content
	call := func(i int, c Call) {
		if i < 0 || i > maxCalls {
			return
		}
		for len(r.Calls) <= i {
			r.Calls = append(r.Calls, Call{})
		}
		r.Calls[i].Name += c.Name
		r.Calls[i].Arguments += c.Arguments
	}
	for i, c := range s.Calls {
		call(max(i, c.Index), c.Function) // a whole message has no indices
	}
	if s.Legacy != nil {
		call(0, *s.Legacy)
	}
}

// post sends a request and checks that its answer is a success.
func (c *Client) post(ctx context.Context, e Endpoint, q Request, stream bool) (*http.Response, error) {
	body, err := json.Marshal(q.wire(stream))
	if err != nil {
		return nil, err
	}
	base := e.BaseURL
	if base == "" {
		base = OpenAI
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(base, "/")+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+e.Key)
	for k, v := range e.Headers {
		req.Header.Set(k, v)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, failed(ctx, err)
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		b, err := io.ReadAll(io.LimitReader(res.Body, maxComplain))
		if err != nil {
			return nil, failed(ctx, err)
		}
		return nil, upstream(fmt.Sprintf("the provider answered %d: %s", res.StatusCode, complaint(b)))
	}
	return res, nil
}

// wire is the body of a request.
func (q *Request) wire(stream bool) map[string]any {
	body := map[string]any{"model": q.Model, "messages": q.Messages}
	for k, v := range q.Params {
		body[k] = v
	}
	if len(q.Tools) > 0 {
		tools := make([]any, len(q.Tools))
		for i, t := range q.Tools {
			tools[i] = map[string]any{"type": "function", "function": t}
		}
		body["tools"] = tools
		if len(q.ToolChoice) > 0 {
			body["tool_choice"] = q.ToolChoice
			if q.ToolChoice[0] == '{' {
				body["tool_choice"] = map[string]any{"type": "function", "function": q.ToolChoice}
			}
		}
	}
	if stream {
		body["stream"], body["stream_options"] = true, map[string]bool{"include_usage": true}
	}
	return body
}

func upstream(msg string) error { return &domain.Error{Code: domain.Upstream, Msg: msg} }

// failed is an error of the network as the caller may see it. A caller that has
// gone is told of by its context.
func failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL, in which there may be a key
	}
	return upstream("the provider can't be reached: " + err.Error())
}

// complaint is the message in the body of an error, else its beginning.
func complaint(b []byte) string {
	var e struct {
		Error json.RawMessage `json:"error"`
	}
	var inner struct {
		Message string `json:"message"`
	}
	var text string
	if json.Unmarshal(b, &e) == nil {
		if json.Unmarshal(e.Error, &inner) == nil && inner.Message != "" {
			return inner.Message
		}
		if json.Unmarshal(e.Error, &text) == nil && text != "" {
			return text
		}
	}
	return shortened(b)
}

func shortened(b []byte) string {
	const most = 300
	s := strings.ToValidUTF8(string(bytes.TrimSpace(b)), "\uFFFD")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
