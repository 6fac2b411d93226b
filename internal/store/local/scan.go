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
	narrow []bool         // rows of the segment of which a search found a narrow field; nil: none
}

func (s *selection) isOpen(row int32) bool { return s.open || s.unsure[row] }

func (s *selection) isNarrow(row int32) bool { return s.narrow != nil && s.narrow[row] }

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
	h := o.share(q.pid)
	s := selection{rows: o.allTraces()}
	few := int(h.traces) < o.traces/2
	if few {
		s.rows = q.ours(o, stale, s.rows)
	}
	rest := q.conjuncts
	if q.view == query.Traces {
		for len(rest) > 0 && q.looping(&rest[0]) {
			q.apply(o, &rest[0], &s)
			rest = rest[1:]
		}
	} else {
		s.rows = q.byTrace(o, s.rows)
	}
	if !few { // those of others are few, and fewer once conditions are met
		s.rows = q.ours(o, stale, s.rows)
	}
	if q.view == query.Observations {
		s.rows = o.allObservations(s.rows)
	}
	for i := range rest {
		if len(s.rows) == 0 {
			break
		}
		q.apply(o, &rest[i], &s)
	}
	return s, o.err
}

// firstRows is the numbers of as many rows as most segments have.
var firstRows = func() (rows [2 * segmentRows]int32) {
	for i := range rows {
		rows[i] = int32(i)
	}
	return rows
}()

// allTraces is every row of traces, in scratch space.
func (o *openSegment) allTraces() []int32 {
	rows := append(o.x.rows[0][:0], firstRows[:min(o.traces, len(firstRows))]...)
	for i := len(rows); i < o.traces; i++ {
		rows = append(rows, int32(i))
	}
	o.x.rows[0] = rows
	return rows
}

