package query

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Stage is what a person is about to write.
type Stage string

// The stages.
const (
	StageField Stage = "field" // a field, a relation, has or no
	StageKey   Stage = "key"   // the key of a map or the name of a score
	StageOp    Stage = "op"    // an operator: the field is complete
	StageValue Stage = "value" // a value behind an operator
	StageJoin  Stage = "join"  // a condition is complete: another one, or OR
)

// MaxSuggestions is how many suggestions a completion has.
const MaxSuggestions = 20

// Suggestion is something that may be written at the caret.
type Suggestion struct {
	Insert string // what takes the place of the completion's From to To
	Label  string
	Detail string // what it is, "" where the label says it
}

// Completion is what may be written at a place of a text form.
type Completion struct {
	From, To int // bytes of the text that a suggestion takes the place of
	Stage    Stage
	Items    []Suggestion // those that the registry knows
	Ask      *Facet       // those that the rows know, nil where they know none
}

// Suggest is a value, or a key, that rows have as a suggestion.
func (c *Completion) Suggest(v FacetValue, detail string) Suggestion {
	insert := textValue(v.Value)
	if c.Stage == StageKey {
		insert = quotedKey(v.Value)
	}
	return Suggestion{Insert: insert, Label: v.Value, Detail: detail}
}

// Complete finds what may be written at byte caret of a text form. It never
// fails: only the condition at the caret is looked at, and what is wrong
// elsewhere is of no account. Ask carries the rest of the question as its
// filter where that can be understood.
func Complete(v View, text string, caret int, b Bind) Completion {
	caret = max(0, min(caret, len(text)))
	for caret < len(text) && !utf8.RuneStart(text[caret]) {
		caret--
	}
	if len(text) > MaxText {
		return Completion{From: caret, To: caret, Stage: StageField}
	}
	at := locate(v, text, caret)
	c := Completion{From: at.from, To: termEnd(text, caret, at.quoted), Stage: StageField}
	typed := text[at.from:caret]
	if !at.inValue && strings.HasPrefix(typed, "-") {
		c.From++
		typed = typed[1:]
	}
	name, op, behind := typed, "", ""
	if at.inValue {
		name, op, behind = at.field, ":", typed
	} else if i := operatorAt(typed); i >= 0 {
		p := parser{text: typed, at: i}
		op = p.operator()
		name, behind = typed[:i], typed[p.at:]
	}
	if op != "" && (name == "has" || name == "no") {
		c.From = caret - len(behind)
		c.fields(at.view, behind, false)
		return c
	}
	view, column, key, dotted := at.view, name, "", false
	for {
		var rest string
		column, rest, dotted = strings.Cut(column, ".")
		to, isRel := Related(view, Relation(column))
		if !dotted || !isRel {
			key = rest
			break
		}
		view, column = to, rest
		if op == "" && !strings.Contains(rest, ".") {
			c.From = caret - len(rest)
			c.fields(view, rest, false)
			return c
		}
	}
	col, found := Lookup(view, column)
	switch {
	case op != "":
		if found {
			c.values(view, col, strings.Trim(key, `"`), behind, caret)
			c.rest(v, at.view, view, text, at.from, b)
		}
	case found && dotted && col.Kind.Keyed():
		c.Stage, c.From = StageKey, caret-len(key)
		c.keys(view, col, strings.TrimPrefix(key, `"`))
		c.rest(v, at.view, view, text, at.from, b)
	case found && column == col.Name && !col.Kind.Keyed():
		c.Stage = StageOp
		for _, o := range operatorsOf(col.Kind) {
			c.add(column+o.sign, column+o.sign, o.detail)
		}
	default:
		if typed == "" && strings.TrimSpace(text[:caret]) != "" && !strings.HasSuffix(strings.TrimSpace(text[:caret]), "(") {
			c.Stage = StageJoin
			c.add("OR", "OR", "either of both")
		}
		c.fields(view, typed, true)
	}
	return c
}

// place is where a caret stands.
type place struct {
	view    View
	from    int    // of the term, or of the value in a list
	inValue bool   // in the parentheses behind field:
	field   string // whose they are
	quoted  bool   // a quote is open
}

// locate finds the start of the term at the caret, and the view of the
// relation whose parentheses it stands in.
func locate(v View, text string, caret int) place {
	stack := []place{{view: v}}
	top := func() *place { return &stack[len(stack)-1] }
	quoted := false
	for i := 0; i < caret; {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case quoted && r == '\\' && i+1 < caret:
			n++
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '(':
			word := strings.TrimPrefix(text[top().from:i], "-")
			next := place{view: top().view, from: i + 1}
			if to, isRel := Related(next.view, Relation(word)); isRel {
				next.view = to
			} else if at := operatorAt(word); at > 0 {
				next.inValue, next.field = true, word[:at]
			}
			stack = append(stack, next)
		case r == ')' && len(stack) > 1:
			stack = stack[:len(stack)-1]
			top().from = i + 1
		case unicode.IsSpace(r) || r == ')' || r == ',' && top().inValue:
			top().from = i + n
		}
		i += n
	}
	top().quoted = quoted
	return *top()
}

// termEnd is where the word, or the quoted text, that the caret stands in ends.
func termEnd(text string, caret int, quoted bool) int {
	if quoted {
		for i := caret; i < len(text); i++ {
			if text[i] == '"' {
				return i + 1
			}
			if text[i] == '\\' {
				i++
			}
		}
		return len(text)
	}
	for i, r := range text[caret:] {
		if unicode.IsSpace(r) || strings.ContainsRune(`"(),`, r) {
			return caret + i
		}
	}
	return len(text)
}

