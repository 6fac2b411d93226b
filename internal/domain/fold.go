package domain

import (
	"cmp"
	"math/bits"
	"slices"
)

// A Fold is the state of one thing after some of its writes: the value that
// reads see and, for each field, the stamp that won it. It does not depend on
// the order, the repetition or the grouping of the writes.
type Fold[E Observation | Trace | Score] struct {
	Value  E
	Stamps Stamps
}

// Stamps tells which write won each field of a fold.
type Stamps struct {
	List []Stamp // the stamps in use, each once, in their order
	// Field holds for each field's bit 1 + the index in List of the stamp that
	// won it; 0 where no write said it.
	Field [32]uint16
	Tags  []uint16 // likewise for each of the value's tags
	// Reset is 1 + the index of the latest Replace, which ends the life of
	// older tags; 0 where there was none.
	Reset uint16
}

// rule says which of several writes decides a field.
type rule uint8

const (
	firstSet rule = iota // the earliest write with a value
	last                 // the latest write; its null clears
	lastSet              // the latest write with a value, or the latest Replace
)

// field is one foldable field of E: its rule, and how to test and copy it.
type field[E any] struct {
	rule rule
	set  func(e *E) bool
	copy func(dst, src *E)
}

// kind is the table of E's fields in the order of their bits; union is the bit
// of the field that folds as a set, and tags finds that set.
type kind[E any] struct {
	fields []field[E]
	union  int
	tags   func(e *E) *[]string
}

// MaxTags bounds the tags of one fold: of more, those said last stay, and of
// those said at once the greater ones.
const MaxTags = 1000

// FoldObservation folds w into f and reports whether anything changed. The id,
// and the form of the trace's id, stay those of the first that had them.
func FoldObservation(f *Fold[Observation], w *Fold[Observation]) bool {
	if f.Value.ID == "" {
		f.Value.ID = w.Value.ID
	}
	if f.Value.TraceID == "" {
		f.Value.TraceID = w.Value.TraceID
	}
	return merge(&observationKind, f, w)
}

// FoldTrace likewise for what was said of the trace itself.
func FoldTrace(f *Fold[Trace], w *Fold[Trace]) bool {
	if f.Value.ID == "" {
		f.Value.ID = w.Value.ID
	}
	return merge(&traceKind, f, w)
}

// FoldScores folds every write about one score. A score is small, so an engine
// keeps its writes and folds them anew; its metadata merges by key over them.
func FoldScores(writes []ScorePatch) Score {
	writes = slices.SortedFunc(slices.Values(writes), func(a, b ScorePatch) int { return a.Stamp.Compare(b.Stamp) })
	var f Fold[Score]
	var metadata Body
	for i := range writes {
		w := writes[i].Fold()
		f.Value.ID = w.Value.ID
		merge(&scoreKind, &f, &w)
		if writes[i].Stamp.Op == Replace {
			metadata = Body{}
		}
		if writes[i].Said.Has(ScoreMetadata) {
			metadata = MergeJSON(metadata, JSONBody(w.Value.Metadata))
		}
	}
	f.Value.Metadata = metadata.Data
	return f.Value
}

// Fold is the patch as the fold of itself alone.
func (p *Patch[E]) Fold() Fold[E] {
	f := Fold[E]{Value: p.Value}
	f.Stamps.List = []Stamp{p.Stamp}
	for s := p.Said; s != 0; s &= s - 1 {
		f.Stamps.Field[bits.TrailingZeros64(uint64(s))] = 1
	}
	if p.Stamp.Op == Replace {
		f.Stamps.Reset = 1
	}
	if tags := tagsOf(&f.Value); tags != nil && len(*tags) > 0 {
		f.Stamps.Tags = slices.Repeat([]uint16{1}, len(*tags))
		*tags, f.Stamps.Tags = boundTags(f.Stamps.List, *tags, f.Stamps.Tags)
	}
	return f
}

// tagsOf finds the tags of a value, nil for a kind that has none.
func tagsOf[E any](e *E) *[]string {
	switch v := any(e).(type) {
	case *Observation:
		return &v.Tags
	case *Trace:
		return &v.Tags
	}
	return nil
}

// merge folds w into f by the rules of k.
func merge[E Observation | Trace | Score](k *kind[E], f, w *Fold[E]) bool {
	changed := false
	known := len(f.Stamps.List)
	for i := range k.fields {
		if w.Stamps.Field[i] == 0 || i == k.union {
			continue
		}
		won := true
		if at := f.Stamps.Field[i]; at != 0 {
			won = k.fields[i].beats(&w.Value, &f.Value, w.Stamps.List[w.Stamps.Field[i]-1], f.Stamps.List[at-1])
		}
		if won {
			k.fields[i].copy(&f.Value, &w.Value)
			f.Stamps.Field[i] = f.Stamps.index(w.Stamps.List[w.Stamps.Field[i]-1])
			changed = true
		}
	}
	if k.union >= 0 && mergeTags(k, f, w) {
		changed = true
	}
	if changed || len(f.Stamps.List) != known {
		f.Stamps.compact()
	}
	return changed
}

