package native

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/query"
)

// promptMetrics is what came of a version of a prompt.
type promptMetrics struct {
	Version      int64          `json:"version"`
	Generations  int64          `json:"generations"`
	LastUsed     string         `json:"lastUsed"`      // when the latest of them began
	Cost         any            `json:"cost"`          // of all, in dollars
	Latency      any            `json:"medianLatency"` // seconds
	InputTokens  any            `json:"medianInputTokens"`
	OutputTokens any            `json:"medianOutputTokens"`
	Scores       []scoreMetrics `json:"scores"` // of the traces that used it and their observations
}

// scoreMetrics is the scores of one name.
type scoreMetrics struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
	Mean  any    `json:"mean"` // of numbers, truth values as 0 and 1, and categories by their numbers
}

// maxMetricVersions is of how many versions metrics are told at once, the
// newest first.
const maxMetricVersions = 50

// promptMetrics serves GET /api/v1/prompt-metrics: how often each version of a
// prompt was used, what it cost, how long it took, and how it was scored.
func (a *API) promptMetrics(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	name := v.Get("name")
	if name == "" {
		return badParameter("name", "the name of a prompt")
	}
	uses := query.And{query.Cmp{Ref: query.Ref{Column: query.ColPrompt}, Op: query.Eq, Values: []query.Value{query.Str(name)}}}
	if text := v.Get("version"); text != "" {
		d, ok := query.ParseDecimal(text)
		if !ok {
			return badParameter("version", "a whole number")
		}
		uses = append(uses, query.Cmp{Ref: query.Ref{Column: query.ColPromptVersion}, Op: query.Eq, Values: []query.Value{query.Num(d)}})
	}
	version := query.Ref{Column: query.ColPromptVersion}
	ask := query.Aggregate{
		View: query.Observations, Filter: uses, By: []query.Dim{{Ref: version}}, Limit: maxMetricVersions,
		Order: []query.AggOrder{{Measure: -1, Dim: 0, Desc: true}}, Bind: query.Bind{Now: time.Now().UnixNano()},
		Measures: []query.Measure{
			{Agg: query.Count},
			{Agg: query.Sum, Ref: query.Ref{Column: query.ColCost}}, {Agg: query.P50, Ref: query.Ref{Column: query.ColLatency}},
			{Agg: query.P50, Ref: query.Ref{Column: query.ColInputTokens}}, {Agg: query.P50, Ref: query.Ref{Column: query.ColOutputTokens}},
		},
	}
	result, err := a.traces.Aggregate(r.Context(), p.Project, ask)
	if err != nil {
		return err
	}
	out := []promptMetrics{}
	for _, g := range result.Groups {
		n, err := strconv.ParseInt(g.Dims[0].Text, 10, 64)
		if g.Dims[0].Missing || err != nil {
			continue // of a version that is no number there is none
		}
		f := func(i int) any { return figure(&ask, ask.Measures[i], g.Values[i]) }
		m := promptMetrics{
			Version: n, Generations: g.Values[0].Int, Cost: f(1), Latency: f(2), InputTokens: f(3), OutputTokens: f(4),
		}
		if m.LastUsed, err = a.promptUsed(r.Context(), p.Project, name, n); err != nil {
			return err
		}
		if m.Scores, err = a.promptScores(r.Context(), p.Project, name, n); err != nil {
			return err
		}
		out = append(out, m)
	}
	httpio.WriteJSON(w, http.StatusOK, map[string]any{"name": name, "versions": out})
	return nil
}

// usesOf is a filter of the generations that used a version.
func usesOf(name string, version int64) query.And {
	return query.And{
		query.Cmp{Ref: query.Ref{Column: query.ColPrompt}, Op: query.Eq, Values: []query.Value{query.Str(name)}},
		query.Cmp{Ref: query.Ref{Column: query.ColPromptVersion}, Op: query.Eq, Values: []query.Value{query.Num(query.DecimalOf(version, 0))}},
	}
}

// promptUsed is when the latest generation with a version began.
func (a *API) promptUsed(ctx context.Context, project, name string, version int64) (string, error) {
	page, err := a.traces.List(ctx, project, query.List{
		View: query.Observations, Filter: usesOf(name, version), Limit: 1, Bind: query.Bind{Now: time.Now().UnixNano()},
	})
	if err != nil || len(page.Rows) == 0 {
		return "", err
	}
	return query.IntText(query.TimeKind, page.Rows[0].Observation.Start.Nanos()), nil
}

// maxScoredTraces is on how many traces of a version, the newest, scores are
// looked at.
const maxScoredTraces = 5000

// promptScores sums up the scores of the traces that used a version.
func (a *API) promptScores(ctx context.Context, project, name string, version int64) ([]scoreMetrics, error) {
	now := query.Bind{Now: time.Now().UnixNano()}
	page, err := a.traces.List(ctx, project, query.List{
		View: query.Traces, Filter: query.Rel{Name: query.RelObs, Where: usesOf(name, version)}, Limit: maxScoredTraces, Bind: now,
	})
	if err != nil {
		return nil, err
	}
	out := []scoreMetrics{}
	if len(page.Rows) == 0 {
		return out, nil
	}
	traces := make([]query.Value, len(page.Rows))
	for i := range page.Rows {
		traces[i] = query.Str(page.Rows[i].Trace.ID)
	}
	ask := query.Aggregate{
		View: query.Scores, Bind: now, Filter: query.Cmp{Ref: query.Ref{Column: query.ColTrace}, Op: query.In, Values: traces},
		By:       []query.Dim{{Ref: query.Ref{Column: query.ColName}}},
		Measures: []query.Measure{{Agg: query.Count}, {Agg: query.Avg, Ref: query.Ref{Column: query.ColScoreValue}}},
	}
	result, err := a.traces.Aggregate(ctx, project, ask)
	if err != nil {
		return nil, err
	}
	for _, g := range result.Groups {
		out = append(out, scoreMetrics{g.Dims[0].Text, g.Values[0].Int, figure(&ask, ask.Measures[1], g.Values[1])})
	}
	return out, nil
}
