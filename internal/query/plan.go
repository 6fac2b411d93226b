package query

import (
	"math"
	"slices"
	"strings"
)

// Conjunct is one of the conditions that all have to hold, in the form in which
// an engine tests many rows at once: Text or Int where it is about one column
// alone, else Program.
type Conjunct struct {
	Col     Col
	Text    func(s string) bool // of a present text
	Texts   []string            // all that Text, or Element, is true for; nil: not just for some
	Int     func(v int64) bool  // of a present integer of the stored unit
	Lo, Hi  int64               // what Int is true for lies within, both included
	Between bool                // Int is true for all that lies within
	Words   *Words              // where it is a search for words in bodies
	Element func(string) bool   // of a list column: a list matches if a text of it does
	Pair    *Pair               // where it asks whether metadata has one of some pairs
	Program *Program
	Needs   Needs
	Filter  Filter // what it was made of
}

// Words is what an index of words can tell of a search.
type Words struct {
	Terms  []string                 // one of the bodies of a matching row holds all of them, unless
	Narrow func(r Row) bool         // the row matches by its narrow fields; nil: those are not searched
	Texts  map[View][]NarrowText    // what Narrow looks at: of the row's view, and of a trace's observations
	In     func(folded []byte) bool // reports whether a body, made Searchable, holds the words
	needle string                   // a text that holds the words holds this, folded; "" where nothing is known
}

// NarrowText is a column of texts, or of lists of them, of which one that is In
// makes a row match.
type NarrowText struct {
	Col   Col
	In    func(s string) bool
	Whole string // what a text of lower-case hexadecimal digits has to be; "" where it takes In to tell
}

// Pair asks whether the row's metadata holds one of these texts at a path.
type Pair struct {
	Path  string
	Texts []string
}

// Needs is what a condition looks at beside the columns of its row.
type Needs struct {
	Bodies     bool
	Scores     bool
	ScoreNames []string // the only names looked at; nil: any
	Related    bool     // observations of a trace
}

// Plan compiles a filter into its conjuncts, the cheap ones first. The error is
// Errors.
func Plan(v View, f Filter, b Bind) ([]Conjunct, error) {
	if err := Check(v, f); err != nil {
		return nil, err
	}
	var out [4][]Conjunct // by cost
	for _, part := range flatten(f) {
		c := Conjunct{Filter: part, Needs: needsOf(v, part), Program: &Program{compile(v, part, b)}}
		if f, is := part.(Cmp); is && f.Ref.Column == ColMetadata && (f.Op == Eq || f.Op == In) && !f.Fold && len(f.Values) > 0 && f.Values[0].Kind == StrValue {
			c.Pair = &Pair{Path: f.Ref.Key}
			for _, v := range f.Values {
				c.Pair.Texts = append(c.Pair.Texts, v.Str)
			}
		}
		c.Words = wordsOf(v, part, c.Program.root)
		cost := 1
		switch n := c.Program.root.(type) {
		case *textNode:
			c.Col, c.Text, c.Texts, cost = n.col, n.match, n.exact, 0
		case *listNode:
			c.Col, c.Element, c.Texts = n.col, n.match, n.exact
		case *intNode:
			if !n.keyed {
				c.Col, c.Int, cost = n.ref.Column, n.want.match, 0
				c.Lo, c.Hi = n.want.bounds()
				c.Between = n.want.set == nil
			}
		}
		switch {
		case c.Needs.Bodies:
			cost = 3
		case c.Needs.Related || c.Needs.Scores:
			cost = 2
		}
		out[cost] = append(out[cost], c)
	}
	var all []Conjunct
	for _, cs := range out {
		all = append(all, cs...)
	}
	return all, nil
}

