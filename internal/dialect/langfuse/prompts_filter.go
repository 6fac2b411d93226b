package langfuse

import (
	"cmp"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
)

// promptTest reports whether the list of prompts takes a version.
type promptTest func(p *catalog.Prompt) bool

// allOf is the test that every one of some passes.
func allOf(tests []promptTest) promptTest {
	return func(p *catalog.Prompt) bool {
		return !slices.ContainsFunc(tests, func(t promptTest) bool { return !t(p) })
	}
}

// parsePromptFilter reads what a list of prompts is asked for: the filter, or
// where there is none the single parameters.
func parsePromptFilter(v url.Values) (promptTest, error) {
	if text := v.Get("filter"); strings.TrimSpace(text) != "" {
		return parsePromptConditions(text)
	}
	var tests []promptTest
	if name := v.Get("name"); name != "" {
		tests = append(tests, func(p *catalog.Prompt) bool { return p.Name == name })
	}
	if label := v.Get("label"); label != "" {
		tests = append(tests, func(p *catalog.Prompt) bool { return slices.Contains(p.Labels, label) })
	}
	if tag := v.Get("tag"); tag != "" {
		tests = append(tests, func(p *catalog.Prompt) bool { return slices.Contains(p.Tags, tag) })
	}
	if text := v.Get("version"); text != "" {
		version, err := parseVersion(text)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(p *catalog.Prompt) bool { return p.Version == version })
	}
	for name, operator := range map[string]string{"fromUpdatedAt": ">=", "toUpdatedAt": "<"} {
		text := v.Get(name)
		if text == "" {
			continue
		}
		at, err := parseQueryTime(text)
		if err != nil {
			return nil, invalid(name, "expected a time like 2026-01-02T03:04:05.678Z")
		}
		tests = append(tests, func(p *catalog.Prompt) bool { return ordered(operator, cmp.Compare(p.UpdatedAt.Nanos(), at.Nanos())) })
	}
	return allOf(tests), nil
}

// ordered reports whether a comparison came out as an operator asks.
func ordered(operator string, c int) bool {
	switch operator {
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	}
	return c == 0
}

// parsePromptConditions reads the filter of the newest clients, which describe it
// in full: conditions on versions that all have to hold.
func parsePromptConditions(text string) (promptTest, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal([]byte(text), &elements); err != nil {
		return nil, invalid("filter", "expected a JSON array of conditions")
	}
	var tests []promptTest
	for i, raw := range elements {
		var e filterElement
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, invalid("filter."+strconv.Itoa(i), "expected an object with type, column, operator and value")
		}
		test, wrong := e.promptTest()
		if wrong != nil {
			wrong.Field = "filter." + strconv.Itoa(i) + "." + wrong.Field
			return nil, wrong
		}
		tests = append(tests, test)
	}
	return allOf(tests), nil
}

// The columns of prompts, by the types of condition that suit them.
var (
	promptTexts = map[string]func(*catalog.Prompt) string{
		"id":   func(p *catalog.Prompt) string { return p.ID },
		"name": func(p *catalog.Prompt) string { return p.Name },
		"type": func(p *catalog.Prompt) string { return p.Type },
	}
	promptTimes = map[string]func(*catalog.Prompt) domain.Time{
		"createdAt": func(p *catalog.Prompt) domain.Time { return p.CreatedAt },
		"updatedAt": func(p *catalog.Prompt) domain.Time { return p.UpdatedAt },
	}
	promptLists = map[string]func(*catalog.Prompt) []string{
		"labels": func(p *catalog.Prompt) []string { return p.Labels },
		"tags":   func(p *catalog.Prompt) []string { return p.Tags },
	}
)

// promptTest makes the test of one condition. The error's field is the part of
// the element that is wrong.
func (e *filterElement) promptTest() (promptTest, *domain.Error) {
	text, isText := promptTexts[e.Column]
	at, isTime := promptTimes[e.Column]
	list, isList := promptLists[e.Column]
	suits := ""
	switch {
	case isText && e.Type == "string":
		match, err := e.textTest("is not empty")
		if err != nil {
			return nil, err
		}
		return func(p *catalog.Prompt) bool { return match(text(p), true) }, nil
	case isText && e.Type == "stringOptions":
		match, err := e.listTest("any of", "none of")
		if err != nil {
			return nil, err
		}
		return func(p *catalog.Prompt) bool { return match([]string{text(p)}) }, nil
	case isTime && e.Type == "datetime":
		return e.timeTest(at)
	case isList && e.Type == "arrayOptions":
		match, err := e.listTest("any of", "all of", "none of")
		if err != nil {
			return nil, err
		}
		return func(p *catalog.Prompt) bool { return match(list(p)) }, nil
	case e.Column == "version" && e.Type == "number":
		return e.versionTest()
	case e.Column == "config" && e.Type == "stringObject":
		return e.configTest()
	case isText:
		suits = "string or stringOptions"
	case isTime:
		suits = "datetime"
	case isList:
		suits = "arrayOptions"
	case e.Column == "version":
		suits = "number"
	case e.Column == "config":
		suits = "stringObject"
	default:
		return nil, invalid("column", "unknown column "+strconv.Quote(e.Column)+": expected id, name, type, version, createdAt, updatedAt, labels, tags or config")
	}
	return nil, invalid("type", "column "+e.Column+" takes a condition of type "+suits+", not "+strconv.Quote(e.Type))
}

