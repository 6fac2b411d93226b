package body_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/store/local/body"
)

func numbers(f *body.Files) (list []int64) {
	for _, i := range f.List() {
		list = append(list, i.File)
	}
	return list
}

func TestFileNumbersOnlyRise(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{MinFile: 41})
	first := appendSync(t, f, []byte("a"))[0]
	sealed := seal(t, f, 20_000, body.Section{Kind: body.Bodies, Data: []byte("b")})
	if first.File != 42 || sealed.File != 43 {
		t.Errorf("first files above 41: %d, %d, want 42, 43", first.File, sealed.File)
	}
	f.Close()

	f = open(t, dir, body.Options{MinFile: 7}) // the folder knows of higher ones
	second := appendSync(t, f, []byte("c"))[0]
	if second.File != 44 {
		t.Errorf("file after a restart: %d, want 44: hot logs are not continued", second.File)
	}
	wantChunk(t, f, first, []byte("a"))
	f.RotateHot()
	if err := f.Remove(44); err != nil {
		t.Fatalf("remove: %v", err)
	}
	if p := appendSync(t, f, []byte("d"))[0]; p.File != 45 {
		t.Errorf("file after a removal: %d, want 45", p.File)
	}
	if diff := cmp.Diff([]int64{42, 43, 45}, numbers(f)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestOpenLeavesForeignFilesAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "bodies")
	if err := os.MkdirAll(filepath.Join(dir, "hot-9"), 0o700); err != nil {
		t.Fatal(err)
	}
	foreign := []string{"hot-", "hot-0", "hot-01", "hot--1", "hot-+1", "hot-9223372036854775807", "hot-5.bak", "hot-5x",
		"day-20241301-1", "day-2024-1", "day-20240101", "day-20240101-", "20240101-5", "day-19691231-5", "notes"}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, dir, body.Options{})
	if got := f.List(); len(got) != 0 {
		t.Errorf("list among foreign files: %v, want none", got)
	}
	if p := appendSync(t, f, []byte("x"))[0]; p.File != 1 {
		t.Errorf("first file: %d, want 1", p.File)
	}
	for _, name := range foreign {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != "mine" {
			t.Errorf("%s afterwards: %q, %v, want it untouched", name, got, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"hot-5", "day-20240101-5"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := body.Open(dir, body.Options{}); err == nil {
		t.Error("open with two files of number 5: no error")
	}
	if _, err := body.Open(filepath.Join(dir, "hot-5"), body.Options{}); err == nil {
		t.Error("open of a file as the folder: no error")
	}
}

func TestOpenCreatesTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	f := open(t, dir, body.Options{})
	wantChunk(t, f, appendSync(t, f, []byte("x"))[0], []byte("x"))
}

func TestNewerVersion(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	p := appendSync(t, f, []byte("x"))[0]
	f.Close()

	path := filepath.Join(dir, "hot-1")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint16(b[8:], 2)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir, body.Options{})
	if _, err := f.Chunk(p, nil); !errors.Is(err, body.ErrVersion) {
		t.Errorf("chunk of a file of format 2: %v, want %v", err, body.ErrVersion)
	}
}

func TestUnknownCodec(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	p := seal(t, f, 0, body.Section{Kind: body.Bodies, Data: []byte("x")}, body.Section{Kind: body.Search, Data: []byte("y")})
	f.Close()
	path := filepath.Join(dir, "day-19700101-1")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block := b[p.Off:]
	block[20+2] = 200 // the codec of the first section
	binary.LittleEndian.PutUint32(block[12:], crc(block[20:52]))
	rehead(block, p)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir, body.Options{})
	if _, err := f.Block(p, body.Bodies, nil); !errors.Is(err, body.ErrVersion) {
		t.Errorf("section of an unknown codec: %v, want %v", err, body.ErrVersion)
	}
	wantSection(t, f, p, body.Section{Kind: body.Search, Data: []byte("y")})
}

func crc(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// rehead writes the CRC of the frame header that b begins with, as
// docs/format/bodies.md describes it.
func rehead(b []byte, p body.Place) {
	in := append([]byte{}, b[:16]...)
	in = binary.LittleEndian.AppendUint64(in, uint64(p.File))
	in = binary.LittleEndian.AppendUint64(in, uint64(p.Off))
	binary.LittleEndian.PutUint32(b[16:], crc(in))
}

func TestFileUnderAnotherNumber(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	p := appendSync(t, f, []byte("x"))[0]
	f.Close()
	if err := os.Rename(filepath.Join(dir, "hot-1"), filepath.Join(dir, "hot-2")); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir, body.Options{})
	if _, err := f.Chunk(p, nil); !errors.Is(err, body.ErrGone) {
		t.Errorf("chunk under the old number: %v, want %v", err, body.ErrGone)
	}
	p.File = 2
	if _, err := f.Chunk(p, nil); !errors.Is(err, body.ErrCorrupt) {
		t.Errorf("chunk under another number: %v, want %v", err, body.ErrCorrupt)
	}
}

