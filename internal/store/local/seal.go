package local

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store/local/body"
)

const (
	// blockBytes is how many bytes of items a block takes before it is closed:
	// the most that a reader of a small trace has to unpack. Larger ones pack a
	// few per cent better and make that reader wait a millisecond longer.
	blockBytes = 256 << 10
	// maxRecord is how many bytes of one observation's items a record takes: one
	// body of the largest request fits, and a block below body.MaxRaw.
	maxRecord = 66 << 20
	// jobBytes is how many bytes one sealing job puts into blocks; it bounds
	// how long the commit that ends the job keeps writers waiting.
	jobBytes = 4 << 20
	// jobTraces bounds a job of many tiny traces likewise.
	jobTraces = 256
	// maxSealings is how many sealings of one trace lie side by side before
	// they are merged, even where a large trace makes that dear.
	maxSealings = 4
)

// sealing is one job: it moves the bodies of quiet traces from the hot log into
// blocks, without holding up the writer but for the commit at its end.
type sealing struct {
	s      *Store
	day    int32
	traces []*sealedTrace
	blocks []sealedBlock

	block   []byte // records of the block being filled
	records []record
	rec     []byte // items of the record being filled
}

// sealedTrace is a trace of the job, as it was when the job began.
type sealedTrace struct {
	tid    int64
	gen    int64             // the number of this sealing among the trace's own
	take   []source          // what the new blocks stand in for
	fresh  *freshEntry       // what lists know of it, nil for nothing
	whole  bool              // take is all there is of it
	paired *narrow           // fresh with its metadata pairs
	order  []string          // observation ids in the order they are read in; "" is the trace itself
	ids    map[uint64]string // of them, by itemRow
}

// record is one trace's items in a block.
type record struct {
	t   *sealedTrace
	gen int64
	raw int64
}

type sealedBlock struct {
	place   body.Place
	records []record
}

// sealSome seals the bodies of some traces that were quiet for that long and
// returns how many traces it saw to.
func (s *Store) sealSome(ctx context.Context, quiet time.Duration) (int, error) {
	now := s.opts.Now()
	s.mu.Lock()
	due := s.hot.due(now.UnixNano(), int64(quiet), jobTraces)
	s.mu.Unlock()
	if len(due) == 0 {
		return 0, nil
	}
	j := &sealing{s: s, day: int32(max(0, now.Unix()) / 86400), block: s.packing[0][:0], rec: s.packing[1][:0]}
	defer func() {
		for i, b := range [][]byte{j.block, j.rec} {
			if cap(b) <= 4*blockBytes { // one huge body must not be held for ever
				s.packing[i] = b
			}
		}
	}()
	if err := j.plan(ctx, due); err != nil {
		return 0, err
	}
	for _, t := range j.traces {
		if err := j.add(ctx, t); err != nil {
			return 0, fmt.Errorf("seal trace %d: %w", t.tid, err)
		}
	}
	if err := j.closeBlock(); err != nil {
		return 0, err
	}
	if err := s.bodies.SyncSealed(); err != nil {
		return 0, err
	}
	return len(j.traces), j.commit()
}

// plan reads what the job needs to know of the traces, as many of them as its
// size allows and at least one.
func (j *sealing) plan(ctx context.Context, due []int64) error {
	fresh := map[int64]*freshEntry{} // taken before anything is read, so that nothing read is older
	j.s.index.mu.RLock()
	for _, tid := range due {
		if e := j.s.index.entries[tid]; e != nil && e.n != nil && !e.n.pairsKnown {
			fresh[tid] = e
		}
	}
	j.s.index.mu.RUnlock()
	return j.s.reads.read(ctx, func(c *sqlConn) error {
		size := int64(0)
		for _, tid := range due {
			sources, err := traceSources(c, tid)
			if err != nil {
				return err
			}
			t := &sealedTrace{tid: tid, fresh: fresh[tid]}
			t.choose(sources)
			t.whole = len(t.take) == len(sources)
			for _, src := range t.take {
				// A hot chunk's size unpacked is not known: some three times its bytes.
				size += max(src.raw, 3*src.place.Len)
			}
			if len(j.traces) > 0 && size > jobBytes {
				return nil
			}
			if err := t.readOrder(c); err != nil {
				return err
			}
			j.traces = append(j.traces, t)
		}
		return nil
	})
}

// choose picks what a sealing takes in: all of the trace, so that its blocks
// hold it in order; but only the new chunks where the blocks are many times
// larger, for a late write must not cost the writing of a huge trace again.
func (t *sealedTrace) choose(sources []source) {
	var hot []source
	var sealed, fresh int64
	gens := map[int64]bool{}
	for _, src := range sources {
		if src.hot {
			hot = append(hot, src)
			fresh += 3 * src.place.Len
			continue
		}
		sealed += src.raw
		gens[src.gen] = true
		t.gen = max(t.gen, src.gen)
	}
	t.gen++
	t.take = sources
	if sealed > blockBytes && sealed > 4*fresh && len(gens) < maxSealings {
		t.take = hot
	}
}