// operatorAt is where the operator of a term begins, -1 where it has none.
func operatorAt(term string) int {
	quoted := false
	for i := 0; i < len(term); i++ {
		switch ch := term[i]; {
		case quoted && ch == '\\':
			i++
		case ch == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(":=!<>~", ch) >= 0:
			return i
		}
	}
	return -1
}

func (c *Completion) add(insert, label, detail string) {
	if len(c.Items) < MaxSuggestions {
		c.Items = append(c.Items, Suggestion{insert, label, detail})
	}
}

// startsWith reports whether a word begins so, in any case.
func startsWith(word, prefix string) bool {
	return len(word) >= len(prefix) && strings.EqualFold(word[:len(prefix)], prefix)
}

// fields suggests the columns of a view that begin so, and what else may begin
// a condition.
func (c *Completion) fields(v View, prefix string, all bool) {
	for _, col := range registry[v] {
		if startsWith(col.Name, prefix) {
			insert := col.Name
			if col.Kind.Keyed() {
				insert += "."
			}
			c.add(insert, col.Name, col.Kind.String())
		}
	}
	if !all {
		return
	}
	for _, rel := range []Relation{RelObs, RelScores, RelTrace} {
		if to, found := relations[v][rel]; found && prefix != "" && startsWith(string(rel), prefix) {
			c.add(string(rel)+"(", string(rel)+"(…)", "some of its "+to.String())
		}
	}
	for _, word := range []string{"has:", "no:"} {
		if prefix != "" && startsWith(word, prefix) {
			c.add(word, word, "whether there is a value")
		}
	}
}

// operatorOf is an operator and what it means.
type operatorOf struct{ sign, detail string }

func operatorsOf(k Kind) []operatorOf {
	switch k {
	case IntKind, FloatKind, MoneyKind, DurationKind, TimeKind:
		return []operatorOf{{":", "is, or a..b"}, {">", "more than"}, {">=", "at least"}, {"<", "less than"}, {"<=", "at most"}, {"!=", "is not"}}
	case IDKind, TextKind:
		return []operatorOf{{":", "is, * for anything"}, {"!=", "is not"}, {"~", "contains, in any case"}, {"~=", "is, in any case"}}
	case BodyKind:
		return []operatorOf{{":", "has the words"}, {"~", "contains, in any case"}}
	}
	return []operatorOf{{":", "is"}, {"!=", "is not"}}
}

// someTimes are instants that people ask for.
var someTimes = []Suggestion{
	{"now-1h..now", "now-1h..now", "the last hour"}, {"now-24h..now", "now-24h..now", "the last day"},
	{"now-7d..now", "now-7d..now", "the last week"}, {"now/d..now", "now/d..now", "today"},
}

// values suggests values of a column; behind is what stands behind the operator.
func (c *Completion) values(v View, col Column, key, behind string, caret int) {
	c.Stage = StageValue
	if i := strings.LastIndexByte(behind, ','); i >= 0 && strings.Count(behind[:i], `"`)%2 == 0 {
		behind = behind[i+1:]
	}
	c.From = caret - len(behind)
	prefix := strings.TrimPrefix(behind, `"`)
	words := col.Words
	if col.Kind == BoolKind {
		words = []string{"true", "false"}
	}
	for _, w := range words {
		if startsWith(w, prefix) {
			c.add(w, w, "")
		}
	}
	if col.Kind == TimeKind {
		for _, s := range someTimes {
			if startsWith(s.Insert, prefix) {
				c.add(s.Insert, s.Label, s.Detail)
			}
		}
	}
	if len(words) == 0 && col.Marks&MarkGroup != 0 && !col.Kind.Keyed() {
		c.Ask = &Facet{View: v, Ref: Ref{Column: col.Col}, Prefix: prefix, Limit: MaxSuggestions}
	}
	if col.Kind == MapKind && key != "" {
		c.Ask = &Facet{View: v, Ref: Ref{Column: col.Col, Key: key}, Prefix: prefix, Limit: MaxSuggestions}
	}
	if col.Kind == ScoresKind && key != "" && !slices.Contains([]Col{ColScoreAvg, ColTraceScoreAvg}, col.Col) {
		c.Ask = &Facet{View: Scores, Ref: Ref{Column: ColStringValue}, Prefix: prefix, Limit: MaxSuggestions,
			Filter: And{Cmp{Ref: Ref{Column: ColName}, Op: Eq, Values: []Value{Str(key)}}}}
	}
}

// keys suggests the names of scores, which are found like any other value, and
// the keys of maps.
func (c *Completion) keys(v View, col Column, prefix string) {
	c.Ask = &Facet{View: v, Ref: Ref{Column: col.Col}, Prefix: prefix, Limit: MaxSuggestions}
	if col.Kind == ScoresKind {
		c.Ask = &Facet{View: Scores, Ref: Ref{Column: ColName}, Prefix: prefix, Limit: MaxSuggestions, Filter: And{}}
	}
}

// rest makes what stands around the term the filter of what is asked of the
// rows, where they are rows of the question's own view.
func (c *Completion) rest(asked, around, of View, text string, from int, b Bind) {
	if c.Ask == nil {
		return
	}
	if c.Ask.Bind = b; c.Ask.Filter == nil {
		c.Ask.Filter = And{}
	}
	if asked != around || around != of || c.Ask.View != asked {
		return
	}
	if f, err := Parse(asked, text[:from]+" "+text[c.To:], b); err == nil {
		c.Ask.Filter = f
	}
}
