package local

import (
	"cmp"
	"container/list"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// columnCache keeps the columns that were read last.
type columnCache struct {
	mu    sync.Mutex
	at    map[columnKey]*list.Element
	order *list.List // of *cachedColumn, the latest in front
	bytes int
	most  int
}

type columnKey struct {
	sid  int64
	name string
}

type cachedColumn struct {
	key  columnKey
	col  *column // nil: the segment has no such column
	same string  // or it is the same as that of this name
}

// columnBytes bounds the columns that are kept: enough for what a hundred
// thousand traces are listed by.
const columnBytes = 40 << 20

func newColumnCache() *columnCache {
	return &columnCache{at: map[columnKey]*list.Element{}, order: list.New(), most: columnBytes}
}

func (c *columnCache) get(k columnKey) *cachedColumn {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.at[k]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cachedColumn)
}

func (k *cachedColumn) size() int {
	if k.col == nil {
		return 100
	}
	size := len(k.col.blob) + 200
	if k.col.words > 0 {
		size += 4 * tableSize(k.col.words)
	}
	if k.col.inverts { // of lists more, but those are few
		size += 2*k.col.n + 4*k.col.words
	}
	return size
}

func (c *columnCache) put(one *cachedColumn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at[one.key] != nil {
		return
	}
	c.at[one.key] = c.order.PushFront(one)
	for c.bytes += one.size(); c.bytes > c.most && c.order.Len() > 1; {
		c.evict(c.order.Back())
	}
}

func (c *columnCache) evict(e *list.Element) {
	one := e.Value.(*cachedColumn)
	c.bytes -= one.size()
	c.order.Remove(e)
	delete(c.at, one.key)
}

// forget drops the columns of a segment that is no more.
func (c *columnCache) forget(sid int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.order.Front(); e != nil; {
		next := e.Next()
		if e.Value.(*cachedColumn).key.sid == sid {
			c.evict(e)
		}
		e = next
	}
}

// errMoved says that a segment was replaced while it was read.
var errMoved = fmt.Errorf("the segment is no more: %w", errStop)

// openColumn reads a column of a segment, nil where it has none of that name.
func (s *Store) openColumn(c *sqlConn, seg *segment, name string) (*column, error) {
	key := columnKey{seg.sid, name}
	one := s.columns.get(key)
	if one == nil {
		var err error
		if one, err = readColumn(c, seg, name); err != nil {
			return nil, err
		}
		one.key = key
		s.columns.put(one)
	}
	if one.same != "" {
		return s.openColumn(c, seg, one.same)
	}
	return one.col, nil
}

func readColumn(c *sqlConn, seg *segment, name string) (*cachedColumn, error) {
	var blob []byte
	found, err := c.one("SELECT data FROM columns WHERE sid = ? AND name = ?", func(r row) { blob = slices.Clone(r.blob(0)) }, seg.sid, name)
	if err != nil {
		return nil, err
	}
	if !found {
		if n, err := c.integer("SELECT count(*) FROM segments WHERE sid = ?", seg.sid); err != nil || n == 0 {
			return nil, cmp.Or(err, errMoved)
		}
		return &cachedColumn{}, nil
	}
	if len(blob) > 1 && blob[0] == sameColumn {
		same := string(blob[1:])
		if same[0] != name[0] || same >= name { // it could go round in a circle
			return nil, fmt.Errorf("segment %d, column %s is to be the same as %q: %w", seg.sid, name, same, errCorrupt)
		}
		return &cachedColumn{same: same}, nil
	}
	rows := seg.observations
	if name[0] == 't' {
		rows = seg.traces
	}
	col, err := openColumn(blob, rows)
	if err != nil {
		return nil, fmt.Errorf("segment %d, column %s: %w", seg.sid, name, err)
	}
	col.inverts = name[0] == 't' && col.words > 0 && !col.plain && rows <= maxInverted
	return &cachedColumn{col: col}, nil
}

type namedColumn struct {
	name string
	col  *column // nil: the segment has none of that name
}

// openSegment is a segment that is being read, on one connection.
type openSegment struct {
	*segment
	x     *lookup
	views [query.Observations + 1][query.NumCols]*column
	known [query.Observations + 1][query.NumCols]bool
	other []namedColumn // few enough to go through
	// The keys of maps of counts that were asked for.
	mapKeys map[query.Col][]string
	// Those that are asked for row by row.
	tids, firsts, ofs *column
	err               error // the first failure; rows are missing what it kept from being read
}

