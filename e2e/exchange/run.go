package exchange

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Runner sends exchanges to one server.
type Runner struct {
	BaseURL   string // http://host:port
	PublicKey string
	SecretKey string

	kept map[string]string // values of "<any:name>", for later exchanges of the file
}

// Run sends e and returns every difference between the answer and what e wants.
func (r *Runner) Run(e Exchange) ([]string, error) {
	if r.kept == nil {
		r.kept = map[string]string{}
	}
	req, err := r.request(e)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // a redirect is an answer to judge, not to follow
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	body := string(b)
	var found []string
	if resp.StatusCode != e.Status {
		found = append(found, fmt.Sprintf("got %s, want %d %s", resp.Status, e.Status, http.StatusText(e.Status)))
	}
	for name, values := range e.Answer {
		if got := resp.Header.Get(name); !strings.HasPrefix(got, values[0]) {
			found = append(found, fmt.Sprintf("header %s: got %q, want %q", name, got, values[0]))
		}
	}
	if e.Want != "" {
		found = append(found, Match(r.expand(e.Want), body, r.kept)...)
	}
	for _, text := range e.Without {
		if strings.Contains(body, text) {
			found = append(found, fmt.Sprintf("the answer contains %q and must not", text))
		}
	}
	if len(found) > 0 {
		found = append(found, "the answer was: "+body)
	}
	return found, nil
}

func (r *Runner) request(e Exchange) (*http.Request, error) {
	body := []byte(r.expand(e.Body))
	for name, values := range e.Header {
		if http.CanonicalHeaderKey(name) == "Content-Encoding" && values[0] == "gzip" {
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			w.Write(body)
			w.Close()
			body = packed.Bytes()
		}
	}
	req, err := http.NewRequest(e.Method, r.BaseURL+r.expand(e.Path), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(r.PublicKey, r.SecretKey)
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range e.Header {
		req.Header[name] = nil
		for _, v := range values {
			req.Header[name] = append(req.Header[name], r.expand(v))
		}
	}
	if req.Header.Get("Authorization") == "none" {
		req.Header.Del("Authorization")
	}
	return req, nil
}

// expand puts what earlier exchanges kept, and the keys, in place of {name}.
func (r *Runner) expand(text string) string {
	pairs := []string{"{publicKey}", r.PublicKey, "{secretKey}", r.SecretKey}
	for name, value := range r.kept {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
