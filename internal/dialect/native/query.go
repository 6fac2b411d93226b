package native

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// queryRoutes registers what asks for rows in the language of package query;
// docs/query.md explains it.
func (a *API) queryRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/list", a.reading(a.list))
	mux.HandleFunc("GET /api/v1/facet", a.reading(a.facet))
	mux.HandleFunc("GET /api/v1/complete", a.reading(a.complete))
	mux.HandleFunc("GET /api/v1/aggregate", a.reading(a.aggregate))
	mux.HandleFunc("GET /api/v1/prompt-metrics", a.reading(a.promptMetrics))
}

// reading serves callers who may read a project.
func (a *API) reading(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := a.auth.Request(r)
		if err == nil && (p.Project == "" || !p.CanRead()) {
			err = domain.Errorf(domain.Forbidden, "this needs the key pair of a project")
		}
		if err == nil {
			err = h(w, r, p)
		}
		if err != nil {
			a.failQuery(w, r, err)
		}
	}
}

// mistake is one thing that is wrong with a question. Start and End are where
// it stands in the text, in bytes.
type mistake struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Field   string `json:"field,omitempty"`
	Start   int    `json:"start"`
	End     int    `json:"end"`
}

// queryError is the body of a question's failure.
type queryError struct {
	ErrorBody
	Errors []mistake `json:"errors"`
}

// failQuery answers with every mistake in a question, or as fail does.
func (a *API) failQuery(w http.ResponseWriter, r *http.Request, err error) {
	es, ok := errors.AsType[query.Errors](err)
	if !ok {
		a.fail(w, r, err)
		return
	}
	body := queryError{ErrorBody: ErrorBody{Message: es.Error(), Code: string(domain.Invalid), Field: es[0].Field}}
	for _, e := range es {
		body.Errors = append(body.Errors, mistake{string(e.Code), e.Message, e.Hint, e.Field, e.Pos.Start, e.Pos.End})
	}
	httpio.WriteJSON(w, http.StatusBadRequest, body)
}

func badParameter(name, msg string) error {
	return &domain.Error{Code: domain.Invalid, Field: name, Msg: name + ": " + msg}
}

// question is what every question has: a view, a filter in text, a zone.
type question struct {
	view   query.View
	filter query.Filter
	bind   query.Bind
}

func parseQuestion(v url.Values) (q question, err error) {
	var known bool
	if q.view, known = query.ParseView(cmp.Or(v.Get("view"), "traces")); !known {
		return q, badParameter("view", "one of traces, observations, scores, sessions, users")
	}
	q.bind.Now = time.Now().UnixNano()
	if name := v.Get("zone"); name != "" {
		if q.bind.Zone, err = time.LoadLocation(name); err != nil {
			return q, badParameter("zone", "unknown time zone "+strconv.Quote(name))
		}
	}
	q.filter, err = query.Parse(q.view, v.Get("q"), q.bind)
	return q, err
}

// ref finds a column by its text, such as cost or score.accuracy.
func ref(v query.View, text string) (query.Ref, query.Column, bool) {
	name, key, _ := strings.Cut(text, ".")
	col, found := query.Lookup(v, name)
	return query.Ref{Column: col.Col, Key: key}, col, found
}

// number reads a whole number within bounds.
func number(v url.Values, name string, def, least, most int) (int, error) {
	text := v.Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, badParameter(name, "a whole number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
	}
	return n, nil
}

// maxRows is how many rows a page may have.
const maxRows = 1000

// rowsBody is the answer to a list.
type rowsBody struct {
	Rows    []map[string]any `json:"rows"`
	Cursor  string           `json:"cursor,omitempty"` // what follows
	Before  string           `json:"before,omitempty"` // what comes before
	Total   *int64           `json:"total,omitempty"`
	AtLeast bool             `json:"totalIsAtLeast,omitempty"`
	Stopped bool             `json:"stoppedEarly,omitempty"`
}

