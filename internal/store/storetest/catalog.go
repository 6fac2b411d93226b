package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// RunCatalog executes each promise of store.Catalog. open makes a new, empty
// catalog and closes it when its test ends.
func RunCatalog(t *testing.T, open func(t *testing.T) store.Catalog) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, c store.Catalog)
	}{
		{"PutGet", catalogPutGet},
		{"PutReplacesWhole", catalogPutReplacesWhole},
		{"GetMissing", catalogGetMissing},
		{"Delete", catalogDelete},
		{"ProjectsAreApart", catalogProjectsAreApart},
		{"FailureKeepsNothing", catalogFailureKeepsNothing},
		{"PanicKeepsNothing", catalogPanicKeepsNothing},
		{"TxReadsItsWrites", catalogTxReadsItsWrites},
		{"ViewCannotWrite", catalogViewCannotWrite},
		{"ViewIsConsistent", catalogViewIsConsistent},
		{"UniqueKey", catalogUniqueKey},
		{"UniqueKeyMoves", catalogUniqueKeyMoves},
		{"FindOrder", catalogFindOrder},
		{"FindAll", catalogFindAll},
		{"FindMany", catalogFindMany},
		{"FindStops", catalogFindStops},
		{"PageAndEntries", catalogPageAndEntries},
		{"WriteWhileFinding", catalogWriteWhileFinding},
		{"Serialisable", catalogSerialisable},
		{"Together", catalogTogether},
		{"Lease", catalogLease},
		{"LeaseOfOne", catalogLeaseOfOne},
		{"CanceledContext", catalogCanceledContext},
		{"OddText", catalogOddText},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

const catalogProject = "p1"

func catalogPut(t *testing.T, c store.Catalog, in string, rs ...store.Record) {
	t.Helper()
	err := c.Tx(t.Context(), in, func(tx store.Tx) error {
		for _, r := range rs {
			if err := tx.Put(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("put: %v", err)
	}
}

func catalogGet(t *testing.T, c store.Catalog, in, kind, id string) (store.Record, error) {
	t.Helper()
	var r store.Record
	err := c.View(t.Context(), in, func(tx store.Tx) (err error) {
		r, err = tx.Get(kind, id)
		return err
	})
	return r, err
}

// catalogFound is the ids that Find lists.
func catalogFound(t *testing.T, c store.Catalog, in, kind, name, value, after string) []string {
	t.Helper()
	var ids []string
	err := c.View(t.Context(), in, func(tx store.Tx) error {
		ids = nil
		for r, err := range tx.Find(kind, name, value, after) {
			if err != nil {
				return err
			}
			ids = append(ids, r.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("find %s by %s=%q after %q: %v", kind, name, value, after, err)
	}
	return ids
}

func catalogWantCode(t *testing.T, what string, err error, want domain.Code) {
	t.Helper()
	if got := domain.CodeOf(err); got != want {
		t.Errorf("%s: code %q (%v), want %q", what, got, err, want)
	}
}

func catalogPutGet(t *testing.T, c store.Catalog) {
	want := store.Record{Kind: "prompt", ID: "a", Value: []byte("text\x00\xff"), Keys: []store.Key{
		{Name: "label", Value: "production"},
		{Name: "name", Value: "greet", Sort: "1", Unique: true},
	}}
	catalogPut(t, c, catalogProject, want)
	got, err := catalogGet(t, c, catalogProject, "prompt", "a")
	if err != nil {
		t.Fatal(err)
	}
	want.Keys = nil
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("record through the catalog and back (-want +got):\n%s", d)
	}
	catalogPut(t, c, catalogProject, store.Record{Kind: "prompt", ID: "empty"})
	if got, err := catalogGet(t, c, catalogProject, "prompt", "empty"); err != nil || len(got.Value) != 0 || len(got.Keys) != 0 {
		t.Errorf("record without value and keys: %v, %v", got, err)
	}
}

func catalogPutReplacesWhole(t *testing.T, c store.Catalog) {
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "a", Value: []byte("1"), Keys: []store.Key{{Name: "n", Value: "old"}}})
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "a", Value: []byte("2"), Keys: []store.Key{{Name: "n", Value: "new"}}})
	got, err := catalogGet(t, c, catalogProject, "k", "a")
	if err != nil || string(got.Value) != "2" {
		t.Errorf("after the second put: %q, %v; want \"2\"", got.Value, err)
	}
	if ids := catalogFound(t, c, catalogProject, "k", "n", "old", ""); len(ids) != 0 {
		t.Errorf("by the key it had: %v, want nothing", ids)
	}
	if ids := catalogFound(t, c, catalogProject, "k", "n", "new", ""); len(ids) != 1 {
		t.Errorf("by the key it has: %v, want one", ids)
	}
}

func catalogGetMissing(t *testing.T, c store.Catalog) {
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "a"})
	_, err := catalogGet(t, c, catalogProject, "k", "b")
	catalogWantCode(t, "an id that is not there", err, domain.NotFound)
	_, err = catalogGet(t, c, catalogProject, "other", "a")
	catalogWantCode(t, "an id of another kind", err, domain.NotFound)
}

