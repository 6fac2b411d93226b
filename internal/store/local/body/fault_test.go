package body

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func openFaulty(t *testing.T) *Files {
	t.Helper()
	f, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (f *Files) appendOne(t *testing.T, chunk string) Place {
	t.Helper()
	places, err := f.Append([][]byte{[]byte(chunk)})
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return places[0]
}

func (f *Files) wantChunks(t *testing.T, want map[Place]string) {
	t.Helper()
	for p, s := range want {
		if got, err := f.Chunk(p, nil); err != nil || string(got) != s {
			t.Errorf("chunk: %q, %v, want %q", got, err, s)
		}
	}
}

func (f *Files) wantWhole(t *testing.T, file, frames int64) {
	t.Helper()
	r, err := f.Verify(t.Context(), file, func(p Place, err error) {
		if err != nil {
			t.Errorf("verify: frame at %v: %v", p, err)
		}
	})
	if err != nil || r.Frames != frames || r.Torn != 0 {
		t.Errorf("verify of file %d: %+v, %v, want %d frames and nothing torn", file, r, err, frames)
	}
}

func TestFullDisk(t *testing.T) {
	real := realDisk()
	long := strings.Repeat("long, and packed badly: ", 5)
	for name, write := range map[string]func(*os.File, []byte, int64) (int, error){
		"nothing written": func(*os.File, []byte, int64) (int, error) { return 0, syscall.ENOSPC },
		"half written": func(w *os.File, b []byte, off int64) (int, error) {
			n, _ := w.WriteAt(b[:len(b)/2], off)
			return n, syscall.ENOSPC
		},
		"short without an error": func(w *os.File, b []byte, off int64) (int, error) {
			return w.WriteAt(b[:len(b)-1], off)
		},
		"all written, then an error": func(w *os.File, b []byte, off int64) (int, error) {
			n, _ := w.WriteAt(b, off)
			return n, syscall.EIO
		},
	} {
		f := openFaulty(t)
		first := f.appendOne(t, "first")
		block, err := f.Seal(3, []Section{{Bodies, []byte("first")}})
		if err != nil {
			t.Fatalf("seal: %v", err)
		}
		f.disk.write = write
		if _, err := f.Append([][]byte{[]byte(long), []byte(long)}); err == nil {
			t.Errorf("%s: append without an error", name)
		}
		if _, err := f.Seal(3, []Section{{Search, []byte(long)}}); err == nil {
			t.Errorf("%s: seal without an error", name)
		}
		f.disk.write = real.write
		second := f.appendOne(t, "second")
		if second.File != first.File || second.Off != first.Off+first.Len {
			t.Errorf("%s: next chunk at %v, want it right behind %v", name, second, first)
		}
		next, err := f.Seal(3, []Section{{Bodies, []byte("second")}})
		if err != nil || next.File != block.File || next.Off != block.Off+block.Len {
			t.Errorf("%s: next block at %v, %v, want it right behind %v", name, next, err, block)
		}
		if err := errors.Join(f.Sync(), f.SyncSealed()); err != nil {
			t.Errorf("%s: sync: %v", name, err)
		}
		f.wantChunks(t, map[Place]string{first: "first", second: "second"})
		f.wantWhole(t, first.File, 2)
		f.wantWhole(t, block.File, 2)
	}
}

func TestLargeGroupFailsWhole(t *testing.T) {
	f := openFaulty(t)
	first := f.appendOne(t, "first")
	big := make([]byte, flushAt)
	rand.NewChaCha8([32]byte{}).Read(big) // packs not at all
	writes := 0
	f.disk.write = func(w *os.File, b []byte, off int64) (int, error) {
		if writes++; writes == 3 {
			return 0, syscall.ENOSPC
		}
		return w.WriteAt(b, off)
	}
	group := slices.Repeat([][]byte{big}, 4)
	if _, err := f.Append(group); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("append that fails at its third write: %v after %d writes, want %v", err, writes, syscall.ENOSPC)
	}
	second := f.appendOne(t, "second")
	if second.Off != first.Off+first.Len {
		t.Errorf("next chunk at %v, want it right behind %v", second, first)
	}
	f.wantWhole(t, first.File, 2)
}

