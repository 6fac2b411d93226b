package langfuse

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// experimentItem is one item of an experiment: the span that it begins with, or
// where a run item names a trace or an observation without one, that.
type experimentItem struct {
	experiment *catalog.Experiment
	id         string // of the observation; of the trace where none is known
	item       string
	trace      string
	start, end domain.Time
}

// window is the time that a request asks about: from included, to not.
type window struct{ from, to domain.Time }

func (w window) has(t domain.Time) bool {
	return (!w.from.IsSet() || !t.Before(w.from)) && (!w.to.IsSet() || t.Before(w.to))
}

// experimentItems is every item of these experiments that began in w, the
// latest first.
func (a *API) experimentItems(ctx context.Context, project string, of []catalog.Experiment, w window) (items []experimentItem, err error) {
	known := map[string]map[itemTrace]bool{} // by experiment
	add := func(x experimentItem) {
		k := itemTrace{x.item, domain.TraceKey(x.trace)}
		if known[x.experiment.ID][k] {
			return
		}
		if known[x.experiment.ID] == nil {
			known[x.experiment.ID] = map[itemTrace]bool{}
		}
		known[x.experiment.ID][k] = true
		if w.has(x.start) {
			items = append(items, x)
		}
	}
	err = a.itemRoots(ctx, project, of, func(e *catalog.Experiment, trace string, o *domain.Observation) {
		add(experimentItem{e, o.ID, o.Experiment.ItemID, trace, o.Start, o.End})
	})
	if err != nil {
		return nil, err
	}
	for i := range of {
		e := &of[i]
		posted, _, err := a.catalog.RunItems(ctx, project, e.ID, 0, catalog.WholeList)
		if err != nil {
			return nil, err
		}
		posted = slices.DeleteFunc(posted, func(ri catalog.RunItem) bool {
			return known[e.ID][itemTrace{ri.Item, domain.TraceKey(ri.TraceID)}]
		})
		times, err := a.traceTimes(ctx, project, posted)
		if err != nil {
			return nil, err
		}
		for _, ri := range posted {
			x := experimentItem{e, cmp.Or(ri.ObservationID, ri.TraceID), ri.Item, ri.TraceID, ri.CreatedAt, ri.CreatedAt}
			if t, found := times[domain.TraceKey(ri.TraceID)]; found {
				x.start, x.end = t[0], t[1]
			}
			add(x)
		}
	}
	slices.SortFunc(items, func(x, y experimentItem) int {
		return cmp.Or(cmp.Compare(y.start.Nanos(), x.start.Nanos()), cmp.Compare(x.place(), y.place()))
	})
	return items, nil
}

// traceTimes is when the traces of run items began and ended, by their keys;
// those that have not arrived are missing.
func (a *API) traceTimes(ctx context.Context, project string, of []catalog.RunItem) (map[string][2]domain.Time, error) {
	out := make(map[string][2]domain.Time, len(of))
	for part := range slices.Chunk(of, rootsPage/2) {
		c := conditions{view: query.Traces}
		c.equal(query.ColID, mapped(part, func(ri *catalog.RunItem) string { return ri.TraceID })...)
		page, err := a.traces.List(ctx, project, query.List{
			View: query.Traces, Filter: c.parts, Limit: rootsPage, Bind: query.Bind{Now: a.now().UnixNano()},
		})
		if err != nil {
			return nil, err
		}
		for i := range page.Rows {
			t := page.Rows[i].Trace
			start, end := query.TraceTime(t), t.Totals.End
			if end.Before(start) {
				end = start
			}
			out[domain.TraceKey(t.ID)] = [2]domain.Time{start, end}
		}
	}
	return out, nil
}

// experimentCursor is the place behind the last row of a page, by time and id.
type experimentCursor struct {
	Version int    `json:"v"`
	Time    int64  `json:"t"`
	ID      string `json:"id"`
}

// after reports whether a row of that time and id stands behind the cursor.
func (c *experimentCursor) after(t int64, id string) bool {
	return c.Version == 0 || t < c.Time || t == c.Time && id > c.ID
}

