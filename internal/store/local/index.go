package local

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// index knows where the rows are that lists read: most in segments, the others,
// which came or changed since those were made, in memory.
type index struct {
	mu       sync.RWMutex
	segments []*segment            // by tid; replaced whole, never changed
	lastSid  int64                 // the greatest number that a segment was given; Store.mu
	upTo     int64                 // traces up to this number are in segments, but for the entries
	entries  map[int64]*freshEntry // by tid
	unread   map[int64]bool        // entries that have to be read
	rows     int                   // observations in entries
}

// segment describes a segment: rows of the traces of a range of numbers, and of
// their observations, column by column.
type segment struct {
	sid            int64
	tidMin, tidMax int64
	traces         int
	observations   int
	projects       []share // by pid
}

// share is what a segment holds of a project: of traces, by their times, and of
// observations, by their starts.
type share struct {
	pid                  int64
	traces, observations int32
	t, o                 interval
}

// interval is times from lo to hi, both included, in nanoseconds.
type interval struct{ lo, hi int64 }

// with is the interval that holds at as well; first says that it holds none yet.
func (i interval) with(at int64, first bool) interval {
	if first {
		return interval{at, at}
	}
	return interval{min(i.lo, at), max(i.hi, at)}
}

// share is the segment's share of a project, empty where it holds none of it.
func (s *segment) share(pid int64) share {
	i, found := slices.BinarySearchFunc(s.projects, pid, func(h share, pid int64) int { return cmp.Compare(h.pid, pid) })
	if !found {
		return share{pid: pid}
	}
	return s.projects[i]
}

// of is the times of a view's rows, and how many there are.
func (h *share) of(v query.View) (interval, int) {
	if v == query.Observations {
		return h.o, int(h.observations)
	}
	return h.t, int(h.traces)
}

// set puts an entry in place of another one.
func (x *index) set(tid int64, e *freshEntry) {
	if old := x.entries[tid]; old != nil && old.n != nil {
		x.rows -= len(old.n.observations) + 1
	}
	if e == nil {
		delete(x.entries, tid)
		delete(x.unread, tid)
		return
	}
	x.entries[tid] = e
	if e.n != nil {
		x.rows += len(e.n.observations) + 1
	}
}

// snapshot is the index as of one moment.
type snapshot struct {
	segments []*segment
	fresh    []*narrow
	stale    []int64 // numbers, sorted, of traces that segments hold wrongly
}

// complete says that nothing was unread then.
func (x *index) snapshot() (_ snapshot, complete bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := snapshot{segments: x.segments}
	for tid, e := range x.entries {
		if tid <= x.upTo {
			out.stale = append(out.stale, tid)
		}
		if e.n != nil {
			out.fresh = append(out.fresh, e.n)
		}
	}
	slices.Sort(out.stale)
	return out, len(x.unread) == 0
}

// snapshot is the index as of one moment at which all of it is known.
func (s *Store) snapshot(ctx context.Context) (snapshot, error) {
	for {
		if err := s.loadFresh(ctx); err != nil {
			return snapshot{}, err
		}
		if snap, complete := s.index.snapshot(); complete { // else a commit came between
			return snap, nil
		}
	}
}

// staleIn is the stale traces in the range of a segment.
func (p *snapshot) staleIn(seg *segment) []int64 {
	from, _ := slices.BinarySearch(p.stale, seg.tidMin)
	to, found := slices.BinarySearch(p.stale, seg.tidMax)
	if found {
		to++
	}
	return p.stale[from:to]
}

// loadIndex reads the segments' heads at a start. What they do not hold is read
// when it is first wanted.
func (s *Store) loadIndex() error {
	x := &s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	x.segments, x.upTo, x.rows = nil, 0, 0
	x.entries, x.unread = map[int64]*freshEntry{}, map[int64]bool{}
	err := s.db.rows("SELECT sid, tid_min, tid_max, traces, observations, projects FROM segments ORDER BY tid_min", func(r row) error {
		seg := &segment{
			sid: r.int(0), tidMin: r.int(1), tidMax: r.int(2), traces: int(r.int(3)), observations: int(r.int(4)),
		}
		var err error
		seg.projects, err = readShares(r.blob(5))
		x.segments = append(x.segments, seg)
		x.lastSid = max(x.lastSid, seg.sid)
		x.upTo = max(x.upTo, seg.tidMax)
		return err
	})
	if err != nil {
		return err
	}
	unread := func(sql string, args ...any) error {
		return s.db.rows(sql, func(r row) error {
			x.entries[r.int(0)] = &freshEntry{}
			x.unread[r.int(0)] = true
			return nil
		}, args...)
	}
	if err := unread("SELECT tid FROM stale"); err != nil {
		return err
	}
	last := int64(0)
	for _, seg := range x.segments {
		if seg.tidMin > last+1 { // a segment of which nothing was left is gone
			if err := unread("SELECT tid FROM traces WHERE tid > ? AND tid < ?", last, seg.tidMin); err != nil {
				return err
			}
		}
		last = seg.tidMax
	}
	s.nextTid = max(s.nextTid, x.upTo+1)
	return unread("SELECT tid FROM traces WHERE tid > ?", x.upTo)
}

