package catalog_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
)

// listed is the ids and versions of all items that a filter takes, read page by page.
func listed(t *testing.T, c *fixture, f catalog.ItemFilter, limit int) (ids []string) {
	t.Helper()
	for {
		items, total, err := c.Items(t.Context(), "p", f, len(ids), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			ids = append(ids, it.ID+"="+string(it.Input))
		}
		if len(items) == 0 {
			if total != len(ids) {
				t.Errorf("total %d, but the pages hold %d", total, len(ids))
			}
			return ids
		}
	}
}

// A dataset that is written at random lists what a simple model of it does: now
// and as of every time before, whatever the size of a page.
func TestItemsNowAndBefore(t *testing.T) {
	c := open(t)
	d, err := c.SetDataset(t.Context(), "p", catalog.DatasetChange{Name: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetDataset(t.Context(), "p", catalog.DatasetChange{Name: "other"}); err != nil {
		t.Fatal(err)
	}
	type state struct {
		created       int // the step
		status, input string
	}
	model := map[string]state{}
	list := func() []string {
		ids := []string{}
		for id, s := range model {
			if s.status == catalog.ItemActive {
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, func(a, b string) int { return model[b].created - model[a].created })
		for i, id := range ids {
			ids[i] = id + "=" + model[id].input
		}
		return ids
	}
	type moment struct {
		at   time.Time
		list []string
	}
	var moments []moment
	random := rand.New(rand.NewPCG(1, 2))
	for step := range 900 {
		if random.IntN(3) > 0 { // several writes in one millisecond
			c.now = c.now.Add(time.Duration(random.IntN(3)) * 700 * time.Microsecond)
		}
		id := fmt.Sprintf("item %d", random.IntN(700))
		old, found := model[id]
		switch {
		case found && random.IntN(4) == 0:
			if _, err := c.DeleteItem(t.Context(), "p", id); err != nil {
				t.Fatal(err)
			}
			delete(model, id)
		default:
			n := catalog.ItemChange{ID: id, Dataset: "d", Input: json.RawMessage(fmt.Sprint(step))}
			if random.IntN(5) == 0 {
				n.Status = catalog.ItemArchived
			} else if random.IntN(5) == 0 {
				n.Status = catalog.ItemActive
			}
			if _, _, err := c.SetItem(t.Context(), "p", n); err != nil {
				t.Fatal(err)
			}
			if !found {
				old = state{created: step, status: catalog.ItemActive}
			}
			if n.Status != "" {
				old.status = n.Status
			}
			old.input = fmt.Sprint(step)
			model[id] = old
		}
		if step%100 == 0 {
			c.now = c.now.Add(5 * time.Millisecond) // versions within a millisecond go on in the next ones
			moments = append(moments, moment{c.now, list()})
			c.now = c.now.Add(5 * time.Millisecond)
		}
	}
	if d := cmp.Diff(list(), listed(t, c, catalog.ItemFilter{Dataset: d.ID}, 37)); d != "" {
		t.Errorf("now (-want +got):\n%s", d)
	}
	if d := cmp.Diff(list(), listed(t, c, catalog.ItemFilter{}, 1000)); d != "" {
		t.Errorf("of all datasets (-want +got):\n%s", d)
	}
	for _, m := range moments {
		got := listed(t, c, catalog.ItemFilter{Dataset: d.ID, AsOf: domain.TimeOf(m.at)}, 50)
		if d := cmp.Diff(m.list, got, equateEmpty); d != "" {
			t.Errorf("as of %v (-want +got):\n%s", m.at, d)
		}
	}
}

// equateEmpty makes nil and empty lists equal.
var equateEmpty = cmp.Transformer("empty", func(l []string) []string { return append([]string{}, l...) })

// A census finds every page of a list that is longer than its stretches.
func TestLongDataset(t *testing.T) {
	c := open(t)
	d, err := c.SetDataset(t.Context(), "p", catalog.DatasetChange{Name: "d"})
	if err != nil {
		t.Fatal(err)
	}
	const n = 2100
	want := make([]string, n)
	for i := range n {
		c.now = c.now.Add(400 * time.Microsecond)
		// Ids that fall within a millisecond, where the time rises: they order nothing.
		it, _, err := c.SetItem(t.Context(), "p", catalog.ItemChange{ID: fmt.Sprintf("%08d-%d", c.now.UnixMilli()%100_000_000, 9-i%3), Dataset: "d", Input: json.RawMessage("1")})
		if err != nil {
			t.Fatal(err)
		}
		want[i] = it.ID + "=1"
	}
	slices.Reverse(want)
	for _, limit := range []int{17, 100} {
		if d := cmp.Diff(want, listed(t, c, catalog.ItemFilter{Dataset: d.ID}, limit)); d != "" {
			t.Fatalf("by pages of %d (-want +got):\n%s", limit, d)
		}
	}
}

// Whoever comes first makes the experiment, and everybody else joins it.
func TestRunItemsRace(t *testing.T) {
	c := open(t)
	if _, err := c.SetDataset(t.Context(), "p", catalog.DatasetChange{Name: "d"}); err != nil {
		t.Fatal(err)
	}
	it, d, err := c.SetItem(t.Context(), "p", catalog.ItemChange{Dataset: "d"})
	if err != nil {
		t.Fatal(err)
	}
	const clients, each = 8, 10
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for j := range each {
				ri, _, err := c.AddRunItem(t.Context(), "p", catalog.NewRunItem{Experiment: "r", Item: it.ID, TraceID: fmt.Sprintf("t%d-%d", i, j)})
				if err != nil {
					t.Error(err)
				} else if want := catalog.ExperimentID("p", d.ID, "r"); ri.Experiment != want {
					t.Errorf("run %s, want %s", ri.Experiment, want)
				}
			}
		})
	}
	wg.Wait()
	if _, n, err := c.Experiments(t.Context(), "p", d.ID, 0, 10); err != nil || n != 1 {
		t.Errorf("%d experiments, %v; want one", n, err)
	}
	items, n, err := c.RunItems(t.Context(), "p", catalog.ExperimentID("p", d.ID, "r"), 0, 1000)
	seen := map[string]bool{}
	for _, ri := range items {
		seen[ri.TraceID] = true
	}
	if err != nil || n != clients*each || len(seen) != n {
		t.Errorf("%d run items of %d traces, %v; want %d", n, len(seen), err, clients*each)
	}
}