// readOrder reads the observations in the order that reads have them in, the
// trace itself in front.
func (t *sealedTrace) readOrder(c *sqlConn) error {
	type key struct {
		start int64
		id    string
	}
	var keys []key
	t.ids = map[uint64]string{ownRow: ""}
	err := c.rows("SELECT start, id, rid FROM observations WHERE rid BETWEEN ? AND ?", func(r row) error {
		keys = append(keys, key{r.int(0), r.text(1)})
		t.ids[itemRow(r.int(2))] = r.text(1)
		return nil
	}, t.tid<<seqBits, (t.tid+1)<<seqBits-1)
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.id, b.id)) })
	t.order = append(make([]string, 0, len(keys)+1), "")
	for _, k := range keys {
		t.order = append(t.order, k.id)
	}
	return err
}

// add puts the items of a trace that a read may see into blocks. Items without
// a row stay behind: their observation moved to another trace.
func (j *sealing) add(ctx context.Context, t *sealedTrace) error {
	src := &contents{s: j.s, tid: t.tid, ids: t.ids, sources: t.take, index: map[string][]itemRef{}}
	for src.indexed < len(src.sources) {
		if err := src.indexNext(ctx); err != nil {
			return err
		}
	}
	var meta *metadataFold
	if t.fresh != nil && t.whole {
		meta = newMetadataFold(t.fresh.n)
	}
	for _, id := range t.order {
		refs := src.index[id]
		if refs == nil {
			continue
		}
		giveWay()
		items, err := src.decode(refs, nil)
		if err != nil {
			return err
		}
		if meta != nil {
			meta.add(id, items)
		}
		if err := j.addItems(t, domain.Compact(items)); err != nil {
			return err
		}
		src.recycle()
	}
	if meta != nil {
		n := *t.fresh.n
		n.pair(meta.fold())
		t.paired = &n
	}
	return j.closeRecord(t)
}

// addItems puts the items of one observation into one record, since a reader of
// a single sealing goes to the next block only when it needs another
// observation. Where they are too many for a block, what follows counts as
// another sealing: then nothing is taken to be in order.
func (j *sealing) addItems(t *sealedTrace, items []domain.Item) error {
	size := 0
	for i := range items {
		size += items[i].Content.Size()
	}
	if len(j.rec) > 0 && len(j.rec)+size > blockBytes {
		if err := j.closeRecord(t); err != nil {
			return err
		}
	}
	for i := range items {
		if len(j.rec) > 0 && len(j.rec)+items[i].Content.Size() > maxRecord {
			if err := j.closeRecord(t); err != nil {
				return err
			}
			t.gen++
		}
		j.rec = putItem(j.rec, &items[i])
	}
	return nil
}

// closeRecord ends the record of a trace in the block that has room for it. A
// trace that said no bodies has none.
func (j *sealing) closeRecord(t *sealedTrace) error {
	if len(j.rec) == 0 {
		return nil
	}
	if len(j.block) > 0 && len(j.block)+len(j.rec) > blockBytes {
		if err := j.closeBlock(); err != nil {
			return err
		}
	}
	j.block = putRecord(j.block, t.tid, j.rec)
	j.records = append(j.records, record{t, t.gen, int64(len(j.rec))})
	j.rec = j.rec[:0]
	return nil
}

func putRecord(b []byte, tid int64, items []byte) []byte {
	return putBytes(binary.AppendUvarint(b, uint64(tid)), items)
}

func (j *sealing) closeBlock() error {
	if len(j.block) == 0 {
		return nil
	}
	p, err := j.s.sealBlock(j.day, j.block)
	if err != nil {
		return err
	}
	j.blocks = append(j.blocks, sealedBlock{p, j.records})
	j.block, j.records = j.block[:0], nil
	return nil
}

// sealBlock writes records as a block, with the filter that a search asks first.
// The caller holds tending.
func (s *Store) sealBlock(day int32, records []byte) (body.Place, error) {
	giveWay()
	filter, err := s.terms.section(records)
	if err != nil {
		return body.Place{}, err
	}
	giveWay()
	return s.bodies.Seal(day, []body.Section{{Kind: body.Search, Data: filter}, {Kind: body.Bodies, Data: records}})
}

