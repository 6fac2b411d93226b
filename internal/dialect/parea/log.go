package parea

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/store"
)

// sideKey is the member of an observation's metadata under which stands what a
// log said and what has no column of its own. Members that are objects stand
// there as JSON texts, so that a later one replaces them whole; inputs stay an
// object, so that filters reach into them.
const sideKey = "parea"

// providerKey is the provider of a call beside the fields of its log: filters do
// not look into a configuration, which is a text.
const providerKey = "provider"

// misspelt is how the TypeScript SDK spells some fields.
var misspelt = map[string]string{"evalFuncNames": "evaluation_metric_names", "applyEvalFrac": "apply_eval_frac"}

// source is the Source of an observation that came as a log.
const source = "parea"

// log is a trace log on its way in.
type log struct {
	object
	id, parent, root string // parent "": it is a root
	start, end       domain.Time
	config           object // its configuration
}

// parseLog reads the parts of a log that decide where it belongs.
func parseLog(o object, id string) (l log, err error) {
	for wrong, right := range misspelt {
		if o.has(wrong) && !o.has(right) {
			o[right] = o[wrong]
		}
	}
	o.tidy()
	l = log{object: o, id: id, parent: o.text("parent_trace_id"), root: o.text("root_trace_id")}
	if l.id == "" {
		return l, invalid("trace_id", "field required")
	}
	if l.parent == l.id {
		l.parent = ""
	}
	_ = json.Unmarshal(o["configuration"], &l.config) // where there is none it says nothing
	l.start, l.end = parseTime(o["start_timestamp"]), parseTime(o["end_timestamp"])
	if latency, ok := o.number("latency"); ok && l.start.IsSet() && !l.end.IsSet() && latency >= 0 && latency < math.MaxInt32 {
		l.end = domain.At(l.start.Nanos() + int64(latency*1e9))
	}
	return l, nil
}

// parseTime reads a time in any of the forms that were seen: with an offset,
// without one (which is UTC), as seconds or milliseconds since 1970. What is
// none is no time.
func parseTime(raw json.RawMessage) domain.Time {
	var f float64
	if json.Unmarshal(raw, &f) == nil && f > 0 {
		if f > 1e11 {
			f /= 1000
		}
		return domain.At(int64(f * 1e9))
	}
	var s string
	if json.Unmarshal(raw, &s) != nil || s == "" {
		return domain.Time{}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return domain.TimeOf(t)
		}
	}
	return domain.Time{}
}

// isCall reports whether the log is of a call of a model: Python sends a
// configuration with nothing but defaults on every log.
func (l *log) isCall() bool {
	if l.config.has("model") || l.config.has("messages") {
		return true
	}
	for _, k := range []string{"input_tokens", "output_tokens", "total_tokens"} {
		if n, ok := l.number(k); ok && n > 0 {
			return true
		}
	}
	return false
}

// patch is what the log says of its observation.
func (l *log) patch(stamp domain.Stamp) domain.ObservationPatch {
	p := domain.ObservationPatch{Stamp: stamp, Said: domain.ObservationSource}
	o := &p.Value
	o.ID, o.TraceID, o.Source = l.id, l.root, source
	set := func(field domain.Fields, ok bool) bool {
		if ok {
			p.Said |= field
		}
		return ok
	}
	if o.ParentID = l.parent; o.ParentID != "" {
		p.Said |= domain.ObservationParent
	}
	if o.Start = l.start; set(domain.ObservationStart, o.Start.IsSet()) {
		if ttft, ok := l.number("time_to_first_token"); set(domain.ObservationCompletionStart, ok && ttft > 0 && ttft < math.MaxInt32) {
			o.CompletionStart = domain.At(o.Start.Nanos() + int64(ttft*1e9))
		}
	}
	o.End = l.end
	set(domain.ObservationEnd, o.End.IsSet())
	for _, t := range []struct {
		key   string
		field domain.Fields
		to    *string
	}{
		{"trace_name", domain.ObservationName, &o.Name}, {"session_id", domain.ObservationSessionID, &o.SessionID},
		{"end_user_identifier", domain.ObservationUserID, &o.UserID},
	} {
		*t.to = l.text(t.key)
		set(t.field, *t.to != "")
	}
	if l.parent == "" {
		o.TraceName = o.Name
		set(domain.ObservationTraceName, o.TraceName != "")
	}
	var tags []string
	if json.Unmarshal(l.object["tags"], &tags) == nil && set(domain.ObservationTags, len(tags) > 0) {
		o.Tags = tags
	}
	l.level(&p)
	l.model(&p)
	l.experiment(&p)
	l.content(&p)
	return p
}

