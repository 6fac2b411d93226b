// Package parea serves Parea's API: its SDKs trace, run experiments and read
// back trees of logs. A log is an observation whose trace is its root's; what
// only Parea knows of it stands in its metadata, under the key "parea".
package parea

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/ingest"
	"github.com/clewhq/clew/internal/llm"
	"github.com/clewhq/clew/internal/store"
)

// Prefix is where the API lives; SDKs have it in PAREA_BASE_URL.
const Prefix = "/api/parea/v1"

// Writer takes what a request says about one project. It returns once all that
// it did not reject is durable and readable.
type Writer interface {
	Write(ctx context.Context, b *store.Batch) ([]ingest.Rejection, error)
}

// Authenticator finds out who calls: domain.Unauthorized where nobody known does.
type Authenticator interface {
	Request(r *http.Request) (auth.Principal, error)
}

// DefaultMaxBody is the limit of a request's body after decompression.
const DefaultMaxBody = 64 << 20

// Options is what an API stands on. All but Log, MaxBody and Now are required.
type Options struct {
	Traces  store.Traces
	Writer  Writer
	Auth    Authenticator
	Catalog *catalog.Catalog
	Models  *llm.Client
	Log     *slog.Logger     // nil: nothing is logged
	MaxBody int64            // bytes after decompression; 0: DefaultMaxBody
	Now     func() time.Time // nil: time.Now
}

// API serves the routes below Prefix.
type API struct {
	traces  store.Traces
	writer  Writer
	auth    Authenticator
	catalog *catalog.Catalog
	models  *llm.Client
	log     *slog.Logger
	maxBody int64
	now     func() time.Time
}

// New makes an API of o.
func New(o Options) *API {
	a := &API{o.Traces, o.Writer, o.Auth, o.Catalog, o.Models, o.Log, o.MaxBody, o.Now}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.maxBody <= 0 {
		a.maxBody = DefaultMaxBody
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// Routes registers every route. It is called once.
func (a *API) Routes(mux *http.ServeMux) {
	for pattern, h := range map[string]handler{
		"POST /project":                         a.postProject,
		"POST /trace_log":                       a.postLog,
		"PUT /trace_log":                        a.putLog,
		"GET /trace_log/{id...}":                a.getLog,
		"POST /trace_log/{vendor}":              a.postRun,
		"POST /get_trace_logs":                  a.getLogs,
		"POST /feedback":                        a.postFeedback,
		"POST /experiment":                      a.postExperiment,
		"POST /experiments":                     a.listExperiments,
		"GET /experiment/{uuid}/stats":          a.getStats,
		"POST /experiment/{uuid}/finished":      a.finishExperiment,
		"POST /experiment/{uuid}/trace_logs":    a.experimentLogs,
		"GET /collection/{name...}":             a.getCollection,
		"POST /collection":                      a.postCollection,
		"POST /testcases":                       a.postTestCases,
		"POST /update_test_case/{first}/{then}": a.updateTestCase,
		"POST /deployed-prompt":                 a.deployedPrompt,
		"POST /completion":                      a.completion,
		"POST /completion/stream":               a.streamCompletion,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+Prefix+path, a.serve(h))
	}
	mux.HandleFunc("GET "+Prefix+"/{$}", func(w http.ResponseWriter, _ *http.Request) {
		httpio.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc(Prefix+"/", func(w http.ResponseWriter, _ *http.Request) {
		httpio.WriteJSON(w, http.StatusNotFound, detail{"Not Found"})
	})
}

// caller is who asks, and for which project: "" where an organisation's key was
// sent, which finds its project in the body.
type caller struct {
	org, project string
}

// handler answers one request of a known caller.
type handler func(w http.ResponseWriter, r *http.Request, c caller) error

// detail is the body of an error, as FastAPI has it.
type detail struct {
	Detail any `json:"detail"`
}

// invalidField is one entry of the detail of a 422.
type invalidField struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

// serve finds the caller, runs h and answers for its error.
func (a *API) serve(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := a.caller(r)
		if err == nil {
			err = h(w, r, c)
		}
		if err != nil {
			a.fail(w, r, err)
		}
	}
}

// caller looks for a key where Parea's two descriptions of its API have it, and
// where everybody else has.
func (a *API) caller(r *http.Request) (caller, error) {
	secret := r.Header.Get("X-Api-Key")
	if secret == "" {
		_, secret, _ = strings.Cut(r.Header.Get("Authorization"), "Bearer ")
	}
	if secret == "" {
		secret = r.Header.Get("X-User-Id")
	}
	asked := (&http.Request{Header: http.Header{"X-Api-Key": {secret}}}).WithContext(r.Context())
	if secret == "" && r.Header.Get("Authorization") != "" {
		asked.Header = http.Header{"Authorization": r.Header["Authorization"]}
	}
	p, err := a.auth.Request(asked)
	if err != nil {
		return caller{}, err
	}
	if p.Project != "" && !p.CanWriteTraces() {
		return caller{}, domain.Errorf(domain.Forbidden, "this needs the secret key of a project or of an organization")
	}
	return caller{p.Org, p.Project}, nil
}

// fail answers with an error in FastAPI's shape.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := domain.CodeOf(err)
	status, body := httpio.Status(code), detail{"Internal Server Error"}
	e, ours := errors.AsType[*domain.Error](err)
	if ours {
		body.Detail = e.Msg
	}
	none, unconnected := errors.AsType[*noConnectionError](err)
	switch {
	case unconnected:
		status, body.Detail = http.StatusNotImplemented, none.Error()
	case code == domain.Internal:
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.Pattern, "err", err)
		body.Detail = "Internal Server Error"
	case code == domain.Invalid && ours && e.Field != "":
		status = http.StatusUnprocessableEntity
		body.Detail = []invalidField{{append([]string{"body"}, strings.Split(e.Field, ".")...), e.Msg, "value_error"}}
	}
	httpio.RetryAfter(w, err)
	httpio.WriteJSON(w, status, body)
}

