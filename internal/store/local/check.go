package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store/local/body"
)

// Report is what Check saw of a data folder.
type Report struct {
	Traces, Observations, Scores int64
	Files, Bytes                 int64    // body files, and how long they are together
	Problems                     []string // what is wrong, at most maxProblems of them; empty where all is well
	Dropped                      int64    // problems beyond those
}

// maxProblems bounds a report on a folder that is damaged throughout.
const maxProblems = 100

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.Dropped++
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// Check verifies a data folder that no process has open: the pages and indexes
// of its databases, every frame of its body files that a row names, and that
// rows, records and totals agree. It repairs nothing. The error says that the
// check itself could not be done; what it found is in the report.
func Check(ctx context.Context, dir string) (*Report, error) {
	if _, err := os.Stat(filepath.Join(dir, "traces.db")); err != nil {
		return nil, domain.Errorf(domain.NotFound, "%s is no data folder: it has no traces.db", dir)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, public(err)
	}
	defer lock.Close()
	r := &Report{}
	c, err := openConn(filepath.Join(dir, "traces.db"), true)
	if err != nil {
		return nil, public(err)
	}
	defer c.Close()
	if at, err := c.integer("PRAGMA user_version"); err == nil && at > 0 && at < int64(len(migrations)) {
		return nil, domain.Errorf(domain.Conflict, "%s was written by an older release: start clew serve on it once, which brings it up to date, then check it", dir)
	}
	bodies, err := body.Open(filepath.Join(dir, "bodies"), body.Options{})
	if err != nil {
		return nil, public(err)
	}
	defer bodies.Close()
	k := &checker{Report: r, dir: dir, c: c, s: &Store{bodies: bodies, opts: Options{Derive: func(string, *domain.Observation) {}}}}
	for _, step := range []func(context.Context) error{k.catalog, k.pages, k.traces, k.ids, k.scores, k.segments, k.frames, k.records} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			// A database this damaged cannot be looked at any further.
			r.problem("%v", err)
			return r, nil
		}
	}
	return r, nil
}

type checker struct {
	*Report
	dir string
	c   *sqlConn
	s   *Store
}

// catalog may be missing where a start was cut off before anybody wrote.
func (k *checker) catalog(ctx context.Context) error {
	path := filepath.Join(k.dir, "catalog.db")
	if _, err := os.Stat(path); err != nil {
		n, err := k.c.integer("SELECT count(*) FROM projects")
		if n > 0 {
			k.problem("catalog.db is missing")
		}
		return err
	}
	if err := CheckCatalog(ctx, path); err != nil {
		k.problem("%v", err)
	}
	return nil
}

func (k *checker) pages(context.Context) error {
	return k.c.rows("PRAGMA integrity_check(20)", func(r row) error {
		if r.text(0) != "ok" {
			k.problem("traces.db: %s", r.text(0))
		}
		return nil
	})
}

// traces decodes every trace and observation and counts again.
func (k *checker) traces(ctx context.Context) error {
	type head struct {
		tid, pid int64
		id       string
		n        int64
		own      bool
	}
	last := int64(0)
	for {
		var page []head
		err := k.c.rows("SELECT "+traceColumns+", project FROM traces WHERE tid > ? ORDER BY tid LIMIT 1000", func(r row) error {
			t, _ := readTrace(r)
			last = r.int(0)
			if own := r.blob(28); own != nil {
				if _, err := readOwn(own); err != nil {
					k.problem("trace %s: what was said of it can't be read: %v", t.ID, err)
				}
			}
			page = append(page, head{last, r.int(31), t.ID, t.Totals.Observations, r.blob(28) != nil})
			return nil
		}, last)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, t := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			k.Traces++
			n, err := k.observations(t.tid, t.id)
			if err != nil {
				return err
			}
			if n != t.n {
				k.problem("trace %s: %d observations are stored, its totals say %d", t.id, n, t.n)
			}
			if n == 0 && !t.own {
				k.problem("trace %s: nothing was ever said of it", t.id)
			}
		}
	}
}

func (k *checker) observations(tid int64, trace string) (n int64, err error) {
	var o domain.Observation
	err = k.c.rows("SELECT "+observationColumns+", stamps FROM observations WHERE rid BETWEEN ? AND ?", func(r row) error {
		n++
		k.Observations++
		err := readObservation(r, &o)
		if err == nil {
			rd := reader{b: r.blob(19)}
			rd.stamps(observationFields, len(o.Tags))
			err = rd.err
		}
		if err != nil {
			k.problem("observation %s of trace %s can't be read: %v", r.text(1), trace, err)
		}
		return nil
	}, tid<<seqBits, (tid+1)<<seqBits-1)
	return n, err
}

