package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

const megabyte = 1 << 20

// emptyStart times the start on an empty folder and what an idle server holds.
func (b *bench) emptyStart(ctx context.Context) error {
	var times []float64
	for i := range 5 {
		s, err := b.start(ctx, b.folder(fmt.Sprintf("empty-%d", i)))
		if err != nil {
			return err
		}
		times = append(times, s.ready.Seconds())
		if i == 4 {
			time.Sleep(3 * time.Second)
			rss, err := s.memory("VmRSS")
			if err != nil {
				return errors.Join(err, s.stop())
			}
			b.table.row("memory, idle", float64(rss)/megabyte, "MB", 40, true)
		}
		if err := s.stop(); err != nil {
			return err
		}
	}
	slices.Sort(times)
	b.table.row("start to ready, empty folder, median of 5", times[2], "s", 0.1, true)
	return nil
}

// reads fills a folder, reads memory and disk once it is quiet, and times
// reads of traces, alone and under load.
func (b *bench) reads(ctx context.Context) (err error) {
	s, err := b.start(ctx, b.folder("reads"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	l := b.loader(s)
	if err := l.run(ctx, b.medium, time.Hour); err != nil {
		return err
	}
	last := l.next.Load()
	time.Sleep(b.settled)
	rss, err1 := s.memory("VmRSS")
	disk, err2 := s.disk()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	n := float64(l.sent.Load())
	b.table.row(fmt.Sprintf("memory after %.0f spans", n), float64(rss)/megabyte, "MB", 160, true)
	b.table.row(fmt.Sprintf("disk per span, %v after the last write", b.settled), float64(disk)/n/1024, "KB", 2.2, true)

	p50, p95, err := b.timeTraces(ctx, s, last, 2000, 0)
	if err != nil {
		return err
	}
	b.table.row("GET trace of 8 with bodies, p50", p50, "ms", 1.5, true)
	b.table.row("GET trace of 8 with bodies, p95", p95, "ms", 4, true)

	loading, cancel := context.WithCancel(ctx)
	paced := make(chan error, 1)
	go func() { paced <- l.pace(loading, 3000) }()
	time.Sleep(2 * time.Second)
	p50, p95, err = b.timeTraces(ctx, s, last, 2000, 5*time.Millisecond)
	cancel()
	if err := errors.Join(err, <-paced); err != nil {
		return err
	}
	b.table.row("the same under 3,000 spans/s, p50", p50, "ms", 0, true)
	b.table.row("the same under 3,000 spans/s, p95", p95, "ms", 15, true)
	return b.bigTrace(ctx, s, l)
}

// timeTraces reads n random traces one after the other, with pauses between.
func (b *bench) timeTraces(ctx context.Context, s *server, last uint64, n int, pause time.Duration) (p50, p95 float64, err error) {
	r := rand.New(rand.NewPCG(3, 5))
	times := make([]float64, 0, n)
	for range n {
		path := "/api/public/traces/" + traceID(2+r.Uint64N(last-1), r.IntN(tracesPerRequest))
		begun := time.Now()
		if _, err := s.get(ctx, path, io.Discard); err != nil {
			return 0, 0, err
		}
		times = append(times, time.Since(begun).Seconds()*1000)
		time.Sleep(pause)
	}
	slices.Sort(times)
	return times[n/2], times[n*95/100], nil
}

// bigTrace times the reading of one very large trace, once fresh and once
// sealed, and what memory it takes.
func (b *bench) bigTrace(ctx context.Context, s *server, l *loader) error {
	whole := []byte("a trace of many.")
	s.settle() // what the load before left to do is not part of this
	for range b.big / spansPerRequest {
		if _, err := l.send(ctx, whole); err != nil {
			return err
		}
	}
	path := fmt.Sprintf("/api/public/traces/%x", whole)
	for _, state := range []string{"fresh", "sealed"} {
		if state == "sealed" {
			s.settle()
			time.Sleep(3 * time.Second) // and gives space back
		}
		time.Sleep(500 * time.Millisecond)
		if err := s.resetPeak(); err != nil {
			return err
		}
		before, err := s.memory("VmRSS")
		if err != nil {
			return err
		}
		var n, peak int64
		var times []float64
		for i := range 5 {
			begun := time.Now()
			if n, err = s.get(ctx, path, io.Discard); err != nil {
				return err
			}
			times = append(times, time.Since(begun).Seconds())
			if i > 0 {
				continue
			}
			if peak, err = s.memory("VmHWM"); err != nil { // of one read
				return err
			}
		}
		slices.Sort(times)
		name := fmt.Sprintf("GET trace of %d (%d MB), %s", b.big/spansPerRequest*spansPerRequest, n/megabyte, state)
		b.table.row(name+", median of 5", times[2], "s", 0.25, true)
		b.table.row("  slowest of them", times[4], "s", 0, true)
		b.table.row("  memory beyond what was held before", float64(peak-before)/megabyte, "MB", 32, true)
	}
	return nil
}

// fullLoad sends as fast as it is answered, sees where the time goes, and what
// a start costs on what was then stored.
func (b *bench) fullLoad(ctx context.Context) error {
	dir := b.folder("load")
	s, err := b.start(ctx, dir)
	if err != nil {
		return err
	}
	l := b.loader(s)
	cpu, err := s.cpu()
	if err != nil {
		return err
	}
	profile := make(chan profiled, 1)
	go func() { profile <- s.profile(ctx, b.load/2, b.config.profile) }()
	begun := time.Now()
	if err := l.run(ctx, 1<<40, b.load); err != nil {
		return err
	}
	took, n := time.Since(begun), float64(l.sent.Load())
	b.table.row(fmt.Sprintf("spans/s for %.0f s, durable and readable when answered", took.Seconds()), n/took.Seconds(), "", 9000, false)
	s.settle()
	after, err := s.cpu()
	if err != nil {
		return err
	}
	b.table.row("CPU per span, sealing included", (after-cpu).Seconds()*1000/n, "ms", 0.18, true)
	raw, err := rawSQLite(ctx, b.folder("raw.db"), 100_000)
	if err != nil {
		return err
	}
	b.table.row("rows of the same columns into SQLite alone", raw, "/s", 0, false)
	b.table.row("  spans/s as a share of that", n/took.Seconds()/raw, "", 0, false)
	if err := (<-profile).print(n / took.Seconds()); err != nil {
		return err
	}
	if err := l.run(ctx, b.large-int(n), time.Hour); err != nil {
		return err
	}
	total := l.sent.Load()
	if err := s.stop(); err != nil {
		return err
	}
	return b.restarts(ctx, dir, total)
}

// restarts times the start on a full folder, after a stop and after kills.
func (b *bench) restarts(ctx context.Context, dir string, spans int64) error {
	var killed []float64
	for i := range 6 {
		s, err := b.start(ctx, dir)
		if err != nil {
			return err
		}
		if i == 0 {
			b.table.row(fmt.Sprintf("start to ready with %d spans", spans), s.ready.Seconds(), "s", 0.1, true)
			rss, err := s.memory("VmRSS")
			if err != nil {
				return err
			}
			b.table.row("  memory then", float64(rss)/megabyte, "MB", 0, true)
		} else {
			killed = append(killed, s.ready.Seconds())
		}
		if i == 5 {
			if err := s.stop(); err != nil {
				return err
			}
			break
		}
		l := b.loader(s)
		l.next.Store(uint64(i+1) << 40)
		if err := l.run(ctx, 1<<40, time.Second); err != nil {
			return err
		}
		if err := s.kill(); err != nil {
			return err
		}
	}
	b.table.row("start after SIGKILL under load, slowest of 5", slices.Max(killed), "s", 1, true)
	return nil
}
