package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clewhq/clew/e2e/harness"
)

// configured is what the catalog answered for.
type configured struct {
	mu       sync.Mutex
	prompts  map[string]int    // highest version, by name
	items    map[string]string // input, by id
	runItems map[string]bool   // trace
}

// configure writes prompts, items and run items until a request fails, which a
// killed server's do. All workers share a few names and one run.
func configure(s *harness.Server, worker, round int, acks *configured) error {
	r := rand.New(rand.NewPCG(uint64(worker), uint64(round)))
	for n := 0; ; n++ {
		id := fmt.Sprintf("i-%d-%d-%d", round, worker, n)
		name, trace := fmt.Sprintf("prompt %d", r.IntN(3)), "t-"+id
		var path, body string
		kind := n % 3
		switch kind {
		case 0:
			path, body = "/api/public/v2/prompts", fmt.Sprintf(`{"name":%q,"prompt":%q,"labels":["production"]}`, name, id)
		case 1:
			path, body = "/api/public/dataset-items", fmt.Sprintf(`{"datasetName":"kept","id":%q,"input":%q}`, id, id)
		case 2:
			path, body = "/api/public/dataset-run-items", fmt.Sprintf(`{"runName":"run","datasetItemId":"first","traceId":%q}`, trace)
		}
		status, answer, err := s.TryPost(path, []byte(body))
		if err != nil {
			return nil // the kill
		}
		if status/100 != 2 {
			return fmt.Errorf("%s answers %d: %s", path, status, answer)
		}
		acks.mu.Lock()
		switch kind {
		case 0:
			var p struct{ Version int }
			err = json.Unmarshal(answer, &p)
			acks.prompts[name] = max(acks.prompts[name], p.Version)
		case 1:
			acks.items[id] = id
		case 2:
			acks.runItems[trace] = true
		}
		acks.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// TestKillCatalog kills the server at random moments while clients write to the
// catalog at once. Everything answered is there afterwards: versions without a
// gap, each label on one of them, items with what they hold, every run item in
// the one run.
func TestKillCatalog(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	acks := &configured{prompts: map[string]int{}, items: map[string]string{}, runItems: map[string]bool{}}
	s := harness.Start(t, dir)
	for _, w := range []struct{ path, body string }{
		{"/api/public/v2/datasets", `{"name":"kept"}`}, {"/api/public/dataset-items", `{"datasetName":"kept","id":"first","input":1}`},
	} {
		if status, _, answer := s.Do("POST", w.path, nil, []byte(w.body)); status != http.StatusOK {
			t.Fatalf("%s: %d %s", w.path, status, answer)
		}
	}
	r := rand.New(rand.NewPCG(3, 3))
	for round := range rounds {
		errs := make([]error, 6)
		var wg sync.WaitGroup
		for w := range errs {
			wg.Go(func() { errs[w] = configure(s, w, round, acks) })
		}
		time.Sleep(time.Duration(150+r.IntN(500)) * time.Millisecond)
		s.Kill()
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		s = harness.Start(t, dir)
		verifyCatalog(t, s, acks)
	}
	if len(acks.items) == 0 || len(acks.runItems) == 0 || len(acks.prompts) == 0 {
		t.Error("nothing was answered before a kill")
	}
	s.Stop()
	if out, err := check(t, dir); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}
}

func verifyCatalog(t *testing.T, s *harness.Server, acks *configured) {
	t.Helper()
	read := func(path string, into any) {
		t.Helper()
		status, _, body := s.Do("GET", path, nil, nil)
		if err := json.Unmarshal(body, into); err != nil || status != http.StatusOK {
			t.Errorf("GET %s: %d %.200s", path, status, body)
		}
	}
	var list struct {
		Data []struct {
			Name     string
			Versions []int
			Labels   []string
		}
	}
	read("/api/public/v2/prompts?limit=100", &list)
	for _, p := range list.Data {
		for i, v := range p.Versions {
			if v != i+1 {
				t.Errorf("versions of %s: %v", p.Name, p.Versions)
				break
			}
		}
		if len(p.Versions) < acks.prompts[p.Name] {
			t.Errorf("%s has %d versions, %d were answered", p.Name, len(p.Versions), acks.prompts[p.Name])
		}
		if slices.Sort(p.Labels); !slices.Equal(p.Labels, []string{"latest", "production"}) {
			t.Errorf("labels of %s: %v, each must be on one version", p.Name, p.Labels)
		}
	}
	held := map[string]bool{}
	for page, pages := 1, 1; page <= pages; page++ {
		var items struct {
			Data []struct {
				ID    string
				Input json.RawMessage
			}
			Meta struct{ TotalItems, TotalPages int }
		}
		read(fmt.Sprintf("/api/public/dataset-items?datasetName=kept&limit=100&page=%d", page), &items)
		for _, it := range items.Data {
			held[it.ID] = true
			if want := acks.items[it.ID]; want != "" && string(it.Input) != `"`+want+`"` {
				t.Errorf("item %s holds %s", it.ID, it.Input)
			}
		}
		if pages = items.Meta.TotalPages; page == pages && len(held) != items.Meta.TotalItems {
			t.Errorf("the pages hold %d items, their total is %d", len(held), items.Meta.TotalItems)
		}
	}
	for id := range acks.items {
		if !held[id] {
			t.Errorf("item %s is gone", id)
		}
	}
	if len(acks.runItems) == 0 {
		return
	}
	var run struct {
		Items []struct{ TraceID string } `json:"datasetRunItems"`
	}
	read("/api/public/datasets/kept/runs/run", &run)
	traces := map[string]bool{}
	for _, i := range run.Items {
		if traces[i.TraceID] {
			t.Errorf("run item of %s is there twice", i.TraceID)
		}
		traces[i.TraceID] = true
	}
	for trace := range acks.runItems {
		if !traces[trace] {
			t.Errorf("run item of %s is gone", trace)
		}
	}
}
