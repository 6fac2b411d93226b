package local

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/clewhq/clew/internal/query"
)

const (
	// segmentRows is how many observations a segment takes: few enough to be
	// made in some milliseconds, many enough that scans look at few segments.
	segmentRows = 8192
	// segmentQuiet is for how long a trace has to be quiet before it goes into
	// a segment; one that changes later has to be put there again.
	segmentQuiet = int64(2e9)
	// maxFreshRows is how many rows wait for their traces to fall quiet.
	maxFreshRows = 4 * segmentRows
)

// segmentWriter makes the columns of a segment.
type segmentWriter struct {
	seg     segment
	columns map[string]*columnWriter
	views   map[query.View][]*columnWriter // those of segmentColumns
}

// columnWriter is a column of texts or of integers; rows that nobody added are
// missing in it.
type columnWriter struct {
	texts textsWriter
	ints  intsWriter
	text  bool
}

func newSegmentWriter() *segmentWriter {
	w := &segmentWriter{seg: segment{projects: map[int64][2]int{}}, columns: map[string]*columnWriter{}, views: map[query.View][]*columnWriter{}}
	for v, cs := range segmentColumns {
		for _, c := range cs {
			text := c.Kind == query.IDKind || c.Kind == query.TextKind || c.Kind == query.EnumKind || c.Kind == query.ListKind
			w.views[v] = append(w.views[v], w.column(c.name, text, 0))
		}
	}
	return w
}

func (w *columnWriter) rows() int {
	if w.text {
		return len(w.texts.codes.values)
	}
	return len(w.ints.values)
}

func (w *columnWriter) pad(rows int) {
	for w.rows() < rows {
		if w.text {
			w.texts.add("", false)
		} else {
			w.ints.add(0, false)
		}
	}
}

func (w *segmentWriter) column(name string, text bool, row int) *columnWriter {
	c := w.columns[name]
	if c == nil {
		c = &columnWriter{text: text}
		w.columns[name] = c
	}
	c.pad(row)
	return c
}

func (w *segmentWriter) int(name string, row int, v int64, ok bool) {
	if ok {
		w.column(name, false, row).ints.add(v, true)
	}
}

func (w *segmentWriter) text(name string, row int, s string, ok bool) {
	if ok {
		w.column(name, true, row).texts.add(s, true)
	}
}

// Names of the columns that are no columns of a view.
const (
	tidColumn   = "t/tid"
	pidColumn   = "t/pid"
	pairsColumn = "t/pairs"
	firstColumn = "t/first" // the row of the trace's first observation
	beganColumn = "t/began" // its own timestamp, where it has one
	seqColumn   = "o/seq"
	ofColumn    = "o/of" // the row of the observation's trace
)

// segmentColumn is a column of a view that segments hold.
type segmentColumn struct {
	query.Column
	name string
}

// segmentColumns is which columns of the views segments hold; what is not here
// follows from others or is looked up.
var segmentColumns = func() map[query.View][]segmentColumn {
	out := map[query.View][]segmentColumn{}
	for v, prefix := range map[query.View]string{query.Traces: "t.", query.Observations: "o."} {
		for _, c := range query.Columns(v) {
			switch c.Kind {
			case query.MapKind, query.BodyKind, query.ScoresKind, query.CountsKind, query.PricesKind, query.FloatKind:
				continue
			}
			switch {
			case c.Col == query.ColScoreCount, v == query.Traces && c.Col == query.ColExperiment:
			case v == query.Traces && c.Col == query.ColLevel: // follows from the counts
			case v == query.Observations && ofTheTrace[c.Col] != 0:
			case v == query.Observations && c.Col == query.ColEnd: // follows from the latency
			default:
				out[v] = append(out[v], segmentColumn{c, prefix + c.Name})
			}
		}
	}
	return out
}()

