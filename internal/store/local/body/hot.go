package body

import "fmt"

// flushAt is how much packed data Append gathers before it writes. An ordinary
// group is less and goes out in one write; a huge one must not be held twice.
const flushAt = 4 << 20

// Append packs each chunk and puts them at the end of the hot log, in one write
// unless they are large. The places are readable at once and durable after the
// next Sync. All chunks are kept or none, and a failure, a full disk say, leaves
// the log as it was: the next Append is a fresh try.
func (f *Files) Append(chunks [][]byte) ([]Place, error) {
	if len(chunks) == 0 {
		return nil, nil
	}
	for i, c := range chunks {
		if len(c) > MaxRaw {
			return nil, fmt.Errorf("%w: chunk %d has %d bytes, at most %d are kept", ErrTooLarge, i, len(c), MaxRaw)
		}
	}
	f.hot.mu.Lock()
	defer f.hot.mu.Unlock()
	t, err := f.tail(&f.hot, 0, 0)
	if err != nil {
		return nil, err
	}
	places := make([]Place, len(chunks))
	end, err := f.appendTo(t, chunks, places)
	if err != nil {
		f.undo(&f.hot, t)
		return nil, err
	}
	t.advance(end)
	return places, nil
}

func (f *Files) appendTo(t *tail, chunks [][]byte, places []Place) (end int64, err error) {
	buf := f.pools.buffer()
	defer f.pools.free(buf)
	off := t.off // where buf goes
	for i, c := range chunks {
		start := len(buf.b)
		places[i] = Place{File: t.e.number, Off: off + int64(start)}
		buf.b = appendChunk(buf.b, c, places[i])
		places[i].Len = int64(len(buf.b) - start)
		if len(buf.b) < flushAt && i < len(chunks)-1 {
			continue
		}
		if err := f.write(t, buf.b, off); err != nil {
			return 0, err
		}
		off += int64(len(buf.b))
		buf.b = buf.b[:0]
	}
	return off, nil
}

// appendChunk appends the frame of a chunk that will lie at p.
func appendChunk(dst, chunk []byte, p Place) []byte {
	start := len(dst)
	dst, codec := appendS2(extend(dst, frameLen), chunk)
	body := dst[start+frameLen:]
	frame{
		typ:  typeChunk,
		arg:  codec,
		size: uint32(len(body)),
		raw:  uint32(len(chunk)),
		crc:  checksum(body),
	}.put(dst[start:], p.File, p.Off)
	return dst
}

// Sync makes everything that was appended since the last Sync durable, together
// with the names of new files. It may run beside readers and the sealer. After
// an error nothing that it covered may be relied on; the log goes on in a new
// file. Only one Sync may run at a time, or a waiting one could miss the error
// that struck its bytes.
func (f *Files) Sync() error { return f.sync(&f.hot) }

// RotateHot lets the next Append begin a new hot log, so that this one can be
// removed once it is synced and nothing in it is wanted. Without a log that
// holds anything it does nothing.
func (f *Files) RotateHot() {
	f.hot.mu.Lock()
	defer f.hot.mu.Unlock()
	if t := f.hot.tails[0]; t != nil && t.off > fileHeaderLen {
		f.retire(&f.hot, t)
	}
}

// Chunk appends the chunk at p to dst, checked and unpacked, and returns the
// extended slice. It fails with ErrGone or ErrCorrupt.
func (f *Files) Chunk(p Place, dst []byte) ([]byte, error) {
	buf := f.pools.buffer()
	defer f.pools.free(buf)
	b, err := f.readFrame(p, Hot, buf)
	if err == nil {
		b, err = f.pools.chunk(dst, b, p)
	}
	if err != nil {
		return nil, fmt.Errorf("chunk at %v: %w", p, err)
	}
	return b, nil
}

// readFrame reads the whole frame at p. The file is let go before the bytes are
// looked at, so that a removal waits for reads of the disk alone.
func (f *Files) readFrame(p Place, kind Kind, buf *buffer) ([]byte, error) {
	e, err := f.hold(p, kind)
	if err != nil {
		return nil, err
	}
	defer f.release(e)
	buf.b = extend(buf.b[:0], int(p.Len))
	return buf.b, readAt(e, buf.b, p.Off)
}

// chunk appends what the frame b at p holds to dst.
func (p *pools) chunk(dst, b []byte, at Place) ([]byte, error) {
	h, err := parseFrame(b, at.File, at.Off)
	if err != nil {
		return nil, err
	}
	body := b[frameLen:]
	switch {
	case h.typ == typeErased:
		return nil, fmt.Errorf("%w: erased", ErrGone)
	case h.typ != typeChunk:
		return nil, fmt.Errorf("%w: frame of type %d is no chunk", ErrCorrupt, h.typ)
	case int(h.size) != len(body):
		return nil, fmt.Errorf("%w: frame is %d bytes long", ErrCorrupt, int64(h.size)+frameLen)
	case checksum(body) != h.crc:
		return nil, fmt.Errorf("%w: chunk fails its CRC", ErrCorrupt)
	}
	return p.unpack(dst, body, h.arg, h.raw)
}
