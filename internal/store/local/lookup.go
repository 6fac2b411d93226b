package local

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/bits"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store/local/body"
)

// lookup finds what rows do not hold themselves, for one question. Its scores
// are read before the rows are; bodies are read outside of any transaction.
type lookup struct {
	s   *Store
	ctx context.Context
	c   *sqlConn // while rows are read
	pid int64

	scores  map[string][]domain.Score // by the key of the trace
	scoreAt int64                     // how often the project's scores had changed before anything was read

	raw    map[string][]domain.Score // those of scores whose key is hexadecimal, by its bytes
	filter *keyFilter                // of the keys of both
	rows   [2][]int32                // scratch space: the rows of a segment
	blocks *sharedBlocks
	src    *contents // of the trace whose bodies were read last
	srcTid int64
	bytes  int64 // of bodies that were looked at
	err    error // the first failure of a reading that could not return one
}

// scoresOf is the scores of a trace and of its observations.
func (x *lookup) scoresOf(key string) []domain.Score {
	if x.scores == nil {
		scores, err := x.readScores(key)
		x.fail(err)
		return scores
	}
	return x.scores[key]
}

func (x *lookup) readScores(key string) (scores []domain.Score, err error) {
	err = x.read(func(c *sqlConn) (err error) {
		scores, err = scoresOf(c, x.pid, key)
		return err
	})
	return scores, err
}

// read runs f on the question's connection, or on one of its own. Taking a
// second one while a first is held could wait for ever.
func (x *lookup) read(f func(c *sqlConn) error) error {
	if x.c != nil {
		return f(x.c)
	}
	return x.s.reads.read(x.ctx, f)
}

func (x *lookup) fail(err error) {
	if x.err == nil {
		x.err = err
	}
}

// content reads the bodies of an observation, or of the trace itself. What was
// deleted meanwhile has none.
func (x *lookup) content(n *narrow, o *domain.Observation) *domain.Content {
	c, err := x.readContent(n, o)
	if err != nil {
		if domain.CodeOf(err) != domain.NotFound {
			x.fail(err)
		}
		return &domain.Content{}
	}
	x.bytes += int64(c.Size())
	return &c
}

// params reads the model parameters of an observation.
func (x *lookup) params(n *narrow, o *domain.Observation) []byte {
	var whole domain.Observation
	x.fail(x.read(func(c *sqlConn) (err error) {
		return c.rows("SELECT "+observationColumns+" FROM observations WHERE rid = ?", func(r row) error {
			return readObservation(r, &whole)
		}, n.ridOf(o))
	}))
	x.bytes += int64(len(whole.ModelParameters))
	return whole.ModelParameters
}

func (x *lookup) readContent(n *narrow, o *domain.Observation) (domain.Content, error) {
	src, err := x.contentsOf(n)
	if err != nil {
		return domain.Content{}, err
	}
	if o != nil {
		return src.content(x.ctx, o.ID)
	}
	own := domain.Content{}
	if src.own {
		if own, err = src.Own(x.ctx); err != nil {
			return domain.Content{}, err
		}
	}
	whole := domain.NewTraceContent(own)
	err = src.Each(x.ctx, func(i int, c *domain.Content) error {
		o := &src.observations[i]
		whole.Add(o, c, o.ID == src.root)
		return nil
	})
	return whole.Fold(), err
}

// withPairs is n with its metadata pairs, read from its bodies where they are
// not known.
func (x *lookup) withPairs(n *narrow) (*narrow, error) {
	if n.pairsKnown || n.unpaired {
		return n, nil
	}
	c := *n
	bodies, err := x.readContent(n, nil)
	switch {
	case domain.CodeOf(err) == domain.NotFound || errors.Is(err, body.ErrCorrupt) || errors.Is(err, errCorrupt):
		c.unpaired = true // gone, or for a check to report
	case err != nil:
		return nil, err
	default:
		c.pair(bodies[domain.Metadata])
	}
	return &c, nil
}

// pair notes the metadata pairs of a trace.
func (n *narrow) pair(metadata domain.Body) {
	pairs, few := metadataPairs(metadata)
	if n.unpaired = !few; few {
		n.pairs, n.pairsKnown = pairs, true
	}
}

// contentsOf is the reader of a trace's bodies.
func (x *lookup) contentsOf(n *narrow) (*contents, error) {
	if x.src != nil && x.srcTid == n.tid {
		return x.src, nil
	}
	src := &contents{s: x.s, tid: n.tid, shared: x.blocks, ids: map[uint64]string{ownRow: ""}}
	for _, r := range n.observations {
		src.observations = append(src.observations, *r.Observation)
		src.ids[itemRow(r.rid)] = r.ID
	}
	sortObservations(src.observations)
	err := x.read(func(c *sqlConn) (err error) {
		var row contentHead
		if row, err = readContentHead(c, n.tid); err != nil {
			return err
		}
		src.own, src.root = row.own, row.root
		src.sources, err = traceSources(c, n.tid)
		return err
	})
	if err != nil {
		return nil, err
	}
	x.src, x.srcTid = src, n.tid
	return src, nil
}

// newLookup begins a question about a project.
func (s *Store) newLookup(ctx context.Context, pid int64) *lookup {
	s.scores.mu.Lock()
	defer s.scores.mu.Unlock()
	return &lookup{s: s, ctx: ctx, pid: pid, scoreAt: s.scores.changes[pid], blocks: &sharedBlocks{}}
}

// contentHead is what a trace's row says about its bodies.
type contentHead struct {
	own  bool   // its own patches said some
	root string // the observation that stands for the trace
}

