package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// indexSome moves fresh rows into a segment, or puts a segment right that holds
// many stale ones, and reports whether there may be more to do.
func (s *Store) indexSome(ctx context.Context, all bool) (more bool, err error) {
	if err := s.catchUp(ctx); err != nil {
		return false, err
	}
	if err := s.loadUnread(ctx); err != nil {
		return false, err
	}
	now := s.opts.Now().UnixNano()
	s.mu.Lock()
	idle := all || now-s.lastCommit > int64(idleAfter)
	s.mu.Unlock()
	s.index.mu.RLock()
	chosen := s.index.choose(now, all, idle)
	small := s.index.smallLast()
	worst := s.index.worst(all, false)
	s.index.mu.RUnlock()
	switch {
	case len(chosen) > 0 && idle && small != nil:
		kept, err := s.reread(ctx, small)
		if err != nil {
			return false, err
		}
		return true, s.putSegment(ctx, small, append(kept, chosen...))
	case len(chosen) > 0:
		return true, s.putSegment(ctx, nil, chosen)
	case worst != nil:
		return true, s.renewSegment(ctx, worst)
	case idle && !s.rolledUp:
		seg, err := s.withoutRollups(ctx)
		if s.rolledUp = seg == nil && err == nil; s.rolledUp || err != nil {
			return false, err
		}
		return true, s.renewSegment(ctx, seg)
	}
	return false, nil
}

// withoutRollups is a segment of a release that made no rollups, nil where there
// is none left.
func (s *Store) withoutRollups(ctx context.Context) (seg *segment, err error) {
	err = s.reads.read(ctx, func(c *sqlConn) error {
		sid, err := c.integer("SELECT sid FROM segments s WHERE NOT EXISTS (SELECT 1 FROM columns WHERE sid = s.sid AND name = ?) LIMIT 1", rollupColumn)
		s.index.mu.RLock()
		defer s.index.mu.RUnlock()
		if i := slices.IndexFunc(s.index.segments, func(seg *segment) bool { return seg.sid == sid }); i >= 0 {
			seg = s.index.segments[i]
		}
		return err
	})
	return seg, err
}

// smallLast is the last segment if it has much room left, else nil. What comes
// next is put into it while nobody writes, so that pauses do not leave a segment
// each behind.
func (x *index) smallLast() *segment {
	if n := len(x.segments); n > 0 && x.segments[n-1].traces+x.segments[n-1].observations < segmentRows/2 {
		return x.segments[n-1]
	}
	return nil
}

// maxUnread is how many traces may be read into memory to be listed. After a
// start on a folder without segments there are far more: those go into segments
// first, as they are read.
const maxUnread = 2 * segmentRows

// catchUp makes segments of what no memory should be filled with. The caller
// holds tending.
func (s *Store) catchUp(ctx context.Context) error {
	for {
		s.index.mu.RLock()
		var tids []int64
		if len(s.index.unread) > maxUnread {
			for tid := range s.index.entries { // also those that were read: a segment leaves none out
				if tid > s.index.upTo {
					tids = append(tids, tid)
				}
			}
		}
		s.index.mu.RUnlock()
		if len(tids) == 0 {
			return nil
		}
		slices.Sort(tids)
		if err := s.segmentUnread(ctx, tids); err != nil {
			return err
		}
	}
}

