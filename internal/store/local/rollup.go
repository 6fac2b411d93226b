package local

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/clewhq/clew/internal/query"
)

// A segment keeps what its observations sum up to by project, hour and model:
// what dashboards ask for first need not look at every row.

// rollupColumns is what is summed up, in the order of the cells. More may follow
// at the end; docs/format/segments.md lists them.
var rollupColumns = [...]query.Col{
	query.ColCost, query.ColInputCost, query.ColOutputCost, query.ColTokens, query.ColInputTokens, query.ColOutputTokens, query.ColLatency, query.ColTTFT,
}

const (
	rollupHour = int64(time.Hour)
	// maxRollups bounds the groups of a segment.
	maxRollups = segmentRows / 16
)

// rollupShare is how many observations a group has on average, at least: with
// fewer the rows themselves are as quick to look at. Tests make it less.
var rollupShare = 16

// rollupKey names a group.
type rollupKey struct {
	pid, hour int64
	modeled   bool // it has a model
	model     string
}

func (k rollupKey) compare(o rollupKey) int {
	return cmp.Or(cmp.Compare(k.pid, o.pid), cmp.Compare(k.hour, o.hour), cmp.Compare(k.model, o.model))
}

type rollupGroup struct {
	rollupKey
	rows  int64
	cells [len(rollupColumns)]query.Cell
}

// rollupWriter sums up the observations of a segment.
type rollupWriter struct {
	groups map[rollupKey]*rollupGroup // nil: there are too many
	rows   int
}

func newRollupWriter() rollupWriter {
	return rollupWriter{groups: map[rollupKey]*rollupGroup{}}
}

func (w *rollupWriter) add(pid int64, r query.Row) {
	w.rows++
	start, timed := r.Int(query.ColStart)
	timed = timed && start > math.MinInt64+rollupHour && start < math.MaxInt64-rollupHour // its hour has both ends
	if w.groups == nil || !timed || len(w.groups) > maxRollups {
		w.groups = nil
		return
	}
	key := rollupKey{pid: pid, hour: hourOf(start)}
	key.model, key.modeled = r.Text(query.ColModel)
	g := w.groups[key]
	if g == nil {
		g = &rollupGroup{rollupKey: key}
		w.groups[key] = g
	}
	g.rows++
	for i, c := range rollupColumns {
		if n, ok := r.Int(c); ok {
			g.cells[i].AddInt(&query.Series{Sketch: true}, n)
		}
	}
}

// hourOf is which hour since 1970 an instant lies in.
func hourOf(at int64) int64 {
	hour := at / rollupHour
	if at%rollupHour < 0 {
		hour--
	}
	return hour
}

// encode returns the column's bytes; without any group where there are too many.
func (w *rollupWriter) encode() []byte {
	b := []byte{packedRollups, byte(len(rollupColumns))}
	if len(w.groups)*rollupShare > w.rows {
		return b
	}
	var groups []*rollupGroup
	for _, g := range w.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(x, y *rollupGroup) int { return x.compare(y.rollupKey) })
	for _, g := range groups {
		b = binary.AppendUvarint(b, uint64(g.pid))
		b = binary.AppendVarint(b, g.hour)
		b = putFlag(b, g.modeled)
		b = putText(b, g.model)
		b = binary.AppendUvarint(b, uint64(g.rows))
		var cells []byte
		for i := range g.cells {
			cells = putBytes(cells, putCell(nil, &g.cells[i]))
		}
		b = putBytes(b, cells)
	}
	return b
}

func putFlag(b []byte, is bool) []byte {
	if is {
		return append(b, 1)
	}
	return append(b, 0)
}

// putCell writes a cell of whole numbers; nothing for one that counted none.
func putCell(b []byte, c *query.Cell) []byte {
	if c.N == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(c.N))
	for _, n := range []int64{c.Sum, c.Min, c.Max} {
		b = binary.AppendVarint(b, n)
	}
	return c.Sketch.AppendPacked(b)
}

// addCell counts in what putCell wrote.
func addCell(to *query.Cell, s *query.Series, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	r := reader{b: b}
	c := query.Cell{N: int64(r.uint()), Sum: r.int(), Min: r.int(), Max: r.int()}
	if r.err == nil && !to.AddPacked(s, &c, r.b) {
		r.fail()
	}
	return r.err
}

