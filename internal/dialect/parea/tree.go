package parea

import (
	"cmp"
	"context"
	"encoding/json"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// fields is a log on its way out. Python's reader breaks over a null, so a field
// that is not known is left out.
type fields map[string]any

// maxNesting is how deep a tree is shown: Python's JSON reader breaks near 495
// levels, and the TypeScript SDK makes chains of siblings. What is deeper hangs
// on the last level.
const maxNesting = 400

// node is a log and those below it.
type node struct {
	fields   fields
	at       int // in the trace's observations; -1 for a root that was made up
	start    int64
	order    float64
	parent   *node // nil: it hangs on none
	children []*node
}

// forest is the logs of a trace, by their ids.
type forest struct{ byID map[string]*node }

// treeOf reads a trace and shows it as trees of logs.
func (a *API) treeOf(ctx context.Context, project string, t *store.Trace, names projectNames) (*forest, error) {
	f := &forest{byID: make(map[string]*node, len(t.Observations))}
	aliases := map[string]string{} // ids under which a log is shown, where that is not its own
	ours := false
	parents, roots := map[string]bool{}, 0
	for i := range t.Observations {
		o := &t.Observations[i]
		ours = ours || o.Source == source
		parents[o.ID] = true
	}
	for i := range t.Observations {
		if o := &t.Observations[i]; o.ParentID == "" || !parents[o.ParentID] || o.ParentID == o.ID {
			roots++
		}
	}
	if !ours && roots == 1 { // a trace of another dialect: its root stands for it
		for i := range t.Observations {
			if o := &t.Observations[i]; o.ParentID == "" || !parents[o.ParentID] {
				aliases[o.ID] = t.Trace.ID
			}
		}
	}
	shown := func(id string) string { return cmp.Or(aliases[id], id) }
	err := t.Source.Each(ctx, func(i int, c *domain.Content) error {
		o := &t.Observations[i]
		n := &node{at: i, start: o.Start.Nanos(), fields: logFields(t, o, c, names)}
		id := shown(o.ID)
		n.fields["trace_id"], n.fields["parent_trace_id"], n.fields["root_trace_id"] = id, id, t.Trace.ID
		if o.ParentID != "" {
			n.fields["parent_trace_id"] = shown(o.ParentID)
		}
		if v, ok := n.fields["execution_order"].(json.RawMessage); ok {
			_ = json.Unmarshal(v, &n.order)
		}
		f.byID[id] = n
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !ours && roots != 1 {
		f.byID[t.Trace.ID] = syntheticRoot(ctx, t, names)
	}
	f.link(t, shown)
	f.addScores(t, shown)
	if err := a.addComments(ctx, project, t, f, shown); err != nil {
		return nil, err
	}
	return f, nil
}

// syntheticRoot is a log that stands for a trace with none or several roots.
func syntheticRoot(ctx context.Context, t *store.Trace, names projectNames) *node {
	o := domain.Observation{ID: t.Trace.ID, Name: t.Trace.Name, Start: query.TraceTime(&t.Trace), End: t.Trace.Totals.End}
	content, err := t.Source.Own(ctx)
	if err != nil {
		content = domain.Content{}
	}
	n := &node{at: -1, start: o.Start.Nanos(), fields: logFields(t, &o, &content, names)}
	n.fields["trace_id"], n.fields["parent_trace_id"], n.fields["root_trace_id"] = o.ID, o.ID, o.ID
	return n
}

// link hangs each log on its parent, or on the trace's root where that has not
// come or where it would close a circle.
func (f *forest) link(t *store.Trace, shown func(string) string) {
	root := f.byID[t.Trace.ID]
	for i := range t.Observations {
		n := f.byID[shown(t.Observations[i].ID)]
		if n == root {
			continue
		}
		n.parent = f.byID[shown(t.Observations[i].ParentID)]
		if n.parent == nil || n.parent.below(n) {
			n.parent = root
		}
		if n.parent != nil {
			n.parent.children = append(n.parent.children, n)
		}
	}
	for _, n := range f.byID {
		slices.SortFunc(n.children, func(x, y *node) int {
			xid, _ := x.fields["trace_id"].(string)
			yid, _ := y.fields["trace_id"].(string)
			return cmp.Or(cmp.Compare(x.start, y.start), cmp.Compare(x.order, y.order), cmp.Compare(xid, yid))
		})
	}
}

// below reports whether n is other, or hangs somewhere below it.
func (n *node) below(other *node) bool {
	for ; n != nil; n = n.parent {
		if n == other {
			return true
		}
	}
	return false
}

// finish fills in what follows from the place in the tree. Depth and order stay
// as they were sent.
func (n *node) finish(depth int, hang *[]any) {
	ids, logs := []string{}, []any{}
	below := &logs
	if depth >= maxNesting && hang != nil {
		below = hang
	}
	for i, c := range n.children {
		id, _ := c.fields["trace_id"].(string)
		ids = append(ids, id)
		if _, sent := c.fields["depth"]; !sent {
			c.fields["depth"] = depth + 1
		}
		if _, sent := c.fields["execution_order"]; !sent {
			c.fields["execution_order"] = i
		}
		*below = append(*below, c.fields)
		if depth+1 >= maxNesting {
			c.finish(depth+1, below)
		} else {
			c.finish(depth+1, nil)
		}
	}
	n.fields["children"], n.fields["children_logs"] = ids, logs
	for _, k := range []string{"depth", "execution_order"} {
		if _, sent := n.fields[k]; !sent {
			n.fields[k] = 0
		}
	}
}

// tree is the log of that node with all below it.
func (n *node) tree() fields {
	n.finish(0, nil)
	return n.fields
}

// projectNames is what a log says of its project.
type projectNames struct{ id, name string }

func (a *API) names(ctx context.Context, project string) projectNames {
	p, err := a.catalog.Project(ctx, project)
	if err != nil {
		return projectNames{id: project}
	}
	return projectNames{p.ID, p.Name}
}

// logFields shows an observation as a log: what a log said of it as it was
// sent, else what follows from its columns and bodies.
func logFields(t *store.Trace, o *domain.Observation, c *domain.Content, names projectNames) fields {
	var metadata, side object
	_ = json.Unmarshal(c[domain.Metadata].Data, &metadata) // where it is none there is nothing in it
	_ = json.Unmarshal(metadata[sideKey], &side)
	delete(metadata, sideKey)
	delete(side, providerKey) // it stands in the configuration
	out := fields{"project_uuid": names.id, "project_name": names.name, "start_timestamp": wireTime(o.Start), "cache_hit": false}
	set := func(key string, v any, ok bool) {
		if ok {
			out[key] = v
		}
	}
	set("end_timestamp", wireTime(o.End), o.End.IsSet())
	set("trace_name", o.Name, o.Name != "")
	set("session_id", cmp.Or(o.SessionID, t.Trace.SessionID), cmp.Or(o.SessionID, t.Trace.SessionID) != "")
	set("end_user_identifier", cmp.Or(o.UserID, t.Trace.UserID), cmp.Or(o.UserID, t.Trace.UserID) != "")
	set("experiment_uuid", o.Experiment.ID, o.Experiment.ID != "")
	set("output", bodyText(c[domain.Output]), c[domain.Output].IsSet())
	if o.Source != source {
		foreignFields(t, o, c, metadata, set)
	}
	for k := range side {
		if !side.has(k) {
			continue
		}
		v := side[k]
		if v[0] == '"' && (k == "configuration" || k == "metadata") {
			v = json.RawMessage(side.text(k))
		}
		out[k] = withoutNulls(v, k == "configuration")
	}
	if _, sent := out["tags"]; !sent && len(o.Tags) > 0 {
		out["tags"] = o.Tags
	}
	usage := o.Derived.Usage
	for key, n := range map[string]int64{"input_tokens": usage.Side("input"), "output_tokens": usage.Side("output"), "total_tokens": usage.Side("total")} {
		if _, sent := out[key]; !sent || o.Source != source {
			out[key] = n
		}
	}
	if cost, sent := out["cost"]; !sent || string(asRaw(cost)) == "0" || string(asRaw(cost)) == "0.0" {
		out["cost"] = float64(o.Derived.TotalCost.Value) / float64(domain.Dollar)
	}
	if _, sent := out["latency"]; !sent {
		out["latency"] = 0.0
		if o.End.IsSet() && !o.End.Before(o.Start) {
			out["latency"] = float64(o.End.Nanos()-o.Start.Nanos()) / 1e9
		}
	}
	if o.Level == domain.LevelError {
		out["status"] = "error"
		set("error", o.StatusMessage, o.StatusMessage != "")
	} else if _, sent := out["status"]; !sent && o.End.IsSet() {
		out["status"] = "success"
	}
	for _, k := range []string{"scores", "images", "evaluation_metric_names", "comments"} {
		if _, sent := out[k]; !sent {
			out[k] = []any{}
		}
	}
	out["annotations"] = map[string]any{}
	return out
}

func asRaw(v any) json.RawMessage {
	raw, _ := v.(json.RawMessage)
	return raw
}

// foreignFields are what a log has in its own form, of an observation that came
// through another API.
func foreignFields(t *store.Trace, o *domain.Observation, c *domain.Content, metadata object, set func(string, any, bool)) {
	inputs := map[string]string{}
	var in object
	if json.Unmarshal(c[domain.Input].Data, &in) == nil && in != nil {
		for k := range in {
			inputs[k] = in.text(k)
		}
	} else if c[domain.Input].IsSet() {
		inputs["input"] = bodyText(c[domain.Input])
	}
	set("inputs", inputs, true)
	texts := map[string]string{}
	for k := range metadata {
		texts[k] = metadata.text(k)
	}
	set("metadata", texts, len(texts) > 0)
	set("tags", t.Trace.Tags, o.ParentID == "" && len(t.Trace.Tags) > 0)
	if o.CompletionStart.IsSet() && !o.CompletionStart.Before(o.Start) {
		set("time_to_first_token", float64(o.CompletionStart.Nanos()-o.Start.Nanos())/1e9, true)
	}
	if o.Type != domain.TypeGeneration && o.Type != domain.TypeEmbedding {
		return
	}
	cfg := fields{"messages": []any{}, "functions": []any{}}
	if o.Model != "" {
		cfg["model"] = o.Model
	}
	params := fields{}
	var sent object
	_ = json.Unmarshal(o.ModelParameters, &sent) // where there are none
	for k := range sent {
		if sent.has(k) {
			params[pareaParameter(k)] = sent[k]
		}
	}
	cfg["model_params"] = params
	var list []object
	raw := c[domain.Input].Data
	if in.has("messages") {
		raw = in["messages"]
	}
	if json.Unmarshal(raw, &list) == nil {
		messages := []any{}
		for _, m := range list {
			if m.has("role") {
				messages = append(messages, fields{"role": m.text("role"), "content": m.text("content")})
			}
		}
		cfg["messages"] = messages
	}
	set("configuration", cfg, true)
}

// bodyText is a body as a text: JSON that is a string as that.
func bodyText(b domain.Body) string {
	var s string
	if b.Kind == domain.JSON && json.Unmarshal(b.Data, &s) == nil {
		return s
	}
	return string(b.Data)
}

// withoutNulls is a JSON value without the members that are null, at any depth;
// of a message of a configuration the content stays, as an empty text.
func withoutNulls(raw json.RawMessage, messages bool) any {
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return raw
	}
	var o object
	if raw[0] == '{' && json.Unmarshal(raw, &o) == nil {
		out := fields{}
		for k, v := range o {
			switch {
			case string(v) != "null":
				out[k] = withoutNulls(v, messages)
			case messages && k == "content":
				out[k] = ""
			case messages && (k == "messages" || k == "functions"):
				out[k] = []any{}
			case messages && k == "model_params":
				out[k] = fields{}
			}
		}
		if _, isMessage := out["role"]; isMessage && messages {
			if _, has := out["content"]; !has {
				out["content"] = ""
			}
		}
		return out
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return raw
	}
	out := make([]any, 0, len(list))
	for _, v := range list {
		if string(v) != "null" {
			out = append(out, withoutNulls(v, messages))
		}
	}
	return out
}

// criterionID is the integer under which annotations by a score config stand:
// Parea's ids are numbers.
func criterionID(config string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(config)) // never fails
	return int64(h.Sum32() & 0x7fffffff)
}

// addScores adds the scores that other APIs wrote: those of people as
// annotations, by criterion and user, and the others as scores.
func (f *forest) addScores(t *store.Trace, shown func(string) string) {
	own := map[string]bool{} // ids of scores that the logs brought themselves
	for _, n := range f.byID {
		if n.at < 0 {
			continue
		}
		list, _ := n.fields["scores"].([]any)
		for i, s := range list {
			one, _ := s.(fields)
			own[scoreID(t.Observations[n.at].ID, object{"name": asRaw(one["name"])}.text("name"), i)] = true
		}
	}
	for i := range t.Scores {
		s := &t.Scores[i]
		n := f.byID[shown(s.ObservationID)]
		if s.ObservationID == "" {
			n = f.byID[t.Trace.ID]
		}
		if n == nil || own[s.ID] {
			continue
		}
		if s.Source == domain.SourceAnnotation && s.ConfigID != "" {
			n.annotate(s)
			continue
		}
		if score, isNumber := toScore(s); isNumber {
			list, _ := n.fields["scores"].([]any)
			n.fields["scores"] = append(list, score)
		}
	}
}

// annotate adds a person's score.
func (n *node) annotate(s *domain.Score) {
	all, _ := n.fields["annotations"].(map[string]any)
	id := criterionID(s.ConfigID)
	key := strconv.FormatInt(id, 10)
	users, _ := all[key].(map[string]any)
	if users == nil {
		users = map[string]any{}
		all[key] = users
	}
	user := cmp.Or(s.AuthorUserID, "unknown")
	one := fields{
		"id": s.ID, "created_at": wireTime(query.ScoreTime(s)), "user_id": user, "annotation_name": s.Name, "defined_annotation_id": id,
		"trace_id": n.fields["trace_id"], "score": nil,
	}
	if s.Value.Set {
		one["score"] = s.Value.Value
	}
	if s.StringValue != "" {
		one["value"] = s.StringValue
	}
	users[user] = one
}

// addComments adds what people said about the trace and its observations.
func (a *API) addComments(ctx context.Context, project string, t *store.Trace, f *forest, shown func(string) string) error {
	add := func(typ, id string, n *node) error {
		list, _, err := a.catalog.Comments(ctx, project, catalog.CommentFilter{ObjectType: typ, ObjectID: id}, 0, 100)
		if err != nil || n == nil {
			return err
		}
		out, _ := n.fields["comments"].([]any)
		for _, c := range slices.Backward(list) {
			out = append(out, fields{
				"id": c.ID, "trace_id": n.fields["trace_id"], "comment": c.Content, "user_id": cmp.Or(c.Author, "unknown"), "created_at": wireTime(c.CreatedAt),
			})
		}
		n.fields["comments"] = out
		return nil
	}
	if err := add(catalog.ObjectTrace, t.Trace.ID, f.byID[t.Trace.ID]); err != nil {
		return err
	}
	_, any, err := a.catalog.Comments(ctx, project, catalog.CommentFilter{ObjectType: catalog.ObjectObservation}, 0, 1)
	if err != nil || any == 0 {
		return err
	}
	for i := range t.Observations {
		if err := add(catalog.ObjectObservation, t.Observations[i].ID, f.byID[shown(t.Observations[i].ID)]); err != nil {
			return err
		}
	}
	return nil
}

// getLog shows a log with all below it; null where there is none.
func (a *API) getLog(w http.ResponseWriter, r *http.Request, c caller) error {
	id := r.PathValue("id")
	projects, err := a.projects(r.Context(), c)
	if err != nil {
		return err
	}
	for _, project := range projects {
		n, err := a.findLog(r.Context(), project, id)
		if err != nil {
			return err
		}
		if n != nil {
			httpio.WriteJSON(w, http.StatusOK, n.tree())
			return nil
		}
	}
	httpio.WriteJSON(w, http.StatusOK, nil)
	return nil
}

// projects is those that a caller may read.
func (a *API) projects(ctx context.Context, c caller) ([]string, error) {
	if c.project != "" {
		return []string{c.project}, nil
	}
	all, err := a.catalog.Projects(ctx)
	var out []string
	for _, p := range all {
		if p.Org == c.org {
			out = append(out, p.ID)
		}
	}
	return out, err
}

// findLog finds a log by its id, or a trace of another dialect by its.
func (a *API) findLog(ctx context.Context, project, id string) (*node, error) {
	trace := id
	o, err := a.traces.Observation(ctx, project, id)
	switch {
	case err == nil:
		trace = cmp.Or(o.Trace.ID, o.Observation.TraceID)
	case domain.CodeOf(err) != domain.NotFound:
		return nil, err
	}
	t, err := a.traces.Trace(ctx, project, trace)
	if domain.CodeOf(err) == domain.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := a.treeOf(ctx, project, t, a.names(ctx, project))
	if err != nil {
		return nil, err
	}
	if n := f.byID[id]; n != nil {
		return n, nil
	}
	for _, n := range f.byID { // its own id, where it is shown under the trace's
		if n.at >= 0 && t.Observations[n.at].ID == id || n.fields["trace_id"] == t.Trace.ID && domain.TraceKey(id) == domain.TraceKey(t.Trace.ID) {
			return n, nil
		}
	}
	return nil, nil
}
