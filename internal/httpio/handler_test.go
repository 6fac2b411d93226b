package httpio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Everything that a path can be reaches its handler, and nothing is answered
// with a redirect.
func TestPaths(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/public/traces/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "trace %q", r.PathValue("id"))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "root") })
	srv := httptest.NewServer(httpio.Around(mux, quiet()))
	defer srv.Close()
	for _, c := range []struct{ path, want string }{
		{"/api/public/traces/t1", `trace "t1"`},
		{"//api/public/traces/t1", `trace "t1"`},
		{"/api///public//traces/t1", `trace "t1"`},
		{"//api/public/traces/a%2Fb", `trace "a/b"`},
		{"/api/public/traces/a%2Fb%2F%2Fc", `trace "a/b//c"`},
		{"/api/public/traces/..", `trace ".."`},
		{"//api/public/traces/.", `trace "."`},
		{"/api/public/traces/%2e%2e", `trace ".."`},
		{"/api/public/traces/a%20b%3Fc%25", `trace "a b?c%"`},
		{"/api/public/traces/../traces/t1", "root"},
		{"/api/public/traces/t1/", "root"},
		{"/api/public/traces/x//", "root"},
		{"/", "root"},
		{"//", "root"},
	} {
		for _, method := range []string{"GET", "POST"} {
			conn := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			req, err := http.NewRequest(method, srv.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.URL.Opaque = "//" + strings.TrimPrefix(srv.URL, "http://") + c.path // sent as it is
			resp, err := conn.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 || string(body) != c.want {
				t.Errorf("%s %s: %d %q, want 200 %q", method, c.path, resp.StatusCode, body, c.want)
			}
		}
	}
}

func TestPanic(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/early", func(http.ResponseWriter, *http.Request) { panic("secret words") })
	mux.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat("half ", 10_000))
		panic("secret words")
	})
	var log bytes.Buffer
	srv := httptest.NewServer(httpio.Around(mux, slog.New(slog.NewTextHandler(&log, nil))))
	defer srv.Close()

	resp, err := http.Get(srv.URL + "/early")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 500 || !strings.Contains(string(body), "Internal Server Error") || strings.Contains(string(body), "secret") {
		t.Errorf("early panic: %d %s; want 500 that tells nothing", resp.StatusCode, body)
	}
	resp, err = http.Get(srv.URL + "/late")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("late panic: the answer ended as if it were whole")
	}
	srv.Close()
	if got := strings.Count(log.String(), "secret words"); got < 2 {
		t.Errorf("%d panics in the log, want 2:\n%s", got, log.String())
	}
}

func TestRequestLog(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	var log bytes.Buffer
	h := httpio.Around(mux, slog.New(slog.NewTextHandler(&log, nil)))
	r := httptest.NewRequest("GET", "/things//hidden?key=hidden", strings.NewReader("hidden"))
	r.Header.Set("Authorization", "hidden")
	h.ServeHTTP(httptest.NewRecorder(), r)
	for _, want := range []string{"method=GET", `route="GET /things/{id}"`, "status=418", "took="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %q lacks %q", log.String(), want)
		}
	}
	if strings.Contains(log.String(), "hidden") {
		t.Errorf("log %q tells what only the caller should know", log.String())
	}
}

func TestCORS(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "done") })
	h := httpio.CORS(mux, "/api/public/")
	do := func(method, path, origin string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
			r.Header.Set("Access-Control-Request-Headers", "authorization, x-langfuse-sdk-name")
		}
		h.ServeHTTP(w, r)
		return w
	}
	pre := do("OPTIONS", "/api/public/scores", "https://app.example")
	for k, want := range map[string]string{
		"Access-Control-Allow-Origin":      "https://app.example",
		"Access-Control-Allow-Headers":     "authorization, x-langfuse-sdk-name",
		"Access-Control-Allow-Credentials": "",
	} {
		if got := pre.Header().Get(k); got != want {
			t.Errorf("preflight: %s is %q, want %q", k, got, want)
		}
	}
	if pre.Code != 204 || pre.Body.Len() != 0 {
		t.Errorf("preflight: %d with %d bytes, want 204 and none", pre.Code, pre.Body.Len())
	}
	if got := do("POST", "/api/public/scores", "null"); got.Header().Get("Access-Control-Allow-Origin") != "null" || got.Body.String() != "done" {
		t.Errorf("simple request: %v %q, want its origin and the answer", got.Header(), got.Body)
	}
	if got := do("OPTIONS", "/other", "https://app.example"); got.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("outside the prefixes: %v, want no CORS", got.Header())
	}
}

func TestStatus(t *testing.T) {
	for code, want := range map[domain.Code]int{
		"": 200, domain.Invalid: 400, domain.Unauthorized: 401, domain.Forbidden: 403, domain.NotFound: 404,
		domain.Conflict: 409, domain.TooLarge: 413, domain.Busy: 429, domain.Unavailable: 503, domain.Upstream: 502,
		domain.Canceled: 499, domain.Internal: 500, "unheard of": 500,
	} {
		if got := httpio.Status(code); got != want {
			t.Errorf("status of %q: %d, want %d", code, got, want)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	w := httptest.NewRecorder()
	httpio.WriteJSON(w, 201, map[string]string{"a": "<b>&"})
	if w.Code != 201 || w.Body.String() != `{"a":"<b>&"}`+"\n" || w.Header().Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	httpio.WriteJSON(w, 200, func() {})
	if w.Code != 500 || !strings.HasPrefix(w.Body.String(), `{"message"`) {
		t.Errorf("what JSON cannot say: %d %q, want 500 and JSON", w.Code, w.Body)
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&domain.Error{Code: domain.Busy, RetryAfter: 1500 * time.Millisecond}, "2"},
		{domain.Errorf(domain.Busy, "full"), "1"},
		{fmt.Errorf("write: %w", domain.Errorf(domain.Unavailable, "stopping")), "1"},
		{domain.Errorf(domain.Invalid, "no"), ""},
		{errors.New("no"), ""},
	} {
		w := httptest.NewRecorder()
		httpio.RetryAfter(w, c.err)
		if got := w.Header().Get("Retry-After"); got != c.want {
			t.Errorf("%v: Retry-After %q, want %q", c.err, got, c.want)
		}
	}
}