// storedRollup is a group as it lies in its column.
type storedRollup struct {
	rollupKey
	rows  int64
	cells []byte
}

// readRollups reads the groups of a column.
func readRollups(b []byte) (out []storedRollup, err error) {
	for r := (&reader{b: b}); len(r.b) > 0; {
		g := storedRollup{rollupKey: rollupKey{pid: int64(r.uint()), hour: r.int(), modeled: r.byte() == 1, model: r.text()}, rows: int64(r.uint()), cells: r.bytes()}
		if r.err != nil {
			return nil, r.err
		}
		out = append(out, g)
	}
	return out, nil
}

// rolledUp is how many observations groups count.
func rolledUp(groups []storedRollup) (n int64) {
	for _, g := range groups {
		n += g.rows
	}
	return n
}

// rolling answers an aggregate from rollups.
type rolling struct {
	w        *summing
	from, to int64 // rows of these instants, both included
	models   []func(model string) bool
	cells    []int // of each series
}

// rolling is how rollups answer the question, nil where they do not: it may
// group by model and intervals of whole hours, and ask for times and models.
func (w *summing) rolling() *rolling {
	p := w.p
	r := &rolling{w: w, from: p.From, to: p.To - 1}
	if w.view != query.Observations || len(p.By) > 1 || len(p.By) == 1 && p.By[0].Ref.Column != query.ColModel {
		return nil
	}
	for i := range p.Conjuncts {
		switch c := &p.Conjuncts[i]; {
		case c.Col == query.ColStart && c.Between:
			r.from, r.to = max(r.from, c.Lo), min(r.to, c.Hi)
		case c.Col == query.ColModel && c.Text != nil:
			r.models = append(r.models, c.Text)
		default:
			return nil
		}
	}
	for i := range p.Series {
		cell := slices.Index(rollupColumns[:], p.Series[i].Ref.Column)
		if cell < 0 || p.Series[i].Unique {
			return nil
		}
		r.cells = append(r.cells, cell)
	}
	for i := range p.Intervals() {
		if from, to := p.Edges(i); from%rollupHour != 0 || to%rollupHour != 0 {
			return nil
		}
	}
	return r
}

// sum counts in what a segment has of the question, and reports whether its
// rollups tell: they do not where it asks for a part of an hour.
func (r *rolling) sum(o *openSegment, into *query.Totals) (done bool, err error) {
	col := o.named(rollupColumn)
	if col == nil || len(col.rollups) == 0 {
		return false, o.err
	}
	h := o.share(r.w.pid)
	times, _ := h.of(query.Observations)
	at := func(pid int64) int {
		i, _ := slices.BinarySearchFunc(col.rollups, pid, func(g storedRollup, pid int64) int { return cmp.Compare(g.pid, pid) })
		return i
	}
	var wanted []*storedRollup
	for i := at(r.w.pid); i < len(col.rollups) && col.rollups[i].pid == r.w.pid; i++ {
		g := &col.rollups[i]
		first, last := max(g.hour*rollupHour, times.lo), min((g.hour+1)*rollupHour-1, times.hi)
		switch {
		case last < r.from || first > r.to:
		case first < r.from || last > r.to:
			return false, nil
		case !slices.ContainsFunc(r.models, func(wanted func(string) bool) bool { return !g.modeled || !wanted(g.model) }):
			wanted = append(wanted, g)
		}
	}
	return true, r.add(wanted, into)
}

func (r *rolling) add(groups []*storedRollup, into *query.Totals) error {
	p := r.w.p
	var key []byte
	for _, g := range groups {
		interval, texts, present := 0, []string{g.model}[:len(p.By)], []bool{g.modeled}
		if p.Intervals() > 1 {
			interval = p.Interval(g.hour * rollupHour)
		}
		key = query.GroupKey(key, interval, texts, present)
		to, err := into.Group(key)
		if err != nil {
			return err
		}
		to.Rows += g.rows
		var cells [len(rollupColumns)][]byte
		rd := &reader{b: g.cells}
		for i := range cells {
			cells[i] = rd.bytes()
		}
		if rd.err != nil {
			return rd.err
		}
		for i, cell := range r.cells {
			if err := addCell(&to.Series[i], &p.Series[i], cells[cell]); err != nil {
				return err
			}
		}
	}
	return nil
}
