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
