package langfuse

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// listExperimentItems serves GET /experiment-items, the latest first.
func (a *API) listExperimentItems(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	q, err := parseExperimentQuery(v, "core", "dataset", "io", "metadata", "itemMetadata", "experimentMetadata", "scores")
	if err != nil {
		return err
	}
	if len(q.fields) == 0 {
		q.fields = set([]string{"dataset"})
	}
	chosen, err := a.chooseExperiments(r.Context(), p.Project, v, "experimentId", "experimentName")
	if err != nil {
		return err
	}
	items, err := a.experimentItems(r.Context(), p.Project, chosen, q.window)
	if err != nil {
		return err
	}
	wanted := set(lists(v, "experimentItemId"))
	items = slices.DeleteFunc(items, func(x experimentItem) bool {
		return len(wanted) > 0 && !wanted[x.item] || !q.after.after(x.start.Nanos(), x.place())
	})
	more := len(items) > q.limit
	items = items[:min(len(items), q.limit)]
	bodies := q.fields["io"] || q.fields["metadata"]
	roots, err := a.itemRootsOf(r.Context(), p.Project, items)
	if err != nil {
		return err
	}
	out := a.view(r.Context(), answer(w), p)
	out.str(`{"data":[`)
	for i := range items {
		if i > 0 {
			out.str(",")
		}
		root, err := a.itemRoot(r.Context(), p.Project, &items[i], roots, bodies)
		if err != nil {
			return err
		}
		if err := a.experimentItem(r.Context(), out, &items[i], &root, &q); err != nil {
			return err
		}
		out.spill()
	}
	out.str(`],"meta":{`)
	if more {
		last := &items[len(items)-1]
		out.str(`"cursor":`)
		out.quote(experimentCursor{1, last.start.Nanos(), last.place()}.String())
	}
	out.str("}}")
	return out.finish()
}

// place tells items that began at one moment apart, in their order.
func (x *experimentItem) place() string { return x.experiment.ID + "/" + x.id }

// itemRoot is what an item of an experiment shows of its telemetry.
type itemRoot struct {
	observation domain.Observation // zero where none has arrived
	environment string
	content     domain.Content
}

// rootKey is an observation by the key of its trace and its id.
type rootKey struct{ trace, id string }

// itemRootsOf finds the observations that items name, all at once.
func (a *API) itemRootsOf(ctx context.Context, project string, items []experimentItem) (map[rootKey]*store.Row, error) {
	var ids []string
	for i := range items {
		if items[i].id != items[i].trace {
			ids = append(ids, items[i].id)
		}
	}
	out := map[rootKey]*store.Row{}
	if len(ids) == 0 {
		return out, nil
	}
	c := conditions{view: query.Observations}
	c.equal(query.ColID, ids...)
	page, err := a.traces.List(ctx, project, query.List{
		View: query.Observations, Filter: c.parts, Limit: rootsPage, Bind: query.Bind{Now: a.now().UnixNano()},
	})
	if err != nil {
		return nil, err
	}
	for i := range page.Rows {
		row := &page.Rows[i]
		out[rootKey{domain.TraceKey(row.Observation.TraceID), row.Observation.ID}] = row
	}
	return out, nil
}

// itemRoot reads the observation that an item is about, else the first root of
// its trace, else the trace itself.
func (a *API) itemRoot(ctx context.Context, project string, x *experimentItem, known map[rootKey]*store.Row, bodies bool) (root itemRoot, err error) {
	root.environment = "default"
	row := known[rootKey{domain.TraceKey(x.trace), x.id}]
	if row == nil {
		if row, err = a.traceRoot(ctx, project, x.trace); row == nil {
			return root, err
		}
	}
	if row.Observation != nil {
		root.observation, root.environment = *row.Observation, environmentOf(row.Observation.Environment)
	} else if row.Trace != nil {
		root.environment = environmentOf(row.Trace.Environment)
	}
	if bodies {
		root.content, err = content(ctx, row)
	}
	return root, err
}

