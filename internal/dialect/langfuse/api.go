package langfuse

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/blob"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/ingest"
	"github.com/clewhq/clew/internal/pricing"
	"github.com/clewhq/clew/internal/store"
)

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

// Options is what an API stands on. Traces, Writer, Auth and Catalog are required.
type Options struct {
	Traces  store.Traces
	Writer  Writer
	Auth    Authenticator
	Catalog *catalog.Catalog
	Prices  *pricing.Book
	Log     *slog.Logger // nil: nothing is logged
	MaxBody int64        // bytes after decompression; 0: DefaultMaxBody
	// Blobs keeps contents, of at most MaxMedia bytes; 0: DefaultMaxMedia. Their
	// URLs begin with PublicURL, "" for as the client called, and are signed
	// with MediaSecret.
	Blobs       *blob.Dir
	MaxMedia    int64
	PublicURL   string // without a slash at its end
	MediaSecret []byte
	Now         func() time.Time // nil: time.Now
	NewID       func() string    // nil: a random UUID
	Version     string           // Clew's own release, without "v"
}

// API serves the routes below /api/public.
type API struct {
	traces  store.Traces
	writer  Writer
	auth    Authenticator
	catalog *catalog.Catalog
	prices  *pricing.Book
	log     *slog.Logger
	maxBody int64
	now     func() time.Time
	newID   func() string
	version string
	walks   *walks

	blobs       *blob.Dir
	maxMedia    int64
	publicURL   string
	mediaSecret []byte
	mediaLock   sync.Mutex // held while a content is removed, or noted to have come

	stopping atomic.Bool // readiness says no

	paths map[string]*pathRoutes // while Routes runs
}

// New makes an API of o.
func New(o Options) *API {
	a := &API{
		traces: o.Traces, writer: o.Writer, auth: o.Auth, catalog: o.Catalog, prices: o.Prices,
		log: o.Log, maxBody: o.MaxBody, now: o.Now, newID: o.NewID, version: o.Version,
		blobs: o.Blobs, maxMedia: o.MaxMedia, publicURL: o.PublicURL, mediaSecret: o.MediaSecret,
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.maxBody <= 0 {
		a.maxBody = DefaultMaxBody
	}
	if a.maxMedia <= 0 {
		a.maxMedia = DefaultMaxMedia
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.newID == nil {
		a.newID = newUUID
	}
	a.walks = newWalks(a.now)
	return a
}

// Routes registers every route of the API. It is called once.
func (a *API) Routes(mux *http.ServeMux) {
	a.paths = map[string]*pathRoutes{}
	a.writeRoutes(mux)
	a.readRoutes(mux)
}

// newUUID is a random UUID, the form in which Langfuse makes ids.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return formatUUID(b)
}

// formatUUID is the UUID of version 4 with the random bits b.
func formatUUID(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// handler answers one request of a known caller. What it returns is turned
// into an error's status and body, unless it has begun to answer: then the
// connection is cut, since an error can't be told any more.
type handler func(w http.ResponseWriter, r *http.Request, p auth.Principal) error

// access is what a route asks of a key.
type access uint8

const (
	toRead        access = iota // a project's whole key pair
	toWriteTraces               // the same, and not one that only reads
	toWriteScores               // the public half of a pair does too
	perEvent                    // any key: each event is asked for itself
)

// handle registers methods of a path, beside those it has already. Any other
// method is answered 405 before anyone is asked for a key. The key must be a
// project's, with its secret half. HEAD is served wherever GET is.
func (a *API) handle(mux *http.ServeMux, path string, methods map[string]handler) {
	a.handleAs(mux, path, toRead, methods)
}

// handleAs is handle for routes that ask less of a key.
func (a *API) handleAs(mux *http.ServeMux, path string, need access, methods map[string]handler) {
	open := make(map[string]http.HandlerFunc, len(methods))
	for m, h := range methods {
		open[m] = func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, need, h) }
	}
	a.handleOpen(mux, path, open)
}

// handleOpen is handle for routes that ask for no key.
func (a *API) handleOpen(mux *http.ServeMux, path string, methods map[string]http.HandlerFunc) {
	p, found := a.paths[path]
	if !found {
		p = &pathRoutes{methods: map[string]http.HandlerFunc{}}
		a.paths[path] = p
		mux.Handle(path, p)
	}
	maps.Copy(p.methods, methods)
	p.allow = strings.Join(slices.Sorted(maps.Keys(p.methods)), ", ")
}

