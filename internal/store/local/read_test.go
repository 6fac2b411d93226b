package local_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store/local"
)

// Sorting by moving each observation once is sorting.
func TestSortObservations(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		list := make([]domain.Observation, n)
		for i := range list {
			list[i] = domain.Observation{ID: fmt.Sprint(i), Start: domain.At(int64(r.IntN(n/2 + 1)))}
		}
		r.Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
		want := slices.Clone(list)
		slices.SortFunc(want, func(a, b domain.Observation) int {
			return cmp.Or(cmp.Compare(a.Start.Nanos(), b.Start.Nanos()), cmp.Compare(a.ID, b.ID))
		})
		local.SortObservations(list)
		for i := range list {
			if list[i].ID != want[i].ID {
				t.Fatalf("of %d, place %d holds %s, want %s", n, i, list[i].ID, want[i].ID)
			}
		}
	}
}
