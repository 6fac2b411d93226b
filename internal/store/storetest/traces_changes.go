package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

func tracesScores(t *testing.T, s *subject) {
	session := domain.ScorePatch{Stamp: domain.Stamp{Time: 1, Op: domain.Create}, Said: domain.ScoreSessionID | domain.ScoreName, Value: domain.Score{ID: "ses", SessionID: "x", Name: "n"}}
	domain.SealScore(&session)
	again := rated("late", "t", "a", 50, 0.75)
	s.append(store.Batch{Project: "p", Scores: []domain.ScorePatch{again, rated("late", "t", "a", 20, 0.25), rated("early", "t", "", 10, 1), rated("orphan", "no such trace", "", 1, 1), session}})
	s.append(spans(span("t", "a", 1, "")))
	s.everyState(func(state string) {
		r := s.trace("t")
		if len(r.Scores) != 2 || r.Scores[0].ID != "early" || r.Scores[1].ID != "late" || r.Scores[1].Value.Value != 0.75 || r.Scores[1].Timestamp != domain.At(20) {
			t.Errorf("%s: scores %+v, want early and late, by their first time, with the last value", state, r.Scores)
		}
		for _, id := range []string{"orphan", "ses"} {
			if sc, err := s.Score(t.Context(), "p", id); err != nil || sc.ID != id {
				t.Errorf("%s: score %s: %+v, %v", state, id, sc, err)
			}
		}
		s.noTrace("no such trace")
	})
}

func tracesDerive(t *testing.T, s *subject) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.name += "-derived"
	s.open(func(project string, o *domain.Observation) {
		o.Derived = domain.Derived{ModelID: project + "/" + o.Name, Usage: domain.Usage{{Key: "input", Units: 3}, {Key: "output", Units: 4}, {Key: "total", Units: 7}}, TotalCost: domain.Some[domain.Money](11)}
	})
	s.append(spans(span("t", "a", 1, ""), span("t", "b", 2, "")))
	s.append(spans(update("t", "a", 50, "renamed", "")))
	s.everyState(func(state string) {
		r := s.trace("t")
		if r.Observations[0].Derived.ModelID != "p/renamed" || r.Trace.Totals.Cost != 22 || r.Trace.Totals.Input != 6 || r.Trace.Totals.Output != 8 || r.Trace.Totals.Total != 14 {
			t.Errorf("%s: %+v, totals %+v", state, r.Observations[0].Derived, r.Trace.Totals)
		}
	})
}

func tracesDelete(t *testing.T, s *subject) {
	for i := range 6 {
		id := fmt.Sprint("t", i)
		s.append(store.Batch{Project: "p", Observations: []domain.ObservationPatch{span(id, "o"+id, 1, "in "+id)}, Traces: []domain.TracePatch{named(id, 1, id)}, Scores: []domain.ScorePatch{rated("s"+id, id, "", 1, 1)}})
		if i == 2 {
			s.engine.Settle(t, s.Traces)
		}
	}
	if err := s.DeleteTraces(t.Context(), "p", []string{"t0", "t1", "t3", "t5", "unknown"}); err != nil {
		t.Fatal(err)
	}
	s.everyState(func(state string) {
		for i := range 6 {
			id := fmt.Sprint("t", i)
			_, traceErr := s.Trace(t.Context(), "p", id)
			_, obsErr := s.Observation(t.Context(), "p", "o"+id)
			_, scoreErr := s.Score(t.Context(), "p", "s"+id)
			want := domain.NotFound
			if i == 2 || i == 4 {
				want = ""
			}
			for _, err := range []error{traceErr, obsErr, scoreErr} {
				if domain.CodeOf(err) != want {
					t.Errorf("%s: %s: %v, want %q", state, id, err, want)
				}
			}
		}
		if r := s.trace("t2"); string(r.Contents[0][domain.Input].Data) != "in t2" {
			t.Errorf("%s: t2 reads %q", state, r.Contents)
		}
	})
}

// What comes after a delete makes a new trace with nothing of the old one.
func tracesDeleteThenLate(t *testing.T, s *subject) {
	s.append(store.Batch{Project: "p", Observations: []domain.ObservationPatch{span("t", "a", 1, "old"), span("t", "b", 2, "old")}, Traces: []domain.TracePatch{named("t", 1, "old")}})
	s.engine.Settle(t, s.Traces)
	if err := s.DeleteTraces(t.Context(), "p", []string{"t"}); err != nil {
		t.Fatal(err)
	}
	s.append(spans(update("t", "a", 90, "new", "new")))
	s.everyState(func(state string) {
		r := s.trace("t")
		if len(r.Observations) != 1 || r.Trace.Name == "old" || r.Contents[0][domain.Input].IsSet() || string(r.Contents[0][domain.Output].Data) != "new" {
			t.Errorf("%s: %+v, %q", state, r.Trace, r.Contents)
		}
		if _, err := s.Observation(t.Context(), "p", "b"); domain.CodeOf(err) != domain.NotFound {
			t.Errorf("%s: b: %v", state, err)
		}
	})
}

