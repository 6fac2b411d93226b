package exchange

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// open is the key, or the item, that the three dots become: more may follow.
const open = "..."

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

// Match compares an answer with the JSON it must equal and returns every
// difference. In want,
//
//   - ... as the last of an object or array allows more keys or items;
//   - "<any>" is any value but null, "<text>" text, "<number>" a number,
//     "<time>" a time as the API writes them, "<~re>" text that the expression
//     finds;
//   - "<any:name>" also keeps the text in kept under that name.
func Match(want, got string, kept map[string]string) []string {
	w, err := parse(quoteOpen(want))
	if err != nil {
		return []string{fmt.Sprintf("the wanted JSON does not parse: %v", err)}
	}
	g, err := parse(got)
	if err != nil {
		return []string{fmt.Sprintf("the answer is not JSON: %v", err)}
	}
	m := matcher{kept: kept}
	m.compare("", w, g)
	return m.found
}

// quoteOpen makes the three dots JSON: a key in an object, an item in an array.
func quoteOpen(text string) string {
	var (
		out    strings.Builder
		nested []byte
		quoted bool
	)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			out.WriteByte(c)
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			nested = append(nested, c)
		case (c == '}' || c == ']') && len(nested) > 0:
			nested = nested[:len(nested)-1]
		case strings.HasPrefix(text[i:], open):
			out.WriteString(`"` + open + `"`)
			if len(nested) > 0 && nested[len(nested)-1] == '{' {
				out.WriteString(":0")
			}
			i += len(open) - 1
			continue
		}
		if i < len(text) {
			out.WriteByte(text[i])
		}
	}
	return out.String()
}

func parse(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // digits are part of the promise
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one value in %q", text)
	}
	return v, nil
}

type matcher struct {
	kept  map[string]string
	found []string
}

func (m *matcher) differ(path string, got, want any) {
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	m.found = append(m.found, fmt.Sprintf("%s: got %s, want %s", path, g, w))
}

func (m *matcher) compare(path string, want, got any) {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			m.object(path, w, g)
			return
		}
	case []any:
		if g, ok := got.([]any); ok {
			m.array(path, w, g)
			return
		}
	case json.Number:
		if g, ok := got.(json.Number); ok && sameNumber(string(w), string(g)) {
			return
		}
	case string:
		if strings.HasPrefix(w, "<") && strings.HasSuffix(w, ">") {
			m.wildcard(path, w, got)
			return
		}
		if got == want {
			return
		}
	default:
		if got == want {
			return
		}
	}
	m.differ(path, got, want)
}

func (m *matcher) object(path string, want, got map[string]any) {
	_, more := want[open]
	for _, k := range slices.Sorted(maps.Keys(want)) {
		g, ok := got[k]
		switch {
		case k == open:
		case !ok:
			m.found = append(m.found, fmt.Sprintf("%s.%s: missing", path, k))
		default:
			m.compare(path+"."+k, want[k], g)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok && !more {
			g, _ := json.Marshal(got[k])
			m.found = append(m.found, fmt.Sprintf("%s.%s: got %s, want no such key", path, k, g))
		}
	}
}

func (m *matcher) array(path string, want, got []any) {
	if n := len(want); n > 0 && want[n-1] == open && len(got) >= n-1 {
		want, got = want[:n-1], got[:n-1]
	}
	if len(want) != len(got) {
		m.differ(path, got, want)
		return
	}
	for i := range want {
		m.compare(fmt.Sprintf("%s[%d]", path, i), want[i], got[i])
	}
}

func (m *matcher) wildcard(path, want string, got any) {
	inner := want[1 : len(want)-1]
	if pattern, ok := strings.CutPrefix(inner, "~"); ok {
		re, err := regexp.Compile(pattern)
		if err != nil {
			m.found = append(m.found, fmt.Sprintf("%s: %v", path, err))
			return
		}
		if s, ok := got.(string); !ok || !re.MatchString(s) {
			m.differ(path, got, want)
		}
		return
	}
	kind, name, named := strings.Cut(inner, ":")
	text, isText := got.(string)
	_, isNumber := got.(json.Number)
	holds := map[string]bool{
		"any": got != nil, "text": isText, "number": isNumber, "time": isText && timestamp.MatchString(text),
	}[kind]
	switch {
	case !holds:
		m.differ(path, got, want)
	case named:
		m.kept[name] = text
	}
}

// sameNumber compares by value; a whole number must come without a fraction.
func sameNumber(want, got string) bool {
	if !strings.ContainsAny(want, ".eE") {
		return got == want
	}
	w, okW := new(big.Rat).SetString(want)
	g, okG := new(big.Rat).SetString(got)
	return okW && okG && w.Cmp(g) == 0
}
