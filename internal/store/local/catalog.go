package local

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

//go:embed catalog_migrations/*.sql
var catalogMigrations embed.FS

// Catalog is store.Catalog in one SQLite file. Every commit is synced before
// it returns.
type Catalog struct {
	write  *sql.DB    // one connection
	read   *sql.DB    // a few, which cannot write
	writer sync.Mutex // held from BEGIN to COMMIT, so that nobody waits in SQLite's own lock
	now    func() time.Time
}

var _ store.Catalog = (*Catalog)(nil)

// OpenCatalog opens the catalog in the file path, which it makes where it is
// missing, and brings it to the present schema. A file that is damaged, not
// writable, or from a newer release is refused.
func OpenCatalog(path string) (*Catalog, error) {
	c := &Catalog{now: time.Now}
	var err error
	if c.write, err = catalogPool(path, 1, false); err != nil {
		return nil, err
	}
	if c.read, err = catalogPool(path, 4, true); err != nil {
		return nil, errors.Join(err, c.write.Close())
	}
	if err := c.migrate(context.Background()); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog %s: %w", path, catalogError(err)), c.Close())
	}
	return c, nil
}

// CheckCatalog verifies every page and index of a catalog file without
// changing it.
func CheckCatalog(ctx context.Context, path string) error {
	db, err := catalogPool(path, 1, true)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "PRAGMA integrity_check(20)")
	if err != nil {
		return fmt.Errorf("check catalog %s: %w", path, catalogError(err))
	}
	defer rows.Close()
	var faults []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return fmt.Errorf("check catalog %s: %w", path, err)
		}
		if line != "ok" {
			faults = append(faults, line)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("check catalog %s: %w", path, catalogError(err))
	}
	if len(faults) > 0 {
		return fmt.Errorf("check catalog %s: damaged: %s", path, strings.Join(faults, "; "))
	}
	return catalogOrphans(ctx, db, path)
}

// catalogOrphans looks for keys whose record is gone.
func catalogOrphans(ctx context.Context, db *sql.DB, path string) error {
	var n int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM keys k WHERE NOT EXISTS
		(SELECT 1 FROM records r WHERE r.project = k.project AND r.kind = k.kind AND r.id = k.id)`).Scan(&n)
	if err != nil {
		return fmt.Errorf("check catalog %s: %w", path, catalogError(err))
	}
	if n > 0 {
		return fmt.Errorf("check catalog %s: damaged: %d keys belong to no record", path, n)
	}
	return nil
}

// catalogPool prepares connections with the pragmas that make a commit durable.
func catalogPool(path string, conns int, readOnly bool) (*sql.DB, error) {
	q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"journal_size_limit(1048576)", "cache_size(-2000)"}}
	if readOnly {
		q.Set("mode", "ro")
		q["_pragma"] = []string{"busy_timeout(5000)", "query_only(1)", "cache_size(-2000)"}
	}
	name := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(min(conns, 2))
	return db, nil
}

// migrate runs the migrations that the file does not have yet, each in a
// transaction of its own with the number it brings.
func (c *Catalog) migrate(ctx context.Context) error {
	files, err := fs.Glob(catalogMigrations, "catalog_migrations/*.sql")
	if err != nil {
		return err
	}
	var have int
	if err := c.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have > len(files) {
		return fmt.Errorf("its schema %d is newer than this release, which knows %d", have, len(files))
	}
	for i := have; i < len(files); i++ {
		script, err := catalogMigrations.ReadFile(files[i])
		if err != nil {
			return err
		}
		err = c.transact(ctx, func(conn *sql.Conn) error {
			_, err := conn.ExecContext(ctx, fmt.Sprintf("%s;\nPRAGMA user_version = %d", script, i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("migration %s: %w", filepath.Base(files[i]), err)
		}
	}
	return nil
}

// Tx implements store.Catalog.
func (c *Catalog) Tx(ctx context.Context, project string, f func(store.Tx) error) error {
	return c.transact(ctx, func(conn *sql.Conn) error {
		return f(&catalogTx{ctx: ctx, conn: conn, project: project, writable: true})
	})
}

// View implements store.Catalog.
func (c *Catalog) View(ctx context.Context, project string, f func(store.Tx) error) error {
	return catalogRun(ctx, c.read, "BEGIN", func(conn *sql.Conn) error {
		return f(&catalogTx{ctx: ctx, conn: conn, project: project})
	})
}

// Lease implements store.Catalog.
func (c *Catalog) Lease(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	held := false
	err := c.transact(ctx, func(conn *sql.Conn) error {
		now := c.now()
		res, err := conn.ExecContext(ctx, `INSERT INTO leases (name, holder, until) VALUES (?1, ?2, ?3)
			ON CONFLICT (name) DO UPDATE SET holder = ?2, until = ?3 WHERE holder = ?2 OR until <= ?4`,
			name, holder, now.Add(ttl).UnixNano(), now.UnixNano())
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		held = n > 0
		return err
	})
	return held, err
}

// Close implements store.Catalog.
func (c *Catalog) Close() error { return errors.Join(c.read.Close(), c.write.Close()) }

// transact runs f in a transaction on the one connection that writes.
func (c *Catalog) transact(ctx context.Context, f func(*sql.Conn) error) error {
	c.writer.Lock()
	defer c.writer.Unlock()
	return catalogRun(ctx, c.write, "BEGIN IMMEDIATE", f)
}

// catalogRun runs f between begin and COMMIT, or ROLLBACK where f fails.
func catalogRun(ctx context.Context, db *sql.DB, begin string, f func(*sql.Conn) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return catalogError(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return catalogError(err)
	}
	committed := false
	defer func() { // also where f panics
		if !committed {
			// Without the context: what has begun must end even when it is over.
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	if err := f(conn); err != nil {
		return catalogError(err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := conn.ExecContext(context.WithoutCancel(ctx), "COMMIT"); err != nil {
		return catalogError(err)
	}
	committed = true
	return nil
}

// catalogError gives SQLite's failures the codes that callers act on.
func catalogError(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	unavailable := func(msg string) error {
		return &domain.Error{Code: domain.Unavailable, Msg: msg, Err: err}
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return unavailable("the disk is full")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return unavailable("the data folder cannot be written")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return unavailable("the catalog is in use by another program")
	case sqlite3.SQLITE_IOERR:
		return unavailable("the data folder cannot be read or written")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("the file is damaged: %w", err)
	}
	return err
}