// changed reads all changes after a cursor, limit at a time.
func (s *subject) changed(after store.Cursor, limit int) map[store.Change]bool {
	s.t.Helper()
	out := map[store.Change]bool{}
	for range 10_000 {
		list, next, err := s.Changes(s.t.Context(), after, limit)
		if err != nil {
			s.t.Fatalf("changes: %v", err)
		}
		if len(list) > limit {
			s.t.Fatalf("%d changes, asked for %d", len(list), limit)
		}
		for _, c := range list {
			out[c] = true
		}
		if len(list) == 0 {
			return out
		}
		after = next
	}
	s.t.Fatal("the changes never end")
	return nil
}

func tracesChanges(t *testing.T, s *subject) {
	s.append(spans(span("before", "x", 1, "")))
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.changed(head, 10); len(got) != 0 {
		t.Errorf("after the head: %v", got)
	}
	with := named("t", 1, "n")
	with.Said |= domain.TraceSessionID
	with.Value.SessionID = "ses"
	domain.SealTrace(&with)
	s.append(store.Batch{Project: "p", Traces: []domain.TracePatch{with}, Scores: []domain.ScorePatch{rated("sc", "t", "", 1, 1)}}, store.Batch{Project: "q", Observations: []domain.ObservationPatch{span("u", "o", 1, "")}})
	if err := s.DeleteTraces(t.Context(), "p", []string{"before"}); err != nil {
		t.Fatal(err)
	}
	s.everyState(func(state string) {
		got := s.changed(head, 100)
		for _, want := range []store.Change{
			{Kind: store.TraceChanged, Project: "p", Key: "t"}, {Kind: store.ScoreChanged, Project: "p", Key: "sc"}, {Kind: store.SessionChanged, Project: "p", Key: "ses"},
			{Kind: store.TraceChanged, Project: "q", Key: "u"}, {Kind: store.TraceChanged, Project: "p", Key: "before"},
		} {
			if !got[want] {
				t.Errorf("%s: %+v is missing in %v", state, want, got)
			}
		}
	})
	if _, _, err := s.Changes(t.Context(), store.Cursor("\xff\xff\xff no cursor"), 10); domain.CodeOf(err) != domain.Invalid {
		t.Errorf("a cursor that is none: %v", err)
	}
}

func tracesChangesInPieces(t *testing.T, s *subject) {
	head, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		var b store.Batch
		for j := range 7 {
			b.Observations = append(b.Observations, span(fmt.Sprint("t", i, j), fmt.Sprint("o", i, j), 1, ""))
		}
		b.Project = "p"
		s.append(b)
	}
	for _, limit := range []int{1, 3, 7, 8, 1000} {
		if got := s.changed(head, limit); len(got) != 70 {
			t.Errorf("%d at a time: %d changes, want 70", limit, len(got))
		}
	}
}

func tracesConcurrent(t *testing.T, s *subject) {
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", w, i)
				if errs := s.Append(t.Context(), []store.Batch{spans(span("shared", id, int64(i), "in "+id), span("t"+id, "x"+id, 1, ""))}); errs[0] != nil {
					t.Errorf("append: %v", errs[0])
					return
				}
				if r, err := readTrace(t.Context(), s, "p", "shared"); err != nil || len(r.Observations) < i+1 {
					t.Errorf("read: %v", err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for range 10 {
			s.engine.Settle(t, s.Traces)
		}
	})
	wg.Wait()
	s.everyState(func(state string) {
		r := s.trace("shared")
		if len(r.Observations) != writers*each {
			t.Errorf("%s: %d observations, want %d", state, len(r.Observations), writers*each)
		}
		for i, o := range r.Observations {
			if got := string(r.Contents[i][domain.Input].Data); got != "in "+o.ID {
				t.Errorf("%s: %s reads %q", state, o.ID, got)
			}
		}
	})
}

func tracesOddText(t *testing.T, s *subject) {
	for i, id := range []string{"a/b", `a\b`, "é 漢字 😀", "'; DROP TABLE traces; --", "%", strings.Repeat("x", 800), " ", "\u202e"} {
		s.append(store.Batch{Project: "p" + id, Observations: []domain.ObservationPatch{span(id, id, int64(i), id)}})
		r, err := readTrace(t.Context(), s, "p"+id, id)
		if err != nil || r.Observations[0].ID != id || string(r.Contents[0][domain.Input].Data) != id {
			t.Errorf("%q: %+v, %v", id, r, err)
		}
	}
}

func tracesCanceled(t *testing.T, s *subject) {
	s.append(spans(span("t", "o", 1, "x")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err1 := s.Trace(ctx, "p", "t")
	err2 := s.Append(ctx, []store.Batch{spans(span("t", "o2", 1, ""))})[0]
	for _, err := range []error{err1, err2} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want canceled", err)
		}
	}
	if r := s.trace("t"); len(r.Observations) != 1 {
		t.Errorf("a canceled append was kept: %+v", r.Observations)
	}
}

func tracesClosed(t *testing.T, s *subject) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second close: %v", err)
	}
	_, err1 := s.Trace(t.Context(), "p", "t")
	err2 := s.Append(t.Context(), []store.Batch{spans(span("t", "o", 1, ""))})[0]
	for _, err := range []error{err1, err2, s.DeleteTraces(t.Context(), "p", []string{"t"}), s.Ready(t.Context())} {
		if domain.CodeOf(err) != domain.Unavailable {
			t.Errorf("after close: %v, want unavailable", err)
		}
	}
}
