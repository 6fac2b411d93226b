package local

import (
	"encoding/binary"
	"slices"

	"github.com/clewhq/clew/internal/query"
)

// selection is the rows of a segment, or of what is fresh, that a question's
// conditions leave.
type selection struct {
	rows   []int32
	unsure map[int32]bool // rows of which a condition on bodies is still open
	open   bool           // so it is of all of them
}

func (s *selection) isOpen(row int32) bool { return s.open || s.unsure[row] }

// scan is the conditions of a question, ready for many rows.
type scan struct {
	view      query.View
	pid       int64
	conjuncts []query.Conjunct
	words     map[*query.Words]wordHits // what a search found
}

// sel filters a segment. The rows lie in scratch space of the question: they are
// valid until the next segment is filtered.
func (q *scan) sel(o *openSegment, stale []int64) (selection, error) {
	if q.excluded(o) {
		return selection{}, nil
	}
	rows := q.tracesOf(o, stale)
	s := selection{}
	if q.view == query.Traces {
		s.rows = rows
	} else {
		rows = q.byTrace(o, rows)
		s.rows = o.x.rows[1][:0]
		for _, t := range rows {
			from, to := o.observationsOf(int(t))
			for i := from; i < to; i++ {
				s.rows = append(s.rows, int32(i))
			}
		}
		o.x.rows[1] = s.rows[:0]
	}
	for i := range q.conjuncts {
		if len(s.rows) == 0 {
			break
		}
		q.apply(o, &q.conjuncts[i], &s)
	}
	return s, o.err
}

// excluded reports whether the segment has no row of the project, or none in an
// interval of time that is asked for.
func (q *scan) excluded(o *openSegment) bool {
	h := o.share(q.pid)
	at, rows := h.of(q.view)
	if rows == 0 {
		return true
	}
	for i := range q.conjuncts {
		if c := &q.conjuncts[i]; c.Int != nil && c.Col == query.ColStart && (c.Hi < at.lo || c.Lo > at.hi) {
			return true
		}
	}
	return false
}

// tracesOf is the rows of the project's traces that are not stale.
func (q *scan) tracesOf(o *openSegment, stale []int64) []int32 {
	rows := o.x.rows[0][:0]
	var tids *column
	if len(stale) > 0 {
		tids = o.named(tidColumn)
	}
	pids := o.named(pidColumn)
	alone := len(o.projects) == 1
	for i := range o.traces {
		if !alone {
			if pid, _ := pids.int(i); pid != q.pid {
				continue
			}
		}
		if tids != nil {
			tid, _ := tids.int(i)
			for len(stale) > 0 && stale[0] < tid {
				stale = stale[1:]
			}
			if len(stale) > 0 && stale[0] == tid {
				continue
			}
		}
		rows = append(rows, int32(i))
	}
	o.x.rows[0] = rows[:0]
	return rows
}

// byTrace applies the conditions that observations take from their trace.
func (q *scan) byTrace(o *openSegment, traces []int32) []int32 {
	for i := range q.conjuncts {
		c := &q.conjuncts[i]
		of := ofTheTrace[c.Col]
		switch {
		case of == 0:
		case c.Text != nil:
			traces = keepTexts(o.col(query.Traces, of), c.Text, traces)
		case c.Element != nil:
			traces = keepLists(o.col(query.Traces, of), c.Element, traces)
		}
	}
	return traces
}

// keepTexts is the rows whose text passes; each text of the dictionary is
// tested once.
func keepTexts(col *column, test func(string) bool, rows []int32) []int32 {
	if col == nil {
		return nil
	}
	if col.plain || col.words > len(rows) {
		return keep(rows, func(i int) bool {
			s, ok := col.string(i)
			return ok && test(s)
		})
	}
	pass, any := make([]bool, col.words), false
	for code := range pass {
		pass[code] = test(col.word(code))
		any = any || pass[code]
	}
	if !any {
		return nil
	}
	return keepCodes(col, pass, rows)
}

// keepCodes is the rows whose place in the dictionary passes. Most of what a
// question costs is spent here, so the usual widths are read without detours.
func keepCodes(col *column, pass []bool, rows []int32) []int32 {
	if col.plain || col.base != 0 || col.width != 1 && col.width != 2 {
		return keep(rows, func(i int) bool {
			code := col.code(i)
			return code >= 0 && pass[code]
		})
	}
	byNumber := append(make([]bool, 1, len(pass)+1), pass...) // a number is one more than the place, 0 is missing
	out := rows[:0]
	if col.width == 1 {
		for _, r := range rows {
			if n := int(col.nums[r]); n < len(byNumber) && byNumber[n] {
				out = append(out, r)
			}
		}
		return out
	}
	for _, r := range rows {
		if n := int(binary.LittleEndian.Uint16(col.nums[2*r:])); n < len(byNumber) && byNumber[n] {
			out = append(out, r)
		}
	}
	return out
}

