package body

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzFrame reads arbitrary bytes as the contents of both kinds of files. With
// mend set the CRCs are made right first, or nothing behind them would ever be
// reached. Nothing may panic or unpack past MaxRaw, and what fails fails as
// damage or a newer version.
func FuzzFrame(f *testing.F) {
	pools := &pools{}
	var buf buffer
	if err := pools.block(&buf, []Section{{Bodies, []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")}, {9, []byte("b")}}); err != nil {
		f.Fatal(err)
	}
	for _, mend := range []bool{false, true} {
		f.Add([]byte{}, mend)
		f.Add(buf.b, mend)
		f.Add(appendChunk(nil, []byte("cccccccccccccccccccccccccccccccccccccccccccccc"), Place{1, fileHeaderLen, 0}), mend)
		f.Add(appendChunk(appendChunk(nil, nil, Place{1, fileHeaderLen, 0}), []byte("d"), Place{1, fileHeaderLen + frameLen, 0}), mend)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, mend bool) {
		for _, kind := range []Kind{Hot, Day} {
			b := append([]byte{}, data...)
			if mend {
				mendFrames(b)
			}
			readAll(t, filepath.Join(dir, kind.String()), kind, b)
		}
	})
}

// mendFrames turns b into frames whose CRCs are right, as far as it goes.
func mendFrames(b []byte) {
	off := int64(fileHeaderLen)
	for len(b) >= frameLen {
		end := frameLen + int(b[4]) + int(b[5])<<8
		if end > len(b) {
			end = len(b)
		}
		crc := checksum(b[frameLen:end])
		if n := frameLen + int(b[3])*entryLen; b[2] == typeBlock && n <= end {
			at := n
			for i := frameLen; i < n; i += entryLen {
				size := int(b[i+4]) | int(b[i+5])<<8
				s := part{SectionKind(b[i]), b[i+2], 0, uint32(size), uint32(b[i+8]) | uint32(b[i+9])<<8 | uint32(b[i+10])<<16, 0}
				if at+size <= end {
					s.crc = checksum(b[at : at+size])
				}
				at += size
				s.put(b[i:])
			}
			crc = checksum(b[frameLen:n])
		}
		raw := uint32(b[8]) | uint32(b[9])<<8 | uint32(b[10])<<16 | uint32(b[11])<<24
		frame{b[2], b[3], uint32(end - frameLen), raw, crc}.put(b, 1, off)
		b, off = b[end:], off+int64(end)
	}
}

func readAll(t *testing.T, dir string, kind Kind, data []byte) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b := append(fileHeader{kind, 0, 1}.bytes(), data...)
	if err := os.WriteFile(filepath.Join(dir, fileName(kind, 0, 1)), b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	known := func(err error) {
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrNoSection) && !errors.Is(err, ErrGone) {
			t.Errorf("reading arbitrary bytes: %v, want damage, an erased frame, a newer version or no such section", err)
		}
	}
	read := func(p Place) {
		for _, call := range []func() ([]byte, error){
			func() ([]byte, error) { return f.Chunk(p, nil) },
			func() ([]byte, error) { return f.Block(p, Bodies, nil) },
			func() ([]byte, error) { return f.Block(p, 9, nil) },
		} {
			got, err := call()
			if known(err); cap(got) > MaxRaw+MaxRaw/4 {
				t.Errorf("%d bytes of memory for a frame of %d", cap(got), p.Len)
			}
		}
	}
	_, err = f.Verify(t.Context(), 1, func(p Place, err error) {
		known(err)
		read(p)
	})
	known(err)
	read(Place{1, fileHeaderLen, int64(len(data))})
}