func TestMissingFileIsNotGone(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	p := appendSync(t, f, []byte("x"))[0]
	if err := os.Remove(filepath.Join(dir, "hot-1")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Chunk(p, nil); !errors.Is(err, body.ErrCorrupt) || errors.Is(err, body.ErrGone) {
		t.Errorf("chunk of a file that somebody took: %v, want %v alone", err, body.ErrCorrupt)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	p := appendSync(t, f, []byte("x"))[0]
	wantChunk(t, f, p, []byte("x"))
	if err := f.Remove(p.File); !errors.Is(err, body.ErrBusy) {
		t.Errorf("remove of the current log: %v, want %v", err, body.ErrBusy)
	}
	if _, err := f.Append([][]byte{[]byte("y")}); err != nil {
		t.Fatal(err)
	}
	f.RotateHot()
	if err := f.Remove(p.File); !errors.Is(err, body.ErrBusy) {
		t.Errorf("remove before the sync: %v, want %v", err, body.ErrBusy)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is not there, and that is fine
		if err := f.Remove(p.File); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	if _, err := f.Chunk(p, nil); !errors.Is(err, body.ErrGone) {
		t.Errorf("chunk of a removed file: %v, want %v", err, body.ErrGone)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("folder after the removal: %v, %v, want it empty", left, err)
	}
}

// Readers race the removal of every file: each read gives the right bytes or
// ErrGone, and few handles serve many files.
func TestReadsWhileFilesGo(t *testing.T) {
	const files = 40
	f := open(t, t.TempDir(), body.Options{HotBytes: 1, OpenFiles: 4})
	var places []body.Place
	var chunks []string
	for i := range files {
		c := text(5000, uint64(i))
		places = append(places, appendSync(t, f, c)...)
		chunks = append(chunks, string(c))
	}
	f.RotateHot()

	var wg sync.WaitGroup
	start := make(chan struct{})
	for r := range 4 {
		wg.Go(func() {
			<-start
			var buf []byte
			for n := range 400 {
				i := (n*7 + r*11) % files
				got, err := f.Chunk(places[i], buf[:0])
				switch {
				case err == nil && string(got) != chunks[i]:
					t.Errorf("chunk %d: other bytes than appended", i)
				case err != nil && !errors.Is(err, body.ErrGone):
					t.Errorf("chunk %d: %v, want the bytes or %v", i, err, body.ErrGone)
				case err == nil:
					buf = got
				}
			}
		})
	}
	close(start)
	for _, p := range places {
		if err := f.Remove(p.File); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
	wg.Wait()
	if got := f.List(); len(got) != 0 {
		t.Errorf("files at the end: %v, want none", got)
	}
}

// The writer, the sealer and readers at once, through rotations.
func TestWriteSealAndReadAtOnce(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{HotBytes: 20_000, DayBytes: 20_000, OpenFiles: 3})
	type kept struct {
		place  body.Place
		sealed bool
		seed   uint64
	}
	done := make(chan kept, 1000)
	var writers, readers sync.WaitGroup
	writers.Go(func() {
		for i := range 60 {
			places := appendSync(t, f, text(3000, uint64(i)), text(3000, uint64(i)))
			done <- kept{places[1], false, uint64(i)}
		}
	})
	writers.Go(func() {
		for i := range 60 {
			p := seal(t, f, int32(i%3), body.Section{Kind: body.Bodies, Data: text(3000, uint64(i))})
			if i%5 == 0 {
				var err error
				if p, err = f.CopyBlock(p, 7); err != nil {
					t.Errorf("copy: %v", err)
				}
			}
			done <- kept{p, true, uint64(i)}
		}
	})
	for range 3 {
		readers.Go(func() {
			for k := range done {
				if k.sealed {
					wantSection(t, f, k.place, body.Section{Kind: body.Bodies, Data: text(3000, k.seed)})
				} else {
					wantChunk(t, f, k.place, text(3000, k.seed))
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

func TestClosed(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{})
	p := appendSync(t, f, []byte("x"))[0]
	sealed := seal(t, f, 1, body.Section{Kind: body.Bodies})
	if _, err := f.Append([][]byte{nil}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	for name, call := range map[string]func() error{
		"append":      func() error { _, err := f.Append([][]byte{nil}); return err },
		"sync":        f.Sync,
		"chunk":       func() error { _, err := f.Chunk(p, nil); return err },
		"seal":        func() error { _, err := f.Seal(1, []body.Section{{Kind: body.Bodies}}); return err },
		"sync sealed": f.SyncSealed,
		"block":       func() error { _, err := f.Block(sealed, body.Bodies, nil); return err },
		"copy":        func() error { _, err := f.CopyBlock(sealed, 1); return err },
		"remove":      func() error { return f.Remove(p.File) },
	} {
		if err := call(); !errors.Is(err, body.ErrClosed) {
			t.Errorf("%s after close: %v, want %v", name, err, body.ErrClosed)
		}
	}
}

func TestManyFilesOpenFew(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc to count open files in")
	}
	dir := t.TempDir()
	f := open(t, dir, body.Options{HotBytes: 1, OpenFiles: 5})
	var places []body.Place
	for i := range 30 {
		places = append(places, appendSync(t, f, fmt.Append(nil, i))...)
	}
	for i, p := range places {
		wantChunk(t, f, p, fmt.Append(nil, i))
	}
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	for _, l := range links {
		if to, err := os.Readlink("/proc/self/fd/" + l.Name()); err == nil && filepath.Dir(to) == dir {
			open++
		}
	}
	if open > 6 {
		t.Errorf("open files after reading 30: %d, want at most 5 for readers and 1 for the writer", open)
	}
}