func (s *Store) segmentUnread(ctx context.Context, tids []int64) error {
	var chosen []*freshEntry
	rows := 0
	err := s.reads.read(ctx, func(c *sqlConn) error {
		seq, err := c.integer("SELECT max(seq) FROM changes")
		if err != nil {
			return err
		}
		for _, tid := range tids {
			n, err := s.readNarrow(c, tid)
			if err != nil {
				return err
			}
			if n == nil {
				continue
			}
			chosen = append(chosen, &freshEntry{n, seq})
			if rows += len(n.observations) + 1; rows >= segmentRows {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.putSegment(ctx, nil, chosen)
}

// choose is the entries of the next segment, none where it is too early: rows
// in memory are the slowest to look through, so while nobody writes a few are
// enough.
func (x *index) choose(now int64, all, idle bool) []*freshEntry {
	least := segmentRows
	if idle {
		least = idleRows
	}
	if !all && x.rows < least {
		return nil
	}
	var tids []int64
	for tid, e := range x.entries {
		if tid > x.upTo {
			if e.n == nil {
				return nil
			}
			tids = append(tids, tid)
		}
	}
	slices.Sort(tids)
	var out []*freshEntry
	rows := 0
	for _, tid := range tids {
		e := x.entries[tid]
		if !all && x.rows < maxFreshRows && !e.n.settled(now) {
			break
		}
		out = append(out, e)
		if rows += len(e.n.observations) + 1; rows >= segmentRows {
			return out
		}
	}
	if all || rows >= least {
		return out
	}
	return nil
}

// settled reports whether a trace is ready for a segment: quiet, and sealed,
// which makes its metadata known. One that the sealing passed over, as after a
// restart, is ready after a while all the same.
func (n *narrow) settled(now int64) bool {
	quiet := now - n.changed
	return quiet >= segmentQuiet && (n.pairsKnown || n.unpaired) || quiet >= 10*segmentQuiet
}

// worst is a segment that holds so many stale rows that it is worth writing
// anew, nil where there is none. Rows that were deleted have to go at once.
func (x *index) worst(all, goneOnly bool) *segment {
	stale := map[*segment]int{}
	for tid, e := range x.entries {
		seg := x.segmentOf(tid)
		if seg == nil {
			continue
		}
		stale[seg]++
		if all || e.n == nil && !x.unread[tid] || !goneOnly && stale[seg]*20 >= seg.traces {
			return seg
		}
	}
	return nil
}

// eraseSegments writes the segments anew that hold deleted traces.
func (s *Store) eraseSegments(ctx context.Context) error {
	for {
		s.index.mu.RLock()
		seg := s.index.worst(false, true)
		s.index.mu.RUnlock()
		if seg == nil {
			return nil
		}
		if err := s.renewSegment(ctx, seg); err != nil {
			return err
		}
	}
}

// segmentOf is the segment whose range a trace lies in, nil for none.
func (x *index) segmentOf(tid int64) *segment {
	i, _ := slices.BinarySearchFunc(x.segments, tid, func(s *segment, tid int64) int { return cmp.Compare(s.tidMax, tid) })
	if i == len(x.segments) || tid < x.segments[i].tidMin {
		return nil
	}
	return x.segments[i]
}

// renewSegment writes a segment anew with its traces as they are now.
func (s *Store) renewSegment(ctx context.Context, seg *segment) error {
	chosen, err := s.reread(ctx, seg)
	if err != nil {
		return err
	}
	return s.putSegment(ctx, seg, chosen)
}

// reread is the traces of a segment's range as they are now.
func (s *Store) reread(ctx context.Context, seg *segment) (chosen []*freshEntry, err error) {
	err = s.reads.read(ctx, func(c *sqlConn) error {
		seq, err := c.integer("SELECT max(seq) FROM changes")
		if err != nil {
			return err
		}
		var tids []int64
		if err := c.rows("SELECT tid FROM traces WHERE tid BETWEEN ? AND ?", func(r row) error {
			tids = append(tids, r.int(0))
			return nil
		}, seg.tidMin, seg.tidMax); err != nil {
			return err
		}
		pairs, err := s.pairsOf(ctx, c, seg)
		if err != nil {
			return err
		}
		for _, tid := range tids {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := s.readNarrow(c, tid)
			if err != nil {
				return err
			}
			if n != nil {
				s.keepPairs(n, pairs)
				chosen = append(chosen, &freshEntry{n, seq})
			}
		}
		return nil
	})
	return chosen, err
}

// pairsOf is the metadata pairs that a segment knows of its traces; none where
// it can't be read, for they can be found out again.
func (s *Store) pairsOf(ctx context.Context, c *sqlConn, seg *segment) (map[int64][]uint64, error) {
	o := &openSegment{segment: seg, x: &lookup{s: s, ctx: ctx, c: c}}
	out := map[int64][]uint64{}
	if col := o.named(pairsColumn); col != nil && col.pairs != nil {
		col.pairs.each(seg.traces, func(row int, pairs []uint64) { out[o.tid(row)] = pairs })
	}
	if errors.Is(o.err, errCorrupt) {
		return nil, nil
	}
	return out, o.err
}

// keepPairs gives a trace the metadata pairs that are known of it.
func (s *Store) keepPairs(n *narrow, old map[int64][]uint64) {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	if e := s.index.entries[n.tid]; e != nil {
		if e.n != nil && e.n.pairsKnown {
			n.pairs, n.pairsKnown = e.n.pairs, true
		}
		return
	}
	n.pairs, n.pairsKnown = old[n.tid]
}

// putSegment writes the chosen traces as a segment, in place of another one,
// which then reaches to the last of them, or behind the last. What changed since
// it was chosen becomes stale at once.
func (s *Store) putSegment(ctx context.Context, old *segment, chosen []*freshEntry) error {
	w := newSegmentWriter()
	x := s.newLookup(ctx, 0)
	for _, e := range chosen {
		giveWay()
		n, err := x.withPairs(e.n)
		if err != nil {
			return err
		}
		w.add(n)
	}
	blobs := w.encoded()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errClosed()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	seg := w.segment()
	if old != nil {
		seg.tidMin, seg.tidMax = old.tidMin, max(old.tidMax, seg.tidMax)
	} else {
		seg.tidMin = s.index.upTo + 1 // no trace lies between segments
	}
	var changed []int64 // since it was chosen
	err := s.tx(func() error {
		if old != nil {
			if err := dropSegment(s.db, old.sid); err != nil {
				return err
			}
		}
		if _, err := s.db.exec("DELETE FROM stale WHERE tid BETWEEN ? AND ?", seg.tidMin, seg.tidMax); err != nil {
			return err
		}
		changed = s.index.changedSince(seg, chosen)
		for _, tid := range changed {
			if _, err := s.db.exec("INSERT INTO stale (tid) VALUES (?)", tid); err != nil {
				return err
			}
		}
		if len(chosen) == 0 {
			return nil
		}
		seg.sid = s.index.newSid()
		return insertSegment(s.db, seg, blobs)
	})
	if err != nil {
		return fmt.Errorf("write a segment: %w", err)
	}
	s.walDirty, s.untidy = true, true
	s.index.replace(old, seg, chosen, changed)
	if old != nil {
		s.columns.forget(old.sid)
	}
	return nil
}

// newSid is a number that no segment had since the start: whoever reads one that
// is replaced meanwhile must not be shown its successor. Store.mu is held.
func (x *index) newSid() int64 {
	x.lastSid++
	return x.lastSid
}

func insertSegment(db *sqlConn, seg *segment, blobs map[string][]byte) error {
	if _, err := db.exec("INSERT INTO segments (sid, tid_min, tid_max, traces, observations, projects) VALUES (?,?,?,?,?,?)",
		seg.sid, seg.tidMin, seg.tidMax, int64(seg.traces), int64(seg.observations), putShares(seg.projects)); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(blobs)) {
		if _, err := db.exec("INSERT INTO columns (sid, name, data) VALUES (?,?,?)", seg.sid, name, blobs[name]); err != nil {
			return err
		}
	}
	return nil
}

func dropSegment(db *sqlConn, sid int64) error {
	if _, err := db.exec("DELETE FROM columns WHERE sid = ?", sid); err != nil {
		return err
	}
	_, err := db.exec("DELETE FROM segments WHERE sid = ?", sid)
	return err
}

// changedSince is which traces of a segment's range are not, or no longer, as
// they were chosen.
func (x *index) changedSince(seg *segment, chosen []*freshEntry) []int64 {
	x.mu.RLock() // lists put into entries what they read
	defer x.mu.RUnlock()
	as := make(map[int64]int64, len(chosen))
	var out []int64
	for _, e := range chosen {
		as[e.n.tid] = e.seq
		if x.entries[e.n.tid] == nil && e.n.tid > x.upTo {
			out = append(out, e.n.tid) // deleted
		}
	}
	for tid, e := range x.entries {
		if tid < seg.tidMin || tid > seg.tidMax {
			continue
		}
		if seq, found := as[tid]; found && e.seq > seq || !found && (e.n != nil || x.unread[tid]) {
			out = append(out, tid)
		}
	}
	slices.Sort(out)
	return out
}

// replace puts a segment in the place of another one or at the end, and lets go
// of the entries that it holds.
func (x *index) replace(old, seg *segment, chosen []*freshEntry, changed []int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	segments := make([]*segment, 0, len(x.segments)+1)
	for _, s := range x.segments {
		if s != old {
			segments = append(segments, s)
		}
	}
	if len(chosen) > 0 {
		segments = append(segments, seg)
	}
	slices.SortFunc(segments, func(a, b *segment) int { return int(a.tidMin - b.tidMin) })
	x.segments = segments
	x.upTo = max(x.upTo, seg.tidMax)
	for _, tid := range changed {
		if x.entries[tid] == nil {
			x.entries[tid] = &freshEntry{} // gone
		}
	}
	for tid := range x.entries {
		if tid < seg.tidMin || tid > seg.tidMax {
			continue
		}
		if _, still := slices.BinarySearch(changed, tid); !still {
			x.set(tid, nil)
		}
	}
	x.entries = maps.Collect(maps.All(x.entries)) // every list goes through it, and a map keeps the size that it once had
}
