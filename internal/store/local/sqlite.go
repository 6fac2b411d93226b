package local

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"sync"

	"modernc.org/sqlite"

	"github.com/clewhq/clew/internal/domain"
)

// sqlConn is one connection with its prepared statements. It goes round
// database/sql, whose conversions cost more than the statements themselves
// where a row is narrow. One goroutine uses it at a time.
type sqlConn struct {
	c     driver.Conn
	stmts map[string]*sqlStmt
	args  []driver.NamedValue
}

type sqlStmt struct {
	exec  driver.StmtExecContext
	query driver.StmtQueryContext
	close func() error
}

// pragmas of every connection. FULL makes each commit an fsync of the WAL, so
// that an answer given after it survives the loss of power too.
func openConn(path string, readOnly bool) (*sqlConn, error) {
	q := url.Values{"_pragma": {
		"busy_timeout(5000)",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"wal_autocheckpoint(4000)",
		"journal_size_limit(4194304)",
		"secure_delete(FAST)",
		"cache_size(-8000)",
	}}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	}
	c, err := (&sqlite.Driver{}).Open("file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &sqlConn{c: c, stmts: map[string]*sqlStmt{}}, nil
}

// Close ends the connection and its statements.
func (c *sqlConn) Close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.close())
	}
	return errors.Join(append(errs, c.c.Close())...)
}

func (c *sqlConn) stmt(sql string) (*sqlStmt, error) {
	if s := c.stmts[sql]; s != nil {
		return s, nil
	}
	st, err := c.c.Prepare(sql)
	if err != nil {
		return nil, fmt.Errorf("prepare %.60q: %w", sql, err)
	}
	s := &sqlStmt{close: st.Close}
	var isExec, isQuery bool
	s.exec, isExec = st.(driver.StmtExecContext)
	s.query, isQuery = st.(driver.StmtQueryContext)
	if !isExec || !isQuery {
		return nil, errors.Join(errors.New("the SQLite driver lacks statements with contexts"), st.Close())
	}
	c.stmts[sql] = s
	return s, nil
}

func (c *sqlConn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

// exec runs a statement and returns how many rows it changed.
func (c *sqlConn) exec(sql string, args ...any) (int64, error) {
	s, err := c.stmt(sql)
	if err != nil {
		return 0, err
	}
	r, err := s.exec.ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, fmt.Errorf("%.40q: %w", sql, err)
	}
	n, err := r.RowsAffected()
	return n, err
}

// run runs a statement that is not worth keeping prepared.
func (c *sqlConn) run(sql string) error {
	st, err := c.c.Prepare(sql)
	if err != nil {
		return err
	}
	e, ok := st.(driver.StmtExecContext)
	if !ok {
		return errors.Join(errors.New("the SQLite driver lacks statements with contexts"), st.Close())
	}
	_, err = e.ExecContext(context.Background(), nil)
	return errors.Join(err, st.Close())
}

// row is one result row. Its values are valid until the next one.
type row []driver.Value

func (r row) int(i int) int64 {
	n, _ := r[i].(int64)
	return n
}

func (r row) text(i int) string {
	s, _ := r[i].(string)
	return s
}

func (r row) blob(i int) []byte {
	b, _ := r[i].([]byte)
	return b
}

func (r row) null(i int) bool { return r[i] == nil }

func (r row) time(i int) domain.Time {
	if n, ok := r[i].(int64); ok {
		return domain.At(n)
	}
	return domain.Time{}
}

// errStop ends a query early without being an error of it.
var errStop = errors.New("stop")

// rows calls f with each row of a query; errStop from f ends it early.
func (c *sqlConn) rows(sql string, f func(r row) error, args ...any) (err error) {
	s, err := c.stmt(sql)
	if err != nil {
		return err
	}
	rs, err := s.query.QueryContext(context.Background(), c.bind(args))
	if err != nil {
		return fmt.Errorf("%.40q: %w", sql, err)
	}
	defer func() { err = errors.Join(err, rs.Close()) }()
	r := make(row, len(rs.Columns()))
	for {
		switch err := rs.Next(r); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return fmt.Errorf("%.40q: %w", sql, err)
		}
		if err := f(r); err == errStop {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// one calls f with the only row of a query and reports whether there was one.
func (c *sqlConn) one(sql string, f func(r row), args ...any) (found bool, err error) {
	err = c.rows(sql, func(r row) error {
		found = true
		f(r)
		return errStop
	}, args...)
	return found, err
}

// integer reads a single number, 0 where there is no row or it is null.
func (c *sqlConn) integer(sql string, args ...any) (n int64, err error) {
	_, err = c.one(sql, func(r row) { n = r.int(0) }, args...)
	return n, err
}

// pool lends connections for reading, opened when first needed. Their number
// bounds how many reads run inside SQLite at once.
type pool struct {
	path string
	free chan *sqlConn // nil: may be opened

	mu     sync.Mutex
	closed bool
}

func newPool(path string, n int) *pool {
	p := &pool{path: path, free: make(chan *sqlConn, n)}
	for range n {
		p.free <- nil
	}
	return p
}

// read runs f in one read transaction. f must be quick: while it runs, the WAL
// cannot be cut back. Bodies are read after it.
func (p *pool) read(ctx context.Context, f func(c *sqlConn) error) (err error) {
	var c *sqlConn
	select {
	case c = <-p.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { p.free <- c }()
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return domain.Errorf(domain.Unavailable, "the store is closed")
	}
	if c == nil {
		if c, err = openConn(p.path, true); err != nil {
			return err
		}
	}
	if _, err := c.exec("BEGIN"); err != nil {
		return err
	}
	defer func() {
		if _, end := c.exec("COMMIT"); end != nil {
			err = errors.Join(err, end)
		}
	}()
	return f(c)
}

// Close waits for the reads that run and closes every connection.
func (p *pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	var errs []error
	for range cap(p.free) {
		if c := <-p.free; c != nil {
			errs = append(errs, c.Close())
		}
	}
	for range cap(p.free) {
		p.free <- nil // whoever still waits finds the pool closed
	}
	return errors.Join(errs...)
}
