package langfuse

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
)

// readStore answers reads from values made by hand.
type readStore struct {
	store.Traces // panics where a test needs more than it set
	traces       map[string]*store.Trace
	scores       map[string]domain.Score
	deleted      []string
	ready        error
	contents     map[string][]domain.Content // by trace
	own          map[string]domain.Content
	failAt       int // Each fails after so many contents; 0: never
	passes       int // how often Each was called
}

func (s *readStore) Trace(_ context.Context, project, id string) (*store.Trace, error) {
	t := s.traces[project+"/"+domain.TraceKey(id)]
	if t == nil {
		return nil, domain.Errorf(domain.NotFound, "trace not found")
	}
	out := *t
	out.Source = &readContents{s, project + "/" + domain.TraceKey(id)}
	return &out, nil
}

func (s *readStore) Observation(_ context.Context, project, id string) (*store.Observation, error) {
	for key, t := range s.traces {
		for i := range t.Observations {
			if o := &t.Observations[i]; o.ID == id && strings.HasPrefix(key, project+"/") {
				return &store.Observation{Observation: *o, Trace: t.Trace, Content: s.contents[key][i]}, nil
			}
		}
	}
	return nil, domain.Errorf(domain.NotFound, "observation not found")
}

func (s *readStore) Score(_ context.Context, project, id string) (domain.Score, error) {
	sc, found := s.scores[project+"/"+id]
	if !found {
		return domain.Score{}, domain.Errorf(domain.NotFound, "score not found")
	}
	return sc, nil
}

func (s *readStore) DeleteTraces(_ context.Context, project string, ids []string) error {
	for _, id := range ids {
		s.deleted = append(s.deleted, project+"/"+id)
	}
	return nil
}

func (s *readStore) Ready(context.Context) error { return s.ready }

type readContents struct {
	s   *readStore
	key string
}

func (c *readContents) Own(context.Context) (domain.Content, error) { return c.s.own[c.key], nil }

func (c *readContents) Each(ctx context.Context, f func(int, *domain.Content) error) error {
	c.s.passes++
	for i := range c.s.traces[c.key].Observations {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.s.failAt > 0 && i == c.s.failAt {
			return fmt.Errorf("the disk is gone")
		}
		content := c.s.contents[c.key][i] // valid until f returns
		if err := f(i, &content); err != nil {
			return err
		}
	}
	return nil
}

// put keeps a trace of project "prj_demo", folded from own and its observations.
func (s *readStore) put(own domain.Trace, content domain.Content, obs []domain.Observation, contents []domain.Content, scores ...domain.Score) {
	var r domain.Rollup
	for i := range obs {
		r.Add(&obs[i])
	}
	key := "prj_demo/" + domain.TraceKey(own.ID)
	if s.traces == nil {
		s.traces, s.contents, s.own = map[string]*store.Trace{}, map[string][]domain.Content{}, map[string]domain.Content{}
	}
	s.traces[key] = &store.Trace{Trace: r.Trace(own), RootID: r.RootID(), Observations: obs, Scores: scores}
	s.contents[key], s.own[key] = contents, content
}

// asProject lets everybody in as one caller.
type asProject auth.Principal

func (p asProject) Request(*http.Request) (auth.Principal, error) { return auth.Principal(p), nil }

// readServer is an API over st for one caller.
func readServer(st *readStore, p auth.Principal) *http.ServeMux {
	mux := http.NewServeMux()
	New(Options{Traces: st, Auth: asProject(p), Version: "0.3.0"}).Routes(mux)
	return mux
}

var demo = auth.Principal{Org: "org_1", Project: "prj_demo", Scopes: auth.ProjectKey}

// get asks mux and answers status and body.
func get(t *testing.T, mux *http.ServeMux, target string) (int, string) {
	t.Helper()
	return ask(t, mux, http.MethodGet, target, "")
}

