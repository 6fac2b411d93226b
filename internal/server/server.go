// Package server composes the program: it opens storage, starts what works
// beside it, mounts the dialects on one port, and stops all of it in reverse.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/blob"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/dialect/langfuse"
	"github.com/clewhq/clew/internal/dialect/native"
	"github.com/clewhq/clew/internal/dialect/otlp"
	"github.com/clewhq/clew/internal/dialect/parea"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/ingest"
	"github.com/clewhq/clew/internal/llm"
	"github.com/clewhq/clew/internal/pricing"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
	"github.com/clewhq/clew/web"
)

// stopWithin bounds how long a stop waits for the requests that run.
const stopWithin = 30 * time.Second

// FirstKey is the key that was made because there was no project yet.
type FirstKey struct{ Project, Public, Secret string }

// Server is the running program. It is made by Start and ended by Stop.
type Server struct {
	URL   string    // http://host:port as a client on this machine reaches it
	First *FirstKey // nil unless this start made one

	log      *slog.Logger
	http     *http.Server
	serving  chan error
	langfuse *langfuse.API
	closers  []closer // in the order they were opened
}

type closer struct {
	name  string
	close func() error
}

// Start opens the data folder, initialises what the configuration names, and
// serves. On an error nothing is left open.
func Start(ctx context.Context, c *Config, version string, log *slog.Logger) (_ *Server, err error) {
	if c.MemoryLimit > 0 {
		debug.SetMemoryLimit(c.MemoryLimit)
	}
	s := &Server{log: log, serving: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeAll())
		}
	}()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	prices := pricing.NewBook()
	traces, err := local.Open(ctx, c.Data, local.Options{Derive: prices.Derive, Log: log})
	if err != nil {
		return nil, err
	}
	s.opened("traces", traces.Close)
	records, err := local.OpenCatalog(filepath.Join(c.Data, "catalog.db"))
	if err != nil {
		return nil, err
	}
	s.opened("catalog", records.Close)
	secretKey, err := openSecretKey(c)
	if err != nil {
		return nil, err
	}
	cat := catalog.New(records, catalog.Options{Prices: prices, SecretKey: secretKey})
	if err := s.initialise(ctx, c, cat); err != nil {
		return nil, err
	}
	blobs, err := blob.Open(filepath.Join(c.Data, "blobs"))
	if err != nil {
		return nil, err
	}
	mediaSecret, err := cat.Secret(ctx, "media")
	if err != nil {
		return nil, err
	}
	writer := ingest.NewWriter(traces, ingest.Options{
		QueueBytes: c.QueueBytes, Registerer: metrics, PriceKeys: prices.AttributeKeys(), Experiments: cat.SeeExperiments,
	})
	s.opened("writer", writer.Close)

	models := llm.NewClient()
	s.opened("models", models.Close)

	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.opened("listener", func() error { return ignoreClosed(listener.Close()) })
	s.URL = localURL(listener.Addr())
	token := catalog.NewID("")
	if err := writeRunFile(c.Data, RunFile{URL: s.URL, Token: token}); err != nil {
		return nil, err
	}
	s.opened("run file", func() error { return removeRunFile(c.Data) })
	keys := auth.New(cat, token)
	s.http = httpio.NewServer(s.handler(c, parts{traces, writer, cat, prices, keys, blobs, mediaSecret, models, metrics, version}), log)
	go func() { s.serving <- s.http.Serve(listener) }()
	return s, nil
}

// openSecretKey is the key that the configuration names, else the folder's own.
func openSecretKey(c *Config) (catalog.SecretKey, error) {
	if c.EncryptionKey != "" {
		return catalog.ParseSecretKey(c.EncryptionKey)
	}
	return catalog.OpenSecretKey(filepath.Join(c.Data, "secret.key"))
}

// initialise makes what the configuration names, or a first project where there
// is none at all.
func (s *Server) initialise(ctx context.Context, c *Config, cat *catalog.Catalog) error {
	if err := cat.LoadPrices(ctx); err != nil {
		return err
	}
	start := c.Init
	if c.InitPassword != "" {
		start.HashPassword = func() (string, error) { return auth.HashPassword(c.InitPassword) }
	}
	if err := cat.Initialise(ctx, start); err != nil {
		return err
	}
	if start.ProjectID != "" {
		return nil
	}
	key, secret, created, err := cat.FirstProject(ctx)
	if created {
		s.First = &FirstKey{key.Project, key.Public, secret}
	}
	return err
}

// parts are what the handlers stand on.
type parts struct {
	traces  store.Traces
	writer  *ingest.Writer
	catalog *catalog.Catalog
	prices  *pricing.Book
	auth    *auth.Authenticator
	blobs   *blob.Dir
	secret  []byte // for the URLs of contents
	models  *llm.Client
	metrics *prometheus.Registry
	version string
}

func (s *Server) handler(c *Config, p parts) http.Handler {
	mux := http.NewServeMux()
	s.langfuse = langfuse.New(langfuse.Options{
		Traces: p.traces, Writer: p.writer, Auth: p.auth, Catalog: p.catalog, Prices: p.prices,
		Log: s.log, MaxBody: c.MaxBody, Version: p.version,
		Blobs: p.blobs, MaxMedia: c.MaxMedia, PublicURL: c.PublicURL, MediaSecret: p.secret,
	})
	s.langfuse.Routes(mux)
	otlp.New(otlp.Options{Writer: p.writer, Auth: p.auth, Log: s.log, MaxBody: c.MaxBody}).Routes(mux)
	parea.New(parea.Options{
		Traces: p.traces, Writer: p.writer, Auth: p.auth, Catalog: p.catalog, Models: p.models, Log: s.log, MaxBody: c.MaxBody,
	}).Routes(mux)
	native.New(p.auth, p.catalog, p.traces, s.log).Routes(mux)
	mux.Handle("/metrics", promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{}))
	mux.Handle("/", web.Handler())
	if c.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return httpio.CORS(httpio.Around(mux, s.log), "/api/public/", parea.Prefix+"/", "/v1/")
}

// Failed delivers the error by which serving ended without a Stop.
func (s *Server) Failed() <-chan error { return s.serving }

// Stop lets the requests that run finish, writes everything accepted, and
// closes storage. Readiness says no as soon as it begins.
func (s *Server) Stop() error {
	s.langfuse.Stopping()
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests still ran when the time to stop was over; their connections are cut", "waited", stopWithin)
		err = s.http.Close()
	}
	return errors.Join(err, s.closeAll())
}

func (s *Server) opened(name string, close func() error) {
	s.closers = append(s.closers, closer{name, close})
}

// closeAll closes in reverse, so that nothing is written to what is closed.
func (s *Server) closeAll() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i].close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", s.closers[i].name, err))
		}
	}
	s.closers = nil
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// localURL is how a client on this machine reaches an address; one that means
// every interface is reached by the loopback's.
func localURL(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "http://" + a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() && ip.To4() != nil {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
