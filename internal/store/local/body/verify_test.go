package body_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/store/local/body"
)

// verify returns the places that Verify found sound and the damaged ones.
func verify(t testing.TB, f *body.Files, file int64) (good, bad []body.Place, r body.Report) {
	t.Helper()
	r, err := f.Verify(context.Background(), file, func(p body.Place, err error) {
		switch {
		case err == nil:
			good = append(good, p)
		case errors.Is(err, body.ErrCorrupt):
			bad = append(bad, p)
		default:
			t.Errorf("verify: frame at %v: %v, want %v", p, err, body.ErrCorrupt)
		}
	})
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	return good, bad, r
}

func TestVerifySound(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{})
	hot := appendSync(t, f, text(10_000, 1), nil, noise(2000, 2))
	var sealed []body.Place
	for i := range 3 {
		sealed = append(sealed, seal(t, f, 20_000,
			body.Section{Kind: body.Bodies, Data: text(30_000, uint64(i))},
			body.Section{Kind: 99, Data: noise(100, uint64(i))}))
	}
	for _, want := range [][]body.Place{hot, sealed} {
		good, bad, r := verify(t, f, want[0].File)
		if diff := cmp.Diff(want, good); diff != "" {
			t.Errorf("sound frames (-want +got):\n%s", diff)
		}
		var bytes int64
		for _, p := range want {
			bytes += p.Len
		}
		if diff := cmp.Diff(body.Report{Frames: 3, Bytes: bytes}, r); len(bad) > 0 || diff != "" {
			t.Errorf("damaged: %v; report (-want +got):\n%s", bad, diff)
		}
	}
	if _, err := f.Verify(context.Background(), 99, nil); !errors.Is(err, body.ErrGone) {
		t.Errorf("verify of a file that is not there: %v, want %v", err, body.ErrGone)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Verify(ctx, hot[0].File, func(body.Place, error) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("verify under a cancelled context: %v, want %v", err, context.Canceled)
	}
}

func TestVerifyStopsWhenRemoved(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{})
	p := appendSync(t, f, []byte("x"), []byte("y"))[0]
	f.RotateHot()
	_, err := f.Verify(context.Background(), p.File, func(body.Place, error) {
		if err := f.Remove(p.File); err != nil {
			t.Errorf("remove while verifying: %v", err)
		}
	})
	if !errors.Is(err, body.ErrGone) {
		t.Errorf("verify of a file removed meanwhile: %v, want %v", err, body.ErrGone)
	}
}

// A file cut at any length keeps every frame before the cut, and what is left
// of the next one is a torn tail, no damage.
func TestTornTails(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	chunks := [][]byte{text(50, 1), noise(30, 2), nil, text(90, 3)}
	places := appendSync(t, f, chunks...)
	f.Close()
	path := filepath.Join(dir, "hot-1")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		f := open(t, dir, body.Options{})
		var want []body.Place
		end := min(int64(cut), 32) // where the last whole frame ends
		if cut < 32 {
			end = 0
		}
		for i, p := range places {
			if p.Off+p.Len <= int64(cut) {
				want, end = append(want, p), p.Off+p.Len
				wantChunk(t, f, p, chunks[i])
			} else if _, err := f.Chunk(p, nil); !errors.Is(err, body.ErrCorrupt) {
				t.Errorf("cut at %d: chunk behind the cut: %v, want %v", cut, err, body.ErrCorrupt)
			}
		}
		good, bad, r := verify(t, f, 1)
		if diff := cmp.Diff(want, good); diff != "" || len(bad) > 0 || r.Torn != int64(cut)-end {
			t.Errorf("cut at %d: damaged %v, torn %d, want none and %d; frames (-want +got):\n%s", cut, bad, r.Torn, int64(cut)-end, diff)
		}
		if p := appendSync(t, f, []byte("next"))[0]; p.File != 2 {
			t.Errorf("cut at %d: next append went to file %d, want 2", cut, p.File)
		}
		f.Close()
		os.Remove(filepath.Join(dir, "hot-2"))
	}
}

// A day file with a torn tail is read, but not continued.
func TestTornDayFile(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	block := body.Section{Kind: body.Bodies, Data: text(500, 1)}
	first, second := seal(t, f, 0, block), seal(t, f, 0, block)
	f.Close()
	if err := os.Truncate(filepath.Join(dir, "day-19700101-1"), second.Off+second.Len-1); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir, body.Options{})
	if p := seal(t, f, 0, block); p.File == first.File {
		t.Errorf("block behind a torn tail at %v, want another file", p)
	}
	wantSection(t, f, first, block)
	if _, bad, r := verify(t, f, first.File); len(bad) != 0 || r.Frames != 1 || r.Torn != second.Len-1 {
		t.Errorf("verify of a torn day file: %+v, damaged %v, want 1 frame and %d torn", r, bad, second.Len-1)
	}
}

