package httpio

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/clewhq/clew/internal/domain"
)

// StatusCanceled answers a client that went away; nobody reads it, but logs and
// metrics tell it from a failure of ours.
const StatusCanceled = 499

// Status is the HTTP status of a code; 200 for "".
func Status(c domain.Code) int {
	switch c {
	case "":
		return http.StatusOK
	case domain.Invalid:
		return http.StatusBadRequest
	case domain.Unauthorized:
		return http.StatusUnauthorized
	case domain.Forbidden:
		return http.StatusForbidden
	case domain.NotFound:
		return http.StatusNotFound
	case domain.Conflict:
		return http.StatusConflict
	case domain.TooLarge:
		return http.StatusRequestEntityTooLarge
	case domain.Busy:
		return http.StatusTooManyRequests
	case domain.Unavailable:
		return http.StatusServiceUnavailable
	case domain.Upstream:
		return http.StatusBadGateway
	case domain.Canceled:
		return StatusCanceled
	}
	return http.StatusInternalServerError
}

// WriteJSON answers v as JSON in UTF-8. What cannot be encoded is answered 500
// with a body in the same form. For answers whose size the caller knows to be
// small; larger ones are streamed by the dialect.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // text is shown as it came, and no browser reads this as HTML
	if err := enc.Encode(v); err != nil {
		status = http.StatusInternalServerError
		buf.Reset()
		buf.WriteString(internalError)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // a client that went away needs no answer
}

// internalError is the body of a failure that has nothing to tell.
const internalError = `{"message":"Internal Server Error","error":"InternalServerError"}` + "\n"

// RetryAfter sets the header of that name, in whole seconds and at least 1, for
// an error that says when to try again, and for Busy and Unavailable in any
// case: exporters stop retrying without it.
func RetryAfter(w http.ResponseWriter, err error) {
	var after time.Duration
	if e, ok := errors.AsType[*domain.Error](err); ok {
		after = e.RetryAfter
	}
	switch code := domain.CodeOf(err); {
	case after > 0, code == domain.Busy, code == domain.Unavailable:
		secs := max(1, int64((after+time.Second-1)/time.Second))
		w.Header().Set("Retry-After", strconv.FormatInt(secs, 10))
	}
}
