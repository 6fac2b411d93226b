package storetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/query/querytest"
	"github.com/clewhq/clew/internal/store"
)

// value is a literal that a column of this kind may be compared with.
func (w world) value(c query.Column) query.Value {
	switch c.Kind {
	case query.BoolKind:
		return query.Bool(w.IntN(2) == 0)
	case query.TimeKind:
		return query.TimeOf(int64(w.IntN(9)))
	case query.IntKind, query.FloatKind, query.CountsKind:
		return query.Num(query.DecimalOf(int64(w.IntN(9)), w.IntN(2)))
	case query.MoneyKind, query.PricesKind:
		return query.Num(query.DecimalOf(int64(w.IntN(40)), 12+w.IntN(2)))
	case query.DurationKind:
		return query.Num(query.DecimalOf(int64(w.IntN(30)), 9+w.IntN(2)))
	case query.EnumKind:
		return query.Str(c.Words[w.IntN(len(c.Words))])
	case query.MapKind, query.ScoresKind:
		switch w.IntN(3) {
		case 0:
			return query.Num(query.DecimalOf(int64(w.IntN(9)), 0))
		case 1:
			return query.Bool(w.IntN(2) == 0)
		}
		return query.Str(strconv.Itoa(w.IntN(9)))
	}
	return query.Str(w.pick("n1", "n2", "s1", "s2", "u1", "u2", "t1", "t2", "t1-a", "t2-b", "prod", "default", "a", "b", "m1", "v1", "p", "text", "n", "1", "zzz", "batch", "c1", "'; DROP TABLE traces; --", "a\x00b", `"\`, "/* */", "%_"))
}

// leaf is a random condition that Check accepts.
func (w world) leaf(v query.View, depth int) query.Filter {
	for {
		f := w.maybeLeaf(v, depth)
		if query.Check(v, f) == nil {
			return f
		}
	}
}

func (w world) maybeLeaf(v query.View, depth int) query.Filter {
	if depth < 3 && w.IntN(12) == 0 {
		rel := []query.Relation{query.RelObs, query.RelScores, query.RelTrace}[w.IntN(3)]
		if to, found := query.Related(v, rel); found {
			return query.Rel{Name: rel, Where: w.leaf(to, 3)}
		}
	}
	if w.IntN(10) == 0 {
		return query.Text{Query: w.pick("text", "another text", "n1", "k", "t1", "nowhere", "anoth"), Prefix: w.IntN(3) == 0}
	}
	columns := query.Columns(v)
	c := columns[w.IntN(len(columns))]
	ref := query.Ref{Column: c.Col}
	if c.Kind.Keyed() {
		ref.Key = w.pick("x", "y", "n", "x.a", "n.a", "n.b", "n1", "n2", "input", "output", "total", `k'"--`, strings.Repeat("k", 400))
	}
	if c.Col == query.ColIngested || c.Col == query.ColUpdated {
		return nil // when things arrived is not the same in two engines
	}
	if w.IntN(6) == 0 {
		return query.Has{Ref: ref}
	}
	f := query.Cmp{Ref: ref, Op: query.Op(1 + w.IntN(11)), Fold: w.IntN(8) == 0}
	n := 1
	switch f.Op {
	case query.In:
		n = 1 + w.IntN(3)
	case query.Between:
		n = 2
	}
	for range n {
		f.Values = append(f.Values, w.value(c))
	}
	if f.Op == query.Between && w.IntN(3) == 0 {
		f.Values[w.IntN(2)] = query.Value{}
	}
	return f
}

// filter is a random tree of conditions.
func (w world) filter(v query.View, depth int) query.Filter {
	if depth >= 3 || w.IntN(3) == 0 {
		return w.leaf(v, depth)
	}
	parts := make([]query.Filter, 1+w.IntN(3))
	for i := range parts {
		parts[i] = w.filter(v, depth+1)
	}
	switch w.IntN(4) {
	case 0:
		return query.Or(parts)
	case 1:
		return query.Not{Filter: parts[0]}
	}
	return query.And(parts)
}

// order is up to two keys that rows can be ordered by.
func (w world) order(v query.View) (keys []query.Key) {
	for range w.IntN(3) {
		columns := query.Columns(v)
		c := columns[w.IntN(len(columns))]
		if c.Marks&query.MarkSort == 0 || c.Col == query.ColIngested || c.Col == query.ColUpdated {
			continue
		}
		k := query.Key{Ref: query.Ref{Column: c.Col}, Desc: w.IntN(2) == 0}
		if c.Kind.Keyed() {
			k.Ref.Key = w.pick("n1", "n2")
		}
		if !slices.ContainsFunc(keys, func(o query.Key) bool { return o.Ref.Column == k.Ref.Column }) {
			keys = append(keys, k)
		}
	}
	return keys
}

// dated gives every trace a time of its own, since the time of arrival, by
// which others are listed, is not the same in two engines.
func dated(b store.Batch) store.Batch {
	for i := range b.Traces {
		p := &b.Traces[i]
		if !p.Value.Timestamp.IsSet() || !p.Said.Has(domain.TraceTimestamp) {
			p.Value.Timestamp = domain.At(int64(i % 7))
			p.Said |= domain.TraceTimestamp
			domain.SealTrace(p)
		}
	}
	return b
}

// rowID names a row of a page.
func rowID(r store.Row) string {
	switch {
	case r.Observation != nil:
		return r.Observation.TraceID + "/" + r.Observation.ID
	case r.Score != nil:
		return r.Score.ID
	case r.Summary != nil:
		s := r.Summary
		return fmt.Sprintf("%s %d %d %d %d %v %v %v %v %d", s.ID, s.Start.Nanos(), s.End.Nanos(), s.Traces, s.Sessions, s.Users, s.Envs, s.Tags, s.Totals.Cost, s.Totals.Observations)
	}
	return r.Trace.ID
}

// walk is the rows of a list, read in pages of a size, which are the same on the
// way back.
func walk(t *testing.T, s store.Traces, l query.List, size int) (ids []string, total int64) {
	t.Helper()
	l.Limit = size
	for n := 0; ; n++ {
		l.Total = n == 0
		page, err := s.List(t.Context(), "p", l)
		if err != nil {
			t.Fatalf("list %+v: %v", l, err)
		}
		if n == 0 {
			total = page.Total
		}
		for _, r := range page.Rows {
			ids = append(ids, rowID(r))
		}
		if (page.Prev != "") != (n > 0 && len(page.Rows) > 0) {
			t.Fatalf("page %d of list %+v has %q for those before it", n, l, page.Prev)
		}
		if page.Next == "" {
			walkBack(t, s, l, page, ids)
			return ids, total
		}
		if n > 1000 {
			t.Fatalf("list %+v does not end", l)
		}
		l.After = page.Next
	}
}

// walkBack goes from the last page of a list to its start.
func walkBack(t *testing.T, s store.Traces, l query.List, last *store.Page, ids []string) {
	t.Helper()
	left := ids[:len(ids)-len(last.Rows)]
	l.After, l.Total = "", false
	for l.Before = last.Prev; l.Before != ""; {
		page, err := s.List(t.Context(), "p", l)
		if err != nil {
			t.Fatalf("list %+v: %v", l, err)
		}
		n := min(l.Limit, len(left))
		var got []string
		for _, r := range page.Rows {
			got = append(got, rowID(r))
		}
		if diff := cmp.Diff(left[len(left)-n:], got); diff != "" || page.Next == "" {
			t.Fatalf("going back in %+v, on to %q (-forwards +backwards):\n%s", l, page.Next, diff)
		}
		left, l.Before = left[:len(left)-n], page.Prev
	}
	if len(left) > 0 {
		t.Fatalf("going back in %+v ended %d rows before the start", l, len(left))
	}
}

// tracesListsProperty: random questions over random data answer as they do on
// the reference, in pages of any size.
func tracesListsProperty(t *testing.T, s *subject) {
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	if n, err := strconv.Atoi(os.Getenv("CLEW_PROPERTY_ROUNDS")); err == nil {
		rounds = n
	}
	base := s.name
	for seed := range rounds {
		w := world{rand.New(rand.NewPCG(uint64(seed), 78))}
		b := dated(w.patchesOf(2 + w.IntN(40)))
		reference := NewMemory(nil)
		if errs := reference.Append(t.Context(), []store.Batch{b}); errs[0] != nil {
			t.Fatal(errs[0])
		}
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		s.name = fmt.Sprint(base, "-", seed)
		s.open(nil)
		for _, call := range w.scattered(b) {
			s.append(call...)
			switch w.IntN(6) {
			case 0:
				s.engine.Settle(t, s.Traces)
			case 1:
				s.reopen()
			}
		}
		s.everyState(func(state string) {
			for range 12 {
				v := query.View(1 + w.IntN(5))
				l := query.List{View: v, Filter: w.filter(v, 0), Order: w.order(v), Bind: query.Bind{Now: 5}}
				if w.IntN(5) == 0 {
					l.Filter = nil
				}
				want, total := walk(t, reference, l, 1000)
				got, counted := walk(t, s, l, 1+w.IntN(4))
				if diff := cmp.Diff(want, got); diff != "" || total != counted {
					t.Fatalf("seed %d, %s: %s %s by %+v: %d and %d in all (-reference +engine):\n%s", seed, state, v, shown(l.Filter), l.Order, total, counted, diff)
				}
			}
		})
	}
}

// shown is a filter as a failure names it.
func shown(f query.Filter) string {
	text := fmt.Sprintf("%#v", f)
	return strings.NewReplacer("query.", "", "Pos:Span{Start:0, End:0}", "", "Rel:RelTime{Amount:0, Unit:\"\", Snap:\"\"}", "").Replace(text)
}

// tracesAggregatesProperty: random sums over random data are the reference's.
func tracesAggregatesProperty(t *testing.T, s *subject) {
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	base := s.name
	for seed := range rounds {
		w := world{rand.New(rand.NewPCG(uint64(seed), 79))}
		b := dated(w.patchesOf(2 + w.IntN(60)))
		reference := NewMemory(nil)
		if errs := reference.Append(t.Context(), []store.Batch{b}); errs[0] != nil {
			t.Fatal(errs[0])
		}
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		s.name = fmt.Sprint(base, "-", seed)
		s.open(nil)
		for _, call := range w.scattered(b) {
			s.append(call...)
		}
		s.everyState(func(state string) {
			for range 10 {
				a := w.aggregate()
				want, err := reference.Aggregate(t.Context(), "p", a)
				if err != nil {
					continue // not every column can be summed up in every way
				}
				got, err := s.Aggregate(t.Context(), "p", a)
				if err != nil {
					t.Fatalf("%+v: %v", a, err)
				}
				if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("seed %d, %s: %+v where %s (-reference +engine):\n%s", seed, state, a, shown(a.Filter), diff)
				}
			}
		})
	}
}

