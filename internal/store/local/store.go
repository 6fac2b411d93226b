// Package local is the embedded engine: SQLite for what is sought, files of our
// own for bodies, all in one folder that one process owns. It is the default,
// and what every test stands on.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"modernc.org/sqlite"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
	"github.com/clewhq/clew/internal/store/local/body"
)

// Options sets how the engine works; the zero value is what production uses.
type Options struct {
	Derive store.Derive     // fills Observation.Derived; nil leaves it empty
	Log    *slog.Logger     // nil: silent
	Now    func() time.Time // nil: the clock

	// SealAfter is how long a trace must have been quiet before its bodies
	// move from the hot log into compressed blocks; 0 means 5 s, less than 0
	// never (tests then call Maintain).
	SealAfter time.Duration
	HotBytes  int64 // see body.Options; 0: its default
	Readers   int   // reads inside SQLite at once; 0: 4
	Changes   int64 // commits whose changes are kept for Changes; 0: 100,000
}

// Store is an open folder. It implements store.Traces.
type Store struct {
	opts   Options
	dir    string
	log    *slog.Logger
	bodies *body.Files
	reads  *pool

	mu       sync.Mutex // held by whoever writes; guards all below
	db       *sqlConn   // nil once closed
	projects map[string]int64
	names    map[int64]string
	recent   *recent
	spare    spareChunks
	ids      freshIDs
	adrift   int64 // observations without a known trace
	nextTid  int64
	seq      int64 // of the newest commit
	hot      hotBooks
	index    index
	maxFile  int64 // the highest number a body file ever had

	lastCommit int64 // ns
	untidy     bool  // files may go
	dead       bool  // bytes of day files died
	walDirty   bool  // something was written since the log was cut back

	tending sync.Mutex // held by background work, before mu; guards what follows
	packing [2][]byte  // buffers of the sealing: a block, a record
	terms   termSet
	// rolledUp says that no segment lacks its rollups.
	rolledUp bool

	commits  atomic.Uint64
	writeErr atomic.Pointer[error] // why the last commit failed, nil if it did not

	columns *columnCache
	scores  scoreCache

	lock *flock.Flock
	stop context.CancelFunc
	done sync.WaitGroup
}

var _ store.Traces = (*Store)(nil)

// Open opens the folder, creating it if needed. The caller closes the Store.
// A folder that another Store has open, in this process or any other, is refused.
func Open(ctx context.Context, dir string, o Options) (_ *Store, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SealAfter == 0 {
		o.SealAfter = 5 * time.Second
	}
	if o.Readers == 0 {
		o.Readers = 4
	}
	if o.Changes == 0 {
		o.Changes = 100_000
	}
	if o.Derive == nil {
		o.Derive = func(string, *domain.Observation) {}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, public(fmt.Errorf("create data folder: %w", err))
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, public(err)
	}
	path := filepath.Join(dir, "traces.db")
	left, _ := filepath.Glob(filepath.Join(dir, ".probe-*")) // of a process that was killed; a fixed pattern can't be bad
	for _, name := range left {
		_ = os.Remove(name) // it only takes up room
	}
	// SQLite would say of a folder that can't be written only that it can't open
	// its file. A full disk is no reason not to serve reads.
	if err := probe(dir, 1); err != nil && !errors.Is(err, syscall.ENOSPC) {
		return nil, errors.Join(public(err), lock.Close())
	}
	s := &Store{
		lock: lock, opts: o, dir: dir, log: o.Log, reads: newPool(path, o.Readers),
		projects: map[string]int64{}, names: map[int64]string{}, recent: newRecent(), columns: newColumnCache(),
	}
	defer func() {
		if err == nil {
			return
		}
		err = public(err)
		if s.db != nil {
			_ = s.db.Close() // the first error tells more
		}
		_ = lock.Close()
	}()
	if s.db, err = openConn(path, false); err != nil {
		return nil, err
	}
	if err := migrate(s.db); err != nil {
		return nil, err
	}
	if s.maxFile, err = s.db.integer("SELECT value FROM meta WHERE name = 'max_file'"); err != nil {
		return nil, err
	}
	if s.bodies, err = body.Open(filepath.Join(dir, "bodies"), body.Options{HotBytes: o.HotBytes, MinFile: s.maxFile}); err != nil {
		return nil, err
	}
	if err := errors.Join(s.load(), ctx.Err()); err != nil {
		return nil, errors.Join(err, s.bodies.Close())
	}
	s.untidy, s.dead, s.walDirty = true, true, true
	// Not the caller's context: that one bounds the opening alone.
	working, stop := context.WithCancel(context.Background())
	s.stop = stop
	if o.SealAfter > 0 {
		s.done.Add(1)
		go s.maintain(working)
	}
	return s, nil
}

