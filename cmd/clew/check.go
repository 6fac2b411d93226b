package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/blob"
	"github.com/clewhq/clew/internal/server"
	"github.com/clewhq/clew/internal/store/local"
)

// check verifies the configuration and, where --data is among the flags, the
// data folder: every page, every body, and that they agree. It changes nothing.
func check(e *env, args []string) error {
	c, _, err := server.LoadConfig("check", args, e.lookup, e.errs)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(strings.TrimLeft(a, "-"), "data") }) {
		_, err := fmt.Fprintln(e.out, "the configuration is sound; --data DIR checks a data folder as well")
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := local.Check(ctx, c.Data)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%d traces, %d observations, %d scores; %d body files of %d bytes\n", r.Traces, r.Observations, r.Scores, r.Files, r.Bytes)
	for _, p := range r.Problems {
		fmt.Fprintln(e.out, "problem:", p)
	}
	if r.Dropped > 0 {
		fmt.Fprintf(e.out, "and %d more problems\n", r.Dropped)
	}
	if err := blob.Check(ctx, filepath.Join(c.Data, "blobs")); err != nil {
		return err
	}
	if n := int64(len(r.Problems)) + r.Dropped; n > 0 {
		return fmt.Errorf("%s is damaged: %d problems", c.Data, n)
	}
	_, err = fmt.Fprintln(e.out, "all is sound")
	return err
}
