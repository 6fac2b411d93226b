package httpio_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

// encoded is body in an encoding, by the standard library where it has it.
func encoded(t *testing.T, enc string, body []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser
	var err error
	switch enc {
	case "gzip":
		w = gzip.NewWriter(&buf)
	case "zlib":
		w = zlib.NewWriter(&buf)
	case "flate":
		w, err = flate.NewWriter(&buf, 6)
	case "zstd":
		w, err = zstd.NewWriter(&buf)
	default:
		return body
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// request is a POST of body; chunked hides its length, as a chunked body does.
func request(enc string, body []byte, chunked bool) *http.Request {
	var in io.Reader = bytes.NewReader(body)
	if chunked {
		in = io.MultiReader(in)
	}
	r := httptest.NewRequest(http.MethodPost, "/", in)
	if enc != "" {
		r.Header.Set("Content-Encoding", enc)
	}
	return r
}

var encodings = []struct{ header, writer string }{
	{"", ""}, {"identity", ""}, {"gzip", "gzip"}, {"GZIP", "gzip"}, {"x-gzip", "gzip"},
	{"deflate", "zlib"}, {"deflate", "flate"}, {"zstd", "zstd"},
}

func TestReadBodyEncodings(t *testing.T) {
	text := []byte(strings.Repeat("a thread through the maze, ", 5000))
	for _, body := range [][]byte{{}, []byte("x"), text} {
		for _, enc := range encodings {
			for _, chunked := range []bool{false, true} {
				for round := range 3 { // pooled decoders come back clean
					got, err := httpio.ReadBody(request(enc.header, encoded(t, enc.writer, body), chunked), 1<<20)
					if err != nil || !bytes.Equal(got, body) {
						t.Errorf("%q (%s, chunked %v, round %d): %d bytes, %v; want %d bytes",
							enc.header, enc.writer, chunked, round, len(got), err, len(body))
					}
				}
			}
		}
	}
}

func TestReadBodyLimit(t *testing.T) {
	const limit = 100_000
	for _, size := range []int{limit, limit + 1, 50 * limit} {
		for _, enc := range encodings {
			for _, chunked := range []bool{false, true} {
				got, err := httpio.ReadBody(request(enc.header, encoded(t, enc.writer, make([]byte, size)), chunked), limit)
				if size == limit {
					if err != nil || len(got) != limit {
						t.Errorf("%q of %d bytes: %d bytes, %v; want all", enc.header, size, len(got), err)
					}
					continue
				}
				if domain.CodeOf(err) != domain.TooLarge || got != nil {
					t.Errorf("%q of %d bytes: %d bytes, %v; want %s", enc.header, size, len(got), err, domain.TooLarge)
				}
			}
		}
	}
}

// Members without content make an endless gzip stream of nothing.
func TestReadBodyEndlessNothing(t *testing.T) {
	member := encoded(t, "gzip", nil)
	sent := 0
	endless := readerFunc(func(p []byte) (int, error) {
		sent += len(member)
		return copy(p, member), nil
	})
	r := httptest.NewRequest(http.MethodPost, "/", endless)
	r.Header.Set("Content-Encoding", "gzip")
	if _, err := httpio.ReadBody(r, 1000); domain.CodeOf(err) != domain.TooLarge {
		t.Errorf("endless empty members: %v, want %s", err, domain.TooLarge)
	}
	if sent > 1<<20 {
		t.Errorf("read %d bytes of nothing before giving up", sent)
	}
}

func TestReadBodyInvalid(t *testing.T) {
	whole := bytes.Repeat([]byte("some words that are long enough "), 100)
	for _, c := range []struct {
		name, enc string
		body      []byte
	}{
		{"unknown encoding", "br", whole},
		{"two encodings", "gzip, gzip", whole},
		{"not gzip", "gzip", whole},
		{"not zstd", "zstd", whole},
		{"not deflate", "deflate", []byte{0xff, 0xff, 0xff}},
		{"half a gzip", "gzip", encoded(t, "gzip", whole)[:40]},
		{"half a zstd", "zstd", encoded(t, "zstd", whole)[:20]},
		{"gzip and rubbish", "gzip", append(encoded(t, "gzip", whole), "rubbish"...)},
	} {
		_, err := httpio.ReadBody(request(c.enc, c.body, false), 1<<20)
		if domain.CodeOf(err) != domain.Invalid || !strings.Contains(err.Error(), strings.Fields(c.enc)[0]) {
			t.Errorf("%s: %v; want %s naming %s", c.name, err, domain.Invalid, c.enc)
		}
	}
}

func TestReadBodyClientGone(t *testing.T) {
	broken := errors.New("connection reset")
	for _, enc := range encodings {
		full := encoded(t, enc.writer, bytes.Repeat([]byte("word "), 1000))
		in := io.MultiReader(bytes.NewReader(full[:len(full)/2]), readerFunc(func([]byte) (int, error) { return 0, broken }))
		r := httptest.NewRequest(http.MethodPost, "/", in)
		r.Header.Set("Content-Encoding", enc.header)
		if _, err := httpio.ReadBody(r, 1<<20); domain.CodeOf(err) != domain.Canceled || !errors.Is(err, broken) {
			t.Errorf("%q: %v; want %s with its cause", enc.header, err, domain.Canceled)
		}
	}
}

// A header may promise more than ever comes.
func TestReadBodyBelievesNoLength(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("small"))
	r.ContentLength = 60 << 20
	got, err := httpio.ReadBody(r, 64<<20)
	if err != nil || string(got) != "small" || cap(got) > 2<<20 {
		t.Errorf("%d bytes in a buffer of %d, %v; want 5 in a small one", len(got), cap(got), err)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func FuzzReadBody(f *testing.F) {
	f.Add("gzip", []byte("\x1f\x8b\x08"))
	f.Add("zstd", []byte("\x28\xb5\x2f\xfd"))
	f.Add("deflate", []byte("\x78\x9c"))
	f.Fuzz(func(t *testing.T, enc string, body []byte) {
		const limit = 1 << 16
		got, err := httpio.ReadBody(request(enc, body, true), limit)
		if len(got) > limit {
			t.Errorf("%d bytes came through a limit of %d", len(got), limit)
		}
		switch domain.CodeOf(err) {
		case "", domain.Invalid, domain.TooLarge:
		default:
			t.Errorf("code %s: %v", domain.CodeOf(err), err)
		}
	})
}
