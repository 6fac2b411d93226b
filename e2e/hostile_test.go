package e2e

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/clewhq/clew/e2e/harness"
)

// zeros is a gzip stream of that many megabytes of zeros: some kilobytes.
func zeros(t *testing.T, megabytes int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for range megabytes {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Whatever is sent to a route that writes, the answer is the sender's fault, and
// the server goes on.
func TestHostileBodies(t *testing.T) {
	s := harness.Start(t, "")
	r := rand.New(rand.NewPCG(1, 2))
	garbage := make([]byte, 4096)
	for i := range garbage {
		garbage[i] = byte(r.Uint32())
	}
	deep := strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	for _, route := range []string{
		"/api/public/ingestion", "/api/public/otel/v1/traces", "/v1/traces", "/api/public/scores", "/api/public/traces",
		"/api/public/spans", "/api/public/generations", "/api/public/events", "/api/public/models",
	} {
		for name, c := range map[string]struct {
			body     []byte
			encoding string
			typ      string
			want     int // 0: any refusal
		}{
			"garbage":          {body: garbage},
			"protobuf garbage": {body: garbage, typ: "application/x-protobuf"},
			"deep":             {body: []byte(deep)},
			"deep in a batch":  {body: []byte(`{"batch":[{"id":"1","type":"trace-create","timestamp":"2026-03-01T09:00:00Z","body":` + deep + `}]}`)},
			"NaN":              {body: []byte(`{"name":NaN}`)},
			"half":             {body: []byte(`{"batch":[{"id":"1","type":"trace-cre`)},
			"no gzip":          {body: []byte(`{}`), encoding: "gzip"},
			"a gzip bomb":      {body: zeros(t, 200), encoding: "gzip", want: http.StatusRequestEntityTooLarge},
			"64 MiB and one":   {body: bytes.Repeat([]byte(" "), 64<<20+1), want: http.StatusRequestEntityTooLarge},
		} {
			h := http.Header{}
			if c.encoding != "" {
				h.Set("Content-Encoding", c.encoding)
			}
			if c.typ != "" {
				h.Set("Content-Type", c.typ)
			}
			status, _, body := s.Do(http.MethodPost, route, h, c.body)
			if status < 400 || status >= 500 || c.want != 0 && status != c.want {
				t.Errorf("%s to %s: %d, want %d: %.200s", name, route, status, c.want, body)
			}
		}
	}
	if status, _, answer := postSpan(s, 1, "still here"); status != http.StatusOK {
		t.Fatalf("afterwards: %d %s", status, answer)
	}
	if got := inputOf(t, s, 1); got != "still here" {
		t.Errorf("afterwards a write reads as %q", got)
	}
}
