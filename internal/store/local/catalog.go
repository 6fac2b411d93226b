package local

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
// it returns; transactions that wait for one another are committed together.
type Catalog struct {
	reads *pool
	now   func() time.Time

	committing sync.Mutex // held while conn is used
	conn       *sqlConn   // the one connection that writes

	mu      sync.Mutex // guards what follows
	waiting []*catalogWrite
	leading bool // somebody commits, or has been told to
	closed  bool
}

var _ store.Catalog = (*Catalog)(nil)

// catalogReaders is how many views run at once.
const catalogReaders = 4

// OpenCatalog opens the catalog in the file path, which it makes where it is
// missing, and brings it to the present schema. A file that is damaged, not
// writable, or from a newer release is refused.
func OpenCatalog(path string) (*Catalog, error) {
	conn, err := openConn(path, false)
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", path, catalogError(err))
	}
	c := &Catalog{now: time.Now, conn: conn, reads: newPool(path, catalogReaders)}
	if err := c.migrate(); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog %s: %w", path, catalogError(err)), c.Close())
	}
	return c, nil
}

// CheckCatalog verifies every page and index of a catalog file without
// changing it.
func CheckCatalog(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("check catalog: %w", err)
	}
	c, err := openConn(path, true)
	if err != nil {
		return fmt.Errorf("check catalog %s: %w", path, catalogError(err))
	}
	defer c.Close()
	var faults []string
	err = c.rows("PRAGMA integrity_check(20)", func(r row) error {
		if line := r.text(0); line != "ok" {
			faults = append(faults, line)
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("check catalog %s: damaged: %w", path, catalogError(err))
	}
	if len(faults) > 0 {
		return fmt.Errorf("check catalog %s: damaged: %s", path, strings.Join(faults, "; "))
	}
	n, err := c.integer(`SELECT count(*) FROM keys k WHERE NOT EXISTS
		(SELECT 1 FROM records r WHERE r.project = k.project AND r.kind = k.kind AND r.id = k.id)`)
	if err != nil {
		return fmt.Errorf("check catalog %s: %w", path, catalogError(err))
	}
	if n > 0 {
		return fmt.Errorf("check catalog %s: damaged: %d keys belong to no record", path, n)
	}
	return nil
}

// migrate runs the migrations that the file does not have yet, each in a
// transaction of its own with the number it brings.
func (c *Catalog) migrate() error {
	files, err := fs.Glob(catalogMigrations, "catalog_migrations/*.sql")
	if err != nil {
		return err
	}
	have, err := c.conn.integer("PRAGMA user_version")
	if err != nil {
		return err
	}
	if have > int64(len(files)) {
		return fmt.Errorf("its schema %d is newer than this release, which knows %d", have, len(files))
	}
	for i := int(have); i < len(files); i++ {
		script, err := catalogMigrations.ReadFile(files[i])
		if err != nil {
			return err
		}
		err = c.transact(context.Background(), func(conn *sqlConn) error {
			return conn.run(fmt.Sprintf("%s;\nPRAGMA user_version = %d", script, i+1))
		})
		if err != nil {
			return fmt.Errorf("migration %s: %w", filepath.Base(files[i]), err)
		}
	}
	return nil
}

// Tx implements store.Catalog.
func (c *Catalog) Tx(ctx context.Context, project string, f func(store.Tx) error) error {
	return c.transact(ctx, func(conn *sqlConn) error {
		return f(&catalogTx{ctx: ctx, conn: conn, project: project, writable: true})
	})
}

// View implements store.Catalog.
func (c *Catalog) View(ctx context.Context, project string, f func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return catalogError(c.reads.read(ctx, func(conn *sqlConn) error {
		return f(&catalogTx{ctx: ctx, conn: conn, project: project})
	}))
}

// Lease implements store.Catalog.
func (c *Catalog) Lease(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	held := false
	err := c.transact(ctx, func(conn *sqlConn) error {
		now := c.now()
		n, err := conn.exec(`INSERT INTO leases (name, holder, until) VALUES (?1, ?2, ?3)
			ON CONFLICT (name) DO UPDATE SET holder = ?2, until = ?3 WHERE holder = ?2 OR until <= ?4`,
			name, holder, now.Add(ttl).UnixNano(), now.UnixNano())
		held = n > 0
		return err
	})
	return held, err
}

// Close implements store.Catalog. It waits for what was begun.
func (c *Catalog) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.committing.Lock()
	defer c.committing.Unlock()
	return errors.Join(c.reads.Close(), c.conn.Close())
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
