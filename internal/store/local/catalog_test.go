package local_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
	"github.com/clewhq/clew/internal/store/storetest"
)

func openCatalog(t *testing.T, path string) *local.Catalog {
	t.Helper()
	c, err := local.OpenCatalog(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func TestCatalog(t *testing.T) {
	storetest.RunCatalog(t, func(t *testing.T) store.Catalog {
		return openCatalog(t, filepath.Join(t.TempDir(), "catalog.db"))
	})
}

func putOne(t *testing.T, c store.Catalog, id string) {
	t.Helper()
	err := c.Tx(t.Context(), "p", func(tx store.Tx) error {
		return tx.Put(store.Record{Kind: "k", ID: id, Value: []byte("v"), Keys: []store.Key{{Name: "n", Value: id}}})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is committed is there after a restart, and without one for a second
// handle on the file.
func TestCatalogReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog with ?#% in its name.db")
	c, err := local.OpenCatalog(path)
	if err != nil {
		t.Fatal(err)
	}
	putOne(t, c, "a")
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file has another name: %v", err)
	}
	other := openCatalog(t, path)
	putOne(t, other, "b")
	for _, id := range []string{"a", "b"} {
		if err := c.View(t.Context(), "p", func(tx store.Tx) error { _, err := tx.Get("k", id); return err }); err != nil {
			t.Errorf("%s through the first handle: %v", id, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := openCatalog(t, path)
	if err := again.View(t.Context(), "p", func(tx store.Tx) error { _, err := tx.Get("k", "a"); return err }); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := local.CheckCatalog(t.Context(), path); err != nil {
		t.Errorf("check of a sound file: %v", err)
	}
}

func TestCatalogRefuses(t *testing.T) {
	newer := filepath.Join(t.TempDir(), "newer.db")
	db, err := sql.Open("sqlite", newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 999"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	rubbish := filepath.Join(t.TempDir(), "rubbish.db")
	if err := os.WriteFile(rubbish, []byte(strings.Repeat("not a database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{newer, "newer than this release"},
		{rubbish, "the file is damaged"},
		{filepath.Join(t.TempDir(), "no", "such", "folder.db"), "cannot be written"},
	} {
		got, err := local.OpenCatalog(c.path)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("open %s: %v; want an error with %q", filepath.Base(c.path), err, c.want)
		}
		if got != nil {
			t.Errorf("open %s: a catalog beside the error", filepath.Base(c.path))
		}
	}
	if b, err := os.ReadFile(rubbish); err != nil || !strings.HasPrefix(string(b), "not a database") {
		t.Errorf("the refused file was changed: %v", err)
	}
}

func TestCheckCatalogFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c, err := local.OpenCatalog(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		putOne(t, c, strings.Repeat("x", 100)+string(rune('a'+i)))
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 3 * 4096; i < 5*4096 && i < len(raw); i++ {
		raw[i] = 0xaa
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := local.CheckCatalog(t.Context(), path); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("check of a damaged file: %v", err)
	}
	if err := local.CheckCatalog(context.Background(), path+".missing"); err == nil {
		t.Error("check of a missing file found nothing wrong")
	}
	if _, err := os.Stat(path + ".missing"); !os.IsNotExist(err) {
		t.Errorf("the check made the file: %v", err)
	}
}

// A commit is durable only if every connection syncs.
func TestCatalogPragmas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := openCatalog(t, path)
	got, err := c.Pragmas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got["journal_mode"] != "wal" || got["synchronous"] != "2" {
		t.Errorf("pragmas of the writing connection: %v; want wal and 2 (FULL)", got)
	}
}

func TestCatalogFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := openCatalog(t, path)
	putOne(t, c, "before")
	if err := c.LimitPages(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	err := c.Tx(t.Context(), "p", func(tx store.Tx) error {
		return tx.Put(store.Record{Kind: "k", ID: "big", Value: make([]byte, 1<<20)})
	})
	if domain.CodeOf(err) != domain.Unavailable {
		t.Errorf("a write to a full disk: %v, want %s", err, domain.Unavailable)
	}
	putOne(t, c, "after") // what fits still does
}
