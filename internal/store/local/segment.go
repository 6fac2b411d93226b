package local

import (
	"bytes"
	"maps"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/clewhq/clew/internal/query"
)

const (
	// segmentRows is how many observations a segment takes: few enough to be
	// made in some milliseconds, many enough that scans look at few segments.
	segmentRows = 8192
	// idleRows is how many rows in memory are worth a segment while nobody writes.
	idleRows = 256
	// segmentQuiet is for how long a trace has to be quiet before it goes into
	// a segment; one that changes later has to be put there again.
	segmentQuiet = int64(2e9)
	// maxFreshRows is how many rows wait for their traces to fall quiet.
	maxFreshRows = 4 * segmentRows
)

// segmentWriter makes the columns of a segment.
type segmentWriter struct {
	seg     segment // without its projects
	shares  map[int64]*share
	pairs   pairsWriter
	rollups rollupWriter
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
	w := &segmentWriter{shares: map[int64]*share{}, rollups: newRollupWriter(), columns: map[string]*columnWriter{}, views: map[query.View][]*columnWriter{}}
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

// Names of the columns that are no columns of a view.
const (
	tidColumn    = "t/tid"
	pidColumn    = "t/pid"
	pairsColumn  = "t/pairs"
	firstColumn  = "t/first" // the row of the trace's first observation
	beganColumn  = "t/began" // its own timestamp, where it has one
	seqColumn    = "o/seq"
	ofColumn     = "o/of" // the row of the observation's trace
	rollupColumn = "o/rollup"
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
	w.pairs.add(n.pairs, n.pairsKnown)
	w.view(query.Traces, row, rec)
	if row == 0 {
		w.seg.tidMin = n.tid
	}
	w.seg.tidMax = n.tid
	h := w.shares[n.pid]
	if h == nil {
		h = &share{pid: n.pid}
		w.shares[n.pid] = h
	}
	h.t = h.t.with(query.TraceTime(n.trace).Nanos(), h.traces == 0)
	h.traces++
	for _, r := range n.observations {
		w.observation(n, r, row)
		h.o = h.o.with(r.Start.Nanos(), h.observations == 0)
		h.observations++
	}
	w.seg.traces++
}

func (w *segmentWriter) observation(n *narrow, r narrowRow, of int) {
	row := w.seg.observations
	w.int(ofColumn, row, int64(of), true)
	w.int(seqColumn, row, r.rid&(maxSeq-1), true)
	rec := n.record(nil, r.Observation)
	w.view(query.Observations, row, rec)
	w.rollups.add(n.pid, rec)
	for _, c := range r.Derived.Usage {
		w.int("o.usage."+c.Key, row, c.Units, true)
	}
	for _, c := range r.Derived.Cost {
		w.int("o.costs."+c.Key, row, int64(c.Amount), true)
	}
	w.seg.observations++
}

// segment is what was written, with its projects in order.
func (w *segmentWriter) segment() *segment {
	seg := w.seg // a copy: the writer's memory must not live on with it
	for _, pid := range slices.Sorted(maps.Keys(w.shares)) {
		seg.projects = append(seg.projects, *w.shares[pid])
	}
	return &seg
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

// encoded is the columns that hold anything, by name. Of those that are alike,
// as costs are and their parts by key, one is whole, and the others name it.
func (w *segmentWriter) encoded() map[string][]byte {
	out := make(map[string][]byte, len(w.columns))
	wholes := map[uint64]string{}
	for _, name := range slices.Sorted(maps.Keys(w.columns)) {
		giveWay()
		c, rows := w.columns[name], w.seg.observations
		if name[0] == 't' {
			rows = w.seg.traces
		}
		c.pad(rows)
		b := c.ints.encode()
		if c.text {
			b = c.texts.encode()
		}
		if b == nil {
			continue
		}
		hash := xxhash.Sum64(b)
		if whole, found := wholes[hash]; found && whole[0] == name[0] && bytes.Equal(out[whole], b) {
			b = append([]byte{sameColumn}, whole...)
		} else {
			wholes[hash] = name
		}
		out[name] = b
	}
	if b := w.pairs.encode(); b != nil {
		out[pairsColumn] = b
	}
	out[rollupColumn] = w.rollups.encode()
	return out
}
