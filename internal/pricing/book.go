package pricing

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/clewhq/clew/internal/domain"
)

// Book is the price lists in memory: the built-in one, and for each project
// that changed it the versions of its own. Lists are only ever added, each with
// the time it holds from, so that an observation costs the same whenever it is
// derived again. All methods are safe for concurrent use; reads take no lock.
type Book struct {
	builtIn *list
	mu      sync.Mutex // held while state is replaced
	state   atomic.Pointer[state]
}

// state is what changes about a Book; a stored one never does.
type state struct {
	projects   map[string][]*list // by version
	attributes []string
}

// NewBook makes a book that holds the built-in list.
func NewBook() *Book {
	l, err := newList(builtIn(), nil, nil)
	if err != nil {
		panic("pricing: the built-in list is broken: " + err.Error()) // a mistake in this build, which tests show
	}
	b := &Book{builtIn: l}
	b.state.Store(&state{attributes: b.gather(nil)})
	return b
}

// SetProject adds a version of a project's own definitions, all of them, which
// holds for observations committed at or after from; an unset from means ever
// since. Versions count from 1. Setting a version again replaces it. A broken
// definition is domain.Invalid and changes nothing. The definitions belong to
// the book from then on.
func (b *Book) SetProject(project string, defs []Definition, from domain.Time, version int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.state.Load()
	lists := old.projects[project]
	var prev *list
	if len(lists) > 0 {
		prev = lists[len(lists)-1]
	}
	l, err := newList(defs, b.builtIn, prev)
	if err != nil {
		return err
	}
	l.from, l.version = from, version
	at, found := slices.BinarySearchFunc(lists, version, func(l *list, v int64) int { return int(min(max(l.version-v, -1), 1)) })
	lists = slices.Clone(lists)
	if found {
		lists[at] = l
	} else {
		lists = slices.Insert(lists, at, l)
	}
	projects := maps.Clone(old.projects)
	if projects == nil {
		projects = map[string][]*list{}
	}
	projects[project] = lists
	b.state.Store(&state{projects: projects, attributes: b.gather(projects)})
	return nil
}

// gather is the metadata keys that any tier of any list asks for.
func (b *Book) gather(projects map[string][]*list) []string {
	keys := map[string]bool{}
	add := func(key string) { keys[key] = true }
	b.builtIn.attributes(add)
	for _, lists := range projects {
		for _, l := range lists {
			l.attributes(add)
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// AttributeKeys are the top-level keys of an observation's metadata that any
// tier of any list may ask for, sorted: what ingestion keeps as price
// attributes. The slice is shared; don't change it.
func (b *Book) AttributeKeys() []string { return b.state.Load().attributes }

// at is the list in force for a project at a time: of the versions that held by
// then the latest. Of no time at all it is the latest there is.
func (b *Book) at(project string, t domain.Time) *list {
	lists := b.state.Load().projects[project]
	for i := len(lists) - 1; i >= 0; i-- {
		if !t.Before(lists[i].from) {
			return lists[i]
		}
	}
	return b.builtIn
}

// Version is the number of the project's latest list, 0 where it has none.
func (b *Book) Version(project string) int64 { return b.at(project, domain.Time{}).version }

// Match finds the definition that a model text has for an observation that
// starts, and is committed, at that time; the latest list for no time.
func (b *Book) Match(project, model string, at domain.Time) (*Definition, bool) {
	m := b.at(project, at).match(model, at)
	if m == nil {
		return nil, false
	}
	return m.def, true
}

// Definition is today's definition of that id, the project's own or built in.
func (b *Book) Definition(project, id string) (*Definition, bool) {
	for l := b.at(project, domain.Time{}); l != nil; l = l.below {
		for _, m := range l.own {
			if m.def.ID == id {
				return m.def, true
			}
		}
	}
	return nil, false
}

// Definitions is all that a project sees today, in matching order.
func (b *Book) Definitions(project string) []*Definition {
	var out []*Definition
	for l := b.at(project, domain.Time{}); l != nil; l = l.below {
		for _, m := range l.own {
			out = append(out, m.def)
		}
	}
	return out
}
