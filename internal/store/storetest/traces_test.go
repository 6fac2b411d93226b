package storetest

import (
	"sync"
	"testing"

	"github.com/clewhq/clew/internal/store"
)

// The reference keeps the promises that it is the measure of.
func TestMemory(t *testing.T) {
	var mu sync.Mutex
	stores := map[string]*Memory{}
	RunTraces(t, Engine{
		Open: func(_ *testing.T, name string, derive store.Derive) store.Traces {
			mu.Lock()
			defer mu.Unlock()
			if m := stores[name]; m != nil {
				stores[name] = m.Reopen()
			} else {
				stores[name] = NewMemory(derive)
			}
			return stores[name]
		},
		Settle: func(*testing.T, store.Traces) {},
	})
}
