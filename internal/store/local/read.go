package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// Trace implements store.Traces. Rows and places are read in one transaction,
// which ends before the first body is read.
func (s *Store) Trace(ctx context.Context, project, id string) (*store.Trace, error) {
	t := &store.Trace{}
	err := s.reads.read(ctx, func(c *sqlConn) error {
		pid, err := c.integer("SELECT pid FROM projects WHERE id = ?", project)
		if err != nil {
			return err
		}
		src := &contents{s: s}
		found, err := s.readTraceRow(c, pid, domain.TraceKey(id), t, src)
		if err != nil {
			return err
		}
		if !found {
			return domain.Errorf(domain.NotFound, "Trace %s not found within authorized project", id)
		}
		n := t.Trace.Totals.Observations
		if n > 0 {
			t.Observations = make([]domain.Observation, 0, n)
		}
		src.ids = make(map[uint64]string, n+1)
		src.ids[ownRow] = ""
		err = s.eachObservation(c, pid, src.tid, t.Trace.ID, func(rid int64, o *domain.Observation) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			t.Observations = append(t.Observations, *o)
			src.ids[itemRow(rid)] = o.ID
			return nil
		})
		if err != nil {
			return err
		}
		sortObservations(t.Observations)
		src.observations = t.Observations
		t.Source = src
		if t.Scores, err = scoresOf(c, pid, domain.TraceKey(id)); err != nil {
			return err
		}
		src.sources, err = traceSources(c, src.tid)
		return err
	})
	if err != nil {
		return nil, public(err)
	}
	return t, nil
}

// sortObservations sorts by (start, id). Places are sorted rather than the
// observations, which are large: each is then moved once.
func sortObservations(list []domain.Observation) {
	type key struct {
		start int64
		id    string
		at    int
	}
	keys := make([]key, len(list))
	for i := range list {
		keys[i] = key{list[i].Start.Nanos(), list[i].ID, i}
	}
	less := func(a, b key) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.id, b.id)) }
	slices.SortFunc(keys, less)
	for i := range keys {
		// Follow the cycle that i is in: what belongs at to comes from keys[to].at.
		first, to := list[i], i
		for keys[to].at != i {
			from := keys[to].at
			list[to] = list[from]
			keys[to].at, to = to, from
		}
		list[to] = first
		keys[to].at = to
	}
}

// readTraceRow reads a trace's row into t and what its contents need into src.
func (s *Store) readTraceRow(c *sqlConn, pid int64, key string, t *store.Trace, src *contents) (found bool, err error) {
	var own []byte
	found, err = c.one("SELECT "+traceColumns+" FROM traces WHERE project = ? AND key = ?", func(r row) {
		t.Trace, t.RootID = readTrace(r)
		src.tid = r.int(0)
		own = slices.Clone(r.blob(28))
	}, pid, key)
	if err != nil || !found {
		return found, err
	}
	if len(own) > 0 {
		f, err := readOwn(own)
		if err != nil {
			return true, fmt.Errorf("trace %d: %w", src.tid, err)
		}
		src.own = f.Value.Parts != 0
	}
	return true, nil
}

// scoresOf reads the scores of a trace and of its observations.
func scoresOf(c *sqlConn, pid int64, key string) (scores []domain.Score, err error) {
	// Left to itself SQLite goes through all scores of the project.
	err = c.rows("SELECT id, created, updated, writes FROM scores INDEXED BY scores_trace WHERE project = ? AND trace = ?", func(r row) error {
		sc, err := readScore(r)
		scores = append(scores, sc)
		return err
	}, pid, key)
	slices.SortFunc(scores, func(a, b domain.Score) int {
		return cmp.Or(cmp.Compare(a.Timestamp.Nanos(), b.Timestamp.Nanos()), cmp.Compare(a.ID, b.ID))
	})
	return scores, err
}

// readScore decodes a row of id, created, updated, writes.
func readScore(r row) (domain.Score, error) {
	writes, err := readScores(r.blob(3), r.text(0))
	if err != nil {
		return domain.Score{}, fmt.Errorf("score %s: %w", r.text(0), err)
	}
	sc := domain.FoldScores(writes)
	sc.CreatedAt, sc.UpdatedAt = r.time(1), r.time(2)
	return sc, nil
}

// Score implements store.Traces.
func (s *Store) Score(ctx context.Context, project, id string) (sc domain.Score, err error) {
	err = s.reads.read(ctx, func(c *sqlConn) error {
		pid, err := c.integer("SELECT pid FROM projects WHERE id = ?", project)
		if err != nil {
			return err
		}
		var fault error
		found, err := c.one("SELECT id, created, updated, writes FROM scores WHERE project = ? AND id = ?", func(r row) {
			sc, fault = readScore(r)
		}, pid, id)
		if err == nil && !found {
			return domain.Errorf(domain.NotFound, "Score %s not found within authorized project", id)
		}
		return errors.Join(err, fault)
	})
	return sc, public(err)
}

// Observation implements store.Traces. Of several traces that hold the id, the
// one that was written to first answers.
func (s *Store) Observation(ctx context.Context, project, id string) (*store.Observation, error) {
	for {
		// Ids that move into their table between the snapshot and the look at
		// the fresh ones are in neither.
		before := s.ids.flushes()
		out, err := s.observation(ctx, project, id)
		if domain.CodeOf(err) != domain.NotFound || before == s.ids.flushes() {
			return out, public(err)
		}
	}
}

func (s *Store) observation(ctx context.Context, project, id string) (*store.Observation, error) {
	out := &store.Observation{}
	src := &contents{s: s}
	err := s.reads.read(ctx, func(c *sqlConn) error {
		pid, err := c.integer("SELECT pid FROM projects WHERE id = ?", project)
		if err != nil {
			return err
		}
		rids, err := observationsByID(c, pid, id, s.ids.get(idHash(pid, id)))
		if err != nil {
			return err
		}
		if len(rids) == 0 {
			return domain.Errorf(domain.NotFound, "Observation %s not found within authorized project", id)
		}
		rid := rids[0]
		key := ""
		if _, err := c.one("SELECT key FROM traces WHERE tid = ?", func(r row) { key = r.text(0) }, rid>>seqBits); err != nil {
			return err
		}
		var t store.Trace
		if _, err := s.readTraceRow(c, pid, key, &t, src); err != nil {
			return err
		}
		out.Trace = t.Trace
		var fault error
		if _, err := c.one("SELECT "+observationColumns+" FROM observations WHERE rid = ?", func(r row) {
			fault = readObservation(r, &out.Observation)
		}, rid); err != nil || fault != nil {
			return errors.Join(err, fault)
		}
		s.finish(project, t.Trace.ID, &out.Observation)
		src.ids = map[uint64]string{itemRow(rid): id}
		src.sources, err = traceSources(c, src.tid)
		return err
	})
	if err != nil {
		return nil, err
	}
	src.observations = []domain.Observation{out.Observation}
	err = src.Each(ctx, func(_ int, c *domain.Content) error {
		for p := range c {
			out.Content[p] = domain.Body{Kind: c[p].Kind, Data: slices.Clone(c[p].Data)}
		}
		return nil
	})
	return out, err
}

// finish completes a row that was read: what it does not hold, what follows
// from it, and an end that is not before the start.
func (s *Store) finish(project, traceID string, o *domain.Observation) {
	o.TraceID = traceID
	if o.End.Before(o.Start) {
		o.End = o.Start
	}
	s.opts.Derive(project, o)
}
