package langfuse

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// Writer takes what a request says about one project. It returns once all that
// it did not reject is durable and readable.
type Writer interface {
	Write(ctx context.Context, b *store.Batch) ([]rejection, error)
}

// Authenticator finds out who calls: domain.Unauthorized where nobody known does.
type Authenticator interface {
	Request(r *http.Request) (principal, error)
}

// DefaultMaxBody is the limit of a request's body after decompression.
const DefaultMaxBody = 64 << 20

// Options is what an API stands on. Traces, Writer and Auth are required.
type Options struct {
	Traces  store.Traces
	Writer  Writer
	Auth    Authenticator
	Catalog *catalogRecords
	Prices  *priceBook
	Log     *slog.Logger     // nil: nothing is logged
	MaxBody int64            // bytes after decompression; 0: DefaultMaxBody
	Now     func() time.Time // nil: time.Now
	NewID   func() string    // nil: a random UUID
	Version string           // Clew's own release, without "v"
}

// API serves the routes below /api/public.
type API struct {
	traces  store.Traces
	writer  Writer
	auth    Authenticator
	catalog *catalogRecords
	prices  *priceBook
	log     *slog.Logger
	maxBody int64
	now     func() time.Time
	newID   func() string
	version string
}

// New makes an API of o.
func New(o Options) *API {
	a := &API{
		traces: o.Traces, writer: o.Writer, auth: o.Auth, catalog: o.Catalog, prices: o.Prices,
		log: o.Log, maxBody: o.MaxBody, now: o.Now, newID: o.NewID, version: o.Version,
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.maxBody <= 0 {
		a.maxBody = DefaultMaxBody
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.newID == nil {
		a.newID = newUUID
	}
	return a
}

// Routes registers every route of the API.
func (a *API) Routes(mux *http.ServeMux) {
	a.writeRoutes(mux)
	a.readRoutes(mux)
}

// newUUID is a random UUID, the form in which Langfuse makes ids.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 36)
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			out = append(out, '-')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// handler answers one request of a known caller. What it returns is turned
// into an error's status and body, unless it has begun to answer: then the
// connection is cut, since an error can't be told any more.
type handler func(w http.ResponseWriter, r *http.Request, p principal) error

// access is what a route asks of a key.
type access uint8

const (
	withSecret access = iota // a project's whole key pair
	publicHalf               // the public half of a pair does too
)

// handle registers the methods of a path. Any other method is answered 405
// before anyone is asked for a key. The key must be a project's, with its
// secret half. HEAD is served wherever GET is.
func (a *API) handle(mux *http.ServeMux, path string, methods map[string]handler) {
	a.register(mux, path, withSecret, methods)
}

func (a *API) register(mux *http.ServeMux, path string, need access, methods map[string]handler) {
	open := make(map[string]http.HandlerFunc, len(methods))
	for m, h := range methods {
		open[m] = func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, need, h) }
	}
	a.handleOpen(mux, path, open)
}

// handleOpen is handle for routes that ask for no key.
func (a *API) handleOpen(mux *http.ServeMux, path string, methods map[string]http.HandlerFunc) {
	allow := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		h, found := methods[r.Method]
		if !found && r.Method == http.MethodHead {
			h, found = methods[http.MethodGet]
		}
		if !found {
			w.Header().Set("Allow", allow)
			writeJSON(w, http.StatusMethodNotAllowed, errorBody{"Method not allowed", "MethodNotAllowedError"})
			return
		}
		h(w, r)
	})
}

// serve finds the caller, runs h and answers for its error.
func (a *API) serve(w http.ResponseWriter, r *http.Request, need access, h handler) {
	p, err := a.auth.Request(r)
	if err == nil {
		err = allowed(p, need)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	tw := &trackedWriter{ResponseWriter: w}
	if err := h(tw, r, p); err != nil {
		if tw.wrote {
			a.logInternal(r, err)
			panic(http.ErrAbortHandler)
		}
		a.writeError(w, r, err)
	}
}

// allowed checks the kind of key: every route here is about one project.
func allowed(p principal, need access) error {
	switch {
	case p.Project == "":
		return domain.Errorf(domain.Forbidden, "Invalid credentials. Use an API key that belongs to a project.")
	case need == withSecret && !p.CanRead():
		return domain.Errorf(domain.Forbidden, "Access denied: this route needs the secret key too, with basic auth.")
	}
	return nil
}

// refuse answers a caller that is unknown or not allowed. Routes that SDKs
// write to name the error beside the message; the others give only a message.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e, isOurs := errors.AsType[*domain.Error](err)
	body := errorBody{}
	status := http.StatusServiceUnavailable
	switch {
	case isOurs && e.Code == domain.Unauthorized:
		status, body = http.StatusUnauthorized, errorBody{e.Msg, "UnauthorizedError"}
	case isOurs && e.Code == domain.Forbidden:
		status, body = http.StatusForbidden, errorBody{e.Msg, "ForbiddenError"}
	case domain.CodeOf(err) == domain.Canceled:
		status, body = statusClientGone, errorBody{"Request canceled", "Canceled"}
	default: // the keys can't be read: the caller may try again
		a.logInternal(r, err)
		body.Message = "Service Unavailable"
		w.Header().Set("Retry-After", strconv.Itoa(defaultRetryAfter))
	}
	if r.URL.Path != ingestionPath {
		body.Error = nil
	}
	writeJSON(w, status, body)
}

