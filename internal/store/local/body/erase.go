package body

import (
	"errors"
	"fmt"
	"os"
)

// Erase overwrites the chunks and blocks at these places with zeros, durably:
// their bytes are gone from the files when it returns, and whoever still asks
// for one gets ErrGone. The frames themselves stay, so that a file can still be
// walked. Repeating it is harmless. A place whose file is gone is no error.
func (f *Files) Erase(places []Place) error {
	byFile := map[int64][]Place{}
	for _, p := range places {
		byFile[p.File] = append(byFile[p.File], p)
	}
	var errs []error
	for number, in := range byFile {
		if err := f.eraseIn(number, in); err != nil && !errors.Is(err, ErrGone) {
			errs = append(errs, fmt.Errorf("erase in file %d: %w", number, err))
		}
	}
	return errors.Join(errs...)
}

func (f *Files) eraseIn(number int64, places []Place) (err error) {
	e, err := f.acquire(number) // for as long as it is written to, it stays
	if err != nil {
		return err
	}
	defer f.release(e)
	w, err := os.OpenFile(e.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	zeros := make([]byte, 64<<10)
	for _, p := range places {
		if p.Len < frameLen || p.Off < fileHeaderLen || p.Off+p.Len > e.size.Load() {
			return fmt.Errorf("%w: no frame lies there", ErrCorrupt)
		}
		// The header first: from then on the frame counts as erased, however
		// far the zeros got.
		head := make([]byte, frameLen)
		frame{typ: typeErased, size: uint32(p.Len - frameLen)}.put(head, p.File, p.Off)
		if err := f.overwrite(w, head, p.Off); err != nil {
			return err
		}
		for off, end := p.Off+frameLen, p.Off+p.Len; off < end; off += int64(len(zeros)) {
			if err := f.overwrite(w, zeros[:min(int64(len(zeros)), end-off)], off); err != nil {
				return err
			}
		}
	}
	f.syncs.Add(1)
	return f.disk.sync(w)
}

// overwrite writes all of b inside a file that others append to.
func (f *Files) overwrite(w *os.File, b []byte, off int64) error {
	_, err := f.disk.write(w, b, off)
	return err
}