// commit lets the new blocks stand in for what they were made of.
func (j *sealing) commit() error {
	s := j.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errClosed()
	}
	taken := map[*sealedTrace]bool{}
	rest := map[int64]bool{}
	err := s.tx(func() error {
		for _, t := range j.traces {
			var err error
			if taken[t], err = s.takeSources(t); err != nil {
				return err
			}
			more, err := s.db.integer("SELECT count(*) FROM hot WHERE k BETWEEN ? AND ?", t.tid<<seqBits, (t.tid+1)<<seqBits-1)
			if err != nil {
				return err
			}
			if rest[t.tid] = more > 0; more == 0 {
				if err := s.renumberHot(t.tid); err != nil {
					return err
				}
			}
		}
		return j.insertBlocks(taken)
	})
	if err != nil {
		return err
	}
	s.untidy, s.walDirty = true, true
	s.index.mu.Lock()
	for _, t := range j.traces {
		if t.paired != nil && s.index.entries[t.tid] == t.fresh {
			s.index.entries[t.tid] = &freshEntry{t.paired, t.fresh.seq}
		}
	}
	s.index.mu.Unlock()
	for _, t := range j.traces {
		if !rest[t.tid] {
			s.hot.done(t.tid)
		}
		if !taken[t] {
			continue
		}
		for _, src := range t.take {
			if src.hot {
				s.hot.remove(src.place.File)
			}
		}
	}
	return nil
}

// takeSources deletes the rows of what a sealing stands in for. It reports
// false for a trace that was deleted meanwhile: nothing may stand in for that.
func (s *Store) takeSources(t *sealedTrace) (bool, error) {
	there, err := s.db.integer("SELECT count(*) FROM traces WHERE tid = ?", t.tid)
	if err != nil || there == 0 {
		return false, err
	}
	for _, src := range t.take {
		sql, args := "DELETE FROM hot WHERE k = ? AND file = ? AND off = ?", []any{src.k, src.place.File, src.place.Off}
		if !src.hot {
			sql, args = "DELETE FROM places WHERE tid = ? AND bid = ?", []any{t.tid, src.bid}
		}
		n, err := s.db.exec(sql, args...)
		if err != nil {
			return false, err
		}
		if n == 0 {
			return false, fmt.Errorf("a place of trace %d went while it was sealed: %w", t.tid, errCorrupt)
		}
		if !src.hot {
			if _, err := s.db.exec("UPDATE blocks SET dead = dead + ? WHERE bid = ?", src.raw, src.bid); err != nil {
				return false, err
			}
			s.dead = true
		}
	}
	return true, nil
}

// renumberHot starts the numbers of a trace's hot chunks anew, long before they
// run out.
func (s *Store) renumberHot(tid int64) error {
	n, err := s.db.exec("UPDATE traces SET next_hot = 0 WHERE tid = ? AND next_hot > ?", tid, maxSeq/2)
	if err != nil || n == 0 {
		return err
	}
	s.recent.clear() // it knows the old number
	return nil
}

// insertBlocks writes the rows of the job's blocks. Records of traces that were
// deleted meanwhile are dead, and have to go at once.
func (j *sealing) insertBlocks(taken map[*sealedTrace]bool) error {
	db := j.s.db
	bid, err := db.integer("SELECT max(bid) FROM blocks")
	if err != nil {
		return err
	}
	for _, b := range j.blocks {
		bid++
		raw, dead := int64(0), int64(0)
		for _, rec := range b.records {
			raw += rec.raw
			if !taken[rec.t] {
				dead += rec.raw
				continue
			}
			if _, err := db.exec("INSERT INTO places (tid, bid, gen, raw) VALUES (?,?,?,?)", rec.t.tid, bid, rec.gen, rec.raw); err != nil {
				return err
			}
		}
		erase := int64(truth(dead > 0))
		if _, err := db.exec("INSERT INTO blocks (bid, file, off, len, raw, dead, erase, search) VALUES (?,?,?,?,?,?,?,1)",
			bid, b.place.File, b.place.Off, b.place.Len, raw, dead, erase); err != nil {
			return err
		}
		if err := j.s.useFile(b.place.File); err != nil {
			return err
		}
	}
	return nil
}

// setAside stops the sealing of traces whose bodies cannot be read, so that the
// others go on; their chunks stay where they are, for a check to report.
func (s *Store) setAside(ctx context.Context, quiet time.Duration) {
	s.mu.Lock()
	due := s.hot.due(s.opts.Now().UnixNano(), int64(quiet), jobTraces)
	s.mu.Unlock()
	for _, tid := range due {
		j := &sealing{s: s}
		err := j.plan(ctx, []int64{tid})
		if err == nil {
			err = j.readable(ctx)
		}
		if errors.Is(err, body.ErrCorrupt) || errors.Is(err, errCorrupt) {
			s.log.Error("a trace's bodies are damaged and stay in the hot log", "trace_number", tid, "err", err)
			s.mu.Lock()
			s.hot.done(tid)
			s.mu.Unlock()
		}
	}
}

func (j *sealing) readable(ctx context.Context) error {
	for _, t := range j.traces {
		src := &contents{s: j.s, tid: t.tid, ids: t.ids, sources: t.take, index: map[string][]itemRef{}}
		for n := range src.sources {
			if _, err := src.items(int32(n)); err != nil {
				return err
			}
			src.recycle()
		}
	}
	return ctx.Err()
}
