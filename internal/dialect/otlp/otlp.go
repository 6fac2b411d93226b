// Package otlp takes OpenTelemetry traces over HTTP, in protobuf and in JSON,
// and turns each span into one observation: Langfuse's attributes in full, and
// the conventions of other tracers by rule tables.
package otlp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/ingest"
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

// Options is what an API stands on. Writer and Auth are required.
type Options struct {
	Writer  Writer
	Auth    Authenticator
	Log     *slog.Logger     // nil: nothing is logged
	MaxBody int64            // bytes after decompression; 0: DefaultMaxBody
	Now     func() time.Time // nil: time.Now
}

// API serves OTLP over HTTP.
type API struct {
	o      Options
	bodies sync.Pool // *[]byte: nothing points into a request's body once it is decoded
}

// maxPooled bounds the memory that a rare large request leaves in the pool.
const maxPooled = 8 << 20

// New makes an API of o.
func New(o Options) *API {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &API{o: o}
}

// Routes registers the paths that exporters append to their endpoints: the
// specification's own, and those under the base that Langfuse's SDKs use.
// Metrics are taken and thrown away, so that an exporter of both signals works.
func (a *API) Routes(mux *http.ServeMux) {
	for _, base := range []string{"/v1", "/api/public/otel/v1"} {
		mux.HandleFunc(base+"/traces", a.only("POST", a.traces))
		mux.HandleFunc(base+"/metrics", a.only("POST", a.metrics))
	}
}

// only answers 405 to other methods, which the mux would answer with text.
func (a *API) only(method string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method {
			h(w, r)
			return
		}
		w.Header().Set("Allow", method)
		e := reply{status: http.StatusMethodNotAllowed, code: 12, msg: "Method not allowed"}
		e.write(w, false)
	}
}

// isProtobuf reads the encoding of a request, and whether it is one of the two.
func isProtobuf(r *http.Request) (protobuf, ok bool) {
	ct := strings.ToLower(r.Header.Get("Content-Type"))
	if strings.Contains(ct, "application/x-protobuf") || strings.Contains(ct, "application/protobuf") {
		return true, true
	}
	return false, strings.Contains(ct, "application/json")
}

// traces serves an ExportTraceServiceRequest.
func (a *API) traces(w http.ResponseWriter, r *http.Request) {
	protobuf, known := isProtobuf(r)
	rejected, err := a.export(r, protobuf, known)
	if err != nil {
		a.fail(w, r, protobuf, err)
		return
	}
	if protobuf {
		answerProtobuf(w, rejected)
		return
	}
	answerJSON(w, rejected)
}

func (a *API) export(r *http.Request, protobuf, known bool) (rejects, error) {
	p, err := a.caller(r)
	if err != nil {
		return rejects{}, err
	}
	if !known {
		return rejects{}, domain.Errorf(domain.Invalid, "Content-Type must be application/x-protobuf or application/json")
	}
	x, err := a.decode(r, protobuf)
	if err != nil {
		return rejects{}, err
	}
	m := mapper{sender: senderOf(r.Header), now: domain.TimeOf(a.o.Now())}
	patches, rejected := m.observations(&x)
	if len(patches) == 0 {
		if rejected.count > 0 { // nothing in it is usable: the sender is set up wrongly
			return rejects{}, domain.Errorf(domain.Invalid, "%s", rejected.message())
		}
		return rejects{}, nil
	}
	ids := make([]string, len(patches))
	for i := range patches {
		ids[i] = patches[i].Value.ID
	}
	refused, err := a.o.Writer.Write(r.Context(), &store.Batch{Project: p.Project, Observations: patches})
	if err != nil {
		return rejects{}, err
	}
	for _, x := range refused {
		rejected.add(1, "span %s: %s", ids[x.Index], x.Err.Msg)
	}
	return rejected, nil
}

// decode reads the request's body in its encoding.
func (a *API) decode(r *http.Request, protobuf bool) (export, error) {
	buf, _ := a.bodies.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	body, err := httpio.ReadBodyInto(*buf, r, a.o.MaxBody)
	if err != nil {
		return export{}, err
	}
	if cap(body) <= maxPooled {
		*buf = body
		defer a.bodies.Put(buf)
	}
	if protobuf {
		return decodeProtobuf(body)
	}
	return decodeJSON(body)
}