// Where a failed write cannot be cut off, the log goes on in another file, and
// what is left behind is a torn tail.
func TestFailedWriteThatStays(t *testing.T) {
	f := openFaulty(t)
	first := f.appendOne(t, "first")
	f.disk.write = func(w *os.File, b []byte, off int64) (int, error) {
		n, _ := w.WriteAt(b[:len(b)-1], off)
		return n, syscall.EIO
	}
	f.disk.truncate = func(*os.File, int64) error { return syscall.EIO }
	if _, err := f.Append([][]byte{[]byte("lost")}); !errors.Is(err, syscall.EIO) {
		t.Errorf("append: %v, want %v", err, syscall.EIO)
	}
	f.disk = realDisk()
	second := f.appendOne(t, "second")
	if second.File == first.File {
		t.Errorf("next chunk at %v, want it in another file", second)
	}
	before := f.Syncs()
	if err := f.Sync(); err != nil || f.Syncs() != before+2 {
		t.Errorf("sync: %v and %d files, want both files synced", err, f.Syncs()-before)
	}
	f.wantChunks(t, map[Place]string{first: "first", second: "second"})
}

func TestNoNewFile(t *testing.T) {
	f := openFaulty(t)
	f.disk.create = func(string) (*os.File, error) { return nil, syscall.EROFS }
	if _, err := f.Append([][]byte{nil}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("append on a read-only disk: %v, want %v", err, syscall.EROFS)
	}
	f.disk = realDisk()
	f.disk.write = func(*os.File, []byte, int64) (int, error) { return 0, syscall.ENOSPC }
	if _, err := f.Append([][]byte{nil}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("append without room for a file header: %v, want %v", err, syscall.ENOSPC)
	}
	if left, _ := os.ReadDir(f.dir); len(left) != 0 || len(f.List()) != 0 {
		t.Errorf("left behind: %v, listed %v, want nothing", left, f.List())
	}
	f.disk = realDisk()
	if p := f.appendOne(t, "x"); p.File != 3 {
		t.Errorf("file after two failures: %d, want 3: numbers are used once", p.File)
	}
}

func TestFailedSyncPoisons(t *testing.T) {
	for name, fail := range map[string]func(*disk){
		"data":   func(d *disk) { d.sync = func(*os.File) error { return syscall.EIO } },
		"folder": func(d *disk) { d.syncDir = func(string) error { return syscall.EIO } },
	} {
		f := openFaulty(t)
		first := f.appendOne(t, "first")
		block, err := f.Seal(3, []Section{{Bodies, []byte("first")}})
		if err != nil {
			t.Fatalf("seal: %v", err)
		}
		fail(&f.disk)
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: sync: %v, want %v", name, err, syscall.EIO)
		}
		if err := f.SyncSealed(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: sync sealed: %v, want %v", name, err, syscall.EIO)
		}
		f.disk = realDisk()
		second := f.appendOne(t, "second")
		next, err := f.Seal(3, []Section{{Bodies, []byte("second")}})
		if err != nil || second.File == first.File || next.File == block.File {
			t.Errorf("%s: went on at %v and %v, %v, want other files than %d and %d", name, second, next, err, first.File, block.File)
		}
		before := f.Syncs()
		if err := errors.Join(f.Sync(), f.SyncSealed()); err != nil || f.Syncs() != before+2 {
			t.Errorf("%s: next sync: %v and %d files, want the new ones alone", name, err, f.Syncs()-before)
		}
		if err := errors.Join(f.Remove(first.File), f.Remove(block.File)); err != nil {
			t.Errorf("%s: remove the poisoned files: %v", name, err)
		}
	}
}

// Bytes appended while a sync fails are in the poisoned file as well.
func TestAppendDuringFailingSync(t *testing.T) {
	f := openFaulty(t)
	f.appendOne(t, "first")
	f.disk.sync = func(*os.File) error {
		f.appendOne(t, "meanwhile")
		return syscall.EIO
	}
	for range 2 {
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("sync: %v, want %v", err, syscall.EIO)
		}
		f.disk.sync = syncData
	}
	if err := f.Sync(); err != nil {
		t.Errorf("sync after the failure was told twice: %v", err)
	}
}

func TestRotateDuringSync(t *testing.T) {
	f := openFaulty(t)
	first := f.appendOne(t, "first")
	var during []error
	f.disk.sync = func(w *os.File) error {
		f.RotateHot()
		during = append(during, f.Remove(first.File))
		return syncData(w)
	}
	if err := f.Sync(); err != nil {
		t.Fatalf("sync: %v", err)
	}
	if len(during) != 1 || !errors.Is(during[0], ErrBusy) {
		t.Errorf("remove during the sync: %v, want %v", during, ErrBusy)
	}
	if err := f.Remove(first.File); err != nil {
		t.Errorf("remove after the sync: %v", err)
	}
}

