package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clewhq/clew/e2e/harness"
)

// acknowledged is what the server answered for: the input of each observation,
// by trace.
type acknowledged struct {
	mu     sync.Mutex
	traces map[string]map[string]string
}

func (a *acknowledged) add(trace string, inputs map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.traces[trace] == nil {
		a.traces[trace] = map[string]string{}
	}
	for id, in := range inputs {
		a.traces[trace][id] = in
	}
}

// load sends spans in OTLP's JSON, and batches of events, until a request
// fails, which a killed server's do.
func load(s *harness.Server, worker, round int, acks *acknowledged) error {
	r := rand.New(rand.NewPCG(uint64(worker), uint64(round)))
	for n := 0; ; n++ {
		trace := fmt.Sprintf("%016x%016x", round+1, r.IntN(40)+worker*1000) // traces that several requests write to
		inputs := map[string]string{}
		var items []string
		for i := range 1 + r.IntN(12) {
			id := fmt.Sprintf("%02x%02x%06x%06x", round+1, worker, n, i)
			inputs[id] = "in " + noise(r, r.IntN(3000))
			if worker%2 == 0 {
				items = append(items, fmt.Sprintf(`{"traceId":%q,"spanId":%q,"name":"n","startTimeUnixNano":"1772355600000000000","endTimeUnixNano":"1772355601000000000",
					"attributes":[{"key":"langfuse.observation.input","value":{"stringValue":%q}}]}`, trace, id, inputs[id]))
			} else {
				items = append(items, fmt.Sprintf(`{"id":"e-%s","type":"span-create","timestamp":"2026-03-01T09:00:00Z","body":{"id":%q,"traceId":%q,"input":%q}}`, id, id, trace, inputs[id]))
			}
		}
		path, body, want := "/v1/traces", `{"resourceSpans":[{"scopeSpans":[{"spans":[`+strings.Join(items, ",")+`]}]}]}`, http.StatusOK
		if worker%2 == 1 {
			path, body, want = "/api/public/ingestion", `{"batch":[`+strings.Join(items, ",")+`]}`, http.StatusMultiStatus
		}
		status, _, err := s.TryPost(path, []byte(body))
		if err != nil {
			return nil // the kill
		}
		if status != want {
			return fmt.Errorf("%s answers %d", path, status)
		}
		acks.add(trace, inputs)
	}
}

// TestKill kills the server with SIGKILL at random moments under load. After
// each restart everything that was ever answered is there with its body, and at
// the end the folder passes its check.
func TestKill(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	acks := &acknowledged{traces: map[string]map[string]string{}}
	r := rand.New(rand.NewPCG(1, 9))
	for round := range rounds {
		s := harness.Start(t, dir)
		errs := make([]error, 4)
		var wg sync.WaitGroup
		for w := range errs {
			wg.Go(func() { errs[w] = load(s, w, round, acks) })
		}
		time.Sleep(time.Duration(200+r.IntN(900)) * time.Millisecond)
		s.Kill()
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		s = harness.Start(t, dir)
		verify(t, s, acks, round)
		if round%5 == 4 {
			listed(t, s, acks, round)
			s.Stop()
			if out, err := check(t, dir); err != nil {
				t.Fatalf("round %d: check: %v\n%s", round, err, out)
			}
		} else {
			s.Kill()
		}
	}
}

// verify reads back the traces of a round, and some of those before.
func verify(t *testing.T, s *harness.Server, acks *acknowledged, round int) {
	t.Helper()
	missing, seen := 0, 0
	for trace, want := range acks.traces {
		if !strings.HasPrefix(trace, fmt.Sprintf("%016x", round+1)) && trace[31]%4 != byte(round)%4 {
			continue
		}
		got, err := s.Inputs(trace)
		if err != nil {
			t.Errorf("round %d: trace %s: %v", round, trace, err)
			continue
		}
		for id, in := range want {
			seen++
			if got[id] != in {
				missing++
				t.Errorf("round %d: trace %s, observation %s: %d bytes, want %d", round, trace, id, len(got[id]), len(in))
			}
			if missing > 20 {
				t.FailNow()
			}
		}
	}
	if seen == 0 {
		t.Errorf("round %d: nothing was acknowledged", round)
	}
}

// listed walks all traces by page: each that was ever answered is there once.
func listed(t *testing.T, s *harness.Server, acks *acknowledged, round int) {
	t.Helper()
	seen := map[string]int{}
	for page := 1; ; page++ {
		status, _, body := s.Do("GET", fmt.Sprintf("/api/public/traces?fields=core&limit=100&page=%d", page), nil, nil)
		var list struct {
			Data []struct{ ID string }
			Meta struct{ TotalItems, TotalPages int }
		}
		if err := json.Unmarshal(body, &list); err != nil || status != 200 {
			t.Fatalf("round %d: page %d: %d, %v", round, page, status, err)
		}
		for _, one := range list.Data {
			seen[one.ID]++
		}
		if page >= list.Meta.TotalPages {
			if len(seen) != list.Meta.TotalItems {
				t.Errorf("round %d: %d traces listed, the total says %d", round, len(seen), list.Meta.TotalItems)
			}
			break
		}
	}
	for trace := range acks.traces {
		if seen[trace] != 1 {
			t.Errorf("round %d: trace %s is listed %d times", round, trace, seen[trace])
		}
	}
}