func (o *openSegment) named(name string) *column {
	for i := range o.other {
		if o.other[i].name == name {
			return o.other[i].col
		}
	}
	c, err := o.x.s.openColumn(o.x.c, o.segment, name)
	if err != nil {
		o.fail(err)
	}
	o.other = append(o.other, namedColumn{name, c})
	return c
}

func (o *openSegment) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

// col is a column of a view that segments hold, nil where it has no value.
func (o *openSegment) col(v query.View, c query.Col) *column {
	if !o.known[v][c] {
		o.known[v][c] = true
		for _, sc := range segmentColumns[v] {
			if sc.Col == c {
				o.views[v][c] = o.named(sc.name)
			}
		}
	}
	return o.views[v][c]
}

// countPrefix is how the names of the columns begin that hold a map of counts.
func countPrefix(c query.Col) string {
	if c == query.ColCostBy {
		return "o.costs."
	}
	return "o.usage."
}

// keys is the keys that a map of counts has in some row.
func (o *openSegment) keys(c query.Col) []string {
	if keys, found := o.mapKeys[c]; found {
		return keys
	}
	prefix := countPrefix(c)
	keys := []string{}
	if err := o.x.c.rows("SELECT name FROM columns WHERE sid = ? AND name > ? AND name < ?", func(r row) error {
		keys = append(keys, strings.TrimPrefix(r.text(0), prefix))
		return nil
	}, o.sid, prefix, prefix+"\U0010FFFF"); err != nil {
		o.fail(err)
	}
	if o.mapKeys == nil {
		o.mapKeys = map[query.Col][]string{}
	}
	o.mapKeys[c] = keys
	return keys
}

// traceOf is the row of an observation's trace.
func (o *openSegment) traceOf(i int) int {
	if o.ofs == nil {
		o.ofs = o.named(ofColumn)
	}
	n, _ := o.ofs.int(i)
	return int(n)
}

// observationsOf is the rows of a trace's observations.
func (o *openSegment) observationsOf(i int) (from, to int) {
	if o.firsts == nil {
		o.firsts = o.named(firstColumn)
	}
	a, _ := o.firsts.int(i)
	b := int64(o.observations)
	if i+1 < o.traces {
		b, _ = o.firsts.int(i + 1)
	}
	return int(a), int(b)
}

func (o *openSegment) tid(i int) int64 {
	if o.tids == nil {
		o.tids = o.named(tidColumn)
	}
	n, _ := o.tids.int(i)
	return n
}

func (o *openSegment) rid(i int) int64 {
	seq, _ := o.named(seqColumn).int(i)
	return o.tid(o.traceOf(i))<<seqBits | seq
}

// traceRow is a trace of a segment as filters see it.
type traceRow struct {
	o *openSegment
	i int
}

var levelCounts = [...]struct {
	col  query.Col
	name string
}{{query.ColErrorCount, "ERROR"}, {query.ColWarnings, "WARNING"}, {query.ColDefaults, "DEFAULT"}, {query.ColDebugs, "DEBUG"}}

// Int implements query.Row.
func (r *traceRow) Int(c query.Col) (int64, bool) {
	if c == query.ColScoreCount {
		return int64(len(r.Scores(query.ColScore))), true
	}
	return r.o.col(query.Traces, c).int(r.i)
}

// Float implements query.Row.
func (r *traceRow) Float(query.Col) (float64, bool) { return 0, false }

// Text implements query.Row.
func (r *traceRow) Text(c query.Col) (string, bool) {
	if c == query.ColLevel {
		for _, l := range levelCounts {
			if n, _ := r.Int(l.col); n > 0 {
				return l.name, true
			}
		}
		return "", false
	}
	return r.o.col(query.Traces, c).string(r.i)
}

