package query

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
)

// mapNode tests the nodes of a JSON object that a path names; one is enough.
type mapNode struct {
	ref   Ref
	match func(node []byte, element bool) bool
}

func (n *mapNode) test(r Row) bool {
	return eachNode(r.Body(n.ref.Column).Data, n.ref.Key, n.match)
}

// mapTest makes the test of one node by the kind of the value that it is
// compared with. A node of another kind is no match.
func mapTest(f *Cmp, b Bind) func(node []byte, element bool) bool {
	listed := f.Op == Eq || f.Op == In || f.Op == Prefix // what an element of a list may match
	var test func(node []byte) bool
	kind := f.Values[0].Kind
	if kind == Open {
		kind = f.Values[1].Kind
	}
	switch kind {
	case StrValue:
		match := texts(f)
		test = func(node []byte) bool {
			s, ok := nodeText(node)
			return ok && match(s)
		}
	case NumValue:
		match := compareBy(f, func(d Decimal, i int) int { return d.Compare(f.Values[i].Num) })
		test = func(node []byte) bool {
			s, ok := nodeText(node)
			if !ok || node[0] == '{' || node[0] == '[' {
				return false
			}
			d, ok := ParseDecimal(s)
			return ok && match(d)
		}
	case BoolValue:
		test = func(node []byte) bool {
			s, ok := nodeText(node)
			return ok && (strings.EqualFold(s, "true") && f.Values[0].Bool || strings.EqualFold(s, "false") && !f.Values[0].Bool)
		}
	default:
		match := ints(TimeKind, f, b)
		test = func(node []byte) bool {
			s, ok := nodeText(node)
			if !ok || node[0] != '"' {
				return false
			}
			t, err := time.Parse(time.RFC3339Nano, s)
			return err == nil && match.match(t.UnixNano())
		}
	}
	return func(node []byte, element bool) bool { return (!element || listed) && test(node) }
}

// scoreNode tests the scores of a name; one is enough.
type scoreNode struct {
	ref   Ref
	match func(s *domain.Score) bool
}

func (n *scoreNode) test(r Row) bool {
	scores := r.Scores(n.ref.Column)
	for i := range scores {
		if scores[i].Name == n.ref.Key && n.match(&scores[i]) {
			return true
		}
	}
	return false
}

// meanNode tests the mean of the scores of a name.
type meanNode struct {
	ref   Ref
	match func(float64) bool
}

func (n *meanNode) test(r Row) bool {
	mean, ok := Mean(r.Scores(n.ref.Column), n.ref.Key)
	return ok && n.match(mean)
}

func compileScores(f *Cmp) node {
	if meanOf(f.Ref) {
		return &meanNode{f.Ref, floats(f)}
	}
	return &scoreNode{f.Ref, ScoreTest(f)}
}

// ScoreTest is the test of a comparison with a score column for one score.
func ScoreTest(f *Cmp) func(s *domain.Score) bool {
	if len(f.Values) == 0 {
		return func(*domain.Score) bool { return false }
	}
	kind := f.Values[0].Kind
	if kind == Open {
		kind = f.Values[1].Kind
	}
	switch kind {
	case NumValue:
		match := floats(f)
		return func(s *domain.Score) bool {
			v, ok := numberOf(s)
			return ok && match(v)
		}
	case BoolValue:
		return func(s *domain.Score) bool {
			return s.Type == domain.ScoreBoolean && s.Value.Set && (s.Value.Value != 0) == f.Values[0].Bool
		}
	}
	match := texts(f)
	return func(s *domain.Score) bool {
		text, ok := textOf(s)
		return ok && match(text)
	}
}

// MeanTest is the test of a comparison with a mean of scores.
func MeanTest(f *Cmp) func(float64) bool { return floats(f) }

// textSearch tests whether a field of a row holds a phrase.
type textSearch struct {
	view   View
	scope  Ref
	kind   Kind
	phrase *phrase
}

func compileText(v View, f *Text) node {
	col, _ := ColumnOf(v, f.Scope.Column)
	return &textSearch{v, f.Scope, col.Kind, newPhrase(f.Query, f.Prefix)}
}

