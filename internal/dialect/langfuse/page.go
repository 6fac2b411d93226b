package langfuse

import (
	"math"
	"net/url"
	"strconv"
)

// page is the part of a list that a request asks for, by number.
type page struct{ number, limit int }

// The limits of lists by page.
const (
	defaultPageLimit = 50
	maxPageLimit     = 100
)

// pageMeta stands beside every such part; the Python models need all of it.
type pageMeta struct {
	Page       int `json:"page"`
	Limit      int `json:"limit"`
	TotalItems int `json:"totalItems"`
	TotalPages int `json:"totalPages"`
}

// parsePage reads page and limit; an empty one counts as missing.
func parsePage(v url.Values) (page, error) {
	p := page{1, defaultPageLimit}
	for _, q := range [...]struct {
		name string
		to   *int
		most int
	}{{"page", &p.number, math.MaxInt32}, {"limit", &p.limit, maxPageLimit}} {
		text := v.Get(q.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > q.most {
			return p, invalid(q.name, "expected a whole number from 1 to "+strconv.Itoa(q.most))
		}
		*q.to = n
	}
	return p, nil
}

// of is the part of n items, and what is said about it.
func (p page) of(n int) (from, to int, meta pageMeta) {
	from = n
	if p.number-1 <= n/p.limit {
		from = min(n, (p.number-1)*p.limit)
	}
	return from, min(n, from+p.limit), p.meta(int64(n))
}

// skip is how many items stand before the part.
func (p page) skip() int {
	if p.number-1 > math.MaxInt32/p.limit {
		return math.MaxInt32
	}
	return (p.number - 1) * p.limit
}

// meta is what is said about a part of n items.
func (p page) meta(n int64) pageMeta {
	limit := int64(p.limit)
	return pageMeta{p.number, p.limit, int(n), int((n + limit - 1) / limit)}
}
