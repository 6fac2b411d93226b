package httpio

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer is an http.Server for h with the limits of a public edge. It has no
// write timeout, which would cut large answers to slow readers, and no read
// timeout, which would cut large bodies from slow writers; connections that
// only hold on are bounded by the timeouts of headers and of idleness.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    256 << 10, // filters travel in the query string
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
