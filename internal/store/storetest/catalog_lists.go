package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clewhq/clew/internal/store"
)

func catalogFindOrder(t *testing.T, c store.Catalog) {
	for _, r := range []struct{ id, sort string }{{"d", "1"}, {"a", "2"}, {"c", "1"}, {"b", ""}, {"e", "10"}} {
		catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: r.id, Keys: []store.Key{{Name: "n", Value: "v", Sort: r.sort}}})
	}
	catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: "x", Keys: []store.Key{{Name: "n", Value: "w"}}})
	all := []string{"b", "c", "d", "e", "a"} // by sort as text, then id
	if got := catalogFound(t, c, catalogProject, "k", "n", "v", ""); !cmp.Equal(got, all) {
		t.Errorf("in order: %v, want %v", got, all)
	}
	for i, id := range all {
		got := catalogFound(t, c, catalogProject, "k", "n", "v", id)
		if strings.Join(got, " ") != strings.Join(all[i+1:], " ") {
			t.Errorf("after %s: %v, want %v", id, got, all[i+1:])
		}
	}
}

func catalogFindAll(t *testing.T, c store.Catalog) {
	for _, id := range []string{"c", "a", "b"} {
		catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: id, Value: []byte("of " + id), Keys: []store.Key{{Name: "n", Value: id}}})
	}
	catalogPut(t, c, catalogProject, store.Record{Kind: "l", ID: "d"})
	if got := catalogFound(t, c, catalogProject, "k", "", "", ""); !cmp.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("all of a kind: %v, want [a b c]", got)
	}
	if got := catalogFound(t, c, catalogProject, "k", "", "", "a"); !cmp.Equal(got, []string{"b", "c"}) {
		t.Errorf("all after a: %v, want [b c]", got)
	}
	if got := catalogFound(t, c, catalogProject, "k", "", "", "bb"); !cmp.Equal(got, []string{"c"}) {
		t.Errorf("all after an id that is not there: %v, want [c]", got)
	}
	err := c.View(t.Context(), catalogProject, func(tx store.Tx) error {
		for r, err := range tx.Find("k", "n", "b", "") {
			if err != nil {
				return err
			}
			want := store.Record{Kind: "k", ID: "b", Value: []byte("of b")}
			if d := cmp.Diff(want, r); d != "" {
				t.Errorf("found record (-want +got):\n%s", d)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func catalogFindMany(t *testing.T, c store.Catalog) {
	const n = 300 // more than an engine may read at once
	var rs []store.Record
	for i := range n {
		rs = append(rs, store.Record{Kind: "k", ID: fmt.Sprintf("%04d", n-i), Keys: []store.Key{{Name: "n", Value: "v", Sort: fmt.Sprint(i % 7)}}})
	}
	catalogPut(t, c, catalogProject, rs...)
	for _, name := range []string{"", "n"} {
		got := catalogFound(t, c, catalogProject, "k", name, "v", "")
		seen := map[string]bool{}
		for _, id := range got {
			seen[id] = true
		}
		if len(got) != n || len(seen) != n {
			t.Errorf("find by %q: %d records, %d different ones; want %d", name, len(got), len(seen), n)
		}
	}
}

// Page and Entries list what Find lists, in its order.
func catalogPageAndEntries(t *testing.T, c store.Catalog) {
	const n = 2500 // more than an engine may read at once
	var rs []store.Record
	for i := range n {
		id := fmt.Sprintf("%04d", (i*7919)%n)
		rs = append(rs, store.Record{Kind: "k", ID: id, Value: []byte(id), Keys: []store.Key{
			{Name: "n", Value: "v", Sort: fmt.Sprintf("%03d", i%50)}, {Name: "n", Value: "w"}, {Name: "m", Value: "v"},
		}})
	}
	catalogPut(t, c, catalogProject, rs...)
	all := catalogFound(t, c, catalogProject, "k", "n", "v", "")
	err := c.View(t.Context(), catalogProject, func(tx store.Tx) error {
		for _, from := range []string{"", "000", "020", "0205", "049", "05"} {
			var entries []store.Entry
			for e, err := range tx.Entries("k", "n", "v", from) {
				if err != nil {
					return err
				}
				entries = append(entries, e)
			}
			var ids, want []string
			for _, e := range entries {
				ids = append(ids, e.ID)
			}
			for i, id := range all {
				if fmt.Sprintf("%03d", i/(n/50)) >= from {
					want = append(want, id)
				}
			}
			if d := cmp.Diff(want, ids); d != "" {
				t.Errorf("entries from %q (-want +got):\n%s", from, d)
			}
			for _, skip := range []int{0, 1, 999, len(want) - 1, len(want), n} {
				page, err := tx.Page("k", "n", "v", from, max(skip, 0), 3)
				if err != nil {
					return err
				}
				var got []string
				for _, r := range page {
					got = append(got, string(r.Value))
				}
				rest := want[min(max(skip, 0), len(want)):]
				if d := cmp.Diff(rest[:min(3, len(rest))], got, cmpopts.EquateEmpty()); d != "" {
					t.Errorf("page from %q after %d (-want +got):\n%s", from, skip, d)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func catalogFindStops(t *testing.T, c store.Catalog) {
	for _, id := range []string{"a", "b", "c"} {
		catalogPut(t, c, catalogProject, store.Record{Kind: "k", ID: id})
	}
	err := c.Tx(t.Context(), catalogProject, func(tx store.Tx) error {
		for _, err := range tx.Find("k", "", "", "") {
			if err != nil {
				return err
			}
			break
		}
		return tx.Put(store.Record{Kind: "k", ID: "d"})
	})
	if err != nil {
		t.Errorf("a put after half a listing: %v", err)
	}
}
