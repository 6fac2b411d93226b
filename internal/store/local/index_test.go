package local_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
)

func said(trace, id, name, input string) domain.ObservationPatch {
	p := domain.ObservationPatch{Stamp: domain.Stamp{Time: 1, Op: domain.Replace}, Said: domain.AllObservationFields}
	p.Value = domain.Observation{TraceID: trace, ID: id, Start: domain.At(int64(len(id))), Name: name}
	p.Content[domain.Input] = domain.TextBody(input)
	p.Parts = p.Parts.With(domain.Input)
	domain.SealObservation(&p)
	return p
}

func found(t *testing.T, s *local.Store, f query.Filter) (ids []string) {
	t.Helper()
	page, err := s.List(t.Context(), "p", query.List{View: query.Observations, Filter: f, Limit: 100, Total: true})
	if err != nil {
		t.Fatal(err)
	}
	if page.Total != int64(len(page.Rows)) {
		t.Errorf("%d rows, %d in all", len(page.Rows), page.Total)
	}
	for _, r := range page.Rows {
		ids = append(ids, r.Observation.ID)
	}
	return ids
}

// Blocks without a search filter are searched all the same, and get one when
// nobody writes.
func TestBlocksWithoutFilters(t *testing.T) {
	s, err := local.Open(t.Context(), t.TempDir(), local.Options{SealAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 30 {
		text := "nothing of note"
		if i == 17 {
			text = "a zyzzyva, 鲲鹏"
		}
		if err := s.Append(t.Context(), []store.Batch{{Project: "p", Observations: []domain.ObservationPatch{said(fmt.Sprint("t", i), fmt.Sprint("o", i), "n", text)}}})[0]; err != nil {
			t.Fatal(err)
		}
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(state string) {
		t.Helper()
		for _, word := range []string{"zyzzyva", "鲲鹏"} {
			if ids := found(t, s, query.Text{Query: word}); len(ids) != 1 || ids[0] != "o17" {
				t.Errorf("%s: %s is found in %v", state, word, ids)
			}
		}
		if ids := found(t, s, query.Text{Query: "absent"}); len(ids) != 0 {
			t.Errorf("%s: absent is found in %v", state, ids)
		}
	}
	check("with filters")
	s.ForgetFilters(t)
	check("without")
	for range 3 {
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.WithoutFilters(t); n > 0 {
		t.Errorf("%d blocks still lack a filter", n)
	}
	check("with new ones")
}

// Traces that change after they went into a segment are read as they are now,
// and the segment is put right.
func TestStaleSegments(t *testing.T) {
	dir := t.TempDir()
	open := func() *local.Store {
		s, err := local.Open(t.Context(), dir, local.Options{SealAfter: -1})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	write := func(trace, id, name string) {
		t.Helper()
		if err := s.Append(t.Context(), []store.Batch{{Project: "p", Observations: []domain.ObservationPatch{said(trace, id, name, "x")}}})[0]; err != nil {
			t.Fatal(err)
		}
	}
	named := query.Cmp{Ref: query.Ref{Column: query.ColName}, Op: query.Eq, Values: []query.Value{query.Str("late")}}
	for i := range 50 {
		write(fmt.Sprint("t", i), fmt.Sprint("first", i), "early")
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	write("t7", "second", "late")
	if n, stale := s.Segments(); n != 1 || stale != 1 {
		t.Errorf("%d segments, %d stale traces", n, stale)
	}
	for _, state := range []string{"stale", "after a restart", "settled"} {
		switch state {
		case "after a restart":
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
		case "settled":
			if err := s.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n, stale := s.Segments(); n != 1 || stale != 0 {
				t.Errorf("%d segments, %d stale traces", n, stale)
			}
		}
		if ids := found(t, s, named); len(ids) != 1 || ids[0] != "second" {
			t.Errorf("%s: %v", state, ids)
		}
		if ids := found(t, s, nil); len(ids) != 51 {
			t.Errorf("%s: %d observations", state, len(ids))
		}
	}
	if err := s.DeleteTraces(t.Context(), "p", []string{"t7"}); err != nil {
		t.Fatal(err)
	}
	if _, stale := s.Segments(); stale != 0 {
		t.Errorf("%d traces are stale after a delete, which erases at once", stale)
	}
	if ids := found(t, s, nil); len(ids) != 49 {
		t.Errorf("%d observations after a delete", len(ids))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Projects whose rows lie in one segment are listed each by its own times.
func TestProjectsShareSegments(t *testing.T) {
	dir := t.TempDir()
	s := openQuiet(t, dir)
	const each = 20
	for i := range each {
		for _, project := range []string{"old", "p", "new"} {
			p := said(fmt.Sprint(project, i), fmt.Sprint("o", i), "n", "x")
			p.Value.Start = domain.At(map[string]int64{"old": 1e9, "p": 1e12, "new": 1e15}[project] + int64(i))
			domain.SealObservation(&p)
			if err := s.Append(t.Context(), []store.Batch{{Project: project, Observations: []domain.ObservationPatch{p}}})[0]; err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(state string) {
		t.Helper()
		since := query.Cmp{Ref: query.Ref{Column: query.ColStart}, Op: query.Ge, Values: []query.Value{query.TimeOf(1e12 + 10)}}
		if ids := found(t, s, since); len(ids) != each-10 || ids[0] != "o19" {
			t.Errorf("%s: since then %v", state, ids)
		}
		var walked []string
		for cursor := ""; ; {
			page, err := s.List(t.Context(), "p", query.List{View: query.Observations, Limit: 7, After: cursor})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Rows {
				walked = append(walked, r.Observation.ID)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if len(walked) != each || walked[0] != "o19" || walked[each-1] != "o0" {
			t.Errorf("%s: walked %v", state, walked)
		}
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("at once")
	closeStore(t, s)
	s = openQuiet(t, dir)
	check("after a restart")
	closeStore(t, s)
	wantSound(t, dir)
}

// Traces are found by the experiments of their observations, in segments too.
func TestExperimentsInSegments(t *testing.T) {
	s := openQuiet(t, t.TempDir())
	p := said("t", "o", "n", "x")
	p.Value.Experiment.ID = "e"
	domain.SealObservation(&p)
	write(t, s, p, said("u", "other", "n", "x"))
	for _, state := range []string{"fresh", "in a segment"} {
		page, err := s.List(t.Context(), "p", query.List{
			View: query.Traces, Limit: 10, Filter: query.Cmp{Ref: query.Ref{Column: query.ColExperiment}, Op: query.Eq, Values: []query.Value{query.Str("e")}},
		})
		if err != nil || len(page.Rows) != 1 || page.Rows[0].Trace.ID != "t" {
			t.Errorf("%s: %d rows, %v", state, len(page.Rows), err)
		}
		maintain(t, s)
	}
	closeStore(t, s)
}

// Lists read what is only known to have changed while segments are made and
// more comes.
func TestListsWhileIndexing(t *testing.T) {
	dir := t.TempDir()
	s := openQuiet(t, dir)
	const traces = 60
	for i := range traces {
		write(t, s, said(fmt.Sprint("t", i), "first", "n", "x"))
	}
	maintain(t, s)
	for round := range 3 {
		closeStore(t, s)
		s = openQuiet(t, dir) // it knows none of the traces any more
		var busy sync.WaitGroup
		written := make(chan struct{})
		busy.Go(func() {
			defer close(written)
			for i := range traces {
				write(t, s, said(fmt.Sprint("t", i), fmt.Sprint("more", round), "n", "x"))
			}
		})
		busy.Go(func() {
			for seen := int64(0); ; {
				page, err := s.List(t.Context(), project, query.List{View: query.Observations, Limit: 1, Total: true})
				if err != nil {
					t.Error(err)
					return
				}
				if page.Total < seen || page.Total > int64(traces*(round+2)) {
					t.Errorf("round %d: %d observations after %d", round, page.Total, seen)
				}
				seen = page.Total
				select {
				case <-written:
					return
				default:
				}
			}
		})
		for open := true; open; {
			select {
			case <-written:
				open = false
			default:
				maintain(t, s)
			}
		}
		busy.Wait()
		maintain(t, s)
		page, err := s.List(t.Context(), project, query.List{View: query.Observations, Limit: 1, Total: true})
		if err != nil || page.Total != int64(traces*(round+2)) {
			t.Errorf("round %d: %d observations, %v", round, page.Total, err)
		}
	}
	closeStore(t, s)
}

// A folder without segments is listed whole, at once and after a restart,
// though far too much is to be read for the memory, and is read meanwhile.
func TestListWithoutSegments(t *testing.T) {
	if testing.Short() {
		t.Skip("writes many traces")
	}
	dir := t.TempDir()
	s := openQuiet(t, dir)
	const traces = 20_000
	for i := 0; i < traces; i += 2000 {
		var batch []domain.ObservationPatch
		for k := range 2000 {
			batch = append(batch, said(fmt.Sprint("t", i+k), "o", "n", "x"))
		}
		write(t, s, batch...)
	}
	s.ForgetSegments(t)
	closeStore(t, s)
	all := func() {
		t.Helper()
		page, err := s.List(t.Context(), project, query.List{View: query.Observations, Limit: 1, Total: true})
		if err != nil {
			t.Error(err)
		} else if page.Total != traces {
			t.Errorf("%d observations, %d were written", page.Total, traces)
		}
	}
	s = openQuiet(t, dir)
	var busy sync.WaitGroup
	for range 2 {
		busy.Go(all)
	}
	maintain(t, s)
	busy.Wait()
	all()
	closeStore(t, s)
	s = openQuiet(t, dir)
	all()
	closeStore(t, s)
	wantSound(t, dir)
}

// hurried is a context whose time is over, but which does not end.
type hurried struct{ context.Context }

func (hurried) Deadline() (time.Time, bool) { return time.Now(), true }

// A facet of what only bodies tell says so where it had no time to read them all.
func TestFacetStopsEarly(t *testing.T) {
	s, err := local.Open(t.Context(), t.TempDir(), local.Options{SealAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 20 {
		p := said(fmt.Sprint("t", i), fmt.Sprint("o", i), "n", "text")
		p.Content[domain.Metadata] = domain.JSONBody([]byte(`{"tenant":"acme"}`))
		p.Parts = p.Parts.With(domain.Metadata)
		domain.SealObservation(&p)
		if err := s.Append(t.Context(), []store.Batch{{Project: "p", Observations: []domain.ObservationPatch{p}}})[0]; err != nil {
			t.Fatal(err)
		}
	}
	check := func(state string) {
		t.Helper()
		for _, key := range []string{"", "tenant"} {
			f := query.Facet{View: query.Observations, Ref: query.Ref{Column: query.ColMetadata, Key: key}}
			whole, err := s.Facet(t.Context(), "p", f)
			if err != nil {
				t.Fatal(err)
			}
			if whole.Stopped || len(whole.Values) != 1 || whole.Values[0].Count != 20 {
				t.Errorf("%s, key %q: %+v", state, key, whole)
			}
			part, err := s.Facet(hurried{t.Context()}, "p", f)
			if err != nil {
				t.Fatal(err)
			}
			if !part.Stopped {
				t.Errorf("%s, key %q: without time it answers %+v, and does not say that it stopped", state, key, part)
			}
		}
	}
	check("in memory")
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("in segments")
}
