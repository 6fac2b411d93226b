package local

import (
	"errors"
	"fmt"
	"slices"

	"github.com/clewhq/clew/internal/domain"
)

// migrations are the steps of traces.db, one transaction each, forward only; a
// released one never changes. docs/format/traces.md describes the tables.
var migrations = []string{`
CREATE TABLE projects (pid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);

CREATE TABLE traces (
	tid INTEGER PRIMARY KEY,   -- rises with arrival
	project INTEGER NOT NULL,
	key TEXT NOT NULL,         -- domain.TraceKey of the id
	id TEXT,                   -- as its first writer wrote it, NULL where that is the key
	ts INTEGER, name TEXT, user_id TEXT, session_id TEXT, env TEXT, release TEXT, version TEXT,
	public INTEGER, tags TEXT, -- tags as a JSON array
	n_obs INTEGER NOT NULL, n_debug INTEGER NOT NULL, n_warn INTEGER NOT NULL, n_err INTEGER NOT NULL,
	start_min INTEGER, end_max INTEGER,
	cost INTEGER NOT NULL, tok_in INTEGER NOT NULL, tok_out INTEGER NOT NULL, tok_total INTEGER NOT NULL,
	root TEXT,                 -- id of the observation whose input and output are the trace's
	created INTEGER NOT NULL, updated INTEGER NOT NULL,
	parts INTEGER NOT NULL,
	next_seq INTEGER NOT NULL, -- of its observations
	next_hot INTEGER NOT NULL, -- of its hot chunks
	own BLOB                   -- fold of the trace's own patches, NULL where there are none
);
CREATE UNIQUE INDEX traces_key ON traces (project, key);

CREATE TABLE observations (
	rid INTEGER PRIMARY KEY,   -- tid << 20 | seq
	project INTEGER NOT NULL,
	id TEXT NOT NULL,
	parent TEXT, type INTEGER NOT NULL, name TEXT, level INTEGER NOT NULL,
	start INTEGER NOT NULL, "end" INTEGER, first_token INTEGER,
	env TEXT, version TEXT, status TEXT, model TEXT, prompt_name TEXT, prompt_version INTEGER,
	cost INTEGER, tok_in INTEGER NOT NULL, tok_out INTEGER NOT NULL, tok_total INTEGER NOT NULL,
	created INTEGER NOT NULL, updated INTEGER NOT NULL,
	parts INTEGER NOT NULL,
	detail BLOB,               -- the remaining fields
	stamps BLOB NOT NULL       -- which writes won
);

-- Observations whose trace is not known yet; they wait in a trace of their own id.
CREATE TABLE adrift (project INTEGER, id TEXT, rid INTEGER NOT NULL, PRIMARY KEY (project, id)) WITHOUT ROWID;

-- Observations by hash of (project, id), filled in sorted bulk.
CREATE TABLE ids (hash INTEGER, rid INTEGER, PRIMARY KEY (hash, rid)) WITHOUT ROWID;

CREATE TABLE scores (
	project INTEGER, id TEXT, trace TEXT, ts INTEGER NOT NULL,
	created INTEGER NOT NULL, updated INTEGER NOT NULL,
	writes BLOB NOT NULL,      -- its patches
	PRIMARY KEY (project, id)
) WITHOUT ROWID;
CREATE INDEX scores_trace ON scores (project, trace) WHERE trace IS NOT NULL;

-- Bodies: the chunks of the hot log, and the blocks of the day files.
CREATE TABLE hot (
	k INTEGER PRIMARY KEY,     -- tid << 20 | n
	file INTEGER NOT NULL, off INTEGER NOT NULL, len INTEGER NOT NULL,
	rows BLOB NOT NULL         -- whose items are in it, in their order
);
CREATE TABLE blocks (
	bid INTEGER PRIMARY KEY,
	file INTEGER NOT NULL, off INTEGER NOT NULL, len INTEGER NOT NULL,
	raw INTEGER NOT NULL, dead INTEGER NOT NULL, -- bytes of records, and of those that no trace needs
	erase INTEGER NOT NULL DEFAULT 0             -- 1: it holds deleted bytes and must be rewritten at once
);
CREATE INDEX blocks_erase ON blocks (bid) WHERE erase;
CREATE INDEX blocks_file ON blocks (file);
CREATE TABLE places (
	tid INTEGER, bid INTEGER,
	gen INTEGER NOT NULL,      -- one sealing of the trace: its blocks hold the trace in order
	raw INTEGER NOT NULL,      -- bytes of the trace's record in the block
	PRIMARY KEY (tid, bid)
) WITHOUT ROWID;
CREATE INDEX places_block ON places (bid);

-- Frames that hold deleted bytes and nothing else, until they are overwritten.
CREATE TABLE erasures (file INTEGER, off INTEGER, len INTEGER NOT NULL, PRIMARY KEY (file, off)) WITHOUT ROWID;

-- What changed, one row a commit.
CREATE TABLE changes (seq INTEGER PRIMARY KEY, list BLOB NOT NULL);

CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('ids_covered', 0), ('max_file', 0), ('trimmed', 0), ('probe', 0);
`, `
ALTER TABLE traces ADD COLUMN cost_in INTEGER NOT NULL DEFAULT 0;
ALTER TABLE traces ADD COLUMN cost_out INTEGER NOT NULL DEFAULT 0;

-- What lists, facets and aggregates read: rows column by column.
CREATE TABLE segments (
	sid INTEGER PRIMARY KEY,
	tid_min INTEGER NOT NULL, tid_max INTEGER NOT NULL,
	traces INTEGER NOT NULL, observations INTEGER NOT NULL,
	t_min INTEGER NOT NULL, t_max INTEGER NOT NULL, o_min INTEGER NOT NULL, o_max INTEGER NOT NULL,
	projects BLOB NOT NULL     -- number, traces and observations of each
);
CREATE TABLE columns (sid INTEGER, name TEXT, data BLOB NOT NULL, PRIMARY KEY (sid, name)) WITHOUT ROWID;
-- Traces that changed or went since their segment was made.
CREATE TABLE stale (tid INTEGER PRIMARY KEY);

ALTER TABLE blocks ADD COLUMN search INTEGER NOT NULL DEFAULT 0; -- 1: it has a search filter
CREATE INDEX blocks_search ON blocks (bid) WHERE NOT search;

-- What is sought of scores; filled from their writes.
ALTER TABLE scores ADD COLUMN name TEXT;
ALTER TABLE scores ADD COLUMN type TEXT;
ALTER TABLE scores ADD COLUMN value REAL;
ALTER TABLE scores ADD COLUMN string TEXT;
ALTER TABLE scores ADD COLUMN observation TEXT;
CREATE INDEX scores_ts ON scores (project, ts, id);
CREATE INDEX scores_name ON scores (project, name, trace, observation, type, value, string) WHERE trace IS NOT NULL;
`, `
-- Segments know the times of each project, and columns that older ones lack.
-- They are made anew, from the tables.
DROP TABLE segments;
CREATE TABLE segments (
	sid INTEGER PRIMARY KEY,
	tid_min INTEGER NOT NULL, tid_max INTEGER NOT NULL,
	traces INTEGER NOT NULL, observations INTEGER NOT NULL,
	projects BLOB NOT NULL     -- what it holds of each
);
DELETE FROM columns;
DELETE FROM stale;
`, `
-- Segments count tools; they are made anew.
DELETE FROM segments;
DELETE FROM columns;
DELETE FROM stale;
`, `
-- Segments find metadata by its pairs; they are made anew.
DELETE FROM segments;
DELETE FROM columns;
DELETE FROM stale;
`}

