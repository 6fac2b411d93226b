package local

import (
	"cmp"
	"context"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// narrow is what lists need of one trace: its row and those of its
// observations, without bodies. It never changes: a commit makes another one.
type narrow struct {
	tid, pid     int64
	trace        *domain.Trace
	root         string // the observation that stands for the trace
	observations []narrowRow
	pairs        []uint64 // hashes of the trace's metadata, sorted; see pairHash
	pairsKnown   bool     // false: look into the bodies
	unpaired     bool     // because they are too many, or damaged
	changed      int64    // ns: the commit that changed it last
}

// narrowRow is one observation of a trace.
type narrowRow struct {
	rid int64
	*domain.Observation
}

// maxPairs is how many metadata pairs of a trace are kept for filters; a trace
// with more is found by its bodies.
const maxPairs = 64

// pairHash names a key and a value of metadata.
func pairHash(path, text string) uint64 {
	d := xxhash.NewWithSeed(0)
	_, _ = d.WriteString(path) // a Digest never fails
	_, _ = d.Write([]byte{0})
	_, _ = d.WriteString(text)
	return d.Sum64()
}

// withoutMetadata notes that a trace has no metadata pairs where none of its
// writes said metadata.
func (n *narrow) withoutMetadata() {
	p := n.trace.Parts
	n.pairsKnown = !p.Has(domain.Metadata) && !p.Has(domain.TraceMetadata)
}

// metadataPairs is the hashes of what a metadata object holds; false where that
// is too much to keep.
func metadataPairs(b domain.Body) (pairs []uint64, ok bool) {
	query.EachLeaf(b.Data, func(path, text string) { pairs = append(pairs, pairHash(path, text)) })
	slices.Sort(pairs)
	pairs = slices.Compact(pairs)
	return pairs, len(pairs) <= maxPairs
}

// metadataFold gathers a trace's metadata from the items of the trace itself,
// id "", and then of its observations by (start, id).
type metadataFold struct {
	n     *narrow
	whole *domain.TraceContent
	byID  map[string]*domain.Observation
}

func newMetadataFold(n *narrow) *metadataFold {
	m := &metadataFold{n: n, whole: domain.NewTraceContent(domain.Content{}), byID: make(map[string]*domain.Observation, len(n.observations))}
	for _, r := range n.observations {
		m.byID[r.ID] = r.Observation
	}
	return m
}

func (m *metadataFold) add(id string, items []domain.Item) {
	said := false
	for i := range items {
		c := &items[i].Content
		said = said || c[domain.Metadata].IsSet() || c[domain.TraceMetadata].IsSet()
	}
	if !said {
		return
	}
	all := domain.FoldContent(items)
	only := domain.Content{domain.Metadata: all[domain.Metadata], domain.TraceMetadata: all[domain.TraceMetadata]}
	if id == "" {
		m.whole = domain.NewTraceContent(only.Clone())
	} else if o := m.byID[id]; o != nil && (id == m.n.root || only[domain.TraceMetadata].IsSet()) {
		m.whole.Add(o, &only, id == m.n.root)
	}
}

func (m *metadataFold) fold() domain.Body { return m.whole.Fold()[domain.Metadata] }

// pairNew notes the metadata pairs of a trace of which items are all there is.
func (n *narrow) pairNew(items []domain.Item) {
	if n.pairsKnown {
		return
	}
	m := newMetadataFold(n)
	byID := map[string][]domain.Item{}
	for _, it := range items {
		byID[it.ID] = append(byID[it.ID], it)
	}
	m.add("", byID[""])
	order := make([]*domain.Observation, len(n.observations))
	for i, r := range n.observations {
		order[i] = r.Observation
	}
	slices.SortFunc(order, func(a, b *domain.Observation) int {
		return cmp.Or(cmp.Compare(a.Start.Nanos(), b.Start.Nanos()), cmp.Compare(a.ID, b.ID))
	})
	for _, o := range order {
		m.add(o.ID, byID[o.ID])
	}
	n.pair(m.fold())
}

// slim is a copy of an observation without what lists never look at.
func slim(o *domain.Observation) *domain.Observation {
	c := *o
	c.ModelParameters, c.PriceAttributes, c.ProvidedUsage, c.ProvidedCost = nil, nil, nil, nil
	c.Experiment.Metadata, c.Experiment.ItemMetadata, c.Experiment.ItemExpectedOutput, c.Experiment.Description = "", "", "", ""
	if c.End.Before(c.Start) {
		c.End = c.Start
	}
	return &c
}

// readNarrow reads a trace from the tables, nil where there is none.
func (s *Store) readNarrow(c *sqlConn, tid int64) (*narrow, error) {
	var n *narrow
	_, err := c.one("SELECT "+traceColumns+", project FROM traces WHERE tid = ?", func(r row) {
		t, root := readTrace(r)
		n = &narrow{tid: tid, pid: r.int(31), trace: &t, root: root, changed: t.UpdatedAt.Nanos()}
		n.withoutMetadata()
	}, tid)
	if err != nil || n == nil {
		return nil, err
	}
	n.observations = make([]narrowRow, 0, n.trace.Totals.Observations)
	err = s.eachObservation(c, n.pid, tid, n.trace.ID, func(rid int64, o *domain.Observation) error {
		n.observations = append(n.observations, narrowRow{rid, slim(o)})
		return nil
	})
	return n, err
}

// record makes a row of the trace, or of one of its observations, that filters
// can be tested on. Without a lookup it has no scores and no bodies.
func (n *narrow) record(x *lookup, o *domain.Observation) *query.Record {
	r := &query.Record{View: query.Traces, Trace: n.trace, Observation: o}
	if o != nil {
		r.View = query.Observations
	} else {
		r.Observations = func() []*query.Record { return n.records(x) }
	}
	if x != nil {
		r.ScoreList = func() []domain.Score { return x.scoresOf(domain.TraceKey(n.trace.ID)) }
		r.Content = func() *domain.Content { return x.content(n, o) }
		if o != nil {
			r.Params = func() []byte { return x.params(n, o) }
		}
	}
	return r
}

// records is the rows of the trace's observations.
func (n *narrow) records(x *lookup) []*query.Record {
	out := make([]*query.Record, len(n.observations))
	for i, row := range n.observations {
		out[i] = n.record(x, row.Observation)
	}
	return out
}

// hasPair reports whether the trace's metadata holds one of some pairs, and
// whether that is known.
func (n *narrow) hasPair(p *query.Pair) (has, known bool) {
	if !n.pairsKnown {
		return false, false
	}
	for _, text := range p.Texts {
		if _, found := slices.BinarySearch(n.pairs, pairHash(p.Path, text)); found {
			return true, true
		}
	}
	return false, true
}

// freshEntry is a trace that the segments do not hold as it is now.
type freshEntry struct {
	n   *narrow // nil: it has to be read, or is gone
	seq int64   // the commit that changed it last
}

// loadFresh is loadUnread for who lists: where there is too much to read, it
// goes into segments first.
func (s *Store) loadFresh(ctx context.Context) error {
	s.index.mu.RLock()
	behind := len(s.index.unread) > maxUnread
	s.index.mu.RUnlock()
	if behind {
		s.tending.Lock()
		err := s.catchUp(ctx)
		s.tending.Unlock()
		if err != nil {
			return err
		}
	}
	return s.loadUnread(ctx)
}

// loadUnread reads the traces that are only known to have changed. It returns
// with every entry read, unless ctx ends.
func (s *Store) loadUnread(ctx context.Context) error {
	for {
		var todo []int64
		s.index.mu.RLock()
		for tid := range s.index.unread {
			todo = append(todo, tid)
		}
		s.index.mu.RUnlock()
		if len(todo) == 0 {
			return nil
		}
		slices.Sort(todo)
		todo = todo[:min(len(todo), 1000)]
		read := make(map[int64]*narrow, len(todo))
		seq := int64(0)
		err := s.reads.read(ctx, func(c *sqlConn) (err error) {
			if seq, err = c.integer("SELECT max(seq) FROM changes"); err != nil {
				return err
			}
			for _, tid := range todo {
				if err := ctx.Err(); err != nil {
					return err
				}
				if read[tid], err = s.readNarrow(c, tid); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.index.mu.Lock()
		for tid, n := range read {
			e := s.index.entries[tid]
			switch {
			case e == nil || e.n != nil || e.seq > seq: // it changed meanwhile
			case n == nil && tid > s.index.upTo:
				s.index.set(tid, nil)
			default:
				s.index.set(tid, &freshEntry{n: n, seq: e.seq})
				delete(s.index.unread, tid)
			}
		}
		s.index.mu.Unlock()
	}
}
