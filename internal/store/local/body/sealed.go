package body

import "fmt"

// SectionKind says what a section of a block holds. Kinds above the ones named
// here belong to the future: they are kept, copied and skipped.
type SectionKind uint16

const (
	Bodies  SectionKind = 1 // bodies, packed with zstd
	Search  SectionKind = 2 // the block's search filter, stored as it is
	Columns SectionKind = 3 // columns of the block's observations, stored as they are
)

// Section is a part of a block that can be read alone.
type Section struct {
	Kind SectionKind
	Data []byte
}

// Seal puts a block of sections, each of another kind, into the file of a day
// (days since 1970-01-01 UTC). The place is readable at once and durable after
// the next SyncSealed. A failure leaves the file as it was.
func (f *Files) Seal(day int32, sections []Section) (Place, error) {
	if err := checkSections(day, sections); err != nil {
		return Place{}, err
	}
	buf := f.pools.buffer()
	defer f.pools.free(buf)
	if err := f.pools.block(buf, sections); err != nil {
		return Place{}, fmt.Errorf("body: pack block: %w", err)
	}
	return f.putBlock(day, 0, buf.b)
}

func checkSections(day int32, sections []Section) error {
	if day < 0 || day > maxDay {
		return fmt.Errorf("body: day %d is not between 0 and %d", day, maxDay)
	}
	if len(sections) == 0 || len(sections) > maxSections {
		return fmt.Errorf("body: block of %d sections, between 1 and %d are allowed", len(sections), maxSections)
	}
	raw := 0
	for i, s := range sections {
		if s.Kind == 0 {
			return fmt.Errorf("body: section %d has no kind", i)
		}
		for _, other := range sections[:i] {
			if other.Kind == s.Kind {
				return fmt.Errorf("body: two sections of kind %d", s.Kind)
			}
		}
		if raw += len(s.Data); raw > MaxRaw {
			return fmt.Errorf("%w: block of over %d bytes", ErrTooLarge, MaxRaw)
		}
	}
	return nil
}

// block builds a frame in buf, complete but for the CRC of its header, which
// depends on the place.
func (p *pools) block(buf *buffer, sections []Section) error {
	end := frameLen + len(sections)*entryLen
	b := extend(buf.b[:0], end)
	raw := 0
	for i, s := range sections {
		start, codec := len(b), byte(codecStored)
		if s.Kind == Bodies {
			var err error
			if b, codec, err = p.appendZstd(b, s.Data); err != nil {
				return err
			}
		} else {
			b = append(b, s.Data...)
		}
		part{
			kind:  s.Kind,
			codec: codec,
			size:  uint32(len(b) - start),
			raw:   uint32(len(s.Data)),
			crc:   checksum(b[start:]),
		}.put(b[frameLen+i*entryLen:])
		raw += len(s.Data)
	}
	frame{
		typ:  typeBlock,
		arg:  byte(len(sections)),
		size: uint32(len(b) - frameLen),
		raw:  uint32(raw),
		crc:  checksum(b[frameLen:end]),
	}.put(b, 0, 0)
	buf.b = b
	return nil
}

// putBlock writes the frame b, whose header it moves to its new place, to the
// day's file, but never to the file avoid.
func (f *Files) putBlock(day int32, avoid int64, b []byte) (Place, error) {
	f.sealed.mu.Lock()
	defer f.sealed.mu.Unlock()
	t, err := f.tail(&f.sealed, day, avoid)
	if err != nil {
		return Place{}, err
	}
	p := Place{File: t.e.number, Off: t.off, Len: int64(len(b))}
	putPlaced(b, p.File, p.Off)
	if err := f.write(t, b, t.off); err != nil {
		f.undo(&f.sealed, t)
		return Place{}, err
	}
	t.advance(t.off + p.Len)
	return p, nil
}

// SyncSealed makes everything that was sealed or copied since the last
// SyncSealed durable. Errors and concurrency are as for Sync.
func (f *Files) SyncSealed() error { return f.sync(&f.sealed) }

