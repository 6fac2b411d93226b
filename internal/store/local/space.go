package local

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/clewhq/clew/internal/store/local/body"
)

const (
	tick      = 200 * time.Millisecond
	idleAfter = 2 * time.Second
	// rewriteShare: a day file is written anew once one part in this many of
	// its bytes is dead.
	rewriteShare = 3
	// rewriteFloor keeps small files from being written anew over and over.
	rewriteFloor = 1 << 20
)

// maintain works beside the writer until the store is closed: it seals what is
// quiet, erases what was deleted, and gives space back.
func (s *Store) maintain(ctx context.Context) {
	defer s.done.Done()
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := s.tend(ctx, s.opts.SealAfter, false); err != nil && ctx.Err() == nil {
			s.log.Error("background work failed; it goes on later", "err", err)
			select { // a full disk does not get better by trying five times a second
			case <-ctx.Done():
				return
			case <-time.After(idleAfter):
			}
		}
	}
}

// Maintain does all background work that there is, at once: whatever is in the
// hot log is sealed however fresh it is, what was deleted is erased, and space
// is given back.
func (s *Store) Maintain(ctx context.Context) error { return public(s.tend(ctx, 0, true)) }

// giveWay lets whoever waits for a processor have it first: what is tidied up in
// the background can wait, requests should not, and Go's scheduler would let a
// busy goroutine go on for ten milliseconds.
func giveWay() { runtime.Gosched() }

func (s *Store) tend(ctx context.Context, quiet time.Duration, all bool) error {
	s.tending.Lock()
	defer s.tending.Unlock()
	for {
		n, err := s.sealSome(ctx, quiet)
		if errors.Is(err, body.ErrCorrupt) || errors.Is(err, errCorrupt) {
			s.setAside(ctx, quiet)
		}
		if err != nil {
			return err
		}
		more, err := s.indexSome(ctx, all)
		if err != nil {
			return err
		}
		if n == 0 && !more {
			break
		}
		// Under a load that never lets it catch up, space is given back all the same.
		if err := s.tidy(false); err != nil {
			return err
		}
	}
	if err := s.eraseDeleted(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	idle := all || s.opts.Now().UnixNano()-s.lastCommit > int64(idleAfter)
	s.mu.Unlock()
	if err := s.rewriteDead(ctx); err != nil {
		return err
	}
	if idle {
		if err := s.addFilters(ctx); err != nil {
			return err
		}
	}
	return s.tidy(idle)
}

// eraseDeleted makes the bytes of deleted traces unreadable in the files: a
// block with some is written anew without them, then the old place is
// overwritten. What is still to do is in the database, so a crash only delays it.
func (s *Store) eraseDeleted(ctx context.Context) error {
	blocks, err := s.blocksWhere(ctx, "erase")
	if err != nil {
		return err
	}
	for _, b := range blocks {
		if err := s.rewriteBlock(ctx, b); err != nil {
			return err
		}
	}
	var places []body.Place
	err = s.reads.read(ctx, func(c *sqlConn) error {
		return c.rows("SELECT file, off, len FROM erasures LIMIT 10000", func(r row) error {
			places = append(places, body.Place{File: r.int(0), Off: r.int(1), Len: r.int(2)})
			return nil
		})
	})
	if err != nil || len(places) == 0 {
		return err
	}
	if err := s.bodies.Erase(places); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errClosed()
	}
	s.untidy = true
	return s.db.tx(func() error {
		for _, p := range places {
			if _, err := s.db.exec("DELETE FROM erasures WHERE file = ? AND off = ?", p.File, p.Off); err != nil {
				return err
			}
		}
		return nil
	})
}

// storedBlock is a row of blocks.
type storedBlock struct {
	bid       int64
	place     body.Place
	raw, dead int64
	erase     bool
	search    bool // it has a search filter
}

func (s *Store) blocksWhere(ctx context.Context, where string, args ...any) (out []storedBlock, err error) {
	err = s.reads.read(ctx, func(c *sqlConn) error {
		return c.rows("SELECT bid, file, off, len, raw, dead, erase, search FROM blocks WHERE "+where, func(r row) error {
			out = append(out, storedBlock{
				bid: r.int(0), place: body.Place{File: r.int(1), Off: r.int(2), Len: r.int(3)},
				raw: r.int(4), dead: r.int(5), erase: r.int(6) != 0, search: r.int(7) != 0,
			})
			return nil
		}, args...)
	})
	return out, err
}