// ofTheTrace is which columns of the observations' view are their trace's, and
// what they are called there.
var ofTheTrace = map[query.Col]query.Col{
	query.ColTrace: query.ColID, query.ColTraceName: query.ColName, query.ColUser: query.ColUser, query.ColSession: query.ColSession,
	query.ColTags: query.ColTags, query.ColRelease: query.ColRelease, query.ColTraceEnv: query.ColEnv, query.ColTraceVersion: query.ColVersion,
}

// add puts a trace and its observations at the end.
func (w *segmentWriter) add(n *narrow) {
	row := w.seg.traces
	rec := n.record(nil, nil)
	w.int(tidColumn, row, n.tid, true)
	w.int(pidColumn, row, n.pid, true)
	w.int(firstColumn, row, int64(w.seg.observations), true)
	w.int(beganColumn, row, n.trace.Totals.Start.Nanos(), n.trace.Totals.Start.IsSet())
	if n.pairsKnown {
		b := make([]byte, 0, 8*len(n.pairs))
		for _, p := range n.pairs {
			b = binary.LittleEndian.AppendUint64(b, p)
		}
		w.text(pairsColumn, row, string(b), true)
	}
	w.view(query.Traces, row, rec)
	at := query.TraceTime(n.trace).Nanos()
	if row == 0 {
		w.seg.tidMin, w.seg.tMin, w.seg.tMax = n.tid, at, at
	}
	w.seg.tidMax = n.tid
	w.seg.tMin, w.seg.tMax = min(w.seg.tMin, at), max(w.seg.tMax, at)
	for _, r := range n.observations {
		w.observation(n, r, row)
	}
	w.seg.traces++
	had := w.seg.projects[n.pid]
	w.seg.projects[n.pid] = [2]int{had[0] + 1, had[1] + len(n.observations)}
}

func (w *segmentWriter) observation(n *narrow, r narrowRow, of int) {
	row := w.seg.observations
	w.int(ofColumn, row, int64(of), true)
	w.int(seqColumn, row, r.rid&(maxSeq-1), true)
	w.view(query.Observations, row, n.record(nil, r.Observation))
	for _, c := range r.Derived.Usage {
		w.int("o.usage."+c.Key, row, c.Units, true)
	}
	for _, c := range r.Derived.Cost {
		w.int("o.costs."+c.Key, row, int64(c.Amount), true)
	}
	at := r.Start.Nanos()
	if row == 0 {
		w.seg.oMin, w.seg.oMax = at, at
	}
	w.seg.oMin, w.seg.oMax = min(w.seg.oMin, at), max(w.seg.oMax, at)
	w.seg.observations++
}

func (w *segmentWriter) view(v query.View, row int, r query.Row) {
	for i, c := range segmentColumns[v] {
		to := w.views[v][i]
		switch c.Kind {
		case query.IDKind, query.TextKind, query.EnumKind:
			if s, ok := r.Text(c.Col); ok {
				to.pad(row)
				to.texts.add(s, true)
			}
		case query.ListKind:
			if list := r.List(c.Col); len(list) > 0 {
				var b []byte
				for _, text := range list {
					b = putText(b, text)
				}
				to.pad(row)
				to.texts.add(string(b), true)
			}
		default:
			if n, ok := r.Int(c.Col); ok {
				to.pad(row)
				to.ints.add(n, true)
			}
		}
	}
}

// encoded is the columns that hold anything, by name.
func (w *segmentWriter) encoded() map[string][]byte {
	out := make(map[string][]byte, len(w.columns))
	for name, c := range w.columns {
		rows := w.seg.observations
		if name[0] == 't' {
			rows = w.seg.traces
		}
		c.pad(rows)
		b := c.ints.encode()
		if c.text {
			b = c.texts.encode()
		}
		if b != nil {
			out[name] = b
		}
	}
	return out
}

