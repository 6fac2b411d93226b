package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/clewhq/clew/e2e/harness"
)

// Whatever a body holds, the answer says what is wrong with it and is never a
// failure of ours; and nothing of it harms what is there.
func TestOddBodies(t *testing.T) {
	s := harness.Start(t, "")
	routes := []string{
		"POST /api/public/score-configs", "PATCH /api/public/score-configs/x", "POST /api/public/v2/prompts", "PATCH /api/public/v2/prompts/x/versions/1",
		"POST /api/public/v2/datasets", "POST /api/public/datasets", "POST /api/public/dataset-items", "POST /api/public/dataset-run-items",
		"POST /api/public/comments", "POST /api/public/annotation-queues", "POST /api/public/annotation-queues/x/items", "PATCH /api/public/annotation-queues/x/items/x",
		"POST /api/public/annotation-queues/x/assignments", "DELETE /api/public/annotation-queues/x/assignments", "POST /api/public/media", "PATCH /api/public/media/x",
		"PUT /api/public/media/x/content", "PUT /api/public/llm-connections", "POST /api/public/models", "PUT /api/public/models/x",
		"POST /api/parea/v1/project", "POST /api/parea/v1/trace_log", "PUT /api/parea/v1/trace_log", "POST /api/parea/v1/trace_log/langchain", "POST /api/parea/v1/get_trace_logs",
		"POST /api/parea/v1/feedback", "POST /api/parea/v1/experiment", "POST /api/parea/v1/experiments", "POST /api/parea/v1/experiment/x/finished",
		"POST /api/parea/v1/experiment/x/trace_logs", "POST /api/parea/v1/collection", "POST /api/parea/v1/testcases", "POST /api/parea/v1/update_test_case/1/2",
		"POST /api/parea/v1/deployed-prompt", "POST /api/parea/v1/completion", "POST /api/parea/v1/completion/stream",
	}
	names := []string{
		"name", "prompt", "type", "labels", "tags", "config", "newLabels", "dataType", "categories", "minValue", "datasetName", "id", "input", "metadata", "status",
		"inputSchema", "runName", "datasetItemId", "traceId", "createdAt", "projectId", "objectType", "objectId", "content", "scoreConfigIds", "userId",
		"contentType", "contentLength", "sha256Hash", "field", "uploadedAt", "uploadHttpStatus",
		"trace_id", "field_name_to_value_map", "scores", "inputs", "configuration", "start_timestamp", "experiment_uuid", "child_runs", "project_name", "page",
		"filter_field", "filter_operator", "filter_value", "run_name", "metadata_filter", "experiment_uuids", "test_cases", "deployment_id", "llm_inputs", "score",
		"provider", "adapter", "secretKey", "baseURL", "customModels", "extraHeaders", "llm_configuration", "modelName", "matchPattern", "inputPrice", "pricingTiers",
	}
	values := []string{`null`, `0`, `-1.5`, `1e400`, `""`, `"x"`, `"\u0000\ud800"`, `[]`, `[null]`, `[[1]]`, `{}`, `{"a":null}`, `true`, `"` + strings.Repeat("y", 3000) + `"`}
	bodies := []string{``, `null`, `[]`, `"x"`, `{`, `{"a":1`, strings.Repeat(`[`, 5000), `{"a":` + strings.Repeat(`{"a":`, 9000) + `1` + strings.Repeat(`}`, 9000) + `}`, "\xff\xfe{}"}
	for _, v := range values { // every field at once, and one of them among sound ones
		var all []string
		for _, n := range names {
			all = append(all, fmt.Sprintf("%q:%s", n, v))
		}
		bodies = append(bodies, "{"+strings.Join(all, ",")+"}", fmt.Sprintf(`{"name":"odd","prompt":"p","datasetName":"odd","trace_id":"odd","id":"odd","metadata":%s,"input":%s,"inputs":%s,"tags":%s}`, v, v, v, v))
	}
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		for _, body := range bodies {
			status, _, answer := s.Do(method, path, nil, []byte(body))
			if status >= 500 {
				t.Errorf("%s with %.80q: %d %.200s", route, body, status, answer)
			}
			if status >= 400 && (len(answer) == 0 || answer[0] != '{') {
				t.Errorf("%s with %.80q: %d without a JSON object: %.200q", route, body, status, answer)
			}
		}
	}
	if status, _, _ := s.Do("GET", "/api/public/ready", nil, nil); status != http.StatusOK {
		t.Errorf("ready afterwards: %d", status)
	}
	s.Stop()
	if out, exit := clew(t, nil, "check", "--data", s.Dir); exit != 0 {
		t.Errorf("check: %s", out)
	}
}