// aggregate is random sums; some of them make no sense.
func (w world) aggregate() query.Aggregate {
	v := query.View(1 + w.IntN(5))
	columns := query.Columns(v)
	column := func(mark query.Marks) query.Ref {
		for {
			if c := columns[w.IntN(len(columns))]; c.Marks&mark != 0 || w.IntN(50) == 0 {
				r := query.Ref{Column: c.Col}
				if c.Kind.Keyed() {
					r.Key = w.pick("input", "output", "total")
				}
				return r
			}
		}
	}
	a := query.Aggregate{View: v, Measures: []query.Measure{{Agg: query.Count}}, Grain: query.Grain(w.pick("", "", "auto", "minute", "day")), Fill: w.IntN(3) == 0}
	if w.IntN(2) == 0 {
		a.Filter = w.filter(v, 1)
	}
	for range w.IntN(3) {
		agg := []query.Agg{query.Count, query.Sum, query.Avg, query.Min, query.Max, query.Uniq, query.P50, query.P95, query.P99, query.Hist}[w.IntN(10)]
		a.Measures = append(a.Measures, query.Measure{Agg: agg, Ref: column(query.MarkMeasure)})
	}
	if _, summed := v.SumsUp(); !summed {
		for range w.IntN(3) {
			a.By = append(a.By, query.Dim{Ref: column(query.MarkGroup), Explode: w.IntN(2) == 0})
		}
		if w.IntN(3) == 0 { // by the keys of a map, or by what stands at one
			for {
				c := columns[w.IntN(len(columns))]
				if !c.Kind.Keyed() {
					if w.IntN(100) == 0 {
						break
					}
					continue
				}
				ref := query.Ref{Column: c.Col}
				if w.IntN(3) == 0 {
					ref.Key = w.pick("k", "quality", "tenant", "a.b", "input")
				}
				a.By = append(a.By, query.Dim{Ref: ref})
				break
			}
		}
	}
	return a
}

