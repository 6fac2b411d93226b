package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	_ "modernc.org/sqlite" // registers the driver
)

// rawSQLite is how many rows a second of an observation's width go into an
// SQLite file with the same settings, 400 a transaction: the limit under which
// the server works.
func rawSQLite(ctx context.Context, path string, rows int) (perSecond float64, err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `CREATE TABLE observations (rid INTEGER PRIMARY KEY, project INTEGER, id TEXT, parent TEXT, type INTEGER, name TEXT,
		level INTEGER, start INTEGER, "end" INTEGER, first_token INTEGER, env TEXT, version TEXT, status TEXT, model TEXT, prompt_name TEXT, prompt_version INTEGER,
		cost INTEGER, tok_in INTEGER, tok_out INTEGER, tok_total INTEGER, created INTEGER, updated INTEGER, parts INTEGER, detail BLOB, stamps BLOB)`); err != nil {
		return 0, err
	}
	detail, stamps := make([]byte, 120), make([]byte, 20)
	begun := time.Now()
	for n := 0; n < rows; {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		insert, err := tx.PrepareContext(ctx, `INSERT INTO observations VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`)
		if err != nil {
			return 0, errors.Join(err, tx.Rollback())
		}
		for range 400 {
			n++
			now := begun.UnixNano() + int64(n)
			if _, err := insert.ExecContext(ctx, n/8<<20|n%8, 1, fmt.Sprintf("%016x", n), fmt.Sprintf("%016x", n-n%8), 2, "step", 0, now, now+1e9, nil,
				"production", nil, nil, "gpt-4o", nil, nil, 5010000, 1000, 250, 1250, now, now, 3, detail, stamps); err != nil {
				return 0, errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return float64(rows) / time.Since(begun).Seconds(), nil
}