// keepLists is the rows whose list has an element that passes; each text that
// lists are made of is tested once.
func keepLists(col *column, test func(string) bool, rows []int32) []int32 {
	if col == nil {
		return nil
	}
	col.takeApart()
	elements, any := make([]bool, len(col.elements)), false
	for i, text := range col.elements {
		elements[i] = test(text)
		any = any || elements[i]
	}
	if !any {
		return nil
	}
	pass := make([]bool, col.words)
	for code := range pass {
		for _, place := range col.membersOf(code) {
			pass[code] = pass[code] || elements[place]
		}
	}
	return keepCodes(col, pass, rows)
}

// applyWords keeps the rows whose bodies may hold the words of a search, and
// those that match it by their narrow fields.
func (q *scan) applyWords(o *openSegment, w *query.Words, may wordHits, s *selection) {
	ids := o.col(query.Observations, query.ColID)
	s.rows = keep(s.rows, func(i int) bool {
		if q.view == query.Traces {
			if may[o.tid(i)] != nil {
				return true
			}
		} else if hit := may[o.tid(o.traceOf(i))]; hit != nil {
			if id, _ := ids.string(i); hit.any || slices.Contains(hit.ids, id) {
				return true
			}
		}
		return w.Narrow != nil && w.Narrow(o.row(q.view, i))
	})
}

func keep(rows []int32, f func(i int) bool) []int32 {
	out := rows[:0]
	for _, r := range rows {
		if f(int(r)) {
			out = append(out, r)
		}
	}
	return out
}

// apply keeps the rows that meet a condition, or may.
func (q *scan) apply(o *openSegment, c *query.Conjunct, s *selection) {
	derived := q.view == query.Traces && (c.Col == query.ColLevel || c.Col == query.ColExperiment) ||
		q.view == query.Observations && c.Col == query.ColEnd
	switch {
	case c.Pair != nil && q.view == query.Traces:
		q.applyPair(o, c.Pair, s)
	case c.Needs.Bodies:
		s.open = true
		if may := q.words[c.Words]; c.Words != nil && may != nil {
			q.applyWords(o, c.Words, may, s)
		}
	case c.Element != nil && !derived && (q.view == query.Traces || ofTheTrace[c.Col] == 0):
		s.rows = keepLists(o.col(q.view, c.Col), c.Element, s.rows)
	case (c.Text != nil || c.Element != nil) && ofTheTrace[c.Col] != 0 && q.view == query.Observations: // done by byTrace
	case c.Text != nil && !derived:
		s.rows = keepTexts(o.col(q.view, c.Col), c.Text, s.rows)
	case c.Int != nil && !derived && c.Col != query.ColScoreCount:
		col := o.col(q.view, c.Col)
		if col == nil {
			s.rows = nil
			return
		}
		s.rows = keep(s.rows, func(i int) bool {
			v, ok := col.int(i)
			return ok && v >= c.Lo && v <= c.Hi && c.Int(v)
		})
	case q.view == query.Traces:
		row := traceRow{o: o}
		s.rows = keep(s.rows, func(i int) bool {
			row.i = i
			return c.Program.Match(&row)
		})
	default:
		row := observationRow{o: o}
		s.rows = keep(s.rows, func(i int) bool {
			row.i = i
			return c.Program.Match(&row)
		})
	}
}

// applyPair tests metadata pairs where they are known; the other rows stay open.
func (q *scan) applyPair(o *openSegment, p *query.Pair, s *selection) {
	col := o.named(pairsColumn)
	if col == nil {
		s.open = true
		return
	}
	if len(p.Texts) == 0 {
		s.rows = nil
		return
	}
	pass := make([]bool, col.words)
	for _, text := range p.Texts {
		col.markHolding(pairHash(p.Path, text), pass)
	}
	if col.full() {
		s.rows = keepCodes(col, pass, s.rows)
		return
	}
	s.rows = keep(s.rows, func(i int) bool {
		code := col.code(i)
		if code < 0 { // what is not known has to be looked at
			if s.unsure == nil {
				s.unsure = map[int32]bool{}
			}
			s.unsure[int32(i)] = true
		}
		return code < 0 || pass[code]
	})
}

// hasRow reports whether a row of a trace may hold the words: of an observation
// its own bodies, of a trace any.
func (h wordHits) hasRow(tid int64, r *query.Record) bool {
	if r.View == query.Traces {
		return h[tid] != nil
	}
	return h.has(tid, r.Observation.ID)
}

// matches tests a trace that is in memory, or one of its observations. open
// says that a condition on bodies is left.
func (q *scan) matches(n *narrow, r *query.Record) (match, open bool) {
	for i := range q.conjuncts {
		c := &q.conjuncts[i]
		if c.Pair != nil && q.view == query.Traces {
			has, known := n.hasPair(c.Pair)
			if known && !has {
				return false, false
			}
			open = open || !known
			continue
		}
		if c.Needs.Bodies {
			open = true
			if may := q.words[c.Words]; c.Words != nil && may != nil && !may.hasRow(n.tid, r) && (c.Words.Narrow == nil || !c.Words.Narrow(r)) {
				return false, false
			}
			continue
		}
		if !c.Program.Match(r) {
			return false, false
		}
	}
	return true, open
}