// String is the form in which clients hand it back.
func (c experimentCursor) String() string {
	text, _ := json.Marshal(c) // numbers and a text can be marshalled
	return base64.RawURLEncoding.EncodeToString(text)
}

// experimentQuery is what both lists of experiments ask.
type experimentQuery struct {
	window     window
	limit      int
	scoreLimit int
	after      experimentCursor
	fields     map[string]bool
}

// maxScoresShown is how many scores a row shows at most.
const maxScoresShown = 50

func parseExperimentQuery(v url.Values, fields ...string) (q experimentQuery, err error) {
	if v.Get("fromStartTime") == "" {
		return q, invalid("fromStartTime", "is required")
	}
	if q.window.from, q.window.to, err = timeRange(v, "fromStartTime", "toStartTime"); err != nil {
		return q, err
	}
	q.limit, q.scoreLimit = defaultLimit, maxScoresShown
	for name, n := range map[string]struct {
		to   *int
		most int
	}{"limit": {&q.limit, maxPageLimit}, "scoreLimit": {&q.scoreLimit, maxScoresShown}} {
		if text := v.Get(name); text != "" {
			i, err := strconv.Atoi(text)
			if err != nil || i < 1 || i > n.most {
				return q, invalid(name, "expected a whole number from 1 to "+strconv.Itoa(n.most))
			}
			*n.to = i
		}
	}
	q.fields = set(lists(v, "fields"))
	for f := range q.fields {
		if !slices.Contains(fields, f) {
			return q, invalid("fields", "unknown group "+f)
		}
	}
	if text := v.Get("cursor"); text != "" {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || json.Unmarshal(raw, &q.after) != nil || q.after.Version != 1 {
			return q, invalid("cursor", "is no cursor of this list")
		}
	}
	return q, nil
}

// experimentColumns is what the filter parameter may ask about.
var experimentColumns = map[string]query.Col{
	"id": query.ColExperiment, "name": query.ColExperimentName, "datasetId": query.ColDataset,
	"experimentId": query.ColExperiment, "experimentName": query.ColExperimentName, "experimentDatasetId": query.ColDataset,
}

// chooseExperiments is the project's experiments that the request's lists of
// ids, names and datasets take, and its filter.
func (a *API) chooseExperiments(ctx context.Context, project string, v url.Values, idName, nameName string) ([]catalog.Experiment, error) {
	f, err := parseExperimentFilter(v.Get("filter"))
	if err != nil {
		return nil, err
	}
	ids, names, datasets := set(lists(v, idName)), set(lists(v, nameName)), set(lists(v, "datasetId"))
	var out []catalog.Experiment
	err = a.catalog.AllExperiments(ctx, project, func(e catalog.Experiment) error {
		o := domain.Observation{Experiment: domain.Experiment{ID: e.ID, Name: e.Name, DatasetID: e.Dataset}}
		if (len(ids) == 0 || ids[e.ID]) && (len(names) == 0 || names[e.Name]) && (len(datasets) == 0 || datasets[e.Dataset]) && f(&o) {
			out = append(out, e)
		}
		return nil
	})
	return out, err
}

// parseExperimentFilter reads the filter parameter, in the form that lists of
// observations have.
func parseExperimentFilter(text string) (func(*domain.Observation) bool, error) {
	var elements []filterElement
	if text != "" && json.Unmarshal([]byte(text), &elements) != nil {
		return nil, invalid("filter", "expected a JSON array of conditions")
	}
	all := query.And{}
	for i := range elements {
		field := "filter." + strconv.Itoa(i) + "."
		col, found := experimentColumns[elements[i].Column]
		if !found {
			return nil, invalid(field+"column", "unknown column "+strconv.Quote(elements[i].Column)+"; expected id, name or datasetId")
		}
		for name, c := range filterColumns[query.Observations] {
			if c == col {
				elements[i].Column = name
			}
		}
		f, _, wrong := elements[i].compile(query.Observations)
		if wrong != nil {
			wrong.Field = field + wrong.Field
			return nil, wrong
		}
		all = append(all, f)
	}
	m, err := query.Compile(query.Observations, all, query.Bind{})
	if err != nil {
		return nil, query.Invalid(err)
	}
	return func(o *domain.Observation) bool {
		return m.Match(&query.Record{View: query.Observations, Observation: o})
	}, nil
}

