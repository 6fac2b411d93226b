package body

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The layout of docs/format/bodies.md. All numbers are little-endian.
const (
	formatVersion = 1

	fileHeaderLen = 32
	frameLen      = 20 // header of a frame
	entryLen      = 16 // a section in the table of a block
	maxSections   = 16
	headLen       = frameLen + maxSections*entryLen // all that says where sections lie
	maxFrame      = headLen + MaxRaw

	typeChunk  = 1
	typeBlock  = 2
	typeErased = 3 // what Erase leaves of either

	codecStored = 0
	codecS2     = 1
	codecZstd   = 2
)

const (
	fileMagic = "clewbody"
	magic0    = 0xc1 // first bytes of a frame; neither is ASCII, and the pair is not UTF-8
	magic1    = 0xf7
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// fileHeader is what a file begins with. It names the file it belongs to, so
// that a file restored under another number is not taken for that one.
type fileHeader struct {
	kind   Kind
	day    int32
	number int64
}

func (h fileHeader) bytes() []byte {
	b := make([]byte, fileHeaderLen)
	copy(b, fileMagic)
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	b[10] = byte(h.kind)
	binary.LittleEndian.PutUint32(b[12:], uint32(h.day))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.number))
	binary.LittleEndian.PutUint32(b[28:], checksum(b[:28]))
	return b
}

// check reports whether b is this header.
func (h fileHeader) check(b []byte) error {
	if len(b) < fileHeaderLen || string(b[:8]) != fileMagic {
		return fmt.Errorf("%w: not a body file", ErrCorrupt)
	}
	// The version comes before the CRC: a later one may move everything else.
	if v := binary.LittleEndian.Uint16(b[8:]); v > formatVersion {
		return fmt.Errorf("%w: format %d, this program reads up to %d", ErrVersion, v, formatVersion)
	}
	if binary.LittleEndian.Uint32(b[28:]) != checksum(b[:28]) {
		return fmt.Errorf("%w: file header fails its CRC", ErrCorrupt)
	}
	got := fileHeader{
		kind:   Kind(b[10]),
		day:    int32(binary.LittleEndian.Uint32(b[12:])),
		number: int64(binary.LittleEndian.Uint64(b[16:])),
	}
	if got != h {
		return fmt.Errorf("%w: file says it is %s", ErrCorrupt, fileName(got.kind, got.day, got.number))
	}
	return nil
}

// frame is the header before each chunk and block.
type frame struct {
	typ  byte
	arg  byte   // chunk: codec; block: number of sections
	size uint32 // bytes after this header
	raw  uint32 // bytes before compression; of a block, of all sections together
	crc  uint32 // of the bytes after this header; of a block, of its table alone
}

func (h frame) put(b []byte, file, off int64) {
	b[0], b[1], b[2], b[3] = magic0, magic1, h.typ, h.arg
	binary.LittleEndian.PutUint32(b[4:], h.size)
	binary.LittleEndian.PutUint32(b[8:], h.raw)
	binary.LittleEndian.PutUint32(b[12:], h.crc)
	putPlaced(b, file, off)
}

// putPlaced makes the header b one that is valid at off of a file.
func putPlaced(b []byte, file, off int64) {
	binary.LittleEndian.PutUint32(b[16:], placed(checksum(b[:16]), file, off))
}

// parseFrame reads the header at off of a file. It fails where no frame begins.
func parseFrame(b []byte, file, off int64) (frame, error) {
	if len(b) < frameLen || b[0] != magic0 || b[1] != magic1 {
		return frame{}, fmt.Errorf("%w: no frame begins here", ErrCorrupt)
	}
	if binary.LittleEndian.Uint32(b[16:]) != placed(checksum(b[:16]), file, off) {
		return frame{}, fmt.Errorf("%w: frame header fails its CRC", ErrCorrupt)
	}
	h := frame{
		typ:  b[2],
		arg:  b[3],
		size: binary.LittleEndian.Uint32(b[4:]),
		raw:  binary.LittleEndian.Uint32(b[8:]),
		crc:  binary.LittleEndian.Uint32(b[12:]),
	}
	if h.size > maxFrame-frameLen || h.raw > MaxRaw {
		return frame{}, fmt.Errorf("%w: frame of %d bytes, %d unpacked", ErrCorrupt, h.size, h.raw)
	}
	return h, nil
}

// placed continues a CRC over a file number and an offset: a frame is valid at
// its own place only, so neither a stale copy nor a frame inside somebody's
// body passes for one. Written out because hash/crc32 would move the sixteen
// bytes to the heap.
func placed(crc uint32, file, off int64) uint32 {
	crc = ^crc
	for _, v := range [2]uint64{uint64(file), uint64(off)} {
		for range 8 {
			crc = castagnoli[byte(crc)^byte(v)] ^ crc>>8
			v >>= 8
		}
	}
	return ^crc
}

// part is a section in a block's table.
type part struct {
	kind  SectionKind
	codec byte
	off   int64 // from the start of the frame; follows from the sizes before it
	size  uint32
	raw   uint32
	crc   uint32 // of the stored bytes
}

func (s part) put(b []byte) {
	binary.LittleEndian.PutUint16(b, uint16(s.kind))
	b[2], b[3] = s.codec, 0
	binary.LittleEndian.PutUint32(b[4:], s.size)
	binary.LittleEndian.PutUint32(b[8:], s.raw)
	binary.LittleEndian.PutUint32(b[12:], s.crc)
}

// parseBlock reads the header and the table of the block at p from the first
// bytes of its frame, at least headLen of them if it has so many.
func parseBlock(head []byte, p Place) (parts [maxSections]part, n int, err error) {
	h, err := parseFrame(head, p.File, p.Off)
	if err != nil {
		return parts, 0, err
	}
	n = int(h.arg)
	end := frameLen + n*entryLen
	switch {
	case h.typ == typeErased:
		return parts, 0, fmt.Errorf("%w: erased", ErrGone)
	case h.typ != typeBlock:
		return parts, 0, fmt.Errorf("%w: frame of type %d is no block", ErrCorrupt, h.typ)
	case int64(h.size)+frameLen != p.Len:
		return parts, 0, fmt.Errorf("%w: frame is %d bytes long", ErrCorrupt, int64(h.size)+frameLen)
	case n > maxSections || end > len(head):
		return parts, 0, fmt.Errorf("%w: %d sections", ErrCorrupt, n)
	case checksum(head[frameLen:end]) != h.crc:
		return parts, 0, fmt.Errorf("%w: table fails its CRC", ErrCorrupt)
	}
	off, raw := int64(end), int64(0)
	for i := range n {
		b := head[frameLen+i*entryLen:]
		parts[i] = part{
			kind:  SectionKind(binary.LittleEndian.Uint16(b)),
			codec: b[2],
			off:   off,
			size:  binary.LittleEndian.Uint32(b[4:]),
			raw:   binary.LittleEndian.Uint32(b[8:]),
			crc:   binary.LittleEndian.Uint32(b[12:]),
		}
		off += int64(parts[i].size)
		raw += int64(parts[i].raw)
	}
	if off != p.Len || raw != int64(h.raw) {
		return parts, 0, fmt.Errorf("%w: sections are %d bytes, %d unpacked", ErrCorrupt, off, raw)
	}
	return parts, n, nil
}
