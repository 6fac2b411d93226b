package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// catalogTx is store.Tx on one connection, between BEGIN and COMMIT.
type catalogTx struct {
	ctx      context.Context // of the transaction, which lives as long as f runs
	conn     *sql.Conn
	project  string
	writable bool
}

// catalogPage is how many records a listing reads at a time: it must not hold
// all of them, nor a statement while its caller writes.
const catalogPage = 64

var errCatalogView = errors.New("catalog: a view cannot write")

// Get implements store.Tx.
func (t *catalogTx) Get(kind, id string) (store.Record, error) {
	r := store.Record{Kind: kind, ID: id}
	err := t.conn.QueryRowContext(t.ctx, `SELECT value FROM records WHERE project = ? AND kind = ? AND id = ?`,
		t.project, kind, id).Scan(&r.Value)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Record{}, domain.Errorf(domain.NotFound, "%s %s not found", kind, id)
	}
	if err != nil {
		return store.Record{}, fmt.Errorf("catalog: get %s: %w", kind, err)
	}
	return r, nil
}

// Put implements store.Tx.
func (t *catalogTx) Put(r store.Record) error {
	if !t.writable {
		return errCatalogView
	}
	value := r.Value
	if value == nil {
		value = []byte{}
	}
	if _, err := t.conn.ExecContext(t.ctx, `INSERT INTO records (project, kind, id, value) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET value = excluded.value`, t.project, r.Kind, r.ID, value); err != nil {
		return fmt.Errorf("catalog: put %s: %w", r.Kind, err)
	}
	if err := t.dropKeys(r.Kind, r.ID); err != nil {
		return err
	}
	for _, k := range r.Keys {
		_, err := t.conn.ExecContext(t.ctx, `INSERT INTO keys (project, kind, name, value, sort, id, uniq)
			VALUES (?, ?, ?, ?, ?, ?, ?)`, t.project, r.Kind, k.Name, k.Value, k.Sort, r.ID, k.Unique)
		if catalogConflict(err) {
			return domain.Errorf(domain.Conflict, "another %s has this %s already", r.Kind, k.Name)
		}
		if err != nil {
			return fmt.Errorf("catalog: put %s: %w", r.Kind, err)
		}
	}
	return nil
}

// Delete implements store.Tx.
func (t *catalogTx) Delete(kind, id string) error {
	if !t.writable {
		return errCatalogView
	}
	if _, err := t.conn.ExecContext(t.ctx, `DELETE FROM records WHERE project = ? AND kind = ? AND id = ?`,
		t.project, kind, id); err != nil {
		return fmt.Errorf("catalog: delete %s: %w", kind, err)
	}
	return t.dropKeys(kind, id)
}

func (t *catalogTx) dropKeys(kind, id string) error {
	// Left to itself SQLite goes through all keys of the kind here.
	if _, err := t.conn.ExecContext(t.ctx, `DELETE FROM keys INDEXED BY keys_record WHERE project = ? AND kind = ? AND id = ?`,
		t.project, kind, id); err != nil {
		return fmt.Errorf("catalog: keys of %s: %w", kind, err)
	}
	return nil
}

// Find implements store.Tx.
func (t *catalogTx) Find(kind, name, value, after string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		sort := ""
		if name != "" && after != "" {
			err := t.conn.QueryRowContext(t.ctx, `SELECT sort FROM keys
				WHERE project = ? AND kind = ? AND name = ? AND value = ? AND id = ?`,
				t.project, kind, name, value, after).Scan(&sort)
			if errors.Is(err, sql.ErrNoRows) {
				err = domain.Errorf(domain.NotFound, "%s %s is no longer in the list", kind, after)
			}
			if err != nil {
				yield(store.Record{}, err)
				return
			}
		}
		for {
			page, sorts, err := t.page(kind, name, value, sort, after)
			if err != nil {
				yield(store.Record{}, fmt.Errorf("catalog: find %s: %w", kind, err))
				return
			}
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
			if len(page) < catalogPage {
				return
			}
			sort, after = sorts[len(sorts)-1], page[len(page)-1].ID
		}
	}
}

// page reads the next records after (sort, id), without their keys, and where
// each stands in the order.
func (t *catalogTx) page(kind, name, value, sort, id string) ([]store.Record, []string, error) {
	var rows *sql.Rows
	var err error
	if name == "" {
		rows, err = t.conn.QueryContext(t.ctx, `SELECT '', id, value FROM records
			WHERE project = ? AND kind = ? AND id > ? ORDER BY id LIMIT ?`, t.project, kind, id, catalogPage)
	} else {
		rows, err = t.conn.QueryContext(t.ctx, `SELECT k.sort, k.id, r.value
			FROM keys k JOIN records r ON r.project = k.project AND r.kind = k.kind AND r.id = k.id
			WHERE k.project = ? AND k.kind = ? AND k.name = ? AND k.value = ? AND (k.sort, k.id) > (?, ?)
			ORDER BY k.sort, k.id LIMIT ?`, t.project, kind, name, value, sort, id, catalogPage)
	}
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	var page []store.Record
	var sorts []string
	for rows.Next() {
		r := store.Record{Kind: kind}
		var s string
		if err := rows.Scan(&s, &r.ID, &r.Value); err != nil {
			return nil, nil, err
		}
		page, sorts = append(page, r), append(sorts, s)
	}
	return page, sorts, rows.Err()
}

// Page implements store.Tx. What is skipped is counted in the index alone.
func (t *catalogTx) Page(kind, name, value, from string, skip, limit int) ([]store.Record, error) {
	rows, err := t.conn.QueryContext(t.ctx, `SELECT r.id, r.value FROM
		(SELECT sort, id FROM keys WHERE project = ?1 AND kind = ?2 AND name = ?3 AND value = ?4 AND sort >= ?5
			ORDER BY sort, id LIMIT ?6 OFFSET ?7) k
		CROSS JOIN records r ON r.project = ?1 AND r.kind = ?2 AND r.id = k.id ORDER BY k.sort, k.id`,
		t.project, kind, name, value, from, limit, skip)
	if err != nil {
		return nil, fmt.Errorf("catalog: page of %s: %w", kind, err)
	}
	defer rows.Close()
	var page []store.Record
	for rows.Next() {
		r := store.Record{Kind: kind}
		if err := rows.Scan(&r.ID, &r.Value); err != nil {
			return nil, fmt.Errorf("catalog: page of %s: %w", kind, err)
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

// entriesPage is how many keys a listing of keys reads at a time.
const entriesPage = 1000

// Entries implements store.Tx.
func (t *catalogTx) Entries(kind, name, value, from string) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		at, more := store.Entry{Sort: from}, true
		for more {
			page, err := t.entries(kind, name, value, at)
			if err != nil {
				yield(at, fmt.Errorf("catalog: keys of %s: %w", kind, err))
				return
			}
			for _, at = range page {
				if !yield(at, nil) {
					return
				}
			}
			more = len(page) == entriesPage
		}
	}
}

func (t *catalogTx) entries(kind, name, value string, after store.Entry) ([]store.Entry, error) {
	rows, err := t.conn.QueryContext(t.ctx, `SELECT sort, id FROM keys
		WHERE project = ? AND kind = ? AND name = ? AND value = ? AND (sort, id) > (?, ?) ORDER BY sort, id LIMIT ?`,
		t.project, kind, name, value, after.Sort, after.ID, entriesPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []store.Entry
	for rows.Next() {
		var e store.Entry
		if err := rows.Scan(&e.Sort, &e.ID); err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return page, rows.Err()
}

// catalogConflict reports whether a Unique key was held by another record.
func catalogConflict(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}
