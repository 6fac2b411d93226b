package local

import (
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// rescue moves an observation that waited in a trace of its own id into lt,
// its trace, which the patch at hand names.
func (g *group) rescue(lt *liveTrace, to *pendingRow) error {
	id, from := to.id, int64(-1)
	if _, err := g.s.db.one("SELECT rid FROM adrift WHERE project = ? AND id = ?", func(r row) { from = r.int(0) }, lt.pid, id); err != nil || from < 0 {
		return err
	}
	if _, err := g.s.db.exec("DELETE FROM adrift WHERE project = ? AND id = ?", lt.pid, id); err != nil {
		return err
	}
	g.s.adrift--
	if from == to.rid {
		return nil // its own id is its trace's after all
	}
	old := g.rows[from]
	if old == nil {
		shelter, err := g.liveByNumber(from >> seqBits)
		if err != nil {
			return err
		}
		if old, err = g.row(shelter, id); err != nil {
			return err
		}
	}
	if err := g.moveItems(old, to); err != nil {
		return err
	}
	domain.FoldObservation(&to.fold, &old.fold)
	to.fold.Value.Parts |= old.fold.Value.Parts
	if c := old.fold.Value.CreatedAt; !to.fold.Value.CreatedAt.IsSet() || c.Before(to.fold.Value.CreatedAt) {
		to.fold.Value.CreatedAt = c
	}
	to.change(g)
	return g.drop(old)
}

// moveItems copies the items of an observation to the chunk of its new trace.
func (g *group) moveItems(old, to *pendingRow) error {
	move := func(items []byte) error {
		r := reader{b: items}
		for len(r.b) > 0 {
			if it := r.item(); r.err == nil && it.ID == old.id {
				g.item(to.lt, itemRow(to.rid), &it)
			}
		}
		return r.err
	}
	for _, c := range g.full {
		if c.lt == old.lt {
			if err := move(c.items); err != nil {
				return err
			}
		}
	}
	if err := move(old.lt.chunk); err != nil {
		return err
	}
	sources, err := traceSources(g.s.db, old.lt.tid)
	if err != nil {
		return err
	}
	for _, src := range sources {
		u, err := g.s.readSource(src, old.lt.tid, nil)
		if err != nil {
			return err
		}
		if err := move(u.items); err != nil {
			return err
		}
	}
	return nil
}

// drop removes an observation's row. Its items stay where they are until its
// trace is sealed: a read sees only the items of rows.
func (g *group) drop(row *pendingRow) error {
	hash := idHash(row.lt.pid, row.id)
	delete(row.lt.rows, row.id)
	g.s.ids.remove(hash, row.rid)
	row.changed = false
	g.change(row.lt)
	if row.old == nil {
		return nil
	}
	row.lt.stale = true
	if _, err := g.s.db.exec("DELETE FROM ids WHERE hash = ? AND rid = ?", int64(hash), row.rid); err != nil {
		return err
	}
	_, err := g.s.db.exec("DELETE FROM observations WHERE rid = ?", row.rid)
	return err
}

// dissolve removes a trace of which nothing is left.
func (g *group) dissolve(lt *liveTrace) error {
	g.s.recent.remove(lt.traceRef)
	lt.dissolved = true
	if err := g.s.noteStale(lt.tid); err != nil {
		return err
	}
	err := g.s.db.rows("SELECT file FROM hot WHERE k BETWEEN ? AND ?", func(r row) error {
		g.gone = append(g.gone, goneChunk{lt.tid, r.int(0)})
		return nil
	}, lt.tid<<seqBits, (lt.tid+1)<<seqBits-1)
	if err != nil {
		return err
	}
	g.changes = putEntry(g.changes, entry{kind: store.TraceChanged, pid: lt.pid, key: lt.key})
	return dropTrace(g.s.db, lt.tid)
}

// dropTrace deletes a trace's row and the places of its bodies.
func dropTrace(c *sqlConn, tid int64) error {
	for _, sql := range []string{
		"UPDATE blocks SET dead = dead + (SELECT raw FROM places WHERE tid = ?1 AND bid = blocks.bid) WHERE bid IN (SELECT bid FROM places WHERE tid = ?1)",
		"DELETE FROM places WHERE tid = ?1",
		"DELETE FROM hot WHERE k BETWEEN ?1 << 20 AND ((?1 + 1) << 20) - 1",
		"DELETE FROM traces WHERE tid = ?1",
	} {
		if _, err := c.exec(sql, tid); err != nil {
			return err
		}
	}
	return nil
}