// tracesPagesWhileWriting: a walk sees each row that was there throughout
// exactly once, whatever is written, changed and deleted beside it.
func tracesPagesWhileWriting(t *testing.T, s *subject) {
	at := func(i int) domain.Time { return domain.At(int64(i) * 1e9) }
	put := func(id string, when domain.Time) {
		p := domain.ObservationPatch{Stamp: domain.Stamp{Time: when.Nanos(), Op: domain.Replace}, Said: domain.AllObservationFields}
		p.Value = domain.Observation{TraceID: id, ID: "o-" + id, Start: when, Name: "n"}
		domain.SealObservation(&p)
		s.append(store.Batch{Project: "p", Observations: []domain.ObservationPatch{p}})
	}
	const n = 120
	for i := range n {
		put(fmt.Sprintf("kept-%03d", i), at(1000+i))
	}
	s.engine.Settle(t, s.Traces)
	for _, v := range []query.View{query.Traces, query.Observations} {
		l := query.List{View: v, Limit: 7}
		var seen []string
		for page := 0; ; page++ {
			got, err := s.List(t.Context(), "p", l)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got.Rows {
				if id := r.Trace.ID; strings.HasPrefix(id, "kept") {
					seen = append(seen, id)
				}
			}
			put(fmt.Sprintf("newer-%s-%d", v, page), at(5000+page))
			put(fmt.Sprintf("between-%s-%d", v, page), at(1000+(page*31)%n))
			if page%3 == 2 {
				if err := s.DeleteTraces(t.Context(), "p", []string{fmt.Sprintf("between-%s-%d", v, page-1)}); err != nil {
					t.Fatal(err)
				}
				s.engine.Settle(t, s.Traces)
			}
			if got.Next == "" {
				break
			}
			l.After = got.Next
		}
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("kept-%03d", n-1-i))
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("%s (-once each, newest first +seen):\n%s", v, diff)
		}
	}
}

