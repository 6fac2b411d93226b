package local

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// scoreList is a list of scores that is being answered.
type scoreList struct {
	s         *Store
	pid       int64
	l         *query.List
	r         *query.Resolved
	x         *lookup
	conjuncts []query.Conjunct
	from      string // the table, and by which index where SQLite would choose a worse one
	where     string
	args      []any
	pushed    int  // conditions that the database tests
	alone     bool // no condition is about the trace
	traces    map[string]*domain.Trace
}

// scoreRow is a score that matches, and its place.
type scoreRow struct {
	score domain.Score
	trace *domain.Trace
	sort  []query.SortValue
}

func (s *Store) listScores(ctx context.Context, pid int64, l *query.List, r *query.Resolved) (*store.Page, error) {
	q := s.newScoreList(ctx, pid, r.Conjuncts)
	q.l, q.r, q.alone = l, r, !query.NeedTrace(r.Conjuncts, r.Order)
	if err := q.narrow(ctx); err != nil {
		return nil, err
	}
	page := &store.Page{}
	var rows []scoreRow
	err := s.reads.read(ctx, func(c *sqlConn) (err error) {
		q.x.c = c
		rows, page.Total, err = q.read(ctx, c)
		if err == nil && l.Total && q.pushed == len(q.conjuncts) {
			page.Total, err = c.integer("SELECT count(*) FROM "+q.from+" WHERE "+q.where, q.args...)
		}
		rows = rows[min(l.Offset, len(rows)):]
		for i := range rows {
			if id := rows[i].score.TraceID; err == nil && rows[i].trace == nil && id != "" {
				rows[i].trace, err = q.trace(c, id)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	more := len(rows) > l.Limit
	rows = rows[:min(len(rows), l.Limit)]
	for i := range rows {
		page.Rows = append(page.Rows, store.Row{Score: &rows[i].score, Trace: rows[i].trace})
	}
	if len(rows) > 0 {
		page.Place(l, r, rows[0].sort, rows[len(rows)-1].sort, more)
	}
	return page, nil
}

func (s *Store) newScoreList(ctx context.Context, pid int64, conjuncts []query.Conjunct) *scoreList {
	q := &scoreList{s: s, pid: pid, conjuncts: conjuncts, x: s.newLookup(ctx, pid), from: "scores", where: "project = ?", args: []any{pid}, traces: map[string]*domain.Trace{}}
	q.push()
	return q
}

// push hands to the database what it has columns for. The names of columns are
// ours, all that came with the question is bound.
func (q *scoreList) push() {
	for i := range q.conjuncts {
		c := &q.conjuncts[i]
		if c.Int != nil && c.Col == query.ColStart {
			q.where += " AND ts BETWEEN ? AND ?"
			q.args = append(q.args, c.Lo, c.Hi)
			if f, is := c.Filter.(query.Cmp); is && f.Op != query.In {
				q.pushed++ // several instants are tested one by one
			}
			continue
		}
		if sql, args := pushedScore(c.Filter); sql != "" {
			q.where += " AND " + sql
			q.args = append(q.args, args...)
			q.pushed++
			continue
		}
		for col, name := range map[query.Col]string{query.ColName: "name", query.ColTrace: "trace"} {
			values, exact := query.Exact(c.Filter, col)
			if !exact || len(values) == 0 || len(values) > maxNamed {
				continue
			}
			q.where += " AND " + name + " IN (?" + strings.Repeat(",?", len(values)-1) + ")"
			if col == query.ColTrace {
				q.from = "scores INDEXED BY scores_trace"
			}
			for _, v := range values {
				if col == query.ColTrace {
					v = domain.TraceKey(v)
				}
				q.args = append(q.args, v)
			}
			q.pushed++
		}
	}
}

// maxOfTraces is for how many traces scores are looked up one trace after the
// other: of more, all scores are looked at.
const maxOfTraces = 20_000

// narrow finds the traces that conditions on scores ask for, where they are few.
func (q *scoreList) narrow(ctx context.Context) error {
	var on query.And
	for i := range q.conjuncts {
		if f, ok := query.OfTrace(q.conjuncts[i].Filter); ok {
			on = append(on, f)
		}
	}
	if len(on) == 0 || q.from != "scores" {
		return nil
	}
	conjuncts, err := query.Plan(query.Traces, on, q.r.Bind)
	if err != nil {
		return nil // the columns of the trace take other operators
	}
	keys, few, err := q.s.tracesWhere(ctx, q.pid, conjuncts, maxOfTraces)
	if err != nil || !few {
		return err
	}
	list, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	q.from = "scores INDEXED BY scores_trace"
	q.where += " AND trace IN (SELECT value FROM json_each(?))"
	q.args = append(q.args, string(list))
	return nil
}

// tracesWhere is the keys of the traces that meet conditions, few is false where
// there are more than most.
func (s *Store) tracesWhere(ctx context.Context, pid int64, conjuncts []query.Conjunct, most int) (keys []string, few bool, err error) {
	q := &question{scan: scan{view: query.Traces, pid: pid, conjuncts: conjuncts}, s: s, l: &query.List{View: query.Traces}, r: &query.Resolved{}, x: s.newLookup(ctx, pid)}
	if q.snap, err = s.snapshot(ctx); err != nil {
		return nil, false, err
	}
	for _, n := range q.snap.fresh {
		if n.pid != pid {
			continue
		}
		if match, _ := q.matches(n, n.record(q.x, nil)); match {
			keys = append(keys, domain.TraceKey(n.trace.ID))
		}
	}
	err = q.eachSegment(ctx, q.snap.segments, func(o *openSegment, sel selection) error {
		row := traceRow{o: o}
		for _, i := range sel.rows {
			row.i = int(i)
			keys = append(keys, row.key())
		}
		if len(keys) > most {
			return errStop
		}
		return o.err
	})
	if errors.Is(err, errStop) && !errors.Is(err, errMoved) {
		return nil, false, nil
	}
	return keys, len(keys) <= most, err
}

// pushedScore is a condition on whether a score has a trace, or on its type, as
// the database tests it; "" where it is none.
func pushedScore(f query.Filter) (sql string, args []any) {
	not := ""
	if n, is := f.(query.Not); is {
		f, not = n.Filter, "NOT "
	}
	switch f := f.(type) {
	case query.Has:
		if f.Ref.Column == query.ColTrace {
			return not + "(trace IS NOT NULL)", nil
		}
	case query.Cmp:
		if f.Ref.Column != query.ColType || f.Fold || f.Op != query.Eq && f.Op != query.In {
			return "", nil
		}
		for _, v := range f.Values {
			args = append(args, strings.ToUpper(v.Str))
		}
		return "coalesce(type, 'NUMERIC') " + not + "IN (?" + strings.Repeat(",?", len(args)-1) + ")", args
	}
	return "", nil
}

// read finds the matching scores: those of the page and one more in order, and
// how many there are in all where that is asked for.
func (q *scoreList) read(ctx context.Context, c *sqlConn) (out []scoreRow, total int64, err error) {
	k := q.r.Order[0]
	timely := k.Ref.Column == query.ColStart && len(q.r.Order) == 2
	want := q.l.Offset + q.l.Limit + 1
	sql := "SELECT id, created, updated, writes FROM " + q.from + " WHERE " + q.where
	args := slices.Clone(q.args)
	counted := q.l.Total && q.pushed < len(q.conjuncts)
	if timely {
		dir, op := "", ">="
		if k.Descending() {
			dir, op = " DESC", "<="
		}
		if q.r.After != nil && !counted {
			sql += " AND ts " + op + " ?"
			args = append(args, q.r.After[0].Int)
		}
		sql += " ORDER BY ts" + dir + ", id" + dir
	}
	err = q.each(ctx, c, sql, args, func(one scoreRow, rec *query.Record) error {
		total++
		one.sort = query.SortAll(query.Scores, q.r.Order, rec)
		if q.r.After != nil && query.CompareSorts(q.r.Order, one.sort, q.r.After) <= 0 {
			return nil
		}
		out = append(out, one)
		switch {
		case timely && len(out) >= want && !counted:
			return errStop
		case len(out) > 2*want+1000:
			out = q.best(out, want)
		}
		return nil
	})
	return q.best(out, want), total, err
}

// each calls f with every score that a statement finds and that matches.
func (q *scoreList) each(ctx context.Context, c *sqlConn, sql string, args []any, f func(one scoreRow, rec *query.Record) error) error {
	seen := 0
	err := c.rows(sql, func(r row) error {
		if seen++; seen%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		sc, err := readScore(r)
		if err != nil {
			return err
		}
		one := scoreRow{score: sc}
		rec := &query.Record{View: query.Scores, Score: &one.score}
		if sc.TraceID != "" && !q.alone {
			if one.trace, err = q.trace(c, sc.TraceID); err != nil {
				return err
			}
			rec.Trace = one.trace
		}
		rec.Observations = func() []*query.Record { return q.observation(c, &sc) }
		for i := range q.conjuncts {
			if !q.conjuncts[i].Program.Match(rec) {
				return q.x.err
			}
		}
		return f(one, rec)
	}, args...)
	return errors.Join(err, q.x.err)
}

func (q *scoreList) best(rows []scoreRow, want int) []scoreRow {
	slices.SortFunc(rows, func(a, b scoreRow) int { return query.CompareSorts(q.r.Order, a.sort, b.sort) })
	return rows[:min(len(rows), want)]
}

// trace reads the trace of a score, nil where it is not known yet.
func (q *scoreList) trace(c *sqlConn, id string) (*domain.Trace, error) {
	key := domain.TraceKey(id)
	if t, found := q.traces[key]; found {
		return t, nil
	}
	if len(q.traces) > 10_000 { // the memory of one read is bounded
		clear(q.traces)
	}
	var t *domain.Trace
	_, err := c.one("SELECT "+traceColumns+" FROM traces WHERE project = ? AND key = ?", func(r row) {
		one, _ := readTrace(r)
		t = &one
	}, q.pid, key)
	q.traces[key] = t
	return t, err
}

// observation reads the observation of a score.
func (q *scoreList) observation(c *sqlConn, sc *domain.Score) []*query.Record {
	if sc.ObservationID == "" || sc.TraceID == "" {
		return nil
	}
	tid, err := c.integer("SELECT tid FROM traces WHERE project = ? AND key = ?", q.pid, domain.TraceKey(sc.TraceID))
	if err != nil || tid == 0 {
		q.x.fail(err)
		return nil
	}
	n, err := q.s.readNarrow(c, tid)
	if err != nil || n == nil {
		q.x.fail(err)
		return nil
	}
	for _, r := range n.observations {
		if r.ID == sc.ObservationID {
			return []*query.Record{n.record(q.x, r.Observation)}
		}
	}
	return nil
}

// DeleteScores implements store.Traces.
func (s *Store) DeleteScores(ctx context.Context, project string, ids []string) error {
	for group := range slices.Chunk(ids, 10*deleteGroup) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.deleteScores(project, group); err != nil {
			return public(err)
		}
	}
	return nil
}

func (s *Store) deleteScores(project string, ids []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errClosed()
	}
	pid, found := s.projects[project]
	if !found {
		return nil
	}
	var changes []byte
	err := s.db.tx(func() error {
		for _, id := range ids {
			n, err := s.db.exec("DELETE FROM scores WHERE project = ? AND id = ?", pid, id)
			if err != nil {
				return err
			}
			if n > 0 {
				changes = putEntry(changes, entry{kind: store.ScoreChanged, pid: pid, key: id})
			}
		}
		if len(changes) == 0 {
			return nil
		}
		_, err := s.db.exec("INSERT INTO changes (seq, list) VALUES (?, ?)", s.seq+1, changes)
		return err
	})
	s.noteWrite(err)
	if err != nil || len(changes) == 0 {
		return err
	}
	s.commits.Add(1)
	s.seq++
	s.ids.covers(s.seq)
	s.walDirty = true
	s.scores.changed(pid)
	return nil
}