func ask(t *testing.T, mux *http.ServeMux, method, target, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	if ct := w.Header().Get("Content-Type"); ct != "application/json; charset=utf-8" {
		t.Errorf("%s %s: Content-Type %q, want application/json; charset=utf-8", method, target, ct)
	}
	return w.Code, w.Body.String()
}

// decode reads a JSON answer; numbers keep their digits.
func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("the answer is no JSON object: %v\n%.500s", err, body)
	}
	return v
}

func at(t *testing.T, s string) domain.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return domain.TimeOf(v)
}

// demoTrace is the trace of the full example of the Langfuse API.
func demoTrace(t *testing.T) *readStore {
	t.Helper()
	const id = "7f3c9a1e5b2d4c6f8a0b1c2d3e4f5061"
	arrived := at(t, "2026-03-01T09:00:02.100999Z")
	own := domain.Trace{
		ID: id, Name: "support-answer", Timestamp: at(t, "2026-03-01T09:00:00Z"), Environment: "production",
		Tags: []string{"beta", "faq"}, Release: "r42", UserID: "u-17", SessionID: "s-3", CreatedAt: arrived, UpdatedAt: arrived,
	}
	o := domain.Observation{
		TraceID: id, ID: "a1b2c3d4e5f60718", Type: domain.TypeGeneration, Name: "llm", Environment: "production",
		Start: at(t, "2026-03-01T09:00:00Z"), End: at(t, "2026-03-01T09:00:01.850Z"), CompletionStart: at(t, "2026-03-01T09:00:00.4Z"),
		CreatedAt: arrived, UpdatedAt: arrived, Model: "demo-1", ModelParameters: []byte(`{"temperature": 0.2}`),
		PromptName: "support/answer", PromptVersion: domain.Some[int64](3),
		Derived: domain.Derived{
			ModelID: "mdl_1",
			Usage:   domain.Usage{{Key: "input", Units: 300}, {Key: "input_cached_tokens", Units: 100}, {Key: "output", Units: 50}, {Key: "total", Units: 450}},
			Cost: domain.Cost{
				{Key: "input", Amount: 1_500_000_000}, {Key: "input_cached_tokens", Amount: 100_000_000},
				{Key: "output", Amount: 500_000_000}, {Key: "total", Amount: 2_100_000_000},
			},
			TotalCost: domain.Some[domain.Money](2_100_000_000),
			TierID:    "mdl_1_tier_default", TierName: "Standard",
		},
	}
	c := domain.Content{}
	c[domain.Input] = domain.JSONBody([]byte(`[{"role": "user", "content": "How do I reset it?"}]`))
	c[domain.Output] = domain.TextBody(`{"role": "assistant", "content": "Hold the button for 5 s."}`)
	content := domain.Content{}
	content[domain.Input] = domain.TextBody(`{"question": "How do I reset it?"}`)
	content[domain.Output] = domain.TextBody("Hold the button for 5 s.")
	content[domain.Metadata] = domain.JSONBody([]byte(`{"tier": "gold", "resourceAttributes": {"service.name": "bot"},
		"scope": {"name": "langfuse-sdk", "version": "4.14.3", "attributes": {"public_key": "pk-lf-demo"}}}`))
	score := domain.Score{
		ID: "sc_1", TraceID: id, Environment: "production", Name: "helpful", Source: domain.SourceAPI, Type: domain.ScoreBoolean,
		Value: domain.Some(1.0), StringValue: "True", Timestamp: at(t, "2026-03-01T09:00:02.900Z"),
		CreatedAt: at(t, "2026-03-01T09:00:03Z"), UpdatedAt: at(t, "2026-03-01T09:00:03Z"),
	}
	correction := score
	correction.ID, correction.Type, correction.StringValue = "sc_2", domain.ScoreCorrection, "better"
	st := &readStore{}
	st.put(own, content, []domain.Observation{o}, []domain.Content{c}, score, correction)
	st.scores = map[string]domain.Score{"prj_demo/sc_1": score, "prj_demo/sc_2": correction}
	return st
}

