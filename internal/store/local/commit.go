package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// An observation's row number is its trace's number and its own within the
// trace, so that a trace is one range of keys. Hot chunks are numbered alike.
const (
	seqBits = 20
	maxSeq  = int64(1) << seqBits
)

// maxChunk is how many bytes of items a hot chunk takes before another one is
// begun. A large trace is read in the order of its starts, which is not that of
// its chunks, so some are unpacked more than once.
const maxChunk = 128 << 10

// group is one commit: batches of many requests, written in one transaction
// with one sync of the hot log beside it.
type group struct {
	s       *Store
	now     int64
	touched []*liveTrace
	pending []*pendingRow // in the order they were first touched
	rows    map[int64]*pendingRow
	full    []hotChunk // chunks that reached maxChunk
	changes []byte
	hot     []hotChunk // what was put into the hot log
	files   []int64    // and into which file each
	gone    []goneChunk
	scores  []int64 // the projects of scores that changed
	buf     [2][]byte
}

// pendingRow is an observation that the group writes.
type pendingRow struct {
	lt      *liveTrace
	id      string
	rid     int64
	fold    domain.Fold[domain.Observation]
	old     *domain.Observation // as it was before the group, nil for a new one
	changed bool
}

// hotChunk is items of one trace, bound for the hot log.
type hotChunk struct {
	lt    *liveTrace
	items []byte
	rows  []byte // see itemRow, one for each item
}

// goneChunk is a hot chunk of a trace that the group dissolved.
type goneChunk struct{ tid, file int64 }

// Append implements store.Traces. The batches are one transaction: if it
// fails, each of them answers with its error.
func (s *Store) Append(ctx context.Context, batches []store.Batch) []error {
	errs := make([]error, len(batches))
	fail := func(err error) []error {
		for i := range errs {
			errs[i] = public(err)
		}
		return errs
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return fail(errClosed())
	}
	g := &group{s: s, now: s.opts.Now().UnixNano(), rows: map[int64]*pendingRow{}}
	err := s.tx(func() error { return g.run(batches, errs) })
	s.noteWrite(err)
	if err != nil {
		s.forget()
		return fail(err)
	}
	s.commits.Add(1)
	g.settle()
	return errs
}

// forget drops what the writer had in memory ahead of a commit that failed.
func (s *Store) forget() {
	s.recent.clear()
	if err := s.loadIDs(); err != nil {
		s.log.Error("reading observation ids back failed", "err", err)
	}
	if n, err := s.db.integer("SELECT count(*) FROM adrift"); err == nil {
		s.adrift = n
	}
	clear(s.projects)
	clear(s.names)
	if err := s.db.rows("SELECT pid, id FROM projects", func(r row) error {
		s.projects[r.text(1)], s.names[r.int(0)] = r.int(0), r.text(1)
		return nil
	}); err != nil {
		s.log.Error("reading projects back failed", "err", err)
	}
	if err := s.loadIndex(); err != nil {
		s.log.Error("reading the index back failed", "err", err)
	}
}

// run does the group's work inside the transaction. What concerns one batch
// only is its error; anything else ends the group.
func (g *group) run(batches []store.Batch, errs []error) error {
	for i := range batches {
		b := &batches[i]
		if b.Len() == 0 {
			continue
		}
		pid, err := g.s.project(b.Project)
		if err != nil {
			return err
		}
		for j := range b.Observations {
			if err := g.observation(pid, &b.Observations[j]); err != nil {
				if domain.CodeOf(err) != domain.Invalid {
					return err
				}
				errs[i] = err
			}
		}
		for j := range b.Traces {
			if err := g.trace(pid, &b.Traces[j]); err != nil {
				return err
			}
		}
		for j := range b.Scores {
			if err := g.score(pid, &b.Scores[j]); err != nil {
				return err
			}
		}
	}
	return g.write()
}

