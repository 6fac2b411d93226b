package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/clewhq/clew/e2e/harness"
)

// An organisation's key finds its project in the body and makes it where it is
// missing, once however many ask at a time; a project's key sees its own alone.
func TestPareaProjects(t *testing.T) {
	const orgSecret = "sk-lf-org-secret-1"
	s := harness.Start(t, "", "CLEW_INIT_ORG_PUBLIC_KEY=pk-lf-org-public-1", "CLEW_INIT_ORG_SECRET_KEY="+orgSecret)
	org := http.Header{"X-Api-Key": {orgSecret}, "Authorization": nil}
	post := func(path, body string) (int, []byte) {
		status, _, answer := s.Do("POST", "/api/parea/v1"+path, org, []byte(body))
		return status, answer
	}
	type project struct {
		UUID       string
		WasCreated bool `json:"was_created"`
	}
	got := make([]project, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			if status, answer := post("/project", `{"name":"fresh"}`); status != http.StatusOK || json.Unmarshal(answer, &got[i]) != nil {
				t.Errorf("project: %d %s", status, answer)
			}
		})
	}
	wg.Wait()
	made := 0
	for _, p := range got {
		if p.UUID != got[0].UUID {
			t.Errorf("two projects of one name: %v", got)
		}
		if p.WasCreated {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d callers made the project, want one", made)
	}
	for i, body := range []string{
		fmt.Sprintf(`{"trace_id":"l0","start_timestamp":"2026-11-22T09:00:00Z","project_uuid":%q}`, got[0].UUID),
		`{"trace_id":"l1","start_timestamp":"2026-11-22T09:00:00Z","project_name":"fresh"}`,
		`{"trace_id":"l2","start_timestamp":"2026-11-22T09:00:00Z"}`, // into the default project
		`{"trace_id":"l3","start_timestamp":"2026-11-22T09:00:00Z","project_uuid":"of nobody","project_name":""}`,
	} {
		if status, answer := post("/trace_log", body); status != http.StatusOK {
			t.Errorf("log %d: %d %s", i, status, answer)
		}
	}
	for name, want := range map[string]int{"fresh": 2, "default": 2, "unknown": 0} {
		status, answer := post("/get_trace_logs", fmt.Sprintf(`{"project_name":%q}`, name))
		var page struct{ Total int }
		if err := json.Unmarshal(answer, &page); err != nil || status != http.StatusOK || page.Total != want {
			t.Errorf("logs of %s: %d %s, want %d", name, status, answer, want)
		}
	}
	// The key of another project sees none of them, by any way.
	for _, path := range []string{"/api/parea/v1/trace_log/l0", "/api/parea/v1/trace_log/l2"} {
		if status, _, body := s.Do("GET", path, nil, nil); status != http.StatusOK || string(body) != "null\n" && string(body) != "null" {
			t.Errorf("%s with another project's key: %d %s", path, status, body)
		}
	}
	if status, _, _ := s.Do("GET", "/api/public/traces/l0", nil, nil); status != http.StatusNotFound {
		t.Errorf("a log through Langfuse's API of another project: %d", status)
	}
	if status, _, _ := s.Do("POST", "/api/parea/v1/trace_log", http.Header{"X-Api-Key": {"pk-lf-org-public-1"}, "Authorization": nil}, []byte(`{"trace_id":"x"}`)); status != http.StatusUnauthorized {
		t.Errorf("the public half of a key: %d", status)
	}
}