// rewriteDead writes day files anew of which a good part is dead.
func (s *Store) rewriteDead(ctx context.Context) error {
	s.mu.Lock()
	dead := s.dead
	s.dead = false
	s.mu.Unlock()
	if !dead {
		return nil
	}
	files, err := s.deadFiles(ctx)
	if err != nil {
		return err
	}
	for _, file := range files {
		blocks, err := s.blocksWhere(ctx, "file = ?", file)
		if err != nil {
			return err
		}
		if day, found := s.dayOf(file); found {
			s.bodies.RotateDay(day) // so that nothing is written behind what goes
		}
		for _, b := range blocks {
			if err := s.rewriteBlock(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// deadFiles lists the day files that are worth writing anew. Dead is what no
// block takes up, and the blocks' share of records that no trace needs.
func (s *Store) deadFiles(ctx context.Context) (files []int64, err error) {
	live := map[int64]int64{}
	err = s.reads.read(ctx, func(c *sqlConn) error {
		return c.rows("SELECT file, sum(len * (raw - dead) / raw) FROM blocks WHERE raw > 0 GROUP BY file", func(r row) error {
			live[r.int(0)] = r.int(1)
			return nil
		})
	})
	for _, f := range s.bodies.List() {
		dead := f.Size - live[f.File]
		if f.Kind == body.Day && live[f.File] > 0 && dead >= rewriteFloor && dead*rewriteShare >= f.Size {
			files = append(files, f.File)
		}
	}
	return files, err
}

func (s *Store) dayOf(file int64) (day int32, found bool) {
	for _, f := range s.bodies.List() {
		if f.File == file {
			return f.Day, f.Kind == body.Day
		}
	}
	return 0, false
}

// rewriteBlock puts a block elsewhere without its dead records.
func (s *Store) rewriteBlock(ctx context.Context, b storedBlock) error {
	day, found := s.dayOf(b.place.File)
	if !found {
		return fmt.Errorf("file %d of block %d is missing: %w", b.place.File, b.bid, errCorrupt)
	}
	live := map[int64]bool{}
	err := s.reads.read(ctx, func(c *sqlConn) error {
		return c.rows("SELECT tid FROM places WHERE bid = ?", func(r row) error {
			live[r.int(0)] = true
			return nil
		}, b.bid)
	})
	if err != nil {
		return err
	}
	to, raw := body.Place{}, int64(0)
	switch {
	case len(live) == 0:
	case b.dead == 0 && b.search:
		raw = b.raw
		to, err = s.bodies.CopyBlock(b.place, day)
	default:
		to, raw, err = s.sealWithout(b, day, live)
	}
	if err != nil {
		return err
	}
	if err := s.bodies.SyncSealed(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errClosed()
	}
	return s.tx(func() error { return s.moveBlock(b, to, raw) })
}

// sealWithout seals a copy of a block that has the records of live traces only.
func (s *Store) sealWithout(b storedBlock, day int32, live map[int64]bool) (body.Place, int64, error) {
	old, err := s.bodies.Block(b.place, body.Bodies, nil)
	if err != nil {
		return body.Place{}, 0, err
	}
	var kept []byte
	raw := int64(0)
	err = eachRecord(old, func(tid int64, items []byte) error {
		if live[tid] {
			kept = putRecord(kept, tid, items)
			raw += int64(len(items))
		}
		return nil
	})
	if err != nil {
		return body.Place{}, 0, fmt.Errorf("block %d: %w", b.bid, err)
	}
	p, err := s.sealBlock(day, kept)
	return p, raw, err
}

// filterStep is how many old blocks get a search filter while nobody writes.
const filterStep = int64(16)

// addFilters writes some blocks anew that have no search filter: those of a
// release that made none.
func (s *Store) addFilters(ctx context.Context) error {
	blocks, err := s.blocksWhere(ctx, "NOT search LIMIT ?", filterStep)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		s.mu.Lock()
		s.dead = true // the old places
		s.mu.Unlock()
		if err := s.rewriteBlock(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// moveBlock writes down that a block lies elsewhere now. What died of it while
// it moved is dead in the new place as well.
func (s *Store) moveBlock(b storedBlock, to body.Place, raw int64) error {
	db := s.db
	// As of now, not as of when the moving began: a delete may have come between.
	erase, err := db.integer("SELECT erase FROM blocks WHERE bid = ?", b.bid)
	if err != nil {
		return err
	}
	if erase != 0 {
		s.dead = true // the old place
		if _, err := db.exec("INSERT OR IGNORE INTO erasures (file, off, len) VALUES (?,?,?)", b.place.File, b.place.Off, b.place.Len); err != nil {
			return err
		}
	}
	s.untidy = true
	if to == (body.Place{}) {
		_, err := db.exec("DELETE FROM blocks WHERE bid = ?", b.bid)
		return err
	}
	alive, err := db.integer("SELECT sum(raw) FROM places WHERE bid = ?", b.bid)
	if err != nil {
		return err
	}
	// What died while the block moved is still in the new place.
	if _, err := db.exec("UPDATE blocks SET file = ?, off = ?, len = ?, raw = ?, dead = ?, search = 1, erase = erase AND ? WHERE bid = ?",
		to.File, to.Off, to.Len, raw, raw-alive, int64(truth(raw > alive)), b.bid); err != nil {
		return err
	}
	return s.useFile(to.File)
}

// tidy does what is cheap and may wait: ids into their table, old changes and
// files away, and when nobody writes the write-ahead log cut back.
func (s *Store) tidy(idle bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errClosed()
	}
	fresh := s.ids.len()
	if fresh >= flushAt || idle && fresh > 0 {
		if err := s.flushIDs(); err != nil {
			return err
		}
	}
	if err := s.trimChanges(); err != nil {
		return err
	}
	quiet := idle && s.walDirty
	if !s.untidy && !quiet {
		return nil
	}
	if quiet && len(s.hot.files) == 0 {
		s.bodies.RotateHot()
	}
	if err := s.removeFiles(); err != nil {
		return err
	}
	s.untidy = false
	if !quiet {
		return nil
	}
	if err := s.vacuum(); err != nil {
		return err
	}
	s.walDirty = false
	return s.db.rows("PRAGMA wal_checkpoint(TRUNCATE)", func(row) error { return nil })
}

// vacuum gives free pages at the end of the database back to the system.
func (s *Store) vacuum() error {
	free, err := s.db.integer("PRAGMA freelist_count")
	if err != nil || free < 1000 {
		return err
	}
	// Stepped to its end: else it frees little and stays open.
	return s.db.rows("PRAGMA incremental_vacuum(2000)", func(row) error { return nil })
}

// trimChanges forgets the oldest changes, but none whose observations' ids are
// not in their table yet.
func (s *Store) trimChanges() error {
	const slack = 1000
	upTo := s.seq - s.opts.Changes
	trimmed, err := s.db.integer("SELECT value FROM meta WHERE name = 'trimmed'")
	if err != nil || upTo < trimmed+min(slack, s.opts.Changes) {
		return err
	}
	covered, err := s.db.integer("SELECT value FROM meta WHERE name = 'ids_covered'")
	if err != nil {
		return err
	}
	if upTo = min(upTo, covered); upTo <= trimmed {
		return nil
	}
	return s.db.tx(func() error {
		if _, err := s.db.exec("DELETE FROM changes WHERE seq <= ?", upTo); err != nil {
			return err
		}
		_, err := s.db.exec("UPDATE meta SET value = ? WHERE name = 'trimmed'", upTo)
		return err
	})
}

// removeFiles removes the body files that no row needs. The caller holds s.mu,
// and no sealing runs, so nobody is about to name a place in one.
func (s *Store) removeFiles() error {
	for _, f := range s.bodies.List() {
		needed := s.hot.files[f.File] > 0
		if !needed {
			n, err := s.db.integer("SELECT count(*) FROM (SELECT 1 FROM blocks WHERE file = ? LIMIT 1)", f.File)
			if err != nil {
				return err
			}
			needed = n > 0
		}
		if needed {
			continue
		}
		if err := s.bodies.Remove(f.File); err != nil && !errors.Is(err, body.ErrBusy) {
			return err
		}
	}
	return nil
}
