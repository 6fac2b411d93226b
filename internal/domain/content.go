package domain

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Item is the bodies that one write said about one observation, or about the
// trace itself where ID is "". A read folds the items of a thing; nothing folds
// them before, so that a commit need not read any body.
type Item struct {
	ID      string
	Stamp   Stamp
	Said    Parts
	Content Content
}

// FoldContent is what a read sees of the items of one thing, in any order, with
// repetitions: for each body the last one with something in it, for metadata
// all of them merged by key, later ones winning; nothing from before a Replace.
func FoldContent(items []Item) Content {
	var c Content
	items = sorted(items)
	for p := range parts {
		for _, i := range winners(items, p) {
			if isMerged(p) {
				c[p] = MergeJSON(c[p], items[i].Content[p])
			} else {
				c[p] = items[i].Content[p]
			}
		}
	}
	return c
}

// Compact is the items without those that no read will ever see anything of,
// whatever else arrives; it is in the order of their stamps.
func Compact(items []Item) []Item {
	items = sorted(items)
	used := make([]bool, len(items))
	for p := range parts {
		for _, i := range winners(items, p) {
			used[i] = true
		}
	}
	// The last Replace is kept even when it is empty: it holds back older
	// writes that are still on their way.
	for i := len(items) - 1; i >= 0; i-- {
		if items[i].Stamp.Op == Replace {
			used[i] = true
			break
		}
	}
	var out []Item
	for i := range items {
		if used[i] {
			out = append(out, items[i])
		}
	}
	return out
}

// isMerged reports whether a part folds by key rather than whole.
func isMerged(p Part) bool { return p == Metadata || p == TraceMetadata }

// sorted is items by stamp, each once.
func sorted(items []Item) []Item {
	if len(items) < 2 {
		return items
	}
	items = slices.SortedFunc(slices.Values(items), func(a, b Item) int { return a.Stamp.Compare(b.Stamp) })
	return slices.CompactFunc(items, func(a, b Item) bool { return a.Stamp == b.Stamp })
}

// winners is the indexes of the items that decide one part, in order: all of
// them since the last Replace where the part is merged, else one at most.
func winners(items []Item, p Part) []int {
	var merged []int
	best := -1
	for i := range items {
		it := &items[i]
		if it.Stamp.Op == Replace {
			merged = merged[:0]
		} else if !it.Said.Has(p) {
			continue
		}
		if isMerged(p) {
			if it.Content[p].IsSet() {
				merged = append(merged, i)
			}
		} else if best < 0 || weightOf(it, p) >= weightOf(&items[best], p) {
			best = i
		}
	}
	if best >= 0 {
		return []int{best}
	}
	return merged
}

// weightOf is how strongly an item speaks for a part: a Replace always in full.
func weightOf(it *Item, p Part) int {
	if it.Stamp.Op == Replace {
		return 2
	}
	return it.Content[p].weight()
}

// MergeJSON merges two JSON objects deeply, b's leaves winning, and keeps the
// order and spelling of what it does not merge. Where either is not an object,
// b stands if it is set, else a. An array is a leaf, and so is null.
func MergeJSON(a, b Body) Body {
	if !b.IsSet() {
		return a
	}
	if a.Kind != JSON || b.Kind != JSON || !isObject(a.Data) || !isObject(b.Data) {
		return b
	}
	out, ok := mergeObjects(a.Data, b.Data, 0)
	if !ok {
		return b
	}
	return Body{Kind: JSON, Data: out}
}

func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

// maxMergeDepth bounds the recursion; below it, the later object stands whole.
const maxMergeDepth = 100

// member is one member of a JSON object: its key decoded, to compare, and both
// halves as they are spelled.
type member struct {
	key    string
	rawKey []byte
	raw    json.RawMessage
}

func mergeObjects(a, b []byte, depth int) ([]byte, bool) {
	am, ok := members(a)
	if !ok {
		return nil, false
	}
	bm, ok := members(b)
	if !ok {
		return nil, false
	}
	at := make(map[string]int, len(am))
	for i, m := range am {
		at[m.key] = i
	}
	for _, m := range bm {
		i, found := at[m.key]
		if !found {
			at[m.key] = len(am)
			am = append(am, m)
			continue
		}
		if depth < maxMergeDepth && isObject(am[i].raw) && isObject(m.raw) {
			if both, ok := mergeObjects(am[i].raw, m.raw, depth+1); ok {
				am[i].raw = both
				continue
			}
		}
		am[i].raw = m.raw
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range am {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(m.rawKey)
		out.WriteByte(':')
		out.Write(m.raw)
	}
	out.WriteByte('}')
	return out.Bytes(), true
}

// members splits a JSON object into its keys and raw values; of a key that
// comes twice the last value stands, in the place of the first.
func members(raw []byte) ([]member, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	var out []member
	at := map[string]int{}
	for d.More() {
		before := d.InputOffset()
		t, err := d.Token()
		key, isKey := t.(string)
		if err != nil || !isKey {
			return nil, false
		}
		rawKey := bytes.TrimLeft(raw[before:d.InputOffset()], ", \t\r\n")
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, false
		}
		if i, found := at[key]; found {
			out[i].raw = v
			continue
		}
		at[key] = len(out)
		out = append(out, member{key, rawKey, v})
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, false
	}
	return out, true
}