func (t *intTest) bounds() (lo, hi int64) {
	if t.set == nil {
		return t.lo, t.hi
	}
	lo, hi = math.MaxInt64, math.MinInt64
	for v := range t.set {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// flatten is the parts of nested Ands.
func flatten(f Filter) []Filter {
	and, ok := f.(And)
	if !ok {
		return []Filter{f}
	}
	var out []Filter
	for _, p := range and {
		out = append(out, flatten(p)...)
	}
	return out
}

func (n *Needs) add(o Needs) {
	n.Bodies = n.Bodies || o.Bodies
	n.Related = n.Related || o.Related
	if o.Scores {
		switch {
		case n.Scores && n.ScoreNames == nil || o.ScoreNames == nil:
			n.ScoreNames = nil
		default:
			n.ScoreNames = append(n.ScoreNames, o.ScoreNames...)
		}
		n.Scores = true
	}
}

// NeedsOf sums up what conjuncts need.
func NeedsOf(cs []Conjunct) (n Needs) {
	for i := range cs {
		n.add(cs[i].Needs)
	}
	return n
}

// needsOf is what a filter on rows of a view looks at beside their columns.
func needsOf(v View, f Filter) (n Needs) {
	switch f := f.(type) {
	case And:
		for _, p := range f {
			n.add(needsOf(v, p))
		}
	case Or:
		for _, p := range f {
			n.add(needsOf(v, p))
		}
	case Not:
		return needsOf(v, f.Filter)
	case Cmp:
		return needsOfRef(v, f.Ref)
	case Has:
		return needsOfRef(v, f.Ref)
	case Text:
		if f.Scope != (Ref{}) {
			return needsOfRef(v, f.Scope)
		}
		return Needs{Bodies: v == Traces || v == Observations, Related: v == Traces}
	case Rel:
		to, _ := Related(v, f.Name)
		n.add(needsOf(to, f.Where))
		n.Related = n.Related || f.Name == RelObs
		if f.Name == RelScores {
			n.add(Needs{Scores: true})
		}
	}
	return n
}

func needsOfRef(v View, r Ref) Needs {
	col, _ := ColumnOf(v, r.Column)
	switch {
	case col.Kind == ScoresKind:
		return Needs{Scores: true, ScoreNames: []string{r.Key}}
	case r.Column == ColScoreCount:
		return Needs{Scores: true}
	case v == Traces && r.Column == ColExperiment:
		return Needs{Related: true}
	case v != Scores && (r.Column == ColInput || r.Column == ColOutput || r.Column == ColMetadata || r.Column == ColParams):
		return Needs{Bodies: true}
	}
	return Needs{}
}

// eachRef calls each with every column that a filter looks at, and with none
// where it looks at more than columns.
func eachRef(f Filter, each func(Ref)) {
	switch f := f.(type) {
	case And:
		for _, p := range f {
			eachRef(p, each)
		}
	case Or:
		for _, p := range f {
			eachRef(p, each)
		}
	case Not:
		eachRef(f.Filter, each)
	case Cmp:
		each(f.Ref)
	case Has:
		each(f.Ref)
	default:
		each(Ref{})
	}
}

// eachOf calls each with every column that conditions and an order look at.
func eachOf(cs []Conjunct, order []Key, each func(Ref)) {
	for i := range cs {
		eachRef(cs[i].Filter, each)
	}
	for _, k := range order {
		each(k.Ref)
	}
}

// NeedTrace reports whether scores have to be looked at together with their
// trace, for conditions or an order.
func NeedTrace(cs []Conjunct, order []Key) (need bool) {
	eachOf(cs, order, func(r Ref) {
		_, of := ofTrace[r.Column]
		need = need || of || r.Column == ColTags || r == Ref{}
	})
	return need
}

// OfTrace is a condition on what a score takes from its trace, as a condition on
// traces; ok is false for any other, and for one that scores without a trace
// meet.
func OfTrace(f Filter) (on Filter, ok bool) {
	c, is := f.(Cmp)
	if !is {
		return nil, false
	}
	if c.Ref.Column != ColTags {
		if c.Ref.Column, ok = ofTrace[c.Ref.Column]; !ok {
			return nil, false
		}
	}
	return c, true
}

// OnlyOver reports whether conditions and an order look at no other columns.
func OnlyOver(cols []Col, cs []Conjunct, order []Key) bool {
	only := true
	eachOf(cs, order, func(r Ref) { only = only && slices.Contains(cols, r.Column) })
	return only
}

// wordsOf is what an index of words can tell of a condition, nil for nothing.
func wordsOf(v View, f Filter, n node) *Words {
	if v != Traces && v != Observations {
		return nil
	}
	switch f := f.(type) {
	case Text:
		p := newPhrase(f.Query, f.Prefix)
		w := &Words{Terms: f.Terms(), In: p.in, needle: needleOf(p.tokens)}
		search, _ := n.(*textSearch)
		switch {
		case len(w.Terms) == 0 || search == nil:
			return nil
		case f.Scope == (Ref{}):
			w.Narrow, w.Texts = search.narrowAnywhere, search.narrowTexts()
		case search.kind == TextKind:
			return nil
		}
		return w
	case Cmp: // a text that is equal holds the same words, if no backslash makes it read otherwise
		col, _ := ColumnOf(v, f.Ref.Column)
		if col.Kind != BodyKind && f.Ref.Column != ColMetadata || f.Op != Eq || f.Fold || f.Values[0].Kind != StrValue || strings.Contains(f.Values[0].Str, `\`) {
			return nil
		}
		t := Text{Query: f.Values[0].Str}
		if terms := t.Terms(); len(terms) > 0 {
			p := newPhrase(t.Query, false)
			return &Words{Terms: terms, In: p.in, needle: needleOf(p.tokens)}
		}
	}
	return nil
}

// Exact finds the values that the rows' column must be equal to one of, by the
// conjuncts of a filter; ok is false where no conjunct says so.
func Exact(f Filter, c Col) (values []string, ok bool) {
	for _, part := range flatten(f) {
		cmp, is := part.(Cmp)
		if is && cmp.Ref.Column == c && !cmp.Fold && (cmp.Op == Eq || cmp.Op == In) {
			for _, v := range cmp.Values {
				values = append(values, v.Str)
			}
			return values, true
		}
	}
	return nil, false
}
