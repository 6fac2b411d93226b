package local_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local"
	"github.com/clewhq/clew/internal/store/storetest"
)

func TestTraces(t *testing.T) {
	local.SetRollupShare(t, 1) // its groups are small
	root := t.TempDir()
	var mu sync.Mutex
	open := map[string]*local.Store{}
	t.Cleanup(func() {
		for _, s := range open {
			s.Close()
		}
	})
	storetest.RunTraces(t, storetest.Engine{
		Open: func(t *testing.T, name string, derive store.Derive) store.Traces {
			s, err := local.Open(t.Context(), filepath.Join(root, name), local.Options{SealAfter: -1, HotBytes: 128 << 10, Derive: derive})
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			open[name] = s
			return s
		},
		Settle: func(t *testing.T, s store.Traces) {
			if err := s.(*local.Store).Maintain(t.Context()); err != nil {
				t.Errorf("maintain: %v", err)
			}
		},
	})
}
