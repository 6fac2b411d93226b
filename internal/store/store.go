// Package store says what Clew asks of its storage: two contracts, Traces for
// telemetry and Catalog for what people configure. Nothing here or above may
// assume SQL, a transaction across traces, or a read before a write. The suite
// in storetest executes every promise; each engine passes it.
package store

import (
	"context"
	"slices"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// Batch is what one request says about one project.
//
// An observation patch whose Value.TraceID is "" counts to the observation of
// that id whose trace is known, else to a trace of the observation's own id;
// it moves when the trace becomes known. If two traces hold the id, one of
// them takes it.
type Batch struct {
	Project      string
	Observations []domain.ObservationPatch
	Traces       []domain.TracePatch
	Scores       []domain.ScorePatch
}

// Len is the number of patches in the batch.
func (b *Batch) Len() int { return len(b.Observations) + len(b.Traces) + len(b.Scores) }

// Traces keeps telemetry: observations, traces and scores. All methods are
// safe for concurrent use. A failure that a client may be told of is a
// *domain.Error.
type Traces interface {
	// Append makes each batch durable and readable before it returns; errs[i]
	// is nil for exactly the batches that are. A non-nil error means "outcome
	// unknown, perhaps partly kept": repeating is always right, since appending
	// a patch again changes nothing. The order of patches, in a batch and over
	// time, never matters: their stamps decide.
	Append(ctx context.Context, batches []Batch) (errs []error)

	// Trace reads one trace with its observations and scores, as of one
	// moment. A trace exists if a patch of it or of one of its observations
	// does. domain.NotFound where it does not. The id may be in any form that
	// domain.TraceKey makes one.
	Trace(ctx context.Context, project, id string) (*Trace, error)

	// Observation reads one observation by its id alone. If several traces
	// hold the id, the same one is answered every time. domain.NotFound.
	Observation(ctx context.Context, project, id string) (*Observation, error)

	// Score reads one score. domain.NotFound.
	Score(ctx context.Context, project, id string) (domain.Score, error)

	// List reads a page of any view, as of one
	// moment that is no earlier than the last Append that was answered. Rows
	// whose order and match do not change between two pages appear on exactly
	// one of them. A mistake in the question is domain.Invalid.
	List(ctx context.Context, project string, l query.List) (*Page, error)

	// Aggregate sums up rows in groups. Quantiles and histograms come from
	// query.Sketch, so that every engine answers the same numbers.
	Aggregate(ctx context.Context, project string, a query.Aggregate) (*query.Result, error)

	// Facet counts the values of a column, the most frequent first, then by
	// value; rows without one are last. What only bodies tell is looked for in
	// the newest rows, for as long as bounds and two thirds of ctx's time allow.
	Facet(ctx context.Context, project string, f query.Facet) (*query.FacetResult, error)

	// DeleteScores removes what was committed of these scores when it began;
	// unknown ids are no error.
	DeleteScores(ctx context.Context, project string, ids []string) error

	// DeleteTraces removes what was committed of these traces, their
	// observations and their scores when it began; unknown ids are no error. A
	// write that races it makes a new trace. What it removed is unreadable
	// when it returns, and its bytes are gone within Limits().EraseWithin.
	DeleteTraces(ctx context.Context, project string, ids []string) error

	// Changes reads what changed after a cursor, at most limit changes: at
	// least once, coalesced, never before its commit, in no promised order. The
	// cursor it returns follows the last of them. ErrGap where the engine no
	// longer holds what followed the cursor: rescan, and go on from Head.
	Changes(ctx context.Context, after Cursor, limit int) ([]Change, Cursor, error)

	// Head is the cursor of now.
	Head(ctx context.Context) (Cursor, error)

	// Limits says how the engine likes to be written to.
	Limits() Limits

	// Ready reports why the store can't be written to, nil if it can.
	Ready(ctx context.Context) error

	// Close returns after everything appended is in its files.
	Close() error
}

// Limits is how an engine likes to be written to.
type Limits struct {
	Patches     int           // a group of batches is closed at this many patches
	Bytes       int           // or at this many bytes of bodies
	Pause       time.Duration // how long a group may wait to fill; 0: not at all
	EraseWithin time.Duration // how long after a delete its bytes may remain
}

// Cursor is a place in the sequence of changes: opaque, at most 4 KiB, only
// handed back.
type Cursor []byte

// ErrGap says that the changes after a cursor are no longer held.
var ErrGap = domain.Errorf(domain.Conflict, "the changes after this cursor are no longer held; read the state anew and go on from the head")

// ChangeKind is what kind of thing changed.
type ChangeKind uint8

// The kinds. Keys are a trace's key, a score's id, a session's id.
const (
	TraceChanged ChangeKind = iota + 1
	ScoreChanged
	SessionChanged
)

// Change says that a thing changed or went. It carries no state: reading the
// key afterwards shows that commit or a later one, and a key that is absent
// was deleted.
type Change struct {
	Kind    ChangeKind
	Project string
	Key     string
}

// Derive computes Observation.Derived from o's fold by the price lists of the
// project as of o.CreatedAt. It is pure and fast: engines call it in a commit.
type Derive func(project string, o *domain.Observation)

// Trace is one trace as of one moment.
type Trace struct {
	Trace        domain.Trace
	RootID       string               // the observation whose input and output stand for the trace's; "" if none
	Observations []domain.Observation // by (start, id)
	Scores       []domain.Score       // by (timestamp, id); those of the trace and of its observations
	Source       Contents
}

// Contents reads the bodies of a trace. It holds no lock and no transaction,
// so a reader may be as slow as it likes; what is later deleted may then be
// missing, as domain.NotFound.
type Contents interface {
	// Own is the content that the trace's own patches said.
	Own(ctx context.Context) (domain.Content, error)
	// Each calls f with the content of each observation in the order of
	// Trace.Observations; the content is valid until f returns. Its memory
	// does not grow with the trace.
	Each(ctx context.Context, f func(i int, c *domain.Content) error) error
}

// Observation is one observation with its bodies, and its trace without.
type Observation struct {
	Observation domain.Observation
	Trace       domain.Trace
	Content     domain.Content
}

// Page is a part of a list.
type Page struct {
	Rows  []Row
	Next  string // a cursor behind the last row; "" where nothing follows
	Prev  string // a cursor before the first row, for query.List.Before; "" where nothing comes before it
	Total int64  // rows that match, where that was asked for
	// AtLeast says that counting stopped early, so that Total is a lower bound.
	AtLeast bool
	// Stopped says that the looking stopped early, at a bound of time or bytes:
	// Next goes on from there, and the page may hold fewer rows than asked for.
	Stopped bool
}

// Place gives a page its cursors, and its rows the order that was asked for.
// The engine found them in r.Order, from the place first to the place last,
// nil where it looked at nothing; more says that there is more behind.
func (p *Page) Place(l *query.List, r *query.Resolved, first, last []query.SortValue, more bool) {
	at := func(place []query.SortValue) string {
		if place == nil {
			return ""
		}
		return query.EncodeCursor(l.View, r.Order, place, r.Bind.Now)
	}
	behind, before := "", ""
	if more {
		behind = at(last)
	}
	if r.After != nil || l.Offset > 0 {
		before = at(first)
	}
	p.Next, p.Prev = behind, before
	if r.Back {
		p.Next, p.Prev = before, behind
		slices.Reverse(p.Rows)
	}
}

// Row is one row of a page; which fields are set depends on the view.
type Row struct {
	Trace        *domain.Trace       // of traces; of observations and scores their trace, nil where it is not known
	Observation  *domain.Observation // of observations
	Score        *domain.Score       // of scores
	Summary      *query.Summary      // of sessions and users
	Observations []string            // of traces: ids of its observations, by (start, id)
	Scores       []domain.Score      // of traces: its scores and its observations', by (timestamp, id)

	// Content reads the bodies of a trace or an observation when they are
	// wanted; its answer is valid until the next call for any row of the page.
	Content func(ctx context.Context) (domain.Content, error)
}
