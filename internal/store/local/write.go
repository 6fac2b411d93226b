package local

import (
	"errors"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local/body"
)

// write puts the group's chunks into the hot log and its rows into the
// database; the log is synced while the statements run.
func (g *group) write() error {
	g.hot = g.full
	for _, lt := range g.touched {
		if len(lt.chunk) > 0 {
			g.hot = append(g.hot, hotChunk{lt, lt.chunk, lt.chunkRows})
		}
	}
	chunks := make([][]byte, len(g.hot))
	for i, c := range g.hot {
		chunks[i] = c.items
	}
	places, err := g.s.bodies.Append(chunks)
	if err != nil {
		return err
	}
	synced := make(chan error, 1)
	go func() { synced <- g.s.bodies.Sync() }()
	err = g.writeRows(places)
	return errors.Join(err, <-synced)
}

func (g *group) writeRows(places []body.Place) error {
	db := g.s.db
	for _, row := range g.pending {
		if err := g.writeObservation(row); err != nil {
			return err
		}
	}
	for i, p := range places {
		lt := g.hot[i].lt
		if lt.nextHot >= maxSeq {
			return domain.Errorf(domain.Unavailable, "trace %s takes in more writes than can be settled; try again", lt.id)
		}
		if _, err := db.exec("INSERT INTO hot (k, file, off, len, rows) VALUES (?,?,?,?,?)", lt.tid<<seqBits|lt.nextHot, p.File, p.Off, p.Len, g.hot[i].rows); err != nil {
			return err
		}
		lt.nextHot++
		g.files = append(g.files, p.File)
		if err := g.s.useFile(p.File); err != nil {
			return err
		}
	}
	for _, lt := range g.touched {
		if err := g.writeTrace(lt); err != nil {
			return err
		}
	}
	if len(g.changes) == 0 {
		return nil
	}
	_, err := db.exec("INSERT INTO changes (seq, list) VALUES (?, ?)", g.s.seq+1, g.changes)
	return err
}

// useFile remembers the highest file number ever used, so that a removed
// file's number is not given out again.
func (s *Store) useFile(n int64) error {
	if n <= s.maxFile {
		return nil
	}
	s.maxFile = n
	_, err := s.db.exec("UPDATE meta SET value = max(value, ?) WHERE name = 'max_file'", n)
	return err
}

// writeObservation derives and writes one row and moves its trace's rollup.
func (g *group) writeObservation(row *pendingRow) error {
	if !row.changed {
		return nil
	}
	o, lt := &row.fold.Value, row.lt
	o.TraceID, o.UpdatedAt = lt.id, domain.At(g.now)
	g.s.opts.Derive(g.s.names[lt.pid], o)
	sql := replaceObservation
	switch {
	case row.old == nil:
		sql = insertObservation
		lt.rollup.Add(o)
	case !lt.stale && lt.rollup.Remove(row.old):
		lt.rollup.Add(o)
	default:
		lt.stale = true
	}
	return writeObservation(g.s.db, sql, row.rid, lt.pid, &row.fold, &g.buf)
}

// writeTrace writes the row of a touched trace and notes the change.
func (g *group) writeTrace(lt *liveTrace) error {
	if !lt.dirty {
		return nil
	}
	if lt.stale {
		lt.rollup = domain.Rollup{}
		err := g.s.eachObservation(g.s.db, lt.pid, lt.tid, lt.id, func(_ int64, o *domain.Observation) error {
			lt.rollup.Add(o)
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(lt.rows) == 0 && len(lt.own.Stamps.List) == 0 {
		return g.dissolve(lt)
	}
	if err := writeTrace(g.s.db, lt); err != nil {
		return err
	}
	if err := g.s.noteStale(lt.tid); err != nil {
		return err
	}
	lt.stored = true
	g.changes = putEntry(g.changes, entry{kind: store.TraceChanged, pid: lt.pid, tid: lt.tid})
	if id := lt.rollup.Trace(lt.own.Value).SessionID; id != "" {
		g.changes = putEntry(g.changes, entry{kind: store.SessionChanged, pid: lt.pid, key: id})
	}
	return nil
}

// settle takes over into memory what the commit made true.
func (g *group) settle() {
	g.s.lastCommit, g.s.walDirty = g.now, true
	if len(g.changes) > 0 {
		g.s.seq++
		g.s.ids.covers(g.s.seq)
	}
	g.index()
	for _, pid := range g.scores {
		g.s.scores.changed(pid)
	}
	for _, lt := range g.touched {
		lt.isNew, lt.meta = false, nil
		lt.touched, lt.dirty, lt.stale, lt.chunk, lt.chunkRows = false, false, false, nil, nil
		g.s.recent.count(lt)
	}
	for i, c := range g.hot {
		g.s.hot.add(c.lt.tid, g.files[i], g.now)
		g.s.spare.give(c.items)
	}
	for _, c := range g.gone {
		g.s.hot.remove(c.file)
		g.s.hot.done(c.tid)
		g.s.untidy, g.s.dead = true, true
	}
	g.s.recent.trim()
}