// defaultRetryAfter is the wait in seconds where an error asks for none.
const defaultRetryAfter = 1

// statusClientGone marks requests whose client went away, for logs and metrics.
const statusClientGone = 499

// errorBody is the body of most errors: Error is a text or a list of issues.
type errorBody struct {
	Message string `json:"message"`
	Error   any    `json:"error,omitempty"`
}

// issue is one field that a request has wrong.
type issue struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Path    []any  `json:"path"` // keys and indices
}

// limitBody is the body of a 429; the API has it in another envelope.
type limitBody struct {
	Message string       `json:"message"`
	Code    string       `json:"code"`
	Details limitDetails `json:"details"`
}

type limitDetails struct {
	RetryAfterSeconds int    `json:"retryAfterSeconds"`
	Limit             int    `json:"limit"`
	Remaining         int    `json:"remaining"`
	ResetAt           string `json:"resetAt"`
}

// writeError answers with the status and body of err. It is the one place that
// turns codes into the API's answers, and it logs what is our failure.
func (a *API) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if e, isOurs := errors.AsType[*domain.Error](err); isOurs {
		if e.Code == domain.Busy {
			a.writeBusy(w, e)
			return
		}
		if e.Code == domain.Unavailable {
			w.Header().Set("Retry-After", strconv.Itoa(retrySeconds(e.RetryAfter)))
		}
	}
	if domain.CodeOf(err) == domain.Internal {
		a.logInternal(r, err)
	}
	status, body := errorReply(err)
	writeJSON(w, status, body)
}

// errorReply is the status and body of every error but Busy.
func errorReply(err error) (int, errorBody) {
	e, isOurs := errors.AsType[*domain.Error](err)
	if !isOurs {
		e = &domain.Error{Code: domain.CodeOf(err), Msg: "Request canceled"}
	}
	switch e.Code {
	case domain.Invalid:
		if e.Field != "" {
			return http.StatusBadRequest, errorBody{"Invalid request data", []issue{{"custom", e.Msg, issuePath(e.Field)}}}
		}
		return http.StatusBadRequest, errorBody{e.Msg, "InvalidRequestError"}
	case domain.Unauthorized:
		return http.StatusUnauthorized, errorBody{e.Msg, "UnauthorizedError"}
	case domain.Forbidden:
		return http.StatusForbidden, errorBody{e.Msg, "ForbiddenError"}
	case domain.NotFound:
		return http.StatusNotFound, errorBody{e.Msg, "LangfuseNotFoundError"}
	case domain.Conflict:
		return http.StatusConflict, errorBody{e.Msg, "LangfuseConflictError"}
	case domain.TooLarge:
		return http.StatusRequestEntityTooLarge, errorBody{e.Msg, "PayloadTooLargeError"}
	case domain.Busy:
		return http.StatusTooManyRequests, errorBody{e.Msg, "RateLimitError"}
	case domain.Unavailable:
		return http.StatusServiceUnavailable, errorBody{"Service Unavailable", e.Msg}
	case domain.Canceled:
		return statusClientGone, errorBody{e.Msg, "Canceled"}
	}
	return http.StatusInternalServerError, errorBody{"Internal Server Error", "internal error"}
}

// writeBusy answers that a queue is full, in the shape of a rate limit, which
// every SDK waits for and retries.
func (a *API) writeBusy(w http.ResponseWriter, e *domain.Error) {
	after := retrySeconds(e.RetryAfter)
	reset := a.now().Add(time.Duration(after) * time.Second).UTC()
	h := w.Header()
	h.Set("Retry-After", strconv.Itoa(after))
	h.Set("X-RateLimit-Limit", "0")
	h.Set("X-RateLimit-Remaining", "0")
	h.Set("X-RateLimit-Reset", reset.Format(http.TimeFormat))
	writeJSON(w, http.StatusTooManyRequests, limitBody{
		Message: e.Msg, Code: "rate_limited",
		Details: limitDetails{RetryAfterSeconds: after, ResetAt: reset.Format(timeLayout)},
	})
}

// timeLayout is how the API writes times: UTC in milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// retrySeconds is a wait in whole seconds, at least one.
func retrySeconds(d time.Duration) int {
	return max(defaultRetryAfter, int((d+time.Second-1)/time.Second))
}

// issuePath splits the path of a field; what looks like an index is one.
func issuePath(field string) []any {
	var path []any
	for part := range strings.SplitSeq(field, ".") {
		if i, err := strconv.Atoi(part); err == nil {
			path = append(path, i)
		} else {
			path = append(path, part)
		}
	}
	return path
}

// logInternal logs a failure that is ours; what the caller did wrong is not logged.
func (a *API) logInternal(r *http.Request, err error) {
	if domain.CodeOf(err) == domain.Internal {
		a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.Pattern, "err", err)
	}
}

// trackedWriter knows whether an answer was begun.
type trackedWriter struct {
	http.ResponseWriter
	wrote bool
}

// WriteHeader implements http.ResponseWriter.
func (w *trackedWriter) WriteHeader(status int) {
	w.wrote = true
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *trackedWriter) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (w *trackedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