func catalogDelete(t *testing.T, c store.Catalog) {
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "a", Keys: []store.Key{{Name: "n", Value: "v", Unique: true}}})
	for range 2 { // the second time it is not there, which is no error
		if err := c.Tx(t.Context(), catalogProject, func(tx store.Tx) error { return tx.Delete("k", "a") }); err != nil {
			t.Fatalf("delete: %v", err)
		}
	}
	_, err := catalogGet(t, c, catalogProject, "k", "a")
	catalogWantCode(t, "after the delete", err, domain.NotFound)
	if ids := catalogFound(t, c, catalogProject, "k", "n", "v", ""); len(ids) != 0 {
		t.Errorf("by its key after the delete: %v", ids)
	}
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "b", Keys: []store.Key{{Name: "n", Value: "v", Unique: true}}})
}

func catalogProjectsAreApart(t *testing.T, c store.Catalog) {
	keys := []store.Key{{Name: "n", Value: "v", Unique: true}}
	for _, p := range []string{"", "p1", "p2"} {
		catalogPut(t, c, p, store.Record{Kind: "k", ID: "a", Value: []byte(p), Keys: keys})
	}
	for _, p := range []string{"", "p1", "p2"} {
		got, err := catalogGet(t, c, p, "k", "a")
		if err != nil || string(got.Value) != p {
			t.Errorf("in catalogProject %q: %q, %v", p, got.Value, err)
		}
		if ids := catalogFound(t, c, p, "k", "n", "v", ""); len(ids) != 1 {
			t.Errorf("in catalogProject %q by key: %v, want one", p, ids)
		}
		if ids := catalogFound(t, c, p, "k", "", "", ""); len(ids) != 1 {
			t.Errorf("all in catalogProject %q: %v, want one", p, ids)
		}
	}
	if err := c.Tx(t.Context(), "p1", func(tx store.Tx) error { return tx.Delete("k", "a") }); err != nil {
		t.Fatal(err)
	}
	if _, err := catalogGet(t, c, "p2", "k", "a"); err != nil {
		t.Errorf("in p2 after a delete in p1: %v", err)
	}
}

func catalogFailureKeepsNothing(t *testing.T, c store.Catalog) {
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "a", Value: []byte("old")})
	mine := errors.New("changed my mind")
	err := c.Tx(t.Context(), catalogProject, func(tx store.Tx) error {
		if err := tx.Put(store.Record{Kind: "k", ID: "a", Value: []byte("new")}); err != nil {
			return err
		}
		if err := tx.Put(store.Record{Kind: "k", ID: "b"}); err != nil {
			return err
		}
		return mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("the error of f: %v, want %v", err, mine)
	}
	if got, err := catalogGet(t, c, catalogProject, "k", "a"); err != nil || string(got.Value) != "old" {
		t.Errorf("after the failure: %q, %v; want \"old\"", got.Value, err)
	}
	_, err = catalogGet(t, c, catalogProject, "k", "b")
	catalogWantCode(t, "what the failed transaction put", err, domain.NotFound)
}

func catalogPanicKeepsNothing(t *testing.T, c store.Catalog) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic of f did not come through")
			}
		}()
		_ = c.Tx(t.Context(), catalogProject, func(tx store.Tx) error {
			_ = tx.Put(store.Record{Kind: "k", ID: "a"})
			panic("in f")
		})
	}()
	_, err := catalogGet(t, c, catalogProject, "k", "a")
	catalogWantCode(t, "what was put before the panic", err, domain.NotFound)
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "b"}) // and it goes on
}

