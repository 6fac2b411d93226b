package domain_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
)

// said is an observation patch at a time that says what set puts into it.
func said(time int64, op domain.Op, fields domain.Fields, set func(o *domain.Observation)) domain.ObservationPatch {
	p := domain.ObservationPatch{Stamp: domain.Stamp{Time: time, Op: op}, Said: fields}
	p.Value.TraceID, p.Value.ID = "t", "o"
	if set != nil {
		set(&p.Value)
	}
	domain.SealObservation(&p)
	return p
}

func fold(ps ...domain.ObservationPatch) domain.Observation {
	var f domain.Fold[domain.Observation]
	for i := range ps {
		w := ps[i].Fold()
		domain.FoldObservation(&f, &w)
	}
	return f.Value
}

// inEveryOrder folds patches in each of their orders, and each order once more
// with every patch twice.
func inEveryOrder(ps []domain.ObservationPatch, f func(o domain.Observation)) {
	if len(ps) < 2 {
		f(fold(ps...))
		return
	}
	var permute func(done, rest []domain.ObservationPatch)
	permute = func(done, rest []domain.ObservationPatch) {
		if len(rest) == 0 {
			f(fold(done...))
			f(fold(slices.Concat(done, done)...))
			return
		}
		for i := range rest {
			permute(append(slices.Clip(done), rest[i]), slices.Concat(rest[:i], rest[i+1:]))
		}
	}
	permute(nil, ps)
}

// textRule is the rule of one text field: what its patches say, and what is
// read.
func textRule(t *testing.T, name string, bit domain.Fields, at func(o *domain.Observation) *string, first, nullClears bool) {
	t.Helper()
	value := func(time int64, op domain.Op, v string) domain.ObservationPatch {
		return said(time, op, bit, func(o *domain.Observation) { *at(o) = v })
	}
	silent := func(time int64) domain.ObservationPatch { return said(time, domain.Update, 0, nil) }
	const create, update, replace = domain.Create, domain.Update, domain.Replace
	pick := func(ifFirst, ifLast string) string {
		if first {
			return ifFirst
		}
		return ifLast
	}
	afterNull := "a"
	if nullClears {
		afterNull = ""
	}
	// A replacing write that leaves a field out ends what came before it, save
	// for what identifies.
	for _, c := range []struct {
		what string
		ps   []domain.ObservationPatch
		want string
	}{
		{"one", []domain.ObservationPatch{value(1, create, "a")}, "a"},
		{"two", []domain.ObservationPatch{value(1, create, "a"), value(2, update, "b")}, pick("a", "b")},
		{"update before its create", []domain.ObservationPatch{value(2, create, "a"), value(1, update, "b")}, pick("b", "a")},
		{"create before update at the same time", []domain.ObservationPatch{value(1, create, "z"), value(1, update, "b")}, pick("z", "b")},
		{"absent keeps", []domain.ObservationPatch{value(1, create, "a"), silent(2)}, "a"},
		{"null later", []domain.ObservationPatch{value(1, create, "a"), value(2, update, "")}, afterNull},
		{"null earlier", []domain.ObservationPatch{value(1, create, ""), value(2, update, "a")}, "a"},
		{"null between", []domain.ObservationPatch{value(1, create, "a"), value(2, update, ""), value(3, update, "c")}, pick("a", "c")},
		{"replaced", []domain.ObservationPatch{value(1, create, "a"), value(2, replace, "b")}, pick("a", "b")},
		{"replaced without", []domain.ObservationPatch{value(1, create, "a"), value(2, replace, "")}, pick("a", "")},
		{"update after a replace", []domain.ObservationPatch{value(1, replace, "a"), value(2, update, "b")}, pick("a", "b")},
		{"old update after a replace", []domain.ObservationPatch{value(3, replace, "c"), value(2, update, "b")}, pick("b", "c")},
	} {
		inEveryOrder(c.ps, func(o domain.Observation) {
			if got := *at(&o); got != c.want {
				t.Errorf("%s: %s: got %q, want %q", name, c.what, got, c.want)
			}
		})
	}
}