// traceRoot is the row of the first root of a trace, else of the trace itself,
// nil where it has not arrived.
func (a *API) traceRoot(ctx context.Context, project, trace string) (*store.Row, error) {
	now := query.Bind{Now: a.now().UnixNano()}
	c := conditions{view: query.Observations}
	c.equal(query.ColTrace, trace)
	c.parts = append(c.parts, query.Cmp{Ref: query.Ref{Column: query.ColRoot}, Op: query.Eq, Values: []query.Value{query.Bool(true)}})
	t := conditions{view: query.Traces}
	t.equal(query.ColID, trace)
	for _, l := range []query.List{
		{View: query.Observations, Filter: c.parts, Order: []query.Key{{Ref: query.Ref{Column: query.ColStart}}}, Limit: 1, Bind: now},
		{View: query.Traces, Filter: t.parts, Limit: 1, Bind: now},
	} {
		page, err := a.traces.List(ctx, project, l)
		if err != nil {
			return nil, err
		}
		if len(page.Rows) > 0 {
			return &page.Rows[0], nil
		}
	}
	return nil, nil
}

// experimentItem appends one item in the groups of keys that were asked for.
func (a *API) experimentItem(ctx context.Context, v *view, x *experimentItem, root *itemRoot, q *experimentQuery) error {
	e, o := x.experiment, &root.observation
	v.str(`{"id":`)
	v.quote(cmp.Or(o.ID, x.id))
	v.str(`,"traceId":`)
	v.quote(x.trace)
	v.str(`,"startTime":`)
	v.time(x.start)
	v.str(`,"endTime":`)
	v.time(x.end)
	v.str(`,"level":"`)
	v.str(o.Level.String())
	v.str(`","environment":`)
	v.quote(root.environment)
	v.str(`,"experimentId":`)
	v.quote(e.ID)
	v.str(`,"experimentName":`)
	v.quote(e.Name)
	v.str(`,"experimentItemId":`)
	v.quote(x.item)
	if q.fields["dataset"] {
		v.str(`,"experimentDatasetId":`)
		v.orNull(e.Dataset)
		v.str(`,"experimentItemVersion":`)
		v.orNull(o.Experiment.ItemVersion)
	}
	if q.fields["metadata"] {
		v.str(`,"metadata":`)
		v.object(root.content[domain.Metadata])
	}
	if err := a.itemFields(ctx, v, x, root, q); err != nil {
		return err
	}
	if q.fields["experimentMetadata"] {
		v.str(`,"experimentMetadata":`)
		v.object(domain.JSONBody(e.Metadata))
		v.str(`,"experimentDescription":`)
		v.orNull(e.Description)
	}
	if q.fields["scores"] {
		if err := a.scoresOf(ctx, v, query.ColTrace, x.trace, q.scoreLimit); err != nil {
			return err
		}
	}
	v.str("}")
	return nil
}

// itemFields appends what belongs to the dataset's item: as the span tells it,
// else as the item is now.
func (a *API) itemFields(ctx context.Context, v *view, x *experimentItem, root *itemRoot, q *experimentQuery) error {
	if !q.fields["io"] && !q.fields["itemMetadata"] {
		return nil
	}
	said := &root.observation.Experiment
	expected, metadata := domain.TextBody(said.ItemExpectedOutput), domain.TextBody(said.ItemMetadata)
	if said.ItemExpectedOutput == "" || said.ItemMetadata == "" {
		var it catalog.DatasetItem
		if x.experiment.Dataset != "" {
			var err error
			it, _, err = a.catalog.Item(ctx, v.project, x.item)
			if err != nil && domain.CodeOf(err) != domain.NotFound {
				return err
			}
		}
		if said.ItemExpectedOutput == "" {
			expected = domain.JSONBody(it.ExpectedOutput)
		}
		if said.ItemMetadata == "" {
			metadata = domain.JSONBody(it.Metadata)
		}
	}
	if q.fields["io"] {
		v.str(`,"input":`)
		v.value(root.content[domain.Input])
		v.str(`,"output":`)
		v.value(root.content[domain.Output])
		v.str(`,"expectedOutput":`)
		v.value(expected)
	}
	if q.fields["itemMetadata"] {
		v.str(`,"experimentItemMetadata":`)
		if metadata.IsSet() && metadata.Kind == domain.Text && first(metadata.Data) == '{' {
			metadata.Kind = domain.JSON
		}
		v.object(metadata)
	}
	return nil
}
