package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// gated is a store whose Append waits for a token, and does what it is told.
type gated struct {
	store.Traces // panics where a test needs more
	limits       store.Limits
	gate         chan struct{} // nil: open
	fail         func(b *store.Batch) error

	mu    sync.Mutex
	calls [][]store.Batch
}

func (g *gated) Limits() store.Limits { return g.limits }

func (g *gated) Append(_ context.Context, batches []store.Batch) []error {
	if g.gate != nil {
		<-g.gate
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	errs := make([]error, len(batches))
	failed := false
	for i := range batches {
		if g.fail != nil {
			errs[i] = g.fail(&batches[i])
			failed = failed || errs[i] != nil
		}
	}
	if failed { // one transaction: none of them is kept
		for i := range errs {
			if errs[i] == nil {
				errs[i] = errors.New("the group failed")
			}
		}
		return errs
	}
	g.calls = append(g.calls, batches)
	return errs
}

// kept is the ids of all observations that were kept, in order.
func (g *gated) kept() (ids []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, call := range g.calls {
		for _, b := range call {
			for i := range b.Observations {
				ids = append(ids, b.Observations[i].Value.ID)
			}
		}
	}
	return ids
}

// say is a patch of an observation with an input of n bytes.
func say(id string, n int) domain.ObservationPatch {
	p := domain.ObservationPatch{
		Stamp: domain.Stamp{Time: 1, Op: domain.Create}, Said: domain.ObservationStart,
		Value: domain.Observation{ID: id, TraceID: "t", Start: domain.At(1)}, Parts: domain.Parts(0).With(domain.Input),
	}
	p.Content[domain.Input] = domain.TextBody(strings.Repeat("x", n))
	return p
}

func batchOf(ps ...domain.ObservationPatch) *store.Batch {
	return &store.Batch{Project: "p", Observations: ps}
}

func gauge(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && f.GetType() == dto.MetricType_GAUGE {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no gauge %s", name)
	return 0
}

// A full queue refuses, says when to try again, and counts what waits; what it
// took is written once the store goes on.
func TestFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gated{limits: store.Limits{Patches: 1}, gate: make(chan struct{})}
		metrics := prometheus.NewRegistry()
		w := NewWriter(g, Options{QueueBytes: 1000, Registerer: metrics})
		results := make(chan error, 10)
		write := func(id string, n int) {
			go func() {
				_, err := w.Write(context.Background(), batchOf(say(id, n)))
				results <- err
			}()
			synctest.Wait()
		}
		write("being written", 400)
		write("waits 1", 400)
		write("waits 2", 500)
		if got := gauge(t, metrics, "clew_ingest_queue_bytes"); got != 900 {
			t.Errorf("%v bytes wait, want 900", got)
		}
		write("too much", 101)
		select {
		case err := <-results:
			e, ok := errors.AsType[*domain.Error](err)
			if !ok || e.Code != domain.Busy || e.RetryAfter <= 0 {
				t.Errorf("a full queue answers %v", err)
			}
		default:
			t.Error("a full queue does not answer")
		}
		write("fits", 100)
		if got := gauge(t, metrics, "clew_ingest_queue_bytes"); got != 1000 {
			t.Errorf("%v bytes wait, want 1000", got)
		}
		select {
		case err := <-results:
			t.Fatalf("answered (%v) before it was written", err)
		default:
		}
		close(g.gate)
		for range 4 {
			if err := <-results; err != nil {
				t.Errorf("after the gate opened: %v", err)
			}
		}
		if got := fmt.Sprint(g.kept()); got != "[being written waits 1 waits 2 fits]" {
			t.Errorf("kept %s", got)
		}
		if got := gauge(t, metrics, "clew_ingest_queue_bytes"); got != 0 {
			t.Errorf("%v bytes wait in the end", got)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A request larger than the whole queue is taken when nothing else waits.
func TestHugeRequest(t *testing.T) {
	g := &gated{}
	w := NewWriter(g, Options{QueueBytes: 10})
	defer w.Close()
	if _, err := w.Write(t.Context(), batchOf(say("huge", 5000))); err != nil || len(g.kept()) != 1 {
		t.Errorf("%v, kept %v", err, g.kept())
	}
}

// What waits together is written together, within the engine's limits.
func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gated{limits: store.Limits{Patches: 3, Bytes: 1000}, gate: make(chan struct{})}
		w := NewWriter(g, Options{})
		var wg sync.WaitGroup
		for i, n := range []int{1, 1, 1, 1, 1, 900, 900} {
			wg.Go(func() {
				if _, err := w.Write(context.Background(), batchOf(say(fmt.Sprint(i), n))); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(g.gate)
		wg.Wait()
		var sizes []int
		for _, call := range g.calls {
			sizes = append(sizes, len(call))
		}
		if got := fmt.Sprint(sizes); got != "[1 3 2 1]" {
			t.Errorf("groups of %s requests, want 1 while nothing waited, then 3 patches, then what fits 1000 bytes", got)
		}
		w.Close()
	})
}

// One bad patch fails neither its neighbours in its request nor the requests
// that were written with it.
func TestBadPatchAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gated{gate: make(chan struct{})}
		g.fail = func(b *store.Batch) error {
			for i := range b.Observations {
				if b.Observations[i].Value.ID == "bad" {
					return domain.Errorf(domain.Invalid, "the engine does not want it")
				}
			}
			return nil
		}
		w := NewWriter(g, Options{})
		type result struct {
			rejected []Rejection
			err      error
		}
		results := map[string]result{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, r := range []struct {
			name string
			b    *store.Batch
		}{{"first", batchOf(say("0", 1))}, {"mixed", batchOf(say("1", 1), say("bad", 1), say("", 1), say("2", 1))}, {"good", batchOf(say("3", 1))}} {
			wg.Go(func() {
				rejected, err := w.Write(context.Background(), r.b)
				mu.Lock()
				defer mu.Unlock()
				results[r.name] = result{rejected, err}
			})
			synctest.Wait()
		}
		close(g.gate)
		wg.Wait()
		w.Close()
		for _, name := range []string{"first", "good"} {
			if r := results[name]; r.err != nil || len(r.rejected) != 0 {
				t.Errorf("%s: %+v", name, r)
			}
		}
		r := results["mixed"]
		if r.err != nil || len(r.rejected) != 2 || r.rejected[0].Index != 1 || r.rejected[1].Index != 2 ||
			r.rejected[0].Err.Msg != "the engine does not want it" || r.rejected[1].Err.Field != "id" {
			t.Errorf("mixed: %v, %+v", r.err, r.rejected)
		}
		kept := map[string]bool{}
		for _, id := range g.kept() {
			kept[id] = true
		}
		if !kept["0"] || !kept["1"] || !kept["2"] || !kept["3"] || kept["bad"] {
			t.Errorf("kept %v", kept)
		}
	})
}

// Storage that fails is told as such, with nothing of its inner words, and the
// request is not tried patch by patch.
func TestStorageFails(t *testing.T) {
	for _, c := range []struct {
		err  error
		says string
	}{
		{&domain.Error{Code: domain.Unavailable, Msg: "the disk is full", RetryAfter: 7 * time.Second}, "the disk is full"},
		{errors.New("SQLITE_IOERR: inner words"), "storage can't be written"},
	} {
		g := &gated{fail: func(*store.Batch) error { return c.err }}
		w := NewWriter(g, Options{})
		_, err := w.Write(t.Context(), batchOf(say("a", 1), say("b", 1)))
		e, ok := errors.AsType[*domain.Error](err)
		if !ok || e.Code != domain.Unavailable || !strings.Contains(e.Msg, c.says) || strings.Contains(e.Msg, "inner") || e.RetryAfter <= 0 {
			t.Errorf("%v: answered %v", c.err, err)
		}
		w.Close()
	}
}

// Close writes what was accepted; after it nothing is.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gated{gate: make(chan struct{}), limits: store.Limits{Patches: 1}}
		w := NewWriter(g, Options{})
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				if _, err := w.Write(context.Background(), batchOf(say(fmt.Sprint(i), 1))); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		closed := make(chan struct{})
		go func() { w.Close(); close(closed) }()
		synctest.Wait()
		if _, err := w.Write(context.Background(), batchOf(say("late", 1))); domain.CodeOf(err) != domain.Unavailable {
			t.Errorf("after Close: %v", err)
		}
		close(g.gate)
		wg.Wait()
		<-closed
		if got := len(g.kept()); got != 5 {
			t.Errorf("%d of 5 were written", got)
		}
	})
}

// A client that goes away is told nothing more; what it sent may be written.
func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gated{gate: make(chan struct{})}
		w := NewWriter(g, Options{})
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := w.Write(ctx, batchOf(say("never", 1))); domain.CodeOf(err) != domain.Canceled {
			t.Errorf("canceled before: %v", err)
		}
		ctx, cancel = context.WithCancel(context.Background())
		done := make(chan error)
		go func() { _, err := w.Write(ctx, batchOf(say("perhaps", 1))); done <- err }()
		synctest.Wait()
		cancel()
		if err := <-done; domain.CodeOf(err) != domain.Canceled {
			t.Errorf("canceled while it waits: %v", err)
		}
		close(g.gate)
		w.Close()
		if got := fmt.Sprint(g.kept()); got != "[perhaps]" {
			t.Errorf("kept %s", got)
		}
	})
}
