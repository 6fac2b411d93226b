package blob_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/clewhq/clew/internal/blob"
	"github.com/clewhq/clew/internal/domain"
)

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPutAndOpen(t *testing.T) {
	dir := t.TempDir()
	d, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("content "), 10_000)
	h := blob.Hash(sha256.Sum256(data))
	if d.Has(h) {
		t.Error("it is there before it was put")
	}
	for range 2 { // again is no error, and kept once
		if err := d.Put(t.Context(), bytes.NewReader(data), int64(len(data)), h); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(files(t, dir)); n != 1 {
		t.Errorf("%d files, want one", n)
	}
	again, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := again.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v; want the %d put", len(got), err, len(data))
	}
	if err := blob.Check(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

// What is not what was announced leaves nothing.
func TestPutRefuses(t *testing.T) {
	dir := t.TempDir()
	d, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := blob.Hash(sha256.Sum256([]byte("abc")))
	for name, r := range map[string]io.Reader{
		"shorter": strings.NewReader("ab"), "longer": strings.NewReader("abcd"), "other": strings.NewReader("abd"),
		"cut": io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(errors.New("connection reset"))),
	} {
		if err := d.Put(t.Context(), r, 3, h); domain.CodeOf(err) != domain.Invalid {
			t.Errorf("%s: %v, want it invalid", name, err)
		}
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("it left %v", got)
	}
	if _, err := d.Open(h); domain.CodeOf(err) != domain.NotFound {
		t.Errorf("open: %v, want not found", err)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	dir := t.TempDir()
	if err := blob.Check(t.Context(), filepath.Join(dir, "missing")); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
	d, err := blob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := blob.Hash(sha256.Sum256([]byte("abc")))
	if err := d.Put(t.Context(), strings.NewReader("abc"), 3, h); err != nil {
		t.Fatal(err)
	}
	name := files(t, dir)[0]
	if err := os.WriteFile(name, []byte("abd"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := blob.Check(t.Context(), dir); err == nil || !strings.Contains(err.Error(), hex.EncodeToString(h[:])[2:]) {
		t.Errorf("check of a damaged content: %v", err)
	}
}

// What an end without notice left is gone after the next start.
func TestOpenCleans(t *testing.T) {
	dir := t.TempDir()
	if _, err := blob.Open(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "incoming", "half"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Open(dir); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}