func TestTextRules(t *testing.T) {
	type field = func(o *domain.Observation) *string
	const first, last, clears, keeps = true, false, true, false
	for _, c := range []struct {
		name              string
		bit               domain.Fields
		at                field
		first, nullClears bool
	}{
		{"environment", domain.ObservationEnvironment, func(o *domain.Observation) *string { return &o.Environment }, first, keeps},
		{"name", domain.ObservationName, func(o *domain.Observation) *string { return &o.Name }, last, clears},
		{"model", domain.ObservationModel, func(o *domain.Observation) *string { return &o.Model }, last, clears},
		{"type", domain.ObservationTypeField, func(o *domain.Observation) *string { return (*string)(&o.Type) }, last, clears},
		{"parent", domain.ObservationParent, func(o *domain.Observation) *string { return &o.ParentID }, last, keeps},
		{"version", domain.ObservationVersion, func(o *domain.Observation) *string { return &o.Version }, last, keeps},
		{"status message", domain.ObservationStatusMessage, func(o *domain.Observation) *string { return &o.StatusMessage }, last, keeps},
		{"trace name", domain.ObservationTraceName, func(o *domain.Observation) *string { return &o.TraceName }, last, keeps},
		{"user", domain.ObservationUserID, func(o *domain.Observation) *string { return &o.UserID }, last, keeps},
		{"session", domain.ObservationSessionID, func(o *domain.Observation) *string { return &o.SessionID }, last, keeps},
		{"release", domain.ObservationRelease, func(o *domain.Observation) *string { return &o.Release }, last, keeps},
		{"source", domain.ObservationSource, func(o *domain.Observation) *string { return &o.Source }, last, keeps},
		{"prompt", domain.ObservationPrompt, func(o *domain.Observation) *string { return &o.PromptName }, last, keeps},
		{"experiment", domain.ObservationExperiment, func(o *domain.Observation) *string { return &o.Experiment.ItemID }, last, keeps},
	} {
		textRule(t, c.name, c.bit, c.at, c.first, c.nullClears)
	}
}

