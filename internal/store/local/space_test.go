package local

import (
	"errors"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// openInside opens a store with one sealed trace.
func openInside(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), t.TempDir(), Options{SealAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	p := domain.ObservationPatch{
		Stamp: domain.Stamp{Time: 1, Op: domain.Create}, Said: domain.ObservationStart,
		Value: domain.Observation{ID: "o", TraceID: "t", Start: domain.At(1)}, Parts: domain.Parts(0).With(domain.Input),
	}
	p.Content[domain.Input] = domain.TextBody("in")
	domain.SealObservation(&p)
	if err := s.Append(t.Context(), []store.Batch{{Project: "p", Observations: []domain.ObservationPatch{p}}})[0]; err != nil {
		t.Fatal(err)
	}
	return s
}

// A file number that a failed commit was to write down is written down by the
// next one: it must not be given out again after a restart.
func TestFileNumberOfFailedCommit(t *testing.T) {
	s := openInside(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	no := errors.New("no")
	if err := s.tx(func() error { return errors.Join(s.useFile(99), no) }); !errors.Is(err, no) {
		t.Fatal(err)
	}
	if err := s.tx(func() error { return s.useFile(99) }); err != nil {
		t.Fatal(err)
	}
	if n, err := s.db.integer("SELECT value FROM meta WHERE name = 'max_file'"); err != nil || n != 99 {
		t.Errorf("max_file is %d, %v, want 99", n, err)
	}
}

// A block that a delete reaches while it is being moved leaves its old place to
// be overwritten, too.
func TestDeleteWhileBlockMoves(t *testing.T) {
	s := openInside(t)
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	blocks, err := s.blocksWhere(t.Context(), "1")
	if err != nil || len(blocks) != 1 || blocks[0].erase {
		t.Fatalf("blocks %+v, %v", blocks, err)
	}
	if err := s.deleteGroup("p", []string{"t"}); err != nil { // the rows alone, as a mover sees it
		t.Fatal(err)
	}
	if err := s.rewriteBlock(t.Context(), blocks[0]); err != nil { // with what it knew before
		t.Fatal(err)
	}
	if n, err := s.db.integer("SELECT count(*) FROM erasures"); err != nil || n != 1 {
		t.Errorf("%d places are to be overwritten, %v, want the old one", n, err)
	}
}

// Sealing writes to the log as any commit does, so an idle store cuts it back.
func TestSealingDirtiesLog(t *testing.T) {
	s := openInside(t)
	s.walDirty, s.untidy = false, false
	if n, err := s.sealSome(t.Context(), 0); err != nil || n != 1 {
		t.Fatalf("sealed %d, %v", n, err)
	}
	if !s.walDirty || !s.untidy {
		t.Errorf("after sealing: log dirty %v, files to remove %v", s.walDirty, s.untidy)
	}
}
