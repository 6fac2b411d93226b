// Package ingest is the only way telemetry enters a store: it checks, masks
// and seals what the dialects decoded, bounds what waits, and commits the
// requests that wait together in one group.
package ingest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// Options says how a Writer queues and what it extracts. The zero value works.
type Options struct {
	QueueBytes   int64                 // bytes of bodies that may wait; default 64 MiB
	QueuePatches int                   // patches that may wait; default 50,000
	Registerer   prometheus.Registerer // where the metrics are shown; nil: nowhere
	Now          func() time.Time      // the clock that commits are measured by; default time.Now
	// PriceKeys are the metadata keys that price tiers may ask for: their text
	// values are kept beside the observation as PriceAttributes.
	PriceKeys []string
	// Mask may change the bodies of an observation or a trace before anything
	// is derived from them or kept; nil changes nothing.
	Mask func(project string, c *domain.Content)
	// Experiments is told of the experiments that a batch's observations name,
	// before the batch is queued; where it fails the batch is not kept. nil:
	// nobody is told.
	Experiments func(ctx context.Context, project string, named []domain.Experiment) error
}

// Kind is a kind of patch in a batch.
type Kind uint8

// The kinds, in the order of a store.Batch.
const (
	Observation Kind = iota
	Trace
	Score
	kinds
)

// String is the kind in lower case.
func (k Kind) String() string { return [...]string{"observation", "trace", "score"}[k] }

// Rejection says why one patch of a batch was not kept.
type Rejection struct {
	Kind  Kind
	Index int // in the batch's list of that kind, as given to Write
	Err   *domain.Error
}

// How long a client should wait before it tries again.
const (
	busyRetry        = time.Second
	unavailableRetry = 5 * time.Second
)

// Writer queues batches and writes them in groups. It is safe for concurrent
// use; Close ends its goroutine.
type Writer struct {
	traces  store.Traces
	options Options
	limits  store.Limits
	metrics *metrics
	wake    chan struct{} // holds a token when the queue or closed changed
	stopped chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // guards what follows
	waiting []*request
	bytes   int64 // of the bodies in waiting
	patches int   // in waiting
	closed  bool

	expected int // how many requests may soon be waiting: those just answered, and who waited then
}

// request is one Write on its way through the queue.
type request struct {
	batch    store.Batch // what is left of the batch after the checks
	index    [kinds][]int
	bytes    int64
	rejected []Rejection
	err      error
	done     chan struct{} // closed once rejected and err are final
}

// NewWriter starts a writer in front of t.
func NewWriter(t store.Traces, o Options) *Writer {
	if o.QueueBytes <= 0 {
		o.QueueBytes = 64 << 20
	}
	if o.QueuePatches <= 0 {
		o.QueuePatches = 50_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	limits := t.Limits()
	if limits.Patches <= 0 {
		limits.Patches = 500
	}
	if limits.Bytes <= 0 {
		limits.Bytes = 4 << 20
	}
	w := &Writer{
		traces:  t,
		options: o,
		limits:  limits,
		metrics: newMetrics(o.Registerer),
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	go w.run()
	return w
}

// Write checks and seals b and returns once what passed is durable and
// readable. Rejected are the patches that alone can't be kept, by kind and
// index; the others of the batch are kept all the same. An error says that the
// batch as a whole may not be kept, and that repeating it is right: Busy (the
// queue is full), Unavailable (storage can't be written, or the writer is
// closed), Canceled (ctx ended first; the write may still happen). The batch
// and what it refers to belong to the writer from the call on.
func (w *Writer) Write(ctx context.Context, b *store.Batch) (rejected []Rejection, err error) {
	if err := ctx.Err(); err != nil {
		return nil, canceled(err)
	}
	r := w.prepare(b)
	if r.batch.Len() > 0 {
		if err := w.tellExperiments(ctx, &r.batch); err != nil {
			return nil, err
		}
		if err := w.enqueue(r); err != nil {
			w.metrics.count(&r.batch, "refused")
			return nil, err
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, canceled(ctx.Err())
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	slices.SortFunc(r.rejected, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Index, b.Index))
	})
	return r.rejected, nil
}

// tellExperiments passes on which experiments b names, each once.
func (w *Writer) tellExperiments(ctx context.Context, b *store.Batch) error {
	if w.options.Experiments == nil {
		return nil
	}
	var named []domain.Experiment
	for i := range b.Observations {
		x := &b.Observations[i].Value.Experiment
		if x.ID != "" && !slices.ContainsFunc(named, func(n domain.Experiment) bool { return n.ID == x.ID }) {
			named = append(named, *x)
		}
	}
	if len(named) == 0 {
		return nil
	}
	return w.options.Experiments(ctx, b.Project, named)
}

func canceled(cause error) error {
	return &domain.Error{Code: domain.Canceled, Msg: "the request ended before its data was written", Err: cause}
}

// Close writes everything accepted and ends the writer; it does not close the
// store. Later writes get Unavailable.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.notify()
	<-w.stopped
	return nil
}

