package langfuse

import (
	"container/list"
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// walks remembers where the pages of lists that are asked for by number ended,
// so that the next page goes on there: while rows are written, nothing is
// repeated or left out. A page whose predecessor is not known is counted off.
type walks struct {
	mu    sync.Mutex
	at    map[string]*list.Element
	order *list.List // of *walk, the latest in front
	now   func() time.Time
}

// walk is one list that somebody reads page by page.
type walk struct {
	key     string
	ends    map[int]string // the cursor behind a page; "" at the end of the list
	used    time.Time
	total   int64
	atLeast bool
	counted time.Time
}

const (
	maxWalks = 10_000
	walkTime = 10 * time.Minute
	maxEnds  = 100 // pages of one walk
)

func newWalks(now func() time.Time) *walks {
	return &walks{at: map[string]*list.Element{}, order: list.New(), now: now}
}

// get is a copy of the walk of that key; a new one where it is not known.
func (w *walks) get(key string) walk {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.at[key]
	if e == nil || w.now().Sub(e.Value.(*walk).used) > walkTime {
		return walk{key: key}
	}
	one := *e.Value.(*walk)
	ends := make(map[int]string, len(one.ends))
	for n, c := range one.ends {
		ends[n] = c
	}
	one.ends = ends
	return one
}

// put keeps a walk.
func (w *walks) put(one walk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one.used = w.now()
	if e := w.at[one.key]; e != nil {
		e.Value = &one
		w.order.MoveToFront(e)
		return
	}
	w.at[one.key] = w.order.PushFront(&one)
	for w.order.Len() > maxWalks {
		last := w.order.Back()
		w.order.Remove(last)
		delete(w.at, last.Value.(*walk).key)
	}
}

// walkKey names a list as a client asks for it: all but the number of the page.
func walkKey(project string, r *http.Request) string {
	v := url.Values{}
	for name, values := range r.URL.Query() {
		if name != "page" {
			v[name] = values
		}
	}
	return project + " " + r.URL.Path + "?" + v.Encode()
}

// listPage reads a page by its number.
func (a *API) listPage(ctx context.Context, project, key string, l query.List, p page) (*store.Page, pageMeta, error) {
	w := a.walks.get(key)
	l.Limit, l.Bind.Now = p.limit, a.now().UnixNano()
	end, known := w.ends[p.number-1]
	switch {
	case p.number == 1:
		w.ends, w.counted = map[int]string{}, time.Time{}
	case known && end == "":
		return &store.Page{}, p.meta(w.total), nil
	case known:
		l.After = end
	default:
		l.Offset = (p.number - 1) * p.limit
	}
	l.Total = w.counted.IsZero() // once a walk, so that its pages agree
	got, err := a.traces.List(ctx, project, l)
	if err != nil {
		return nil, pageMeta{}, err
	}
	if l.Total {
		w.total, w.atLeast, w.counted = got.Total, got.AtLeast, a.now()
	}
	if w.ends == nil || len(w.ends) > maxEnds {
		w.ends = map[int]string{}
	}
	w.ends[p.number] = got.Next
	a.walks.put(w)
	total := w.total
	if w.atLeast { // so that a loop over the pages still sees every row
		more := int64(0)
		if got.Next != "" {
			more = 1
		}
		total = max(total, int64(p.number*p.limit)+more)
	}
	return got, p.meta(total), nil
}
