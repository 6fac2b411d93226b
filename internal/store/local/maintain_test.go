package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
)

const project = "p"

// openQuiet opens a folder whose background work is done by Maintain alone.
func openQuiet(t *testing.T, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(t.Context(), dir, local.Options{SealAfter: -1, HotBytes: 256 << 10})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func closeStore(t *testing.T, s *local.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// span is a write of an observation with this input.
func span(trace, id string, at int64, input string) domain.ObservationPatch {
	p := domain.ObservationPatch{
		Stamp: domain.Stamp{Time: at, Op: domain.Create},
		Said:  domain.ObservationStart | domain.ObservationName,
		Value: domain.Observation{ID: id, TraceID: trace, Name: "n-" + id, Start: domain.At(at)},
		Parts: domain.Parts(0).With(domain.Input),
	}
	p.Content[domain.Input] = domain.TextBody(input)
	domain.SealObservation(&p)
	return p
}

func write(t *testing.T, s *local.Store, patches ...domain.ObservationPatch) {
	t.Helper()
	for _, err := range s.Append(t.Context(), []store.Batch{{Project: project, Observations: patches}}) {
		if err != nil {
			t.Fatalf("append: %v", err)
		}
	}
}

func maintain(t *testing.T, s *local.Store) {
	t.Helper()
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatalf("maintain: %v", err)
	}
}

// wantInputs reads a trace and compares every observation's input.
func wantInputs(t *testing.T, s *local.Store, trace string, want map[string]string) {
	t.Helper()
	tr, err := s.Trace(t.Context(), project, trace)
	if err != nil {
		t.Fatalf("trace %s: %v", trace, err)
	}
	got := map[string]string{}
	err = tr.Source.Each(t.Context(), func(i int, c *domain.Content) error {
		got[tr.Observations[i].ID] = string(c[domain.Input].Data)
		return nil
	})
	if err != nil {
		t.Fatalf("contents of trace %s: %v", trace, err)
	}
	for id, in := range want {
		if got[id] != in {
			t.Errorf("trace %s, observation %s: input of %d bytes, want %d: %.40q, %.40q", trace, id, len(got[id]), len(in), got[id], in)
		}
	}
	if len(got) != len(want) {
		t.Errorf("trace %s: %d observations, want %d", trace, len(got), len(want))
	}
}

func wantSound(t *testing.T, dir string) *local.Report {
	t.Helper()
	c, err := local.OpenCatalog(filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatalf("catalog: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatalf("catalog: %v", err)
	}
	r, err := local.Check(t.Context(), dir)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	for _, p := range r.Problems {
		t.Errorf("check: %s", p)
	}
	return r
}

func bodyFiles(t *testing.T, dir, prefix string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "bodies", prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// noise is text that packing does not make much shorter.
func noise(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(33 + r.IntN(90))
	}
	return string(b)
}

// Whatever is sealed, resealed and restarted reads as it was written, the hot
// log is given back, and the folder passes its check.
func TestSealAndReseal(t *testing.T) {
	dir := t.TempDir()
	s := openQuiet(t, dir)
	r := rand.New(rand.NewPCG(1, 2))
	want := map[string]map[string]string{}
	for round := range 4 {
		for tr := range 6 {
			trace := fmt.Sprintf("trace-%d", tr)
			if want[trace] == nil {
				want[trace] = map[string]string{}
			}
			for o := range 5 {
				id := fmt.Sprintf("%d-%d-%d", tr, round, o)
				in := noise(r, 10+r.IntN(20_000)*(tr%3))
				write(t, s, span(trace, id, int64(1000*round+100-o), in))
				want[trace][id] = in
			}
			// A later write replaces the input of an observation of before.
			id := fmt.Sprintf("%d-%d-%d", tr, 0, 2)
			in := fmt.Sprintf("again in round %d", round)
			write(t, s, span(trace, id, int64(5000+round), in))
			want[trace][id] = in
		}
		maintain(t, s)
		if hot := bodyFiles(t, dir, "hot-"); len(hot) > 0 {
			t.Errorf("round %d: hot logs %v remain though all is sealed", round, hot)
		}
		for trace, w := range want {
			wantInputs(t, s, trace, w)
		}
		closeStore(t, s)
		rep := wantSound(t, dir)
		if rep.Traces != 6 || rep.Observations != int64(6*5*(round+1)) {
			t.Errorf("round %d: check saw %+v", round, rep)
		}
		s = openQuiet(t, dir)
		for trace, w := range want {
			wantInputs(t, s, trace, w)
		}
	}
}

// A trace of many blocks is sealed, and a late write to it does not cost the
// writing of all of it again, until such writes are many.
func TestSealLargeTrace(t *testing.T) {
	dir := t.TempDir()
	s := openQuiet(t, dir)
	r := rand.New(rand.NewPCG(3, 4))
	want := map[string]string{}
	for o := range 60 {
		id := fmt.Sprintf("o%02d", o)
		want[id] = noise(r, 100_000)
		write(t, s, span("big", id, int64(1000+o), want[id]))
	}
	maintain(t, s)
	size := func() (n int64) {
		for _, f := range bodyFiles(t, dir, "day-") {
			info, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			n += info.Size()
		}
		return n
	}
	first := size()
	for late := range 10 {
		id := fmt.Sprintf("late%d", late)
		want[id] = "late " + id
		write(t, s, span("big", id, int64(500+late), want[id]))
		maintain(t, s)
		wantInputs(t, s, "big", want)
		if late == 0 && size() > first+100_000 {
			t.Errorf("one late write made the day files grow from %d to %d bytes", first, size())
		}
	}
	if size() > 2*first {
		t.Errorf("the day files grew from %d to %d bytes for a few late writes", first, size())
	}
	closeStore(t, s)
	wantSound(t, dir)
}

// inFolder reports in which files of a folder some text stands.
func inFolder(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The bytes of deleted traces leave the disk, sealed ones and hot ones, and
// those beside them in the same blocks and files stay.
func TestDeleteErases(t *testing.T) {
	dir := t.TempDir()
	s := openQuiet(t, dir)
	r := rand.New(rand.NewPCG(5, 6))
	// Noise is stored as it is, so that the text can be looked for.
	keep := map[string]string{"k": "KEEPTHIS" + noise(r, 5000)}
	gone := "SECRETONE" + noise(r, 5000)
	write(t, s, span("keep", "k", 1, keep["k"]))
	write(t, s, span("sealed", "o1", 1, gone))
	maintain(t, s)
	write(t, s, span("hot", "o2", 1, "SECRETTWO"+noise(r, 50)), span("hot", "o3", 2, "x"))
	write(t, s, span("fresh", "o4", 1, "other"))

	if err := s.DeleteTraces(t.Context(), project, []string{"sealed", "hot", "unknown"}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	for _, id := range []string{"sealed", "hot"} {
		if _, err := s.Trace(t.Context(), project, id); domain.CodeOf(err) != domain.NotFound {
			t.Errorf("deleted trace %s: %v", id, err)
		}
	}
	for _, id := range []string{"o1", "o2", "o3"} {
		if _, err := s.Observation(t.Context(), project, id); domain.CodeOf(err) != domain.NotFound {
			t.Errorf("observation %s of a deleted trace: %v", id, err)
		}
	}
	for _, secret := range []string{"SECRETONE", "SECRETTWO"} {
		if files := inFolder(t, dir, secret); len(files) > 0 {
			t.Errorf("%s is still in %v", secret, files)
		}
	}
	wantInputs(t, s, "keep", keep)
	wantInputs(t, s, "fresh", map[string]string{"o4": "other"})

	write(t, s, span("sealed", "o1", 9, "anew"))
	wantInputs(t, s, "sealed", map[string]string{"o1": "anew"})
	closeStore(t, s)
	wantSound(t, dir)
}

// A slow reader of a trace whose bodies move or go meanwhile reads on, or is
// told that it was deleted.
func TestReadWhileBodiesMove(t *testing.T) {
	s := openQuiet(t, t.TempDir())
	write(t, s, span("t", "a", 1, "first"), span("t", "b", 2, "second"))
	tr, err := s.Trace(t.Context(), project, "t")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = tr.Source.Each(t.Context(), func(i int, c *domain.Content) error {
		got = append(got, string(c[domain.Input].Data))
		maintain(t, s)
		return nil
	})
	if err != nil || strings.Join(got, " ") != "first second" {
		t.Errorf("read %q, %v", got, err)
	}
	if tr, err = s.Trace(t.Context(), project, "t"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteTraces(t.Context(), project, []string{"t"}); err != nil {
		t.Fatal(err)
	}
	maintain(t, s)
	err = tr.Source.Each(t.Context(), func(int, *domain.Content) error { return nil })
	if domain.CodeOf(err) != domain.NotFound {
		t.Errorf("reading a trace deleted meanwhile: %v", err)
	}
}

// Day files that are largely dead are written anew, smaller.
func TestSpaceGivenBack(t *testing.T) {
	dir := t.TempDir()
	s := openQuiet(t, dir)
	r := rand.New(rand.NewPCG(7, 8))
	want := map[string]string{}
	var ids []string
	for i := range 40 {
		id := fmt.Sprintf("t%d", i)
		ids, want[id] = append(ids, id), noise(r, 60_000)
		write(t, s, span(id, "o-"+id, int64(i), want[id]))
	}
	maintain(t, s)
	size := func() (n int) {
		for _, f := range bodyFiles(t, dir, "") {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			n += len(b)
		}
		return n
	}
	before := size()
	if err := s.DeleteTraces(t.Context(), project, ids[:30]); err != nil {
		t.Fatal(err)
	}
	maintain(t, s)
	maintain(t, s)
	if after := size(); after > before/2 {
		t.Errorf("30 of 40 traces deleted: %d bytes became %d", before, after)
	}
	for _, id := range ids[30:] {
		wantInputs(t, s, id, map[string]string{"o-" + id: want[id]})
	}
	closeStore(t, s)
	wantSound(t, dir)
}

// Old changes are forgotten, and whoever stood before them is told so; the
// observations they brought are still found by their ids after a restart.
func TestChangesTrimmed(t *testing.T) {
	dir := t.TempDir()
	open := func() *local.Store {
		s, err := local.Open(t.Context(), dir, local.Options{SealAfter: -1, Changes: 10})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s := open()
	start, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		write(t, s, span(fmt.Sprintf("t%d", i), fmt.Sprintf("o%d", i), int64(i), "x"))
	}
	if _, _, err := s.Changes(t.Context(), start, 100); err != nil {
		t.Fatalf("before: %v", err)
	}
	maintain(t, s)
	if _, _, err := s.Changes(t.Context(), start, 100); !errors.Is(err, store.ErrGap) {
		t.Errorf("after: %v, want a gap", err)
	}
	closeStore(t, s)
	s = open()
	for i := range 50 {
		if _, err := s.Observation(t.Context(), project, fmt.Sprintf("o%d", i)); err != nil {
			t.Errorf("observation %d: %v", i, err)
		}
	}
}

// One process owns a folder.
func TestSecondStoreRefused(t *testing.T) {
	dir := t.TempDir()
	s := openQuiet(t, dir)
	if _, err := local.Open(t.Context(), dir, local.Options{}); domain.CodeOf(err) != domain.Conflict {
		t.Errorf("second store: %v", err)
	}
	if _, err := local.Check(t.Context(), dir); domain.CodeOf(err) != domain.Conflict {
		t.Errorf("check beside a store: %v", err)
	}
	closeStore(t, s)
	openQuiet(t, dir)
}

// Damage anywhere is named by the check.
func TestCheckFindsDamage(t *testing.T) {
	for _, name := range []string{"hot-", "day-", "traces.db"} {
		dir := t.TempDir()
		s := openQuiet(t, dir)
		r := rand.New(rand.NewPCG(9, 10))
		for i := range 30 {
			write(t, s, span(fmt.Sprintf("t%d", i), "o", int64(i), noise(r, 9000)))
			if i == 15 {
				maintain(t, s)
			}
		}
		closeStore(t, s)
		wantSound(t, dir)
		files := append(bodyFiles(t, dir, name), filepath.Join(dir, "traces.db"))
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		for i := len(b) / 2; i < len(b)/2+4096 && i < len(b); i++ {
			b[i] ^= 0xa5
		}
		if err := os.WriteFile(files[0], b, 0o600); err != nil {
			t.Fatal(err)
		}
		rep, err := local.Check(t.Context(), dir)
		if err != nil {
			t.Fatalf("%s: check could not be done: %v", name, err)
		}
		if len(rep.Problems) == 0 {
			t.Errorf("%s: damage in %s was not found", name, files[0])
		}
	}
}

// Writes are durable before they are answered: every connection syncs its
// commits, and the count of syncs rises with each answer.
func TestDurable(t *testing.T) {
	s := openQuiet(t, t.TempDir())
	if _, err := s.Head(t.Context()); err != nil { // opens a reader
		t.Fatal(err)
	}
	for i, p := range s.Pragmas(t) {
		if p != "wal 2" {
			t.Errorf("connection %d: journal_mode and synchronous are %q, want WAL and FULL", i, p)
		}
	}
	for i := range 5 {
		before := s.Syncs()
		write(t, s, span("t", fmt.Sprint(i), int64(i), "x"))
		if after := s.Syncs(); after < before+2 {
			t.Errorf("write %d: syncs went from %d to %d, want the log's and the commit's", i, before, after)
		}
	}
}

// Sealing in the background goes on beside writers and readers.
func TestBackground(t *testing.T) {
	dir := t.TempDir()
	s, err := local.Open(t.Context(), dir, local.Options{SealAfter: time.Millisecond, HotBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := rand.New(rand.NewPCG(11, 12))
	want := map[string]map[string]string{}
	for i := 0; len(bodyFiles(t, dir, "day-")) == 0 || i < 300; i++ {
		if ctx.Err() != nil {
			t.Fatal("nothing was sealed")
		}
		trace, id := fmt.Sprintf("t%d", r.IntN(20)), fmt.Sprint(i)
		if want[trace] == nil {
			want[trace] = map[string]string{}
		}
		want[trace][id] = noise(r, r.IntN(4000)+1)
		write(t, s, span(trace, id, int64(i), want[trace][id]))
		if i%10 == 0 {
			wantInputs(t, s, trace, want[trace])
		}
	}
	for trace, w := range want {
		wantInputs(t, s, trace, w)
	}
	closeStore(t, s)
	wantSound(t, dir)
}
