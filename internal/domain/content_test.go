package domain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clewhq/clew/internal/domain"
)

// input is an item that says an input at a time.
func input(time int64, op domain.Op, b domain.Body) domain.Item {
	it := domain.Item{Stamp: domain.Stamp{Time: time, Op: op}, Said: domain.Parts(0).With(domain.Input)}
	if op == domain.Replace {
		it.Said = domain.AllParts
	}
	it.Content[domain.Input] = b
	return it
}

// metadata is likewise one that says metadata.
func metadata(time int64, op domain.Op, json string) domain.Item {
	it := input(time, op, domain.Body{})
	it.Said = it.Said.With(domain.Metadata)
	it.Content[domain.Metadata] = domain.JSONBody([]byte(json))
	return it
}

func TestInputRules(t *testing.T) {
	text, json := domain.TextBody, func(s string) domain.Body { return domain.JSONBody([]byte(s)) }
	const create, update, replace = domain.Create, domain.Update, domain.Replace
	for _, c := range []struct {
		what  string
		items []domain.Item
		want  domain.Body
	}{
		{"nothing", nil, domain.Body{}},
		{"last wins", []domain.Item{input(1, create, text("a")), input(2, update, json(`{"b":1}`))}, json(`{"b":1}`)},
		{"an object is replaced whole", []domain.Item{input(1, create, json(`{"a":1}`)), input(2, update, json(`{"b":1}`))}, json(`{"b":1}`)},
		{"empty text keeps", []domain.Item{input(1, create, text("a")), input(2, update, text(""))}, text("a")},
		{"empty JSON text keeps", []domain.Item{input(1, create, text("a")), input(2, update, json(`""`))}, text("a")},
		{"zero keeps", []domain.Item{input(1, create, text("a")), input(2, update, json("0"))}, text("a")},
		{"-0.00e5 is zero", []domain.Item{input(1, create, text("a")), input(2, update, json("-0.00e5"))}, text("a")},
		{"0.001 is not", []domain.Item{input(1, create, text("a")), input(2, update, json("0.001"))}, json("0.001")},
		{"false keeps", []domain.Item{input(1, create, text("a")), input(2, update, json("false"))}, text("a")},
		{"true does not", []domain.Item{input(1, create, text("a")), input(2, update, json("true"))}, json("true")},
		{"null keeps", []domain.Item{input(1, create, text("a")), input(2, update, domain.Body{})}, text("a")},
		{"an empty list and an empty object are something", []domain.Item{input(1, create, json("{}")), input(2, update, json("[]"))}, json("[]")},
		{"the text 0 is something", []domain.Item{input(1, create, text("a")), input(2, update, text("0"))}, text("0")},
		{"empty where there is nothing else", []domain.Item{input(1, create, text("")), input(2, update, json("false"))}, json("false")},
		{"a replace without it clears", []domain.Item{input(1, create, text("a")), input(2, replace, domain.Body{})}, domain.Body{}},
		{"an older replace clears nothing", []domain.Item{input(2, create, text("a")), input(1, replace, domain.Body{})}, text("a")},
		{"update after a replace", []domain.Item{input(1, replace, text("a")), input(2, update, text("b"))}, text("b")},
	} {
		if diff := cmp.Diff(c.want, domain.FoldContent(c.items)[domain.Input]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestMetadataRules(t *testing.T) {
	for _, c := range []struct {
		what  string
		items []domain.Item
		want  string
	}{
		{"merged by key", []domain.Item{metadata(1, domain.Create, `{"a":1,"b":2}`), metadata(2, domain.Update, `{"b":3,"c":4}`)}, `{"a":1,"b":3,"c":4}`},
		{"by time, not by arrival", []domain.Item{metadata(2, domain.Update, `{"b":3,"c":4}`), metadata(1, domain.Create, `{"a":1,"b":2}`)}, `{"a":1,"b":3,"c":4}`},
		{"deeply", []domain.Item{metadata(1, domain.Create, `{"a":{"x":{"p":1}}}`), metadata(2, domain.Update, `{"a":{"x":{"q":2},"y":3}}`)}, `{"a":{"x":{"p":1,"q":2},"y":3}}`},
		{"null keeps", []domain.Item{metadata(1, domain.Create, `{"a":1}`), metadata(2, domain.Update, `null`)}, `{"a":1}`},
		{"null inside replaces", []domain.Item{metadata(1, domain.Create, `{"a":{"x":1}}`), metadata(2, domain.Update, `{"a":null}`)}, `{"a":null}`},
		{"a replace ends what was before", []domain.Item{metadata(1, domain.Create, `{"a":1}`), metadata(2, domain.Replace, `{"b":2}`), metadata(3, domain.Update, `{"c":3}`)}, `{"b":2,"c":3}`},
		{"a replace without it too", []domain.Item{metadata(1, domain.Create, `{"a":1}`), metadata(2, domain.Replace, ``)}, ``},
	} {
		if got := string(domain.FoldContent(c.items)[domain.Metadata].Data); got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
}

func TestCompactDropsWhatIsSuperseded(t *testing.T) {
	items := []domain.Item{
		input(1, domain.Create, domain.TextBody("a")),
		input(2, domain.Update, domain.TextBody("b")),
		metadata(3, domain.Update, `{"a":1}`),
		metadata(4, domain.Update, `{"a":2}`),
	}
	var times []int64
	for _, it := range domain.Compact(items) {
		times = append(times, it.Stamp.Time)
	}
	// The first input never shows again. Of metadata no item is dropped: which
	// keys later ones say would have to be parsed.
	if diff := cmp.Diff([]int64{2, 3, 4}, times); diff != "" {
		t.Errorf("kept times (-want +got):\n%s", diff)
	}
	empty := domain.Item{Stamp: domain.Stamp{Time: 5, Op: domain.Replace}, Said: domain.AllParts}
	if left := domain.Compact(append(items, empty, empty)); len(left) != 1 || left[0].Stamp != empty.Stamp {
		t.Errorf("after an empty replace %d items are left, want the replace alone: it holds back late writes", len(left))
	}
}

func TestMergeJSON(t *testing.T) {
	object := func(s string) domain.Body { return domain.JSONBody([]byte(s)) }
	for _, c := range []struct{ what, a, b, want string }{
		{"order and spelling stay", `{"b": 1.0e2 ,"a":[ 1 ]}`, `{ "c":"\u00e9", "b" : 0.10 }`, `{"b":0.10,"a":[ 1 ],"c":"\u00e9"}`},
		{"digits stay", `{"n":12345678901234567890.1234567890}`, `{"m":1E400}`, `{"n":12345678901234567890.1234567890,"m":1E400}`},
		{"escapes in keys stay", `{"a<b":1,"\u00e9":2}`, `{"é":3,"\/":4}`, `{"a<b":1,"\u00e9":3,"\/":4}`},
		{"of equal keys the last counts", `{"a":1,"a":2}`, `{"b":1,"b":{"x":1},"b":3}`, `{"a":2,"b":3}`},
		{"arrays are leaves", `{"a":[1,2,3]}`, `{"a":[9]}`, `{"a":[9]}`},
		{"object over leaf and leaf over object", `{"a":1,"b":{"x":1}}`, `{"a":{"x":1},"b":1}`, `{"a":{"x":1},"b":1}`},
		{"empty objects", `{}`, `{}`, `{}`},
		{"not an object: the later stands", `{"a":1}`, `[1]`, `[1]`},
		{"the earlier is not an object", `7`, `{"a":1}`, `{"a":1}`},
		{"the later is nothing", `{"a":1}`, ``, `{"a":1}`},
		{"the earlier is cut short: the later stands", `{"a":1`, `{"b":1}`, `{"b":1}`},
		{"the later is cut short: it stands as it came", `{"a":1}`, `{"b":1,`, `{"b":1,`},
	} {
		if got := string(domain.MergeJSON(object(c.a), object(c.b)).Data); got != c.want {
			t.Errorf("%s: %s + %s = %s, want %s", c.what, c.a, c.b, got, c.want)
		}
	}
	text := domain.TextBody(`{"a":1}`)
	if diff := cmp.Diff(text, domain.MergeJSON(object(`{"b":1}`), text)); diff != "" {
		t.Errorf("a text that looks like an object is a text (-want +got):\n%s", diff)
	}
}

// TestMergeJSONDepth: below the bound the later object stands whole, and no
// depth exhausts the stack.
func TestMergeJSONDepth(t *testing.T) {
	nested := func(depth int, leaf string) domain.Body {
		return domain.JSONBody([]byte(strings.Repeat(`{"a":`, depth) + leaf + strings.Repeat(`}`, depth)))
	}
	if got, want := domain.MergeJSON(nested(90, `{"x":1}`), nested(90, `{"y":2}`)), nested(90, `{"x":1,"y":2}`); string(got.Data) != string(want.Data) {
		t.Errorf("90 deep: got %.60q…, want both leaves", got.Data[len(got.Data)-110:])
	}
	for _, depth := range []int{500, 9000, 100_000} {
		later := nested(depth, `{"y":2}`)
		if got := domain.MergeJSON(nested(depth, `{"x":1}`), later); string(got.Data) != string(later.Data) {
			t.Errorf("%d deep: got %d bytes, want the later object, %d bytes", depth, len(got.Data), len(later.Data))
		}
	}
}

func TestBodies(t *testing.T) {
	for raw, want := range map[string]domain.Body{
		"":            {},
		" null\n":     {},
		" {\"a\":1} ": {Kind: domain.JSON, Data: []byte(`{"a":1}`)},
		`"null"`:      {Kind: domain.JSON, Data: []byte(`"null"`)},
	} {
		if diff := cmp.Diff(want, domain.JSONBody([]byte(raw))); diff != "" {
			t.Errorf("JSONBody(%q) (-want +got):\n%s", raw, diff)
		}
	}
	if b := domain.TextBody(""); !b.IsSet() {
		t.Error("an empty text is no body, want one")
	}
	c := domain.Content{domain.Output: domain.TextBody("ab"), domain.Extra: domain.JSONBody([]byte("{}"))}
	if got, want := c.Set(), domain.Parts(0).With(domain.Output).With(domain.Extra); got != want || c.Size() != 4 {
		t.Errorf("Set() = %b, Size() = %d; want %b, 4", got, c.Size(), want)
	}
	names := map[string]bool{}
	for p := domain.Input; p <= domain.Extra+1; p++ {
		names[fmt.Sprint(p)] = true
	}
	if len(names) != int(domain.Extra)+2 {
		t.Errorf("%d names for %d parts and an unknown one: %v", len(names), domain.Extra+1, names)
	}
}
