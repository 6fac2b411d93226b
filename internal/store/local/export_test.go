package local

import (
	"context"
	"fmt"
	"testing"
)

// Pragmas is journal_mode and synchronous of the writer and of every reader.
func (s *Store) Pragmas(t *testing.T) (out []string) {
	t.Helper()
	look := func(c *sqlConn) error {
		mode := ""
		if _, err := c.one("PRAGMA journal_mode", func(r row) { mode = r.text(0) }); err != nil {
			return err
		}
		n, err := c.integer("PRAGMA synchronous")
		out = append(out, fmt.Sprintf("%s %d", mode, n))
		return err
	}
	if err := look(s.db); err != nil {
		t.Fatal(err)
	}
	for range s.opts.Readers {
		// The pool hands connections out in turn.
		if err := s.reads.read(context.Background(), look); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// SortObservations is what a read sorts observations with.
var SortObservations = sortObservations

// ForgetFilters makes every block one of a release that wrote no search filters.
func (s *Store) ForgetFilters(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.db.exec("UPDATE blocks SET search = 0"); err != nil {
		t.Fatal(err)
	}
}

// WithoutFilters is how many blocks have no search filter.
func (s *Store) WithoutFilters(t *testing.T) (n int64) {
	t.Helper()
	err := s.reads.read(context.Background(), func(c *sqlConn) (err error) {
		n, err = c.integer("SELECT count(*) FROM blocks WHERE NOT search")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Segments is how many segments there are, and how many traces they hold wrongly.
func (s *Store) Segments() (segments, stale int) {
	snap, _ := s.index.snapshot()
	return len(snap.segments), len(snap.stale)
}

// ForgetSegments makes the folder one whose segments are still to be made.
func (s *Store) ForgetSegments(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.db.run("DELETE FROM segments; DELETE FROM columns; DELETE FROM stale"); err != nil {
		t.Fatal(err)
	}
}

// SetRollupShare makes segments keep rollups of groups that have so many rows.
func SetRollupShare(t *testing.T, n int) {
	was := rollupShare
	rollupShare = n
	t.Cleanup(func() { rollupShare = was })
}

// Without drops a column from every segment.
func (s *Store) Without(t *testing.T, column string) {
	t.Helper()
	s.tending.Lock()
	defer s.tending.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.db.exec("DELETE FROM columns WHERE name = ?", column); err != nil {
		t.Fatal(err)
	}
	s.columns, s.rolledUp = newColumnCache(), false
}

// SetOpenRows makes lists test candidates that are open after so many, for the
// time of a test.
func SetOpenRows(t *testing.T, n int) {
	was := openRows
	openRows = n
	t.Cleanup(func() { openRows = was })
}
