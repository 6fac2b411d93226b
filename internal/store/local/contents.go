package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store/local/body"
)

// source is a chunk or block that holds items of a trace.
type source struct {
	place body.Place
	hot   bool
	k     int64  // of a hot chunk: its key
	bid   int64  // of a block: its number
	gen   int64  // of a block: the sealing that wrote it
	raw   int64  // of a block: the bytes of the trace's record
	rows  []byte // of a hot chunk: see itemRow, one for each item
}

// same reports whether two lists name the same places.
func same(a, b []source) bool {
	return slices.EqualFunc(a, b, func(x, y source) bool { return x.place == y.place })
}

// traceSources lists where the items of a trace are: blocks in the order they
// were written, then hot chunks in theirs.
func traceSources(c *sqlConn, tid int64) (out []source, err error) {
	err = c.rows(`SELECT b.file, b.off, b.len, b.bid, p.gen, p.raw FROM places p JOIN blocks b USING (bid) WHERE p.tid = ? ORDER BY p.bid`,
		func(r row) error {
			out = append(out, source{place: body.Place{File: r.int(0), Off: r.int(1), Len: r.int(2)}, bid: r.int(3), gen: r.int(4), raw: r.int(5)})
			return nil
		}, tid)
	if err != nil {
		return nil, err
	}
	err = c.rows("SELECT k, file, off, len, rows FROM hot WHERE k BETWEEN ? AND ? ORDER BY k", func(r row) error {
		out = append(out, source{place: body.Place{File: r.int(1), Off: r.int(2), Len: r.int(3)}, hot: true, k: r.int(0), rows: slices.Clone(r.blob(4))})
		return nil
	}, tid<<seqBits, (tid+1)<<seqBits-1)
	return out, err
}

// unpacked is what a chunk or block holds of a trace.
type unpacked struct {
	items []byte
	all   []byte // the memory that items lie in
}

// readSource unpacks the items of a trace in a chunk or block into buf.
func (s *Store) readSource(src source, tid int64, buf []byte) (u unpacked, err error) {
	if src.hot {
		u.all, err = s.bodies.Chunk(src.place, buf[:0])
		u.items = u.all
		return u, err
	}
	if u.all, err = s.bodies.Block(src.place, body.Bodies, buf[:0]); err != nil {
		return u, err
	}
	u.items, err = recordOf(u.all, tid, src)
	return u, err
}

// recordOf finds the items of a trace in an unpacked block.
func recordOf(block []byte, tid int64, src source) (items []byte, err error) {
	found := false
	err = eachRecord(block, func(t int64, rec []byte) error {
		if t == tid {
			items, found = rec, true
			return errStop
		}
		return nil
	})
	if err != nil && err != errStop {
		return nil, fmt.Errorf("block %d: %w", src.bid, err)
	}
	if !found {
		return nil, fmt.Errorf("block %d lacks trace %d: %w", src.bid, tid, errCorrupt)
	}
	return items, nil
}

// eachRecord calls f with the trace and the items of each record of a block.
func eachRecord(b []byte, f func(tid int64, items []byte) error) error {
	r := reader{b: b}
	for len(r.b) > 0 {
		tid, items := int64(r.uint()), r.bytes()
		if r.err != nil {
			return r.err
		}
		if err := f(tid, items); err != nil {
			return err
		}
	}
	return nil
}

// contents reads the bodies of one trace. One goroutine uses it.
//
// Blocks of a single sealing hold the observations in the order they are read
// in, so they pass by one at a time. With anything else beside them, all is
// indexed first: hot chunks by their directories, blocks by unpacking them; then
// it is unpacked piece by piece.
type contents struct {
	s            *Store
	tid          int64
	own          bool          // the trace's own patches said bodies
	root         string        // the observation that stands for the trace, where that was asked for
	shared       *sharedBlocks // blocks that readers of other traces unpacked; nil: none
	observations []domain.Observation
	ids          map[uint64]string // of the observations, by itemRow
	sources      []source

	index   map[string][]itemRef
	indexed int // sources in the index
	passing bool
	cache   []cached
	bytes   int
	ahead   *readAhead
	retired [][]byte // memory that the content handed out last may point into
	spare   [][]byte // memory to unpack into
}

// itemRef is where an item lies: in which source, and how many are before it.
type itemRef struct{ src, n int32 }

// cached is the unpacked items of a source.
type cached struct {
	src int32
	unpacked
	offs []int32 // where each item begins
}

