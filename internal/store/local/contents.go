package local

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store/local/body"
)

// source is a chunk or block that holds items of a trace.
type source struct {
	place body.Place
	hot   bool
	k     int64 // of a hot chunk: its key
	bid   int64 // of a block: its number
	gen   int64 // of a block: the sealing that wrote it
	raw   int64 // of a block: the bytes of the trace's record
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
	err = c.rows("SELECT k, file, off, len FROM hot WHERE k BETWEEN ? AND ? ORDER BY k", func(r row) error {
		out = append(out, source{place: body.Place{File: r.int(1), Off: r.int(2), Len: r.int(3)}, hot: true, k: r.int(0)})
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
	found := false
	err = eachRecord(u.all, func(t int64, rec []byte) error {
		if t == tid {
			u.items, found = rec, true
			return errStop
		}
		return nil
	})
	if err != nil && err != errStop {
		return u, fmt.Errorf("block %d: %w", src.bid, err)
	}
	if !found {
		return u, fmt.Errorf("block %d lacks trace %d: %w", src.bid, tid, errCorrupt)
	}
	return u, nil
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
// indexed first, and decoded again piece by piece.
type contents struct {
	s            *Store
	tid          int64
	own          bool // the trace's own patches said bodies
	observations []domain.Observation
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

// itemRef is where an item lies: in a source's items, from and to.
type itemRef struct{ src, from, to int32 }

// cached is the unpacked items of a source.
type cached struct {
	src int32
	unpacked
}

// readAhead is the source after the one that was needed last, which another
// goroutine unpacks meanwhile: sources are mostly needed one after the other.
type readAhead struct {
	src  int32
	done chan struct{} // closed when the rest is set
	unpacked
	err error
}

// cacheBytes bounds the decoded items that a reader keeps, beside the one
// source that it needs.
const cacheBytes = 4 << 20

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
		if slices.Equal(now, r.sources) {
			return domain.Content{}, err // nothing moved: it is damaged
		}
		*r = contents{s: r.s, tid: r.tid, own: r.own, observations: r.observations, sources: now}
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
		b, err := r.items(ref.src)
		if err != nil {
			return nil, err
		}
		rd := reader{b: b[ref.from:ref.to]}
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
	b, err := r.items(n)
	if err != nil {
		return err
	}
	r.indexed++
	rd := reader{b: b}
	for len(rd.b) > 0 {
		from := len(b) - len(rd.b)
		it := rd.item()
		if rd.err != nil {
			return rd.err
		}
		r.index[it.ID] = append(r.index[it.ID], itemRef{n, int32(from), int32(len(b) - len(rd.b))})
	}
	return nil
}

// recycle ends the validity of the content that was handed out last.
func (r *contents) recycle() {
	r.spare = append(r.spare, r.retired...)
	r.retired = r.retired[:0]
}

// items is the unpacked items of a source, from the cache if they are there.
func (r *contents) items(n int32) ([]byte, error) {
	for i := range r.cache {
		if r.cache[i].src == n {
			return r.cache[i].items, nil
		}
	}
	for len(r.cache) > 0 && (r.bytes > cacheBytes || r.passing) {
		r.evict()
	}
	u, err := r.unpack(n)
	if err != nil {
		return nil, err
	}
	r.keep(n, u)
	if next := n + 1; int(next) < len(r.sources) && !r.isCached(next) {
		r.ahead = &readAhead{src: next, done: make(chan struct{})}
		go r.ahead.read(r.s, r.sources[next], r.tid, r.takeSpare())
	}
	return u.items, nil
}

func (a *readAhead) read(s *Store, src source, tid int64, buf []byte) {
	a.unpacked, a.err = s.readSource(src, tid, buf)
	close(a.done)
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
			r.keep(a.src, a.unpacked) // it was not for nothing
		}
	}
	return r.s.readSource(r.sources[n], r.tid, r.takeSpare())
}

func (r *contents) keep(n int32, u unpacked) {
	r.cache = append(r.cache, cached{n, u})
	r.bytes += len(u.all)
}

// evict drops the source unpacked longest ago. Its memory may still be pointed
// into, by the content that is being put together.
func (r *contents) evict() {
	r.bytes -= len(r.cache[0].all)
	r.retired = append(r.retired, r.cache[0].all)
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