const demoPath = "/api/public/traces/7f3c9a1e5b2d4c6f8a0b1c2d3e4f5061"

const demoObservation = `{
    "id": "a1b2c3d4e5f60718", "projectId": "prj_demo", "traceId": "7f3c9a1e5b2d4c6f8a0b1c2d3e4f5061",
    "parentObservationId": null, "type": "GENERATION", "name": "llm", "environment": "production",
    "startTime": "2026-03-01T09:00:00.000Z", "endTime": "2026-03-01T09:00:01.850Z", "completionStartTime": "2026-03-01T09:00:00.400Z",
    "level": "DEFAULT", "statusMessage": null, "version": null,
    "createdAt": "2026-03-01T09:00:02.100Z", "updatedAt": "2026-03-01T09:00:02.100Z",
    "input": [{"role": "user", "content": "How do I reset it?"}], "output": {"role": "assistant", "content": "Hold the button for 5 s."},
    "metadata": {}, "model": "demo-1", "modelParameters": {"temperature": 0.2}, "modelId": "mdl_1",
    "promptId": null, "promptName": "support/answer", "promptVersion": 3,
    "usageDetails": {"input": 300, "input_cached_tokens": 100, "output": 50, "total": 450},
    "costDetails": {"input": 0.0015, "input_cached_tokens": 0.0001, "output": 0.0005, "total": 0.0021},
    "usage": {"unit": "TOKENS", "input": 400, "output": 50, "total": 450},
    "unit": "TOKENS", "promptTokens": 400, "completionTokens": 50, "totalTokens": 450,
    "calculatedInputCost": 0.0016, "calculatedOutputCost": 0.0005, "calculatedTotalCost": 0.0021,
    "inputPrice": 0, "outputPrice": 0, "totalPrice": 0,
    "usagePricingTierId": "mdl_1_tier_default", "usagePricingTierName": "Standard",
    "latency": 1.85, "timeToFirstToken": 0.4
  }`

const demoScore = `{
    "id": "sc_1", "projectId": "prj_demo", "environment": "production", "name": "helpful", "source": "API",
    "authorUserId": null, "comment": null, "metadata": {}, "configId": null, "queueId": null, "executionTraceId": null,
    "createdAt": "2026-03-01T09:00:03.000Z", "updatedAt": "2026-03-01T09:00:03.000Z", "timestamp": "2026-03-01T09:00:02.900Z",
    "traceId": "7f3c9a1e5b2d4c6f8a0b1c2d3e4f5061", "observationId": null, "dataType": "BOOLEAN", "value": 1, "stringValue": "True"
  }`

const demoAnswer = `{
  "id": "7f3c9a1e5b2d4c6f8a0b1c2d3e4f5061", "projectId": "prj_demo", "externalId": null,
  "name": "support-answer", "timestamp": "2026-03-01T09:00:00.000Z", "environment": "production",
  "tags": ["beta", "faq"], "bookmarked": false, "public": false, "release": "r42", "version": null,
  "userId": "u-17", "sessionId": "s-3",
  "input": {"question": "How do I reset it?"}, "output": "Hold the button for 5 s.",
  "metadata": {"tier": "gold", "resourceAttributes": {"service.name": "bot"}, "scope": {"name": "langfuse-sdk", "version": "4.14.3", "attributes": {"public_key": "pk-lf-demo"}}},
  "createdAt": "2026-03-01T09:00:02.100Z", "updatedAt": "2026-03-01T09:00:02.100Z",
  "htmlPath": "/project/prj_demo/traces/7f3c9a1e5b2d4c6f8a0b1c2d3e4f5061",
  "latency": 1.85, "totalCost": 0.0021,
  "observations": [` + demoObservation + `],
  "scores": [` + demoScore + `]
}`

