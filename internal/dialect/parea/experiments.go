package parea

import (
	"cmp"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// experimentReply is an experiment as the API shows it.
type experimentReply struct {
	Name        string            `json:"name"`
	UUID        string            `json:"uuid"`
	RunName     string            `json:"run_name"`
	ProjectUUID string            `json:"project_uuid"`
	IsPublic    bool              `json:"is_public"`
	Metadata    map[string]string `json:"metadata"`
	CreatedAt   string            `json:"created_at"`
	Status      string            `json:"status"`
}

func toExperiment(project string, e *catalog.Experiment, group string) experimentReply {
	if e.Group != "" {
		group = e.Group
	}
	if group == "" {
		group = e.Name
	}
	status := e.Status
	if status == "" { // it came from another API, which has no end of one
		status = catalog.ExperimentCompleted
	}
	return experimentReply{group, e.ID, e.Name, project, e.Public, textMap(e.Metadata), wireTime(e.CreatedAt), status}
}

// textMap is a JSON object with its values as texts.
func textMap(raw json.RawMessage) map[string]string {
	var o object
	_ = json.Unmarshal(raw, &o) // what is no object has no members
	out := make(map[string]string, len(o))
	for k := range o {
		out[k] = o.text(k)
	}
	return out
}

// runNames are the words that a run without a name gets one of.
var runNames = [2][]string{
	{"amber", "brisk", "calm", "dapper", "eager", "fine", "gentle", "hazel", "keen", "lucid", "merry", "neat", "quiet", "rapid", "sunny", "tidy"},
	{"bobbin", "cord", "fibre", "hemp", "knot", "lace", "linen", "loop", "needle", "reel", "skein", "spool", "stitch", "thread", "twine", "yarn"},
}

// runName is a name for a run that was given none.
func runName() string {
	return runNames[0][rand.IntN(len(runNames[0]))] + "-" + runNames[1][rand.IntN(len(runNames[1]))]
}

// postExperiment begins an experiment.
func (a *API) postExperiment(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	n := catalog.Experiment{Group: o.text("name"), Name: o.text("run_name"), Public: string(o["is_public"]) == "true"}
	if n.Group == "" {
		return invalid("name", "field required")
	}
	if o.has("metadata") {
		n.Metadata = o["metadata"]
	}
	project, err := a.project(r.Context(), c, o)
	if err != nil {
		return err
	}
	named := n.Name != ""
	if !named {
		n.Name = runName()
	}
	made, err := a.catalog.CreateExperiment(r.Context(), project, n)
	for try := 0; !named && domain.CodeOf(err) == domain.Conflict && try < 20; try++ {
		n.Name = runName() + "-" + strconv.Itoa(1+rand.IntN(1000))
		made, err = a.catalog.CreateExperiment(r.Context(), project, n)
	}
	if domain.CodeOf(err) == domain.Conflict {
		return domain.Errorf(domain.Invalid, "%s", err.Error()) // 400 is what the SDKs know
	}
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toExperiment(project, &made, ""))
	return nil
}

// nameExperiment adds to a log's observation what is known of its experiment,
// and to its dataset the item that a root is.
func (a *API) nameExperiment(ctx context.Context, project string, p *domain.ObservationPatch, l *log) error {
	x := &p.Value.Experiment
	if x.ID == "" {
		return nil
	}
	e, err := a.catalog.Experiment(ctx, project, x.ID)
	if domain.CodeOf(err) == domain.NotFound {
		x.Name = x.ID
		return nil
	}
	if err != nil {
		return err
	}
	x.Name, x.DatasetID = e.Name, e.Dataset
	if l.parent != "" || e.Group == "" {
		return nil
	}
	if _, _, err := a.catalog.Item(ctx, project, x.ItemID); domain.CodeOf(err) != domain.NotFound {
		return err
	}
	target, _ := json.Marshal(l.text("target")) // a text can be marshalled
	_, _, err = a.catalog.SetItem(ctx, project, catalog.ItemChange{ID: x.ItemID, Dataset: e.Group, Input: l.object["inputs"], ExpectedOutput: target})
	if domain.CodeOf(err) == domain.Conflict || domain.CodeOf(err) == domain.Invalid {
		return nil // another dataset has it, or does not allow it: the log itself matters more
	}
	return err
}

// findExperiment finds an experiment of the caller's: with an organisation's key
// in any of its projects.
func (a *API) findExperiment(ctx context.Context, c caller, id string) (project string, e catalog.Experiment, err error) {
	projects, err := a.projects(ctx, c)
	if err != nil {
		return "", e, err
	}
	for _, project := range projects {
		if e, err = a.catalog.Experiment(ctx, project, id); domain.CodeOf(err) != domain.NotFound {
			return project, e, err
		}
	}
	return "", e, domain.Errorf(domain.NotFound, "Experiment not found: %s", id)
}

