package httpio

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// Around puts around h what every request of the program needs, from the
// outside in: the request log, recovery from panics, and clean paths. h should
// be the mux itself, so that the log knows the matched pattern.
func Around(h http.Handler, log *slog.Logger) http.Handler {
	inner := recovered(cleanPath(h), log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w}
		done := false
		defer func() {
			if !done && rec.status == 0 { // a panic on its way to the server
				rec.status = http.StatusInternalServerError
			}
			logRequest(r, rec, time.Since(start), log)
		}()
		inner.ServeHTTP(rec, r)
		done = true
	})
}

// logRequest writes one line without payloads, queries or secrets. Successes
// are many and say little, so they are debug.
func logRequest(r *http.Request, rec *recorder, took time.Duration, log *slog.Logger) {
	status := rec.status
	if status == 0 {
		status = http.StatusOK
	}
	level := slog.LevelDebug
	switch {
	case status >= 500:
		level = slog.LevelWarn // the cause is logged where it is known
	case status >= 400 && status != StatusCanceled:
		level = slog.LevelInfo
	}
	ctx := context.WithoutCancel(r.Context())
	if !log.Enabled(ctx, level) {
		return
	}
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	log.LogAttrs(ctx, level, "request",
		slog.String("method", r.Method),
		slog.String("route", route),
		slog.Int("status", status),
		slog.Int64("bytes", rec.written),
		slog.Duration("took", took))
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status  int
	written int64
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher for what asks for it directly.
func (w *recorder) Flush() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// recovered answers a panic with 500; where the answer had begun it cuts the
// connection, since nothing else tells the client that the rest is missing.
func recovered(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler {
				panic(p)
			}
			log.ErrorContext(r.Context(), "panic", "method", r.Method, "route", r.Pattern,
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(internalError))
		}()
		next.ServeHTTP(w, r)
	})
}
