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

// tagStart begins every tag; text without it, which is most, needs no search.
const tagStart = "@@@langfusePrompt:name="

// parseTag is the reference of a match of compositionTag.
func parseTag(match []string) PromptRef {
	version, _ := strconv.Atoi(match[2]) // the form is checked
	return PromptRef{Name: match[1], Version: version, Label: match[3]}
}

// uses are the prompts that p is composed of, each once, in their order.
func uses(p *Prompt) (refs []PromptRef) {
	_, _ = mapTexts(p, func(text string) (string, error) {
		if !strings.Contains(text, tagStart) {
			return text, nil
		}
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
// missing part is a domain.Conflict, a missing version domain.NotFound. What it
// returns is shared: it must not be changed.
func (c *Catalog) ResolvedPrompt(ctx context.Context, project string, ref PromptRef) (p Prompt, g *ResolutionGraph, err error) {
	known, age, found := c.prompts.get(project, ref)
	if found {
		return known.prompt, known.graph, nil
	}
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		if p, err = findPrompt(tx, ref); err != nil {
			return err
		}
		r := newResolver(tx, node(&p))
		p.Prompt, err = r.resolve(&p)
		switch domain.CodeOf(err) {
		case domain.NotFound, domain.Invalid:
			return domain.Errorf(domain.Conflict, "prompt %s can't be resolved: %s", ref, err.Error())
		}
		if g = nil; len(r.graph.Dependencies) > 0 {
			g = &r.graph
		}
		return err
	})
	if err == nil {
		c.prompts.put(project, ref, age, resolvedPrompt{p, g})
	}
	return p, g, err
}

func node(p *Prompt) PromptNode { return PromptNode{p.ID, p.Name, p.Version} }

// resolver puts prompts together within one transaction.
type resolver struct {
	tx    store.Tx
	graph ResolutionGraph
	found map[PromptRef]*Prompt // parts that were read
	size  int                   // bytes put in so far
}

func newResolver(tx store.Tx, root PromptNode) *resolver {
	return &resolver{tx: tx, graph: ResolutionGraph{root, map[string][]PromptNode{}}, found: map[PromptRef]*Prompt{}}
}

// maxResolved bounds what a prompt may grow to: a few levels that each repeat
// the next one would otherwise fill the memory.
const maxResolved = 16 << 20

// resolve is the prompt of p with its parts put in; without parts, as it came.
func (r *resolver) resolve(p *Prompt) (json.RawMessage, error) {
	if len(uses(p)) == 0 {
		return p.Prompt, nil
	}
	return mapTexts(p, func(text string) (string, error) { return r.expand(text, []*Prompt{p}) })
}

// expand is a text of the last of chain, with its parts put in. Each of chain
// stands in the one before.
func (r *resolver) expand(text string, chain []*Prompt) (string, error) {
	if !strings.Contains(text, tagStart) {
		return text, nil
	}
	var b strings.Builder
	end := 0
	for _, at := range compositionTag.FindAllStringIndex(text, -1) {
		part, err := r.part(parseTag(compositionTag.FindStringSubmatch(text[at[0]:at[1]])), chain)
		if err != nil {
			return "", err
		}
		b.WriteString(text[end:at[0]])
		b.WriteString(part)
		end = at[1]
	}
	b.WriteString(text[end:])
	return b.String(), nil
}

// part is the whole text of a prompt that the last of chain uses.
func (r *resolver) part(ref PromptRef, chain []*Prompt) (string, error) {
	part := r.found[ref]
	if part == nil {
		p, err := findPrompt(r.tx, ref)
		if domain.CodeOf(err) == domain.NotFound {
			err = domain.Errorf(domain.NotFound, "Prompt dependency not found: %s", ref)
		}
		if err != nil {
			return "", err
		}
		part = &p
		r.found[ref] = part
	}
	if err := checkPart(part, chain); err != nil {
		return "", err
	}
	var text string
	if err := json.Unmarshal(part.Prompt, &text); err != nil {
		return "", err
	}
	text, err := r.expand(text, append(slices.Clone(chain), part))
	if err != nil {
		return "", err
	}
	if r.size += len(text); r.size > maxResolved {
		return "", domain.Errorf(domain.Invalid, "its parts are larger than %d MiB together", maxResolved>>20)
	}
	user := chain[len(chain)-1].ID
	if list := r.graph.Dependencies[user]; !slices.Contains(list, node(part)) {
		r.graph.Dependencies[user] = append(list, node(part))
	}
	return text, nil
}

// checkPart refuses what can't stand inside the last of chain: chat, any version
// of a name that is in the chain, and what is too deep.
func checkPart(part *Prompt, chain []*Prompt) error {
	if len(chain) >= maxPromptDepth {
		return domain.Errorf(domain.Invalid, "Maximum nesting depth of %d prompts exceeded", maxPromptDepth)
	}
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
	_, err := newResolver(tx, node(p)).resolve(p)
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
