package exchange_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/clewhq/clew/e2e/exchange"
	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := exchange.Parse(strings.Join([]string{
		"# a comment", "> POST /a", "> X_y: z", "{", "}", "< Not Found {\"a\":", "1}", "< Content-Type: text", "! secret", "",
		"> GET /b", "< OK",
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []exchange.Exchange{
		{
			Line: 2, Method: "POST", Path: "/a", Header: http.Header{"X_y": {"z"}}, Body: "{\n}", Status: 404,
			Want: "{\"a\":\n1}", Answer: http.Header{"Content-Type": {"text"}}, Without: []string{"secret"},
		},
		{Line: 11, Method: "GET", Path: "/b", Header: http.Header{}, Answer: http.Header{}, Status: 200},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"< OK", "> GET a\n< OK", "> GET /a", "> GET /a\n< Fine", "> GET /a\n> {}\n< OK", "> GET /a\n< OK\n\nstray"} {
		if got, err := exchange.Parse(text); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", text, got)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		want, got string
		differs   int
	}{
		{`{"a":1,"b":[true,null]}`, `{"b":[true,null],"a":1}`, 0},
		{`{"a":1}`, `{"a":1,"b":2}`, 1},
		{`{"a":1, ...}`, `{"a":1,"b":2}`, 0},
		{`{"a":1, ...}`, `{"b":2}`, 1},
		{`[1, ...]`, `[1,2,3]`, 0},
		{`[1, ...]`, `[2,3]`, 1},
		{`[1]`, `[1,2]`, 1},
		{`{"a":"... {"}`, `{"a":"... {"}`, 0},
		{`{"a":1}`, `{"a":1.0}`, 1},
		{`{"a":0.5}`, `{"a":5e-1}`, 0},
		{`{"a":12345678901234567890}`, `{"a":12345678901234567891}`, 1},
		{`{"a":"<any>"}`, `{"a":null}`, 1},
		{`{"a":"<any>","b":"<number>","c":"<text>"}`, `{"a":[],"b":2,"c":""}`, 0},
		{`{"b":"<number>","c":"<text>"}`, `{"b":"2","c":2}`, 2},
		{`{"a":"<time>"}`, `{"a":"2026-01-02T03:04:05.678Z"}`, 0},
		{`{"a":"<time>"}`, `{"a":"2026-01-02T03:04:05Z"}`, 1},
		{`{"a":"<~^b+$>"}`, `{"a":"bbb"}`, 0},
		{`{"a":"<~^b+$>"}`, `{"a":"abc"}`, 1},
		{`{"a":"<what>"}`, `{"a":"abc"}`, 1},
		{`{"a":null}`, `{}`, 1},
		{`{}`, `oops`, 1},
		{`{}`, `{} {}`, 1},
		{`{`, `{}`, 1},
	} {
		if found := exchange.Match(c.want, c.got, map[string]string{}); len(found) != c.differs {
			t.Errorf("Match(%s, %s) = %q, want %d differences", c.want, c.got, found, c.differs)
		}
	}
}

func TestRun(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, _, ok := r.BasicAuth(); {
		case r.URL.Path == "/made" && user == "pk":
			w.Write([]byte(`{"id":"i1"}`))
		case r.URL.Path == "/made/i1" && !ok:
			w.WriteHeader(http.StatusUnauthorized)
			w.Write([]byte(`{"message":"secret"}`))
		default:
			http.Redirect(w, r, "/made", http.StatusFound)
		}
	}))
	defer srv.Close()
	script, err := exchange.Parse(`
> POST /made
{}
< OK {"id":"<any:id>"}

> GET /made/{id}
> Authorization: none
< Unauthorized {"message":"secret"}

> GET /made/{id}
> Authorization: none
< OK
! secret

> GET /elsewhere
< Found
< Location: /made
`)
	if err != nil {
		t.Fatal(err)
	}
	r := exchange.Runner{BaseURL: srv.URL, PublicKey: "pk", SecretKey: "sk"}
	var got []int
	for _, e := range script {
		found, err := r.Run(e)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, len(found))
	}
	// The third differs in its status and in what it must not contain; then the answer is shown.
	if diff := cmp.Diff([]int{0, 0, 3, 0}, got); diff != "" {
		t.Errorf("differences of each exchange (-want +got):\n%s", diff)
	}
}