// metrics takes what nothing is done with.
func (a *API) metrics(w http.ResponseWriter, r *http.Request) {
	protobuf, _ := isProtobuf(r)
	_, err := a.caller(r)
	if err == nil {
		_, err = httpio.ReadBody(r, a.o.MaxBody)
	}
	if err != nil {
		a.fail(w, r, protobuf, err)
		return
	}
	if protobuf {
		answerProtobuf(w, rejects{})
		return
	}
	answerJSON(w, rejects{})
}

// caller is who calls, if they may write traces of a project.
func (a *API) caller(r *http.Request) (auth.Principal, error) {
	p, err := a.o.Auth.Request(r)
	if err == nil && (p.Project == "" || !p.CanWriteTraces()) {
		err = domain.Errorf(domain.Forbidden, "Access denied: this route needs the public and the secret API key of a project.")
	}
	return p, err
}

// senderOf reads the headers by which Langfuse's SDKs name themselves, in both
// spellings that proxies leave of them.
func senderOf(h http.Header) Sender {
	get := func(name string) string {
		if v := h.Get("x-langfuse-" + name); v != "" {
			return v
		}
		return h.Get("x_langfuse_" + strings.ReplaceAll(name, "-", "_"))
	}
	major, _, _ := strings.Cut(get("sdk-version"), ".")
	n, err := strconv.Atoi(major)
	return Sender{JSONMetadata: err == nil && n >= 5 && strings.EqualFold(get("sdk-name"), "python")}
}

// answerProtobuf answers an ExportTraceServiceResponse.
func answerProtobuf(w http.ResponseWriter, rejected rejects) {
	var partial, body []byte
	if rejected.count > 0 {
		partial = protowire.AppendVarint(protowire.AppendTag(partial, 1, protowire.VarintType), uint64(rejected.count))
		partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), rejected.message())
		body = protowire.AppendBytes(protowire.AppendTag(body, 1, protowire.BytesType), partial)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that went away needs no answer
}

func answerJSON(w http.ResponseWriter, rejected rejects) {
	type partialSuccess struct {
		RejectedSpans string `json:"rejectedSpans"` // 64 bits are text in OTLP's JSON
		ErrorMessage  string `json:"errorMessage"`
	}
	var body struct {
		PartialSuccess *partialSuccess `json:"partialSuccess,omitempty"`
	}
	if rejected.count > 0 {
		body.PartialSuccess = &partialSuccess{strconv.Itoa(rejected.count), rejected.message()}
	}
	httpio.WriteJSON(w, http.StatusOK, body)
}

// fail answers err in the request's encoding. A full queue is 503 here: OTLP
// exporters retry that, and not all of them 429.
func (a *API) fail(w http.ResponseWriter, r *http.Request, protobuf bool, err error) {
	code := domain.CodeOf(err)
	e := reply{status: httpio.Status(code), code: grpcCodes[code], msg: "Internal Server Error"}
	if ours, ok := errors.AsType[*domain.Error](err); ok && code != domain.Internal {
		e.msg = ours.Msg
	}
	switch code {
	case domain.Busy:
		e.status = http.StatusServiceUnavailable
	case domain.Internal:
		a.o.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.Pattern, "err", err)
	}
	httpio.RetryAfter(w, err)
	e.write(w, protobuf)
}

// grpcCodes are the codes of google.rpc.Status, which OTLP answers failures with.
var grpcCodes = map[domain.Code]int{
	domain.Invalid: 3, domain.Unauthorized: 16, domain.Forbidden: 7, domain.NotFound: 5, domain.Conflict: 6,
	domain.TooLarge: 3, domain.Busy: 14, domain.Unavailable: 14, domain.Canceled: 1, domain.Internal: 13,
}

// reply is a failure as OTLP answers it.
type reply struct {
	status, code int
	msg          string
}

// write answers a google.rpc.Status. In JSON its text stands under "error" too,
// where Langfuse's answers have it.
func (e reply) write(w http.ResponseWriter, protobuf bool) {
	if !protobuf {
		httpio.WriteJSON(w, e.status, map[string]any{"code": e.code, "message": e.msg, "error": e.msg})
		return
	}
	body := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(e.code))
	body = protowire.AppendString(protowire.AppendTag(body, 2, protowire.BytesType), e.msg)
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.status)
	_, _ = w.Write(body) // a client that went away needs no answer
}
