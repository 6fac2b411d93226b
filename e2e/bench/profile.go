package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// parts says which function on a stack makes a sample part of what; the first
// that matches counts.
var parts = []struct{ name, function string }{
	{"seal", "local.(*Store).tend"},
	{"sync", "body.(*Files).Sync"},
	{"compress", "klauspost/compress"},
	{"SQL", "modernc.org/"},
	{"fold and rows", "local.(*Store).Append"},
	{"check and seal patches", "ingest.(*Writer).prepare"},
	{"decode and map", "internal/dialect/otlp"},
	{"garbage collection", "runtime.gcBgMarkWorker"},
	{"HTTP and sockets", "net/http"},
}

type profiled struct {
	p   *profile.Profile
	err error
}

// profile takes a CPU profile of the server, and writes it to a file if one is
// named.
func (s *server) profile(ctx context.Context, d time.Duration, file string) profiled {
	var b bytes.Buffer
	if _, err := s.get(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(d.Seconds()))), &b); err != nil {
		return profiled{err: err}
	}
	if file != "" {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			return profiled{err: err}
		}
	}
	p, err := profile.Parse(&b)
	return profiled{p, err}
}

// print tells how many microseconds of CPU each part took of a span.
func (r profiled) print(spansPerSecond float64) error {
	if r.err != nil {
		return fmt.Errorf("profile: %w", r.err)
	}
	at := len(r.p.SampleType) - 1 // CPU time in nanoseconds
	sums := map[string]int64{}
	for _, s := range r.p.Sample {
		sums[partOf(s)] += s.Value[at]
	}
	spans := spansPerSecond * time.Duration(r.p.DurationNanos).Seconds()
	fmt.Println("  where a span's CPU goes:")
	for _, p := range append(parts, struct{ name, function string }{"rest", ""}) {
		fmt.Printf("    %-24s %6.1f µs\n", p.name, float64(sums[p.name])/1000/spans)
	}
	return nil
}

func partOf(s *profile.Sample) string {
	for _, p := range parts {
		for _, l := range s.Location {
			for _, line := range l.Line {
				if strings.Contains(line.Function.Name, p.function) {
					return p.name
				}
			}
		}
	}
	return "rest"
}