// ids looks for entries that lead nowhere.
func (k *checker) ids(context.Context) error {
	for _, q := range [][2]string{
		{"SELECT count(*) FROM ids i WHERE NOT EXISTS (SELECT 1 FROM observations o WHERE o.rid = i.rid)", "entries of ids lead to no observation"},
		{"SELECT count(*) FROM adrift a WHERE NOT EXISTS (SELECT 1 FROM observations o WHERE o.rid = a.rid)", "entries of adrift lead to no observation"},
		{"SELECT count(*) FROM observations o WHERE NOT EXISTS (SELECT 1 FROM traces t WHERE t.tid = o.rid >> 20)", "observations belong to no trace"},
		{"SELECT count(*) FROM hot h WHERE NOT EXISTS (SELECT 1 FROM traces t WHERE t.tid = h.k >> 20)", "hot chunks belong to no trace"},
		{"SELECT count(*) FROM places p WHERE NOT EXISTS (SELECT 1 FROM traces t WHERE t.tid = p.tid)", "places belong to no trace"},
		{"SELECT count(*) FROM places p WHERE NOT EXISTS (SELECT 1 FROM blocks b WHERE b.bid = p.bid)", "places lead to no block"},
		{"SELECT count(*) FROM blocks b WHERE raw - dead <> (SELECT coalesce(sum(raw), 0) FROM places p WHERE p.bid = b.bid)", "blocks miscount their dead bytes"},
	} {
		n, err := k.c.integer(q[0])
		if err != nil {
			return err
		}
		if n > 0 {
			k.problem("%d %s", n, q[1])
		}
	}
	return nil
}

func (k *checker) scores(context.Context) error {
	return k.c.rows("SELECT id, created, updated, writes FROM scores", func(r row) error {
		k.Scores++
		if _, err := readScore(r); err != nil {
			k.problem("%v", err)
		}
		return nil
	})
}

// frames walks every body file: each place that a row names has to be met
// there, sound.
func (k *checker) frames(ctx context.Context) error {
	wanted := map[body.Place]bool{}
	err := k.c.rows("SELECT file, off, len FROM hot UNION ALL SELECT file, off, len FROM blocks", func(r row) error {
		wanted[body.Place{File: r.int(0), Off: r.int(1), Len: r.int(2)}] = true
		return nil
	})
	if err != nil {
		return err
	}
	for _, f := range k.s.bodies.List() {
		k.Files++
		k.Bytes += f.Size
		_, err := k.s.bodies.Verify(ctx, f.File, func(p body.Place, err error) {
			if err == nil {
				delete(wanted, p)
			}
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			k.problem("body file %d: %v", f.File, err)
		}
	}
	for p := range wanted {
		k.problem("bodies are damaged or missing at %v", p)
	}
	return nil
}

// records decodes every item in chunks and blocks; a block must have the record
// of each trace that looks for one there.
func (k *checker) records(ctx context.Context) error {
	type chunk struct {
		k     int64
		place body.Place
		rows  int // entries of its directory
	}
	var chunks []chunk
	if err := k.c.rows("SELECT k, file, off, len, rows FROM hot", func(r row) error {
		c := chunk{r.int(0), body.Place{File: r.int(1), Off: r.int(2), Len: r.int(3)}, 0}
		for rd := (reader{b: r.blob(4)}); len(rd.b) > 0; c.rows++ {
			rd.uint()
		}
		chunks = append(chunks, c)
		return nil
	}); err != nil {
		return err
	}
	var buf []byte
	for _, h := range chunks {
		b, err := k.s.bodies.Chunk(h.place, buf[:0])
		if err != nil {
			continue // frames has reported it
		}
		if n := k.items(h.k>>seqBits, h.place, b); n != h.rows {
			k.problem("trace number %d: %d items at %v, its directory has %d", h.k>>seqBits, n, h.place, h.rows)
		}
		buf = b
	}
	last := int64(0)
	for {
		var bid int64
		var p body.Place
		found, err := k.c.one("SELECT bid, file, off, len FROM blocks WHERE bid > ? ORDER BY bid LIMIT 1", func(r row) {
			bid, p = r.int(0), body.Place{File: r.int(1), Off: r.int(2), Len: r.int(3)}
		}, last)
		if err != nil || !found {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		last = bid
		b, err := k.s.bodies.Block(p, body.Bodies, buf[:0])
		if err != nil {
			continue
		}
		if err := k.block(bid, p, b); err != nil {
			return err
		}
		buf = b
	}
}

func (k *checker) block(bid int64, p body.Place, b []byte) error {
	held := map[int64]int64{}
	if err := eachRecord(b, func(tid int64, items []byte) error {
		held[tid] += int64(len(items))
		k.items(tid, p, items)
		return nil
	}); err != nil {
		k.problem("block %d at %v can't be read: %v", bid, p, err)
	}
	return k.c.rows("SELECT tid, raw FROM places WHERE bid = ?", func(r row) error {
		if held[r.int(0)] != r.int(1) {
			k.problem("block %d at %v holds %d bytes of trace number %d, %d are expected", bid, p, held[r.int(0)], r.int(0), r.int(1))
		}
		return nil
	}, bid)
}

// items decodes items and returns how many there are.
func (k *checker) items(tid int64, p body.Place, b []byte) (n int) {
	for rd := (reader{b: b}); len(rd.b) > 0; n++ {
		if rd.item(); rd.err != nil {
			k.problem("trace number %d: items at %v can't be read: %v", tid, p, rd.err)
			return n
		}
	}
	return n
}
