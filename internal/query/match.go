package query

import (
	"math"
	"strings"

	"github.com/clewhq/clew/internal/domain"
)

// Row is what a filter is tested on: the columns of one row by their kind. A
// missing value is false or empty. Engines implement it over their columns,
// Record over domain's own things.
type Row interface {
	Int(c Col) (int64, bool) // of the stored unit: booleans 0 and 1, picodollars, nanoseconds
	Float(c Col) (float64, bool)
	Text(c Col) (string, bool)
	List(c Col) []string
	Count(c Col, key string) (int64, bool)
	Keys(c Col) []string // those that Count has a number for
	Body(c Col) domain.Body
	Scores(c Col) []domain.Score // in the scope of the column, without corrections
	Related(r Relation) []Row
}

// Program is a filter made ready to be tested on many rows.
type Program struct{ root node }

// Compile checks a filter and makes it ready. The error is Errors.
func Compile(v View, f Filter, b Bind) (*Program, error) {
	if err := Check(v, f); err != nil {
		return nil, err
	}
	return &Program{compile(v, f, b)}, nil
}

// Match reports whether a row matches.
func (p *Program) Match(r Row) bool { return p.root.test(r) }

// node is a compiled part of a filter.
type node interface{ test(r Row) bool }

type (
	allOf  []node
	anyOf  []node
	noneOf struct{ node }
)

func (ns allOf) test(r Row) bool {
	for _, n := range ns {
		if !n.test(r) {
			return false
		}
	}
	return true
}

func (ns anyOf) test(r Row) bool {
	for _, n := range ns {
		if n.test(r) {
			return true
		}
	}
	return false
}

func (n noneOf) test(r Row) bool { return !n.node.test(r) }

func compile(v View, f Filter, b Bind) node {
	switch f := f.(type) {
	case And:
		ns := make(allOf, len(f))
		for i := range f {
			ns[i] = compile(v, f[i], b)
		}
		return ns
	case Or:
		ns := make(anyOf, len(f))
		for i := range f {
			ns[i] = compile(v, f[i], b)
		}
		return ns
	case Not:
		return noneOf{compile(v, f.Filter, b)}
	case Cmp:
		return compileCmp(v, &f, b)
	case Has:
		col, _ := ColumnOf(v, f.Ref.Column)
		return &hasNode{f.Ref, col.Kind, meanOf(f.Ref)}
	case Text:
		return compileText(v, &f)
	case Rel:
		to, _ := Related(v, f.Name)
		return &relNode{f.Name, compile(to, f.Where, b)}
	}
	return anyOf(nil)
}

type relNode struct {
	name  Relation
	where node
}

func (n *relNode) test(r Row) bool {
	for _, row := range r.Related(n.name) {
		if n.where.test(row) {
			return true
		}
	}
	return false
}

func meanOf(r Ref) bool {
	mean, _ := ScoresOver(r.Column)
	return mean
}

// hasNode tests that there is a value.
type hasNode struct {
	ref  Ref
	kind Kind
	mean bool
}

func (n *hasNode) test(r Row) bool {
	c := n.ref.Column
	switch n.kind {
	case ListKind:
		return len(r.List(c)) > 0
	case BodyKind:
		return r.Body(c).IsSet()
	case MapKind:
		return eachNode(r.Body(c).Data, n.ref.Key, func(node []byte, _ bool) bool { return node[0] != 'n' })
	case ScoresKind:
		if n.mean {
			_, ok := Mean(r.Scores(c), n.ref.Key)
			return ok
		}
		for _, s := range r.Scores(c) {
			if s.Name == n.ref.Key {
				return true
			}
		}
		return false
	case CountsKind, PricesKind:
		_, ok := r.Count(c, n.ref.Key)
		return ok
	case FloatKind:
		_, ok := r.Float(c)
		return ok
	case IDKind, TextKind, EnumKind:
		_, ok := r.Text(c)
		return ok
	}
	_, ok := r.Int(c)
	return ok
}

// Mean is the mean of the numeric and boolean scores of a name.
func Mean(scores []domain.Score, name string) (mean float64, ok bool) {
	sum, n := 0.0, 0
	for i := range scores {
		if v, ok := numberOf(&scores[i]); ok && scores[i].Name == name {
			sum += v
			n++
		}
	}
	return sum / float64(max(n, 1)), n > 0
}

// numberOf is a score's value where it is a number to compare.
func numberOf(s *domain.Score) (float64, bool) {
	if s.Type != domain.ScoreNumeric && s.Type != domain.ScoreBoolean && s.Type != "" {
		return 0, false
	}
	return s.Value.Value, s.Value.Set && !math.IsNaN(s.Value.Value) && !math.IsInf(s.Value.Value, 0)
}