func catalogTxReadsItsWrites(t *testing.T, c store.Catalog) {
	err := c.Tx(t.Context(), catalogProject, func(tx store.Tx) error {
		r := store.Record{Kind: "k", ID: "a", Value: []byte("1"), Keys: []store.Key{{Name: "n", Value: "v"}}}
		if err := tx.Put(r); err != nil {
			return err
		}
		got, err := tx.Get("k", "a")
		if err != nil {
			return err
		}
		r.Keys = nil
		if d := cmp.Diff(r, got); d != "" {
			t.Errorf("get in the transaction (-want +got):\n%s", d)
		}
		n := 0
		for _, err := range tx.Find("k", "n", "v", "") {
			if err != nil {
				return err
			}
			n++
		}
		if n != 1 {
			t.Errorf("find in the transaction: %d records, want 1", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func catalogViewCannotWrite(t *testing.T, c store.Catalog) {
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "a"})
	err := c.View(t.Context(), catalogProject, func(tx store.Tx) error {
		if err := tx.Put(store.Record{Kind: "k", ID: "b"}); err == nil {
			t.Error("a put in a view went through")
		}
		if err := tx.Delete("k", "a"); err == nil {
			t.Error("a delete in a view went through")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if ids := catalogFound(t, c, catalogProject, "k", "", "", ""); !cmp.Equal(ids, []string{"a"}) {
		t.Errorf("after writing in a view: %v, want [a]", ids)
	}
}

func catalogViewIsConsistent(t *testing.T, c store.Catalog) {
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "a", Value: []byte("1")}, store.Record{Kind: "k", ID: "b", Value: []byte("1")})
	err := c.View(t.Context(), catalogProject, func(tx store.Tx) error {
		if _, err := tx.Get("k", "a"); err != nil {
			return err
		}
		catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "a", Value: []byte("2")}, store.Record{Kind: "k", ID: "b", Value: []byte("2")})
		got, err := tx.Get("k", "b")
		if err != nil {
			return err
		}
		if string(got.Value) != "1" {
			t.Errorf("b in a view from before its change: %q, want \"1\"", got.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := catalogGet(t, c, catalogProject, "k", "b"); err != nil || string(got.Value) != "2" {
		t.Errorf("b in a later view: %q, %v; want \"2\"", got.Value, err)
	}
}

func catalogUniqueKey(t *testing.T, c store.Catalog) {
	key := func(name, value string) []store.Key { return []store.Key{{Name: name, Value: value, Unique: true}} }
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "a", Keys: key("n", "v")})
	for _, r := range []store.Record{
		{Kind: "k", ID: "a", Keys: key("n", "v")},     // its own
		{Kind: "k", ID: "b", Keys: key("n", "other")}, // another value
		{Kind: "k", ID: "c", Keys: key("other", "v")}, // another name
		{Kind: "other", ID: "d", Keys: key("n", "v")}, // another kind
		{Kind: "k", ID: "e", Keys: []store.Key{{Name: "plain", Value: "v"}}},
		{Kind: "k", ID: "f", Keys: []store.Key{{Name: "plain", Value: "v"}}}, // not unique
	} {
		catalogPut(t, c, catalogProject, r)
	}
	err := c.Tx(t.Context(), catalogProject, func(tx store.Tx) error {
		// A record with other keys, to see that all of it stays out.
		if err := tx.Put(store.Record{Kind: "k", ID: "z", Keys: []store.Key{{Name: "plain", Value: "v"}, key("n", "v")[0]}}); err != nil {
			return err
		}
		return nil
	})
	catalogWantCode(t, "a key that another record holds", err, domain.Conflict)
	if ids := catalogFound(t, c, catalogProject, "k", "plain", "v", ""); !cmp.Equal(ids, []string{"e", "f"}) {
		t.Errorf("after the conflict: %v, want [e f]", ids)
	}
}

func catalogUniqueKeyMoves(t *testing.T, c store.Catalog) {
	key := []store.Key{{Name: "label", Value: "production", Unique: true}}
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "a", Keys: key})
	err := c.Tx(t.Context(), catalogProject, func(tx store.Tx) error {
		if err := tx.Put(store.Record{Kind: "k", ID: "a"}); err != nil {
			return err
		}
		return tx.Put(store.Record{Kind: "k", ID: "b", Keys: key})
	})
	if err != nil {
		t.Fatalf("moving a unique key in one transaction: %v", err)
	}
	if ids := catalogFound(t, c, catalogProject, "k", "label", "production", ""); !cmp.Equal(ids, []string{"b"}) {
		t.Errorf("who has the key: %v, want [b]", ids)
	}
}

func catalogWriteWhileFinding(t *testing.T, c store.Catalog) {
	for i := range 100 {
		catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: fmt.Sprintf("%03d", i)})
	}
	err := c.Tx(t.Context(), catalogProject, func(tx store.Tx) error {
		for r, err := range tx.Find("k", "", "", "") {
			if err != nil {
				return err
			}
			if err := tx.Delete("k", r.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := catalogFound(t, c, catalogProject, "k", "", "", ""); len(got) != 0 {
		t.Errorf("after deleting each record found: %v", got)
	}
}

// Two transactions that both read and then write one record behave as if one
// came after the other.
func catalogSerialisable(t *testing.T, c store.Catalog) {
	catalogPut(t, c, catalogProject, store.Record{Kind: "counter", ID: "n"})
	const workers, each = 4, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				err := c.Tx(t.Context(), catalogProject, func(tx store.Tx) error {
					r, err := tx.Get("counter", "n")
					if err != nil {
						return err
					}
					r.Value = append(r.Value, 'x')
					return tx.Put(r)
				})
				if err != nil {
					t.Errorf("transaction: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if r, err := catalogGet(t, c, catalogProject, "counter", "n"); err != nil || len(r.Value) != workers*each {
		t.Errorf("counted %d, %v; want %d", len(r.Value), err, workers*each)
	}
}

func catalogLease(t *testing.T, c store.Catalog) {
	lease := func(name, holder string, ttl time.Duration, want bool) {
		t.Helper()
		got, err := c.Lease(t.Context(), name, holder, ttl)
		if err != nil || got != want {
			t.Errorf("lease of %s by %s: %v, %v; want %v", name, holder, got, err, want)
		}
	}
	lease("seal", "a", time.Hour, true)
	lease("seal", "b", time.Hour, false)
	lease("other", "b", time.Hour, true)
	lease("seal", "a", 0, true) // prolonged, to now
	lease("seal", "b", time.Hour, true)
	lease("seal", "a", time.Hour, false)
}

func catalogLeaseOfOne(t *testing.T, c store.Catalog) {
	var held atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ok, err := c.Lease(t.Context(), "one", fmt.Sprint(i), time.Hour)
			if err != nil {
				t.Errorf("lease: %v", err)
			}
			if ok {
				held.Add(1)
			}
		})
	}
	wg.Wait()
	if held.Load() != 1 {
		t.Errorf("%d of 8 have the lease, want 1", held.Load())
	}
}

func catalogCanceledContext(t *testing.T, c store.Catalog) {
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Tx(ctx, catalogProject, func(tx store.Tx) error {
		if err := tx.Put(store.Record{Kind: "k", ID: "a"}); err != nil {
			return err
		}
		cancel()
		return nil
	})
	catalogWantCode(t, "a transaction whose context ended", err, domain.Canceled)
	_, err = catalogGet(t, c, catalogProject, "k", "a")
	catalogWantCode(t, "what it put", err, domain.NotFound)
	catalogWantCode(t, "a view with an ended context", c.View(ctx, catalogProject, func(store.Tx) error { return nil }), domain.Canceled)
	_, err = c.Lease(ctx, "l", "h", time.Hour)
	catalogWantCode(t, "a lease with an ended context", err, domain.Canceled)
}

// Ids and keys are people's text.
func catalogOddText(t *testing.T, c store.Catalog) {
	for _, text := range []string{"a/b", "naïve 名前", "'quote\"", "100%_", "nul\x00nul", strings.Repeat("long ", 500)} {
		catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: text, Keys: []store.Key{{Name: "n", Value: text, Sort: text, Unique: true}}})
		if r, err := catalogGet(t, c, catalogProject, "k", text); err != nil || r.ID != text {
			t.Errorf("id %q: %q, %v", text, r.ID, err)
		}
		if ids := catalogFound(t, c, catalogProject, "k", "n", text, ""); !cmp.Equal(ids, []string{text}) {
			t.Errorf("by key %q: %q", text, ids)
		}
	}
}
