package langfuse

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzWrite sends any bytes to a route that takes events or objects: the answer
// is never a failure of ours, and what is taken has what the writer relies on.
func FuzzWrite(f *testing.F) {
	routes := []string{"/ingestion", "/scores", "/traces", "/spans", "/generations", "/events"}
	f.Add(uint8(0), []byte(`{"batch":[{"id":"1","type":"generation-create","timestamp":"2026-03-01T09:00:00Z","body":{"id":"g","traceId":"t","usage":{"promptTokens":1},"metadata":[1],"input":{"a":1e999}}}]}`))
	f.Add(uint8(0), []byte(`{"batch":[{"id":"1","type":"score-create","timestamp":"2026-03-01T09:00:00+02:00","body":{"traceId":"t","name":"n","value":"x"}}, 7, null]}`))
	f.Add(uint8(1), []byte(`[{"id":"s","traceId":"t","name":"n","value":0.5},{"sessionId":"x","name":"","value":1}]`))
	f.Add(uint8(2), []byte(`{"id":"t","tags":["a",null,1],"metadata":{"k":{"k":[]}},"public":"yes","timestamp":null}`))
	f.Add(uint8(4), []byte(`{"id":"g","usageDetails":{"input":"12","x":-1},"costDetails":{"total":1e-9},"promptName":"p","promptVersion":1.0}`))
	f.Fuzz(func(t *testing.T, route uint8, body []byte) {
		w := &fakeWriter{}
		mux := http.NewServeMux()
		New(Options{Writer: w, Auth: fakeAuth{}, MaxBody: 1 << 20}).Routes(mux)
		r := httptest.NewRequest("POST", "/api/public"+routes[int(route)%len(routes)], strings.NewReader(string(body)))
		r.Header.Set("Authorization", "full")
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Fatalf("%s: %d %s", r.URL.Path, rec.Code, rec.Body)
		}
		for _, b := range w.batches {
			for i := range b.Observations {
				if p := &b.Observations[i]; p.Value.ID == "" || p.Value.Type == "" || !p.Value.Start.IsSet() {
					t.Fatalf("an observation lacks what it needs: %+v", p.Value)
				}
			}
			for i := range b.Scores {
				if b.Scores[i].Value.ID == "" || b.Scores[i].Value.Name == "" {
					t.Fatalf("a score lacks what it needs: %+v", b.Scores[i].Value)
				}
			}
		}
	})
}