// project is the number of a project, given to it when first written to.
func (s *Store) project(id string) (int64, error) {
	if pid, found := s.projects[id]; found {
		return pid, nil
	}
	if id == "" {
		return 0, errors.New("a batch names no project")
	}
	pid := int64(len(s.projects)) + 1
	if _, err := s.db.exec("INSERT INTO projects (pid, id) VALUES (?, ?)", pid, id); err != nil {
		return 0, err
	}
	s.projects[id], s.names[pid] = pid, id
	return pid, nil
}

// observation folds one observation patch in.
func (g *group) observation(pid int64, p *domain.ObservationPatch) error {
	lt, drifts, err := g.home(pid, p)
	if err != nil {
		return err
	}
	row, err := g.row(lt, p.Value.ID)
	if err != nil {
		return err
	}
	if p.Value.TraceID != "" && g.s.adrift > 0 {
		if err := g.rescue(lt, row); err != nil {
			return err
		}
	}
	if drifts && row.old == nil && !row.changed {
		if _, err := g.s.db.exec("INSERT OR IGNORE INTO adrift (project, id, rid) VALUES (?, ?, ?)", pid, p.Value.ID, row.rid); err != nil {
			return err
		}
		g.s.adrift++
	}
	if !row.fold.Value.CreatedAt.IsSet() {
		row.fold.Value.CreatedAt = domain.At(g.now)
	}
	seen := slices.Contains(row.fold.Stamps.List, p.Stamp)
	w := p.Fold()
	if domain.FoldObservation(&row.fold, &w) {
		row.change(g)
	}
	if !seen && (p.Parts != 0 || p.Stamp.Op == domain.Replace) {
		row.change(g)
		row.fold.Value.Parts |= p.Content.Set()
		g.item(lt, itemRow(row.rid), &domain.Item{ID: p.Value.ID, Stamp: p.Stamp, Said: p.Parts, Content: p.Content})
	}
	return nil
}

// home finds the trace of a patch, and whether that is only a stand-in until
// the observation's trace becomes known.
func (g *group) home(pid int64, p *domain.ObservationPatch) (lt *liveTrace, drifts bool, err error) {
	if id := p.Value.TraceID; id != "" {
		lt, err = g.live(pid, id)
		return lt, false, err
	}
	rids, err := observationsByID(g.s.db, pid, p.Value.ID, nil)
	if err != nil {
		return nil, false, err
	}
	for _, rid := range g.s.ids.get(idHash(pid, p.Value.ID)) {
		// Fresh ids include those of this group, which the database lacks.
		if row := g.rows[rid]; row != nil && row.id == p.Value.ID && row.lt.pid == pid && row.lt.rows[row.id] == rid {
			return row.lt, false, nil
		}
		var same bool
		if _, err := g.s.db.one("SELECT project, id FROM observations WHERE rid = ?", func(r row) {
			same = r.int(0) == pid && r.text(1) == p.Value.ID
		}, rid); err != nil {
			return nil, false, err
		}
		if same {
			rids = append(rids, rid)
		}
	}
	if len(rids) > 0 {
		lt, err = g.liveByNumber(slices.Min(rids) >> seqBits)
		return lt, false, err
	}
	lt, err = g.live(pid, p.Value.ID)
	return lt, true, err
}

// live is the trace of that id, from memory, from the database, or new.
func (g *group) live(pid int64, id string) (*liveTrace, error) {
	ref := traceRef{pid, domain.TraceKey(id)}
	if lt := g.s.recent.get(ref); lt != nil {
		g.touch(lt)
		return lt, nil
	}
	lt, err := g.s.loadTrace("project = ? AND key = ?", pid, ref.key)
	if err != nil {
		return nil, err
	}
	if lt == nil {
		lt = &liveTrace{traceRef: ref, tid: g.s.nextTid, id: id, rows: map[string]int64{}, created: g.now, isNew: true}
		g.s.nextTid++
	}
	g.s.recent.add(lt)
	g.touch(lt)
	return lt, nil
}

func (g *group) liveByNumber(tid int64) (*liveTrace, error) {
	var ref traceRef
	found, err := g.s.db.one("SELECT project, key FROM traces WHERE tid = ?", func(r row) { ref = traceRef{r.int(0), r.text(1)} }, tid)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("trace number %d of an observation is missing: %w", tid, errCorrupt)
	}
	return g.live(ref.pid, ref.key)
}