// textTest compares a text: exactly with =, else by a pattern in which % stands
// for anything and _ for one character, whatever the case. present are the
// operators that only ask whether there is one.
func (e *filterElement) textTest(present ...string) (func(s string, found bool) bool, *domain.Error) {
	var want string
	if json.Unmarshal(e.Value, &want) != nil {
		return nil, invalid("value", "expected a text")
	}
	if slices.Contains(present, e.Operator) {
		return func(s string, found bool) bool { return (found && s != "") != (e.Operator == "is not set") }, nil
	}
	pattern := likePattern(want)
	switch e.Operator {
	case "=":
		return func(s string, found bool) bool { return found && s == want }, nil
	case "contains", "does not contain":
		pattern = "(?is)" + pattern
	case "starts with":
		pattern = "(?is)^" + pattern
	case "ends with":
		pattern = "(?is)" + pattern + "$"
	default:
		return nil, e.badOperator(append([]string{"=", "contains", "does not contain", "starts with", "ends with"}, present...)...)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, invalid("value", "is too long a pattern")
	}
	without := e.Operator == "does not contain"
	return func(s string, found bool) bool { return found && re.MatchString(s) != without }, nil
}

// likePattern is a pattern of SQL's LIKE as a regular expression.
func likePattern(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			b.WriteString(".*")
		case c == '_':
			b.WriteByte('.')
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		default:
			// Bytes of a character of several come out as they are.
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		}
	}
	return b.String()
}

// listTest compares a list with options, of which there must be some.
func (e *filterElement) listTest(known ...string) (func([]string) bool, *domain.Error) {
	var options []string
	if json.Unmarshal(e.Value, &options) != nil || len(options) == 0 {
		return nil, invalid("value", "expected a list of texts that is not empty")
	}
	if !slices.Contains(known, e.Operator) {
		return nil, e.badOperator(known...)
	}
	return func(list []string) bool {
		n := 0
		for _, o := range options {
			if slices.Contains(list, o) {
				n++
			}
		}
		switch e.Operator {
		case "any of":
			return n > 0
		case "all of":
			return n == len(options)
		}
		return n == 0
	}, nil
}

func (e *filterElement) timeTest(of func(*catalog.Prompt) domain.Time) (promptTest, *domain.Error) {
	var text string
	if json.Unmarshal(e.Value, &text) != nil {
		return nil, invalid("value", "expected a time like 2026-01-02T03:04:05.678Z")
	}
	at, err := parseQueryTime(text)
	if err != nil {
		return nil, invalid("value", "expected a time like 2026-01-02T03:04:05.678Z")
	}
	if _, known := orderOperators[e.Operator]; !known {
		return nil, e.badOperator(">", "<", ">=", "<=")
	}
	return func(p *catalog.Prompt) bool { return ordered(e.Operator, cmp.Compare(of(p).Nanos(), at.Nanos())) }, nil
}

func (e *filterElement) versionTest() (promptTest, *domain.Error) {
	var n *float64
	if json.Unmarshal(e.Value, &n) != nil || n == nil {
		return nil, invalid("value", "expected a number")
	}
	if _, known := orderOperators[e.Operator]; !known && e.Operator != "=" {
		return nil, e.badOperator("=", ">", "<", ">=", "<=")
	}
	return func(p *catalog.Prompt) bool { return ordered(e.Operator, cmp.Compare(float64(p.Version), *n)) }, nil
}

// configTest compares a member of the config, as text. To search for nothing is
// to ask whether it is there.
func (e *filterElement) configTest() (promptTest, *domain.Error) {
	if e.Key == nil || *e.Key == "" {
		return nil, invalid("key", "required for column config")
	}
	if string(e.Value) == `""` && e.Operator != "=" && e.Operator != "is not set" {
		e.Operator = "is set"
	}
	match, err := e.textTest("is set", "is not set")
	if err != nil {
		return nil, err
	}
	return func(p *catalog.Prompt) bool {
		var config map[string]json.RawMessage
		if json.Unmarshal(p.Config, &config) != nil {
			config = nil // what is no object has no members
		}
		raw, found := config[*e.Key]
		if found = found && string(raw) != "null"; !found {
			return match("", false)
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		return match(text, true)
	}, nil
}
