// Bench measures the built server from outside and prints its figures beside
// what they are to reach: rates, CPU, memory, disk and times of answers, with
// the load generator on the same machine. Figures are never asserted on; the
// exit code tells only whether everything could be measured and was answered
// right.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

type config struct {
	bin     string
	dir     string
	load    time.Duration // of the full load
	settled time.Duration // after the last write, before disk and memory are read
	medium  int           // spans among which reads are timed
	large   int           // spans with which the start is timed
	big     int           // observations of the large trace
	lots    int           // varied spans that lists are timed on
	filled  string        // folder with the varied spans, made where it is missing
	asked   string        // part of the names of the questions that lists are asked
	only    string
	profile string
}

func main() {
	c := config{}
	flag.StringVar(&c.bin, "bin", "bin/clew", "the program to measure")
	flag.StringVar(&c.dir, "dir", "", "where data folders are made; default: the system's temporary folder")
	flag.DurationVar(&c.load, "load", 60*time.Second, "how long the full load runs")
	flag.DurationVar(&c.settled, "settled", 60*time.Second, "how long after the last write disk and memory are read")
	flag.IntVar(&c.medium, "medium", 200_000, "spans among which reads are timed")
	flag.IntVar(&c.large, "large", 1_000_000, "spans with which the start is timed")
	flag.IntVar(&c.big, "big", 10_000, "observations of the large trace")
	flag.IntVar(&c.lots, "lots", 1_000_000, "varied spans that lists are timed on")
	flag.StringVar(&c.filled, "filled", "", "data folder with the varied spans, filled where it is missing; lists are timed on a copy of it")
	flag.StringVar(&c.asked, "asked", "", "ask only the lists whose name holds this")
	flag.StringVar(&c.only, "only", "", "comma-separated stages to run: start, reads, lists, catalog, parea, batches, load; default all")
	flag.StringVar(&c.profile, "profile", "", "file to write the CPU profile of the full load to")
	quick := flag.Bool("quick", false, "a short run of a tenth of the sizes, to see that all of it works")
	flag.Parse()
	if *quick {
		c.load, c.settled, c.medium, c.large, c.big, c.lots = 6*time.Second, 8*time.Second, 20_000, 60_000, 2_000, 40_000
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) (err error) {
	root, err := os.MkdirTemp(c.dir, "clew-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	t := &table{}
	b := &bench{config: c, root: root, table: t, texts: newTexts()}
	fmt.Printf("%d cores, %s, load before: %s; text packs %.1fx with zstd\n\n", runtime.NumCPU(), runtime.Version(), loadAverage(), b.texts.ratio())
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"start", b.emptyStart},
		{"reads", b.reads},
		{"lists", b.lists},
		{"catalog", b.catalog},
		{"parea", b.parea},
		{"batches", b.batches},
		{"load", b.fullLoad},
	} {
		if c.only != "" && !strings.Contains(","+c.only+",", ","+s.name+",") {
			continue
		}
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// bench is one run.
type bench struct {
	config
	root  string
	table *table
	texts *texts
}

// folder is a new data folder of this run.
func (b *bench) folder(name string) string { return filepath.Join(b.root, name) }

// table prints figures as they come, beside what they are to reach.
type table struct{ begun bool }

// row prints a figure. A target of 0 means that there is none; below tells
// whether the figure is to stay below it.
func (t *table) row(name string, value float64, unit string, target float64, below bool) {
	if !t.begun {
		fmt.Printf("%-62s %12s %12s %8s\n", "", "measured", "to reach", "ratio")
		t.begun = true
	}
	goal, ratio, mark := "", "", ""
	if target > 0 {
		sign := "≥"
		if below {
			sign = "<"
		}
		goal = sign + " " + number(target)
		ratio = fmt.Sprintf("%.2fx", value/target)
		if below != (value < target) {
			mark = "  missed"
		}
	}
	fmt.Printf("%-62s %12s %12s %8s%s\n", name, number(value)+" "+unit, goal, ratio, mark)
}

func number(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}
