// Package httpio holds what every dialect does at its edge and none should do
// its own way: reading bodies within a limit, answering JSON, turning codes
// into statuses, and the handlers that stand around the one mux.
package httpio

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/clewhq/clew/internal/domain"
)

// ReadBody reads the whole body of a request and undoes its Content-Encoding:
// gzip, deflate, zstd or identity. limit bounds the bytes after decompression,
// and the memory used on the way. The errors are domain.TooLarge past the
// limit, domain.Invalid (naming the encoding) for an unknown encoding or data
// that is not in it, domain.Canceled when the client stopped sending.
func ReadBody(r *http.Request, limit int64) ([]byte, error) { return ReadBodyInto(nil, r, limit) }

// ReadBodyInto is ReadBody into the memory of buf, as far as that reaches.
func ReadBodyInto(buf []byte, r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	enc := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	// What is sent compressed can still be endless (empty gzip members), so
	// the raw bytes are bounded too.
	src := &source{r: r.Body, left: limit + 64<<10}
	body, err := readEncoded(buf, src, enc, r.ContentLength, limit)
	if err != nil && domain.CodeOf(err) == domain.TooLarge {
		// A client reads its answer only after it has sent its body, and a
		// connection closed under it often loses the answer.
		_, _ = io.CopyN(io.Discard, r.Body, 2*limit)
	}
	return body, err
}

func readEncoded(buf []byte, src *source, enc string, length, limit int64) ([]byte, error) {
	if enc == "" || enc == "identity" {
		if length > limit {
			return nil, tooLarge(limit)
		}
		return readAll(buf, src, length, limit)
	}
	in := bufio.NewReaderSize(src, 4<<10)
	if _, err := in.Peek(1); err == io.EOF && src.err == nil {
		return nil, nil // no body at all is an empty one in every encoding
	}
	dec, put, err := decoder(in, enc, limit)
	if err == nil {
		var body []byte
		body, err = readAll(buf, dec, 4*length, limit)
		put()
		if err == nil {
			return body, nil
		}
	}
	switch {
	case src.err != nil:
		return nil, src.err
	case domain.CodeOf(err) != domain.Internal:
		return nil, err
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, tooLarge(limit)
	}
	return nil, &domain.Error{Code: domain.Invalid, Msg: "the request body is not valid " + enc, Err: err}
}

// decoder is a reader of in's decompressed bytes, and what gives it back.
func decoder(in *bufio.Reader, enc string, limit int64) (io.Reader, func(), error) {
	switch enc {
	case "gzip", "x-gzip":
		z, _ := gzips.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		if err := z.Reset(in); err != nil {
			return nil, nil, err
		}
		return z, func() { gzips.Put(z) }, nil
	case "zstd":
		z, _ := zstds.Get().(*zstd.Decoder)
		if z == nil {
			var err error
			// One at a time decodes on the caller's own goroutine, so that a
			// pooled decoder which is dropped leaves nothing running.
			z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
			if err != nil {
				return nil, nil, err
			}
		}
		if err := z.Reset(in); err != nil {
			return nil, nil, err
		}
		return z, func() { _ = z.Reset(nil); zstds.Put(z) }, nil
	case "deflate":
		// RFC 9110 means zlib's format; some clients send the bare stream.
		if h, _ := in.Peek(2); len(h) == 2 && h[0]&0x0f == 8 && (int(h[0])<<8|int(h[1]))%31 == 0 {
			z, err := zlib.NewReader(in)
			return z, func() {}, err
		}
		return flate.NewReader(in), func() {}, nil
	}
	return nil, nil, domain.Errorf(domain.Invalid, "content encoding %q is not supported: send gzip, deflate, zstd or identity", enc)
}

// The decoders' windows and tables are worth keeping from request to request.
var (
	gzips sync.Pool // *gzip.Reader
	zstds sync.Pool // *zstd.Decoder
)

// readAll reads r to its end; hint is the expected size, -1 for unknown. The
// buffer grows with what really came, since a header can promise anything.
func readAll(buf []byte, r io.Reader, hint, limit int64) ([]byte, error) {
	if buf = buf[:0]; cap(buf) < 512 {
		buf = make([]byte, 0, max(512, min(hint+1, limit+1, 1<<20)))
	}
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return nil, tooLarge(limit)
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		}
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(2*int64(cap(buf)), max(limit+1, 512)))
			copy(grown, buf)
			buf = grown
		}
	}
}

func tooLarge(limit int64) *domain.Error {
	return domain.Errorf(domain.TooLarge, "the request body is larger than the limit of %d bytes", limit)
}

// source is the body as it came. It remembers its own failures, which would
// otherwise look like those of a decoder, and ends after left bytes.
type source struct {
	r    io.Reader
	left int64
	err  error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if s.left <= 0 {
		s.err = domain.Errorf(domain.TooLarge, "the request body is too large as it was sent")
		return 0, s.err
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if err != nil && err != io.EOF {
		s.err = &domain.Error{Code: domain.Canceled, Msg: "the request body ended early", Err: err}
		return n, s.err
	}
	return n, err
}
