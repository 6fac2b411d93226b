package catalog

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// maxPromptDepth is how many prompts may stand inside each other.
const maxPromptDepth = 5

// compositionTag stands in a prompt for the text of another one. Its name comes
// first and exactly one of version and label second; anything else is text.
var compositionTag = regexp.MustCompile(`@@@langfusePrompt:name=([^|@]+)\|(?:version=([0-9]{1,9})|label=([^|@]+))@@@`)

// parseTag is the reference of a match of compositionTag.
func parseTag(match []string) PromptRef {
	version, _ := strconv.Atoi(match[2]) // the form is checked
	return PromptRef{Name: match[1], Version: version, Label: match[3]}
}

// uses are the prompts that p is composed of, each once, in their order.
func uses(p *Prompt) (refs []PromptRef) {
	_, _ = mapTexts(p, func(text string) (string, error) {
		for _, m := range compositionTag.FindAllStringSubmatch(text, -1) {
			if ref := parseTag(m); !slices.Contains(refs, ref) {
				refs = append(refs, ref)
			}
		}
		return text, nil
	})
	return refs
}

func usedNames(p *Prompt) (names []string) {
	for _, ref := range uses(p) {
		names = append(names, ref.Name)
	}
	return unique(names)
}

// mapTexts is the prompt of p with f applied to its text, or to the content of
// each message.
func mapTexts(p *Prompt, f func(string) (string, error)) (json.RawMessage, error) {
	if p.Type == PromptText {
		var text string
		if err := json.Unmarshal(p.Prompt, &text); err != nil {
			return nil, err
		}
		text, err := f(text)
		if err != nil {
			return nil, err
		}
		return marshalPlain(text)
	}
	var list []chatMessage
	if err := json.Unmarshal(p.Prompt, &list); err != nil {
		return nil, err
	}
	for _, m := range list {
		if m.Content == nil {
			continue
		}
		text, err := f(*m.Content)
		if err != nil {
			return nil, err
		}
		*m.Content = text
	}
	return marshalPlain(list)
}

// PromptNode names one version in a graph of what is composed of what.
type PromptNode struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version int    `json:"version"`
}

// ResolutionGraph is what a resolved prompt was made of: for each version that
// uses others, by its id, those.
type ResolutionGraph struct {
	Root         PromptNode              `json:"root"`
	Dependencies map[string][]PromptNode `json:"dependencies"`
}

// ResolvedPrompt reads one version with the texts of the prompts that it is
// composed of in their places. The graph is nil where it is composed of none. A
// missing part is a domain.Conflict, a missing version domain.NotFound.
func (c *Catalog) ResolvedPrompt(ctx context.Context, project string, ref PromptRef) (p Prompt, g *ResolutionGraph, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		if p, err = findPrompt(tx, ref); err != nil {
			return err
		}
		r := resolver{tx: tx, graph: ResolutionGraph{Root: node(&p), Dependencies: map[string][]PromptNode{}}}
		p.Prompt, err = r.resolve(&p, nil)
		switch domain.CodeOf(err) {
		case domain.NotFound, domain.Invalid:
			return domain.Errorf(domain.Conflict, "prompt %s can't be resolved: %s", ref, err.Error())
		}
		if g = nil; len(r.graph.Dependencies) > 0 {
			g = &r.graph
		}
		return err
	})
	return p, g, err
}

func node(p *Prompt) PromptNode { return PromptNode{p.ID, p.Name, p.Version} }

// resolver puts prompts together within one transaction.
type resolver struct {
	tx    store.Tx
	graph ResolutionGraph
	size  int // bytes put in so far
}

// maxResolved bounds what a prompt may grow to: a few levels that each repeat
// the next one would otherwise fill the memory.
const maxResolved = 16 << 20

// resolve is the prompt of p with its parts put in. above are the versions that
// it stands in, the outermost first.
func (r *resolver) resolve(p *Prompt, above []*Prompt) (json.RawMessage, error) {
	if len(above) >= maxPromptDepth {
		return nil, domain.Errorf(domain.Invalid, "Maximum nesting depth of %d prompts exceeded", maxPromptDepth)
	}
	chain := append(slices.Clone(above), p)
	_, seen := r.graph.Dependencies[p.ID]
	return mapTexts(p, func(text string) (string, error) {
		var b strings.Builder
		end := 0
		for _, at := range compositionTag.FindAllStringSubmatchIndex(text, -1) {
			ref := parseTag(compositionTag.FindStringSubmatch(text[at[0]:at[1]]))
			part, err := findPrompt(r.tx, ref)
			if err != nil {
				return "", domain.Errorf(domain.CodeOf(err), "Prompt dependency not found: %s", ref)
			}
			if err := checkPart(&part, chain); err != nil {
				return "", err
			}
			if list := r.graph.Dependencies[p.ID]; !seen && !slices.Contains(list, node(&part)) {
				r.graph.Dependencies[p.ID] = append(list, node(&part))
			}
			raw, err := r.resolve(&part, chain)
			if err != nil {
				return "", err
			}
			var inner string
			if err := json.Unmarshal(raw, &inner); err != nil {
				return "", err
			}
			if r.size += len(inner); r.size > maxResolved {
				return "", domain.Errorf(domain.Invalid, "its parts are larger than %d MiB together", maxResolved>>20)
			}
			b.WriteString(text[end:at[0]])
			b.WriteString(inner)
			end = at[1]
		}
		b.WriteString(text[end:])
		return b.String(), nil
	})
}

// checkPart refuses what can't stand inside the last of chain: chat, and any
// version of a name that is in the chain.
func checkPart(part *Prompt, chain []*Prompt) error {
	if part.Type != PromptText {
		return domain.Errorf(domain.Invalid, "Prompt dependency is not a text prompt: '%s'", part.Name)
	}
	for _, p := range chain {
		if p.Name == part.Name {
			return domain.Errorf(domain.Invalid, "Circular dependency detected involving prompt '%s' version %d", part.Name, part.Version)
		}
	}
	return nil
}

// checkComposition resolves a version that is to be written and forgets the
// result.
func checkComposition(tx store.Tx, p *Prompt) error {
	r := resolver{tx: tx, graph: ResolutionGraph{Dependencies: map[string][]PromptNode{}}}
	_, err := r.resolve(p, nil)
	if domain.CodeOf(err) == domain.NotFound {
		return domain.Errorf(domain.Invalid, "%s", err.Error())
	}
	return err
}

// checkDependants refuses a state in which a prompt uses a version of name that
// is not there any more.
func checkDependants(tx store.Tx, name string) error {
	for r, err := range tx.Find(kindPrompt, "uses", name, "") {
		if err != nil {
			return err
		}
		p, err := decodePrompt(r)
		if err != nil {
			return err
		}
		for _, ref := range uses(&p) {
			if ref.Name != name {
				continue
			}
			if _, err := findPrompt(tx, ref); domain.CodeOf(err) == domain.NotFound {
				return domain.Errorf(domain.Invalid, "Other prompts depend on what is to be deleted: '%s' version %d uses %s", p.Name, p.Version, ref)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}