func (a *API) list(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	q, err := parseQuestion(v)
	if err != nil {
		return err
	}
	l := query.List{View: q.view, Filter: q.filter, After: v.Get("cursor"), Before: v.Get("before"), Total: v.Get("total") == "true", Bind: q.bind}
	if l.Limit, err = number(v, "limit", 50, 1, maxRows); err != nil {
		return err
	}
	for _, text := range splitList(v["order"]) {
		name, dir, _ := strings.Cut(text, " ")
		to, _, found := ref(q.view, name)
		if !found || dir != "" && dir != "asc" && dir != "desc" {
			return badParameter("order", "a column, and asc or desc behind it, not "+strconv.Quote(text))
		}
		l.Order = append(l.Order, query.Key{Ref: to, Desc: dir == "desc"})
	}
	page, err := a.traces.List(r.Context(), p.Project, l)
	if err != nil {
		return err
	}
	body := rowsBody{Rows: []map[string]any{}, Cursor: page.Next, Before: page.Prev, AtLeast: page.AtLeast, Stopped: page.Stopped}
	if l.Total {
		body.Total = &page.Total
	}
	for i := range page.Rows {
		body.Rows = append(body.Rows, rowBody(q.view, &page.Rows[i]))
	}
	httpio.WriteJSON(w, http.StatusOK, body)
	return nil
}

// splitList is the values of a parameter that may be repeated or hold commas.
func splitList(values []string) (out []string) {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

// rowBody is a row by the names of the columns: money in dollars, durations in
// seconds, both exact; what is missing is left out.
func rowBody(v query.View, row *store.Row) map[string]any {
	rec := &query.Record{View: v, Trace: row.Trace, Observation: row.Observation, Score: row.Score, Summary: row.Summary}
	out := map[string]any{}
	for _, c := range query.Columns(v) {
		switch c.Kind {
		case query.MapKind, query.BodyKind, query.ScoresKind, query.CountsKind, query.PricesKind:
		case query.ListKind:
			if list := rec.List(c.Col); len(list) > 0 {
				out[c.Name] = list
			}
		case query.FloatKind:
			if f, ok := rec.Float(c.Col); ok {
				out[c.Name] = f
			}
		case query.IDKind, query.TextKind, query.EnumKind:
			if s, ok := rec.Text(c.Col); ok {
				out[c.Name] = s
			}
		default:
			if n, ok := rec.Int(c.Col); ok && c.Col != query.ColScoreCount {
				out[c.Name] = exact(c.Kind, n)
			}
		}
	}
	return out
}

// decimal is a JSON number of any precision.
type decimal string

// MarshalJSON implements json.Marshaler.
func (d decimal) MarshalJSON() ([]byte, error) { return []byte(d), nil }

// exact is a stored integer as the API shows it.
func exact(k query.Kind, n int64) any {
	text := query.IntText(k, n)
	switch k {
	case query.BoolKind:
		return n != 0
	case query.TimeKind:
		return text
	}
	return decimal(text)
}

func (a *API) facet(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	q, err := parseQuestion(v)
	if err != nil {
		return err
	}
	to, _, found := ref(q.view, v.Get("column"))
	if !found {
		return badParameter("column", "the name of a column of "+q.view.String())
	}
	f := query.Facet{View: q.view, Filter: q.filter, Ref: to, Prefix: v.Get("prefix"), KeepOwn: v.Get("keepOwn") == "true", Bind: q.bind}
	if f.Limit, err = number(v, "limit", 100, 1, 1000); err != nil {
		return err
	}
	result, err := a.traces.Facet(r.Context(), p.Project, f)
	if err != nil {
		return err
	}
	type value struct {
		Value *string `json:"value"` // null: rows without one
		Count int64   `json:"count"`
	}
	out := []value{}
	for _, one := range result.Values {
		if one.Missing {
			out = append(out, value{nil, one.Count})
		} else {
			out = append(out, value{&one.Value, one.Count})
		}
	}
	httpio.WriteJSON(w, http.StatusOK, struct {
		Values  []value `json:"values"`
		Stopped bool    `json:"stoppedEarly,omitempty"`
	}{out, result.Stopped})
	return nil
}

func (a *API) aggregate(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	q, err := parseQuestion(v)
	if err != nil {
		return err
	}
	ask, err := parseAggregate(v, q)
	if err != nil {
		return err
	}
	result, err := a.traces.Aggregate(r.Context(), p.Project, *ask)
	if err != nil {
		return err
	}
	groups := []map[string]any{}
	for _, g := range result.Groups {
		groups = append(groups, groupBody(ask, result.Grain, g))
	}
	httpio.WriteJSON(w, http.StatusOK, struct {
		Grain   query.Grain      `json:"grain"`
		Groups  []map[string]any `json:"groups"`
		More    bool             `json:"more"`
		Stopped bool             `json:"stoppedEarly,omitempty"`
	}{result.Grain, groups, result.More, result.Stopped})
	return nil
}

func parseAggregate(v url.Values, q question) (ask *query.Aggregate, err error) {
	ask = &query.Aggregate{View: q.view, Filter: q.filter, Grain: query.Grain(v.Get("grain")), Fill: v.Get("fill") == "true", Bind: q.bind}
	for name, to := range map[string]*int64{"from": &ask.From, "to": &ask.To} {
		if text := v.Get(name); text != "" {
			t, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				return nil, badParameter(name, "a time like 2026-01-02T03:04:05Z")
			}
			*to = t.UnixNano()
		}
	}
	if (ask.From == 0) != (ask.To == 0) {
		return nil, badParameter("from", "from and to are given together or not at all")
	}
	for _, text := range splitList(v["measure"]) {
		agg, name, has := strings.Cut(text, ":")
		m := query.Measure{Agg: query.Agg(agg)}
		if has {
			var found bool
			if m.Ref, _, found = ref(q.view, name); !found {
				return nil, badParameter("measure", q.view.String()+" have no column "+strconv.Quote(name))
			}
		}
		ask.Measures = append(ask.Measures, m)
	}
	for _, name := range splitList(v["by"]) {
		to, _, found := ref(q.view, name)
		if !found {
			return nil, badParameter("by", q.view.String()+" have no column "+strconv.Quote(name))
		}
		ask.By = append(ask.By, query.Dim{Ref: to, Explode: v.Get("explode") == "true"})
	}
	if ask.Bins, err = number(v, "bins", 10, 1, 100); err != nil {
		return nil, err
	}
	ask.Limit, err = number(v, "limit", 100, 1, 10_000)
	return ask, err
}