func TestFullTrace(t *testing.T) {
	mux := readServer(demoTrace(t), demo)
	for _, path := range []string{demoPath, "/api/public/traces/7F3C9A1E-5B2D-4C6F-8A0B-1C2D3E4F5061", demoPath + "?fields=nonsense"} {
		status, body := get(t, mux, path)
		if status != http.StatusOK {
			t.Fatalf("GET %s: status %d, want 200: %s", path, status, body)
		}
		if diff := cmp.Diff(decode(t, demoAnswer), decode(t, body)); diff != "" {
			t.Errorf("GET %s (-want +got):\n%s", path, diff)
		}
	}
}

func TestEmptyTraceHasEveryKey(t *testing.T) {
	st := &readStore{}
	st.put(domain.Trace{ID: "t1", CreatedAt: at(t, "2026-03-01T09:00:02.1Z"), UpdatedAt: at(t, "2026-03-01T09:00:02.1Z")}, domain.Content{}, nil, nil)
	status, body := get(t, readServer(st, demo), "/api/public/traces/t1")
	if status != http.StatusOK {
		t.Fatalf("status %d, want 200: %s", status, body)
	}
	want := decode(t, `{"id":"t1","projectId":"prj_demo","externalId":null,"name":null,"timestamp":"2026-03-01T09:00:02.100Z",
		"environment":"default","tags":[],"bookmarked":false,"public":false,"release":null,"version":null,"userId":null,
		"sessionId":null,"input":null,"output":null,"metadata":{},"createdAt":"2026-03-01T09:00:02.100Z",
		"updatedAt":"2026-03-01T09:00:02.100Z","htmlPath":"/project/prj_demo/traces/t1","latency":0,"totalCost":0,
		"observations":[],"scores":[]}`)
	if diff := cmp.Diff(want, decode(t, body)); diff != "" {
		t.Errorf("an empty trace (-want +got):\n%s", diff)
	}
}

func TestTraceFields(t *testing.T) {
	st := demoTrace(t)
	mux := readServer(st, demo)
	full := decode(t, demoAnswer)
	excluded := map[string]map[string]any{
		"io":           {"input": nil, "output": nil, "metadata": map[string]any{}},
		"scores":       {"scores": []any{}},
		"observations": {"observations": []any{}},
		"metrics":      {"latency": json.Number("-1"), "totalCost": json.Number("-1")},
	}
	names := []string{"io", "scores", "observations", "metrics"}
	for mask := range 1 << len(names) {
		asked, want := []string{"core"}, map[string]any{}
		for k, v := range full {
			want[k] = v
		}
		for i, name := range names {
			if mask>>i&1 == 1 {
				asked = append(asked, name)
				continue
			}
			for k, v := range excluded[name] {
				want[k] = v
			}
		}
		for _, query := range []string{strings.Join(asked, ","), "unknown, " + strings.Join(asked, " ,"), strings.Join(asked, "&fields=")} {
			st.passes = 0
			_, body := get(t, mux, demoPath+"?fields="+strings.ReplaceAll(query, " ", "%20"))
			if diff := cmp.Diff(want, decode(t, body)); diff != "" {
				t.Errorf("fields=%s (-want +got):\n%s", query, diff)
			}
			if needs := slices.Contains(asked, "io") || slices.Contains(asked, "observations"); !needs && st.passes > 0 {
				t.Errorf("fields=%s: read the bodies, want them left alone", query)
			}
		}
	}
}

func TestTraceUnknown(t *testing.T) {
	status, body := get(t, readServer(&readStore{}, demo), "/api/public/traces/a%2Fb")
	want := map[string]any{"message": "Trace a/b not found within authorized project", "error": "LangfuseNotFoundError"}
	if diff := cmp.Diff(want, decode(t, body)); status != http.StatusNotFound || diff != "" {
		t.Errorf("status %d, want 404; body (-want +got):\n%s", status, diff)
	}
}

