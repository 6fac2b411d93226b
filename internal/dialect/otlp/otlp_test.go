package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/ingest"
	"github.com/clewhq/clew/internal/store"
)

// fakeWriter keeps what it is given, or fails as it is told to.
type fakeWriter struct {
	batches []*store.Batch
	reject  []ingest.Rejection
	err     error
}

func (w *fakeWriter) Write(_ context.Context, b *store.Batch) ([]ingest.Rejection, error) {
	if w.err != nil {
		return nil, w.err
	}
	w.batches = append(w.batches, b)
	return w.reject, nil
}

// fakeAuth knows callers by their header.
type fakeAuth struct{}

func (fakeAuth) Request(r *http.Request) (auth.Principal, error) {
	switch r.Header.Get("Authorization") {
	case "full":
		return auth.Principal{Project: "p", Scopes: auth.ProjectKey}, nil
	case "public":
		return auth.Principal{Project: "p", Scopes: auth.PublicKey}, nil
	}
	return auth.Principal{}, domain.Errorf(domain.Unauthorized, "Invalid credentials.")
}

type call struct {
	method, path, contentType, encoding, as string
	body                                    []byte
}

func (c call) do(w *fakeWriter, maxBody int64) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	New(Options{Writer: w, Auth: fakeAuth{}, MaxBody: maxBody, Now: func() time.Time { return time.Unix(0, arrived.Nanos()) }}).Routes(mux)
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.path == "" {
		c.path = "/v1/traces"
	}
	if c.as == "" {
		c.as = "full"
	}
	r := httptest.NewRequest(c.method, c.path, bytes.NewReader(c.body))
	r.Header.Set("Content-Type", c.contentType)
	r.Header.Set("Authorization", c.as)
	if c.encoding != "" {
		r.Header.Set("Content-Encoding", c.encoding)
	}
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, r)
	return rec
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b) // a bytes.Buffer takes all
	_ = z.Close()
	return out.Bytes()
}

