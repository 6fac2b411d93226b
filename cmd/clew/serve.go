package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/clewhq/clew/internal/server"
)

// serve runs the server until it is told to stop; a second signal ends it at
// once.
func serve(e *env, args []string) error {
	c, _, err := server.LoadConfig("serve", args, e.lookup, e.errs)
	if err != nil {
		return err
	}
	addProcessor(e)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := newLog(e.errs, c)
	s, err := server.Start(ctx, c, release(), log)
	if err != nil {
		return err
	}
	log.Info("serving", "url", s.URL, "data", c.Data, "version", release())
	if s.First != nil {
		greet(e.out, s.URL, s.First)
	}
	select {
	case err = <-s.Failed():
		log.Error("serving ended", "err", err)
	case <-ctx.Done():
		stop() // from here on a signal ends the process
		log.Info("stopping")
	}
	if stopErr := s.Stop(); stopErr != nil {
		return stopErr
	}
	if ctx.Err() == nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// addProcessor lets one goroutine more run at once than there are processors.
// Go leaves one that runs alone for ten milliseconds, so a question could wait
// that long behind what is sealed or collected; the system changes between
// threads sooner, and prefers those that waited. GOMAXPROCS says otherwise.
func addProcessor(e *env) {
	if n, _ := e.lookup("GOMAXPROCS"); n == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

func newLog(out io.Writer, c *server.Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(out, o))
	}
	return slog.New(slog.NewTextHandler(out, o))
}

// greet tells the keys of a first project: nobody can ask for the secret again.
func greet(out io.Writer, url string, k *server.FirstKey) {
	fmt.Fprintf(out, `
Clew is running at %[1]s

A first project was made, "%[2]s". Its keys are shown only now:

    export LANGFUSE_HOST=%[1]s
    export LANGFUSE_PUBLIC_KEY=%[3]s
    export LANGFUSE_SECRET_KEY=%[4]s

Then, with pip install langfuse:

    from langfuse import observe, get_client

    @observe()
    def greet(name):
        return "Hello, " + name

    greet("Ariadne")
    get_client().flush()

clew demo fills the project with a sample, clew keys create makes other keys.

`, url, k.Project, k.Public, k.Secret)
}
