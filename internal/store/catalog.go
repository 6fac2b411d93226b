package store

import (
	"context"
	"iter"
	"time"
)

// Catalog keeps what people configure, as records: a kind, an id, a value that
// only the package catalog reads, and the keys it is found by. Records belong
// to a project; those of the instance (organisations, projects, users, keys)
// to the project "".
type Catalog interface {
	// Tx runs f in a serialisable transaction on one project's records. It
	// commits when f returns nil and keeps nothing when f fails; f may be run
	// again and must have no effect outside the transaction.
	Tx(ctx context.Context, project string, f func(Tx) error) error

	// View runs f on a consistent state of one project's records; writing in
	// it fails.
	View(ctx context.Context, project string, f func(Tx) error) error

	// Lease takes or prolongs the lease of that name for holder and reports
	// whether holder has it until ttl from now. A lease guards work of which
	// two copies for a moment must be harmless.
	Lease(ctx context.Context, name, holder string, ttl time.Duration) (bool, error)

	// Close ends the use of the catalog.
	Close() error
}

// Record is one thing of the catalog. Keys are only written: what is read has
// none, since all that matters of them is in the value.
type Record struct {
	Kind  string // "project", "apikey", …
	ID    string // unique within (project, kind)
	Value []byte
	Keys  []Key
}

// Key finds records: all with an equal name and value, in the order of Sort. A
// Unique key is held by at most one record of its (project, kind, name, value).
type Key struct {
	Name   string
	Value  string
	Sort   string
	Unique bool
}

// Tx is a transaction on one project's records.
type Tx interface {
	// Get reads one record; domain.NotFound.
	Get(kind, id string) (Record, error)
	// Put writes a record whole, with its keys. A Unique key that another
	// record holds is a domain.Conflict.
	Put(r Record) error
	// Delete removes a record; one that is not there is no error.
	Delete(kind, id string) error
	// Find lists the records of a kind that have the key, in order of (Sort,
	// id), after that of the record id after ("" = from the start). Name ""
	// lists all of the kind by id.
	Find(kind, name, value, after string) iter.Seq2[Record, error]
	// Page lists at most limit records that have the key, in the order of Find:
	// of those whose Sort is not below from all but the first skip. The time it
	// takes grows with skip, though slowly.
	Page(kind, name, value, from string, skip, limit int) ([]Record, error)
	// Entries lists the keys of that name and value from the Sort from on, in
	// the order of Find, without reading their records.
	Entries(kind, name, value, from string) iter.Seq2[Entry, error]
}

// Entry is a place in a list: the Sort of a key, and whose it is.
type Entry struct{ Sort, ID string }
