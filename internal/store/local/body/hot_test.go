package body_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/store/local/body"
)

func open(t testing.TB, dir string, o body.Options) *body.Files {
	t.Helper()
	f, err := body.Open(dir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// text returns n bytes that pack well, noise n bytes that do not pack at all.
func text(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields(`the model answers {"role": "assistant", "content": "when a question is asked"} and then tool_call result`)
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = fmt.Appendf(b, "%s %d ", words[r.IntN(len(words))], r.IntN(1000))
	}
	return b[:n]
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
	return b
}

func appendSync(t testing.TB, f *body.Files, chunks ...[]byte) []body.Place {
	t.Helper()
	places, err := f.Append(chunks)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Fatalf("sync: %v", err)
	}
	return places
}

func wantChunk(t testing.TB, f *body.Files, p body.Place, want []byte) {
	t.Helper()
	got, err := f.Chunk(p, nil)
	if err != nil {
		t.Errorf("chunk: %v", err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("chunk at %v: %d bytes that differ from the %d appended", p, len(got), len(want))
	}
}

var sizes = []int{0, 1, 3, 31, 32, 33, 100, 4095, 4096, 65_535, 65_536, 1 << 20, 1<<20 + 1, 5 << 20}

func TestChunksComeBack(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	var chunks [][]byte
	for i, n := range sizes {
		chunks = append(chunks, text(n, uint64(i)), noise(n, uint64(i)))
	}
	places := appendSync(t, f, chunks...)
	single := appendSync(t, f, chunks[6])
	for i, p := range places {
		wantChunk(t, f, p, chunks[i])
	}
	wantChunk(t, f, single[0], chunks[6])

	got, err := f.Chunk(places[6], []byte("before "))
	if want := "before " + string(chunks[6]); err != nil || string(got) != want {
		t.Errorf("chunk behind a prefix: %q, %v, want %q", got, err, want)
	}

	f.Close()
	f = open(t, dir, body.Options{})
	for i, p := range places {
		wantChunk(t, f, p, chunks[i])
	}
}

func TestAppendOfNothing(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{})
	places, err := f.Append(nil)
	if err != nil || len(places) != 0 {
		t.Errorf("append of nothing: %v, %v", places, err)
	}
	if err := f.Sync(); err != nil {
		t.Errorf("sync of nothing: %v", err)
	}
	if got := f.Syncs(); got != 0 {
		t.Errorf("syncs after nothing: %d, want 0", got)
	}
	if got := f.List(); len(got) != 0 {
		t.Errorf("files after nothing: %v, want none", got)
	}
}

func TestSyncCounts(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{HotBytes: 100})
	for i := range 3 {
		before := f.Syncs()
		appendSync(t, f, noise(200, 1))
		if got := f.Syncs(); got != before+1 {
			t.Errorf("syncs after append %d: %d, want %d", i, got, before+1)
		}
	}
	before := f.Syncs()
	for range 3 { // three files, one sync call
		if _, err := f.Append([][]byte{noise(200, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := f.Syncs(); got != before+3 {
		t.Errorf("syncs after three files: %d, want %d", got, before+3)
	}
}

func TestHotRotation(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{HotBytes: 1000})
	var places []body.Place
	for i := range 6 {
		places = append(places, appendSync(t, f, noise(400, uint64(i)))...)
	}
	var files []int64
	for i, p := range places {
		files = append(files, p.File)
		wantChunk(t, f, p, noise(400, uint64(i)))
	}
	if diff := cmp.Diff([]int64{1, 1, 1, 2, 2, 2}, files); diff != "" {
		t.Errorf("files of six chunks (-want +got):\n%s", diff)
	}

	f.RotateHot()
	f.RotateHot() // with nothing in the log: no new one
	if p := appendSync(t, f, noise(1, 1))[0]; p.File != 3 {
		t.Errorf("file after a rotation on request: %d, want 3", p.File)
	}
}

func TestTooLarge(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{})
	huge := make([]byte, body.MaxRaw+1)
	if _, err := f.Append([][]byte{nil, huge}); !errors.Is(err, body.ErrTooLarge) {
		t.Errorf("append of %d bytes: %v, want %v", len(huge), err, body.ErrTooLarge)
	}
	sections := []body.Section{{Kind: body.Bodies, Data: huge[:body.MaxRaw]}, {Kind: body.Search, Data: huge[:1]}}
	if _, err := f.Seal(1, sections); !errors.Is(err, body.ErrTooLarge) {
		t.Errorf("seal of %d bytes: %v, want %v", len(huge), err, body.ErrTooLarge)
	}
}

func TestWrongPlaces(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{})
	places := appendSync(t, f, text(1000, 1), text(1000, 2))
	sealed := seal(t, f, 20_000, body.Section{Kind: body.Bodies, Data: text(1000, 3)})
	p := places[0]
	for name, c := range map[string]struct {
		place body.Place
		want  error
	}{
		"zero":             {body.Place{}, body.ErrGone},
		"unknown file":     {body.Place{File: 99, Off: p.Off, Len: p.Len}, body.ErrGone},
		"negative offset":  {body.Place{File: p.File, Off: -p.Off, Len: p.Len}, body.ErrCorrupt},
		"negative length":  {body.Place{File: p.File, Off: p.Off, Len: -p.Len}, body.ErrCorrupt},
		"length past end":  {body.Place{File: p.File, Off: p.Off, Len: 1 << 40}, body.ErrCorrupt},
		"offset past end":  {body.Place{File: p.File, Off: 1<<63 - 1, Len: p.Len}, body.ErrCorrupt},
		"one byte off":     {body.Place{File: p.File, Off: p.Off + 1, Len: p.Len}, body.ErrCorrupt},
		"one byte shorter": {body.Place{File: p.File, Off: p.Off, Len: p.Len - 1}, body.ErrCorrupt},
		"one byte longer":  {body.Place{File: p.File, Off: p.Off, Len: p.Len + 1}, body.ErrCorrupt},
		"file header":      {body.Place{File: p.File, Off: 0, Len: 32}, body.ErrCorrupt},
		"a block":          {sealed, body.ErrCorrupt},
	} {
		if _, err := f.Chunk(c.place, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if name != "a block" {
			if _, err := f.Block(c.place, body.Bodies, nil); !errors.Is(err, c.want) {
				t.Errorf("%s as a block: %v, want %v", name, err, c.want)
			}
		}
	}
}