// The id is the one that Python 5 computes from json.dumps with compact
// separators and ensure_ascii off.
func TestExperimentID(t *testing.T) {
	for _, x := range []struct{ project, dataset, name, want string }{
		{"p", "d", "r", "eab007015b1c6f77"},
		{"p", "d", "ä <&> \u2028 \"", "6118044a3bf10bbe"},
	} {
		if got := catalog.ExperimentID(x.project, x.dataset, x.name); got != x.want {
			t.Errorf("of %q: %s, want %s", x.name, got, x.want)
		}
	}
}

// What others see of a project's datasets is nothing.
func TestDatasetsOfProjectsAreApart(t *testing.T) {
	c := open(t)
	for _, p := range []string{"p", "q"} {
		if _, err := c.SetDataset(t.Context(), p, catalog.DatasetChange{Name: "d"}); err != nil {
			t.Fatal(err)
		}
	}
	it, _, err := c.SetItem(t.Context(), "p", catalog.ItemChange{Dataset: "d", ID: "same"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Item(t.Context(), "q", it.ID); domain.CodeOf(err) != domain.NotFound {
		t.Errorf("an item of another project: %v", err)
	}
	if _, _, err := c.AddRunItem(t.Context(), "q", catalog.NewRunItem{Experiment: "r", Item: it.ID, TraceID: "t"}); domain.CodeOf(err) != domain.NotFound {
		t.Errorf("a run item of another project's item: %v", err)
	}
	if _, _, err := c.SetItem(t.Context(), "q", catalog.ItemChange{Dataset: "d", ID: "same"}); err != nil {
		t.Errorf("the same id in another project: %v", err)
	}
}