func (g *group) touch(lt *liveTrace) {
	if !lt.touched {
		lt.touched = true
		g.touched = append(g.touched, lt)
	}
}

// change notes that the group changes lt.
func (g *group) change(lt *liveTrace) { lt.dirty, lt.updated = true, g.now }

func (row *pendingRow) change(g *group) {
	row.changed = true
	g.change(row.lt)
}

// loadTrace reads what the writer needs of a stored trace, nil if there is none.
func (s *Store) loadTrace(where string, args ...any) (*liveTrace, error) {
	var lt *liveTrace
	var own []byte
	var observations int64
	_, err := s.db.one("SELECT "+traceColumns+", project FROM traces WHERE "+where, func(r row) {
		t, _ := readTrace(r)
		lt = &liveTrace{
			traceRef: traceRef{r.int(31), r.text(1)}, tid: r.int(0), id: t.ID, rows: map[string]int64{},
			created: r.int(23), updated: r.int(24), nextSeq: r.int(26), nextHot: r.int(27), stored: true,
		}
		own, observations = slices.Clone(r.blob(28)), t.Totals.Observations
	}, args...)
	if err != nil || lt == nil {
		return nil, err
	}
	if own != nil {
		if lt.own, err = readOwn(own); err != nil {
			return nil, fmt.Errorf("trace %d: %w", lt.tid, err)
		}
	}
	if observations > 0 {
		err = s.eachObservation(s.db, lt.pid, lt.tid, lt.id, func(rid int64, o *domain.Observation) error {
			lt.rows[o.ID] = rid
			lt.rollup.Add(o)
			return nil
		})
	}
	return lt, err
}

// eachObservation reads the rows of a trace in the order of their keys, with
// derived values. The observation is valid until f returns.
func (s *Store) eachObservation(c *sqlConn, pid, tid int64, traceID string, f func(rid int64, o *domain.Observation) error) error {
	project := ""
	if _, err := c.one("SELECT id FROM projects WHERE pid = ?", func(r row) { project = r.text(0) }, pid); err != nil {
		return err
	}
	var o domain.Observation
	return c.rows("SELECT "+observationColumns+" FROM observations WHERE rid BETWEEN ? AND ?", func(r row) error {
		if err := readObservation(r, &o); err != nil {
			return fmt.Errorf("observation %d: %w", r.int(0), err)
		}
		s.finish(project, traceID, &o)
		return f(r.int(0), &o)
	}, tid<<seqBits, (tid+1)<<seqBits-1)
}

// row is the row of an observation in lt: of this group, stored, or new.
func (g *group) row(lt *liveTrace, id string) (*pendingRow, error) {
	rid, found := lt.rows[id]
	if !found {
		if lt.nextSeq >= maxSeq {
			return nil, domain.Errorf(domain.Invalid, "trace %s holds %d observations, which is the most a trace can", lt.id, maxSeq)
		}
		rid = lt.tid<<seqBits | lt.nextSeq
		lt.nextSeq++
		lt.rows[id] = rid
		g.s.ids.add(idHash(lt.pid, id), rid)
		return g.pend(&pendingRow{lt: lt, id: id, rid: rid}), nil
	}
	if row := g.rows[rid]; row != nil {
		return row, nil
	}
	fold, err := g.s.storedFold(rid)
	if err != nil {
		return nil, err
	}
	old := fold.Value
	g.s.finish(g.s.names[lt.pid], lt.id, &old)
	return g.pend(&pendingRow{lt: lt, id: id, rid: rid, fold: fold, old: &old}), nil
}

func (g *group) pend(row *pendingRow) *pendingRow {
	g.rows[row.rid] = row
	g.pending = append(g.pending, row)
	return row
}

