package catalog

import "sync"

// promptCache keeps resolved prompts, which SDKs fetch on their callers'
// requests. Any write of a prompt in a project drops all of the project's,
// since any prompt may stand in any other.
type promptCache struct {
	mu       sync.Mutex
	projects map[string]*cachedPrompts
	bytes    int // of all that is kept
}

// cachedPrompts is what is kept of one project; age counts its writes.
type cachedPrompts struct {
	age     uint64
	entries map[PromptRef]resolvedPrompt
}

type resolvedPrompt struct {
	prompt Prompt
	graph  *ResolutionGraph
}

// maxCachedPrompts bounds the bytes that are kept; past it all are dropped.
const maxCachedPrompts = 32 << 20

// get finds a prompt, and says how old the project is for a put.
func (c *promptCache) get(project string, ref PromptRef) (r resolvedPrompt, age uint64, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.projects[project]
	if p == nil {
		return r, 0, false
	}
	r, found = p.entries[ref]
	return r, p.age, found
}

// put keeps a prompt that was read after get told that age; one that was read
// before a write is not kept.
func (c *promptCache) put(project string, ref PromptRef, age uint64, r resolvedPrompt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.project(project)
	if p.age != age {
		return
	}
	n := len(r.prompt.Prompt) + len(r.prompt.Config) + 200 // and what stands around them
	if c.bytes += n; c.bytes > maxCachedPrompts {
		c.bytes = n
		for _, p := range c.projects {
			p.entries = map[PromptRef]resolvedPrompt{}
		}
	}
	p.entries[ref] = r
}

// changed drops a project's prompts. It is called after a write was committed
// and before it is answered.
func (c *promptCache) changed(project string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.project(project)
	p.age++
	p.entries = map[PromptRef]resolvedPrompt{} // their bytes are counted until all are dropped
}

func (c *promptCache) project(id string) *cachedPrompts {
	if c.projects == nil {
		c.projects = map[string]*cachedPrompts{}
	}
	p := c.projects[id]
	if p == nil {
		p = &cachedPrompts{entries: map[PromptRef]resolvedPrompt{}}
		c.projects[id] = p
	}
	return p
}