// beats reports whether w's value of the field replaces f's.
func (x *field[E]) beats(w, f *E, ws, fs Stamp) bool {
	order := ws.Compare(fs)
	switch x.rule {
	case firstSet:
		if a, b := x.set(w), x.set(f); a != b {
			return a
		}
		return order < 0
	case lastSet:
		a := x.set(w) || ws.Op == Replace
		b := x.set(f) || fs.Op == Replace
		if a != b {
			return a
		}
	}
	return order > 0
}

// mergeTags unites the tags of both that no later Replace left out.
func mergeTags[E Observation | Trace | Score](k *kind[E], f, w *Fold[E]) bool {
	changed := f.Stamps.raise(&f.Stamps.Field[k.union], &w.Stamps, w.Stamps.Field[k.union])
	if f.Stamps.raise(&f.Stamps.Reset, &w.Stamps, w.Stamps.Reset) {
		changed = true
	}
	tags, from := k.tags(&f.Value), *k.tags(&w.Value)
	var out []string
	var marks []uint16
	keep := func(tag string, mark uint16) {
		if r := f.Stamps.Reset; r == 0 || f.Stamps.List[mark-1].Compare(f.Stamps.List[r-1]) >= 0 {
			out, marks = append(out, tag), append(marks, mark)
		}
	}
	for i, j := 0, 0; i < len(*tags) || j < len(from); {
		switch {
		case j == len(from) || i < len(*tags) && (*tags)[i] < from[j]:
			keep((*tags)[i], f.Stamps.Tags[i])
			i++
		case i == len(*tags) || from[j] < (*tags)[i]:
			keep(from[j], f.Stamps.index(w.Stamps.List[w.Stamps.Tags[j]-1]))
			j++
		default:
			mark := f.Stamps.Tags[i]
			if s := w.Stamps.List[w.Stamps.Tags[j]-1]; s.Compare(f.Stamps.List[mark-1]) > 0 {
				mark = f.Stamps.index(s)
			}
			keep((*tags)[i], mark)
			i++
			j++
		}
	}
	out, marks = boundTags(f.Stamps.List, out, marks)
	if !slices.Equal(out, *tags) || !slices.Equal(marks, f.Stamps.Tags) {
		*tags, f.Stamps.Tags, changed = out, marks, true
	}
	return changed
}

// boundTags drops the tags over MaxTags: those with the least (stamp, tag). A
// tag's stamp only ever rises, so whatever is dropped here is dropped in every
// other order of the writes too.
func boundTags(list []Stamp, tags []string, marks []uint16) ([]string, []uint16) {
	if len(tags) <= MaxTags {
		return tags, marks
	}
	order := make([]int, len(tags))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(list[marks[b]-1].Compare(list[marks[a]-1]), cmp.Compare(tags[b], tags[a]))
	})
	order = order[:MaxTags]
	slices.Sort(order) // back into the order of the tags
	outTags, outMarks := make([]string, MaxTags), make([]uint16, MaxTags)
	for i, at := range order {
		outTags[i], outMarks[i] = tags[at], marks[at]
	}
	return outTags, outMarks
}

// raise moves the reference at to the stamp that w's reference from names, if
// that is the later one, and reports whether it was.
func (s *Stamps) raise(at *uint16, w *Stamps, from uint16) bool {
	if from == 0 || *at != 0 && w.List[from-1].Compare(s.List[*at-1]) <= 0 {
		return false
	}
	*at = s.index(w.List[from-1])
	return true
}

// index is 1 + the place of s in the list, where it is added if it is new. A
// fold holds at most one stamp a field and tag in use; compact keeps it so.
func (s *Stamps) index(t Stamp) uint16 {
	for i := range s.List {
		if s.List[i] == t {
			return uint16(i + 1)
		}
	}
	s.List = append(slices.Clip(s.List), t)
	return uint16(len(s.List))
}

// compact drops the stamps that nothing refers to any more and puts the others
// in order, so that equal folds are equal values.
func (s *Stamps) compact() {
	used := make([]bool, len(s.List)+1)
	s.each(func(at *uint16) { used[*at] = true })
	var kept []uint16
	for i := range s.List {
		if used[i+1] {
			kept = append(kept, uint16(i+1))
		}
	}
	slices.SortFunc(kept, func(a, b uint16) int { return s.List[a-1].Compare(s.List[b-1]) })
	moved := make([]uint16, len(s.List)+1)
	list := make([]Stamp, len(kept))
	for i, at := range kept {
		list[i], moved[at] = s.List[at-1], uint16(i+1)
	}
	s.each(func(at *uint16) { *at = moved[*at] })
	s.List = list
}

// each calls f with every reference into the list.
func (s *Stamps) each(f func(at *uint16)) {
	for i := range s.Field {
		f(&s.Field[i])
	}
	for i := range s.Tags {
		f(&s.Tags[i])
	}
	f(&s.Reset)
}