// rootStats is what came of one root log of an experiment and all below it.
type rootStats struct {
	TraceID      string       `json:"trace_id"`
	Latency      float64      `json:"latency"` // of the root, in seconds
	InputTokens  int64        `json:"input_tokens"`
	OutputTokens int64        `json:"output_tokens"`
	TotalTokens  int64        `json:"total_tokens"`
	Cost         float64      `json:"cost"`
	Scores       []scoreReply `json:"scores"`
}

// statsReply is what came of an experiment.
type statsReply struct {
	Roots []rootStats `json:"parent_trace_stats"`
}

// pageOfRoots is how many traces are listed at a time.
const pageOfRoots = 500

// eachRoot calls f with the root logs of an experiment that a filter takes, in
// the order of their starts.
func (a *API) eachRoot(ctx context.Context, project string, e *catalog.Experiment, filter query.Filter, f func(row *store.Row) error) error {
	all := query.And{
		query.Cmp{Ref: query.Ref{Column: query.ColExperiment}, Op: query.Eq, Values: []query.Value{query.Str(e.ID)}},
		query.Cmp{Ref: query.Ref{Column: query.ColItemRoot}, Op: query.Eq, Values: []query.Value{query.Bool(true)}},
	}
	if filter != nil {
		all = append(all, filter)
	}
	l := query.List{
		View: query.Observations, Filter: all, Limit: pageOfRoots, Order: []query.Key{{Ref: query.Ref{Column: query.ColStart}}}, Bind: query.Bind{Now: a.now().UnixNano()},
	}
	for more := true; more; {
		page, err := a.traces.List(ctx, project, l)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			if !e.Has(page.Rows[i].Observation) {
				continue
			}
			if err := f(&page.Rows[i]); err != nil {
				return err
			}
		}
		l.After, more = page.Next, page.Next != ""
	}
	return nil
}

// stats sums up an experiment.
func (a *API) stats(ctx context.Context, project string, e *catalog.Experiment) (statsReply, error) {
	out := statsReply{Roots: []rootStats{}}
	err := a.eachRoot(ctx, project, e, nil, func(row *store.Row) error {
		o, t := row.Observation, row.Trace
		s := rootStats{TraceID: o.ID, Scores: []scoreReply{}}
		if !o.End.Before(o.Start) && o.End.IsSet() {
			s.Latency = float64(o.End.Nanos()-o.Start.Nanos()) / 1e9
		}
		if t != nil {
			s.InputTokens, s.OutputTokens, s.TotalTokens = t.Totals.Input, t.Totals.Output, t.Totals.Total
			s.Cost = float64(t.Totals.Cost) / float64(domain.Dollar)
		}
		out.Roots = append(out.Roots, s)
		return nil
	})
	if err != nil {
		return out, err
	}
	byTrace := map[string]int{}
	for i := range out.Roots {
		byTrace[domain.TraceKey(out.Roots[i].TraceID)] = i
	}
	for part := range slices.Chunk(out.Roots, pageOfRoots) {
		ids := make([]query.Value, len(part))
		for i := range part {
			ids[i] = query.Str(part[i].TraceID)
		}
		l := query.List{
			View: query.Scores, Filter: query.Cmp{Ref: query.Ref{Column: query.ColTrace}, Op: query.In, Values: ids}, Limit: 1000,
			Order: []query.Key{{Ref: query.Ref{Column: query.ColStart}}}, Bind: query.Bind{Now: a.now().UnixNano()},
		}
		for more := true; more; {
			page, err := a.traces.List(ctx, project, l)
			if err != nil {
				return out, err
			}
			for i := range page.Rows {
				s := page.Rows[i].Score
				if at, found := byTrace[domain.TraceKey(s.TraceID)]; found {
					if score, isNumber := toScore(s); isNumber {
						out.Roots[at].Scores = append(out.Roots[at].Scores, score)
					}
				}
			}
			l.After, more = page.Next, page.Next != ""
		}
	}
	return out, nil
}

// scoreReply is a score as the API shows it.
type scoreReply struct {
	Name   string  `json:"name"`
	Score  float64 `json:"score"`
	Reason string  `json:"reason,omitempty"`
}

// toScore shows a score, if it is a number.
func toScore(s *domain.Score) (r scoreReply, isNumber bool) {
	isNumber = s.Value.Set && s.Type != domain.ScoreText && s.Type != domain.ScoreCorrection
	return scoreReply{s.Name, s.Value.Value, s.Comment}, isNumber
}

