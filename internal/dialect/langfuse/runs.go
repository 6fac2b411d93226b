package langfuse

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/query"
)

// A dataset run is what the API's first two generations call an experiment.

// runReply is a dataset run as the API shows it.
type runReply struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Description *string         `json:"description"`
	Metadata    json.RawMessage `json:"metadata"`
	DatasetID   string          `json:"datasetId"`
	DatasetName string          `json:"datasetName"`
	CreatedAt   string          `json:"createdAt"`
	UpdatedAt   string          `json:"updatedAt"`
}

// runWithItems is a run and all of its items.
type runWithItems struct {
	runReply
	Items []runItemReply `json:"datasetRunItems"`
}

// runItemReply is what a run made of an item.
type runItemReply struct {
	ID            string  `json:"id"`
	RunID         string  `json:"datasetRunId"`
	RunName       string  `json:"datasetRunName"`
	ItemID        string  `json:"datasetItemId"`
	TraceID       string  `json:"traceId"`
	ObservationID *string `json:"observationId"`
	CreatedAt     string  `json:"createdAt"`
	UpdatedAt     string  `json:"updatedAt"`
}

func toRun(e *catalog.Experiment, dataset string) runReply {
	r := runReply{e.ID, e.Name, textOrNil(e.Description), e.Metadata, e.Dataset, dataset, wireTime(e.CreatedAt), wireTime(e.UpdatedAt)}
	if r.Metadata == nil {
		r.Metadata = json.RawMessage("{}") // Python 4 needs it
	}
	return r
}

func toRunItem(ri *catalog.RunItem, run string) runItemReply {
	return runItemReply{
		ri.ID, ri.Experiment, run, ri.Item, ri.TraceID, textOrNil(ri.ObservationID), wireTime(ri.CreatedAt), wireTime(ri.UpdatedAt),
	}
}

// runItemRequest adds an item to a run, which the first of them makes.
type runItemRequest struct {
	RunName        string          `json:"runName"`
	RunDescription *string         `json:"runDescription"`
	Metadata       json.RawMessage `json:"metadata"`
	ItemID         string          `json:"datasetItemId"`
	TraceID        *string         `json:"traceId"`
	ObservationID  *string         `json:"observationId"`
	DatasetVersion *string         `json:"datasetVersion"`
	CreatedAt      *string         `json:"createdAt"`
}

// metadata is what a run keeps of it: an object.
func (q *runItemRequest) metadata() (json.RawMessage, error) {
	m := withoutControls(q.Metadata)
	if len(m) > 0 && m[0] != '{' && !isNull(m) {
		m = json.RawMessage(`{"metadata":` + string(m) + `}`)
	}
	if q.DatasetVersion == nil {
		return m, nil
	}
	if _, err := parseQueryTime(*q.DatasetVersion); err != nil {
		return nil, invalid("datasetVersion", "expected a time like 2026-01-02T03:04:05.678Z")
	}
	all := map[string]json.RawMessage{}
	if len(m) > 0 {
		if err := json.Unmarshal(m, &all); err != nil {
			return nil, invalid("metadata", "is no JSON object")
		}
	}
	version, err := json.Marshal(*q.DatasetVersion)
	if err != nil {
		return nil, err
	}
	all["dataset_version"] = version
	return json.Marshal(all)
}

// postRunItem serves POST /dataset-run-items. The trace need not be there yet.
func (a *API) postRunItem(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in runItemRequest
	if err := a.readStrict(r, &in); err != nil {
		return err
	}
	n := catalog.NewRunItem{
		Experiment: in.RunName, Description: textOf(in.RunDescription), Item: in.ItemID,
		TraceID: textOf(in.TraceID), ObservationID: textOf(in.ObservationID),
	}
	var err error
	if n.Metadata, err = in.metadata(); err != nil {
		return err
	}
	if text := textOf(in.CreatedAt); text != "" {
		if n.CreatedAt, err = parseQueryTime(text); err != nil {
			return invalid("createdAt", "expected a time like 2026-01-02T03:04:05.678Z")
		}
	}
	switch {
	case n.Experiment == "":
		return invalid("runName", "is required")
	case n.Item == "":
		return invalid("datasetItemId", "is required")
	case n.TraceID == "" && n.ObservationID == "":
		return invalid("traceId", "traceId or observationId is required")
	case n.TraceID == "":
		if n.TraceID, err = a.traceOf(r.Context(), p.Project, n.ObservationID); err != nil {
			return err
		}
	}
	ri, e, err := a.catalog.AddRunItem(r.Context(), p.Project, n)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toRunItem(&ri, e.Name))
	return nil
}

// listRuns serves GET /datasets/{datasetName}/runs, the newest first.
func (a *API) listRuns(w http.ResponseWriter, r *http.Request, p auth.Principal, dataset string) error {
	d, err := a.catalog.Dataset(r.Context(), p.Project, dataset)
	if err != nil {
		return err
	}
	return servePage(w, r, func(skip, limit int) ([]catalog.Experiment, int, error) {
		return a.catalog.Experiments(r.Context(), p.Project, d.ID, skip, limit)
	}, func(e *catalog.Experiment) runReply { return toRun(e, d.Name) })
}

