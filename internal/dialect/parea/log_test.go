package parea

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// oddValues is what a field may hold that nobody expects there.
var oddValues = []string{
	`null`, `true`, `-1`, `1e400`, `"x"`, `""`, `"1"`, `[]`, `[null]`, `[1]`, `["x"]`, `[{}]`, `[{"name":null,"score":"high"}]`, `{}`, `{"a":null}`, `{"messages":null}`,
	`{"messages":[null]}`, `{"messages":[{"role":1}]}`, `{"model_params":[]}`, `{"a":{"b":[{"c":null}]}}`, `"\ud800"`, `99999999999999999999`,
}

// Whatever stands in any field of a log, it is taken and shown without a panic:
// an SDK stalls over anything but 200.
func TestOddLogs(t *testing.T) {
	fieldNames := slices.AppendSeq([]string{
		"parent_trace_id", "root_trace_id", "start_timestamp", "end_timestamp", "trace_name", "output", "session_id", "end_user_identifier", "children",
		"evalFuncNames", "applyEvalFrac", "comments", "annotations", "unknown",
	}, maps.Keys(sideFields))
	for _, name := range fieldNames {
		for _, v := range oddValues {
			o := object{"trace_id": json.RawMessage(`"t"`), name: json.RawMessage(v)}
			l, err := parseLog(o, "t")
			if err != nil {
				t.Errorf("%s %s: %v", name, v, err)
				continue
			}
			l.sampled()
			p := l.patch(domain.Stamp{Time: 1, Op: domain.Create})
			l.scores(p.Stamp)
			if m := p.Content[domain.Metadata]; m.IsSet() && !json.Valid(m.Data) {
				t.Errorf("%s %s: metadata %s is no JSON", name, v, m.Data)
			}
			shown := logFields(&store.Trace{}, &p.Value, &p.Content, projectNames{})
			if raw, err := json.Marshal(shown); err != nil {
				t.Errorf("%s %s: can't be shown: %v", name, v, err)
			} else if name != "unknown" && name != "comments" && hasNull(raw) {
				t.Errorf("%s %s: the answer holds a null, which the Python SDK can't read: %s", name, v, raw)
			}
		}
	}
}

func hasNull(raw []byte) bool {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // a number may be larger than a double
	if d.Decode(&v) != nil {
		return true
	}
	var look func(v any) bool
	look = func(v any) bool {
		switch v := v.(type) {
		case nil:
			return true
		case []any:
			for _, e := range v {
				if look(e) {
					return true
				}
			}
		case map[string]any:
			for _, e := range v {
				if look(e) {
					return true
				}
			}
		}
		return false
	}
	return look(v)
}

// Likewise a run of LangChain.
func TestOddRuns(t *testing.T) {
	for _, name := range []string{
		"name", "run_type", "start_time", "end_time", "inputs", "outputs", "error", "extra", "tags", "child_runs", "parent_run_id", "_parea_root_trace_id", "_tags", "_metadata",
	} {
		for _, v := range append(oddValues, `{"generations":null}`, `{"generations":[[null]]}`, `{"generations":[[{"text":1}]],"llm_output":[]}`, `{"prompts":[1]}`, `{"invocation_params":1}`) {
			o := object{"id": json.RawMessage(`"t"`), "run_type": json.RawMessage(`"llm"`), name: json.RawMessage(v)}
			l, err := parseLog(runFields(o, o), "t")
			if err != nil {
				t.Errorf("%s %s: %v", name, v, err)
				continue
			}
			if p := l.patch(domain.Stamp{Time: 1, Op: domain.Create}); p.Content[domain.Metadata].IsSet() && !json.Valid(p.Content[domain.Metadata].Data) {
				t.Errorf("%s %s: metadata is no JSON", name, v)
			}
		}
	}
}

// A trace is kept or dropped whole, by its root.
func TestSampled(t *testing.T) {
	kept := 0
	for i := range 1000 {
		root := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		var of [2]bool
		for j, id := range []string{root, root + "-child"} {
			l := log{object: object{"log_sample_rate": json.RawMessage(`0.3`)}, id: id, root: root}
			of[j] = l.sampled()
		}
		if of[0] != of[1] {
			t.Fatalf("of the trace %s only a part is kept", root)
		}
		if of[0] {
			kept++
		}
	}
	if kept < 250 || kept > 350 {
		t.Errorf("%d of 1,000 traces are kept at a rate of 0.3", kept)
	}
	l := log{object: object{"log_sample_rate": json.RawMessage(`0`), "experiment_uuid": json.RawMessage(`"e"`)}, id: "x"}
	if !l.sampled() {
		t.Error("a log of an experiment is dropped")
	}
}
