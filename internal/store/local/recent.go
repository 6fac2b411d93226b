package local

import (
	"container/list"

	"github.com/clewhq/clew/internal/domain"
)

// traceRef names a trace within the store.
type traceRef struct {
	pid int64
	key string
}

// liveTrace is what the writer knows of a trace it wrote to of late: enough to
// add observations without reading any.
type liveTrace struct {
	traceRef
	tid    int64
	id     string // as its first writer wrote it
	rows   map[string]int64
	rollup domain.Rollup
	own    domain.Fold[domain.Trace] // Value.Parts: of its own items

	created, updated int64
	nextSeq, nextHot int64
	stored           bool // has a row in the database
	isNew            bool // made by the running group
	counted          int  // what it counts in recent.rows

	// In the running group:
	touched bool // the group looked at it
	dirty   bool // and changes it
	stale   bool // the rollup must be gathered anew
	// dissolved: nothing is left of it.
	dissolved bool
	chunk     []byte
	// meta is the items with metadata of a trace that is new.
	meta []domain.Item
	// chunkRows is the directory of chunk.
	chunkRows []byte
}

// recent holds the traces written to last, bounded by how many observations
// they have together.
type recent struct {
	traces map[traceRef]*list.Element
	order  *list.List // of *liveTrace, the latest in front
	rows   int
}

// maxRecentRows bounds the memory of recent to some ten megabytes.
const maxRecentRows = 50_000

func newRecent() *recent {
	return &recent{traces: map[traceRef]*list.Element{}, order: list.New()}
}

func (r *recent) get(ref traceRef) *liveTrace {
	e := r.traces[ref]
	if e == nil {
		return nil
	}
	r.order.MoveToFront(e)
	return e.Value.(*liveTrace)
}

func (r *recent) add(lt *liveTrace) { r.traces[lt.traceRef] = r.order.PushFront(lt) }

func (r *recent) remove(ref traceRef) {
	if e := r.traces[ref]; e != nil {
		r.rows -= e.Value.(*liveTrace).counted
		r.order.Remove(e)
		delete(r.traces, ref)
	}
}

// count notes how large a trace has become.
func (r *recent) count(lt *liveTrace) {
	if r.traces[lt.traceRef] != nil {
		r.rows += len(lt.rows) + 1 - lt.counted
		lt.counted = len(lt.rows) + 1
	}
}

// trim forgets the traces written to longest ago. It is called between groups.
func (r *recent) trim() {
	for r.rows > maxRecentRows && r.order.Len() > 1 {
		r.remove(r.order.Back().Value.(*liveTrace).traceRef)
	}
}

func (r *recent) clear() { *r = *newRecent() }

// spareChunks are the buffers of chunks that were written, for the next ones:
// growing each from nothing costs more than packing it.
type spareChunks struct {
	free  [][]byte
	bytes int
}

// maxSpareBytes bounds what waits to be used again.
const maxSpareBytes = 8 << 20

func (s *spareChunks) take() []byte {
	n := len(s.free)
	if n == 0 {
		return make([]byte, 0, 16<<10)
	}
	b := s.free[n-1]
	s.free = s.free[:n-1]
	s.bytes -= cap(b)
	return b
}

func (s *spareChunks) give(b []byte) {
	if s.bytes+cap(b) <= maxSpareBytes {
		s.free = append(s.free, b[:0])
		s.bytes += cap(b)
	}
}
