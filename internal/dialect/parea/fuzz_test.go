package parea

import (
	"encoding/json"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// FuzzLog takes any JSON object as a log and as a run of LangChain: nothing may
// panic, and what is shown of it can be encoded.
func FuzzLog(f *testing.F) {
	for _, seed := range []string{
		`{"trace_id":"t","parent_trace_id":"p","root_trace_id":"t","start_timestamp":"2026-11-22T09:48:33.655211+00:00","inputs":{"a":1},"output":"x","configuration":{"model":"m","messages":[{"role":"user","content":null}],"model_params":{"temp":1}},"scores":[{"name":"s","score":1}],"metadata":{"k":"v"},"tags":["a"],"images":[{"url":"u"}]}`,
		`{"id":"r","run_type":"llm","start_time":1795340000000,"inputs":{"prompts":["x"]},"outputs":{"generations":[[{"text":"y"}]],"llm_output":{"token_usage":{"prompt_tokens":1}}},"extra":{"invocation_params":{"model":"m"}},"child_runs":[]}`,
		`{"trace_id":"t","metadata":null,"inputs":[],"scores":[null]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var o object
		if json.Unmarshal(raw, &o) != nil || o == nil {
			return
		}
		for _, fields := range []object{runFields(o, o), o} {
			l, err := parseLog(fields, "t")
			if err != nil {
				t.Fatal(err)
			}
			l.sampled()
			p := l.patch(domain.Stamp{Time: 1, Op: domain.Create})
			l.scores(p.Stamp)
			if m := p.Content[domain.Metadata]; m.IsSet() && !json.Valid(m.Data) {
				t.Fatalf("metadata %q is no JSON", m.Data)
			}
			if _, err := json.Marshal(logFields(&store.Trace{}, &p.Value, &p.Content, projectNames{})); err != nil {
				t.Fatal(err)
			}
		}
	})
}