// listExperiments serves GET /experiments, those with the latest activity first.
func (a *API) listExperiments(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	q, err := parseExperimentQuery(v, "core", "metadata", "scores")
	if err != nil {
		return err
	}
	chosen, err := a.chooseExperiments(r.Context(), p.Project, v, "id", "name")
	if err != nil {
		return err
	}
	items, err := a.experimentItems(r.Context(), p.Project, chosen, q.window)
	if err != nil {
		return err
	}
	list := summarize(items)
	list = slices.DeleteFunc(list, func(s experimentSummary) bool { return !q.after.after(s.end.Nanos(), s.experiment.ID) })
	more := len(list) > q.limit
	list = list[:min(len(list), q.limit)]
	out := a.view(r.Context(), answer(w), p)
	out.str(`{"data":[`)
	for i := range list {
		if i > 0 {
			out.str(",")
		}
		s := &list[i]
		out.experiment(s, q.fields["metadata"])
		if q.fields["scores"] {
			if err := a.scoresOf(r.Context(), out, query.ColExperiment, s.experiment.ID, q.scoreLimit); err != nil {
				return err
			}
		}
		out.str("}")
		out.spill()
	}
	out.str(`],"meta":{`)
	if more {
		last := list[len(list)-1]
		out.str(`"cursor":`)
		out.quote(experimentCursor{1, last.end.Nanos(), last.experiment.ID}.String())
	}
	out.str("}}")
	return out.finish()
}

// experimentSummary is what the items of an experiment in a window come to.
type experimentSummary struct {
	experiment *catalog.Experiment
	start, end domain.Time
	count      int64
}

// summarize groups items by their experiments, those that ended last first.
func summarize(items []experimentItem) []experimentSummary {
	byID := map[string]*experimentSummary{}
	for i := range items {
		x := &items[i]
		s := byID[x.experiment.ID]
		if s == nil {
			s = &experimentSummary{experiment: x.experiment, start: x.start, end: x.start}
			byID[x.experiment.ID] = s
		}
		s.count++
		if x.start.Before(s.start) {
			s.start = x.start
		}
		if s.end.Before(x.end) {
			s.end = x.end
		}
	}
	out := make([]experimentSummary, 0, len(byID))
	for _, s := range byID {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(x, y experimentSummary) int {
		return cmp.Or(cmp.Compare(y.end.Nanos(), x.end.Nanos()), cmp.Compare(x.experiment.ID, y.experiment.ID))
	})
	return out
}

// experiment appends one without its closing brace.
func (v *view) experiment(s *experimentSummary, metadata bool) {
	e := s.experiment
	v.str(`{"id":`)
	v.quote(e.ID)
	v.str(`,"name":`)
	v.quote(e.Name)
	v.str(`,"description":`)
	v.orNull(e.Description)
	v.str(`,"startTime":`)
	v.time(s.start)
	v.str(`,"endTime":`)
	v.time(s.end)
	v.str(`,"itemCount":`)
	v.int(s.count)
	v.str(`,"datasetId":`)
	v.orNull(e.Dataset)
	if metadata {
		v.str(`,"metadata":`)
		v.object(domain.JSONBody(e.Metadata))
	}
}

// scoresOf appends the newest scores whose column has that value, as a member
// named scores.
func (a *API) scoresOf(ctx context.Context, v *view, col query.Col, id string, limit int) error {
	c := conditions{view: query.Scores}
	c.equal(col, id)
	page, err := a.traces.List(ctx, v.project, query.List{View: query.Scores, Filter: c.parts, Limit: limit, Bind: query.Bind{Now: a.now().UnixNano()}})
	if err != nil {
		return err
	}
	v.str(`,"scores":[`)
	for i := range page.Rows {
		if i > 0 {
			v.str(",")
		}
		v.scoreV3(page.Rows[i].Score, scoreGroups{true, true, true})
	}
	v.str("]")
	return nil
}