// getStats sums up an experiment.
func (a *API) getStats(w http.ResponseWriter, r *http.Request, c caller) error {
	project, e, err := a.findExperiment(r.Context(), c, r.PathValue("uuid"))
	if err != nil {
		return err
	}
	stats, err := a.stats(r.Context(), project, &e)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, stats)
	return nil
}

// statuses is what the SDKs know; another would make their lists fail.
var statuses = []string{"pending", catalog.ExperimentRunning, catalog.ExperimentCompleted, catalog.ExperimentFailed}

// finishExperiment notes how an experiment ended, and sums it up.
func (a *API) finishExperiment(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	project, e, err := a.findExperiment(r.Context(), c, r.PathValue("uuid"))
	if err != nil {
		return err
	}
	status := strings.ToLower(o.text("status"))
	if status == "" {
		status = catalog.ExperimentCompleted
	}
	if !slices.Contains(statuses, status) {
		return invalid("status", "must be pending, running, completed or failed")
	}
	var stats json.RawMessage
	if o.has("dataset_level_stats") {
		stats = o["dataset_level_stats"]
	}
	if e, err = a.catalog.FinishExperiment(r.Context(), project, e.ID, status, stats); err != nil {
		return err
	}
	sums, err := a.stats(r.Context(), project, &e)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, sums)
	return nil
}

// pinnedStat is a figure that stands beside an experiment in a list.
type pinnedStat struct {
	Var       string  `json:"var1"`
	Operation string  `json:"operation"`
	Value     float64 `json:"value"`
}

// experimentWithStats is an experiment in a list.
type experimentWithStats struct {
	experimentReply
	Pinned  []pinnedStat `json:"pinned_stats"`
	Samples int          `json:"num_samples"`
}

// listExperiments lists the experiments of a project, the newest first.
func (a *API) listExperiments(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	project, err := a.project(r.Context(), c, o)
	if err != nil {
		return err
	}
	var uuids []string
	_ = json.Unmarshal(o["experiment_uuids"], &uuids) // what is no list restricts nothing
	wanted := textMap(o["metadata_filter"])
	contains := func(text, key string) bool {
		return strings.Contains(strings.ToLower(text), strings.ToLower(o.text(key)))
	}
	groups := map[string]string{}
	var list []catalog.Experiment
	err = a.catalog.AllExperiments(r.Context(), project, func(e catalog.Experiment) error {
		list = append(list, e)
		return nil
	})
	if err != nil {
		return err
	}
	out := []experimentWithStats{}
	slices.SortFunc(list, func(x, y catalog.Experiment) int { return cmp.Compare(y.CreatedAt.Nanos(), x.CreatedAt.Nanos()) })
	for i := range list {
		e := &list[i]
		if e.Group == "" && e.Dataset != "" && groups[e.Dataset] == "" {
			if d, err := a.catalog.DatasetByID(r.Context(), project, e.Dataset); err == nil {
				groups[e.Dataset] = d.Name
			}
		}
		shown := toExperiment(project, e, groups[e.Dataset])
		matches := contains(shown.Name, "experiment_name_filter") && contains(shown.RunName, "run_name_filter") && (!o.has("experiment_uuids") || slices.Contains(uuids, shown.UUID))
		for k, v := range wanted {
			matches = matches && shown.Metadata[k] == v
		}
		if !matches {
			continue
		}
		sums, err := a.stats(r.Context(), project, e)
		if err != nil {
			return err
		}
		out = append(out, experimentWithStats{shown, pinned(&sums, e.Stats), len(sums.Roots)})
	}
	httpio.WriteJSON(w, http.StatusOK, out)
	return nil
}

// pinned is the means of what the roots of an experiment have, and the figures
// that it was finished with.
func pinned(s *statsReply, dataset json.RawMessage) []pinnedStat {
	out := []pinnedStat{}
	sums, counts, order := map[string]float64{}, map[string]float64{}, []string{}
	add := func(name string, v float64) {
		if counts[name] == 0 {
			order = append(order, name)
		}
		sums[name] += v
		counts[name]++
	}
	for i := range s.Roots {
		root := &s.Roots[i]
		add("Latency", root.Latency)
		add("Input Tokens", float64(root.InputTokens))
		add("Output Tokens", float64(root.OutputTokens))
		add("Total Tokens", float64(root.TotalTokens))
		add("Cost", root.Cost)
		for _, sc := range root.Scores {
			add(sc.Name, sc.Score)
		}
	}
	for _, name := range order {
		out = append(out, pinnedStat{name, "mean", sums[name] / counts[name]})
	}
	var list []object
	_ = json.Unmarshal(dataset, &list) // what is no list has no figures
	for _, o := range list {
		if v, ok := o.number("score"); ok {
			out = append(out, pinnedStat{o.text("name"), "custom", v})
		}
	}
	return out
}
