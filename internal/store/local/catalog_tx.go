package local

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// catalogTx is store.Tx on one connection, within a transaction.
type catalogTx struct {
	ctx      context.Context // of the transaction, which lives as long as f runs
	conn     *sqlConn
	project  string
	writable bool
}

// How many records, and how many keys, a listing reads at a time: it must not
// hold all of them, nor a statement while its caller writes.
const (
	catalogPage = 64
	entriesPage = 1000
)

var errCatalogView = errors.New("catalog: a view cannot write")

// Get implements store.Tx.
func (t *catalogTx) Get(kind, id string) (store.Record, error) {
	rec := store.Record{Kind: kind, ID: id}
	found, err := t.conn.one(`SELECT value FROM records WHERE project = ? AND kind = ? AND id = ?`,
		func(r row) { rec.Value = slices.Clone(r.blob(0)) }, t.project, kind, id)
	if err != nil {
		return store.Record{}, fmt.Errorf("catalog: get %s: %w", kind, err)
	}
	if !found {
		return store.Record{}, domain.Errorf(domain.NotFound, "%s %s not found", kind, id)
	}
	return rec, nil
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
	n, err := t.conn.exec(`INSERT INTO records (project, kind, id, value) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, t.project, r.Kind, r.ID, value)
	if err == nil && n == 0 {
		if _, err = t.conn.exec(`UPDATE records SET value = ? WHERE project = ? AND kind = ? AND id = ?`, value, t.project, r.Kind, r.ID); err == nil {
			err = t.dropKeys(r.Kind, r.ID)
		}
	}
	if err != nil {
		return fmt.Errorf("catalog: put %s: %w", r.Kind, err)
	}
	for _, k := range r.Keys {
		_, err := t.conn.exec(`INSERT INTO keys (project, kind, name, value, sort, id, uniq)
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
	if _, err := t.conn.exec(`DELETE FROM records WHERE project = ? AND kind = ? AND id = ?`, t.project, kind, id); err != nil {
		return fmt.Errorf("catalog: delete %s: %w", kind, err)
	}
	return t.dropKeys(kind, id)
}

func (t *catalogTx) dropKeys(kind, id string) error {
	// Left to itself SQLite goes through all keys of the kind here.
	if _, err := t.conn.exec(`DELETE FROM keys INDEXED BY keys_record WHERE project = ? AND kind = ? AND id = ?`, t.project, kind, id); err != nil {
		return fmt.Errorf("catalog: keys of %s: %w", kind, err)
	}
	return nil
}

// Find implements store.Tx.
func (t *catalogTx) Find(kind, name, value, after string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		at := store.Entry{ID: after}
		if name != "" && after != "" {
			found, err := t.conn.one(`SELECT sort FROM keys WHERE project = ? AND kind = ? AND name = ? AND value = ? AND id = ?`,
				func(r row) { at.Sort = r.text(0) }, t.project, kind, name, value, after)
			if err == nil && !found {
				err = domain.Errorf(domain.NotFound, "%s %s is no longer in the list", kind, after)
			}
			if err != nil {
				yield(store.Record{}, err)
				return
			}
		}
		for more := true; more; {
			page, last, err := t.page(kind, name, value, at)
			if err != nil {
				yield(store.Record{}, fmt.Errorf("catalog: find %s: %w", kind, err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			at, more = last, len(page) == catalogPage
		}
	}
}

// page reads the next records after a place, and the place of the last of them.
func (t *catalogTx) page(kind, name, value string, after store.Entry) (page []store.Record, last store.Entry, err error) {
	if err := t.ctx.Err(); err != nil {
		return nil, last, err
	}
	take := func(r row) error {
		last = store.Entry{Sort: r.text(0), ID: r.text(1)}
		page = append(page, store.Record{Kind: kind, ID: last.ID, Value: slices.Clone(r.blob(2))})
		return nil
	}
	if name == "" {
		err = t.conn.rows(`SELECT '', id, value FROM records WHERE project = ? AND kind = ? AND id > ? ORDER BY id LIMIT ?`,
			take, t.project, kind, after.ID, int64(catalogPage))
	} else {
		err = t.conn.rows(`SELECT k.sort, k.id, r.value
			FROM keys k JOIN records r ON r.project = k.project AND r.kind = k.kind AND r.id = k.id
			WHERE k.project = ? AND k.kind = ? AND k.name = ? AND k.value = ? AND (k.sort, k.id) > (?, ?)
			ORDER BY k.sort, k.id LIMIT ?`, take, t.project, kind, name, value, after.Sort, after.ID, int64(catalogPage))
	}
	return page, last, err
}

// Page implements store.Tx. What is skipped is counted in the index alone.
func (t *catalogTx) Page(kind, name, value, from string, skip, limit int) (page []store.Record, err error) {
	err = t.conn.rows(`SELECT r.id, r.value FROM
		(SELECT sort, id FROM keys WHERE project = ?1 AND kind = ?2 AND name = ?3 AND value = ?4 AND sort >= ?5
			ORDER BY sort, id LIMIT ?6 OFFSET ?7) k
		CROSS JOIN records r ON r.project = ?1 AND r.kind = ?2 AND r.id = k.id ORDER BY k.sort, k.id`,
		func(r row) error {
			page = append(page, store.Record{Kind: kind, ID: r.text(0), Value: slices.Clone(r.blob(1))})
			return t.ctx.Err()
		}, t.project, kind, name, value, from, int64(limit), int64(skip))
	if err != nil {
		return nil, fmt.Errorf("catalog: page of %s: %w", kind, err)
	}
	return page, nil
}

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

func (t *catalogTx) entries(kind, name, value string, after store.Entry) (page []store.Entry, err error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	err = t.conn.rows(`SELECT sort, id FROM keys
		WHERE project = ? AND kind = ? AND name = ? AND value = ? AND (sort, id) > (?, ?) ORDER BY sort, id LIMIT ?`,
		func(r row) error {
			page = append(page, store.Entry{Sort: r.text(0), ID: r.text(1)})
			return nil
		}, t.project, kind, name, value, after.Sort, after.ID, int64(entriesPage))
	return page, err
}

// catalogConflict reports whether a Unique key was held by another record.
func catalogConflict(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}