// textOf is a score's value where it is a text to compare.
func textOf(s *domain.Score) (string, bool) {
	switch s.Type {
	case domain.ScoreCategorical, domain.ScoreText:
		return s.StringValue, s.StringValue != ""
	case domain.ScoreBoolean:
		if s.Value.Value != 0 {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

func compileCmp(v View, f *Cmp, b Bind) node {
	col, _ := ColumnOf(v, f.Ref.Column)
	if len(f.Values) == 0 {
		return anyOf(nil) // in nothing
	}
	switch {
	case col.Kind == MapKind:
		return &mapNode{f.Ref, mapTest(f, b)}
	case col.Kind == ScoresKind:
		return compileScores(f)
	case col.Kind == FloatKind:
		return &floatNode{f.Ref.Column, floats(f)}
	case col.Kind.stored():
		return &intNode{ref: f.Ref, keyed: col.Kind.Keyed(), want: ints(col.Kind, f, b)}
	case col.Kind == EnumKind:
		up := *f
		up.Values = nil
		for _, val := range f.Values {
			up.Values = append(up.Values, Str(strings.ToUpper(val.Str)))
		}
		return &textNode{f.Ref.Column, texts(&up), exactly(&up)}
	case col.Kind == IDKind && (f.Op == Eq || f.Op == In) && !f.Fold:
		keys := map[string]bool{}
		for _, val := range f.Values {
			keys[domain.TraceKey(val.Str)] = true
		}
		return &textNode{col: f.Ref.Column, match: func(s string) bool { return keys[domain.TraceKey(s)] }}
	case col.Kind == ListKind:
		return &listNode{f.Ref.Column, texts(f), exactly(f)}
	case col.Kind == BodyKind:
		return &bodyNode{f.Ref.Column, f.Op == Eq, texts(f)}
	}
	return &textNode{f.Ref.Column, texts(f), exactly(f)}
}

type textNode struct {
	col   Col
	match func(string) bool
	exact []string // what it matches and nothing else; nil: that is more than some texts
}

func (n *textNode) test(r Row) bool {
	s, ok := r.Text(n.col)
	return ok && n.match(s)
}

type listNode struct {
	col   Col
	match func(string) bool
	exact []string // as of a textNode, of the elements
}

func (n *listNode) test(r Row) bool {
	for _, s := range r.List(n.col) {
		if n.match(s) {
			return true
		}
	}
	return false
}

// bodyNode tests a body as it is stored and in its unescaped form; equality
// takes a JSON string for its text.
type bodyNode struct {
	col   Col
	equal bool
	match func(string) bool
}

func (n *bodyNode) test(r Row) bool {
	b := r.Body(n.col)
	if !b.IsSet() {
		return false
	}
	if n.match(string(b.Data)) {
		return true
	}
	if n.equal {
		s, ok := unquote(b.Data)
		return ok && b.Kind == domain.JSON && n.match(s)
	}
	return n.match(string(unescape(nil, b.Data, isQuoted(b))))
}

// intNode tests an integer of the stored unit.
type intNode struct {
	ref   Ref
	keyed bool
	want  intTest
}

func (n *intNode) test(r Row) bool {
	var v int64
	var ok bool
	if n.keyed {
		v, ok = r.Count(n.ref.Column, n.ref.Key)
	} else {
		v, ok = r.Int(n.ref.Column)
	}
	return ok && n.want.match(v)
}

// intTest is an interval, both ends included, or a set.
type intTest struct {
	lo, hi int64
	set    map[int64]bool
}

func (t *intTest) match(v int64) bool {
	if t.set != nil {
		return t.set[v]
	}
	return v >= t.lo && v <= t.hi
}

var nothing = intTest{lo: 1, hi: 0}

// ints turns a comparison into what it means for integers of the stored unit: a
// bound finer than the unit keeps its sense.
func ints(k Kind, f *Cmp, b Bind) intTest {
	bound := func(v Value) (floor int64, exact bool) {
		switch v.Kind {
		case TimeValue:
			return v.Time, true
		case RelTimeValue:
			return b.At(v.Rel), true
		case BoolValue:
			if v.Bool {
				return 1, true
			}
			return 0, true
		}
		return v.Num.Scaled(k.scale())
	}
	t := intTest{lo: math.MinInt64, hi: math.MaxInt64}
	atLeast := func(v Value, open bool) {
		n, exact := bound(v)
		switch {
		case !exact && n == math.MaxInt64: // above anything that can be stored
			t = nothing
		case !exact && n == math.MinInt64:
		case open || !exact:
			if n == math.MaxInt64 {
				t = nothing
				return
			}
			t.lo = n + 1
		default:
			t.lo = n
		}
	}
	atMost := func(v Value, open bool) {
		n, exact := bound(v)
		switch {
		case !exact && n == math.MinInt64:
			t = nothing
		case open && exact:
			if n == math.MinInt64 {
				t = nothing
				return
			}
			t.hi = n - 1
		default:
			t.hi = n
		}
	}
	switch f.Op {
	case Eq, In:
		t.set = map[int64]bool{}
		for _, v := range f.Values {
			if n, exact := bound(v); exact {
				t.set[n] = true
			}
		}
		if f.Op == Eq {
			for n := range t.set {
				return intTest{lo: n, hi: n}
			}
			return nothing
		}
	case Gt:
		atLeast(f.Values[0], true)
	case Ge:
		atLeast(f.Values[0], false)
	case Lt:
		atMost(f.Values[0], true)
	case Le:
		atMost(f.Values[0], false)
	case Between:
		if f.Values[0].Kind != Open {
			atLeast(f.Values[0], false)
		}
		if f.Values[1].Kind != Open && t.lo <= t.hi {
			lo := t.lo
			atMost(f.Values[1], k == TimeKind)
			if t.lo <= t.hi {
				t.lo = lo
			}
		}
	}
	return t
}

type floatNode struct {
	col   Col
	match func(float64) bool
}

func (n *floatNode) test(r Row) bool {
	v, ok := r.Float(n.col)
	return ok && n.match(v)
}

// floats compares doubles as the decimals that they are written as.
func floats(f *Cmp) func(float64) bool {
	type bound struct {
		near float64
		tie  int // how near compares with the bound
	}
	bounds := make([]bound, len(f.Values))
	for i, v := range f.Values {
		near := v.Num.Float()
		if math.IsInf(near, 0) {
			bounds[i] = bound{near, 0}
			continue
		}
		bounds[i] = bound{near, decimalOfFloat(near).Compare(v.Num)}
	}
	against := func(v float64, i int) int {
		switch b := bounds[i]; {
		case v < b.near:
			return -1
		case v > b.near:
			return 1
		default:
			return b.tie
		}
	}
	return compareBy(f, func(v float64, i int) int { return against(v, i) })
}

// compareBy makes a test of a three-way comparison with the filter's values.
func compareBy[T any](f *Cmp, against func(v T, i int) int) func(T) bool {
	switch f.Op {
	case Lt:
		return func(v T) bool { return against(v, 0) < 0 }
	case Le:
		return func(v T) bool { return against(v, 0) <= 0 }
	case Gt:
		return func(v T) bool { return against(v, 0) > 0 }
	case Ge:
		return func(v T) bool { return against(v, 0) >= 0 }
	case Between:
		from, to := f.Values[0].Kind != Open, f.Values[1].Kind != Open
		return func(v T) bool { return (!from || against(v, 0) >= 0) && (!to || against(v, 1) <= 0) }
	}
	return func(v T) bool {
		for i := range f.Values {
			if against(v, i) == 0 {
				return true
			}
		}
		return false
	}
}

// exactly is the only texts that a condition matches, nil where it matches others.
func exactly(f *Cmp) (out []string) {
	if f.Fold || f.Op != Eq && f.Op != In {
		return nil
	}
	for _, v := range f.Values {
		out = append(out, v.Str)
	}
	return out
}

// texts makes the test of a comparison of texts.
func texts(f *Cmp) func(string) bool {
	values := make([]string, len(f.Values))
	set := make(map[string]bool, len(values))
	for i, v := range f.Values {
		values[i] = v.Str
		if f.Fold {
			if f.Op == Like {
				values[i] = foldPattern(v.Str)
			} else {
				values[i] = FoldText(v.Str)
			}
		}
		set[values[i]] = true
	}
	var test func(string) bool
	switch f.Op {
	case Eq:
		test = func(s string) bool { return s == values[0] }
	case In:
		test = func(s string) bool { return set[s] }
	case Prefix:
		test = func(s string) bool { return strings.HasPrefix(s, values[0]) }
	case Suffix:
		test = func(s string) bool { return strings.HasSuffix(s, values[0]) }
	case Contains:
		test = func(s string) bool { return strings.Contains(s, values[0]) }
	case Like:
		parts := strings.Split(values[0], "*")
		test = func(s string) bool { return like(s, parts) }
	default:
		return compareBy(f, func(s string, i int) int { return strings.Compare(s, values[i]) })
	}
	if f.Fold {
		return func(s string) bool { return test(FoldText(s)) }
	}
	return test
}

func foldPattern(p string) string {
	parts := strings.Split(p, "*")
	for i := range parts {
		parts[i] = FoldText(parts[i])
	}
	return strings.Join(parts, "*")
}

// like reports whether s is the parts in order with anything between them.
func like(s string, parts []string) bool {
	if len(parts) == 1 {
		return s == parts[0]
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}
