package local

import (
	"container/list"
)

// hotBooks keep count of the bodies that are still in the hot log: which files
// are needed, and which traces wait to be sealed. They are made anew from the
// table hot at a start. Store.mu guards them.
type hotBooks struct {
	files map[int64]int64 // chunks in use by file
	at    map[int64]*list.Element
	order *list.List // of *waiting, the longest quiet in front
}

// waiting is a trace with hot chunks.
type waiting struct {
	tid         int64
	first, last int64 // ns: when it got its first and its last hot chunk
}

// add counts one chunk of a trace in file.
func (h *hotBooks) add(tid, file, now int64) {
	h.files[file]++
	if e := h.at[tid]; e != nil {
		e.Value.(*waiting).last = now
		h.order.MoveToBack(e)
		return
	}
	h.at[tid] = h.order.PushBack(&waiting{tid: tid, first: now, last: now})
}

// remove counts one chunk out.
func (h *hotBooks) remove(file int64) {
	if h.files[file]--; h.files[file] == 0 {
		delete(h.files, file)
	}
}

// done strikes a trace off the list of those that wait.
func (h *hotBooks) done(tid int64) {
	if e := h.at[tid]; e != nil {
		h.order.Remove(e)
		delete(h.at, tid)
	}
}

// maxHotAge is when a trace that never falls quiet is sealed all the same, so
// that it does not hold its log file for ever.
const maxHotAge = int64(300e9)

// due is up to n traces that were quiet for some time, or hot for too long.
func (h *hotBooks) due(now, quiet int64, n int) []int64 {
	var tids []int64
	for e := h.order.Front(); e != nil && len(tids) < n; e = e.Next() {
		w := e.Value.(*waiting)
		if now-w.last >= quiet || now-w.first >= maxHotAge {
			tids = append(tids, w.tid)
		} else if now-w.last < quiet && now-w.first < quiet {
			break // what follows is younger still
		}
	}
	return tids
}

// loadHot makes the books from the table. Files that no row names, which a crash
// leaves behind, go in the background: removing large ones takes a while.
func (s *Store) loadHot() error {
	s.hot = hotBooks{files: map[int64]int64{}, at: map[int64]*list.Element{}, order: list.New()}
	now := s.opts.Now().UnixNano()
	return s.db.rows("SELECT k, file FROM hot ORDER BY k", func(r row) error {
		s.hot.add(r.int(0)>>seqBits, r.int(1), now)
		return nil
	})
}