// readAhead is the source after the one that was needed last, which another
// goroutine unpacks meanwhile: sources are mostly needed one after the other.
type readAhead struct {
	src  int32
	done chan struct{} // closed when the rest is set
	unpacked
	err error
}

// cacheBytes bounds the unpacked items that a reader keeps, beside the one
// source that it needs: enough for a trace that a dozen full requests wrote to
// at once, whose observations alternate between their chunks.
const cacheBytes = 14 << 20

// Own implements store.Contents.
func (r *contents) Own(ctx context.Context) (domain.Content, error) {
	if !r.own {
		return domain.Content{}, nil
	}
	c, err := r.content(ctx, "")
	if err != nil {
		return domain.Content{}, public(err)
	}
	for p := range c { // it outlives the memory it was unpacked into
		c[p].Data = slices.Clone(c[p].Data)
	}
	return c, nil
}

// Each implements store.Contents.
func (r *contents) Each(ctx context.Context, f func(i int, c *domain.Content) error) error {
	for i := range r.observations {
		if err := ctx.Err(); err != nil {
			return err
		}
		var c domain.Content
		var err error
		if o := &r.observations[i]; o.Parts != 0 {
			if c, err = r.content(ctx, o.ID); err != nil {
				return public(err)
			}
		}
		if err := f(i, &c); err != nil {
			return err
		}
	}
	return nil
}

// content folds the items of one observation, or of the trace itself. Bodies
// move while a reader is slow: where a file went or a place was overwritten, it
// looks the places up again.
func (r *contents) content(ctx context.Context, id string) (domain.Content, error) {
	r.recycle()
	for {
		c, err := r.fold(ctx, id)
		if !errors.Is(err, body.ErrGone) && !errors.Is(err, body.ErrCorrupt) {
			return c, err
		}
		var now []source
		if readErr := r.s.reads.read(ctx, func(c *sqlConn) (err error) {
			now, err = traceSources(c, r.tid)
			return err
		}); readErr != nil {
			return domain.Content{}, readErr
		}
		if len(now) == 0 {
			return domain.Content{}, domain.Errorf(domain.NotFound, "the trace was deleted while it was read")
		}
		if same(now, r.sources) {
			return domain.Content{}, err // nothing moved: it is damaged
		}
		*r = contents{s: r.s, tid: r.tid, own: r.own, root: r.root, shared: r.shared, observations: r.observations, ids: r.ids, sources: now}
	}
}

func (r *contents) fold(ctx context.Context, id string) (domain.Content, error) {
	if r.index == nil {
		r.index = map[string][]itemRef{}
		r.passing = oneSealing(r.sources)
	}
	for r.indexed < len(r.sources) && (!r.passing || r.index[id] == nil) {
		if err := r.indexNext(ctx); err != nil {
			return domain.Content{}, err
		}
	}
	refs := r.index[id]
	if refs == nil && r.passing && len(r.sources) > 0 {
		// It was asked for out of order: index everything after all.
		clear(r.index)
		r.passing, r.indexed = false, 0
		return r.fold(ctx, id)
	}
	var small [4]domain.Item
	items, err := r.decode(refs, small[:0])
	if err != nil {
		return domain.Content{}, err
	}
	return domain.FoldContent(items), nil
}

// decode appends the items at these places to items.
func (r *contents) decode(refs []itemRef, items []domain.Item) ([]domain.Item, error) {
	for _, ref := range refs {
		c, err := r.items(ref.src)
		if err != nil {
			return nil, err
		}
		if int(ref.n) >= len(c.offs) {
			return nil, fmt.Errorf("item %d of %d at %v: %w", ref.n, len(c.offs), r.sources[ref.src].place, errCorrupt)
		}
		rd := reader{b: c.unpacked.items[c.offs[ref.n]:]}
		items = append(items, rd.item())
		if rd.err != nil {
			return nil, rd.err
		}
	}
	return items, nil
}

// oneSealing reports whether all sources are blocks of the same sealing.
func oneSealing(sources []source) bool {
	for _, s := range sources {
		if s.hot || s.gen != sources[0].gen {
			return false
		}
	}
	return true
}

// indexNext notes where the items of the next source are.
func (r *contents) indexNext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.passing {
		clear(r.index)
	}
	n := int32(r.indexed)
	if src := &r.sources[n]; src.hot {
		r.indexed++
		rd := reader{b: src.rows}
		for i := int32(0); len(rd.b) > 0; i++ {
			if id, found := r.ids[rd.uint()]; found {
				r.index[id] = append(r.index[id], itemRef{n, i})
			}
		}
		return rd.err
	}
	c, err := r.items(n)
	if err != nil {
		return err
	}
	r.indexed++
	for i, off := range c.offs {
		rd := reader{b: c.unpacked.items[off:]}
		id := rd.text()
		r.index[id] = append(r.index[id], itemRef{n, int32(i)})
	}
	return nil
}