var (
	jsonSpan  = []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"30313233343536373839616263646566","spanId":"3031323334353637","name":"n"}]}]}]}`)
	protoSpan = func() []byte {
		b, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{
			TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"), Name: "n",
		}}}}}}})
		if err != nil {
			panic(err)
		}
		return b
	}()
)

const (
	protobufType = "application/x-protobuf"
	jsonType     = "application/json"
)

// Each path takes both encodings, plain and compressed, and answers in kind.
func TestAccepted(t *testing.T) {
	for _, path := range []string{"/v1/traces", "/api/public/otel/v1/traces"} {
		for _, c := range []call{
			{contentType: jsonType, body: jsonSpan},
			{contentType: "application/json; charset=utf-8", body: jsonSpan},
			{contentType: jsonType, encoding: "gzip", body: zipped(jsonSpan)},
			{contentType: protobufType, body: protoSpan},
			{contentType: protobufType, encoding: "gzip", body: zipped(protoSpan)},
		} {
			c.path = path
			w := &fakeWriter{}
			rec := c.do(w, 0)
			if rec.Code != http.StatusOK || len(w.batches) != 1 {
				t.Fatalf("%s %s %s: %d, %d batches: %s", path, c.contentType, c.encoding, rec.Code, len(w.batches), rec.Body)
			}
			b := w.batches[0]
			if b.Project != "p" || len(b.Observations) != 1 || b.Observations[0].Value.TraceID != "30313233343536373839616263646566" {
				t.Errorf("%s %s: batch %+v", path, c.contentType, b)
			}
			want, wantType := "{}\n", "application/json; charset=utf-8"
			if c.contentType == protobufType {
				want, wantType = "", protobufType
			}
			if rec.Body.String() != want || rec.Header().Get("Content-Type") != wantType {
				t.Errorf("%s %s: answers %q of %q", path, c.contentType, rec.Body, rec.Header().Get("Content-Type"))
			}
		}
	}
	for _, c := range []call{{contentType: protobufType}, {contentType: jsonType, body: []byte("{}")}, {contentType: jsonType, body: []byte(`{"resourceSpans":[]}`)},
		{path: "/v1/metrics", contentType: protobufType, body: []byte("\x0a\x00")}, {path: "/api/public/otel/v1/metrics", contentType: jsonType, body: []byte("{}")}} {
		w := &fakeWriter{}
		if rec := c.do(w, 0); rec.Code != http.StatusOK || len(w.batches) != 0 {
			t.Errorf("%s %q: %d, %d batches", c.path, c.body, rec.Code, len(w.batches))
		}
	}
}

func TestRefused(t *testing.T) {
	bomb := zipped(bytes.Repeat([]byte(" "), 1<<20))
	for name, c := range map[string]struct {
		call
		status int
		says   string
	}{
		"method":               {call{method: "GET", contentType: jsonType}, 405, "Method not allowed"},
		"nobody":               {call{as: "x", contentType: jsonType, body: jsonSpan}, 401, "Invalid credentials."},
		"public key alone":     {call{as: "public", contentType: protobufType, body: protoSpan}, 403, "Access denied"},
		"content type":         {call{contentType: "text/plain", body: jsonSpan}, 400, "Content-Type must be"},
		"broken JSON":          {call{contentType: jsonType, body: []byte(`{"resourceSpans":[`)}, 400, "not valid JSON"},
		"no body in JSON":      {call{contentType: jsonType}, 400, "not valid JSON"},
		"a JSON list":          {call{contentType: jsonType, body: []byte(`[]`)}, 400, "not a JSON object"},
		"broken protobuf":      {call{contentType: protobufType, body: []byte("\x0a\xff")}, 400, "not an OTLP protobuf message"},
		"truncated protobuf":   {call{contentType: protobufType, body: protoSpan[:len(protoSpan)-3]}, 400, "not an OTLP protobuf message"},
		"bad gzip":             {call{contentType: jsonType, encoding: "gzip", body: jsonSpan}, 400, "gzip"},
		"unknown encoding":     {call{contentType: jsonType, encoding: "br", body: jsonSpan}, 400, "br"},
		"too large":            {call{contentType: jsonType, body: bytes.Repeat([]byte(" "), 1001)}, 413, "larger than the limit of 1000 bytes"},
		"a gzip bomb":          {call{contentType: jsonType, encoding: "gzip", body: bomb}, 413, "larger than the limit"},
		"nothing is a span":    {call{contentType: jsonType, body: []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"log"}]}]}]}`)}, 400, "another signal"},
		"spans are no list":    {call{contentType: jsonType, body: []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}`)}, 400, "spans is not a list"},
		"metrics, as nobody":   {call{path: "/v1/metrics", as: "x", contentType: jsonType}, 401, "Invalid credentials."},
		"deep nesting in gzip": {call{contentType: jsonType, body: []byte(strings.Repeat("[", 900))}, 400, "not valid JSON"},
	} {
		w := &fakeWriter{}
		rec := c.do(w, 1000)
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.says) || len(w.batches) > 0 {
			t.Errorf("%s: %d %q, want %d and %q", name, rec.Code, rec.Body, c.status, c.says)
		}
		if want := c.contentType; want == protobufType && rec.Header().Get("Content-Type") != protobufType {
			t.Errorf("%s: answered as %s", name, rec.Header().Get("Content-Type"))
		}
	}
}

// What the writer says reaches the exporter in the form that makes it retry.
func TestWriterFails(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		retry  string
	}{
		{&domain.Error{Code: domain.Busy, Msg: "too much waits", RetryAfter: 1500 * time.Millisecond}, 503, "2"},
		{&domain.Error{Code: domain.Unavailable, Msg: "the disk is full", RetryAfter: 5 * time.Second}, 503, "5"},
		{fmt.Errorf("secret detail"), 500, ""},
	} {
		rec := call{contentType: jsonType, body: jsonSpan}.do(&fakeWriter{err: c.err}, 0)
		if rec.Code != c.status || rec.Header().Get("Retry-After") != c.retry || strings.Contains(rec.Body.String(), "secret") {
			t.Errorf("%v: %d, Retry-After %q: %s", c.err, rec.Code, rec.Header().Get("Retry-After"), rec.Body)
		}
	}
	reject := []ingest.Rejection{{Kind: ingest.Observation, Index: 0, Err: domain.Errorf(domain.TooLarge, "input is too long")}}
	rec := call{contentType: jsonType, body: jsonSpan}.do(&fakeWriter{reject: reject}, 0)
	want := `{"partialSuccess":{"rejectedSpans":"1","errorMessage":"1 spans were rejected: span 3031323334353637: input is too long"}}` + "\n"
	if rec.Code != http.StatusOK || rec.Body.String() != want {
		t.Errorf("a rejected span: %d %s, want %s", rec.Code, rec.Body, want)
	}
	rec = call{contentType: protobufType, body: protoSpan}.do(&fakeWriter{reject: reject}, 0)
	if got := rec.Body.String(); rec.Code != http.StatusOK || !strings.HasPrefix(got, "\x0a") || !strings.Contains(got, "input is too long") {
		t.Errorf("a rejected span in protobuf: %d %q", rec.Code, got)
	}
}

func TestSender(t *testing.T) {
	for _, c := range []struct {
		name, version string
		want          bool
	}{{"python", "5.0.4", true}, {"python", "6.1.0", true}, {"python", "4.14.0", false}, {"javascript", "5.11.1", false}, {"python", "", false}} {
		h := http.Header{}
		h.Set("X-Langfuse-Sdk-Name", c.name)
		h.Set("X-Langfuse-Sdk-Version", c.version)
		if got := senderOf(h); got.JSONMetadata != c.want {
			t.Errorf("%s %s: %+v", c.name, c.version, got)
		}
	}
	h := http.Header{"X_langfuse_sdk_name": {"python"}, "X_langfuse_sdk_version": {"5.0.0"}}
	if !senderOf(h).JSONMetadata {
		t.Error("the spelling with underscores is not read")
	}
}

// FuzzExport sends any bytes in either encoding: the answer is never a failure
// of ours, and what is taken has the form that the writer relies on.
func FuzzExport(f *testing.F) {
	f.Add(true, protoSpan)
	f.Add(false, jsonSpan)
	f.Add(false, []byte(body("other", attrs("gen_ai.prompt.0.content", "x", "gen_ai.prompt.99999.content", "y", "gen_ai.prompt.__proto__", "z"), `,"events":[{"name":"gen_ai.choice","attributes":[{"key":"a"}]}]`)))
	f.Add(false, []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"a","spanId":"b","attributes":{"langfuse.trace.tags":["x"],"metadata":null}}]}]}]}`))
	f.Fuzz(func(t *testing.T, protobuf bool, b []byte) {
		c := call{contentType: jsonType, body: b}
		if protobuf {
			c.contentType = protobufType
		}
		w := &fakeWriter{}
		if rec := c.do(w, 1<<20); rec.Code >= 500 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		for _, batch := range w.batches {
			for i := range batch.Observations {
				p := &batch.Observations[i]
				if p.Value.ID == "" || p.Value.TraceID == "" || !p.Value.Start.IsSet() || p.Value.Type == "" {
					t.Fatalf("an observation lacks what it needs: %+v", p.Value)
				}
				for part := range p.Content {
					if c := p.Content[part]; c.Kind == domain.JSON && !validJSON(c.Data) {
						t.Fatalf("%v is no JSON: %q", domain.Part(part), c.Data)
					}
				}
			}
		}
	})
}