// tracesListsAfterDelete: what was deleted is in no list, facet or sum, and a
// late write makes it anew.
func tracesListsAfterDelete(t *testing.T, s *subject) {
	patch := func(trace, id, name string, when int64) {
		p := domain.ObservationPatch{Stamp: domain.Stamp{Time: when, Op: domain.Replace}, Said: domain.AllObservationFields}
		p.Value = domain.Observation{TraceID: trace, ID: id, Start: domain.At(when), Name: name}
		domain.SealObservation(&p)
		s.append(store.Batch{Project: "p", Observations: []domain.ObservationPatch{p}})
	}
	patch("gone", "g1", "secret", 1)
	patch("stays", "s1", "public", 2)
	s.engine.Settle(t, s.Traces)
	if err := s.DeleteTraces(t.Context(), "p", []string{"gone"}); err != nil {
		t.Fatal(err)
	}
	check := func(want ...string) {
		t.Helper()
		s.everyState(func(state string) {
			ids, total := walk(t, s, query.List{View: query.Observations}, 10)
			if diff := cmp.Diff(want, ids); diff != "" || total != int64(len(want)) {
				t.Errorf("%s: %d in all (-want +got):\n%s", state, total, diff)
			}
			names, err := s.Facet(t.Context(), "p", query.Facet{View: query.Observations, Ref: query.Ref{Column: query.ColName}})
			if err != nil || len(names.Values) != len(want) || names.Stopped {
				t.Errorf("%s: the names are %v, %v", state, names, err)
			}
		})
	}
	check("stays/s1")
	patch("gone", "g2", "late", 3)
	check("gone/g2", "stays/s1")
}

// scripted answers the scripts of package query from a store.
type scripted struct{ *subject }

// Load implements querytest.Engine.
func (s scripted) Load(t *testing.T, v query.View, rows []querytest.Row) {
	b := store.Batch{Project: "p"}
	for i := range rows {
		traces, observations, scores := rows[i].Patches(t, v)
		b.Traces, b.Observations, b.Scores = append(b.Traces, traces...), append(b.Observations, observations...), append(b.Scores, scores...)
	}
	s.append(b)
}

// Match implements querytest.Engine: at once, settled, and after a restart the
// answer is the same.
func (s scripted) Match(t *testing.T, v query.View, f query.Filter, b query.Bind, keys []query.Key) (ids []string) {
	page, err := s.List(t.Context(), "p", query.List{View: v, Filter: f, Bind: b, Order: keys, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Rows {
		if r.Observation != nil {
			ids = append(ids, r.Observation.ID)
		} else {
			ids = append(ids, r.Trace.ID)
		}
	}
	return ids
}

// tracesScripts: the engine answers the scripts of package query as its matcher
// does, from what was just written and from what is settled.
func tracesScripts(t *testing.T, s *subject) {
	base := s.name
	n := 0
	for _, settled := range []bool{false, true} {
		querytest.Run(t, "../../query/testdata", func(t *testing.T) querytest.Engine {
			n++
			one := &subject{t: t, engine: s.engine, name: fmt.Sprint(base, "-", n)}
			one.open(querytest.Derive)
			t.Cleanup(func() { one.Close() })
			if settled {
				return settling{scripted{one}}
			}
			return scripted{one}
		})
	}
}

// settling is scripted after the engine's own work and a restart.
type settling struct{ scripted }

// Load implements querytest.Engine.
func (s settling) Load(t *testing.T, v query.View, rows []querytest.Row) {
	s.scripted.Load(t, v, rows)
	s.engine.Settle(t, s.Traces)
	s.reopen()
}