// pathRoutes is the methods of one path.
type pathRoutes struct {
	methods map[string]http.HandlerFunc
	allow   string
}

// ServeHTTP implements http.Handler.
func (p *pathRoutes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, found := p.methods[r.Method]
	if !found && r.Method == http.MethodHead {
		h, found = p.methods[http.MethodGet]
	}
	if !found {
		w.Header().Set("Allow", p.allow)
		httpio.WriteJSON(w, http.StatusMethodNotAllowed, errorBody{"Method not allowed", "MethodNotAllowedError"})
		return
	}
	h(w, r)
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
func allowed(p auth.Principal, need access) error {
	may := true
	switch need {
	case toRead:
		may = p.CanRead()
	case toWriteTraces:
		may = p.CanWriteTraces()
	case toWriteScores:
		may = p.CanWriteScores()
	}
	switch {
	case p.Project == "":
		return domain.Errorf(domain.Forbidden, "Access denied: this route needs an API key of a project.")
	case !may:
		return domain.Errorf(domain.Forbidden, "Access denied: this API key may not use this route. Send the public and the secret key with basic auth.")
	}
	return nil
}

// refuse answers a caller that is unknown or not allowed. Ingestion names the
// error beside the message, the other routes give only a message.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch domain.CodeOf(err) {
	case domain.Unauthorized, domain.Forbidden, domain.Canceled:
	default: // the keys can't be read: the caller may try again
		a.logInternal(r, err)
		err = domain.Errorf(domain.Unavailable, "the keys can't be read")
		httpio.RetryAfter(w, err)
	}
	status, body := errorReply(err)
	if r.URL.Path != ingestionPath || status == http.StatusServiceUnavailable {
		body.Error = nil
	}
	httpio.WriteJSON(w, status, body)
}

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
	a.logInternal(r, err)
	httpio.RetryAfter(w, err)
	if e, isOurs := errors.AsType[*domain.Error](err); isOurs && e.Code == domain.Busy {
		a.writeBusy(w, e)
		return
	}
	status, body := errorReply(err)
	httpio.WriteJSON(w, status, body)
}

// errorNames is what the API calls the failures that it names.
var errorNames = map[domain.Code]string{
	domain.Invalid:      "InvalidRequestError",
	domain.Unauthorized: "UnauthorizedError",
	domain.Forbidden:    "ForbiddenError",
	domain.NotFound:     "LangfuseNotFoundError",
	domain.Conflict:     "LangfuseConflictError",
	domain.TooLarge:     "PayloadTooLargeError",
	domain.Busy:         "RateLimitError",
	domain.Canceled:     "RequestCanceledError",
}

// errorReply is the status and body of every error but Busy.
func errorReply(err error) (int, errorBody) {
	code, msg := domain.CodeOf(err), "Request canceled"
	e, isOurs := errors.AsType[*domain.Error](err)
	if isOurs {
		msg = e.Msg
	}
	switch {
	case code == domain.Internal:
		return httpio.Status(code), errorBody{"Internal Server Error", "InternalServerError"}
	case code == domain.Unavailable:
		return httpio.Status(code), errorBody{"Service Unavailable", msg}
	case code == domain.Invalid && e.Field != "":
		return httpio.Status(code), errorBody{invalidData, []issue{{"custom", msg, issuePath(e.Field)}}}
	}
	return httpio.Status(code), errorBody{msg, errorNames[code]}
}

// invalidData is the message of every answer to a field that breaks its rule.
const invalidData = "Invalid request data"

// writeBusy answers that a queue is full, in the shape of a rate limit, which
// every SDK waits for and retries.
func (a *API) writeBusy(w http.ResponseWriter, e *domain.Error) {
	after := max(1, int((e.RetryAfter+time.Second-1)/time.Second))
	reset := a.now().Add(time.Duration(after) * time.Second).UTC()
	h := w.Header()
	h.Set("X-RateLimit-Limit", "0")
	h.Set("X-RateLimit-Remaining", "0")
	h.Set("X-RateLimit-Reset", reset.Format(http.TimeFormat))
	httpio.WriteJSON(w, http.StatusTooManyRequests, limitBody{
		Message: e.Msg, Code: "rate_limited",
		Details: limitDetails{RetryAfterSeconds: after, ResetAt: reset.Format(timeLayout)},
	})
}

// timeLayout is how the API writes times: UTC in milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

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