// The name of a new file is durable before the first sync returns, and is not
// synced again afterwards.
func TestOrderOfSyncs(t *testing.T) {
	f := openFaulty(t)
	var calls []string
	real := realDisk()
	f.disk.write = func(w *os.File, b []byte, off int64) (int, error) {
		calls = append(calls, "write "+filepath.Base(w.Name()))
		return real.write(w, b, off)
	}
	f.disk.sync = func(w *os.File) error {
		calls = append(calls, "sync "+filepath.Base(w.Name()))
		return real.sync(w)
	}
	f.disk.syncDir = func(dir string) error {
		calls = append(calls, "sync folder")
		return real.syncDir(dir)
	}
	for range 2 {
		if _, err := f.Append([][]byte{[]byte("a"), []byte("b"), []byte("c")}); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"write hot-1", "write hot-1", "sync hot-1", "sync folder", "write hot-1", "sync hot-1"}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestRemoveWaitsForReaders(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		p := f.appendOne(t, "x")
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		f.RotateHot()
		reader, err := f.hold(p, Hot)
		if err != nil {
			t.Fatal(err)
		}
		removed := false
		go func() {
			if err := f.Remove(p.File); err != nil {
				t.Errorf("remove: %v", err)
			}
			removed = true
		}()
		synctest.Wait()
		if removed {
			t.Error("removed while a reader holds the file")
		}
		if _, err := f.Chunk(p, nil); !errors.Is(err, ErrGone) {
			t.Errorf("read after the removal began: %v, want %v", err, ErrGone)
		}
		b := make([]byte, p.Len)
		if err := readAt(reader, b, p.Off); err != nil {
			t.Errorf("read that began before the removal: %v", err)
		}
		f.release(reader)
		synctest.Wait()
		if _, err := os.Stat(reader.path); !removed || !os.IsNotExist(err) {
			t.Errorf("after the last reader: removed %v, stat %v, want the file unlinked", removed, err)
		}
	})
}

func TestFailedRemove(t *testing.T) {
	f := openFaulty(t)
	p := f.appendOne(t, "x")
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	f.RotateHot()
	f.disk.remove = func(string) error { return syscall.EPERM }
	if err := f.Remove(p.File); !errors.Is(err, syscall.EPERM) {
		t.Errorf("remove: %v, want %v", err, syscall.EPERM)
	}
	f.wantChunks(t, map[Place]string{p: "x"})
	if got := f.List(); len(got) != 1 {
		t.Errorf("list after a failed removal: %v, want the file still there", got)
	}
	f.disk = realDisk()
	if err := f.Remove(p.File); err != nil {
		t.Errorf("remove again: %v", err)
	}
}

// What a write allocates does not grow with its bytes once buffers are pooled.
func TestAppendAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop buffers at random under the race detector")
	}
	f := openFaulty(t)
	chunks := make([][]byte, 25)
	for i := range chunks {
		chunks[i] = []byte(strings.Repeat("forty kilobytes of text ", 1700))
	}
	f.appendOne(t, "x")
	got := testing.AllocsPerRun(20, func() {
		if _, err := f.Append(chunks); err != nil {
			t.Fatal(err)
		}
	})
	if got > 10 {
		t.Errorf("allocations of an append of 25 chunks: %v, want at most 10", got)
	}
}

func TestLargestChunk(t *testing.T) {
	if raceEnabled {
		t.Skip("80 MiB take seconds under the race detector")
	}
	f := openFaulty(t)
	places, err := f.Append([][]byte{make([]byte, MaxRaw)})
	if err != nil {
		t.Fatalf("append of %d bytes: %v", MaxRaw, err)
	}
	if got, err := f.Chunk(places[0], nil); err != nil || len(got) != MaxRaw {
		t.Errorf("largest chunk: %d bytes, %v, want %d", len(got), err, MaxRaw)
	}
	p, err := f.Seal(0, []Section{{Bodies, make([]byte, MaxRaw)}})
	if err != nil {
		t.Fatalf("seal of %d bytes: %v", MaxRaw, err)
	}
	if got, err := f.Block(p, Bodies, nil); err != nil || len(got) != MaxRaw {
		t.Errorf("largest section: %d bytes, %v, want %d", len(got), err, MaxRaw)
	}
}