func (l *log) level(p *domain.ObservationPatch) {
	switch {
	case l.text("status") == "error" || l.has("error"):
		p.Value.Level, p.Value.StatusMessage = domain.LevelError, l.text("error")
		p.Said |= domain.ObservationLevel | domain.ObservationStatusMessage
	case l.text("status") == "success":
		p.Value.Level = domain.LevelDefault
		p.Said |= domain.ObservationLevel
	}
}

// parameterNames is what Langfuse calls Parea's parameters of a model.
var parameterNames = map[string]string{"temp": "temperature", "max_length": "max_tokens"}

// pareaParameter is what Parea calls one of Langfuse's parameters.
func pareaParameter(name string) string {
	for ours, theirs := range parameterNames {
		if name == theirs {
			return ours
		}
	}
	return name
}

// model says what is known of a call of a model; zeros stand for nothing.
func (l *log) model(p *domain.ObservationPatch) {
	o := &p.Value
	var inputs object
	isEval := json.Unmarshal(l.object["inputs"], &inputs) == nil && len(inputs) == 1 && inputs.has("log") && l.parent != ""
	switch {
	case l.isCall():
		o.Type = domain.TypeGeneration
	case isEval:
		o.Type = domain.TypeEvaluator
	}
	if o.Type != "" {
		p.Said |= domain.ObservationTypeField
	}
	if o.Type != domain.TypeGeneration {
		return
	}
	if o.Model = l.config.text("model"); o.Model != "" {
		p.Said |= domain.ObservationModel
	}
	var params object
	if json.Unmarshal(l.config["model_params"], &params) == nil {
		named := object{}
		for k, v := range params {
			if params.has(k) {
				if name := parameterNames[k]; name != "" {
					k = name
				}
				named[k] = v
			}
		}
		if raw, err := json.Marshal(named); err == nil && len(named) > 0 {
			o.ModelParameters = raw
			p.Said |= domain.ObservationModelParameters
		}
	}
	for _, k := range []string{"input", "output", "total"} {
		if n, ok := l.number(k + "_tokens"); ok && n > 0 && n < math.MaxInt64/2 {
			o.ProvidedUsage = append(o.ProvidedUsage, domain.Count{Key: k, Units: int64(n)})
		}
	}
	if len(o.ProvidedUsage) > 0 {
		p.Said |= domain.ObservationUsage
	}
	if cost, ok := l.number("cost"); ok && cost > 0 && cost < 1e6 {
		o.ProvidedCost = domain.Cost{{Key: "total", Amount: domain.Money(math.Round(cost * float64(domain.Dollar)))}}
		p.Said |= domain.ObservationCost
	}
}

// experiment says which experiment a log belongs to. Of a root the item is known
// by what went in and what was to come out.
func (l *log) experiment(p *domain.ObservationPatch) {
	id := l.text("experiment_uuid")
	if id == "" {
		return
	}
	x := &p.Value.Experiment
	x.ID = id
	if l.parent == "" {
		x.ItemID, x.RootObservationID, x.ItemExpectedOutput = itemID(l.object["inputs"], l.text("target")), l.id, l.text("target")
	}
	p.Said |= domain.ObservationExperiment
}

// itemID is the id of the item of a dataset that has these inputs and target.
func itemID(inputs json.RawMessage, target string) string {
	var v any
	_ = json.Unmarshal(inputs, &v) // then by the target alone
	canonical, _ := json.Marshal(v)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s", canonical, target))
	return hex.EncodeToString(sum[:16])
}

// content says the bodies: of a call the messages are the input.
func (l *log) content(p *domain.ObservationPatch) {
	say := func(part domain.Part, b domain.Body) {
		p.Parts = p.Parts.With(part)
		p.Content[part] = b
	}
	c := l.config
	switch {
	case c.has("messages") && c.has("functions"):
		input := object{"messages": c["messages"], "tools": c["functions"]}
		if c.has("function_call") {
			input["tool_choice"] = c["function_call"]
		}
		if raw, err := json.Marshal(input); err == nil {
			say(domain.Input, domain.JSONBody(raw))
		}
	case c.has("messages"):
		say(domain.Input, domain.JSONBody(c["messages"]))
	case l.has("inputs"):
		say(domain.Input, domain.JSONBody(l.object["inputs"]))
	}
	if l.has("output") {
		say(domain.Output, domain.TextBody(l.text("output")))
	}
	if raw := l.metadata(); raw != nil {
		say(domain.Metadata, domain.JSONBody(raw))
	}
}

