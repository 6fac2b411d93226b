package body

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// fileOf reads the file of a place.
func (f *Files) fileOf(t *testing.T, p Place) []byte {
	t.Helper()
	f.mu.Lock()
	path := f.files[p.File].path
	f.mu.Unlock()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is erased is gone from the file and told to be gone; what lies around it
// stays, also for a walk, and after the folder is opened again.
func TestErase(t *testing.T) {
	f := openFaulty(t)
	chunks := []Place{f.appendOne(t, "before"), f.appendOne(t, "a SECRET of a chunk"), f.appendOne(t, "after")}
	long := strings.Repeat("SECRET", 40_000) // longer than what is overwritten at once
	var blocks []Place
	for _, s := range []string{"before", long, "after"} {
		p, err := f.Seal(3, []Section{{Kind: Search, Data: []byte(s)}})
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, p)
	}
	if err := errors.Join(f.Sync(), f.SyncSealed()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // repeating it is harmless
		if err := f.Erase([]Place{chunks[1], blocks[1], {File: 999, Off: 32, Len: 40}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []Place{chunks[1], blocks[1]} {
		if bytes.Contains(f.fileOf(t, p), []byte("SECRET")) {
			t.Errorf("what was erased is still in file %d", p.File)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(f.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.wantChunks(t, map[Place]string{chunks[0]: "before", chunks[2]: "after"})
	if _, err := f.Chunk(chunks[1], nil); !errors.Is(err, ErrGone) {
		t.Errorf("an erased chunk: %v", err)
	}
	if _, err := f.Block(blocks[1], Search, nil); !errors.Is(err, ErrGone) {
		t.Errorf("an erased block: %v", err)
	}
	for _, i := range []int{0, 2} {
		if _, err := f.Block(blocks[i], Search, nil); err != nil {
			t.Errorf("block %d: %v", i, err)
		}
	}
	f.wantWhole(t, chunks[0].File, 3)
	f.wantWhole(t, blocks[0].File, 3)
}

// A place that is none is refused, and a disk that fails is told of.
func TestEraseFails(t *testing.T) {
	f := openFaulty(t)
	p := f.appendOne(t, "chunk")
	for _, bad := range []Place{{p.File, p.Off, p.Len + 1}, {p.File, 0, p.Len}, {p.File, p.Off, 3}} {
		if err := f.Erase([]Place{bad}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	f.wantChunks(t, map[Place]string{p: "chunk"})
	f.disk.write = func(*os.File, []byte, int64) (int, error) { return 0, syscall.EIO }
	if err := f.Erase([]Place{p}); !errors.Is(err, syscall.EIO) {
		t.Errorf("a failing disk: %v", err)
	}
}