// RotateDay lets the next block of a day begin a new file, whatever files that
// day has, so that they can be removed once they are synced and dead.
func (f *Files) RotateDay(day int32) {
	f.sealed.mu.Lock()
	defer f.sealed.mu.Unlock()
	f.mu.Lock()
	for _, e := range f.files {
		e.full = e.full || e.kind == Day && e.day == day
	}
	f.mu.Unlock()
	if t := f.sealed.tails[day]; t != nil {
		f.retire(&f.sealed, t)
	}
}

// Block appends one section of the block at p to dst, checked and unpacked, and
// returns the extended slice. It reads the block's table and that section only.
// It fails with ErrGone, ErrCorrupt, ErrVersion or ErrNoSection.
func (f *Files) Block(p Place, kind SectionKind, dst []byte) ([]byte, error) {
	b, err := f.block(p, kind, dst)
	if err != nil {
		return nil, fmt.Errorf("section %d of block at %v: %w", kind, p, err)
	}
	return b, nil
}

func (f *Files) block(p Place, kind SectionKind, dst []byte) ([]byte, error) {
	buf := f.pools.buffer()
	defer f.pools.free(buf)
	e, err := f.hold(p, Day)
	if err != nil {
		return nil, err
	}
	held := true
	release := func() {
		if held {
			held = false
			f.release(e)
		}
	}
	defer release()

	buf.b = extend(buf.b[:0], int(min(p.Len, headLen)))
	if err := readAt(e, buf.b, p.Off); err != nil {
		return nil, err
	}
	s, err := findPart(buf.b, p, kind)
	if err != nil {
		return nil, err
	}
	if s.codec == codecStored && s.size == s.raw {
		base := len(dst)
		dst = extend(dst, int(s.size)) // straight to where it is wanted
		if err := readAt(e, dst[base:], p.Off+s.off); err != nil {
			return nil, err
		}
		return dst, s.check(dst[base:])
	}
	buf.b = extend(buf.b[:0], int(s.size))
	err = readAt(e, buf.b, p.Off+s.off)
	release() // unpacking needs no file
	if err == nil {
		err = s.check(buf.b)
	}
	if err != nil {
		return nil, err
	}
	return f.pools.unpack(dst, buf.b, s.codec, s.raw)
}

func findPart(head []byte, p Place, kind SectionKind) (part, error) {
	parts, n, err := parseBlock(head, p)
	if err != nil {
		return part{}, err
	}
	for _, s := range parts[:n] {
		if s.kind == kind {
			return s, nil
		}
	}
	return part{}, ErrNoSection
}

func (s part) check(stored []byte) error {
	if checksum(stored) != s.crc {
		return fmt.Errorf("%w: section %d fails its CRC", ErrCorrupt, s.kind)
	}
	return nil
}

// CopyBlock puts a copy of the block at p into another file, one of the given
// day, for the rewriting of a file that is largely dead. What is packed stays
// packed and sections of unknown kinds come along; every CRC is checked first.
// The copy is durable after the next SyncSealed.
func (f *Files) CopyBlock(p Place, day int32) (Place, error) {
	if day < 0 || day > maxDay {
		return Place{}, fmt.Errorf("body: day %d is not between 0 and %d", day, maxDay)
	}
	buf := f.pools.buffer()
	defer f.pools.free(buf)
	b, err := f.readFrame(p, Day, buf)
	if err == nil {
		err = checkBlock(b, p)
	}
	if err != nil {
		return Place{}, fmt.Errorf("copy block at %v: %w", p, err)
	}
	return f.putBlock(day, p.File, b)
}

// checkBlock checks every CRC of a whole frame.
func checkBlock(b []byte, p Place) error {
	parts, n, err := parseBlock(b, p)
	if err != nil {
		return err
	}
	for _, s := range parts[:n] {
		if err := s.check(b[s.off : s.off+int64(s.size)]); err != nil {
			return err
		}
	}
	return nil
}
