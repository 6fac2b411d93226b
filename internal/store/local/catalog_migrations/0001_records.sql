-- Records of the catalog, and the keys they are found by.
CREATE TABLE records (
  project TEXT NOT NULL,
  kind    TEXT NOT NULL,
  id      TEXT NOT NULL,
  value   BLOB NOT NULL,
  PRIMARY KEY (project, kind, id)
);

-- One row per key of a record; the order is that in which they are listed.
CREATE TABLE keys (
  project TEXT NOT NULL,
  kind    TEXT NOT NULL,
  name    TEXT NOT NULL,
  value   TEXT NOT NULL,
  sort    TEXT NOT NULL,
  id      TEXT NOT NULL,
  uniq    INTEGER NOT NULL,
  PRIMARY KEY (project, kind, name, value, sort, id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX keys_unique ON keys (project, kind, name, value) WHERE uniq = 1;
CREATE INDEX keys_record ON keys (project, kind, id);

-- Who does which background work until when, in nanoseconds since 1970.
CREATE TABLE leases (
  name   TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  until  INTEGER NOT NULL
) WITHOUT ROWID;
