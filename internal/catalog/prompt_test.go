package catalog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
)

func textPrompt(name, text string, labels ...string) catalog.NewPrompt {
	raw, _ := json.Marshal(text)
	return catalog.NewPrompt{Name: name, Prompt: raw, Labels: labels}
}

// Writers that race get versions without a gap, and each label stays on one.
func TestPromptWritersRace(t *testing.T) {
	f := open(t)
	const writers, each = 4, 4
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				p, err := f.CreatePrompt(t.Context(), "p", textPrompt("raced", "x", "production"))
				if err == nil && i%2 == 0 {
					_, err = f.LabelPrompt(t.Context(), "p", "raced", p.Version, []string{"beta"})
				}
				errs[w] = errors.Join(errs[w], err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	var versions []int
	holders := map[string][]int{}
	err := f.Prompts(t.Context(), "p", func(p catalog.Prompt) bool {
		versions = append(versions, p.Version)
		for _, l := range p.Labels {
			holders[l] = append(holders[l], p.Version)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(versions)
	for i, v := range versions {
		if v != i+1 {
			t.Fatalf("versions are %v", versions)
		}
	}
	if len(versions) != writers*each {
		t.Errorf("%d versions, want %d", len(versions), writers*each)
	}
	for _, label := range []string{"production", "latest", "beta"} {
		if len(holders[label]) != 1 {
			t.Errorf("label %s is on versions %v", label, holders[label])
		}
	}
	if got := holders["latest"]; !slices.Equal(got, []int{writers * each}) {
		t.Errorf("latest is on %v", got)
	}
}

// Prompts of one project are not seen from another one.
func TestPromptsStayInTheirProject(t *testing.T) {
	f := open(t)
	if _, err := f.CreatePrompt(t.Context(), "p", textPrompt("mine", "x", "production")); err != nil {
		t.Fatal(err)
	}
	_, err := f.Prompt(t.Context(), "q", catalog.PromptRef{Name: "mine", Version: 1})
	if domain.CodeOf(err) != domain.NotFound {
		t.Errorf("read from another project: %v", err)
	}
	if err := f.DeletePrompts(t.Context(), "q", catalog.PromptRef{Name: "mine"}); domain.CodeOf(err) != domain.NotFound {
		t.Errorf("deleted from another project: %v", err)
	}
}

// Prompts stand inside each other five deep and no deeper, and repeat each
// other up to a size.
func TestPromptComposition(t *testing.T) {
	f := open(t)
	tag := func(i int) string { return fmt.Sprintf("@@@langfusePrompt:name=p%d|label=latest@@@", i) }
	create := func(i int, text string) error {
		_, err := f.CreatePrompt(t.Context(), "p", textPrompt(fmt.Sprint("p", i), text))
		return err
	}
	for i := range 5 {
		text := "end"
		if i > 0 {
			text = fmt.Sprint(i, tag(i-1))
		}
		if err := create(i, text); err != nil {
			t.Fatalf("%d deep: %v", i+1, err)
		}
	}
	p, graph, err := f.ResolvedPrompt(t.Context(), "p", catalog.PromptRef{Name: "p4", Version: 1})
	if err != nil || string(p.Prompt) != `"4321end"` || len(graph.Dependencies) != 4 {
		t.Errorf("got %s, %+v, %v", p.Prompt, graph, err)
	}
	if err := create(5, tag(4)); domain.CodeOf(err) != domain.Invalid {
		t.Errorf("six deep: %v", err)
	}
	if err := create(0, strings.Repeat("x", 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := create(1, strings.Repeat(tag(0), 17)); domain.CodeOf(err) != domain.Invalid {
		t.Errorf("17 MiB: %v", err)
	}
	if err := create(0, tag(2)); domain.CodeOf(err) != domain.Invalid {
		t.Errorf("a circle: %v", err)
	}
}
