// Package body keeps large bytes in append-only files: chunks of recent writes
// in hot logs, blocks of settled ones in day files. Bytes go in, places come
// out; whoever stands on it keeps the places, decides what is dead and removes
// files whole. The bytes on disk are described in docs/format/bodies.md.
package body

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrGone says that the file of a place was removed, or the bytes there
	// erased. Bytes that are still wanted have moved by then: look the place up
	// again, once.
	ErrGone = errors.New("body: gone")
	// ErrCorrupt says that the bytes at a place are not what was written
	// there: a wrong place, a damaged file, or one that was cut short.
	ErrCorrupt = errors.New("body: damaged")
	// ErrVersion says that the bytes need a newer program than this one.
	ErrVersion = errors.New("body: written by a newer version")
	// ErrTooLarge refuses more than MaxRaw bytes in a frame.
	ErrTooLarge = errors.New("body: too large")
	// ErrBusy refuses to remove a file that is written to or not yet synced.
	ErrBusy = errors.New("body: file is being written")
	// ErrNoSection says that a block is sound but has no section of the kind.
	ErrNoSection = errors.New("body: block has no such section")
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("body: closed")
)

// MaxRaw is the most bytes, before compression, that a chunk or all sections of
// a block may hold: the largest request of 64 MiB, and room for what surrounds
// a body. It bounds what a reader allocates.
const MaxRaw = 80 << 20

const (
	defaultHotBytes = 64 << 20
	// A day file is rewritten whole once a third of it is dead, so its size
	// bounds that work and the free space it needs.
	defaultDayBytes  = 256 << 20
	defaultOpenFiles = 64
	maxDay           = 2932896 // 9999-12-31, the last one of four digits
)

// Place is where a chunk or a block lies: the number of its file, the offset of
// its frame and the length of it in bytes. The zero Place names nothing.
type Place struct {
	File int64
	Off  int64
	Len  int64
}

// String is the place as an error names it.
func (p Place) String() string {
	return fmt.Sprintf("file %d, offset %d, %d bytes", p.File, p.Off, p.Len)
}

// Kind is what a file holds.
type Kind uint8

const (
	Hot Kind = 1 // chunks, in the order they were appended
	Day Kind = 2 // blocks that were sealed on one UTC day
)

