package body

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// maxTails bounds the day files that are open for writing: a rewrite copies
// blocks of old days while today's are sealed.
const maxTails = 4

// tail is the end of a file that is being written.
type tail struct {
	e     *file
	w     *os.File
	off   int64 // where the next frame goes
	dirty bool  // bytes since the last sync
	named bool  // the name of the file is durable
	busy  bool  // being synced
}

// family is the files of one kind that are written: the hot log, or the day
// files, by day. A hot log is that of day 0.
type family struct {
	kind  Kind
	limit int64

	syncing sync.Mutex // held by a sync throughout, before mu

	mu      sync.Mutex
	tails   map[int32]*tail
	retired []*tail // written no more, not yet synced
	lost    error   // a failed sync took bytes along that were appended during it
}

// tail returns where the next frame of the day goes, in another file than avoid.
func (f *Files) tail(fam *family, day int32, avoid int64) (*tail, error) {
	if t := fam.tails[day]; t != nil {
		if t.off < fam.limit && t.e.number != avoid {
			return t, nil
		}
		f.retire(fam, t)
	}
	if fam.kind == Day {
		f.makeRoom(fam)
		if t := f.resume(fam, day, avoid); t != nil {
			fam.tails[day] = t
			return t, nil
		}
	}
	t, err := f.create(fam, day)
	if err != nil {
		return nil, err
	}
	fam.tails[day] = t
	return t, nil
}

func (f *Files) makeRoom(fam *family) {
	for len(fam.tails) >= maxTails {
		first := int32(maxDay + 1)
		for day := range fam.tails {
			first = min(first, day)
		}
		f.retire(fam, fam.tails[first])
	}
}

// create makes the next file. Numbers of files that could not be made are not
// used again.
func (f *Files) create(fam *family, day int32) (*tail, error) {
	f.mu.Lock()
	number, closed := f.next, f.closed
	f.next++
	f.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	e := &file{number: number, kind: fam.kind, day: day, writing: true}
	e.path = filepath.Join(f.dir, fileName(e.kind, e.day, e.number))
	w, err := f.disk.create(e.path)
	if err != nil {
		return nil, fmt.Errorf("body: create file: %w", err)
	}
	t := &tail{e: e, w: w}
	if err := f.write(t, e.header().bytes(), 0); err != nil {
		w.Close()
		f.disk.remove(e.path) // if it stays, the next start lists it, and it names nothing
		return nil, err
	}
	t.off, t.dirty = fileHeaderLen, true
	e.size.Store(t.off)
	f.mu.Lock()
	f.files[number] = e
	f.mu.Unlock()
	return t, nil
}

// resume opens the day's newest file again, so that a program that is started
// often leaves few files. A file that does not end with a whole frame stays as
// it is, for what follows a torn frame could not be found by a walk.
func (f *Files) resume(fam *family, day int32, avoid int64) *tail {
	f.mu.Lock()
	var e *file
	for _, c := range f.files {
		if c.kind == fam.kind && c.day == day && (e == nil || c.number > e.number) {
			e = c
		}
	}
	if e == nil || e.gone || e.full || e.writing || e.number == avoid || e.size.Load() >= fam.limit || f.closed {
		f.mu.Unlock()
		return nil
	}
	e.writing = true
	f.mu.Unlock()

	w, err := os.OpenFile(e.path, os.O_RDWR, 0)
	if err == nil {
		if err = endsWhole(w, e); err == nil {
			return &tail{e: e, w: w, off: e.size.Load(), named: true}
		}
		w.Close()
	}
	f.finish(e, true)
	return nil
}

// endsWhole walks the headers of a file.
func endsWhole(w *os.File, e *file) error {
	var b [fileHeaderLen]byte
	if _, err := w.ReadAt(b[:], 0); err != nil {
		return err
	}
	if err := e.header().check(b[:]); err != nil {
		return err
	}
	off, size := int64(fileHeaderLen), e.size.Load()
	for off < size {
		if _, err := w.ReadAt(b[:frameLen], off); err != nil {
			return err
		}
		h, err := parseFrame(b[:frameLen], e.number, off)
		if err != nil {
			return err
		}
		off += frameLen + int64(h.size)
	}
	if info, err := w.Stat(); err != nil || off != size || info.Size() != size {
		return fmt.Errorf("%w: torn", ErrCorrupt)
	}
	return nil
}