// metadata is the log's metadata with what only Parea knows beside it.
func (l *log) metadata() json.RawMessage {
	all := object{}
	if l.has("metadata") {
		_ = json.Unmarshal(l.object["metadata"], &all) // what is no object has no keys
	}
	side := object{}
	for k := range sideFields {
		if !l.has(k) {
			continue
		}
		v := bytes.TrimSpace(l.object[k])
		if v[0] == '{' && k != "inputs" {
			v = encoded(string(v))
		}
		side[k] = v
	}
	if l.config.has("provider") {
		side[providerKey] = encoded(l.config.text("provider"))
	}
	raw, err := json.Marshal(side)
	if err != nil || len(side) == 0 && len(all) == 0 {
		return nil
	}
	all[sideKey] = raw
	out, err := json.Marshal(all)
	if err != nil {
		return nil
	}
	return out
}

// scores are the scores that a log brings, each under an id that follows from
// its place, so that a log that is sent again brings the same.
func (l *log) scores(stamp domain.Stamp) (out []domain.ScorePatch) {
	var list []object
	if json.Unmarshal(l.object["scores"], &list) != nil {
		return nil
	}
	trace := l.root
	if trace == "" {
		trace = l.id
	}
	for i, s := range list {
		value, ok := s.number("score")
		if name := s.text("name"); name != "" && ok {
			p := scorePatch(stamp, scoreID(l.id, name, i), name, value, s.text("reason"))
			p.Value.TraceID = trace
			if l.parent != "" {
				p.Value.ObservationID = l.id
				p.Said |= domain.ScoreObservationID
			}
			out = append(out, p)
		}
	}
	return out
}

func scorePatch(stamp domain.Stamp, id, name string, value float64, comment string) domain.ScorePatch {
	p := domain.ScorePatch{Stamp: stamp, Said: domain.ScoreTraceID | domain.ScoreName | domain.ScoreValue | domain.ScoreSource | domain.ScoreTimestamp}
	p.Value = domain.Score{
		ID: id, Name: name, Type: domain.ScoreNumeric, Value: domain.Some(value), Source: domain.SourceAPI, Comment: comment, Timestamp: domain.At(stamp.Time),
	}
	if comment != "" {
		p.Said |= domain.ScoreComment
	}
	return p
}

// scoreID is the id of the n-th score of a log.
func scoreID(log, name string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", log, name, n))
	h := hex.EncodeToString(sum[:16])
	return strings.Join([]string{h[:8], h[8:12], "5" + h[13:16], "8" + h[17:20], h[20:]}, "-")
}

// sampled reports whether a log is kept: a trace is kept or dropped whole, by
// its root, and what belongs to an experiment is always kept. SDKs send all.
func (l *log) sampled() bool {
	rate, ok := l.number("log_sample_rate")
	if !ok || l.has("experiment_uuid") || rate >= 1 {
		return true
	}
	root := l.root
	if root == "" {
		root = l.id
	}
	return float64(xxhash.Sum64String(root))/(1<<64) < rate
}

// findRoot finds the root of a log that does not name it: its parent's, if that
// is known, else its own.
func (a *API) findRoot(ctx context.Context, project string, l *log) error {
	if l.root != "" || l.parent == "" {
		if l.root == "" {
			l.root = l.id
		}
		return nil
	}
	o, err := a.traces.Observation(ctx, project, l.parent)
	switch {
	case domain.CodeOf(err) == domain.NotFound:
		l.root = l.parent
		return nil
	case err != nil:
		return err
	}
	l.root = o.Observation.TraceID
	return nil
}

// postLog takes a log. Whatever has an id is answered 200: the Python SDK stalls
// over anything else, and drops it.
func (a *API) postLog(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	l, err := parseLog(o, o.text("trace_id"))
	if err != nil {
		return err
	}
	if err := a.keep(r.Context(), c, &l); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, nil)
	return nil
}

