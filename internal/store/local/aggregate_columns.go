package local

import (
	"errors"

	"github.com/clewhq/clew/internal/query"
)

// denseGroups is up to how many groups of a segment are found by their number.
const denseGroups = 1 << 16

// sum counts rows of a segment in, column by column where the dimensions are
// texts.
func (w *summing) sum(o *openSegment, rows []int32, to *query.Totals) error {
	if len(rows) == 0 {
		return nil
	}
	if w.keysAlone() {
		return w.sumKeys(o, rows, to)
	}
	dims, ok := w.dims(o)
	size := 1
	for _, d := range dims {
		size *= d.col.dictionary() + 1
		ok = ok && size > 0 && size <= 1<<40
	}
	if !ok {
		for _, row := range rows {
			if err := to.Add(o.row(w.view, int(row))); err != nil {
				return err
			}
		}
		return o.err
	}
	cells, err := w.cellsOf(o, rows, dims, size, to)
	if err != nil {
		return err
	}
	for i := range w.p.Series {
		w.sumSeries(o, rows, cells, i)
	}
	return o.err
}

// keysAlone reports whether rows are only counted by the keys of a map of counts.
func (w *summing) keysAlone() bool {
	if w.view != query.Observations || len(w.p.By) != 1 || len(w.p.Series) > 0 || w.p.Intervals() > 1 {
		return false
	}
	c, _ := query.ColumnOf(w.view, w.p.By[0].Ref.Column)
	return c.Kind == query.CountsKind || c.Kind == query.PricesKind
}

// sumKeys counts rows by the keys of a map of counts.
func (w *summing) sumKeys(o *openSegment, rows []int32, to *query.Totals) error {
	add := func(key string, has bool, n int64) error {
		if n == 0 {
			return nil
		}
		g, err := to.Group(query.GroupKey(nil, 0, []string{key}, []bool{has}))
		if err == nil {
			g.Rows += n
		}
		return err
	}
	c := w.p.By[0].Ref.Column
	some, without := make([]bool, len(rows)), int64(len(rows))
	for _, key := range o.keys(c) {
		col, n := o.named(countPrefix(c)+key), int64(0)
		for i, row := range rows {
			if _, ok := col.int(int(row)); ok {
				n++
				if !some[i] {
					some[i] = true
					without--
				}
			}
		}
		if err := add(key, true, n); err != nil {
			return err
		}
	}
	return errors.Join(add("", false, without), o.err)
}

// dimension is a column of texts that rows are grouped by.
type dimension struct {
	col     *column
	ofTrace bool
}

func (c *column) dictionary() int {
	if c == nil {
		return 0
	}
	return c.words
}

func (w *summing) dims(o *openSegment) (out []dimension, ok bool) {
	for _, d := range w.p.By {
		c, _ := query.ColumnOf(w.view, d.Ref.Column)
		if c.Kind != query.IDKind && c.Kind != query.TextKind && c.Kind != query.EnumKind || w.view == query.Traces && c.Col == query.ColLevel {
			return nil, false
		}
		if of := ofTheTrace[c.Col]; of != 0 && w.view == query.Observations {
			out = append(out, dimension{o.col(query.Traces, of), true})
		} else {
			out = append(out, dimension{o.col(w.view, c.Col), false})
		}
	}
	return out, true
}

// cellsOf finds the group of each row.
func (w *summing) cellsOf(o *openSegment, rows []int32, dims []dimension, size int, to *query.Totals) ([]*query.Cells, error) {
	start := o.col(w.view, query.ColStart)
	var dense []*query.Cells
	sparse := map[int64]*query.Cells{}
	intervals := w.p.Intervals()
	if size*intervals <= denseGroups {
		dense = make([]*query.Cells, size*intervals)
	}
	out := make([]*query.Cells, len(rows))
	texts, present := make([]string, len(dims)), make([]bool, len(dims))
	codes := make([]int, len(dims))
	var key []byte
	interval, from, until := 0, int64(0), int64(0)
	for i, row := range rows {
		if intervals > 1 {
			if at, _ := start.int(int(row)); at < from || at >= until { // most rows lie in that of the one before
				interval = w.p.Interval(at)
				from, until = w.p.Edges(interval)
			}
		}
		number := interval
		if len(dims) == 1 && !dims[0].ofTrace && dense != nil { // as most questions are
			code := dims[0].col.code(int(row))
			if g := dense[number*(dims[0].col.dictionary()+1)+code+1]; g != nil {
				g.Rows++
				out[i] = g
				continue
			}
		}
		for j, d := range dims {
			r := int(row)
			if d.ofTrace {
				r = o.traceOf(r)
			}
			codes[j] = d.col.code(r)
			number = number*(d.col.dictionary()+1) + codes[j] + 1
		}
		var g *query.Cells
		if dense != nil {
			g = dense[number]
		} else {
			g = sparse[int64(number)]
		}
		if g == nil {
			for j, d := range dims {
				if present[j] = codes[j] >= 0; present[j] {
					texts[j] = d.col.word(codes[j])
				}
			}
			key = query.GroupKey(key, interval, texts, present)
			var err error
			if g, err = to.Group(key); err != nil {
				return nil, err
			}
			if dense != nil {
				dense[number] = g
			} else {
				sparse[int64(number)] = g
			}
		}
		g.Rows++
		out[i] = g
	}
	return out, nil
}

// sumSeries counts one column in.
func (w *summing) sumSeries(o *openSegment, rows []int32, cells []*query.Cells, i int) {
	s := &w.p.Series[i]
	c, _ := query.ColumnOf(w.view, s.Ref.Column)
	whole := c.Kind == query.IntKind || c.Kind == query.MoneyKind || c.Kind == query.DurationKind || c.Kind == query.TimeKind
	if !whole || c.Col == query.ColScoreCount || c.Col == query.ColEnd {
		for k, row := range rows {
			cells[k].Series[i].AddRow(s, o.row(w.view, int(row)))
		}
		return
	}
	col := o.col(w.view, c.Col)
	if col == nil {
		return
	}
	for k, row := range rows {
		if v, ok := col.int(int(row)); ok {
			cells[k].Series[i].AddInt(s, v)
		}
	}
}