// load reads what the writer keeps in memory.
func (s *Store) load() (err error) {
	if err := s.db.rows("SELECT pid, id FROM projects", func(r row) error {
		s.projects[r.text(1)] = r.int(0)
		s.names[r.int(0)] = r.text(1)
		return nil
	}); err != nil {
		return err
	}
	// The bare maximum is the last row; an expression of it would be a scan.
	last, err := s.db.integer("SELECT max(tid) FROM traces")
	if err != nil {
		return err
	}
	s.nextTid = last + 1
	if s.seq, err = s.db.integer("SELECT max(seq) FROM changes"); err != nil {
		return err
	}
	if s.adrift, err = s.db.integer("SELECT count(*) FROM adrift"); err != nil {
		return err
	}
	if err := s.loadIDs(); err != nil {
		return err
	}
	if err := s.loadIndex(); err != nil {
		return err
	}
	return s.loadHot()
}

// Close implements store.Traces.
func (s *Store) Close() error {
	s.stop()
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	errs := []error{s.flushIDs(), s.reads.Close()}
	errs = append(errs, s.db.Close(), s.bodies.Close(), s.lock.Close()) // the last connection cuts the log back
	s.db = nil
	return public(errors.Join(errs...))
}

// Limits implements store.Traces.
func (s *Store) Limits() store.Limits {
	return store.Limits{Patches: 500, Bytes: 4 << 20}
}

// Ready implements store.Traces. After a failed commit it tries whether
// writing works again.
func (s *Store) Ready(ctx context.Context) error {
	if s.writeErr.Load() == nil {
		return s.reads.read(ctx, func(c *sqlConn) error {
			_, err := c.integer("SELECT value FROM meta WHERE name = 'probe'")
			return err
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return errClosed()
	}
	err := probe(s.dir, probeBytes)
	if err == nil {
		err = s.db.tx(func() error {
			_, err := s.db.exec("UPDATE meta SET value = value + 1 WHERE name = 'probe'")
			return err
		})
	}
	s.noteWrite(err)
	return public(err)
}

// probeBytes is the room that there must be before a store that could not be
// written to counts as ready again: a nearly full disk has some for a row, and
// none for a body.
const probeBytes = 4 << 20

// probe tries whether a file of n bytes can be written in dir.
func probe(dir string, n int) error {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("write to the data folder: %w", err)
	}
	_, err = f.Write(make([]byte, n))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// tx runs f in a write transaction. What f noted of body files counts only if
// it is kept.
func (s *Store) tx(f func() error) error {
	file := s.maxFile
	err := s.db.tx(f)
	if err != nil {
		s.maxFile = file
	}
	return err
}

// noteWrite remembers whether writing works, for Ready.
func (s *Store) noteWrite(err error) {
	if err == nil {
		s.writeErr.Store(nil)
		return
	}
	s.writeErr.Store(&err)
}

// Syncs counts the times that written bytes were forced to the disk, in the
// hot log and by commits: it rises before each answer to a write.
func (s *Store) Syncs() uint64 { return s.bodies.Syncs() + s.commits.Load() }

func errClosed() error { return domain.Errorf(domain.Unavailable, "the store is closed") }

// public gives a failure of the disk a code and a text that a caller may see.
func public(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*domain.Error](err); ok {
		return err
	}
	msg := ""
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		msg = sqliteFailures[e.Code()&0xff]
	}
	switch {
	case errors.Is(err, syscall.ENOSPC):
		msg = "the disk is full"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		msg = "the data folder is not writable"
	case errors.Is(err, syscall.EIO):
		msg = "the disk reports an error"
	case errors.Is(err, body.ErrVersion):
		msg = "the data folder was written by a newer release"
	case errors.Is(err, body.ErrCorrupt), errors.Is(err, errCorrupt):
		msg = "a file of the data folder is damaged; run clew check --data"
	}
	if msg == "" {
		return err
	}
	return &domain.Error{Code: domain.Unavailable, Msg: msg, RetryAfter: 5 * time.Second, Err: err}
}

// sqliteFailures are SQLite's primary result codes that are the disk's fault.
var sqliteFailures = map[int]string{
	8:  "the data folder is not writable",
	10: "the disk reports an error",
	11: "traces.db is damaged; run clew check --data",
	13: "the disk is full",
	14: "the data folder can't be opened",
	26: "traces.db is not a database; run clew check --data",
}

// lockFolder lets one process at a time own a folder. The lock goes with the
// process, however it ends.
func lockFolder(dir string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	switch got, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock the data folder: %w", err)
	case !got:
		return nil, domain.Errorf(domain.Conflict, "the data folder %s is in use by another process", dir)
	}
	return lock, nil
}

// Lock takes a data folder for as long as something other than a Store works on
// it. The caller ends that with the function it returns.
func Lock(dir string) (unlock func() error, err error) {
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, public(err)
	}
	return lock.Close, nil
}
