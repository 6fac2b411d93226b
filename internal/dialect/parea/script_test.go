package parea_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/dialect/parea"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/ingest"
	"github.com/clewhq/clew/internal/pricing"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
	"github.com/clewhq/clew/internal/store/storetest"
)

// anyone lets everybody in as the only project.
type anyone struct{}

// Request implements parea.Authenticator.
func (anyone) Request(*http.Request) (auth.Principal, error) {
	return auth.Principal{Org: "o", Project: "p", Scopes: auth.Read | auth.WriteTraces}, nil
}

// scriptAPI is the API over an engine.
type scriptAPI struct {
	*testing.T
	mux     *http.ServeMux
	traces  store.Traces
	catalog *catalog.Catalog
	names   map[string]string // what {name} stands for
}

func openAPI(t *testing.T, open func(*testing.T, store.Derive) store.Traces) *scriptAPI {
	t.Helper()
	prices := pricing.NewBook()
	records, err := local.OpenCatalog(filepath.Join(t.TempDir(), "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	s := &scriptAPI{T: t, mux: http.NewServeMux(), traces: open(t, prices.Derive), names: map[string]string{}}
	s.catalog = catalog.New(records, catalog.Options{Prices: prices})
	if err := s.catalog.Initialise(t.Context(), catalog.Init{OrgID: "o", ProjectID: "p"}); err != nil {
		t.Fatal(err)
	}
	w := ingest.NewWriter(s.traces, ingest.Options{Experiments: s.catalog.SeeExperiments})
	t.Cleanup(func() {
		for _, close := range []func() error{w.Close, s.traces.Close, records.Close} {
			if err := close(); err != nil {
				t.Error(err)
			}
		}
	})
	parea.New(parea.Options{Traces: s.traces, Writer: w, Auth: anyone{}, Catalog: s.catalog}).Routes(s.mux)
	return s
}

// ask sends a request and reads its answer into v.
func (s *scriptAPI) ask(method, path, body string, v any) int {
	s.Helper()
	r := httptest.NewRequestWithContext(s.Context(), method, parea.Prefix+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		s.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w.Code
}

// inProject is a question of which the project is named too.
func inProject(question string) string {
	return strings.Replace(strings.Replace(question, "{", `{"project_name":"p",`, 1), ",}", "}", 1)
}

var scriptName = regexp.MustCompile(`\{[a-z]+\}`)

// run runs a line of a script; the answer of a question is compared with want.
func (s *scriptAPI) run(verb, rest string) error {
	said, want, _ := strings.Cut(rest, " => ")
	said = scriptName.ReplaceAllStringFunc(said, func(n string) string { return s.names[n] })
	want = strings.TrimSpace(want)
	var got string
	switch verb {
	case "log", "put":
		method := map[string]string{"log": http.MethodPost, "put": http.MethodPut}[verb]
		var v any
		if status := s.ask(method, "/trace_log", said, &v); status != http.StatusOK {
			return fmt.Errorf("%d %v", status, v)
		}
	case "experiment":
		var made struct{ UUID string }
		if status := s.ask(http.MethodPost, "/experiment", said, &made); status != http.StatusOK {
			return fmt.Errorf("%d", status)
		}
		s.names["{experiment}"] = made.UUID
	case "criterion": // name and type of a score config
		name, typ, _ := strings.Cut(said, " ")
		c := catalog.ScoreConfig{Name: name, Type: domain.ScoreType(typ)}
		if c.Type == domain.ScoreCategorical {
			c.Categories = []catalog.Category{{Label: "good", Value: 1}, {Label: "bad", Value: 0}}
		}
		made, err := s.catalog.CreateScoreConfig(s.Context(), "p", c)
		if err != nil {
			return err
		}
		h := fnv.New32a() // as docs/compat/parea.md says
		_, _ = h.Write([]byte(made.ID))
		s.names["{"+name+"}"], s.names[name] = fmt.Sprint(h.Sum32()&(1<<31-1)), made.ID
	case "annotate": // log, criterion and value
		var log, name, value string
		if _, err := fmt.Sscan(said, &log, &name, &value); err != nil {
			return err
		}
		return s.annotate(log, name, value)
	case "logs", "roots":
		path := "/experiment/" + s.names["{experiment}"] + "/trace_logs"
		var list []struct {
			ID string `json:"trace_id"`
		}
		if verb == "logs" {
			var page struct {
				Results any   `json:"results"`
				Total   int64 `json:"total"`
			}
			page.Results = &list
			s.ask(http.MethodPost, "/get_trace_logs", inProject(said), &page)
			if page.Total != int64(len(list)) {
				return fmt.Errorf("%d logs, %d in all", len(list), page.Total)
			}
		} else {
			s.ask(http.MethodPost, path, said, &list)
		}
		ids := make([]string, len(list))
		for i, l := range list {
			ids[i] = l.ID
		}
		got = strings.Join(ids, " ")
		if got == "" {
			got = "-"
		}
	case "fail":
		var body struct{ Detail []struct{ Loc []string } }
		if status := s.ask(http.MethodPost, "/get_trace_logs", inProject(said), &body); status != http.StatusUnprocessableEntity {
			return fmt.Errorf("%d", status)
		}
		got = strings.Join(body.Detail[0].Loc, ".")
	default:
		return fmt.Errorf("unknown verb")
	}
	if got != want {
		return fmt.Errorf("got %s", got)
	}
	return nil
}

// annotate writes what somebody scores a log by a criterion.
func (s *scriptAPI) annotate(log, name, value string) error {
	o, err := s.traces.Observation(s.Context(), "p", log)
	if err != nil {
		return err
	}
	p := domain.ScorePatch{Stamp: domain.Stamp{Time: 1, Op: domain.Create, Event: log + name}, Said: domain.AllScoreFields}
	p.Value = domain.Score{
		ID: log + "-" + name, TraceID: o.Observation.TraceID, ObservationID: log, Name: name, Type: domain.ScoreNumeric, ConfigID: s.names[name],
		Source: domain.SourceAnnotation, AuthorUserID: "u", Timestamp: domain.At(1),
	}
	var number float64
	if json.Unmarshal([]byte(value), &number) == nil {
		p.Value.Value = domain.Some(number)
	} else {
		p.Value.Type, p.Value.StringValue, p.Value.Value = domain.ScoreCategorical, value, domain.Some(map[string]float64{"good": 1}[value])
	}
	domain.SealScore(&p)
	return s.traces.Append(s.Context(), []store.Batch{{Project: "p", Scores: []domain.ScorePatch{p}}})[0]
}

// sealing is the embedded engine that seals after every write, so that lists
// read what is on disk.
type sealing struct {
	*local.Store
}

// Append implements store.Traces.
func (s sealing) Append(ctx context.Context, batches []store.Batch) []error {
	errs := s.Store.Append(ctx, batches)
	if err := s.Maintain(ctx); err != nil {
		errs[0] = err
	}
	return errs
}

func openLocal(t *testing.T, derive store.Derive) *local.Store {
	s, err := local.Open(t.Context(), t.TempDir(), local.Options{Derive: derive, SealAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFilterScripts pins what every operator means on every kind of field, with
// the logs written through the API, on each engine.
func TestFilterScripts(t *testing.T) {
	raw, err := os.ReadFile("testdata/filters.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(*testing.T, store.Derive) store.Traces{
		"memory": func(_ *testing.T, d store.Derive) store.Traces { return storetest.NewMemory(d) },
		"fresh":  func(t *testing.T, d store.Derive) store.Traces { return openLocal(t, d) },
		"sealed": func(t *testing.T, d store.Derive) store.Traces { return sealing{openLocal(t, d)} },
	} {
		t.Run(name, func(t *testing.T) {
			s := openAPI(t, open)
			for n, line := range bytes.Split(raw, []byte("\n")) {
				text := strings.TrimSpace(string(line))
				if text == "" || text[0] == '#' {
					continue
				}
				verb, rest, _ := strings.Cut(text, " ")
				if err := s.run(verb, rest); err != nil {
					t.Errorf("filters.txt:%d: %s: %v", n+1, text, err)
				}
			}
		})
	}
}