func TestTraceContentOfItsSpans(t *testing.T) {
	text := func(in, out string, meta, traceIn, traceMeta string) domain.Content {
		c := domain.Content{}
		c[domain.Input], c[domain.Output] = domain.TextBody(in), domain.TextBody(out)
		c[domain.Metadata] = domain.JSONBody([]byte(meta))
		if traceIn != "" {
			c[domain.TraceInput] = domain.TextBody(traceIn)
		}
		c[domain.TraceMetadata] = domain.JSONBody([]byte(traceMeta))
		return c
	}
	st := &readStore{}
	st.put(domain.Trace{ID: "t1"}, domain.Content{}, []domain.Observation{
		{ID: "child", ParentID: "root", Start: domain.At(1e9)},
		{ID: "root", Start: domain.At(2e9), End: domain.At(5e9 + 999_999)},
		{ID: "late", ParentID: "root", Start: domain.At(7e9)},
	}, []domain.Content{
		text("child in", "child out", `{"c":1}`, "old", `{"k":1,"x":{"a":1}}`),
		text("root in", "root out", `{"k":0,"root":true}`, "", ""),
		text("late in", "late out", ``, "12345678901234567890", `{"k":2,"x":{"b":2}}`),
	})
	_, body := get(t, readServer(st, demo), "/api/public/traces/t1?fields=io,metrics")
	got := decode(t, body)
	want := map[string]any{
		"input": "12345678901234567890", "output": "root out", "latency": json.Number("6"),
		"metadata": decode(t, `{"k":2,"root":true,"x":{"a":1,"b":2}}`),
	}
	for k, w := range want {
		if diff := cmp.Diff(w, got[k]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k, diff)
		}
	}
}

func TestDeleteTraces(t *testing.T) {
	many := `{"traceIds":["a` + strings.Repeat(`","a`, 1000) + `"]}`
	for _, tc := range []struct {
		method, target, body string
		status               int
		want                 string
		deleted              []string
	}{
		{"DELETE", "/api/public/traces/a%2Fb", "", 200, `{"message":"Trace deleted successfully"}`, []string{"prj_demo/a/b"}},
		{"DELETE", "/api/public/traces", `{"traceIds":["a","b"]}`, 200, `{"message":"Traces deleted successfully"}`, []string{"prj_demo/a", "prj_demo/b"}},
		{"DELETE", "/api/public/traces", ``, 400, "traceIds", nil},
		{"DELETE", "/api/public/traces", `[]`, 400, "not a JSON object", nil},
		{"DELETE", "/api/public/traces", `{"traceIds":[]}`, 400, "1 to 1000", nil},
		{"DELETE", "/api/public/traces", many, 400, "1 to 1000", nil},
		{"DELETE", "/api/public/traces", `{"traceIds":["a",null]}`, 400, `"path":["traceIds",1]`, nil},
		{"DELETE", "/api/public/traces", `{"traceIds":["a"],"all":true}`, 400, `"path":["all"]`, nil},
	} {
		st := &readStore{}
		records, err := local.OpenCatalog(filepath.Join(t.TempDir(), "catalog.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer records.Close()
		mux := http.NewServeMux()
		New(Options{Traces: st, Auth: asProject(demo), Catalog: catalog.New(records, catalog.Options{Prices: pricing.NewBook()})}).Routes(mux)
		status, body := ask(t, mux, tc.method, tc.target, tc.body)
		if status != tc.status || !strings.Contains(body, tc.want) || !slices.Equal(st.deleted, tc.deleted) {
			t.Errorf("%s %s %.60s: %d %s, deleted %q; want %d, %s, %q", tc.method, tc.target, tc.body, status, body, st.deleted, tc.status, tc.want, tc.deleted)
		}
	}
}

func TestUnknownPath(t *testing.T) {
	status, body := get(t, readServer(&readStore{}, demo), "/api/public/nothing/here")
	if status != http.StatusNotFound || decode(t, body)["error"] != "LangfuseNotFoundError" {
		t.Errorf("status %d, body %s; want 404 and a LangfuseNotFoundError", status, body)
	}
}
