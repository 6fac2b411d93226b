package local

import (
	"context"
	"errors"

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

// commitGroup runs a group one after the other, each within a savepoint, and
// commits those that did not fail.
func (c *Catalog) commitGroup(group []*catalogWrite) {
	err := c.inTransaction(group)
	if err == nil {
		return
	}
	// Nothing is kept. A transaction that SQLite did not end itself is ended.
	_ = c.conn.run("ROLLBACK")
	for _, w := range group {
		if w.err == nil && w.panicked == nil {
			w.err = err
		}
	}
}

func (c *Catalog) inTransaction(group []*catalogWrite) error {
	if _, err := c.conn.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, w := range group {
		if w.err = w.ctx.Err(); w.err != nil {
			continue
		}
		if _, err := c.conn.exec("SAVEPOINT one"); err != nil {
			return err
		}
		w.run(c.conn)
		if w.err == nil {
			w.err = w.ctx.Err()
		}
		if w.err != nil || w.panicked != nil {
			// Where the disk is full SQLite has ended the whole transaction.
			if _, err := c.conn.exec("ROLLBACK TO one"); err != nil {
				return errors.Join(w.err, err)
			}
		}
		if _, err := c.conn.exec("RELEASE one"); err != nil {
			return err
		}
	}
	_, err := c.conn.exec("COMMIT")
	return err
}

// run keeps a panic for whoever waits for it.
func (w *catalogWrite) run(conn *sqlConn) {
	defer func() { w.panicked = recover() }()
	w.err = w.f(conn)
}
