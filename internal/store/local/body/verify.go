package body

import (
	"bytes"
	"context"
	"fmt"
)

// Report is what Verify saw of a file.
type Report struct {
	Frames int64 // that are sound, or of a type this program does not know
	Bytes  int64 // that those take
	Torn   int64 // behind the last frame that can be made out
}

// Verify walks a file and calls each for every frame, with an error where its
// CRCs or its unpacking fail, and for every stretch in the middle where no frame
// can be made out. What a crash left at the end is no error but counted in the
// report: it was never synced, so no place names it. A place that is in use and
// was not passed to each without error is damage, wherever it lies.
//
// The file may be read, written and removed meanwhile; Verify looks at what it
// holds at the start and returns ErrGone when it is removed. Its own error
// means that the walk could not go on.
func (f *Files) Verify(ctx context.Context, number int64, each func(Place, error)) (Report, error) {
	f.mu.Lock()
	e := f.files[number]
	f.mu.Unlock()
	if e == nil {
		return Report{}, fmt.Errorf("%w: %d", ErrGone, number)
	}
	v := &verifier{f: f, e: e, size: e.size.Load(), each: each}
	if v.size < fileHeaderLen {
		return Report{Torn: v.size}, nil // killed before the header was written
	}
	off := int64(fileHeaderLen)
	for off < v.size {
		if err := ctx.Err(); err != nil {
			return v.report, err
		}
		next, err := v.frame(off)
		if err != nil {
			return v.report, err
		}
		if next < 0 {
			if next, err = v.search(ctx, off+1); err != nil {
				return v.report, err
			}
			if next < 0 {
				v.report.Torn = v.size - off
				break
			}
			each(Place{number, off, next - off}, fmt.Errorf("%w: no frame in %d bytes", ErrCorrupt, next-off))
		}
		off = next
	}
	return v.report, nil
}

type verifier struct {
	f       *Files
	e       *file
	size    int64
	each    func(Place, error)
	report  Report
	packed  []byte
	scratch []byte
}

// read fills a prefix of the verifier's buffer. It holds the file for that long
// only, so that each may remove it.
func (v *verifier) read(off, n int64) ([]byte, error) {
	e, err := v.f.acquire(v.e.number)
	if err != nil {
		return nil, err
	}
	defer v.f.release(e)
	v.packed = extend(v.packed[:0], int(n))
	return v.packed, readAt(e, v.packed, off)
}

// frame checks the frame at off and returns where it ends, or -1 where none
// lies there that the file holds whole.
func (v *verifier) frame(off int64) (next int64, err error) {
	p, h, err := v.header(off)
	if err != nil || p.Len == 0 {
		return -1, err
	}
	if h.typ == typeChunk || h.typ == typeBlock {
		b, err := v.read(off, p.Len)
		if err != nil {
			return -1, err
		}
		if err := v.check(b, h.typ, p); err != nil {
			v.each(p, err)
			return off + p.Len, nil
		}
	}
	v.report.Frames++
	v.report.Bytes += p.Len
	v.each(p, nil)
	return off + p.Len, nil
}

// header returns the place of the frame at off, or no place.
func (v *verifier) header(off int64) (Place, frame, error) {
	if v.size-off < frameLen {
		return Place{}, frame{}, nil
	}
	b, err := v.read(off, frameLen)
	if err != nil {
		return Place{}, frame{}, err
	}
	h, err := parseFrame(b, v.e.number, off)
	p := Place{v.e.number, off, frameLen + int64(h.size)}
	if err != nil || p.Len > v.size-off {
		return Place{}, frame{}, nil
	}
	return p, h, nil
}

func (v *verifier) check(b []byte, typ byte, p Place) error {
	pools := &v.f.pools
	if typ == typeChunk {
		return v.keep(pools.chunk(v.scratch[:0], b, p))
	}
	if err := checkBlock(b, p); err != nil {
		return err
	}
	parts, n, err := parseBlock(b, p)
	if err != nil {
		return err
	}
	for _, s := range parts[:n] {
		packed := b[s.off : s.off+int64(s.size)]
		if err := v.keep(pools.unpack(v.scratch[:0], packed, s.codec, s.raw)); err != nil {
			return fmt.Errorf("section %d: %w", s.kind, err)
		}
	}
	return nil
}

// keep saves what was unpacked as scratch space for the next.
func (v *verifier) keep(b []byte, err error) error {
	if err == nil {
		v.scratch = b
	}
	return err
}

// search returns the next offset at which a frame begins, or -1.
func (v *verifier) search(ctx context.Context, off int64) (int64, error) {
	const window = 1 << 20
	var b []byte
	for v.size-off >= frameLen {
		if err := ctx.Err(); err != nil {
			return -1, err
		}
		got, err := v.read(off, min(window, v.size-off))
		if err != nil {
			return -1, err
		}
		b = append(b[:0], got...) // header reads into the same buffer
		for at := 0; ; at++ {
			i := bytes.Index(b[at:], []byte{magic0, magic1})
			if i < 0 {
				break
			}
			at += i
			if p, _, err := v.header(off + int64(at)); err != nil || p.Len > 0 {
				return p.Off, err
			}
		}
		off += int64(len(b)) - 1 // the pair may straddle two windows
	}
	return -1, nil
}