// allObservations is every row of traces' observations, in scratch space.
func (o *openSegment) allObservations(traces []int32) []int32 {
	rows := o.x.rows[1][:0]
	for _, t := range traces {
		from, to := o.observationsOf(int(t))
		for i := from; i < to; i++ {
			rows = append(rows, int32(i))
		}
	}
	o.x.rows[1] = rows
	return rows
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

// ours is the rows of the project's traces, of some, that are not stale.
func (q *scan) ours(o *openSegment, stale []int64, rows []int32) []int32 {
	if len(o.projects) > 1 && len(rows) > 0 {
		rows = o.named(pidColumn).keepNumber(q.pid, rows)
	}
	if len(stale) == 0 {
		return rows
	}
	tids := o.named(tidColumn)
	return keep(rows, func(i int) bool {
		tid, _ := tids.int(i)
		for len(stale) > 0 && stale[0] < tid {
			stale = stale[1:]
		}
		return len(stale) == 0 || stale[0] != tid
	})
}

// byTrace applies the conditions that observations take from their trace.
func (q *scan) byTrace(o *openSegment, traces []int32) []int32 {
	for i := range q.conjuncts {
		c := &q.conjuncts[i]
		of := ofTheTrace[c.Col]
		switch {
		case of == 0:
		case c.Text != nil:
			traces = keepTexts(o.col(query.Traces, of), c, traces)
		case c.Element != nil:
			traces = keepLists(o.col(query.Traces, of), c, traces)
		}
	}
	return traces
}

// keepTexts is the rows whose text passes; each text of the dictionary is
// tested once.
func keepTexts(col *column, c *query.Conjunct, rows []int32) []int32 {
	switch {
	case col == nil:
		return nil
	case c.Texts != nil && len(c.Texts) <= maxSought:
		return keepSought(col, c.Texts, rows)
	case col.plain || col.words > len(rows):
		return keep(rows, func(i int) bool {
			s, ok := col.string(i)
			return ok && c.Text(s)
		})
	}
	pass, any := make([]bool, col.words), false
	for code := range pass {
		pass[code] = c.Text(col.word(code))
		any = any || pass[code]
	}
	if !any {
		return nil
	}
	return keepCodes(col, pass, rows)
}

// maxSought is how many texts are looked for in a dictionary one by one.
const maxSought = 4

// keepSought is the rows whose text is one of a few.
func keepSought(col *column, texts []string, rows []int32) []int32 {
	var codes [maxSought]int
	found := codes[:0]
	for _, text := range texts {
		if code := col.find(text); code >= 0 {
			found = append(found, code)
		}
	}
	switch {
	case len(found) == 0:
		return nil
	case len(found) == 1 && col.inverts && len(rows) == col.n:
		return col.rowsWith(found[0], rows[:0])
	case len(found) == 1:
		return col.keepNumber(int64(found[0]), rows)
	}
	pass := make([]bool, col.words)
	for _, code := range found {
		pass[code] = true
	}
	return keepCodes(col, pass, rows)
}

// keepCodes is the rows whose place in the dictionary passes. Most of what a
// question costs is spent here and in keepNumber, so the usual widths are read
// without detours, and rows are written down before it is known whether they
// stay: a jump that no processor can foresee costs more.
func keepCodes(col *column, pass []bool, rows []int32) []int32 {
	if col.plain || col.base != 0 || col.width != 1 && col.width != 2 {
		return keep(rows, func(i int) bool {
			code := col.code(i)
			return code >= 0 && pass[code]
		})
	}
	byNumber := make([]uint8, max(256, len(pass)+1)) // a number is one more than the place, 0 is missing
	for code, ok := range pass {
		if ok {
			byNumber[code+1] = 1
		}
	}
	n := 0
	if col.width == 1 {
		for _, r := range rows {
			rows[n] = r
			n += int(byNumber[col.nums[r]])
		}
		return rows[:n]
	}
	for _, r := range rows {
		rows[n] = r
		if at := int(binary.LittleEndian.Uint16(col.nums[2*r:])); at < len(byNumber) {
			n += int(byNumber[at])
		}
	}
	return rows[:n]
}

// keepLists is the rows whose list has an element that passes; each text that
// lists are made of is tested once.
func keepLists(col *column, c *query.Conjunct, rows []int32) []int32 {
	if col == nil {
		return nil
	}
	col.takeApart()
	if len(c.Texts) == 1 && col.inverts && len(rows) == col.n {
		if place := slices.Index(col.elements, c.Texts[0]); place >= 0 {
			return col.rowsHolding(place, rows[:0])
		}
		return nil
	}
	elements, any := make([]bool, len(col.elements)), false
	for i, text := range col.elements {
		elements[i] = c.Element(text)
		any = any || elements[i]
	}
	if !any {
		return nil
	}
	pass := make([]bool, col.words)
	for place, ok := range elements {
		if ok {
			for _, list := range col.holdersOf(place) {
				pass[list] = true
			}
		}
	}
	return keepCodes(col, pass, rows)
}

// applyWords keeps the rows whose bodies may hold the words of a search, and
// those that match it by their narrow fields.
func (q *scan) applyWords(o *openSegment, w *query.Words, may wordHits, s *selection) {
	ids := o.col(query.Observations, query.ColID)
	narrow := o.narrowHits(q.view, w)
	rows := o.observations
	if q.view == query.Traces {
		rows = o.traces
	}
	s.rows = keep(s.rows, func(i int) bool {
		if narrow(i) {
			if s.narrow == nil {
				s.narrow = make([]bool, rows)
			}
			s.narrow[i] = true
			return true
		}
		if q.view == query.Traces {
			return may[o.tid(i)].some()
		}
		hit := may[o.tid(o.traceOf(i))]
		if hit == nil {
			return false
		}
		id, _ := ids.string(i)
		return hit.has(id)
	})
}

// narrowHits tells of which rows a search finds a narrow field. Each text is
// tested once for the whole segment.
func (o *openSegment) narrowHits(v query.View, w *query.Words) func(i int) bool {
	var traces, observations []bool // nil: none
	for view, texts := range w.Texts {
		for i := range texts {
			t := &texts[i]
			switch of := ofTheTrace[t.Col]; {
			case view == query.Traces:
				traces = o.mark(o.col(query.Traces, t.Col), t, traces)
			case of != 0:
				traces = o.mark(o.col(query.Traces, of), t, traces)
			default:
				observations = o.mark(o.col(query.Observations, t.Col), t, observations)
			}
		}
	}
	return func(i int) bool {
		if v == query.Observations {
			return observations != nil && observations[i] || traces != nil && traces[o.traceOf(i)]
		}
		if traces != nil && traces[i] {
			return true
		}
		if observations == nil {
			return false
		}
		from, to := o.observationsOf(i)
		return slices.Contains(observations[from:to], true)
	}
}

// mark notes the rows of which a text is in.
func (o *openSegment) mark(col *column, t *query.NarrowText, marks []bool) []bool {
	if col == nil {
		return marks
	}
	pass := make([]bool, col.words)
	any := false
	found := func(code int) { pass[code], any = true, true }
	switch {
	case t.Col == query.ColTags:
		col.takeApart()
		for place, text := range col.elements {
			if t.In(text) {
				for _, list := range col.holdersOf(place) {
					found(int(list))
				}
			}
		}
	case col.hex && t.Whole != "":
		if code := col.find(t.Whole); code >= 0 {
			found(code)
		}
	default:
		for code := range pass {
			if t.In(col.word(code)) {
				found(code)
			}
		}
	}
	if !any {
		return marks
	}
	if marks == nil {
		marks = make([]bool, col.n)
	}
	for i := range col.n {
		if code := col.code(i); code >= 0 && pass[code] {
			marks[i] = true
		}
	}
	return marks
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

// derived reports whether segments have no column of what a condition is about.
func (q *scan) derived(c *query.Conjunct) bool {
	return q.view == query.Traces && (c.Col == query.ColLevel || c.Col == query.ColExperiment || c.Col == query.ColScoreCount) ||
		q.view == query.Observations && (c.Col == query.ColEnd || c.Col == query.ColScoreCount)
}

// looping reports whether a condition is a loop over a column of traces, which
// costs less than to find out first whose they are.
func (q *scan) looping(c *query.Conjunct) bool {
	return c.Pair != nil || !c.Needs.Bodies && !q.derived(c) && (c.Text != nil || c.Element != nil || c.Int != nil)
}

// apply keeps the rows that meet a condition, or may.
func (q *scan) apply(o *openSegment, c *query.Conjunct, s *selection) {
	derived := q.derived(c)
	switch {
	case c.Pair != nil && q.view == query.Traces:
		q.applyPair(o, c.Pair, s)
	case c.Needs.Bodies:
		s.open = true
		if may := q.words[c.Words]; c.Words != nil && may != nil {
			q.applyWords(o, c.Words, may, s)
		}
	case c.Element != nil && !derived && (q.view == query.Traces || ofTheTrace[c.Col] == 0):
		s.rows = keepLists(o.col(q.view, c.Col), c, s.rows)
	case (c.Text != nil || c.Element != nil) && ofTheTrace[c.Col] != 0 && q.view == query.Observations: // done by byTrace
	case c.Text != nil && !derived:
		s.rows = keepTexts(o.col(q.view, c.Col), c, s.rows)
	case c.Int != nil && !derived:
		col := o.col(q.view, c.Col)
		if col == nil {
			s.rows = nil
			return
		}
		if c.Between {
			h := o.share(q.pid)
			if at, _ := h.of(q.view); c.Col != query.ColStart || at.lo <= max(0, c.Lo) || at.hi > c.Hi {
				s.rows = col.keepBetween(c.Lo, c.Hi, s.rows)
			} // else all of the project's lie within; without a time they would lie at 0
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
	if col == nil || col.pairs == nil {
		s.open = true
		return
	}
	var held []int32
	for _, text := range p.Texts {
		held = col.pairs.holding(pairHash(p.Path, text), held)
	}
	for i := range col.pairs.unknown.n { // what is not known has to be looked at
		row, _ := col.pairs.unknown.int(i)
		if s.unsure == nil {
			s.unsure = map[int32]bool{}
		}
		s.unsure[int32(row)] = true
		held = append(held, int32(row))
	}
	slices.Sort(held)
	held = slices.Compact(held)
	if len(s.rows) == o.traces {
		s.rows = append(s.rows[:0], held...)
		return
	}
	s.rows = keep(s.rows, func(i int) bool {
		for len(held) > 0 && held[0] < int32(i) {
			held = held[1:]
		}
		return len(held) > 0 && held[0] == int32(i)
	})
}

// hasRow reports whether a row of a trace may hold the words: of an observation
// its own bodies, of a trace any.
func (h wordHits) hasRow(tid int64, r *query.Record) bool {
	if r.View == query.Traces {
		return h[tid].some()
	}
	return h[tid].has(r.Observation.ID)
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