// TestOtherRules holds the rules whose values are not texts, and those that
// are about several fields. Each case is read in every order of its patches.
func TestOtherRules(t *testing.T) {
	const create, update, replace = domain.Create, domain.Update, domain.Replace
	start := func(at int64) func(o *domain.Observation) {
		return func(o *domain.Observation) { o.Start = domain.At(at) }
	}
	end := func(at int64) func(o *domain.Observation) {
		return func(o *domain.Observation) { o.End = domain.At(at) }
	}
	level := func(l domain.Level) func(o *domain.Observation) {
		return func(o *domain.Observation) { o.Level = l }
	}
	tags := func(ts ...string) func(o *domain.Observation) {
		return func(o *domain.Observation) { o.Tags = ts }
	}
	usage := func(key string, units int64) func(o *domain.Observation) {
		return func(o *domain.Observation) { o.ProvidedUsage = domain.Usage{{Key: key, Units: units}} }
	}
	for _, c := range []struct {
		what string
		ps   []domain.ObservationPatch
		want func(o *domain.Observation)
	}{
		{"start: first wins", []domain.ObservationPatch{
			said(5, create, domain.ObservationStart, start(100)), said(6, update, domain.ObservationStart, start(50)),
		}, start(100)},
		{"start 1970 is a start", []domain.ObservationPatch{
			said(5, create, domain.ObservationStart, start(0)), said(6, update, domain.ObservationStart, start(50)),
		}, start(0)},
		{"end: last with a value wins", []domain.ObservationPatch{
			said(1, create, domain.ObservationEnd, end(7)), said(2, update, domain.ObservationEnd, end(9)), said(3, update, domain.ObservationEnd, nil),
		}, end(9)},
		{"an unfinished span does not undo its end", []domain.ObservationPatch{
			said(9, replace, 0, end(9)), said(0, replace, 0, nil),
		}, end(9)},
		{"first token: last with a value wins", []domain.ObservationPatch{
			said(1, create, domain.ObservationCompletionStart, func(o *domain.Observation) { o.CompletionStart = domain.At(3) }),
			said(2, update, domain.ObservationCompletionStart, nil),
		}, func(o *domain.Observation) { o.CompletionStart = domain.At(3) }},
		{"level: null clears", []domain.ObservationPatch{
			said(1, create, domain.ObservationLevel, level(domain.LevelError)), said(2, update, domain.ObservationLevel, nil),
		}, level(domain.NoLevel)},
		{"level: last wins, also downwards", []domain.ObservationPatch{
			said(1, create, domain.ObservationLevel, level(domain.LevelError)), said(2, update, domain.ObservationLevel, level(domain.LevelDebug)),
		}, level(domain.LevelDebug)},
		{"usage: replaced whole, empty keeps", []domain.ObservationPatch{
			said(1, create, domain.ObservationUsage, usage("input", 1)), said(2, update, domain.ObservationUsage, usage("output", 2)), said(3, update, domain.ObservationUsage, nil),
		}, usage("output", 2)},
		{"usage: a replace without it ends it", []domain.ObservationPatch{
			said(1, create, domain.ObservationUsage, usage("input", 1)), said(2, replace, 0, nil),
		}, nil},
		{"cost: empty keeps", []domain.ObservationPatch{
			said(1, create, domain.ObservationCost, func(o *domain.Observation) { o.ProvidedCost = domain.Cost{{Key: "total", Amount: 5}} }),
			said(2, update, domain.ObservationCost, nil),
		}, func(o *domain.Observation) { o.ProvidedCost = domain.Cost{{Key: "total", Amount: 5}} }},
		{"parameters: replaced whole", []domain.ObservationPatch{
			said(1, create, domain.ObservationModelParameters, func(o *domain.Observation) { o.ModelParameters = []byte(`{"a":1}`) }),
			said(2, update, domain.ObservationModelParameters, func(o *domain.Observation) { o.ModelParameters = []byte(`{"b":2}`) }),
		}, func(o *domain.Observation) { o.ModelParameters = []byte(`{"b":2}`) }},
		{"prompt: name and version go together", []domain.ObservationPatch{
			said(1, create, domain.ObservationPrompt, func(o *domain.Observation) { o.PromptName, o.PromptVersion = "p", domain.Some[int64](1) }),
			said(2, update, domain.ObservationPrompt, func(o *domain.Observation) { o.PromptName, o.PromptVersion = "q", domain.Some[int64](4) }),
		}, func(o *domain.Observation) { o.PromptName, o.PromptVersion = "q", domain.Some[int64](4) }},
		{"public: absent keeps, false counts", []domain.ObservationPatch{
			said(1, create, domain.ObservationPublic, func(o *domain.Observation) { o.Public = domain.Some(true) }),
			said(2, update, domain.ObservationPublic, func(o *domain.Observation) { o.Public = domain.Some(false) }),
			said(3, update, domain.ObservationPublic, nil),
		}, func(o *domain.Observation) { o.Public = domain.Some(false) }},
		{"tags: sorted union, null and absent keep", []domain.ObservationPatch{
			said(1, create, domain.ObservationTags, tags("b", "x")), said(2, update, domain.ObservationTags, tags("a", "b")),
			said(3, update, domain.ObservationTags, nil), said(4, update, 0, nil),
		}, tags("a", "b", "x")},
		{"tags: a replace ends older ones, and only those", []domain.ObservationPatch{
			said(1, create, domain.ObservationTags, tags("old", "kept")), said(2, replace, 0, tags("kept", "r")), said(3, update, domain.ObservationTags, tags("new")),
		}, tags("kept", "new", "r")},
		{"tags: an older replace ends nothing", []domain.ObservationPatch{
			said(2, update, domain.ObservationTags, tags("a")), said(1, replace, 0, tags("b")),
		}, tags("a", "b")},
		{"tags: said again after a replace", []domain.ObservationPatch{
			said(1, create, domain.ObservationTags, tags("a")), said(2, replace, 0, nil), said(3, update, domain.ObservationTags, tags("a")),
		}, tags("a")},
		{"price attributes and app root", []domain.ObservationPatch{
			said(1, create, domain.ObservationPriceAttributes|domain.ObservationAppRoot, func(o *domain.Observation) {
				o.PriceAttributes, o.AppRoot = []domain.Attribute{{Key: "tier", Value: "flex"}}, true
			}),
			said(2, update, domain.ObservationPriceAttributes|domain.ObservationAppRoot, nil),
		}, func(o *domain.Observation) {
			o.PriceAttributes, o.AppRoot = []domain.Attribute{{Key: "tier", Value: "flex"}}, true
		}},
	} {
		want := domain.Observation{TraceID: "t", ID: "o"}
		if c.want != nil {
			c.want(&want)
		}
		inEveryOrder(c.ps, func(o domain.Observation) {
			if diff := cmp.Diff(want, o, cmp.AllowUnexported(domain.Time{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.what, diff)
			}
		})
	}
}

func TestFoldReportsChange(t *testing.T) {
	a := said(1, domain.Create, domain.ObservationName|domain.ObservationTags, func(o *domain.Observation) { o.Name, o.Tags = "a", []string{"x"} })
	b := said(2, domain.Update, domain.ObservationName, func(o *domain.Observation) { o.Name = "b" })
	var f domain.Fold[domain.Observation]
	for i, c := range []struct {
		p    domain.ObservationPatch
		want bool
	}{{b, true}, {b, false}, {a, true}, {a, false}, {b, false}} {
		w := c.p.Fold()
		if got := domain.FoldObservation(&f, &w); got != c.want {
			t.Errorf("write %d: changed = %v, want %v", i, got, c.want)
		}
	}
	if n := len(f.Stamps.List); n != 2 {
		t.Errorf("%d stamps are kept, want 2: those of the name and of the tags", n)
	}
}

// TestFoldForgetsStamps: what a fold keeps must not grow with the writes.
func TestFoldForgetsStamps(t *testing.T) {
	var f domain.Fold[domain.Observation]
	for i := range int64(1000) {
		p := said(i, domain.Update, domain.ObservationName|domain.ObservationTags, func(o *domain.Observation) {
			o.Name, o.Tags = fmt.Sprint(i), []string{"a", "b"}
		})
		w := p.Fold()
		domain.FoldObservation(&f, &w)
	}
	last := said(2000, domain.Replace, 0, nil)
	w := last.Fold()
	domain.FoldObservation(&f, &w)
	late := said(5, domain.Update, domain.ObservationTags, func(o *domain.Observation) { o.Tags = []string{"c"} })
	for range 3 {
		w = late.Fold()
		domain.FoldObservation(&f, &w)
	}
	if n := len(f.Stamps.List); n != 1 || len(f.Value.Tags) != 0 {
		t.Errorf("after a replace %d stamps and tags %v are kept, want its own stamp and none", n, f.Value.Tags)
	}
}

// TestFoldBoundsTags: over the limit the tags said last stay, in every order.
func TestFoldBoundsTags(t *testing.T) {
	var ps []domain.ObservationPatch
	for i := range int64(60) {
		ps = append(ps, said(i, domain.Update, domain.ObservationTags, func(o *domain.Observation) {
			for j := range 20 {
				o.Tags = append(o.Tags, fmt.Sprintf("%02d-%02d", j, i))
			}
			slices.Sort(o.Tags)
		}))
	}
	got := fold(ps...)
	if len(got.Tags) != domain.MaxTags || slices.Contains(got.Tags, "00-09") || !slices.Contains(got.Tags, "00-10") {
		t.Errorf("%d tags, of the writes from %v on; want %d, of the last 50 writes", len(got.Tags), got.Tags[:3], domain.MaxTags)
	}
	slices.Reverse(ps)
	if diff := cmp.Diff(got.Tags, fold(ps...).Tags); diff != "" {
		t.Errorf("backwards (-forwards +backwards):\n%s", diff)
	}
	many := said(1, domain.Create, domain.ObservationTags, func(o *domain.Observation) {
		for i := range 2 * domain.MaxTags {
			o.Tags = append(o.Tags, fmt.Sprintf("%05d", i))
		}
	})
	if f := many.Fold(); len(f.Value.Tags) != domain.MaxTags || f.Value.Tags[0] != "01000" || len(many.Value.Tags) != 2*domain.MaxTags {
		t.Errorf("one write of too many tags: %d from %q on, want %d from 01000 on, and the patch as it was", len(f.Value.Tags), f.Value.Tags[0], domain.MaxTags)
	}
}

// TestTraceIDOfFold: the id of a trace that becomes known later is taken over.
func TestTraceIDOfFold(t *testing.T) {
	without := said(1, domain.Create, 0, nil)
	without.Value.TraceID = ""
	if got := fold(without, said(2, domain.Update, 0, nil)); got.TraceID != "t" {
		t.Errorf("trace id %q, want t", got.TraceID)
	}
}

// The three events of one trace, as Langfuse's API merges them: name "b", tags
// x and y, metadata merged, input "q" although a later null, output "done".
func TestThreeEventsOfOneTrace(t *testing.T) {
	event := func(time int64, fields domain.Fields, set func(v *domain.Trace), parts map[domain.Part]domain.Body) domain.TracePatch {
		p := domain.TracePatch{Stamp: domain.Stamp{Time: time, Op: domain.Create}, Said: fields}
		p.Value.ID = "t1"
		set(&p.Value)
		for part, b := range parts {
			p.Parts = p.Parts.With(part)
			p.Content[part] = b
		}
		domain.SealTrace(&p)
		return p
	}
	object := func(s string) domain.Body { return domain.JSONBody([]byte(s)) }
	events := []domain.TracePatch{
		event(1, domain.TraceName|domain.TraceTags, func(v *domain.Trace) { v.Name, v.Tags = "a", []string{"x"} },
			map[domain.Part]domain.Body{domain.Metadata: object(`{"k":{"p":1}}`), domain.Input: domain.TextBody("q")}),
		event(2, domain.TraceTags, func(v *domain.Trace) { v.Tags = []string{"y"} },
			map[domain.Part]domain.Body{domain.Metadata: object(`{"k":{"r":2}}`), domain.Output: domain.TextBody("")}),
		event(3, domain.TraceName, func(v *domain.Trace) { v.Name = "b" },
			map[domain.Part]domain.Body{domain.Output: domain.TextBody("done"), domain.Input: {}}),
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0, 1}} {
		var f domain.Fold[domain.Trace]
		var items []domain.Item
		for _, i := range order {
			w := events[i].Fold()
			domain.FoldTrace(&f, &w)
			items = append(items, domain.Item{Stamp: events[i].Stamp, Said: events[i].Parts, Content: events[i].Content})
		}
		want := domain.Trace{ID: "t1", Name: "b", Tags: []string{"x", "y"}}
		if diff := cmp.Diff(want, f.Value, cmp.AllowUnexported(domain.Time{})); diff != "" {
			t.Errorf("order %v (-want +got):\n%s", order, diff)
		}
		wantContent := domain.Content{
			domain.Input: domain.TextBody("q"), domain.Output: domain.TextBody("done"), domain.Metadata: object(`{"k":{"p":1,"r":2}}`),
		}
		if diff := cmp.Diff(wantContent, domain.FoldContent(items)); diff != "" {
			t.Errorf("order %v: content (-want +got):\n%s", order, diff)
		}
	}
}