func validJSON(b []byte) bool {
	_, ok := validCursor(b)
	return ok
}

func BenchmarkExport(b *testing.B) {
	text := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 100)[:4096]
	var spans []*tracepb.Span
	x, err := decodeJSON([]byte(body(sdk, attrs("langfuse.observation.type", "generation", "langfuse.observation.input", `[{"role":"user","content":"`+text+`"}]`,
		"langfuse.observation.output", text[:1024], "langfuse.observation.model.name", "gpt-4o", "langfuse.observation.usage_details", `{"input":10,"output":5}`,
		"user.id", "u", "session.id", "s", "langfuse.observation.metadata.step", "1"), "")))
	if err != nil {
		b.Fatal(err)
	}
	for i := range 200 {
		s := proto.CloneOf(x.sources[0].spans[0])
		s.TraceId, s.SpanId = []byte(fmt.Sprintf("%016d", i/8)), []byte(fmt.Sprintf("%08d", i))
		spans = append(spans, s)
	}
	raw, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: x.sources[0].resource, ScopeSpans: []*tracepb.ScopeSpans{{Scope: x.sources[0].scope, Spans: spans}},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		x, err := decodeProtobuf(raw)
		if err != nil {
			b.Fatal(err)
		}
		m := mapper{now: arrived}
		if out, _ := m.observations(&x); len(out) != 200 {
			b.Fatal("spans are missing")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(200*b.N), "µs/span")
}
