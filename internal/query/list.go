package query

import "github.com/clewhq/clew/internal/domain"

// List asks for a page of rows of one project.
type List struct {
	View   View
	Filter Filter // nil: all rows
	Order  []Key  // without tie-breakers; none: newest first
	Limit  int
	After  string // a cursor: the page begins behind it
	Before string // a cursor: the page ends before it
	Offset int    // rows to leave out before the page, at most MaxOffset
	Total  bool   // also count all rows that match
	With   With
	Bind   Bind
}

// With is what a list of traces brings along with each.
type With uint8

// What can be brought along.
const (
	WithObservations With = 1 << iota // the ids of its observations
	WithScores                        // its scores and its observations'
)

// MaxOffset bounds how many rows a page may leave out; beyond it, cursors serve.
const MaxOffset = 1_000_000

// Resolved is a List made ready for an engine.
type Resolved struct {
	Conjuncts []Conjunct
	Order     []Key       // with tie-breakers
	After     []SortValue // the rows of the page come behind it in Order
	Back      bool        // so Order is read backwards, from the cursor towards the start
	Bind      Bind
}

// Resolve checks a List and makes it ready. The error is a domain.Error whose
// cause is Errors.
func (l *List) Resolve() (*Resolved, error) {
	r := &Resolved{Order: Order(l.View, l.Order), Bind: l.Bind}
	if err := CheckOrder(l.View, l.Order); err != nil {
		return nil, Invalid(err)
	}
	r.Back = l.Before != ""
	if r.Back && (l.After != "" || l.Offset > 0) {
		return nil, &domain.Error{Code: domain.Invalid, Field: "before", Msg: "a page ends before one cursor or begins behind another, and leaves out no rows"}
	}
	if cursor := l.After + l.Before; cursor != "" {
		at, now, err := DecodeCursor(l.View, r.Order, cursor)
		if es, ok := err.(Errors); ok && r.Back {
			es[0].Field = "before"
		}
		if err != nil {
			return nil, Invalid(err)
		}
		r.After, r.Bind.Now = at, now
	}
	for i := range r.Order {
		r.Order[i].Back = r.Back
	}
	if l.Offset > MaxOffset {
		return nil, &domain.Error{Code: domain.Invalid, Field: "page", Msg: "the page lies too far back; go on from page to page, or use a cursor"}
	}
	f := l.Filter
	if f == nil {
		f = And{}
	}
	var err error
	if r.Conjuncts, err = Plan(l.View, f, r.Bind); err != nil {
		return nil, Invalid(err)
	}
	return r, nil
}

// Invalid is a mistake in a question as the error that a caller is shown.
func Invalid(err error) error {
	e := &domain.Error{Code: domain.Invalid, Msg: err.Error(), Err: err}
	if es, ok := err.(Errors); ok && len(es) > 0 {
		e.Field = es[0].Field
	}
	return e
}
