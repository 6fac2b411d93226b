package langfuse

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

func (a *API) datasetRoutes(mux *http.ServeMux) {
	a.handle(mux, prefix+"/v2/datasets", map[string]handler{"GET": a.listDatasets})
	a.handleAs(mux, prefix+"/v2/datasets", toWriteTraces, map[string]handler{"POST": a.postDataset})
	// Python 2 leaves the slashes of a name as they are, the others encode them.
	a.handle(mux, prefix+"/v2/datasets/{datasetName...}", map[string]handler{"GET": a.getDataset})
	a.handle(mux, prefix+"/datasets", map[string]handler{"GET": a.listDatasetsV1})
	a.handleAs(mux, prefix+"/datasets", toWriteTraces, map[string]handler{"POST": a.postDatasetV1})
	a.handle(mux, prefix+"/datasets/{path...}", map[string]handler{"GET": a.getBelowDatasets})
	a.handleAs(mux, prefix+"/datasets/{path...}", toWriteTraces, map[string]handler{"DELETE": a.deleteRun})
	a.handle(mux, prefix+"/dataset-items", map[string]handler{"GET": a.listItems})
	a.handleAs(mux, prefix+"/dataset-items", toWriteTraces, map[string]handler{"POST": a.postItem})
	a.handle(mux, prefix+"/dataset-items/{itemId}", map[string]handler{"GET": a.getItem})
	a.handleAs(mux, prefix+"/dataset-items/{itemId}", toWriteTraces, map[string]handler{"DELETE": a.deleteItem})
	a.handle(mux, prefix+"/dataset-run-items", map[string]handler{"GET": a.listRunItems})
	a.handleAs(mux, prefix+"/dataset-run-items", toWriteTraces, map[string]handler{"POST": a.postRunItem})
}

// datasetPath is what a path below /datasets names: a dataset, its runs, or one
// of them.
type datasetPath struct {
	dataset string
	runs    bool
	run     string
}

// parseDatasetPath divides what follows /datasets/. Most clients encode the
// slashes of a name; the generated ones of Python do not, so that the last
// segment "runs" with a name before it ends the name of the dataset.
func parseDatasetPath(r *http.Request) (p datasetPath, err error) {
	_, rest, _ := strings.Cut(r.URL.EscapedPath(), prefix+"/datasets/")
	segments := strings.Split(rest, "/")
	at := len(segments)
	if len(segments) > 1 && segments[1] == "runs" {
		at = 1
	} else {
		for i := len(segments) - 1; i > 0; i-- {
			if segments[i] == "runs" {
				at = i
				break
			}
		}
	}
	if p.dataset, err = url.PathUnescape(strings.Join(segments[:at], "/")); err != nil || at == len(segments) {
		return p, err
	}
	p.runs = true
	p.run, err = url.PathUnescape(strings.Join(segments[at+1:], "/"))
	return p, err
}

// getBelowDatasets serves GET /datasets/{datasetName}, its /runs, and each run.
func (a *API) getBelowDatasets(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	path, err := parseDatasetPath(r)
	switch {
	case err != nil:
		return domain.Errorf(domain.Invalid, "the path is not encoded right")
	case path.run != "":
		return a.getRun(w, r, p, path)
	case path.runs:
		return a.listRuns(w, r, p, path.dataset)
	}
	return a.getDatasetV1(w, r, p, path.dataset)
}

// datasetReply is a dataset as the API shows it.
type datasetReply struct {
	ID                   string          `json:"id"`
	ProjectID            string          `json:"projectId"`
	Name                 string          `json:"name"`
	Description          *string         `json:"description"`
	Metadata             json.RawMessage `json:"metadata"`
	InputSchema          json.RawMessage `json:"inputSchema"`
	ExpectedOutputSchema json.RawMessage `json:"expectedOutputSchema"`
	CreatedAt            string          `json:"createdAt"`
	UpdatedAt            string          `json:"updatedAt"`
}

// datasetV1 is a dataset in the first generation of calls: with its active
// items, or in a list their ids, and the names of its runs.
type datasetV1 struct {
	datasetReply
	Items any      `json:"items"`
	Runs  []string `json:"runs"`
}

func toDataset(project string, d *catalog.Dataset) datasetReply {
	return datasetReply{
		d.ID, project, d.Name, textOrNil(d.Description), d.Metadata, d.InputSchema, d.ExpectedOutputSchema, wireTime(d.CreatedAt), wireTime(d.UpdatedAt),
	}
}

// datasetRequest creates a dataset or changes it.
type datasetRequest struct {
	Name                 string          `json:"name"`
	Description          *string         `json:"description"`
	Metadata             json.RawMessage `json:"metadata"`
	InputSchema          json.RawMessage `json:"inputSchema"`
	ExpectedOutputSchema json.RawMessage `json:"expectedOutputSchema"`
}

func (a *API) setDataset(r *http.Request, p auth.Principal) (d catalog.Dataset, err error) {
	var in datasetRequest
	if err := a.readObject(r, &in); err != nil {
		return d, err
	}
	return a.catalog.SetDataset(r.Context(), p.Project, catalog.DatasetChange{
		Name: in.Name, Description: in.Description, Metadata: in.Metadata, InputSchema: in.InputSchema, ExpectedOutputSchema: in.ExpectedOutputSchema,
	})
}