func readContentHead(c *sqlConn, tid int64) (h contentHead, err error) {
	var fault error
	found, err := c.one("SELECT own, root FROM traces WHERE tid = ?", func(r row) {
		h.root = r.text(1)
		if own := r.blob(0); len(own) > 0 {
			var f domain.Fold[domain.Trace]
			if f, fault = readOwn(own); fault == nil {
				h.own = f.Value.Parts != 0
			}
		}
	}, tid)
	switch {
	case err != nil:
		return h, err
	case fault != nil:
		return h, fault
	case !found:
		return h, domain.Errorf(domain.NotFound, "the trace was deleted while it was read")
	}
	return h, nil
}

// scoreCache keeps the scores of the project that was asked for last, for as
// long as none of them changes: a page after another asks for them again.
type scoreCache struct {
	mu      sync.Mutex
	changes map[int64]int64 // by project: how often its scores changed
	pid     int64
	at      int64
	names   []string // nil: of any name
	scores  map[string][]domain.Score
	raw     map[string][]domain.Score
	filter  *keyFilter
}

// keyFilter tells of most trace ids that their key is not in a set.
type keyFilter struct {
	bits  []uint64
	shift int
}

// newKeyFilter makes a filter for that many keys.
func newKeyFilter(keys int) *keyFilter {
	size := bits.Len(uint(max(1024, 16*keys)))
	return &keyFilter{make([]uint64, 1<<size/64), 64 - size}
}

// at is the place of an id: that of its key. What may be a UUID in some form is
// not looked at closely, as domain.TraceKey does.
func (f *keyFilter) at(id string) (word int, bit uint64) {
	var n uint64
	mix := func(a, b string) {
		var eight [8]byte
		copy(eight[:], a)
		copy(eight[len(a):], b)
		n = (n ^ (binary.LittleEndian.Uint64(eight[:]) | 0x2020202020202020)) * 0x9E3779B97F4A7C15
		n ^= n >> 32
	}
	switch len(id) {
	case 32:
		for i := 0; i < 32; i += 8 {
			mix(id[i:i+8], "")
		}
	case 36:
		mix(id[:8], "")
		mix(id[9:13], id[14:18])
		mix(id[19:23], id[24:28])
		mix(id[28:], "")
	default:
		n = xxhash.Sum64String(id)
	}
	n = n * 0x9E3779B97F4A7C15 >> f.shift
	return int(n / 64), 1 << (n % 64)
}

func (f *keyFilter) add(key string) {
	word, bit := f.at(key)
	f.bits[word] |= bit
}

// may reports whether the key of an id may be in the set.
func (f *keyFilter) may(id string) bool {
	word, bit := f.at(id)
	return f.bits[word]&bit != 0
}

// maxCachedScores bounds the memory of the cache.
const maxCachedScores = 300_000

// changed notes that scores of a project changed. It runs before the commit is
// answered.
func (k *scoreCache) changed(pid int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.changes == nil {
		k.changes = map[int64]int64{}
	}
	k.changes[pid]++
	if k.pid == pid {
		k.scores, k.raw, k.filter = nil, nil, nil
	}
}

// loadScores reads the scores that a question needs, all of those names.
func (x *lookup) loadScores(c *sqlConn, n query.Needs) error {
	if !n.Scores {
		return nil
	}
	names := slices.Clone(n.ScoreNames)
	slices.Sort(names)
	names = slices.Compact(names)
	k := &x.s.scores
	k.mu.Lock()
	at := x.scoreAt
	if k.scores != nil && k.pid == x.pid && k.at == at && slices.Equal(k.names, names) && (names == nil) == (k.names == nil) {
		x.scores, x.raw, x.filter = k.scores, k.raw, k.filter
		k.mu.Unlock()
		return nil
	}
	k.mu.Unlock()
	scores := map[string][]domain.Score{}
	count := 0
	add := func(sc domain.Score) error {
		if sc.Type != domain.ScoreCorrection {
			key := domain.TraceKey(sc.TraceID)
			scores[key] = append(scores[key], sc)
		}
		if count++; count%1000 == 0 {
			return x.ctx.Err()
		}
		return nil
	}
	if names == nil { // whatever a condition may ask of them
		if err := c.rows("SELECT id, created, updated, writes FROM scores WHERE project = ? AND trace IS NOT NULL", func(r row) error {
			sc, err := readScore(r)
			if err != nil {
				return err
			}
			return add(sc)
		}, x.pid); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := c.rows("SELECT trace, observation, type, value, string FROM scores WHERE project = ? AND name = ? AND trace IS NOT NULL", func(r row) error {
			sc := domain.Score{TraceID: r.text(0), ObservationID: r.text(1), Name: name, Type: domain.ScoreType(r.text(2)), StringValue: r.text(4)}
			if v, ok := r[3].(float64); ok {
				sc.Value = domain.Some(v)
			}
			return add(sc)
		}, x.pid, name); err != nil {
			return err
		}
	}
	x.scores, x.raw, x.filter = scores, map[string][]domain.Score{}, newKeyFilter(2*len(scores))
	for key, list := range scores {
		x.filter.add(key)
		if b, err := hex.DecodeString(key); err == nil {
			x.raw[string(b)] = list
			x.filter.add(string(b))
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if count <= maxCachedScores && k.changes[x.pid] == at {
		k.pid, k.at, k.names, k.scores, k.raw, k.filter = x.pid, at, names, scores, x.raw, x.filter
	}
	return nil
}
