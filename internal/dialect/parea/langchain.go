package parea

import (
	"encoding/json"
	"net/http"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/store"
)

// postRun takes a run of LangChain, which comes as its own tracer writes it:
// Python sends each run by itself, TypeScript the root with all below it.
func (a *API) postRun(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	if o.text("id") == "" && o.text("trace_id") == "" {
		return invalid("id", "field required")
	}
	project, err := a.project(r.Context(), c, o)
	if err != nil {
		return err
	}
	b := store.Batch{Project: project}
	if err := a.addRun(r, &b, o, o, 0); err != nil {
		return err
	}
	if b.Len() > 0 {
		if err := a.write(r.Context(), &b); err != nil {
			return err
		}
	}
	httpio.WriteJSON(w, http.StatusOK, nil)
	return nil
}

// maxRunDepth bounds how deep runs may stand in each other.
const maxRunDepth = 1000

// addRun adds a run and those below it. top is the outermost of them, which
// says where all of them belong.
func (a *API) addRun(r *http.Request, b *store.Batch, o, top object, depth int) error {
	if depth > maxRunDepth {
		return invalid("child_runs", "stand too deep in each other")
	}
	l, err := parseLog(runFields(o, top), o.text("id"))
	if err != nil {
		return err
	}
	if l.sampled() {
		if l.root == "" {
			l.root = l.id
		}
		p := l.patch(a.created(&l))
		if typ := runTypes[o.text("run_type")]; typ != "" && p.Value.Type == "" {
			p.Value.Type = typ
			p.Said |= domain.ObservationTypeField
		}
		if err := a.nameExperiment(r.Context(), b.Project, &p, &l); err != nil {
			return err
		}
		b.Observations = append(b.Observations, p)
	}
	var below []object
	_ = json.Unmarshal(o["child_runs"], &below) // what is no list holds no runs
	for _, child := range below {
		if child.text("id") == "" {
			continue
		}
		if err := a.addRun(r, b, child, top, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// runTypes is what LangChain's types of runs are here.
var runTypes = map[string]domain.ObservationType{
	"tool": domain.TypeTool, "retriever": domain.TypeRetriever, "llm": domain.TypeGeneration, "chain": domain.TypeChain, "embedding": domain.TypeEmbedding,
}

// runFields shows a run as a log.
func runFields(o, top object) object {
	out := object{"trace_id": o["id"], "trace_name": o["name"], "start_timestamp": o["start_time"], "end_timestamp": o["end_time"], "inputs": o["inputs"], "error": o["error"]}
	first := func(to string, from ...json.RawMessage) {
		for _, v := range from {
			if (object{"v": v}).has("v") {
				out[to] = v
				return
			}
		}
	}
	first("parent_trace_id", o["_parea_parent_trace_id"], o["parent_run_id"], o["id"])
	first("root_trace_id", top["_parea_root_trace_id"], o["trace_id"], top["trace_id"], top["id"])
	for to, from := range map[string]string{
		"session_id": "_session_id", "end_user_identifier": "_end_user_identifier", "deployment_id": "_deployment_id", "log_sample_rate": "_log_sample_rate",
		"experiment_uuid": "experiment_uuid", "project_uuid": "project_uuid", "metadata": "_metadata", "execution_order": "execution_order",
	} {
		first(to, o[from], top[from])
	}
	if o.has("error") {
		out["status"] = json.RawMessage(`"error"`)
	} else if o.has("end_time") {
		out["status"] = json.RawMessage(`"success"`)
	}
	var tags, more []string
	_ = json.Unmarshal(o["tags"], &tags)  // what is no list has none
	_ = json.Unmarshal(o["_tags"], &more) // likewise
	if tags = append(tags, more...); len(tags) > 0 {
		out["tags"], _ = json.Marshal(tags) // texts can be marshalled
	}
	runOutput(o, out)
	if o.text("run_type") == "llm" {
		runCall(o, out)
	}
	return out
}

// generation is the parts of a model's answer that matter.
type generation struct {
	Text    string `json:"text"`
	Message struct {
		Kwargs struct {
			Usage object `json:"usage_metadata"`
		} `json:"kwargs"`
		Usage object `json:"usage_metadata"`
	} `json:"message"`
}

// runOutput finds what came out of a run, and the tokens that it took.
func runOutput(o, out object) {
	var outputs object
	if json.Unmarshal(o["outputs"], &outputs) != nil || len(outputs) == 0 {
		return
	}
	var s string
	var gens [][]generation
	_ = json.Unmarshal(outputs["generations"], &gens) // where there are none
	switch {
	case json.Unmarshal(outputs["output"], &s) == nil:
		out["output"] = outputs["output"]
	case len(gens) > 0 && len(gens[0]) > 0 && gens[0][0].Text != "":
		out["output"], _ = json.Marshal(gens[0][0].Text) // a text can be marshalled
	default:
		out["output"], _ = json.Marshal(string(o["outputs"])) // likewise
	}
	var llm struct {
		Usage object `json:"token_usage"`
	}
	_ = json.Unmarshal(outputs["llm_output"], &llm) // where there is none
	usage, names := llm.Usage, [3]string{"prompt_tokens", "completion_tokens", "total_tokens"}
	if len(usage) == 0 && len(gens) > 0 && len(gens[0]) > 0 {
		names = [3]string{"input_tokens", "output_tokens", "total_tokens"}
		if usage = gens[0][0].Message.Kwargs.Usage; len(usage) == 0 {
			usage = gens[0][0].Message.Usage
		}
	}
	for i, to := range [3]string{"input_tokens", "output_tokens", "total_tokens"} {
		if usage.has(names[i]) {
			out[to] = usage[names[i]]
		}
	}
}

// runCall finds the model of a call and what it was asked.
func runCall(o, out object) {
	var extra struct {
		Params   object `json:"invocation_params"`
		Metadata object `json:"metadata"`
	}
	_ = json.Unmarshal(o["extra"], &extra) // where there is none
	var outputs struct {
		LLM object `json:"llm_output"`
	}
	_ = json.Unmarshal(o["outputs"], &outputs) // likewise
	cfg := object{}
	for _, v := range []json.RawMessage{extra.Params["model"], extra.Params["model_name"], outputs.LLM["model_name"]} {
		if (object{"v": v}).has("v") {
			cfg["model"] = v
			break
		}
	}
	if extra.Metadata.has("ls_provider") {
		cfg["provider"] = extra.Metadata["ls_provider"]
	}
	var inputs object
	_ = json.Unmarshal(o["inputs"], &inputs) // where there are none
	var prompts []string
	switch {
	case inputs.has("messages"):
		cfg["messages"] = inputs["messages"]
	case json.Unmarshal(inputs["prompts"], &prompts) == nil && len(prompts) > 0:
		list := make([]fields, len(prompts))
		for i, p := range prompts {
			list[i] = fields{"role": "user", "content": p}
		}
		cfg["messages"], _ = json.Marshal(list) // texts can be marshalled
	}
	if len(cfg) > 0 {
		out["configuration"], _ = json.Marshal(cfg) // it was decoded from JSON
	}
}