// postDataset serves POST /v2/datasets.
func (a *API) postDataset(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	d, err := a.setDataset(r, p)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toDataset(p.Project, &d))
	return nil
}

// postDatasetV1 serves POST /datasets. Its callers read items and runs, and
// take them to be new.
func (a *API) postDatasetV1(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	d, err := a.setDataset(r, p)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, datasetV1{toDataset(p.Project, &d), []string{}, []string{}})
	return nil
}

// listDatasets serves GET /v2/datasets, the newest first.
func (a *API) listDatasets(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	return servePage(w, r, func(skip, limit int) ([]catalog.Dataset, int, error) {
		return a.catalog.Datasets(r.Context(), p.Project, skip, limit)
	}, func(d *catalog.Dataset) datasetReply { return toDataset(p.Project, d) })
}

// getDataset serves GET /v2/datasets/{datasetName}.
func (a *API) getDataset(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	d, err := a.catalog.Dataset(r.Context(), p.Project, r.PathValue("datasetName"))
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toDataset(p.Project, &d))
	return nil
}

// listDatasetsV1 serves GET /datasets.
func (a *API) listDatasetsV1(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	pg, err := parsePage(r.URL.Query())
	if err != nil {
		return err
	}
	list, total, err := a.catalog.Datasets(r.Context(), p.Project, pg.skip(), pg.limit)
	if err != nil {
		return err
	}
	data := make([]datasetV1, len(list))
	for i := range list {
		items, runs, err := a.contentsOf(r.Context(), p.Project, list[i].ID)
		if err != nil {
			return err
		}
		data[i] = datasetV1{toDataset(p.Project, &list[i]), mapped(items, func(it *catalog.DatasetItem) string { return it.ID }), runs}
	}
	httpio.WriteJSON(w, http.StatusOK, pageReply{data, pg.meta(int64(total))})
	return nil
}

// getDatasetV1 serves GET /datasets/{datasetName}: all of it in one answer.
func (a *API) getDatasetV1(w http.ResponseWriter, r *http.Request, p auth.Principal, name string) error {
	d, err := a.catalog.Dataset(r.Context(), p.Project, name)
	if err != nil {
		return err
	}
	items, runs, err := a.contentsOf(r.Context(), p.Project, d.ID)
	if err != nil {
		return err
	}
	all := make([]itemReply, len(items))
	for i := range items {
		if all[i], err = a.toItem(r, p.Project, &items[i], d.Name); err != nil {
			return err
		}
	}
	httpio.WriteJSON(w, http.StatusOK, datasetV1{toDataset(p.Project, &d), all, runs})
	return nil
}

// contentsOf is the active items of a dataset and the names of its runs.
func (a *API) contentsOf(ctx context.Context, project, dataset string) ([]catalog.DatasetItem, []string, error) {
	items, _, err := a.catalog.Items(ctx, project, catalog.ItemFilter{Dataset: dataset}, 0, catalog.WholeList)
	if err != nil {
		return nil, nil, err
	}
	runs, _, err := a.catalog.Experiments(ctx, project, dataset, 0, catalog.WholeList)
	return items, mapped(runs, func(e *catalog.Experiment) string { return e.Name }), err
}

// itemReply is an item of a dataset as the API shows it.
type itemReply struct {
	ID                  string          `json:"id"`
	Status              string          `json:"status"`
	Input               json.RawMessage `json:"input"`
	ExpectedOutput      json.RawMessage `json:"expectedOutput"`
	Metadata            json.RawMessage `json:"metadata"`
	SourceTraceID       *string         `json:"sourceTraceId"`
	SourceObservationID *string         `json:"sourceObservationId"`
	DatasetID           string          `json:"datasetId"`
	DatasetName         string          `json:"datasetName"`
	CreatedAt           string          `json:"createdAt"`
	UpdatedAt           string          `json:"updatedAt"`
	Version             string          `json:"version"`
	MediaReferences     any             `json:"mediaReferences"` // a list, which Python 4 and 5 need
}

func (a *API) toItem(r *http.Request, project string, it *catalog.DatasetItem, dataset string) (itemReply, error) {
	refs, err := a.mediaReferences(r, project, it)
	return itemReply{
		it.ID, it.Status, it.Input, it.ExpectedOutput, it.Metadata, textOrNil(it.SourceTraceID), textOrNil(it.SourceObservationID), it.Dataset, dataset,
		wireTime(it.CreatedAt), wireTime(it.UpdatedAt), wireTime(it.Version), refs,
	}, err
}

// itemRequest creates an item or changes it; SDKs send null for every field
// that their caller did not give.
type itemRequest struct {
	DatasetName         string          `json:"datasetName"`
	ID                  *string         `json:"id"`
	Status              *string         `json:"status"`
	Input               json.RawMessage `json:"input"`
	ExpectedOutput      json.RawMessage `json:"expectedOutput"`
	Metadata            json.RawMessage `json:"metadata"`
	SourceTraceID       *string         `json:"sourceTraceId"`
	SourceObservationID *string         `json:"sourceObservationId"`
}

