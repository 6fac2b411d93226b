package local

import (
	"context"

	"github.com/clewhq/clew/internal/domain"
)

// catalogWrite is a transaction that waits for its commit.
type catalogWrite struct {
	ctx      context.Context
	f        func(*sqlConn) error
	err      error
	panicked any       // what f panicked with
	turn     chan bool // true: commit what waits; false: err and panicked are final
}

// transact runs f in a transaction. Whoever finds nobody committing commits for
// all that wait, so that many share one sync of the disk; each of them still
// stands or falls by itself.
func (c *Catalog) transact(ctx context.Context, f func(*sqlConn) error) error {
	w := &catalogWrite{ctx: ctx, f: f, turn: make(chan bool, 1)}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return domain.Errorf(domain.Unavailable, "the catalog is closed")
	}
	c.waiting = append(c.waiting, w)
	lead := !c.leading
	c.leading = true
	c.mu.Unlock()
	if lead || <-w.turn {
		c.commitWaiting()
		<-w.turn
	}
	if w.panicked != nil {
		panic(w.panicked)
	}
	return catalogError(w.err)
}

// maxGroup bounds how long the first of a group waits for the last.
const maxGroup = 64

// commitWaiting commits what waits and passes the lead on.
func (c *Catalog) commitWaiting() {
	c.committing.Lock()
	c.mu.Lock()
	n := min(len(c.waiting), maxGroup)
	group := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	c.mu.Unlock()
	c.commitGroup(group)
	c.committing.Unlock()
	c.mu.Lock()
	if len(c.waiting) > 0 {
		c.waiting[0].turn <- true
	} else {
		c.waiting, c.leading = nil, false
	}
	c.mu.Unlock()
	for _, w := range group {
		w.turn <- false
	}
}

// commitGroup commits a group in one transaction. Where one of them fails none
// is kept and each is run again by itself: failures are few, and savepoints
// around every one would cost more than all of them.
func (c *Catalog) commitGroup(group []*catalogWrite) {
	if len(group) > 1 && c.commitTogether(group) {
		return
	}
	for _, w := range group {
		w.panicked = nil
		c.commitTogether([]*catalogWrite{w})
	}
}

// commitTogether runs all of a group and commits, or keeps nothing and reports
// so; the error is noted where it came up.
func (c *Catalog) commitTogether(group []*catalogWrite) (kept bool) {
	last := group[len(group)-1]
	if _, last.err = c.conn.exec("BEGIN IMMEDIATE"); last.err != nil {
		return false
	}
	kept = true
	for _, w := range group {
		if w.run(c.conn); w.err != nil || w.panicked != nil {
			kept = false
			break
		}
	}
	if kept {
		_, last.err = c.conn.exec("COMMIT")
		kept = last.err == nil
	}
	if !kept {
		_ = c.conn.run("ROLLBACK") // of what SQLite has not ended by itself
	}
	return kept
}

// run runs f unless nobody waits for it any more, and keeps a panic for who does.
func (w *catalogWrite) run(conn *sqlConn) {
	defer func() { w.panicked = recover() }()
	if w.err = w.ctx.Err(); w.err != nil {
		return
	}
	if w.err = w.f(conn); w.err == nil {
		w.err = w.ctx.Err()
	}
}
