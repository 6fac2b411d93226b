package domain

import (
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
	List []Stamp // the stamps in use, each once
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

// FoldObservation folds w into f and reports whether anything changed.
func FoldObservation(f *Fold[Observation], w *Fold[Observation]) bool {
	if f.Value.ID == "" {
		f.Value.TraceID, f.Value.ID = w.Value.TraceID, w.Value.ID
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
	if n := len(tagsOf(&f.Value)); n > 0 {
		f.Stamps.Tags = slices.Repeat([]uint16{1}, n)
	}
	return f
}

// tagsOf finds the tags of a value of any of the three kinds.
func tagsOf[E any](e *E) []string {
	switch v := any(e).(type) {
	case *Observation:
		return v.Tags
	case *Trace:
		return v.Tags
	}
	return nil
}

// merge folds w into f by the rules of k.
func merge[E Observation | Trace | Score](k *kind[E], f, w *Fold[E]) bool {
	changed := false
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
	if changed {
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
	changed := false
	if w.Stamps.Field[k.union] != 0 && f.Stamps.Field[k.union] == 0 {
		f.Stamps.Field[k.union] = f.Stamps.index(w.Stamps.List[w.Stamps.Field[k.union]-1])
		changed = true
	}
	if r := w.Stamps.Reset; r != 0 {
		s := w.Stamps.List[r-1]
		if f.Stamps.Reset == 0 || s.Compare(f.Stamps.List[f.Stamps.Reset-1]) > 0 {
			f.Stamps.Reset = f.Stamps.index(s)
			changed = true
		}
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
	if !slices.Equal(out, *tags) || !slices.Equal(marks, f.Stamps.Tags) {
		*tags, f.Stamps.Tags, changed = out, marks, true
	}
	return changed
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

// compact drops the stamps that nothing refers to any more.
func (s *Stamps) compact() {
	moved := make([]uint16, len(s.List)+1)
	s.each(func(at *uint16) { moved[*at] = 1 })
	var kept []Stamp
	for i, t := range s.List {
		if moved[i+1] != 0 {
			kept = append(kept, t)
			moved[i+1] = uint16(len(kept))
		}
	}
	if len(kept) == len(s.List) {
		return
	}
	moved[0] = 0
	s.each(func(at *uint16) { *at = moved[*at] })
	s.List = kept
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