// postItem serves POST /dataset-items.
func (a *API) postItem(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in itemRequest
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	n := catalog.ItemChange{
		ID: textOf(in.ID), Dataset: in.DatasetName, Status: textOf(in.Status),
		Input: withoutControls(in.Input), ExpectedOutput: withoutControls(in.ExpectedOutput), Metadata: withoutControls(in.Metadata),
		SourceTraceID: clean(textOf(in.SourceTraceID)), SourceObservationID: clean(textOf(in.SourceObservationID)),
	}
	if err := a.checkReferences(r.Context(), p.Project, &n); err != nil {
		return err
	}
	it, d, err := a.catalog.SetItem(r.Context(), p.Project, n)
	if err != nil {
		return err
	}
	return a.writeItem(w, r, p, &it, d.Name)
}

// withoutControls is a JSON value without the control characters in its texts
// that nothing can show; tabs and ends of lines stay.
func withoutControls(raw json.RawMessage) json.RawMessage {
	var out []byte
	kept := 0
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if n := controlEscape(raw[i:]); n > 0 {
			out = append(out, raw[kept:i]...)
			i += n - 1
			kept = i + 1
			continue
		}
		i++ // what is escaped is no backslash that begins another escape
	}
	if kept == 0 {
		return raw
	}
	return append(out, raw[kept:]...)
}

// controlEscape is the length of the escape of a control character that raw
// begins with, 0 where it does not.
func controlEscape(raw []byte) int {
	const form = `\u00`
	if len(raw) < 6 || string(raw[:4]) != form || raw[4] > '1' {
		return 0
	}
	switch string(raw[4:6]) {
	case "09", "0a", "0A", "0d", "0D":
		return 0
	}
	return 6
}

// listItems serves GET /dataset-items: active items, the newest first, today's
// or those of an earlier time.
func (a *API) listItems(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q := r.URL.Query()
	pg, err := parsePage(q)
	if err != nil {
		return err
	}
	f := catalog.ItemFilter{SourceTraceID: q.Get("sourceTraceId"), SourceObservationID: q.Get("sourceObservationId")}
	if text := q.Get("version"); text != "" {
		if f.AsOf, err = parseQueryTime(text); err != nil {
			return invalid("version", "expected a UTC time like 2026-01-02T03:04:05.678Z")
		}
		if q.Get("datasetName") == "" {
			return invalid("datasetName", "is required with version")
		}
	}
	names := map[string]string{}
	if name := q.Get("datasetName"); name != "" {
		d, err := a.catalog.Dataset(r.Context(), p.Project, name)
		if once, bad := url.PathUnescape(name); domain.CodeOf(err) == domain.NotFound && bad == nil && once != name {
			// Python 2 encodes the name twice.
			if again, found := a.catalog.Dataset(r.Context(), p.Project, once); found == nil {
				d, err = again, nil
			}
		}
		if err != nil {
			return err
		}
		f.Dataset, names[d.ID] = d.ID, d.Name
	}
	items, total, err := a.catalog.Items(r.Context(), p.Project, f, pg.skip(), pg.limit)
	if err != nil {
		return err
	}
	data := make([]itemReply, len(items))
	for i := range items {
		it := &items[i]
		if names[it.Dataset] == "" {
			d, err := a.catalog.DatasetByID(r.Context(), p.Project, it.Dataset)
			if err != nil {
				return err
			}
			names[it.Dataset] = d.Name
		}
		if data[i], err = a.toItem(r, p.Project, it, names[it.Dataset]); err != nil {
			return err
		}
	}
	httpio.WriteJSON(w, http.StatusOK, pageReply{data, pg.meta(int64(total))})
	return nil
}

// getItem serves GET /dataset-items/{itemId}, whatever the item's status.
func (a *API) getItem(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	it, d, err := a.catalog.Item(r.Context(), p.Project, r.PathValue("itemId"))
	if err != nil {
		return err
	}
	return a.writeItem(w, r, p, &it, d.Name)
}

func (a *API) writeItem(w http.ResponseWriter, r *http.Request, p auth.Principal, it *catalog.DatasetItem, dataset string) error {
	reply, err := a.toItem(r, p.Project, it, dataset)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, reply)
	return nil
}

// deleteItem serves DELETE /dataset-items/{itemId}.
func (a *API) deleteItem(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	if _, err := a.catalog.DeleteItem(r.Context(), p.Project, r.PathValue("itemId")); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, message{"Dataset item successfully deleted"})
	return nil
}

// traceOf is the trace of an observation; domain.NotFound.
func (a *API) traceOf(ctx context.Context, project, observation string) (string, error) {
	o, err := a.traces.Observation(ctx, project, observation)
	if domain.CodeOf(err) == domain.NotFound {
		return "", domain.Errorf(domain.NotFound, "Observation %s not found within authorized project", observation)
	}
	if err != nil {
		return "", err
	}
	if o.Trace.ID != "" {
		return o.Trace.ID, nil
	}
	return o.Observation.TraceID, nil
}
