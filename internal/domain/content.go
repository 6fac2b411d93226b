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
	for _, part := range winners(sorted(items)) {
		for _, it := range part.items {
			if isMerged(part.part) {
				c[part.part] = MergeJSON(c[part.part], it.Content[part.part])
			} else {
				c[part.part] = it.Content[part.part]
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
	for _, part := range winners(items) {
		for _, it := range part.items {
			used[slices.IndexFunc(items, func(o Item) bool { return o.Stamp == it.Stamp })] = true
		}
	}
	var out []Item
	for i, it := range items {
		if used[i] || it.Stamp.Op == Replace && !laterReplace(items[i+1:]) {
			out = append(out, it)
		}
	}
	return out
}

// laterReplace reports whether a Replace is among items. The last one is kept
// even when empty: it holds back older writes that are still on their way.
func laterReplace(items []Item) bool {
	return slices.ContainsFunc(items, func(it Item) bool { return it.Stamp.Op == Replace })
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

// won is the items that decide one part, in order.
type won struct {
	part  Part
	items []Item
}

// winners finds for each part the items that decide it.
func winners(items []Item) []won {
	var out []won
	for p := range parts {
		w := won{part: p}
		best := -1
		for i := range items {
			it := &items[i]
			if it.Stamp.Op == Replace {
				w.items = w.items[:0]
			}
			if !it.Said.Has(p) && it.Stamp.Op != Replace {
				continue
			}
			if isMerged(p) {
				if it.Content[p].IsSet() {
					w.items = append(w.items, *it)
				}
			} else if best < 0 || weightOf(it, p) >= weightOf(&items[best], p) {
				best = i
			}
		}
		if best >= 0 {
			w.items = append(w.items, items[best])
		}
		if len(w.items) > 0 {
			out = append(out, w)
		}
	}
	return out
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
// b stands if it is set, else a.
func MergeJSON(a, b Body) Body {
	if !b.IsSet() {
		return a
	}
	if !isObject(a.Data) || !isObject(b.Data) {
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

type member struct {
	key string
	raw json.RawMessage
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
		key, _ := json.Marshal(m.key) // a string always marshals
		out.Write(key)
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
		t, err := d.Token()
		key, isKey := t.(string)
		if err != nil || !isKey {
			return nil, false
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, false
		}
		if i, found := at[key]; found {
			out[i].raw = v
			continue
		}
		at[key] = len(out)
		out = append(out, member{key, v})
	}
	return out, true
}
