package query_test

import (
	"slices"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/query/querytest"
)

// matcher tests the rows of a script one by one.
type matcher struct {
	ids  []string
	rows map[string]*query.Record
}

func TestScripts(t *testing.T) {
	querytest.Run(t, "testdata", func(*testing.T) querytest.Engine { return &matcher{} })
}

// Load implements querytest.Engine.
func (m *matcher) Load(t *testing.T, v query.View, rows []querytest.Row) {
	m.ids, m.rows = nil, map[string]*query.Record{}
	for i := range rows {
		m.ids = append(m.ids, rows[i].ID)
		m.rows[rows[i].ID] = record(t, v, &rows[i])
	}
}

// record puts a row together from what would be written for it.
func record(t *testing.T, v query.View, row *querytest.Row) *query.Record {
	traces, observations, patches := row.Patches(t, v)
	trace, content := traces[0].Value, traces[0].Content
	var roll domain.Rollup
	var scores []domain.Score
	for i := range patches {
		scores = append(scores, patches[i].Value)
	}
	var below []*query.Record
	for i := range observations {
		o, c := observations[i].Value, observations[i].Content
		querytest.Derive("", &o)
		roll.Add(&o)
		below = append(below, &query.Record{
			View: query.Observations, Trace: &trace, Observation: &o, Content: func() *domain.Content { return &c },
			ScoreList: func() []domain.Score { return scores },
		})
	}
	whole := roll.Trace(trace)
	trace = whole
	if v == query.Observations {
		return below[0]
	}
	return &query.Record{
		View: query.Traces, Trace: &trace, Content: func() *domain.Content { return &content },
		ScoreList: func() []domain.Score { return scores }, Observations: func() []*query.Record { return below },
	}
}

// Match implements querytest.Engine.
func (m *matcher) Match(t *testing.T, v query.View, f query.Filter, b query.Bind, keys []query.Key) (out []string) {
	p, err := query.Compile(v, f, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range m.ids {
		if p.Match(m.rows[id]) {
			out = append(out, id)
		}
	}
	if len(keys) > 0 {
		order := query.Order(v, keys)
		slices.SortFunc(out, func(x, y string) int {
			return query.CompareSorts(order, query.SortAll(v, order, m.rows[x]), query.SortAll(v, order, m.rows[y]))
		})
	}
	return out
}