// enqueue puts r into the queue or says why it can't. A request that is larger
// than the whole queue waits alone, so that it is not refused for ever.
func (w *Writer) enqueue(r *request) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := r.batch.Len()
	switch {
	case w.closed:
		return &domain.Error{Code: domain.Unavailable, Msg: "the server is stopping; try again later", RetryAfter: unavailableRetry}
	case len(w.waiting) > 0 && (w.bytes+r.bytes > w.options.QueueBytes || w.patches+n > w.options.QueuePatches):
		return &domain.Error{Code: domain.Busy, Msg: "too much is waiting to be written; try again later", RetryAfter: busyRetry}
	}
	w.waiting = append(w.waiting, r)
	w.bytes += r.bytes
	w.patches += n
	w.metrics.queueBytes.Set(float64(w.bytes))
	w.notify()
	return nil
}

func (w *Writer) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run commits group after group until the writer is closed and drained.
func (w *Writer) run() {
	defer close(w.stopped)
	for {
		group := w.next()
		if group == nil {
			return
		}
		w.commit(group)
		w.mu.Lock()
		w.expected = len(group) + len(w.waiting)
		w.mu.Unlock()
	}
}

// next waits for the next group; nil when there will be none.
func (w *Writer) next() []*request {
	for {
		w.mu.Lock()
		some, final := len(w.waiting) > 0, w.closed
		w.mu.Unlock()
		switch {
		case some:
			w.fill()
			return w.take()
		case final:
			return nil
		}
		<-w.wake
	}
}

// Those who were just answered most often come again at once. Where they write
// little, a group waits a moment for them, so that one sync serves all of them
// and not every half of them another.
const (
	returnWithin = 300 * time.Microsecond
	returnBytes  = 256 << 10 // what waits is written sooner than more of it comes
)

// fill waits for the group to fill up: as long as the engine wants it, or until
// those who were just answered have come again.
func (w *Writer) fill() {
	within := w.limits.Pause
	returning := within == 0
	if returning {
		within = returnWithin
	}
	var pause *time.Timer
	for {
		w.mu.Lock()
		full := w.closed || w.patches >= w.limits.Patches || w.bytes >= int64(w.limits.Bytes) ||
			returning && (len(w.waiting) >= w.expected || w.bytes >= returnBytes)
		w.mu.Unlock()
		if full {
			return
		}
		if pause == nil {
			pause = time.NewTimer(within)
			defer pause.Stop()
		}
		select {
		case <-w.wake:
		case <-pause.C:
			return
		}
	}
}

// take removes the next group from the queue: what waits, up to the engine's
// limits; a single larger request goes alone.
func (w *Writer) take() []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, patches, bytes := 0, 0, int64(0)
	for _, r := range w.waiting {
		if n > 0 && (patches+r.batch.Len() > w.limits.Patches || bytes+r.bytes > int64(w.limits.Bytes)) {
			break
		}
		n++
		patches += r.batch.Len()
		bytes += r.bytes
	}
	group := slices.Clone(w.waiting[:n])
	w.waiting = slices.Delete(w.waiting, 0, n)
	w.bytes -= bytes
	w.patches -= patches
	w.metrics.queueBytes.Set(float64(w.bytes))
	return group
}