func (f *Files) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// finish ends the writing of a file; a full one is never resumed.
func (f *Files) finish(e *file, full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.writing = false
	e.full = e.full || full
}

// retire lets no more be written to a tail, which stays open until it is synced.
func (f *Files) retire(fam *family, t *tail) {
	delete(fam.tails, t.e.day)
	if t.dirty || t.busy {
		fam.retired = append(fam.retired, t)
		return
	}
	t.w.Close() // all of it is synced
	f.finish(t.e, false)
}

// write puts b at off of t's file, whole or with an error.
func (f *Files) write(t *tail, b []byte, off int64) error {
	n, err := f.disk.write(t.w, b, off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("body: write: %w", err)
	}
	return nil
}

// undo gives up what was written behind t.off. Cutting it off keeps a later,
// shorter write from leaving a piece of it; where even that fails the file is
// left for a new one.
func (f *Files) undo(fam *family, t *tail) {
	if err := f.disk.truncate(t.w, t.off); err != nil {
		f.mu.Lock()
		t.e.full = true
		f.mu.Unlock()
		f.retire(fam, t)
	}
}

// advance makes what was written up to off part of the file.
func (t *tail) advance(off int64) {
	t.off, t.dirty = off, true
	t.e.size.Store(off)
}

// sync makes all that was appended to a family durable.
func (f *Files) sync(fam *family) error {
	fam.syncing.Lock()
	defer fam.syncing.Unlock()

	fam.mu.Lock()
	if f.isClosed() {
		fam.mu.Unlock()
		return ErrClosed
	}
	errs := []error{fam.lost}
	fam.lost = nil
	var todo []*tail
	take := func(t *tail) {
		if t.dirty {
			t.dirty, t.busy = false, true
			todo = append(todo, t)
		}
	}
	for _, t := range fam.retired {
		take(t)
	}
	for _, t := range fam.tails {
		take(t)
	}
	fam.mu.Unlock()

	failed := f.syncTails(todo)

	fam.mu.Lock()
	defer fam.mu.Unlock()
	for i, t := range todo {
		t.busy = false
		if failed[i] != nil {
			errs = append(errs, failed[i])
			f.poison(fam, t, failed[i])
			continue
		}
		t.named = true
	}
	f.sweep(fam)
	return errors.Join(errs...)
}

// syncTails syncs the files, then the folder if it has new names. A name that
// could not be made durable fails its file.
func (f *Files) syncTails(todo []*tail) []error {
	failed := make([]error, len(todo))
	named := true
	for i, t := range todo {
		f.syncs.Add(1)
		if err := f.disk.sync(t.w); err != nil {
			failed[i] = fmt.Errorf("body: sync: %w", err)
		}
		named = named && t.named
	}
	if named {
		return failed
	}
	if err := f.disk.syncDir(f.dir); err != nil {
		for i, t := range todo {
			if failed[i] == nil && !t.named {
				failed[i] = fmt.Errorf("body: sync folder: %w", err)
			}
		}
	}
	return failed
}

// poison gives a file up after a failed sync. The system may have dropped the
// bytes and forgotten the failure, so another sync of it would prove nothing.
func (f *Files) poison(fam *family, t *tail, err error) {
	if t.dirty {
		fam.lost = err
	}
	t.dirty = false
	f.mu.Lock()
	t.e.full = true
	f.mu.Unlock()
	if fam.tails[t.e.day] == t {
		f.retire(fam, t)
	}
}

// sweep closes the retired tails that have nothing left to sync.
func (f *Files) sweep(fam *family) {
	kept := fam.retired[:0]
	for _, t := range fam.retired {
		if t.dirty || t.busy {
			kept = append(kept, t)
			continue
		}
		t.w.Close()
		f.finish(t.e, false)
	}
	clear(fam.retired[len(kept):])
	fam.retired = kept
}

func (f *Files) closeFamily(fam *family) error {
	fam.syncing.Lock()
	defer fam.syncing.Unlock()
	fam.mu.Lock()
	defer fam.mu.Unlock()
	f.mu.Lock()
	f.closed = true // before the tails go, so that none is made again
	f.mu.Unlock()
	var errs []error
	for _, t := range fam.tails {
		fam.retired = append(fam.retired, t)
	}
	for _, t := range fam.retired {
		errs = append(errs, t.w.Close())
	}
	clear(fam.tails)
	fam.retired = nil
	return errors.Join(errs...)
}