// Every bit of every frame is covered by some check: no flip goes unnoticed,
// and none harms another frame.
func TestBitFlips(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	chunks := [][]byte{text(60, 1), text(60, 2), text(60, 3)}
	places := appendSync(t, f, chunks...)
	sections := []body.Section{{Kind: body.Bodies, Data: text(80, 4)}, {Kind: body.Search, Data: text(20, 5)}, {Kind: 77, Data: text(5, 6)}}
	blocks := []body.Place{seal(t, f, 0, sections...), seal(t, f, 0, sections...), seal(t, f, 0, sections...)}
	f.Close()

	flip := func(name string, p body.Place, check func(f *body.Files, bit int64)) {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		f := open(t, dir, body.Options{})
		defer f.Close()
		for bit := p.Off * 8; bit < (p.Off+p.Len)*8; bit++ {
			file.WriteAt([]byte{b[bit/8] ^ 1<<(bit%8)}, bit/8)
			check(f, bit)
			file.WriteAt(b[bit/8:bit/8+1], bit/8)
		}
	}
	wantDamage := func(f *body.Files, bit int64, places []body.Place) {
		t.Helper()
		good, bad, r := verify(t, f, places[0].File)
		want := []body.Place{places[0], places[2]}
		if diff := cmp.Diff(want, good); diff != "" || len(bad) != 1 || bad[0] != places[1] || r.Torn != 0 {
			t.Errorf("bit %d: damaged %v, torn %d, want %v; sound (-want +got):\n%s", bit, bad, r.Torn, places[1], diff)
		}
	}
	flip("hot-1", places[1], func(f *body.Files, bit int64) {
		if _, err := f.Chunk(places[1], nil); !errors.Is(err, body.ErrCorrupt) {
			t.Errorf("chunk with bit %d flipped: %v, want %v", bit, err, body.ErrCorrupt)
		}
		wantDamage(f, bit, places)
	})
	flip("day-19700101-2", blocks[1], func(f *body.Files, bit int64) {
		noticed := 0
		for _, s := range sections {
			if got, err := f.Block(blocks[1], s.Kind, nil); errors.Is(err, body.ErrCorrupt) {
				noticed++
			} else if err != nil || string(got) != string(s.Data) {
				t.Errorf("section %d with bit %d flipped: %q, %v", s.Kind, bit, got, err)
			}
		}
		if noticed == 0 {
			t.Errorf("block with bit %d flipped: no section noticed", bit)
		}
		if _, err := f.CopyBlock(blocks[1], 5); !errors.Is(err, body.ErrCorrupt) {
			t.Errorf("copy of a block with bit %d flipped: %v, want %v", bit, err, body.ErrCorrupt)
		}
		wantDamage(f, bit, blocks)
	})
	flip("hot-1", body.Place{Len: 32}, func(_ *body.Files, bit int64) { // the file header
		f := open(t, dir, body.Options{}) // which is checked when a file is opened
		defer f.Close()
		if _, err := f.Chunk(places[0], nil); !errors.Is(err, body.ErrCorrupt) && !errors.Is(err, body.ErrVersion) {
			t.Errorf("file header with bit %d flipped: %v, want %v or %v", bit, err, body.ErrCorrupt, body.ErrVersion)
		}
	})
}

// A frame that somebody sent as a body is not taken for one of the log.
func TestFrameInsideAChunk(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	appendSync(t, f, noise(100, 1))
	stolen, err := os.ReadFile(filepath.Join(dir, "hot-1"))
	if err != nil {
		t.Fatal(err)
	}
	stolen = append(noise(50, 2), stolen...)
	places := appendSync(t, f, stolen, []byte("after"))
	f.Close()
	b, err := os.ReadFile(filepath.Join(dir, "hot-1"))
	if err != nil {
		t.Fatal(err)
	}
	b[places[0].Off] = 0 // now the walk has to search its way through the body
	if err := os.WriteFile(filepath.Join(dir, "hot-1"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir, body.Options{})
	good, bad, _ := verify(t, f, 1)
	if len(good) != 2 || len(bad) != 1 || bad[0] != places[0] || good[1] != places[1] {
		t.Errorf("sound %v, damaged %v, want the chunk at %v damaged and the one behind it found", good, bad, places[0])
	}
}