// List implements query.Row.
func (r *traceRow) List(c query.Col) []string {
	if c == query.ColExperiment {
		var out []string
		from, to := r.o.observationsOf(r.i)
		for i := from; i < to; i++ {
			if s, ok := r.o.col(query.Observations, c).string(i); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return r.o.col(query.Traces, c).list(r.i)
}

// Count implements query.Row.
func (r *traceRow) Count(query.Col, string) (int64, bool) { return 0, false }

// Keys implements query.Row.
func (r *traceRow) Keys(query.Col) []string { return nil }

// Body implements query.Row. Segments hold no bodies: what looks at them is
// tested on records.
func (r *traceRow) Body(query.Col) domain.Body { return domain.Body{} }

func (r *traceRow) key() string {
	id, _ := r.Text(query.ColID)
	return domain.TraceKey(id)
}

// Scores implements query.Row.
func (r *traceRow) Scores(c query.Col) []domain.Score {
	x, ids := r.o.x, r.o.col(query.Traces, query.ColID)
	var all []domain.Score
	switch code := ids.code(r.i); {
	case code >= 0 && x.filter != nil && !x.filter.may(ids.stored(code)):
		return nil
	case code >= 0 && ids.hex && x.raw != nil:
		all = x.raw[ids.stored(code)]
	default:
		all = x.scoresOf(r.key())
	}
	if _, own := query.ScoresOver(c); own {
		all = slices.DeleteFunc(slices.Clone(all), func(s domain.Score) bool { return s.ObservationID != "" })
	}
	return all
}

// Related implements query.Row.
func (r *traceRow) Related(rel query.Relation) []query.Row {
	var out []query.Row
	switch rel {
	case query.RelObs:
		from, to := r.o.observationsOf(r.i)
		rows := make([]observationRow, to-from)
		for i := range rows {
			rows[i] = observationRow{r.o, from + i}
			out = append(out, &rows[i])
		}
	case query.RelScores:
		out = r.scoreRows(r.Scores(query.ColScore))
	}
	return out
}

// scoreRows is scores with what they take from their trace.
func (r *traceRow) scoreRows(scores []domain.Score) []query.Row {
	if len(scores) == 0 {
		return nil
	}
	t := &domain.Trace{Tags: r.List(query.ColTags)}
	for c, to := range map[query.Col]*string{
		query.ColID: &t.ID, query.ColName: &t.Name, query.ColUser: &t.UserID, query.ColSession: &t.SessionID,
		query.ColEnv: &t.Environment, query.ColRelease: &t.Release, query.ColVersion: &t.Version,
	} {
		*to, _ = r.Text(c)
	}
	out := make([]query.Row, len(scores))
	for i := range scores {
		out[i] = &query.Record{View: query.Scores, Score: &scores[i], Trace: t}
	}
	return out
}

// observationRow is an observation of a segment as filters see it.
type observationRow struct {
	o *openSegment
	i int
}

func (r *observationRow) trace() *traceRow { return &traceRow{r.o, r.o.traceOf(r.i)} }

// Int implements query.Row.
func (r *observationRow) Int(c query.Col) (int64, bool) {
	if c == query.ColEnd {
		start, _ := r.Int(query.ColStart)
		n, ok := r.Int(query.ColLatency)
		return start + n, ok
	}
	return r.o.col(query.Observations, c).int(r.i)
}

// Float implements query.Row.
func (r *observationRow) Float(c query.Col) (float64, bool) {
	ns, ok := r.Int(query.ColLatency)
	out, counted := r.Int(query.ColOutputTokens)
	if c != query.ColSpeed || !ok || !counted || ns == 0 {
		return 0, false
	}
	return float64(out) / (float64(ns) / 1e9), true
}

// Text implements query.Row.
func (r *observationRow) Text(c query.Col) (string, bool) {
	if of := ofTheTrace[c]; of != 0 {
		return r.o.col(query.Traces, of).string(r.o.traceOf(r.i))
	}
	return r.o.col(query.Observations, c).string(r.i)
}

// List implements query.Row.
func (r *observationRow) List(c query.Col) []string {
	if of := ofTheTrace[c]; of != 0 {
		return r.o.col(query.Traces, of).list(r.o.traceOf(r.i))
	}
	return r.o.col(query.Observations, c).list(r.i)
}

// Count implements query.Row.
func (r *observationRow) Count(c query.Col, key string) (int64, bool) {
	return r.o.named(countPrefix(c) + key).int(r.i)
}

// Keys implements query.Row.
func (r *observationRow) Keys(c query.Col) (keys []string) {
	for _, key := range r.o.keys(c) {
		if _, ok := r.Count(c, key); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// Body implements query.Row.
func (r *observationRow) Body(query.Col) domain.Body { return domain.Body{} }

// Scores implements query.Row.
func (r *observationRow) Scores(c query.Col) []domain.Score {
	if _, own := query.ScoresOver(c); own {
		return r.trace().Scores(c)
	}
	id, _ := r.Text(query.ColID)
	all := r.trace().Scores(query.ColScore)
	return slices.DeleteFunc(slices.Clone(all), func(s domain.Score) bool { return s.ObservationID != id })
}

// Related implements query.Row.
func (r *observationRow) Related(rel query.Relation) []query.Row {
	switch rel {
	case query.RelTrace:
		return []query.Row{r.trace()}
	case query.RelScores:
		return r.trace().scoreRows(r.Scores(query.ColScore))
	}
	return nil
}