// migrate brings the database to the newest schema.
func migrate(c *sqlConn) error {
	at, err := c.integer("PRAGMA user_version")
	if err != nil {
		return err
	}
	if at > int64(len(migrations)) {
		return domain.Errorf(domain.Unavailable, "traces.db has schema %d, this program knows up to %d: it was written by a newer release", at, len(migrations))
	}
	if at == 0 {
		// Free pages are given back step by step; this can't be set later.
		if err := c.run("PRAGMA auto_vacuum=INCREMENTAL"); err != nil {
			return err
		}
	}
	for i := int(at); i < len(migrations); i++ {
		err := c.tx(func() error {
			if err := c.run(migrations[i]); err != nil {
				return err
			}
			if i == 1 {
				if err := fillScores(c); err != nil {
					return err
				}
			}
			return c.run(fmt.Sprintf("PRAGMA user_version=%d", i+1))
		})
		if err != nil {
			return fmt.Errorf("migration %d: %w", i+1, err)
		}
	}
	return nil
}

// fillScores writes the columns of scores that were stored without them.
func fillScores(c *sqlConn) error {
	type old struct {
		pid, created, updated int64
		id                    string
		writes                []byte
	}
	var all []old
	if err := c.rows("SELECT project, id, created, updated, writes FROM scores", func(r row) error {
		all = append(all, old{r.int(0), r.int(2), r.int(3), r.text(1), slices.Clone(r.blob(4))})
		return nil
	}); err != nil {
		return err
	}
	for _, o := range all {
		writes, err := readScores(o.writes, o.id)
		if err != nil {
			return fmt.Errorf("score %s: %w", o.id, err)
		}
		sc := domain.FoldScores(writes)
		sc.CreatedAt, sc.UpdatedAt = domain.At(o.created), domain.At(o.updated)
		if err := writeScore(c, o.pid, &sc, o.writes); err != nil {
			return err
		}
	}
	return nil
}

// tx runs f in a write transaction, kept if f returns nil.
func (c *sqlConn) tx(f func() error) error {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := f(); err != nil {
		_, undo := c.exec("ROLLBACK")
		return errors.Join(err, undo)
	}
	if _, err := c.exec("COMMIT"); err != nil {
		// A failed COMMIT may leave the transaction open; a refused ROLLBACK says it did not.
		_, _ = c.exec("ROLLBACK")
		return err
	}
	return nil
}