// recycle ends the validity of the content that was handed out last.
func (r *contents) recycle() {
	r.spare = append(r.spare, r.retired...)
	r.retired = r.retired[:0]
}

// items is the unpacked items of a source, from the cache if they are there.
func (r *contents) items(n int32) (*cached, error) {
	for i := range r.cache {
		if r.cache[i].src == n {
			return &r.cache[i], nil
		}
	}
	for len(r.cache) > 0 && (r.bytes > cacheBytes || r.passing) {
		r.evict()
	}
	u, err := r.unpack(n)
	if err != nil {
		return nil, err
	}
	if err := r.keep(n, u); err != nil {
		return nil, err
	}
	if next := n + 1; int(next) < len(r.sources) && !r.isCached(next) {
		r.ahead = &readAhead{src: next, done: make(chan struct{})}
		go r.ahead.read(r, r.sources[next], r.takeSpare())
	}
	return &r.cache[len(r.cache)-1], nil
}

func (a *readAhead) read(r *contents, src source, buf []byte) {
	a.unpacked, a.err = r.read(src, buf)
	close(a.done)
}

// read unpacks a source, or finds it among the shared blocks.
func (r *contents) read(src source, buf []byte) (unpacked, error) {
	if r.shared == nil || src.hot || src.raw > sharedRecord {
		return r.s.readSource(src, r.tid, buf)
	}
	return r.shared.read(r.s, src, r.tid)
}

// sharedRecord is how large a trace's part of a block is for which the block is
// not shared: it fills most of one.
const sharedRecord = blockBytes / 2

// sharedBlocks keeps the blocks that were unpacked last: traces that are listed
// one after the other mostly lie in the same ones. They are never written over.
type sharedBlocks struct {
	mu     sync.Mutex
	blocks [4]struct {
		place body.Place
		data  []byte
	}
	next int
}

func (c *sharedBlocks) read(s *Store, src source, tid int64) (u unpacked, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.blocks {
		if c.blocks[i].data != nil && c.blocks[i].place == src.place {
			u.items, err = recordOf(c.blocks[i].data, tid, src)
			return u, err
		}
	}
	data, err := s.bodies.Block(src.place, body.Bodies, nil)
	if err != nil {
		return u, err
	}
	c.blocks[c.next].place, c.blocks[c.next].data = src.place, data
	c.next = (c.next + 1) % len(c.blocks)
	u.items, err = recordOf(data, tid, src)
	return u, err
}

// unpack reads a source, or waits for what is reading it.
func (r *contents) unpack(n int32) (unpacked, error) {
	if a := r.ahead; a != nil {
		<-a.done
		r.ahead = nil
		if a.src == n {
			return a.unpacked, a.err
		}
		if a.err == nil && !r.passing {
			if err := r.keep(a.src, a.unpacked); err != nil { // it was not for nothing
				return unpacked{}, err
			}
		}
	}
	return r.read(r.sources[n], r.takeSpare())
}

func (r *contents) keep(n int32, u unpacked) error {
	c := cached{src: n, unpacked: u}
	for rd := (reader{b: u.items}); len(rd.b) > 0; {
		c.offs = append(c.offs, int32(len(u.items)-len(rd.b)))
		if rd.skipItem(); rd.err != nil {
			return fmt.Errorf("items at %v: %w", r.sources[n].place, rd.err)
		}
	}
	r.cache = append(r.cache, c)
	r.bytes += len(u.all)
	return nil
}

// evict drops the source unpacked longest ago. Its memory may still be pointed
// into, by the content that is being put together.
func (r *contents) evict() {
	r.bytes -= len(r.cache[0].all)
	if all := r.cache[0].all; all != nil {
		r.retired = append(r.retired, all)
	}
	r.cache = append(r.cache[:0], r.cache[1:]...)
}

func (r *contents) isCached(n int32) bool {
	return slices.ContainsFunc(r.cache, func(c cached) bool { return c.src == n })
}

func (r *contents) takeSpare() []byte {
	n := len(r.spare)
	if n == 0 {
		return nil
	}
	b := r.spare[n-1]
	r.spare = r.spare[:n-1]
	return b
}