// String is the kind as an error names it.
func (k Kind) String() string {
	switch k {
	case Hot:
		return "hot"
	case Day:
		return "day"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Options sets limits; a zero field takes its default.
type Options struct {
	HotBytes  int64 // a hot log of at least this size takes no more appends; 64 MiB
	DayBytes  int64 // a day file of at least this size takes no more blocks; 256 MiB
	MinFile   int64 // the highest file number ever used; new files are numbered above it
	OpenFiles int   // files kept open for readers; more are open only while more are read at once; 64
}

// FileInfo describes a file.
type FileInfo struct {
	File int64
	Kind Kind
	Day  int32 // days since 1970-01-01 UTC; 0 for hot logs
	Size int64 // bytes, with the file header
}

// Files is a folder of body files. One goroutine may append, another seal,
// and any number read and verify at the same time. One process owns the folder.
type Files struct {
	dir   string
	opts  Options
	disk  disk
	pools pools

	hot    family // lock order: a family's sync, its mu, then mu here
	sealed family

	syncs    atomic.Uint64
	removing sync.Mutex // held by Remove throughout, before mu

	mu       sync.Mutex
	released *sync.Cond // a file that is being removed lost its last reader
	files    map[int64]*file
	next     int64
	open     []*file // those with a handle for readers
	tick     int64   // rises with each read, orders handles by last use
	closed   bool
}

// Open opens the folder, creating it if needed. It lists the folder and opens
// no file, whatever their number and size. Files of other names are left alone.
func Open(dir string, o Options) (*Files, error) {
	if o.HotBytes <= 0 {
		o.HotBytes = defaultHotBytes
	}
	if o.DayBytes <= 0 {
		o.DayBytes = defaultDayBytes
	}
	if o.OpenFiles <= 0 {
		o.OpenFiles = defaultOpenFiles
	}
	f := &Files{
		dir:    dir,
		opts:   o,
		disk:   realDisk(),
		hot:    family{kind: Hot, limit: o.HotBytes, tails: map[int32]*tail{}},
		sealed: family{kind: Day, limit: o.DayBytes, tails: map[int32]*tail{}},
		files:  map[int64]*file{},
		next:   max(o.MinFile, 0) + 1,
	}
	f.released = sync.NewCond(&f.mu)
	if err := makeDir(dir, f.disk.syncDir); err != nil {
		return nil, fmt.Errorf("body: create folder: %w", err)
	}
	if err := f.scan(); err != nil {
		return nil, err
	}
	return f, nil
}

// makeDir creates dir where it is missing and makes its name durable, since
// the files in it are only as durable as that.
func makeDir(dir string, syncDir func(string) error) error {
	switch info, err := os.Stat(dir); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%s is not a folder", dir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(filepath.Clean(dir)))
}

func (f *Files) scan() error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("body: list folder: %w", err)
	}
	for _, d := range entries {
		kind, day, number, ok := parseName(d.Name())
		if !ok || d.IsDir() {
			continue
		}
		info, err := d.Info()
		if err != nil {
			return fmt.Errorf("body: list folder: %w", err)
		}
		if other := f.files[number]; other != nil {
			return fmt.Errorf("body: %s and %s in %s have the same number", filepath.Base(other.path), d.Name(), f.dir)
		}
		e := &file{number: number, kind: kind, day: day, path: filepath.Join(f.dir, d.Name())}
		e.size.Store(info.Size())
		f.files[number] = e
		f.next = max(f.next, number+1)
	}
	return nil
}

// Close closes every file. It syncs nothing: what was to last was synced. Reads
// that run finish; later calls fail with ErrClosed.
func (f *Files) Close() error {
	var errs []error
	for _, fam := range []*family{&f.hot, &f.sealed} {
		errs = append(errs, f.closeFamily(fam))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, e := range slices.Clone(f.open) {
		if e.refs == 0 {
			errs = append(errs, f.closeReader(e))
		}
	}
	return errors.Join(errs...)
}

// List returns all files, ordered by number.
func (f *Files) List() []FileInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]FileInfo, 0, len(f.files))
	for _, e := range f.files {
		if !e.gone {
			list = append(list, FileInfo{File: e.number, Kind: e.kind, Day: e.day, Size: e.size.Load()})
		}
	}
	slices.SortFunc(list, func(a, b FileInfo) int { return cmp.Compare(a.File, b.File) })
	return list
}

// Syncs counts the data syncs asked of the system so far, failed ones included.
func (f *Files) Syncs() uint64 { return f.syncs.Load() }

// fileName is hot-N or day-YYYYMMDD-N.
func fileName(kind Kind, day int32, number int64) string {
	n := strconv.FormatInt(number, 10)
	if kind == Hot {
		return "hot-" + n
	}
	return "day-" + time.Unix(int64(day)*86400, 0).UTC().Format("20060102") + "-" + n
}

// parseName accepts exactly what fileName writes.
func parseName(name string) (kind Kind, day int32, number int64, ok bool) {
	rest, isHot := strings.CutPrefix(name, "hot-")
	kind = Hot
	if !isHot {
		date, n, found := strings.Cut(strings.TrimPrefix(name, "day-"), "-")
		at, err := time.Parse("20060102", date)
		if !found || err != nil || at.Unix() < 0 {
			return 0, 0, 0, false
		}
		kind, day, rest = Day, int32(at.Unix()/86400), n
	}
	number, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || number < 1 || number == 1<<63-1 || fileName(kind, day, number) != name {
		return 0, 0, 0, false
	}
	return kind, day, number, true
}