// keep writes a log as one that is created when it began.
func (a *API) keep(ctx context.Context, c caller, l *log) error {
	if !l.sampled() {
		return nil
	}
	project, err := a.project(ctx, c, l.object)
	if err != nil {
		return err
	}
	if err := a.findRoot(ctx, project, l); err != nil {
		return err
	}
	if l.has("end_timestamp") && !l.has("status") && !l.has("error") {
		l.object["status"] = json.RawMessage(`"success"`) // TypeScript says so of errors only
	}
	stamp := a.created(l)
	p := l.patch(stamp)
	if err := a.nameExperiment(ctx, project, &p, l); err != nil {
		return err
	}
	b := store.Batch{Project: project, Observations: []domain.ObservationPatch{p}, Scores: l.scores(stamp)}
	return a.write(ctx, &b)
}

// created is the stamp of a log that is sent: it counts from when it began. Of a
// root that is sent twice the one that ended later says more.
func (a *API) created(l *log) domain.Stamp {
	stamp := domain.Stamp{Time: a.now().UnixNano(), Op: domain.Create, Event: l.text("end_timestamp")}
	if l.start.IsSet() {
		stamp.Time = l.start.Nanos()
	}
	return stamp
}

// putLog changes a log, which may come later: then it waits for it.
func (a *API) putLog(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	var fields object
	if json.Unmarshal(o["field_name_to_value_map"], &fields) != nil || fields == nil {
		return invalid("field_name_to_value_map", "must be an object")
	}
	for _, k := range []string{"root_trace_id", "project_uuid", "project_name"} {
		if o.has(k) {
			fields[k] = o[k]
		}
	}
	delete(fields, "parent_trace_id")
	l, err := parseLog(fields, o.text("trace_id"))
	if err != nil {
		return err
	}
	project, err := a.project(r.Context(), c, fields)
	if err != nil {
		return err
	}
	stamp := domain.Stamp{Time: a.now().UnixNano(), Op: domain.Update, Event: "put"}
	if l.end.IsSet() && fields.has("end_timestamp") {
		stamp.Time = l.end.Nanos()
	}
	p := l.patch(stamp)
	p.Said &^= domain.ObservationParent | domain.ObservationTraceName
	b := store.Batch{Project: project, Observations: []domain.ObservationPatch{p}}
	if fields.has("scores") {
		// Where the log is known its place decides what its scores are about.
		known, err := a.traces.Observation(r.Context(), project, l.id)
		if err == nil {
			l.root, l.parent = known.Observation.TraceID, known.Observation.ParentID
		}
		b.Scores = l.scores(stamp)
	}
	if err := a.write(r.Context(), &b); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, nil)
	return nil
}

// postFeedback takes what somebody thinks of a log: a score, and perhaps what
// it should have said.
func (a *API) postFeedback(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	id := o.text("trace_id")
	if id == "" {
		id = o.text("inference_id")
	}
	value, ok := o.number("score")
	switch {
	case id == "":
		return invalid("trace_id", "field required")
	case !ok || value < 0 || value > 1:
		return invalid("score", "must be a number from 0 to 1")
	}
	project, err := a.project(r.Context(), c, o)
	if err != nil {
		return err
	}
	root, parent := id, ""
	if known, err := a.traces.Observation(r.Context(), project, id); err == nil {
		root, parent = known.Observation.TraceID, known.Observation.ParentID
	}
	name := o.text("name")
	if name == "" {
		name = "user-feedback"
	}
	stamp := domain.Stamp{Time: a.now().UnixNano(), Op: domain.Create}
	score := scorePatch(stamp, scoreID(id, "feedback "+name, 0), name, value, o.text("comment"))
	score.Value.TraceID = root
	b := store.Batch{Project: project, Scores: []domain.ScorePatch{score}}
	fields := object{"feedback_score": json.RawMessage(strconv.FormatFloat(value, 'g', -1, 64))}
	if target := o.text("target"); target != "" {
		fields["target"] = o["target"]
		correction := score
		correction.Value.ID, correction.Value.Type, correction.Value.StringValue, correction.Value.Value = scoreID(id, "correction", 0), domain.ScoreCorrection, target, domain.Opt[float64]{}
		b.Scores = append(b.Scores, correction)
	}
	if parent != "" {
		for i := range b.Scores {
			b.Scores[i].Value.ObservationID = id
			b.Scores[i].Said |= domain.ScoreObservationID
		}
	}
	l := log{object: fields, id: id, root: root}
	stamp.Op = domain.Update
	b.Observations = []domain.ObservationPatch{l.patch(stamp)}
	if err := a.write(r.Context(), &b); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, nil)
	return nil
}
