package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// Transactions that come at once may be committed together, but each stands or
// falls by itself: one that fails, conflicts, panics or is given up takes
// nothing of its neighbours with it.
func catalogTogether(t *testing.T, c store.Catalog) {
	const writers, each = 8, 15
	mine := errors.New("changed my mind")
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", w, i)
				ctx, cancel := context.WithCancel(t.Context())
				panicked, err := caught(func() error {
					return c.Tx(ctx, catalogProject, func(tx store.Tx) error {
						r := store.Record{Kind: "k", ID: id, Keys: []store.Key{{Name: "n", Value: id, Unique: true}}}
						if i%5 == 4 {
							r.Keys[0].Value = fmt.Sprintf("%d-%d", w, i-4) // taken
						}
						if err := tx.Put(r); err != nil {
							return err
						}
						switch i % 5 {
						case 1:
							return mine
						case 2:
							panic(mine)
						case 3:
							cancel()
						}
						return nil
					})
				})
				cancel()
				var ok bool
				switch i % 5 {
				case 0:
					ok = err == nil && panicked == nil
				case 1:
					ok = errors.Is(err, mine)
				case 2:
					ok = panicked == mine
				case 3:
					ok = domain.CodeOf(err) == domain.Canceled
				case 4:
					ok = domain.CodeOf(err) == domain.Conflict
				}
				if !ok {
					t.Errorf("transaction %s: %v, panicked %v", id, err, panicked)
				}
			}
		})
	}
	wg.Wait()
	kept := map[string]bool{}
	for _, id := range catalogFound(t, c, catalogProject, "k", "", "", "") {
		kept[id] = true
	}
	for w := range writers {
		for i := range each {
			if id := fmt.Sprintf("%d-%d", w, i); kept[id] != (i%5 == 0) {
				t.Errorf("%s kept: %v, want %v", id, kept[id], i%5 == 0)
			}
		}
	}
}

func caught(f func() error) (panicked any, err error) {
	defer func() { panicked = recover() }()
	return nil, f()
}
