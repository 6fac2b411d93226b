package langfuse

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// traceOrders is what lists of traces can be ordered by.
var traceOrders = map[string]query.Col{
	"id": query.ColID, "timestamp": query.ColStart, "name": query.ColName, "userId": query.ColUser, "release": query.ColRelease,
	"version": query.ColVersion, "public": query.ColPublic, "bookmarked": query.ColBookmarked, "sessionId": query.ColSession,
}

// parseOrder reads field.asc or field.desc.
func parseOrder(text string) ([]query.Key, error) {
	if text == "" {
		return nil, nil
	}
	field, dir, _ := strings.Cut(text, ".")
	col, known := traceOrders[field]
	dir = strings.ToLower(dir)
	switch {
	case !known:
		return nil, invalid("orderBy", "unknown field "+field+"; expected id, timestamp, name, userId, release, version, public, bookmarked or sessionId, and .asc or .desc")
	case dir != "asc" && dir != "desc":
		return nil, invalid("orderBy", "expected "+field+".asc or "+field+".desc")
	}
	return []query.Key{{Ref: query.Ref{Column: col}, Desc: dir == "desc"}}, nil
}

// timeRange reads two parameters that bound a time.
func timeRange(v url.Values, fromName, toName string) (from, to domain.Time, err error) {
	for name, at := range map[string]*domain.Time{fromName: &from, toName: &to} {
		text := v.Get(name)
		if text == "" {
			continue
		}
		t, bad := parseQueryTime(text)
		if bad != nil {
			return from, to, invalid(name, "expected a time like 2026-01-02T03:04:05.678Z")
		}
		*at = t
	}
	return from, to, nil
}

// traceList reads the parameters of a list of traces.
func traceList(v url.Values) (query.List, error) {
	l := query.List{View: query.Traces}
	c, err := parseFilter(query.Traces, v.Get("filter"))
	if err != nil {
		return l, err
	}
	from, to, err := timeRange(v, "fromTimestamp", "toTimestamp")
	if err != nil {
		return l, err
	}
	for name, col := range map[string]query.Col{
		"userId": query.ColUser, "name": query.ColName, "sessionId": query.ColSession, "version": query.ColVersion, "release": query.ColRelease,
	} {
		c.equal(col, v.Get(name))
	}
	c.equal(query.ColEnv, lists(v, "environment")...)
	c.all(query.ColTags, lists(v, "tags"))
	c.within(query.ColStart, from, to)
	l.Filter = c.parts
	l.Order, err = parseOrder(v.Get("orderBy"))
	return l, err
}

// listTraces answers a page of traces. Groups that were not asked for cost
// nothing: loops over all traces ask for few.
func (a *API) listTraces(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	pg, err := parsePage(v)
	if err != nil {
		return err
	}
	l, err := traceList(v)
	if err != nil {
		return err
	}
	g := traceGroups(lists(v, "fields"))
	if g.observations {
		l.With |= query.WithObservations
	}
	if g.scores {
		l.With |= query.WithScores
	}
	rows, meta, err := a.listPage(r.Context(), p.Project, walkKey(p.Project, r), l, pg)
	if err != nil {
		return err
	}
	out := a.view(r.Context(), answer(w), p)
	out.str(`{"data":[`)
	for i := range rows.Rows {
		if i > 0 {
			out.str(",")
		}
		if err := out.listedTrace(r.Context(), &rows.Rows[i], g); err != nil {
			return err
		}
	}
	return out.end(meta)
}

// end closes a list with what is said about it.
func (v *view) end(meta any) error {
	v.str(`],"meta":`)
	raw, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	v.raw(raw)
	v.str("}")
	return v.finish()
}

