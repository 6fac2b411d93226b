package parea

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// experimentLogs shows every root log of an experiment that the filter takes,
// whole, with all logs below it. Each tree is written while the next is read.
func (a *API) experimentLogs(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	project, e, err := a.findExperiment(r.Context(), c, r.PathValue("uuid"))
	if domain.CodeOf(err) == domain.NotFound {
		// 404 would stall the Python SDK; what does not exist has no logs.
		if _, err := a.parseCondition(r.Context(), c.project, o); err != nil {
			return err
		}
		httpio.WriteJSON(w, http.StatusOK, []any{})
		return nil
	}
	if err != nil {
		return err
	}
	filter, err := a.parseCondition(r.Context(), project, o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := listWriter{w: w}
	trees, walked := a.buildTrees(ctx, project, &e, filter)
	for one := range trees {
		t := <-one
		if t.err == nil && t.json != nil {
			t.err = out.add(t.json)
		}
		if t.err != nil {
			return out.end(t.err)
		}
	}
	return out.end(<-walked)
}

// builtTree is a tree as JSON; none where it has gone meanwhile.
type builtTree struct {
	json []byte
	err  error
}

// treesAhead is how many trees are made while one is written: enough for two
// cores, and what bounds the memory.
const treesAhead = 2

// buildTrees makes the trees of an experiment's roots, in their order, ahead of
// who takes them. Once trees is closed, walked tells how the walk ended.
func (a *API) buildTrees(ctx context.Context, project string, e *catalog.Experiment, filter query.Filter) (trees chan chan builtTree, walked chan error) {
	trees, walked = make(chan chan builtTree, treesAhead), make(chan error, 1)
	names := a.names(ctx, project)
	go func() {
		defer close(trees)
		walked <- a.eachRoot(ctx, project, e, filter, func(row *store.Row) error {
			one := make(chan builtTree, 1)
			select {
			case trees <- one:
			case <-ctx.Done():
				return ctx.Err()
			}
			go func() {
				n, err := a.rowTree(ctx, project, row, names)
				if err != nil || n == nil {
					one <- builtTree{nil, err}
					return
				}
				raw, err := json.Marshal(n.tree())
				one <- builtTree{raw, err}
			}()
			return nil
		})
	}()
	return trees, walked
}

// rowTree is the log of a row with all below it, nil where it has gone meanwhile.
func (a *API) rowTree(ctx context.Context, project string, row *store.Row, names projectNames) (*node, error) {
	o := row.Observation
	trace := o.TraceID
	if row.Trace != nil && row.Trace.ID != "" {
		trace = row.Trace.ID
	}
	t, err := a.traces.Trace(ctx, project, trace)
	if domain.CodeOf(err) == domain.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := a.treeOf(ctx, project, t, names)
	if err != nil {
		return nil, err
	}
	if n := f.byID[o.ID]; n != nil {
		return n, nil
	}
	return f.byID[t.Trace.ID], nil
}

// listWriter writes a JSON array element by element.
type listWriter struct {
	w     http.ResponseWriter
	begun bool
}

func (l *listWriter) add(raw []byte) error {
	sep := ","
	if !l.begun {
		l.begun, sep = true, "["
		l.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	if _, err := l.w.Write([]byte(sep)); err != nil {
		return err
	}
	_, err := l.w.Write(raw)
	return err
}

// end closes the array. A failure after its beginning can't be told any more:
// the connection is cut.
func (l *listWriter) end(err error) error {
	switch {
	case err != nil && l.begun:
		panic(http.ErrAbortHandler)
	case err != nil:
		return err
	case !l.begun:
		httpio.WriteJSON(l.w, http.StatusOK, []any{})
		return nil
	}
	_, err = l.w.Write([]byte("]"))
	return err
}

// The sizes of a page of logs.
const (
	defaultPageSize = 20
	maxPageSize     = 100_000
)

// getLogs shows a page of a project's logs: the roots, or where there is a
// filter every log that it takes.
func (a *API) getLogs(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	if !o.has("project_name") {
		return invalid("project_name", "field required")
	}
	page, size := 1, defaultPageSize
	for key, to := range map[string]*int{"page": &page, "page_size": &size} {
		if !o.has(key) {
			continue
		}
		n, ok := o.number(key)
		if !ok || n != float64(int(n)) || n < 1 || n > maxPageSize {
			return invalid(key, "must be a whole number from 1 to 100000")
		}
		*to = int(n)
	}
	project := c.project
	if project == "" {
		if project, err = a.projectNamed(r.Context(), c, o.text("project_name")); err != nil {
			return err
		}
	}
	reply := struct {
		Total      int64 `json:"total"`
		Page       int   `json:"page"`
		TotalPages int64 `json:"total_pages"`
		PageSize   int   `json:"page_size"`
		Results    []any `json:"results"`
	}{Page: page, PageSize: size, Results: []any{}}
	f, err := a.logFilter(r.Context(), project, o)
	if err != nil {
		return err
	}
	if project == "" {
		httpio.WriteJSON(w, http.StatusOK, reply)
		return nil
	}
	rows, err := a.traces.List(r.Context(), project, query.List{
		View: query.Observations, Filter: f, Limit: size, Offset: (page - 1) * size, Total: true, Bind: query.Bind{Now: a.now().UnixNano()},
	})
	if err != nil {
		return err
	}
	reply.Total = rows.Total
	reply.TotalPages = (rows.Total + int64(size) - 1) / int64(size)
	names := a.names(r.Context(), project)
	for i := range rows.Rows {
		n, err := a.rowTree(r.Context(), project, &rows.Rows[i], names)
		if err != nil {
			return err
		}
		if n != nil {
			reply.Results = append(reply.Results, n.tree())
		}
	}
	httpio.WriteJSON(w, http.StatusOK, reply)
	return nil
}

// projectNamed is the id of an organisation's project, "" where there is none of
// that name: a read makes none.
func (a *API) projectNamed(ctx context.Context, c caller, name string) (string, error) {
	p, err := a.catalog.ProjectNamed(ctx, c.org, name)
	if domain.CodeOf(err) == domain.NotFound {
		return "", nil
	}
	return p.ID, err
}

// logFilter is which logs a request for a page of them asks for.
func (a *API) logFilter(ctx context.Context, project string, o object) (query.Filter, error) {
	all := query.And{}
	f, err := a.parseCondition(ctx, project, o)
	if err != nil {
		return nil, err
	}
	if f != nil {
		all = append(all, f)
	} else {
		all = append(all, query.Cmp{Ref: query.Ref{Column: query.ColRoot}, Op: query.Eq, Values: []query.Value{query.Bool(true)}})
	}
	if o.has("status") {
		f, err := (&condition{field: "status", operator: "equals", value: o["status"]}).status()
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	if name := o.text("time_range"); name != "" && name != "na" {
		back, known := timeRanges[name]
		if !known {
			return nil, invalid("time_range", "must be na, 1h, 3h, 6h, 24h, 7d, 1m, 3m, 6m or 1y")
		}
		since := a.now().Add(-back).UnixNano()
		all = append(all, query.Cmp{Ref: query.Ref{Column: query.ColStart}, Op: query.Ge, Values: []query.Value{query.TimeOf(since)}})
	}
	return all, nil
}
