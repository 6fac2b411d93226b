package local

import (
	"context"
	"errors"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// deleteGroup is how many traces one commit deletes, so that writers wait for
// some milliseconds at most.
const deleteGroup = 50

// DeleteTraces implements store.Traces.
func (s *Store) DeleteTraces(ctx context.Context, project string, ids []string) error {
	for group := range slices.Chunk(ids, deleteGroup) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.deleteGroup(project, group); err != nil {
			return public(err)
		}
	}
	// A failure from here on leaves the erasing to the background.
	s.tending.Lock()
	defer s.tending.Unlock()
	return public(errors.Join(s.eraseDeleted(ctx), s.eraseSegments(ctx)))
}

func (s *Store) deleteGroup(project string, ids []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errClosed()
	}
	pid, found := s.projects[project]
	if !found {
		return nil
	}
	d := &deletion{s: s, pid: pid}
	err := s.db.tx(func() error {
		for _, id := range ids {
			if err := d.trace(domain.TraceKey(id)); err != nil {
				return err
			}
		}
		if len(d.changes) == 0 {
			return nil
		}
		_, err := s.db.exec("INSERT INTO changes (seq, list) VALUES (?, ?)", s.seq+1, d.changes)
		return err
	})
	s.noteWrite(err)
	if err != nil {
		return err
	}
	s.commits.Add(1)
	if len(d.changes) > 0 {
		s.seq++
		s.ids.covers(s.seq)
		s.untidy, s.dead, s.walDirty = true, true, true
	}
	s.index.mu.Lock()
	for _, tid := range d.tids {
		s.index.drop(tid, s.seq)
	}
	s.index.mu.Unlock()
	s.scores.changed(pid)
	for _, key := range d.keys {
		s.recent.remove(traceRef{pid, key})
	}
	for _, tid := range d.tids {
		s.hot.done(tid)
	}
	for _, file := range d.files {
		s.hot.remove(file)
	}
	for _, r := range d.rows {
		s.ids.remove(r.hash, r.rid)
	}
	s.adrift -= d.adrift
	return nil
}

// deletion is one commit that deletes traces, and what follows for the memory.
type deletion struct {
	s       *Store
	pid     int64
	changes []byte
	keys    []string
	tids    []int64
	files   []int64 // of hot chunks, one entry each
	rows    []deletedRow
	adrift  int64
}

// deletedRow is an observation and the hash by which it was found.
type deletedRow struct {
	hash uint64
	rid  int64
}

func (d *deletion) trace(key string) error {
	db := d.s.db
	if err := d.scores(key); err != nil {
		return err
	}
	tid, session := int64(0), ""
	if _, err := db.one("SELECT tid, session_id FROM traces WHERE project = ? AND key = ?", func(r row) {
		tid, session = r.int(0), r.text(1)
	}, d.pid, key); err != nil || tid == 0 {
		return err
	}
	d.keys, d.tids = append(d.keys, key), append(d.tids, tid)
	if err := d.s.noteStale(tid); err != nil {
		return err
	}
	if err := d.observations(tid); err != nil {
		return err
	}
	if err := db.rows("SELECT file FROM hot WHERE k BETWEEN ? AND ?", func(r row) error {
		d.files = append(d.files, r.int(0))
		return nil
	}, tid<<seqBits, (tid+1)<<seqBits-1); err != nil {
		return err
	}
	for _, sql := range []string{
		"INSERT OR IGNORE INTO erasures (file, off, len) SELECT file, off, len FROM hot WHERE k BETWEEN ?1 << 20 AND ((?1 + 1) << 20) - 1",
		"UPDATE blocks SET erase = 1 WHERE bid IN (SELECT bid FROM places WHERE tid = ?1)",
	} {
		if _, err := db.exec(sql, tid); err != nil {
			return err
		}
	}
	d.changes = putEntry(d.changes, entry{kind: store.TraceChanged, pid: d.pid, key: key})
	if session != "" {
		d.changes = putEntry(d.changes, entry{kind: store.SessionChanged, pid: d.pid, key: session})
	}
	return dropTrace(db, tid)
}

func (d *deletion) scores(key string) error {
	var ids []string
	err := d.s.db.rows("SELECT id FROM scores WHERE project = ? AND trace = ?", func(r row) error {
		ids = append(ids, r.text(0))
		return nil
	}, d.pid, key)
	if err != nil {
		return err
	}
	for _, id := range ids {
		d.changes = putEntry(d.changes, entry{kind: store.ScoreChanged, pid: d.pid, key: id})
	}
	_, err = d.s.db.exec("DELETE FROM scores WHERE project = ? AND trace = ?", d.pid, key)
	return err
}

// observations deletes the rows of a trace's observations and what finds them.
func (d *deletion) observations(tid int64) error {
	db := d.s.db
	from, to := tid<<seqBits, (tid+1)<<seqBits-1
	before := len(d.rows)
	err := db.rows("SELECT rid, id FROM observations WHERE rid BETWEEN ? AND ?", func(r row) error {
		d.rows = append(d.rows, deletedRow{idHash(d.pid, r.text(1)), r.int(0)})
		return nil
	}, from, to)
	if err != nil {
		return err
	}
	for _, r := range d.rows[before:] {
		if _, err := db.exec("DELETE FROM ids WHERE hash = ? AND rid = ?", int64(r.hash), r.rid); err != nil {
			return err
		}
	}
	if d.s.adrift > 0 {
		n, err := db.exec("DELETE FROM adrift WHERE rid BETWEEN ? AND ?", from, to)
		if err != nil {
			return err
		}
		d.adrift += n
	}
	_, err = db.exec("DELETE FROM observations WHERE rid BETWEEN ? AND ?", from, to)
	return err
}