func (n *textSearch) test(r Row) bool {
	if n.scope == (Ref{}) {
		return n.anywhere(r)
	}
	switch n.kind {
	case BodyKind:
		return n.inBody(r.Body(n.scope.Column))
	case MapKind:
		body := r.Body(n.scope.Column)
		if n.scope.Key == "" {
			return n.inBody(body)
		}
		return eachNode(body.Data, n.scope.Key, func(node []byte, _ bool) bool {
			return n.inBody(domain.Body{Kind: domain.JSON, Data: node})
		})
	}
	s, ok := r.Text(n.scope.Column)
	return ok && n.phrase.in(AppendFolded(nil, []byte(s)))
}

func (n *textSearch) inBody(b domain.Body) bool {
	if !b.IsSet() {
		return false
	}
	folded, _ := Searchable(nil, nil, b)
	return n.phrase.in(folded)
}

// searchedTexts and wholeTexts are the narrow fields that a search everywhere
// looks at: the words of the first, the others as a whole.
var (
	searchedTexts = map[View][]Col{
		Traces: {ColName}, Observations: {ColName, ColStatus}, Scores: {ColName, ColStringValue, ColComment}, Sessions: {}, Users: {},
	}
	wholeTexts = map[View][]Col{
		Traces: {ColID, ColUser, ColSession}, Observations: {ColID, ColTrace, ColUser, ColSession},
		Scores: {ColID, ColTrace, ColObservation, ColSession}, Sessions: {ColID}, Users: {ColID},
	}
	searchedBodies = map[View][]Col{
		Traces: {ColInput, ColOutput, ColMetadata}, Observations: {ColInput, ColOutput, ColMetadata}, Scores: {ColMetadata}, Sessions: {}, Users: {},
	}
)

func (n *textSearch) anywhere(r Row) bool {
	if n.narrow(r) {
		return true
	}
	for _, c := range searchedBodies[n.view] {
		if n.inBody(r.Body(c)) {
			return true
		}
	}
	if n.view != Traces {
		return false
	}
	same := textSearch{view: Observations, phrase: n.phrase}
	for _, o := range r.Related(RelObs) {
		if same.anywhere(o) {
			return true
		}
	}
	return false
}

// narrowAnywhere is anywhere without the bodies.
func (n *textSearch) narrowAnywhere(r Row) bool {
	if n.narrow(r) {
		return true
	}
	if n.view != Traces {
		return false
	}
	same := textSearch{view: Observations, phrase: n.phrase}
	for _, o := range r.Related(RelObs) {
		if same.narrow(o) {
			return true
		}
	}
	return false
}

// narrow tests the narrow fields of the row itself.
func (n *textSearch) narrow(r Row) bool {
	for _, c := range searchedTexts[n.view] {
		if s, ok := r.Text(c); ok && n.hasWords(s) {
			return true
		}
	}
	key := n.key()
	for _, c := range wholeTexts[n.view] {
		if s, ok := r.Text(c); ok && isKey(s, key) {
			return true
		}
	}
	if _, has := ColumnOf(n.view, ColTags); has && slices.ContainsFunc(r.List(ColTags), n.isWhole) {
		return true
	}
	return false
}

func (n *textSearch) hasWords(s string) bool { return n.phrase.in(AppendFolded(nil, []byte(s))) }

func (n *textSearch) isWhole(s string) bool { return FoldText(s) == n.phrase.whole }

// key is the whole of the search as an id.
func (n *textSearch) key() string { return FoldText(domain.TraceKey(n.phrase.whole)) }

// isKey reports whether an id has a key. Of most ids their length tells.
func isKey(id, key string) bool {
	if len(id) != len(key) && (len(id) != 36 || len(key) != 32) && isASCII(id) {
		return false
	}
	return FoldText(domain.TraceKey(id)) == key
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// narrowTexts is what narrowAnywhere looks at.
func (n *textSearch) narrowTexts() map[View][]NarrowText {
	key := n.key()
	out := map[View][]NarrowText{}
	for _, v := range []View{Traces, Observations} {
		if v != n.view && n.view != Traces {
			continue
		}
		for _, c := range searchedTexts[v] {
			out[v] = append(out[v], NarrowText{Col: c, In: n.hasWords})
		}
		for _, c := range wholeTexts[v] {
			out[v] = append(out[v], NarrowText{Col: c, In: func(s string) bool { return isKey(s, key) }, Whole: key})
		}
		out[v] = append(out[v], NarrowText{Col: ColTags, In: n.isWhole})
	}
	return out
}