// storedFold reads the fold of one stored observation.
func (s *Store) storedFold(rid int64) (f domain.Fold[domain.Observation], err error) {
	var fault error
	found, err := s.db.one("SELECT "+observationColumns+", stamps FROM observations WHERE rid = ?", func(r row) {
		if fault = readObservation(r, &f.Value); fault != nil {
			return
		}
		rd := reader{b: r.blob(19)}
		f.Stamps = rd.stamps(observationFields, len(f.Value.Tags))
		fault = rd.err
	}, rid)
	if err == nil && !found {
		fault = errCorrupt
	}
	if fault != nil {
		fault = fmt.Errorf("observation %d: %w", rid, fault)
	}
	return f, errors.Join(err, fault)
}

// itemRow says in the directory of a chunk whose an item is: the trace's own,
// or that of an observation by its number in the trace.
func itemRow(rid int64) uint64 { return uint64(rid&(maxSeq-1)) + 1 }

const ownRow = 0

// item adds one write's bodies to the chunk of its trace.
func (g *group) item(lt *liveTrace, row uint64, it *domain.Item) {
	if n := it.Content.Size(); len(lt.chunk) > 0 && len(lt.chunk)+n > maxChunk {
		g.full = append(g.full, hotChunk{lt, lt.chunk, lt.chunkRows})
		lt.chunk, lt.chunkRows = nil, nil
	}
	if lt.chunk == nil {
		lt.chunk = g.s.spare.take()
	}
	lt.chunk = putItem(lt.chunk, it)
	if lt.isNew && (it.Said.Has(domain.Metadata) || it.Said.Has(domain.TraceMetadata) || it.Stamp.Op == domain.Replace) {
		lt.meta = append(lt.meta, *it)
	}
	lt.chunkRows = binary.AppendUvarint(lt.chunkRows, row)
}

// trace folds one patch of a trace itself in.
func (g *group) trace(pid int64, p *domain.TracePatch) error {
	lt, err := g.live(pid, p.Value.ID)
	if err != nil {
		return err
	}
	seen := slices.Contains(lt.own.Stamps.List, p.Stamp)
	if len(lt.own.Stamps.List) == 0 {
		lt.own.Value.ID = lt.id
	}
	w := p.Fold()
	if w.Stamps.Field == ([32]uint16{}) {
		// A patch that says nothing but that there is such a trace is kept by its stamp.
		w.Stamps.Field[0], w.Value.Timestamp = 1, domain.Time{}
	}
	if domain.FoldTrace(&lt.own, &w) || !lt.stored {
		g.change(lt)
	}
	if !seen && (p.Parts != 0 || p.Stamp.Op == domain.Replace) {
		lt.own.Value.Parts |= p.Content.Set()
		g.change(lt)
		g.item(lt, ownRow, &domain.Item{Stamp: p.Stamp, Said: p.Parts, Content: p.Content})
	}
	return nil
}

// score folds one score patch in. A score is small: its writes are kept, and
// folded when read.
func (g *group) score(pid int64, p *domain.ScorePatch) error {
	created := g.now
	var writes []domain.ScorePatch
	var fault error
	_, err := g.s.db.one("SELECT created, writes FROM scores WHERE project = ? AND id = ?", func(r row) {
		created = r.int(0)
		writes, fault = readScores(r.blob(1), p.Value.ID)
	}, pid, p.Value.ID)
	if err := errors.Join(err, fault); err != nil {
		return err
	}
	if slices.ContainsFunc(writes, func(w domain.ScorePatch) bool { return w.Stamp == p.Stamp }) {
		return nil
	}
	writes = append(writes, *p)
	sc := domain.FoldScores(writes)
	var blob []byte
	for i := range writes {
		blob = putScore(blob, &writes[i])
	}
	sc.CreatedAt, sc.UpdatedAt = domain.At(created), domain.At(g.now)
	err = writeScore(g.s.db, pid, &sc, blob)
	g.scores = append(g.scores, pid)
	g.changes = putEntry(g.changes, entry{kind: store.ScoreChanged, pid: pid, key: p.Value.ID})
	return err
}

func readScores(b []byte, id string) (writes []domain.ScorePatch, err error) {
	r := reader{b: b}
	for len(r.b) > 0 {
		p := r.score()
		p.Value.ID = id
		writes = append(writes, p)
	}
	return writes, r.err
}