// findRun finds the run and the dataset that a path names.
func (a *API) findRun(ctx context.Context, project string, path datasetPath) (d catalog.Dataset, e catalog.Experiment, err error) {
	if d, err = a.catalog.Dataset(ctx, project, path.dataset); err == nil {
		e, err = a.catalog.ExperimentOf(ctx, project, d.ID, path.run)
	}
	return d, e, err
}

// getRun serves GET /datasets/{datasetName}/runs/{runName}.
func (a *API) getRun(w http.ResponseWriter, r *http.Request, p auth.Principal, path datasetPath) error {
	d, e, err := a.findRun(r.Context(), p.Project, path)
	if err != nil {
		return err
	}
	items, err := a.runItems(r.Context(), p.Project, &e)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, runWithItems{toRun(&e, d.Name), mapped(items, func(ri *catalog.RunItem) runItemReply {
		return toRunItem(ri, e.Name)
	})})
	return nil
}

// deleteRun serves DELETE /datasets/{datasetName}/runs/{runName}.
func (a *API) deleteRun(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	path, err := parseDatasetPath(r)
	if err != nil || path.run == "" {
		return domain.Errorf(domain.NotFound, "Path not found")
	}
	_, e, err := a.findRun(r.Context(), p.Project, path)
	if err != nil {
		return err
	}
	if err := a.catalog.DeleteExperiment(r.Context(), p.Project, e.ID); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, message{"Dataset run successfully deleted"})
	return nil
}

// listRunItems serves GET /dataset-run-items, the newest first.
func (a *API) listRunItems(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q := r.URL.Query()
	pg, err := parsePage(q)
	if err != nil {
		return err
	}
	for _, name := range []string{"datasetId", "runName"} {
		if q.Get(name) == "" {
			return invalid(name, "is required")
		}
	}
	e, err := a.catalog.ExperimentOf(r.Context(), p.Project, q.Get("datasetId"), q.Get("runName"))
	if err != nil {
		return err
	}
	items, err := a.runItems(r.Context(), p.Project, &e)
	if err != nil {
		return err
	}
	from, to, meta := pg.of(len(items))
	httpio.WriteJSON(w, http.StatusOK, pageReply{mapped(items[from:to], func(ri *catalog.RunItem) runItemReply {
		return toRunItem(ri, e.Name)
	}), meta})
	return nil
}

// runItems is every item of an experiment as run items, the newest first: those
// that were posted, and those that only their spans tell of.
func (a *API) runItems(ctx context.Context, project string, e *catalog.Experiment) ([]catalog.RunItem, error) {
	posted, _, err := a.catalog.RunItems(ctx, project, e.ID, 0, catalog.WholeList)
	if err != nil {
		return nil, err
	}
	known := map[itemTrace]bool{}
	for i := range posted {
		known[itemTrace{posted[i].Item, domain.TraceKey(posted[i].TraceID)}] = true
	}
	err = a.itemRoots(ctx, project, []catalog.Experiment{*e}, func(_ *catalog.Experiment, trace string, o *domain.Observation) {
		k := itemTrace{o.Experiment.ItemID, domain.TraceKey(trace)}
		if known[k] {
			return
		}
		known[k] = true
		posted = append(posted, catalog.RunItem{
			ID: o.ID, Experiment: e.ID, Item: o.Experiment.ItemID, TraceID: trace, ObservationID: o.ID, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
		})
	})
	slices.SortStableFunc(posted, func(x, y catalog.RunItem) int {
		return cmp.Or(cmp.Compare(y.CreatedAt.Nanos(), x.CreatedAt.Nanos()), cmp.Compare(x.ID, y.ID))
	})
	return posted, err
}

// itemTrace is an item and the key of a trace that an experiment made of it:
// what Python 4 and JS 5 tell of both as a run item and in a span is one thing.
type itemTrace struct{ item, trace string }

// rootsPage is how many spans are read at a time.
const rootsPage = 1000

// itemRoots calls f with each span that an item of these experiments begins
// with, and the id of its trace.
func (a *API) itemRoots(
	ctx context.Context, project string, of []catalog.Experiment, f func(e *catalog.Experiment, trace string, o *domain.Observation),
) error {
	byID := make(map[string]*catalog.Experiment, len(of))
	for i := range of {
		byID[of[i].ID] = &of[i]
	}
	for part := range slices.Chunk(of, rootsPage) {
		c := conditions{view: query.Observations}
		c.equal(query.ColExperiment, mapped(part, func(e *catalog.Experiment) string { return e.ID })...)
		c.parts = append(c.parts, query.Cmp{Ref: query.Ref{Column: query.ColItemRoot}, Op: query.Eq, Values: []query.Value{query.Bool(true)}})
		l := query.List{View: query.Observations, Filter: c.parts, Limit: rootsPage, Bind: query.Bind{Now: a.now().UnixNano()}}
		for more := true; more; {
			page, err := a.traces.List(ctx, project, l)
			if err != nil {
				return err
			}
			for i := range page.Rows {
				o, t := page.Rows[i].Observation, page.Rows[i].Trace
				e := byID[o.Experiment.ID]
				if e == nil || !e.Has(o) {
					continue
				}
				trace := o.TraceID
				if t != nil && t.ID != "" {
					trace = t.ID
				}
				f(e, trace, o)
			}
			l.After, more = page.Next, page.Next != ""
		}
	}
	return nil
}