// indexSome moves fresh rows into a segment, or puts a segment right that holds
// many stale ones, and reports whether there may be more to do.
func (s *Store) indexSome(ctx context.Context, all bool) (more bool, err error) {
	if err := s.loadForIndex(ctx); err != nil {
		return false, err
	}
	s.index.mu.RLock()
	chosen := s.index.choose(s.opts.Now().UnixNano(), all)
	worst := s.index.worst(all, false)
	s.index.mu.RUnlock()
	switch {
	case len(chosen) > 0:
		return true, s.putSegment(ctx, nil, chosen)
	case worst != nil:
		return true, s.renewSegment(ctx, worst)
	}
	return false, nil
}

// loadForIndex reads what is unread. After a crash, or of a folder that has no
// segments yet, that may be far too much for the memory: then what goes first
// is put into segments right away.
func (s *Store) loadForIndex(ctx context.Context) error {
	for {
		s.index.mu.RLock()
		var tids []int64
		if len(s.index.unread) > 2*segmentRows {
			for tid := range s.index.unread {
				if tid > s.index.upTo {
					tids = append(tids, tid)
				}
			}
		}
		s.index.mu.RUnlock()
		if len(tids) == 0 {
			return s.loadFresh(ctx)
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

// choose is the entries of the next segment, none where it is too early.
func (x *index) choose(now int64, all bool) []*freshEntry {
	if !all && x.rows < segmentRows {
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
	if all {
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
	var chosen []*freshEntry
	err := s.reads.read(ctx, func(c *sqlConn) error {
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
	if err != nil {
		return err
	}
	return s.putSegment(ctx, seg, chosen)
}

// pairsOf is the metadata pairs that a segment knows of its traces.
func (s *Store) pairsOf(ctx context.Context, c *sqlConn, seg *segment) (map[int64][]uint64, error) {
	o := &openSegment{segment: seg, x: &lookup{s: s, ctx: ctx, c: c}}
	out := map[int64][]uint64{}
	col := o.named(pairsColumn)
	for i := range seg.traces {
		words, ok := col.string(i)
		if !ok {
			continue
		}
		pairs := make([]uint64, 0, len(words)/8)
		for b := []byte(words); len(b) >= 8; b = b[8:] {
			pairs = append(pairs, binary.LittleEndian.Uint64(b))
		}
		out[o.tid(i)] = pairs
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

// putSegment writes the chosen traces as a segment, in place of another one or
// behind the last. What changed since it was chosen becomes stale at once.
func (s *Store) putSegment(ctx context.Context, old *segment, chosen []*freshEntry) error {
	w := newSegmentWriter()
	x := s.newLookup(ctx, 0)
	for _, e := range chosen {
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
	seg := &w.seg
	if old != nil {
		seg.tidMin, seg.tidMax = old.tidMin, old.tidMax
	}
	var changed []int64 // since it was chosen
	err := s.tx(func() error {
		var err error
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
		seg.sid, err = insertSegment(s.db, seg, blobs)
		return err
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

func insertSegment(db *sqlConn, seg *segment, blobs map[string][]byte) (sid int64, err error) {
	if sid, err = db.integer("SELECT max(sid) FROM segments"); err != nil {
		return 0, err
	}
	sid++
	var projects []byte
	for _, pid := range slices.Sorted(maps.Keys(seg.projects)) {
		n := seg.projects[pid]
		projects = binary.AppendUvarint(projects, uint64(pid))
		projects = binary.AppendUvarint(binary.AppendUvarint(projects, uint64(n[0])), uint64(n[1]))
	}
	if _, err := db.exec("INSERT INTO segments (sid, tid_min, tid_max, traces, observations, t_min, t_max, o_min, o_max, projects) VALUES (?,?,?,?,?,?,?,?,?,?)",
		sid, seg.tidMin, seg.tidMax, int64(seg.traces), int64(seg.observations), seg.tMin, seg.tMax, seg.oMin, seg.oMax, projects); err != nil {
		return 0, err
	}
	for _, name := range slices.Sorted(maps.Keys(blobs)) {
		if _, err := db.exec("INSERT INTO columns (sid, name, data) VALUES (?,?,?)", sid, name, blobs[name]); err != nil {
			return 0, err
		}
	}
	return sid, nil
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
}