// A trace's own columns: first wins for time and environment, null clears the
// rest, absent keeps everything.
func TestTraceRules(t *testing.T) {
	at := func(time int64, fields domain.Fields, v domain.Trace) domain.TracePatch {
		v.ID = "t"
		p := domain.TracePatch{Stamp: domain.Stamp{Time: time, Op: domain.Create}, Said: fields, Value: v}
		domain.SealTrace(&p)
		return p
	}
	full := domain.TraceTimestamp | domain.TraceName | domain.TraceUserID | domain.TraceSessionID |
		domain.TraceRelease | domain.TraceVersion | domain.TraceEnvironment | domain.TracePublic
	first := at(1, full, domain.Trace{Timestamp: domain.At(10), Name: "n", UserID: "u", SessionID: "s", Release: "r", Version: "v", Environment: "e", Public: domain.Some(true)})
	for _, c := range []struct {
		what  string
		later domain.TracePatch
		want  domain.Trace
	}{
		{"absent", at(2, 0, domain.Trace{}),
			domain.Trace{ID: "t", Timestamp: domain.At(10), Name: "n", UserID: "u", SessionID: "s", Release: "r", Version: "v", Environment: "e", Public: domain.Some(true)}},
		{"null", at(2, full, domain.Trace{}),
			domain.Trace{ID: "t", Timestamp: domain.At(10), Environment: "e", Public: domain.Some(true)}},
		{"values", at(2, full, domain.Trace{Timestamp: domain.At(1), Name: "n2", UserID: "u2", SessionID: "s2", Release: "r2", Version: "v2", Environment: "e2", Public: domain.Some(false)}),
			domain.Trace{ID: "t", Timestamp: domain.At(10), Name: "n2", UserID: "u2", SessionID: "s2", Release: "r2", Version: "v2", Environment: "e", Public: domain.Some(false)}},
	} {
		for _, order := range [][]domain.TracePatch{{first, c.later}, {c.later, first}} {
			var f domain.Fold[domain.Trace]
			for i := range order {
				w := order[i].Fold()
				domain.FoldTrace(&f, &w)
			}
			if diff := cmp.Diff(c.want, f.Value, cmp.AllowUnexported(domain.Time{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.what, diff)
			}
		}
	}
}

func TestScoreRules(t *testing.T) {
	at := func(time int64, op domain.Op, fields domain.Fields, v domain.Score) domain.ScorePatch {
		v.ID = "s"
		p := domain.ScorePatch{Stamp: domain.Stamp{Time: time, Op: op}, Said: fields, Value: v}
		domain.SealScore(&p)
		return p
	}
	writes := []domain.ScorePatch{
		at(1, domain.Create, domain.ScoreTraceID|domain.ScoreName|domain.ScoreValue|domain.ScoreTimestamp|domain.ScoreEnvironment|domain.ScoreComment|domain.ScoreMetadata,
			domain.Score{TraceID: "t1", Name: "n", Type: domain.ScoreNumeric, Value: domain.Some(0.5), Timestamp: domain.At(1), Environment: "e", Comment: "c", Metadata: []byte(`{"a":{"x":1}}`)}),
		at(2, domain.Create, domain.ScoreTraceID|domain.ScoreName|domain.ScoreValue|domain.ScoreTimestamp|domain.ScoreEnvironment|domain.ScoreComment|domain.ScoreMetadata,
			domain.Score{TraceID: "t2", Name: "m", Type: domain.ScoreCategorical, StringValue: "good", Timestamp: domain.At(2), Environment: "f", Metadata: []byte(`{"a":{"y":2}}`)}),
		at(3, domain.Update, domain.ScoreMetadata, domain.Score{}),
	}
	want := domain.Score{
		ID: "s", TraceID: "t1", Name: "m", Type: domain.ScoreCategorical, StringValue: "good", Timestamp: domain.At(1),
		Environment: "e", Comment: "c", Metadata: []byte(`{"a":{"x":1,"y":2}}`),
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 1, 2, 0}} {
		var ws []domain.ScorePatch
		for _, i := range order {
			ws = append(ws, writes[i])
		}
		if diff := cmp.Diff(want, domain.FoldScores(ws), cmp.AllowUnexported(domain.Time{})); diff != "" {
			t.Errorf("order %v (-want +got):\n%s", order, diff)
		}
	}
	replaced := append(slices.Clone(writes), at(4, domain.Replace, 0, domain.Score{Name: "r"}))
	want = domain.Score{ID: "s", TraceID: "t1", Name: "r", Timestamp: domain.At(1), Environment: "e"}
	if diff := cmp.Diff(want, domain.FoldScores(replaced), cmp.AllowUnexported(domain.Time{})); diff != "" {
		t.Errorf("replaced (-want +got):\n%s", diff)
	}
}
