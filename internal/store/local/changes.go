package local

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// entry is one change on disk: a trace by its number, or anything by its key.
type entry struct {
	kind store.ChangeKind
	pid  int64
	tid  int64 // of a trace that is there, else 0
	key  string
}

const keyed = 0x80 // set in an entry's kind where its key is spelled out

func putEntry(b []byte, e entry) []byte {
	if e.tid != 0 {
		b = append(b, byte(e.kind))
		b = binary.AppendUvarint(b, uint64(e.pid))
		return binary.AppendUvarint(b, uint64(e.tid))
	}
	b = append(b, byte(e.kind)|keyed)
	b = binary.AppendUvarint(b, uint64(e.pid))
	return putText(b, e.key)
}

func eachChange(list []byte, f func(e entry) error) error {
	r := reader{b: list}
	for len(r.b) > 0 {
		kind := r.byte()
		e := entry{kind: store.ChangeKind(kind &^ keyed), pid: int64(r.uint())}
		if kind&keyed != 0 {
			e.key = r.text()
		} else {
			e.tid = int64(r.uint())
		}
		if r.err != nil {
			return r.err
		}
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

// A cursor is the commit and the number of its changes already seen.
func cursor(seq, seen int64) store.Cursor {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(seq)), uint64(seen))
}

// Head implements store.Traces.
func (s *Store) Head(ctx context.Context) (store.Cursor, error) {
	var seq int64
	err := s.reads.read(ctx, func(c *sqlConn) (err error) {
		seq, err = c.integer("SELECT max(seq) FROM changes")
		return err
	})
	return cursor(seq, math.MaxInt64), public(err)
}

// Changes implements store.Traces.
func (s *Store) Changes(ctx context.Context, after store.Cursor, limit int) ([]store.Change, store.Cursor, error) {
	r := reader{b: after}
	seq, seen := int64(r.uint()), int64(r.uint())
	if len(after) == 0 {
		seq, seen, r.err = 0, math.MaxInt64, nil
	}
	if r.err != nil || len(r.b) > 0 || limit <= 0 {
		return nil, nil, domain.Errorf(domain.Invalid, "changes: a cursor is handed back as it came, and the limit is at least 1")
	}
	var out []store.Change
	err := s.reads.read(ctx, func(c *sqlConn) error {
		trimmed, err := c.integer("SELECT value FROM meta WHERE name = 'trimmed'")
		if err != nil {
			return err
		}
		if seq < trimmed || seq == trimmed && seen != math.MaxInt64 {
			return store.ErrGap
		}
		return c.rows("SELECT seq, list FROM changes WHERE seq >= ? ORDER BY seq", func(r row) error {
			skip := int64(0)
			if r.int(0) == seq {
				skip = seen
			}
			seq, seen = r.int(0), skip
			n := int64(0)
			return eachChange(r.blob(1), func(e entry) error {
				if n++; n <= skip {
					return nil
				}
				if len(out) == limit {
					return errStop
				}
				seen = n
				return s.addChange(c, &out, e)
			})
		}, seq)
	})
	if err != nil {
		return nil, nil, public(err)
	}
	return out, cursor(seq, seen), nil
}

func (s *Store) addChange(c *sqlConn, out *[]store.Change, e entry) error {
	ch := store.Change{Kind: e.kind, Key: e.key}
	if e.tid != 0 {
		found, err := c.one("SELECT key FROM traces WHERE tid = ?", func(r row) { ch.Key = r.text(0) }, e.tid)
		if err != nil || !found {
			return err // a deleted trace has an entry of its own, with its key
		}
	}
	if _, err := c.one("SELECT id FROM projects WHERE pid = ?", func(r row) { ch.Project = r.text(0) }, e.pid); err != nil {
		return err
	}
	*out = append(*out, ch)
	return nil
}