// groupBody is a group: its time, its dimensions by name, and the figures in
// the order of the measures.
func groupBody(ask *query.Aggregate, grain query.Grain, g query.Group) map[string]any {
	out := map[string]any{}
	if grain != query.NoGrain {
		out["time"] = query.IntText(query.TimeKind, g.Time)
	}
	by := map[string]any{}
	for i, d := range ask.By {
		col, _ := query.ColumnOf(ask.View, d.Ref.Column)
		name := col.Name
		if d.Ref.Key != "" {
			name += "." + d.Ref.Key
		}
		by[name] = nil
		if !g.Dims[i].Missing {
			by[name] = g.Dims[i].Text
		}
	}
	if len(by) > 0 {
		out["by"] = by
	}
	values := make([]any, len(g.Values))
	for i, n := range g.Values {
		values[i] = figure(ask, ask.Measures[i], n)
	}
	out["values"] = values
	return out
}

// figure is a number in the unit of filters: dollars and seconds.
func figure(ask *query.Aggregate, m query.Measure, n query.Number) any {
	col, _ := query.ColumnOf(ask.View, m.Ref.Column)
	unit := 1.0
	switch col.Kind {
	case query.MoneyKind, query.PricesKind:
		unit = 1e12
	case query.DurationKind:
		unit = 1e9
	}
	switch {
	case n.Missing:
		return nil
	case m.Agg == query.Hist:
		bins := make([][3]float64, 0, len(n.Bins))
		for _, b := range n.Bins {
			bins = append(bins, [3]float64{b.Lower / unit, b.Upper / unit, float64(b.Count)})
		}
		return bins
	case n.Exact && (m.Agg == query.Count || m.Agg == query.Uniq):
		return n.Int
	case n.Exact:
		return exact(col.Kind, n.Int)
	}
	return n.Float / unit
}