// listedTrace appends a trace as lists show it: its observations and scores by
// their ids.
func (v *view) listedTrace(ctx context.Context, row *store.Row, g groups) error {
	v.str(`{"observations":[`)
	for i, id := range row.Observations {
		if i > 0 {
			v.str(",")
		}
		v.quote(id)
		v.spill()
	}
	v.str(`],"scores":[`)
	n := 0
	for i := range row.Scores {
		if s := &row.Scores[i]; listable(s) {
			if n++; n > 1 {
				v.str(",")
			}
			v.quote(s.ID)
		}
	}
	v.str("]")
	v.traceFields(row.Trace, g.metrics)
	var c domain.Content
	if g.io {
		var err error
		if c, err = content(ctx, row); err != nil {
			return err
		}
	}
	v.traceBodies(&c)
	v.str("}")
	v.spill()
	return nil
}

// content is the bodies of a listed row; none where it was deleted meanwhile.
func content(ctx context.Context, row *store.Row) (domain.Content, error) {
	c, err := row.Content(ctx)
	if domain.CodeOf(err) == domain.NotFound {
		return domain.Content{}, nil
	}
	return c, err
}

// session appends a session without the brace that ends it.
func (v *view) session(s *query.Summary) {
	v.str(`{"id":`)
	v.quote(s.ID)
	v.str(`,"createdAt":`)
	v.time(s.Start)
	v.str(`,"projectId":`)
	v.quote(v.project)
	v.str(`,"environment":`)
	v.quote(environmentOf(strings.Join(s.Envs[:min(1, len(s.Envs))], "")))
}

// listSessions answers a page of sessions, the newest first.
func (a *API) listSessions(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	pg, err := parsePage(v)
	if err != nil {
		return err
	}
	from, to, err := timeRange(v, "fromTimestamp", "toTimestamp")
	if err != nil {
		return err
	}
	c := &conditions{view: query.Sessions}
	c.equal(query.ColEnvs, lists(v, "environment")...)
	c.within(query.ColStart, from, to)
	rows, meta, err := a.listPage(r.Context(), p.Project, walkKey(p.Project, r), query.List{View: query.Sessions, Filter: c.parts}, pg)
	if err != nil {
		return err
	}
	out := a.view(r.Context(), answer(w), p)
	out.str(`{"data":[`)
	for i := range rows.Rows {
		if i > 0 {
			out.str(",")
		}
		out.session(rows.Rows[i].Summary)
		out.str("}")
	}
	return out.end(meta)
}

// sessionPage is how many traces of a session are read at a time.
const sessionPage = 100

// getSession answers a session with all of its traces, the oldest first.
func (a *API) getSession(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	id := r.PathValue("sessionId")
	same := func(c query.Col) query.Filter {
		return query.Cmp{Ref: query.Ref{Column: c}, Op: query.Eq, Values: []query.Value{query.Str(id)}}
	}
	head, err := a.traces.List(r.Context(), p.Project, query.List{View: query.Sessions, Filter: same(query.ColID), Limit: 1})
	if err != nil {
		return err
	}
	if len(head.Rows) == 0 {
		return domain.Errorf(domain.NotFound, "Session not found within authorized project")
	}
	l := query.List{
		View: query.Traces, Filter: same(query.ColSession), Limit: sessionPage,
		Order: []query.Key{{Ref: query.Ref{Column: query.ColStart}}},
	}
	out := a.view(r.Context(), answer(w), p)
	out.session(head.Rows[0].Summary)
	out.str(`,"traces":[`)
	for n := 0; ; {
		page, err := a.traces.List(r.Context(), p.Project, l)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			if n++; n > 1 {
				out.str(",")
			}
			row := &page.Rows[i]
			out.str("{")
			out.traceCore(row.Trace)
			c, err := content(r.Context(), row)
			if err != nil {
				return err
			}
			out.traceBodies(&c)
			out.str("}")
			out.spill()
			if out.err != nil {
				return out.finish()
			}
		}
		if l.After = page.Next; l.After == "" {
			break
		}
	}
	out.str("]}")
	return out.finish()
}
