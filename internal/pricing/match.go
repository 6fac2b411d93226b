package pricing

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/clewhq/clew/internal/domain"
)

// model is a definition ready for use.
type model struct {
	def     *Definition
	match   *regexp.Regexp
	others  []tier // by ascending priority
	regular tier   // the default
}

// tier is a tier ready for use.
type tier struct {
	*Tier
	conditions []condition
}

// condition is a condition ready for use.
type condition struct {
	*Condition
	pattern *regexp.Regexp
	literal string // the pattern in lower case where it is a plain word, which is searched for much faster
}

// compile makes d ready for use; it refuses what Validate refuses.
func compile(d Definition) (*model, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	m := &model{def: &d}
	var err error
	if m.match, err = compilePattern("matchPattern", d.Match, true); err != nil {
		return nil, err
	}
	for i := range d.Tiers {
		t := tier{Tier: &d.Tiers[i]}
		for j := range t.Conditions {
			c := condition{Condition: &t.Conditions[j]}
			if c.IsUsage() {
				if c.pattern, err = compilePattern("usageDetailPattern", c.UsagePattern, c.CaseSensitive); err != nil {
					return nil, err
				}
				if !c.CaseSensitive && regexp.QuoteMeta(c.UsagePattern) == c.UsagePattern && isASCII(c.UsagePattern) {
					c.literal = strings.ToLower(c.UsagePattern)
				}
			}
			t.conditions = append(t.conditions, c)
		}
		if t.Default {
			m.regular = t
		} else {
			m.others = append(m.others, t)
		}
	}
	slices.SortFunc(m.others, func(a, b tier) int { return cmp.Compare(a.Priority, b.Priority) })
	return m, nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// list is one version of the models that a project sees: its own, and behind
// them those of the list below. It never changes.
type list struct {
	version int64
	from    domain.Time
	own     []*model // newest start date first, those without one last
	below   *list
	found   atomic.Pointer[cache]
}

// newList compiles definitions into a list. What is already compiled in prev
// is used again, so that many versions of a long list cost little memory.
func newList(defs []Definition, below, prev *list) (*list, error) {
	known := map[string]*model{}
	if prev != nil {
		for _, m := range prev.own {
			known[m.def.ID] = m
		}
	}
	l := &list{below: below}
	for _, d := range defs {
		if m := known[d.ID]; m != nil && reflect.DeepEqual(*m.def, d) {
			l.own = append(l.own, m)
			continue
		}
		m, err := compile(d)
		if err != nil {
			return nil, err
		}
		l.own = append(l.own, m)
	}
	slices.SortStableFunc(l.own, func(a, b *model) int {
		s, t := a.def.StartDate, b.def.StartDate
		if s.IsSet() != t.IsSet() {
			if s.IsSet() {
				return -1
			}
			return 1
		}
		return cmp.Compare(t.Nanos(), s.Nanos())
	})
	return l, nil
}

// maxModel is the longest model text that is looked up. No model has so long a
// name, and every pattern is tried on a text that is met for the first time.
const maxModel = 500

// match finds the definition for a model text: the project's before those of
// the list below; where several match, the first that had started by then.
func (l *list) match(text string, start domain.Time) *model {
	if text == "" || len(text) > maxModel {
		return nil
	}
	found := l.all(text)
	for _, m := range found {
		if !start.Before(m.def.StartDate) {
			return m
		}
	}
	if len(found) > 0 {
		return found[0]
	}
	return nil
}

// all is every definition that matches, in matching order.
func (l *list) all(text string) []*model {
	c := l.found.Load()
	if c == nil {
		l.found.CompareAndSwap(nil, &cache{seed: maphash.MakeSeed()})
		c = l.found.Load()
	}
	slot := &c.slots[maphash.String(c.seed, text)%uint64(len(c.slots))]
	if e := slot.Load(); e != nil && e.text == text {
		return e.found
	}
	e := &entry{text: strings.Clone(text)} // text may hold a whole request in memory
	for _, m := range l.own {
		if m.match.MatchString(text) {
			e.found = append(e.found, m)
		}
	}
	if l.below != nil {
		e.found = append(e.found, l.below.all(text)...)
	}
	slot.Store(e)
	return e.found
}

// cache remembers which definitions match a text. It is bounded, and read and
// written without a lock: each text has one place, and the last one met there
// stays. A list never changes, so nothing in it is ever wrong.
type cache struct {
	seed  maphash.Seed
	slots [512]atomic.Pointer[entry]
}

type entry struct {
	text  string
	found []*model
}

// tier is the tier that prices o, which counts those units.
func (m *model) tier(o *domain.Observation, u domain.Usage) *tier {
	for i := range m.others {
		if m.others[i].holds(o, u) {
			return &m.others[i]
		}
	}
	return &m.regular
}

func (t *tier) holds(o *domain.Observation, u domain.Usage) bool {
	for i := range t.conditions {
		if !t.conditions[i].holds(o, u) {
			return false
		}
	}
	return true
}

func (c *condition) holds(o *domain.Observation, u domain.Usage) bool {
	if c.IsUsage() {
		return c.Operator.holds(float64(c.units(u)), c.Value)
	}
	if c.Source != Metadata && hasParameter(o.ModelParameters, c.Key, c.Values) {
		return true
	}
	if c.Source != ModelParameters {
		for _, a := range o.PriceAttributes {
			if a.Key == c.Key && slices.Contains(c.Values, a.Value) {
				return true
			}
		}
	}
	return false
}

// units is the sum of the units whose key the pattern finds.
func (c *condition) units(u domain.Usage) int64 {
	var n int64
	for i := range u {
		found := false
		if c.literal != "" {
			found = containsFold(u[i].Key, c.literal)
		} else {
			found = c.pattern.MatchString(u[i].Key)
		}
		if found {
			n = sum(n, u[i].Units)
		}
	}
	return n
}

// containsFold reports whether s holds word, which is in lower case.
func containsFold(s, word string) bool {
	return strings.Contains(s, word) || strings.Contains(strings.ToLower(s), word)
}

func (op Operator) holds(a, b float64) bool {
	switch op {
	case Greater:
		return a > b
	case GreaterOrEqual:
		return a >= b
	case Less:
		return a < b
	case LessOrEqual:
		return a <= b
	case Equal:
		return a == b
	case NotEqual:
		return a != b
	}
	return false
}

// hasParameter reports whether a top-level key of model parameters has one of
// the values: the text of a string, else the JSON as it stands.
func hasParameter(raw []byte, key string, values []string) (found bool) {
	if !bytes.Contains(raw, []byte(key)) && bytes.IndexByte(raw, '\\') < 0 {
		return false // the usual case, told much faster
	}
	eachMember(raw, func(k, value []byte) bool {
		if string(k) != key {
			return true
		}
		if value[0] == '"' {
			value = unquote(value)
		}
		found = slices.ContainsFunc(values, func(v string) bool { return v == string(value) })
		return true // of a key that comes twice the last one counts
	})
	return found
}

// attributes are the metadata keys that any tier of the list asks for.
func (l *list) attributes(add func(key string)) {
	for _, m := range l.own {
		for _, t := range m.others {
			for _, c := range t.conditions {
				if !c.IsUsage() && c.Source != ModelParameters {
					add(c.Key)
				}
			}
		}
	}
}
