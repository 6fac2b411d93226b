package local

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// freshIDs are the observations that the table ids does not hold yet. A random
// key would dirty a page of the database per observation if it were written in
// each commit, so it is written sorted, many at a time.
type freshIDs struct {
	mu     sync.Mutex         // readers look ids up beside the writer
	first  map[uint64]int64   // hash of (project, id) => rid
	more   map[uint64][]int64 // further rids of a hash, which are rare
	seq    int64              // the newest commit in it
	resets int64              // how often it was emptied
}

// flushAt is how many fresh ids are written together: the more, the fewer pages
// of the table are written for each, and the more are read again at a start
// after a crash.
const flushAt = 50_000

func idHash(pid int64, id string) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(pid))
	d := xxhash.NewWithSeed(0)
	_, _ = d.Write(b[:]) // a Digest never fails
	_, _ = d.WriteString(id)
	return d.Sum64()
}

func (f *freshIDs) add(hash uint64, rid int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first, f.more = map[uint64]int64{}, map[uint64][]int64{}
	}
	switch had, found := f.first[hash]; {
	case !found:
		f.first[hash] = rid
	case had != rid && !slices.Contains(f.more[hash], rid):
		f.more[hash] = append(f.more[hash], rid)
	}
}

// remove forgets the row of an observation that is deleted.
func (f *freshIDs) remove(hash uint64, rid int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	more := slices.DeleteFunc(f.more[hash], func(r int64) bool { return r == rid })
	switch had, found := f.first[hash]; {
	case !found:
	case had != rid:
		f.more[hash] = more
	case len(more) > 0:
		f.first[hash], f.more[hash] = more[0], more[1:]
	default:
		delete(f.first, hash)
		delete(f.more, hash)
	}
}

func (f *freshIDs) get(hash uint64) []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rid, found := f.first[hash]; found {
		return append([]int64{rid}, f.more[hash]...)
	}
	return nil
}

// covers notes that f holds what commit seq brought.
func (f *freshIDs) covers(seq int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq = seq
}

func (f *freshIDs) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.first)
}

// flushes counts how often ids went into their table.
func (f *freshIDs) flushes() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resets
}

// reset empties f.
func (f *freshIDs) reset(seq int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.first, f.more, f.seq = nil, nil, seq
	f.resets++
}

// loadIDs gathers the ids of observations in traces that changed since the
// table was last written.
func (s *Store) loadIDs() error {
	s.ids.reset(s.seq)
	covered, err := s.db.integer("SELECT value FROM meta WHERE name = 'ids_covered'")
	if err != nil {
		return err
	}
	tids := map[int64]bool{}
	err = s.db.rows("SELECT list FROM changes WHERE seq > ?", func(r row) error {
		return eachChange(r.blob(0), func(e entry) error {
			if e.tid != 0 {
				tids[e.tid] = true
			}
			return nil
		})
	}, covered)
	if err != nil {
		return err
	}
	for tid := range tids {
		err := s.db.rows("SELECT rid, project, id FROM observations WHERE rid BETWEEN ? AND ?", func(r row) error {
			s.ids.add(idHash(r.int(1), r.text(2)), r.int(0))
			return nil
		}, tid<<seqBits, (tid+1)<<seqBits-1)
		if err != nil {
			return err
		}
	}
	return nil
}

// flushIDs writes the fresh ids into their table. The caller holds s.mu.
func (s *Store) flushIDs() error {
	if len(s.ids.first) == 0 {
		return nil
	}
	hashes := make([]uint64, 0, len(s.ids.first))
	for h := range s.ids.first {
		hashes = append(hashes, h)
	}
	// In the order of the table's key, which is signed.
	slices.SortFunc(hashes, func(a, b uint64) int { return cmp.Compare(int64(a), int64(b)) })
	err := s.db.tx(func() error {
		for _, h := range hashes {
			for _, rid := range s.ids.get(h) {
				if _, err := s.db.exec("INSERT OR IGNORE INTO ids (hash, rid) VALUES (?, ?)", int64(h), rid); err != nil {
					return err
				}
			}
		}
		_, err := s.db.exec("UPDATE meta SET value = ? WHERE name = 'ids_covered'", s.ids.seq)
		return err
	})
	if err != nil {
		return err
	}
	s.ids.reset(s.seq)
	return nil
}

// observationsByID finds the rows of an observation id, in the order of their
// keys. ids are the fresh ones among them; c may be any connection.
func observationsByID(c *sqlConn, pid int64, id string, fresh []int64) ([]int64, error) {
	rids := slices.Clone(fresh)
	err := c.rows("SELECT rid FROM ids WHERE hash = ?", func(r row) error {
		rids = append(rids, r.int(0))
		return nil
	}, int64(idHash(pid, id)))
	if err != nil {
		return nil, err
	}
	slices.Sort(rids)
	rids = slices.Compact(rids)
	out := rids[:0]
	for _, rid := range rids {
		same := false
		_, err := c.one("SELECT project, id FROM observations WHERE rid = ?", func(r row) {
			same = r.int(0) == pid && r.text(1) == id
		}, rid)
		if err != nil {
			return nil, err
		}
		if same {
			out = append(out, rid)
		}
	}
	return out, nil
}
