package local

import (
	"context"
	"errors"
)

// segments opens every column, and looks whether each trace is where lists look
// for it: in one segment, or stale, or behind the last of them.
func (k *checker) segments(ctx context.Context) error {
	holder := &Store{db: k.c, columns: newColumnCache()}
	if err := holder.loadIndex(); err != nil {
		k.problem("the segments can't be read: %v", err)
		return nil
	}
	x := &holder.index
	var names []string
	for i, seg := range x.segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i > 0 && seg.tidMin <= x.segments[i-1].tidMax {
			k.problem("segments %d and %d hold the same traces", x.segments[i-1].sid, seg.sid)
		}
		names = names[:0]
		if err := k.c.rows("SELECT name FROM columns WHERE sid = ?", func(r row) error {
			names = append(names, r.text(0))
			return nil
		}, seg.sid); err != nil {
			return err
		}
		for _, name := range names {
			col, err := holder.openColumn(k.c, seg, name)
			if err != nil {
				k.problem("%v", err)
			} else if name == rollupColumn && len(col.rollups) > 0 && rolledUp(col.rollups) != int64(seg.observations) {
				k.problem("segment %d has %d observations, and sums of %d", seg.sid, seg.observations, rolledUp(col.rollups))
			}
		}
		if err := k.segmentTraces(ctx, holder, seg, x); err != nil {
			return err
		}
	}
	return nil
}

// segmentTraces compares the traces of a segment's range with its rows.
func (k *checker) segmentTraces(ctx context.Context, s *Store, seg *segment, x *index) error {
	o := &openSegment{segment: seg, x: &lookup{s: s, ctx: ctx, c: k.c}}
	held := make(map[int64]bool, seg.traces)
	for i := range seg.traces {
		held[o.tid(i)] = true
	}
	if o.err != nil && !errors.Is(o.err, errMoved) {
		return nil // told already
	}
	err := k.c.rows("SELECT tid FROM traces WHERE tid BETWEEN ? AND ?", func(r row) error {
		if tid := r.int(0); !held[tid] && x.entries[tid] == nil {
			k.problem("trace number %d is in no list: segment %d lacks it", tid, seg.sid)
		}
		delete(held, r.int(0))
		return nil
	}, seg.tidMin, seg.tidMax)
	for tid := range held {
		if x.entries[tid] == nil {
			k.problem("segment %d holds trace number %d, which is gone", seg.sid, tid)
		}
	}
	return err
}