func invalid(field, msg string) error {
	return &domain.Error{Code: domain.Invalid, Field: field, Msg: msg}
}

// object is a JSON object of which only some members matter.
type object map[string]json.RawMessage

// read reads a request's body; none at all is an empty object.
func (a *API) read(r *http.Request) (object, error) {
	body, err := httpio.ReadBody(r, a.maxBody)
	if err != nil {
		return nil, err
	}
	body = bytes.TrimSpace(bytes.ToValidUTF8(body, []byte("\uFFFD")))
	if len(body) == 0 || string(body) == "null" {
		return object{}, nil
	}
	var o object
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, invalid("body", "must be a JSON object")
	}
	return o, nil
}

// has reports whether a member says anything: null, an empty text, list or
// object say nothing, since SDKs send those for what they do not know.
func (o object) has(key string) bool {
	switch string(bytes.TrimSpace(o[key])) {
	case "", "null", `""`, "[]", "{}":
		return false
	}
	return true
}

// text is a member as text: a string as it is, anything else as its JSON.
func (o object) text(key string) string {
	if !o.has(key) {
		return ""
	}
	var s string
	if json.Unmarshal(o[key], &s) == nil {
		return s
	}
	return string(o[key])
}

// number is a member as a number, also one that came as text.
func (o object) number(key string) (float64, bool) {
	var f float64
	if !o.has(key) || json.Unmarshal([]byte(strings.TrimSpace(o.text(key))), &f) != nil {
		return 0, false
	}
	return f, true
}

// busyPause is how long a write waits before it tries a full queue again.
const busyPause = 50 * time.Millisecond

// write writes b and waits while the queue is full: the SDKs drop what is
// answered 429. What alone can't be kept is told in the log and not to the
// client, which would stall over it.
func (a *API) write(ctx context.Context, b *store.Batch) error {
	for {
		again := *b
		rejected, err := a.writer.Write(ctx, &again)
		if domain.CodeOf(err) != domain.Busy {
			for _, x := range rejected {
				a.log.InfoContext(ctx, "a log was not kept", "kind", x.Kind.String(), "err", x.Err)
			}
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(busyPause):
		}
	}
}

// project is the project that a request means: the key's own, whatever is asked
// for; of an organisation's key that of the body, by id or by name, else the
// default one, which is made where it is missing.
func (a *API) project(ctx context.Context, c caller, o object) (string, error) {
	if c.project != "" {
		return c.project, nil
	}
	if id := o.text("project_uuid"); id != "" {
		p, err := a.catalog.Project(ctx, id)
		if err == nil && p.Org == c.org {
			return id, nil
		}
		if err != nil && domain.CodeOf(err) != domain.NotFound {
			return "", err
		}
	}
	name := o.text("project_name")
	if name == "" {
		name = defaultProject
	}
	p, _, err := a.catalog.EnsureProject(ctx, c.org, name)
	return p.ID, err
}

// defaultProject is what the SDKs call a project that was not named.
const defaultProject = "default"

// postProject gets or makes a project by name.
func (a *API) postProject(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	name := o.text("name")
	if name == "" {
		return invalid("name", "field required")
	}
	reply := struct {
		Name       string `json:"name"`
		UUID       string `json:"uuid"`
		CreatedAt  string `json:"created_at"`
		WasCreated bool   `json:"was_created"`
	}{Name: name}
	var p catalog.Project
	if c.project != "" {
		p, err = a.catalog.Project(r.Context(), c.project)
	} else {
		p, reply.WasCreated, err = a.catalog.EnsureProject(r.Context(), c.org, name)
	}
	if err != nil {
		return err
	}
	reply.UUID, reply.CreatedAt = p.ID, wireTime(p.CreatedAt)
	httpio.WriteJSON(w, http.StatusOK, reply)
	return nil
}

// wireTime is an instant as Python writes it: UTC with its offset, in microseconds.
func wireTime(t domain.Time) string {
	return time.Unix(0, t.Nanos()).UTC().Format("2006-01-02T15:04:05.000000+00:00")
}
