package langfuse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// fakeAuth knows three callers by their header; any other is nobody.
type fakeAuth struct{}

func (fakeAuth) Request(r *http.Request) (auth.Principal, error) {
	switch r.Header.Get("Authorization") {
	case "full":
		return auth.Principal{Org: "o", Project: "p", Scopes: auth.ProjectKey}, nil
	case "public":
		return auth.Principal{Org: "o", Project: "p", Scopes: auth.PublicKey}, nil
	case "org":
		return auth.Principal{Org: "o", Scopes: auth.Manage}, nil
	case "down":
		return auth.Principal{}, errors.New("catalog.db: disk I/O error")
	}
	return auth.Principal{}, domain.Errorf(domain.Unauthorized, "Invalid credentials. Confirm that you've configured the correct host.")
}

// arrived is the time at which every request of these tests arrives.
var arrived = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

type fixture struct {
	t      testing.TB
	writer *fakeWriter
	mux    *http.ServeMux
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{t: t, writer: &fakeWriter{}, mux: http.NewServeMux()}
	n := 0
	api := New(Options{
		Writer: f.writer, Auth: fakeAuth{}, MaxBody: 1 << 20,
		Now:   func() time.Time { return arrived },
		NewID: func() string { n++; return fmt.Sprintf("new-%d", n) },
	})
	api.paths = map[string]*pathRoutes{}
	api.writeRoutes(f.mux)
	return f
}

// send answers a request as status and body.
func (f *fixture) send(auth, method, path, body string) (int, string) {
	f.t.Helper()
	res := f.do(auth, method, path, body)
	out, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(out))
}

func (f *fixture) do(auth, method, path, body string) *http.Response {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", auth)
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w.Result()
}

// want checks an answer, written as "status body".
func (f *fixture) want(auth, method, path, body, want string) {
	f.t.Helper()
	status, got := f.send(auth, method, path, body)
	if diff := cmp.Diff(want, fmt.Sprint(status, " ", got)); diff != "" {
		f.t.Errorf("%s %s %.200s (-want +got):\n%s", method, path, body, diff)
	}
}
