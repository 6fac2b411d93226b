package body

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
)

// file is a file of the folder and its handle for readers. The writer has a
// handle of its own, so that readers' handles can come and go.
type file struct {
	number int64
	kind   Kind
	day    int32
	path   string
	size   atomic.Int64 // end of the last whole frame while written, else of the file

	// guarded by Files.mu
	r       *os.File
	refs    int   // reads that use r
	used    int64 // tick of the last read
	writing bool  // a tail is open: not to be removed
	full    bool  // no tail may be opened again
	gone    bool  // being removed
}

func (e *file) header() fileHeader { return fileHeader{e.kind, e.day, e.number} }

// acquire opens a file for a read, which must end with release.
func (f *Files) acquire(number int64) (*file, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	e := f.files[number]
	if e == nil || e.gone {
		return nil, fmt.Errorf("%w: %d", ErrGone, number)
	}
	if e.r == nil {
		r, err := openReader(e)
		if err != nil {
			return nil, err
		}
		e.r = r
		f.open = append(f.open, e)
	}
	e.refs++
	f.tick++
	e.used = f.tick
	f.evict()
	return e, nil
}

func openReader(e *file) (*os.File, error) {
	r, err := os.Open(e.path)
	if errors.Is(err, fs.ErrNotExist) {
		// Not ErrGone: that one promises that the bytes are elsewhere.
		return nil, fmt.Errorf("%w: %s is missing", ErrCorrupt, e.path)
	}
	if err != nil {
		return nil, fmt.Errorf("body: open: %w", err)
	}
	var b [fileHeaderLen]byte
	if _, err = r.ReadAt(b[:], 0); err == nil || errors.Is(err, io.EOF) {
		err = e.header().check(b[:])
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("%s: %w", e.path, err)
	}
	return r, nil
}

// evict closes the handle that was used longest ago while there are too many.
func (f *Files) evict() {
	for len(f.open) > f.opts.OpenFiles {
		var oldest *file
		for _, e := range f.open {
			if e.refs == 0 && (oldest == nil || e.used < oldest.used) {
				oldest = e
			}
		}
		if oldest == nil {
			return // all are being read; release brings us back below
		}
		f.closeReader(oldest) // a handle that was only read from: nothing can be lost
	}
}

func (f *Files) release(e *file) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.refs--
	switch {
	case e.refs > 0:
	case e.gone:
		f.released.Broadcast()
	case f.closed:
		f.closeReader(e)
	default:
		f.evict()
	}
}

func (f *Files) closeReader(e *file) error {
	if e.r == nil {
		return nil
	}
	err := e.r.Close()
	e.r = nil
	f.open = slices.DeleteFunc(f.open, func(o *file) bool { return o == e })
	return err
}

// readAt fills b from e. Bytes that are not there are damage, not an I/O error.
func readAt(e *file, b []byte, off int64) error {
	n, err := e.r.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: file ends at %d", ErrCorrupt, off+int64(n))
	}
	return fmt.Errorf("body: read: %w", err)
}

// hold acquires the file of a place whose frame must lie in it.
func (f *Files) hold(p Place, kind Kind) (*file, error) {
	e, err := f.acquire(p.File)
	if err != nil {
		return nil, err
	}
	size := e.size.Load()
	if e.kind != kind || p.Off < fileHeaderLen || p.Len < frameLen || p.Len > maxFrame || p.Off > size-p.Len {
		f.release(e)
		return nil, fmt.Errorf("%w: no such place in a %s file of %d bytes", ErrCorrupt, e.kind, size)
	}
	return e, nil
}

// Remove unlinks a file once no read holds it. From the call on, new reads of
// its places fail with ErrGone; reads that had begun finish, and Remove waits
// for them. A number that is not there is no error, so that a removal can be
// repeated. A file that is written to, or not yet synced, is refused with
// ErrBusy: rotate and sync first. That nobody is about to keep a place in it,
// one just synced and not yet committed, the caller must know. The unlinking itself is not synced: after a
// power cut the file may be back, for its owner to remove again at start.
func (f *Files) Remove(number int64) error {
	f.removing.Lock()
	defer f.removing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.files[number]
	switch {
	case f.closed:
		return ErrClosed
	case e == nil:
		return nil
	case e.writing:
		return fmt.Errorf("%w: %d", ErrBusy, number)
	}
	e.gone = true
	for e.refs > 0 {
		f.released.Wait()
	}
	err := f.closeReader(e) // before the unlinking, as Windows wants it

	f.mu.Unlock() // freeing a large file takes its time
	if rerr := f.disk.remove(e.path); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	f.mu.Lock()
	if err != nil {
		e.gone = false // still there: readable, listed, to be removed again
		return fmt.Errorf("body: remove: %w", err)
	}
	delete(f.files, number)
	return nil
}
