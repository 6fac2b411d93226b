// Package blob keeps large binary contents as files named by the SHA-256 of
// what they hold, so that the same content is kept once and a file that is
// there is whole.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/clewhq/clew/internal/domain"
)

// Hash is the SHA-256 of a content, by which it is known.
type Hash [sha256.Size]byte

// Dir keeps contents in a folder. It is safe for concurrent use.
type Dir struct{ path string }

// incoming is where contents are written before they have their name.
const incoming = "incoming"

// Open makes the folder where it is missing and removes what an end without
// notice left half written.
func Open(path string) (*Dir, error) {
	d := &Dir{path}
	if err := os.RemoveAll(filepath.Join(path, incoming)); err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(path, incoming), 0o700); err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	return d, nil
}

// name spreads contents over 256 folders, which any file system can list.
func (d *Dir) name(h Hash) string {
	text := hex.EncodeToString(h[:])
	return filepath.Join(d.path, text[:2], text[2:])
}

// Has reports whether the content is there.
func (d *Dir) Has(h Hash) bool {
	_, err := os.Stat(d.name(h))
	return err == nil
}

// Remove removes a content; one that is not there is no error.
func (d *Dir) Remove(h Hash) error {
	if err := os.Remove(d.name(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unavailable(err)
	}
	return nil
}

// Put writes a content of that many bytes, in memory that does not grow with
// it. What has another length or hash is domain.Invalid, and nothing is kept of
// it; on return without an error the content is on disk.
func (d *Dir) Put(ctx context.Context, r io.Reader, size int64, want Hash) error {
	f, err := os.CreateTemp(filepath.Join(d.path, incoming), "")
	if err != nil {
		return unavailable(err)
	}
	defer os.Remove(f.Name()) // once it has its own name this removes nothing
	err = write(ctx, f, r, size, want)
	if closeErr := f.Close(); err == nil {
		err = unavailable(closeErr)
	}
	if err != nil {
		return err
	}
	name := d.name(want)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return unavailable(err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return unavailable(err)
	}
	// The file's name, and that of its folder, which may be new.
	return errors.Join(syncDir(filepath.Dir(name)), syncDir(d.path))
}

func write(ctx context.Context, f *os.File, r io.Reader, size int64, want Hash) error {
	sum := sha256.New()
	// One byte more shows that there is more than was announced.
	n, err := io.Copy(contextWriter{ctx, f, sum}, io.LimitReader(r, size+1))
	if err != nil {
		if we, ok := errors.AsType[*writeError](err); ok {
			return unavailable(we.error)
		}
		return &domain.Error{Code: domain.Invalid, Msg: "the upload ended early: " + err.Error(), Err: err}
	}
	if n != size {
		return domain.Errorf(domain.Invalid, "the content is not the %d bytes long that were announced", size)
	}
	if Hash(sum.Sum(nil)) != want {
		return domain.Errorf(domain.Invalid, "the content does not have the SHA-256 that was announced")
	}
	return unavailable(f.Sync())
}

// contextWriter hashes what it writes and stops when ctx ends.
type contextWriter struct {
	ctx  context.Context
	file *os.File
	sum  hash.Hash
}

// writeError tells a failure to write from one to read.
type writeError struct{ error }

// Write implements io.Writer.
func (w contextWriter) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	w.sum.Write(b)
	n, err := w.file.Write(b)
	if err != nil {
		return n, &writeError{err}
	}
	return n, nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return unavailable(err)
	}
	defer f.Close()
	// Not every file system can sync a folder; those that cannot need not.
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return unavailable(err)
	}
	return nil
}

// unavailable is a failure of the disk as a domain error: the caller may try again.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	msg := "the data folder cannot be written"
	if errors.Is(err, syscall.ENOSPC) {
		msg = "the disk is full"
	}
	return &domain.Error{Code: domain.Unavailable, Msg: msg, Err: err}
}

// Open opens a content for reading; domain.NotFound.
func (d *Dir) Open(h Hash) (*os.File, error) {
	f, err := os.Open(d.name(h))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, domain.Errorf(domain.NotFound, "content %x not found", h)
	}
	return f, err
}

// Check reads every content below path and reports the first that is not what
// its name says. A folder that is not there holds none.
func Check(ctx context.Context, path string) error {
	return filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == path:
			return nil
		case err != nil:
			return err
		case e.IsDir() && e.Name() == incoming:
			return filepath.SkipDir
		case e.IsDir():
			return ctx.Err()
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != filepath.Base(filepath.Dir(name))+e.Name() {
			return fmt.Errorf("check blobs: damaged: %s holds content with the SHA-256 %s", name, got)
		}
		return nil
	})
}
