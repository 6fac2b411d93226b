package catalog

import (
	"strings"
	"sync"

	"github.com/clewhq/clew/internal/store"
)

// A dataset as of a time that is over is read by the stretches of its census.
// In one that did not change since, the items are those of today. In the others
// the keys of all versions are gone through to see which held then; how many
// that were never changes, so it is remembered.

// itemsAsOf lists what a dataset was made of then.
func (c *Catalog) itemsAsOf(tx store.Tx, project string, f ItemFilter, skip, limit int) (items []DatasetItem, total int, err error) {
	census, err := readCensus(tx, kindItem, f.Dataset)
	if err != nil {
		return nil, 0, err
	}
	from := ""
	for i := len(census.Stretches) - 1; i >= 0; i-- {
		s := &census.Stretches[i]
		p := pastStretch{tx, f, from, s.after()}
		n, err := c.countPast(project, p, s)
		if err != nil {
			return nil, 0, err
		}
		if total+n > skip && len(items) < limit {
			part, err := p.items(s, max(0, skip-total), limit-len(items))
			if err != nil {
				return nil, 0, err
			}
			items = append(items, part...)
		}
		total, from = total+n, s.after()
	}
	return items, total, nil
}

// pastStretch is a stretch of a dataset's items at a time: those whose Sort is
// from from on and before until.
type pastStretch struct {
	tx          store.Tx
	f           ItemFilter
	from, until string
}

// same reports whether the stretch is today what it was.
func (p *pastStretch) same(s *stretch) bool { return s.Changed <= p.f.AsOf.Nanos()/nanosPerMilli }

// items is a part of those that were active.
func (p *pastStretch) items(s *stretch, skip, limit int) (out []DatasetItem, err error) {
	if p.same(s) {
		page, err := p.tx.Page(kindItem, listKey, p.f.Dataset, p.from, skip, min(limit, s.N-skip))
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			it, err := itemOf(p.tx, r)
			if err != nil {
				return nil, err
			}
			out = append(out, it)
		}
		return out, nil
	}
	n := 0
	err = p.each(func(version string) error {
		if n++; n <= skip || len(out) == limit {
			return nil
		}
		r, err := p.tx.Get(kindItemVersion, version)
		if err != nil {
			return err
		}
		it, err := decodeItemVersion(r)
		out = append(out, it)
		return err
	})
	return out, err
}

// each calls f with the record of the version that held of each active item.
func (p *pastStretch) each(f func(version string) error) error {
	then := versionMilli(p.f.AsOf)
	var item, held string // the item that is gone through, and its version that held
	active := false
	for e, err := range p.tx.Entries(kindItemVersion, "history", p.f.Dataset, p.from) {
		if err != nil {
			return err
		}
		created, rest, _ := strings.Cut(e.Sort, historySep)
		if created >= p.until {
			break
		}
		id, rest, _ := strings.Cut(rest, historySep)
		version, status, _ := strings.Cut(rest, historySep)
		if key := e.Sort[:len(created)+len(historySep)+len(id)]; key != item {
			if active {
				if err := f(held); err != nil {
					return err
				}
			}
			item, active = key, false
		}
		if version <= then {
			held, active = e.ID, status == ItemActive
		}
	}
	if active {
		return f(held)
	}
	return nil
}

// countPast is how many items of a stretch were active.
func (c *Catalog) countPast(project string, p pastStretch, s *stretch) (n int, err error) {
	then := p.f.AsOf.Nanos() / nanosPerMilli
	switch {
	case p.same(s):
		return s.N, nil
	case s.From > then:
		return 0, nil
	}
	key := pastKey{project, p.f.Dataset, s.From, then}
	if n, found := c.past.get(key); found {
		return n, nil
	}
	err = p.each(func(string) error { n++; return nil })
	if err == nil {
		c.past.put(key, n)
	}
	return n, err
}

// pastCounts remembers how many items a stretch had at a time that is over.
type pastCounts struct {
	mu     sync.Mutex
	counts map[pastKey]int
}

type pastKey struct {
	project, dataset string
	from, asOf       int64 // milliseconds
}

// maxPastCounts bounds what is remembered; then all is forgotten.
const maxPastCounts = 10_000

func (c *pastCounts) get(k pastKey) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, found := c.counts[k]
	return n, found
}

func (c *pastCounts) put(k pastKey, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil || len(c.counts) >= maxPastCounts {
		c.counts = map[pastKey]int{}
	}
	c.counts[k] = n
}