// readShares reads what a segment's row says of projects.
func readShares(b []byte) (out []share, err error) {
	for rd := (reader{b: b}); len(rd.b) > 0; {
		h := share{pid: int64(rd.uint()), traces: int32(rd.uint()), observations: int32(rd.uint())}
		h.t, h.o = interval{rd.int(), rd.int()}, interval{rd.int(), rd.int()}
		if rd.err != nil {
			return nil, rd.err
		}
		out = append(out, h)
	}
	return slices.Clip(out), nil
}

// putShares is what readShares reads.
func putShares(list []share) (b []byte) {
	for _, h := range list {
		for _, n := range []int64{h.pid, int64(h.traces), int64(h.observations)} {
			b = binary.AppendUvarint(b, uint64(n))
		}
		for _, at := range []int64{h.t.lo, h.t.hi, h.o.lo, h.o.hi} {
			b = binary.AppendVarint(b, at)
		}
	}
	return b
}

// index takes over what the commit changed. It runs before the commit is
// answered.
func (g *group) index() {
	x := &g.s.index
	seq := g.s.seq
	rows := map[*liveTrace][]*pendingRow{}
	for _, row := range g.pending {
		if row.changed {
			rows[row.lt] = append(rows[row.lt], row)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, lt := range g.touched {
		if !lt.dirty {
			continue
		}
		e := x.entries[lt.tid]
		switch {
		case lt.dissolved:
			x.drop(lt.tid, seq)
			continue
		case lt.stale || e == nil && !lt.isNew || e != nil && e.n == nil:
			x.set(lt.tid, &freshEntry{seq: seq})
			x.unread[lt.tid] = true
			continue
		}
		t := lt.rollup.Trace(lt.own.Value)
		t.ID, t.CreatedAt, t.UpdatedAt = lt.id, domain.At(lt.created), domain.At(lt.updated)
		n := &narrow{tid: lt.tid, pid: lt.pid, trace: &t, root: lt.rollup.RootID(), changed: g.now}
		n.withoutMetadata()
		if e != nil {
			n.observations = e.n.observations
		}
		n.take(rows[lt])
		if lt.isNew {
			n.pairNew(lt.meta)
		}
		x.set(lt.tid, &freshEntry{n: n, seq: seq})
	}
}

// take adds the rows that a commit wrote, or puts them in place of older ones.
func (n *narrow) take(rows []*pendingRow) {
	cloned := false
	for _, row := range rows {
		r := narrowRow{row.rid, slim(&row.fold.Value)}
		last := len(n.observations) - 1
		if last < 0 || n.observations[last].rid < row.rid {
			n.observations = append(n.observations, r) // readers of the older slice do not see it
			continue
		}
		if !cloned {
			n.observations, cloned = slices.Clone(n.observations), true
		}
		i, found := slices.BinarySearchFunc(n.observations, row.rid, func(o narrowRow, rid int64) int { return int(o.rid - rid) })
		if found {
			n.observations[i] = r
		} else {
			n.observations = slices.Insert(n.observations, i, r)
		}
	}
}

// drop notes that a trace is gone.
func (x *index) drop(tid, seq int64) {
	if tid > x.upTo {
		x.set(tid, nil)
		return
	}
	x.set(tid, &freshEntry{seq: seq})
	delete(x.unread, tid)
}

// noteStale writes down that the segments hold a trace wrongly from the commit
// on that is being written.
func (s *Store) noteStale(tid int64) error {
	if tid > s.index.upTo {
		return nil
	}
	_, err := s.db.exec("INSERT OR IGNORE INTO stale (tid) VALUES (?)", tid)
	return err
}
