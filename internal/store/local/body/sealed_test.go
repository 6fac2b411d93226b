package body_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/store/local/body"
)

func seal(t testing.TB, f *body.Files, day int32, sections ...body.Section) body.Place {
	t.Helper()
	p, err := f.Seal(day, sections)
	if err != nil {
		t.Fatalf("seal: %v", err)
	}
	if err := f.SyncSealed(); err != nil {
		t.Fatalf("sync sealed: %v", err)
	}
	return p
}

func wantSection(t testing.TB, f *body.Files, p body.Place, s body.Section) {
	t.Helper()
	got, err := f.Block(p, s.Kind, []byte("before "))
	if err != nil {
		t.Errorf("block: %v", err)
	} else if !bytes.Equal(got, append([]byte("before "), s.Data...)) {
		t.Errorf("section %d at %v: %d bytes that differ from the %d sealed", s.Kind, p, len(got)-7, len(s.Data))
	}
}

func TestBlocksComeBack(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	var places []body.Place
	var blocks [][]body.Section
	for i, n := range sizes {
		sections := []body.Section{
			{Kind: body.Columns, Data: text(n/7, uint64(i))},
			{Kind: body.Bodies, Data: text(n, uint64(i))},
			{Kind: body.Search, Data: noise(n/3, uint64(i))},
			{Kind: 4711, Data: text(n, uint64(i)+1)}, // of a later version
		}
		if i%2 == 1 {
			sections = []body.Section{{Kind: body.Bodies, Data: noise(n, uint64(i))}}
		}
		blocks = append(blocks, sections)
		places = append(places, seal(t, f, 20_000, sections...))
	}
	check := func() {
		t.Helper()
		for i, p := range places {
			for _, s := range blocks[i] {
				wantSection(t, f, p, s)
			}
		}
	}
	check()
	if _, err := f.Block(places[1], body.Search, nil); !errors.Is(err, body.ErrNoSection) {
		t.Errorf("search section of a block without: %v, want %v", err, body.ErrNoSection)
	}
	f.Close()
	f = open(t, dir, body.Options{})
	check()
}

func TestSealRefuses(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{})
	one := body.Section{Kind: body.Bodies, Data: []byte("x")}
	many := make([]body.Section, 17)
	for i := range many {
		many[i].Kind = body.SectionKind(i + 1)
	}
	for name, c := range map[string]struct {
		day      int32
		sections []body.Section
	}{
		"no section":        {1, nil},
		"17 sections":       {1, many},
		"kind 0":            {1, []body.Section{{}}},
		"a kind twice":      {1, []body.Section{one, one}},
		"a day before 1970": {-1, []body.Section{one}},
		"a day of year 1e4": {2932897, []body.Section{one}},
	} {
		if p, err := f.Seal(c.day, c.sections); err == nil {
			t.Errorf("seal with %s: %v, want an error", name, p)
		}
	}
	if got := f.List(); len(got) != 0 {
		t.Errorf("files after refused seals: %v, want none", got)
	}
}

func TestDayFiles(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{DayBytes: 1000})
	block := body.Section{Kind: body.Bodies, Data: noise(400, 1)}
	var files []int64
	for _, day := range []int32{20_000, 20_001, 20_000, 20_000, 20_000, 0, 2932896, 19_000, 20_001} {
		files = append(files, seal(t, f, day, block).File)
	}
	// Day 20001 goes on in file 2 although more days were written in between
	// than are kept open.
	if diff := cmp.Diff([]int64{1, 2, 1, 1, 3, 4, 5, 6, 2}, files); diff != "" {
		t.Errorf("files of the blocks (-want +got):\n%s", diff)
	}
	want := []body.FileInfo{
		{File: 1, Kind: body.Day, Day: 20_000, Size: 32 + 3*436},
		{File: 2, Kind: body.Day, Day: 20_001, Size: 32 + 2*436},
		{File: 3, Kind: body.Day, Day: 20_000, Size: 32 + 436},
		{File: 4, Kind: body.Day, Day: 0, Size: 32 + 436},
		{File: 5, Kind: body.Day, Day: 2932896, Size: 32 + 436},
		{File: 6, Kind: body.Day, Day: 19_000, Size: 32 + 436},
	}
	if diff := cmp.Diff(want, f.List()); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func TestCopyBlock(t *testing.T) {
	f := open(t, t.TempDir(), body.Options{})
	sections := []body.Section{
		{Kind: body.Bodies, Data: text(100_000, 1)},
		{Kind: 4711, Data: noise(50, 1)},
	}
	from := seal(t, f, 20_000, sections...)
	to, err := f.CopyBlock(from, 20_000)
	if err != nil {
		t.Fatalf("copy: %v", err)
	}
	if to.File == from.File || to.Len != from.Len {
		t.Errorf("copied from %v to %v, want another file and the same length", from, to)
	}
	if err := f.SyncSealed(); err != nil {
		t.Fatal(err)
	}
	if next := seal(t, f, 20_000, sections...); next.File != to.File {
		t.Errorf("block after a copy went to file %d, want %d", next.File, to.File)
	}
	if err := f.Remove(from.File); err != nil {
		t.Errorf("remove the source: %v", err)
	}
	for _, s := range sections {
		wantSection(t, f, to, s)
	}
	if _, err := f.CopyBlock(from, 20_000); !errors.Is(err, body.ErrGone) {
		t.Errorf("copy from a removed file: %v, want %v", err, body.ErrGone)
	}
}

func TestRotateDay(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, body.Options{})
	block := body.Section{Kind: body.Bodies, Data: text(500, 1)}
	first := seal(t, f, 20_000, block)
	other := seal(t, f, 20_001, block)
	f.RotateDay(20_000)
	second := seal(t, f, 20_000, block)
	if second.File == first.File {
		t.Errorf("block after RotateDay went to file %d again", second.File)
	}
	if p := seal(t, f, 20_001, block); p.File != other.File {
		t.Errorf("block of another day went to file %d, want %d", p.File, other.File)
	}

	f.Close()
	f = open(t, dir, body.Options{})
	f.RotateDay(20_000) // of files that this process has not written
	if p := seal(t, f, 20_000, block); p.File <= other.File {
		t.Errorf("block after RotateDay went to file %d, want a new one", p.File)
	}
	if p := seal(t, f, 20_001, block); p.File != other.File {
		t.Errorf("block after a restart went to file %d, want %d", p.File, other.File)
	}
}
