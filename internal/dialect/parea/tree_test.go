package parea

import (
	"fmt"
	"testing"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// linked is a trace of these observations, each with its parent, as a forest.
func linked(ids ...[2]string) (*store.Trace, *forest) {
	t, f := &store.Trace{Trace: domain.Trace{ID: "root"}}, &forest{byID: map[string]*node{}}
	for i, x := range ids {
		t.Observations = append(t.Observations, domain.Observation{ID: x[0], ParentID: x[1]})
		f.byID[x[0]] = &node{at: i, fields: fields{"trace_id": x[0]}}
	}
	f.link(t, func(id string) string { return id })
	return t, f
}

// countBelow is how many logs a tree shows, and how deep it is.
func countBelow(tree fields) (n, depth int) {
	n = 1
	for _, c := range tree["children_logs"].([]any) {
		m, d := countBelow(c.(fields))
		n, depth = n+m, max(depth, d)
	}
	return n, depth + 1
}

// Circles are cut and orphans hang on the root: every log is shown once.
func TestEveryLogIsShown(t *testing.T) {
	for name, ids := range map[string][][2]string{
		"circle of two":   {{"root", ""}, {"a", "b"}, {"b", "a"}},
		"circle of three": {{"root", ""}, {"a", "c"}, {"b", "a"}, {"c", "b"}, {"d", "b"}},
		"own parent":      {{"root", ""}, {"a", "a"}},
		"orphan":          {{"root", ""}, {"a", "never came"}, {"b", "a"}},
		"root in circle":  {{"root", "a"}, {"a", "root"}},
	} {
		_, f := linked(ids...)
		if n, _ := countBelow(f.byID["root"].tree()); n != len(ids) {
			t.Errorf("%s: %d of %d logs are shown", name, n, len(ids))
		}
	}
}

// A chain that is too deep for Python's reader hangs on its last level, whole.
func TestDeepChain(t *testing.T) {
	const n = 1000
	ids := [][2]string{{"root", ""}}
	for i := range n - 1 {
		ids = append(ids, [2]string{fmt.Sprint(i), fmt.Sprint(i - 1)})
	}
	ids[1][1] = "root"
	_, f := linked(ids...)
	shown, depth := countBelow(f.byID["root"].tree())
	if shown != n || depth > maxNesting+1 {
		t.Errorf("%d logs are shown in %d levels, want %d in at most %d", shown, depth, n, maxNesting+1)
	}
}
