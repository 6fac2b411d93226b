package body

import (
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

const (
	zstdWindow = 1 << 20
	// maxZstdWindow is what readers accept: room to raise zstdWindow without
	// a new format, and still a bound on memory.
	maxZstdWindow = 8 << 20
	// keepBuffer is the largest buffer that is pooled; one large body must not
	// stay in memory for good.
	keepBuffer = 8 << 20
	// overrun lets the decoder use its fast path, which writes in whole words.
	overrun = 16
)

// pools hold what compression needs. Nothing is made before its first use, and
// the collector takes back what lies idle.
type pools struct {
	buffers  sync.Pool
	encoders sync.Pool
	decoders sync.Pool
}

type buffer struct{ b []byte }

func (p *pools) buffer() *buffer {
	if b, ok := p.buffers.Get().(*buffer); ok {
		b.b = b.b[:0]
		return b
	}
	return &buffer{}
}

func (p *pools) free(b *buffer) {
	if cap(b.b) <= keepBuffer {
		p.buffers.Put(b)
	}
}

func (p *pools) encoder() (*zstd.Encoder, error) {
	if e, ok := p.encoders.Get().(*zstd.Encoder); ok {
		return e, nil
	}
	return zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false)) // frames have their own
}

func (p *pools) decoder() (*zstd.Decoder, error) {
	if d, ok := p.decoders.Get().(*zstd.Decoder); ok {
		return d, nil
	}
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindow),
		zstd.WithDecoderMaxMemory(MaxRaw+overrun),
		zstd.WithDecodeAllCapLimit(true))
}

// extend returns b longer by n bytes, which are not cleared.
func extend(b []byte, n int) []byte {
	return slices.Grow(b, n)[:len(b)+n]
}

// appendS2 appends src as s2, or as it is where that would not be shorter.
func appendS2(dst, src []byte) ([]byte, byte) {
	base := len(dst)
	dst = slices.Grow(dst, s2.MaxEncodedLen(len(src)))
	packed := s2.Encode(dst[base:cap(dst)], src)
	if len(packed) >= len(src) {
		return append(dst, src...), codecStored
	}
	return dst[:base+len(packed)], codecS2
}

// appendZstd appends src as zstd, or as it is where that would not be shorter.
func (p *pools) appendZstd(dst, src []byte) ([]byte, byte, error) {
	enc, err := p.encoder()
	if err != nil {
		return dst, 0, err
	}
	defer p.encoders.Put(enc)
	base := len(dst)
	dst = enc.EncodeAll(src, dst)
	if len(dst)-base >= len(src) {
		return append(dst[:base], src...), codecStored, nil
	}
	return dst, codecZstd, nil
}

// unpack appends to dst the raw bytes of src, of which there must be exactly raw.
func (p *pools) unpack(dst, src []byte, codec byte, raw uint32) ([]byte, error) {
	base, n := len(dst), int(raw)
	switch codec {
	case codecStored:
		if len(src) != n {
			return nil, fmt.Errorf("%w: %d bytes stored, want %d", ErrCorrupt, len(src), n)
		}
		return append(dst, src...), nil
	case codecS2:
		if got, err := s2.DecodedLen(src); err != nil || got != n {
			return nil, fmt.Errorf("%w: s2 of %d bytes, want %d", ErrCorrupt, got, n)
		}
		dst = extend(dst, n)
		if _, err := s2.Decode(dst[base:], src); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return dst, nil
	case codecZstd:
		return p.unpackZstd(dst, src, n)
	}
	return nil, fmt.Errorf("%w: codec %d", ErrVersion, codec)
}

func (p *pools) unpackZstd(dst, src []byte, n int) ([]byte, error) {
	dec, err := p.decoder()
	if err != nil {
		return nil, err
	}
	defer p.decoders.Put(dec)
	base := len(dst)
	dst = slices.Grow(dst, n+overrun)
	out, err := dec.DecodeAll(src, dst[:base:base+n+overrun])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(out)-base != n {
		return nil, fmt.Errorf("%w: zstd of %d bytes, want %d", ErrCorrupt, len(out)-base, n)
	}
	return out, nil
}
