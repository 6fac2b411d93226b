package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// giveUpAfter is how many patches of one batch may fail in a row, with errors
// that say nothing and none kept, until the store itself is held to be broken.
const giveUpAfter = 8

// commit writes a group at once and answers its requests. Those that failed
// are tried again one by one, after the others are answered.
func (w *Writer) commit(group []*request) {
	batches := make([]store.Batch, len(group))
	for i, r := range group {
		batches[i] = r.batch
	}
	errs := w.append(batches)
	var failed []*request
	for i, r := range group {
		if r.err = errs[i]; r.err == nil {
			w.metrics.count(&r.batch, "kept")
			close(r.done)
			continue
		}
		failed = append(failed, r)
	}
	for _, r := range failed {
		w.again(r, len(group) == 1)
		close(r.done)
	}
}

// append calls the store and measures it. It is not bound to the context of a
// request: a group holds the data of many.
func (w *Writer) append(batches []store.Batch) []error {
	n := 0
	for i := range batches {
		n += batches[i].Len()
	}
	start := w.options.Now()
	errs := w.traces.Append(context.Background(), batches)
	w.metrics.commit.Observe(w.options.Now().Sub(start).Seconds())
	w.metrics.groupPatches.Observe(float64(n))
	if len(errs) == len(batches) {
		return errs
	}
	err := fmt.Errorf("ingest: store answered for %d of %d batches", len(errs), len(batches))
	errs = make([]error, len(batches))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// again tries a request that failed in a group alone, then patch by patch, so
// that a bad one fails neither its neighbours in the group nor in the request.
// Where storage itself is the trouble, it leaves r.err Unavailable.
func (w *Writer) again(r *request, wasAlone bool) {
	if !wasAlone && !isStorage(r.err) {
		r.err = w.append([]store.Batch{r.batch})[0]
	}
	switch {
	case r.err == nil:
		w.metrics.count(&r.batch, "kept")
	case isStorage(r.err):
		w.fail(r, r.err)
	default:
		w.singly(r)
	}
}

// singly writes each patch of r by itself.
func (w *Writer) singly(r *request) {
	kept, unclear := [kinds]int{}, 0
	any := false
	var rejected []Rejection
	var last error
	for kind := range kinds {
		for i := range r.len(kind) {
			err := w.append([]store.Batch{r.one(kind, i)})[0]
			if err == nil {
				kept[kind]++
				any = true
				continue
			}
			e, ok := errors.AsType[*domain.Error](err)
			if !ok || e.Code == domain.Internal {
				unclear++
				last = err
				e = &domain.Error{Code: domain.Internal, Msg: "internal error", Err: err}
			}
			if isStorage(err) || !any && unclear >= giveUpAfter {
				w.fail(r, err)
				return
			}
			rejected = append(rejected, Rejection{Kind: kind, Index: r.original(kind, i), Err: e})
		}
	}
	if !any && unclear > 0 {
		// Nothing shows that these patches are to blame: let the client repeat.
		w.fail(r, last)
		return
	}
	r.err = nil
	r.rejected = append(r.rejected, rejected...)
	for kind := range kinds {
		w.metrics.add(kind, "kept", kept[kind])
		w.metrics.add(kind, "rejected", r.len(kind)-kept[kind])
	}
}

// fail ends r with the error of a store that can't be written to. Only a text
// that the store means for clients is shown to them.
func (w *Writer) fail(r *request, cause error) {
	w.metrics.count(&r.batch, "failed")
	out := &domain.Error{
		Code:       domain.Unavailable,
		Msg:        "storage can't be written at the moment; try again later",
		RetryAfter: unavailableRetry,
		Err:        cause,
	}
	if e, ok := errors.AsType[*domain.Error](cause); ok && e.Code != domain.Internal {
		out.Msg = e.Msg
		if e.RetryAfter > 0 {
			out.RetryAfter = e.RetryAfter
		}
	}
	r.err = out
}

// isStorage reports whether an error of the store says that storage, and not
// what is written, is the trouble: then trying again at once is of no use.
func isStorage(err error) bool {
	switch domain.CodeOf(err) {
	case domain.Unavailable, domain.Busy, domain.Canceled:
		return true
	}
	return false
}

// len is the number of patches of a kind.
func (r *request) len(k Kind) int {
	switch k {
	case Observation:
		return len(r.batch.Observations)
	case Trace:
		return len(r.batch.Traces)
	default:
		return len(r.batch.Scores)
	}
}

// one is a batch of a single patch of r.
func (r *request) one(k Kind, i int) store.Batch {
	b := store.Batch{Project: r.batch.Project}
	switch k {
	case Observation:
		b.Observations = r.batch.Observations[i : i+1]
	case Trace:
		b.Traces = r.batch.Traces[i : i+1]
	default:
		b.Scores = r.batch.Scores[i : i+1]
	}
	return b
}

// original is the index that a patch had in the batch as given.
func (r *request) original(k Kind, i int) int {
	if r.index[k] == nil {
		return i
	}
	return r.index[k][i]
}
