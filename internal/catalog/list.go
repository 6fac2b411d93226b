package catalog

import (
	"context"
	"fmt"
	"math"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// listKey is the key by which records are listed, by the thing that they
// belong to: a dataset's items, a queue's; "" for what belongs to the project.
const listKey = "list"

// newestFirst is the key that lists a record among those of owner.
func newestFirst(owner string, created domain.Time) store.Key {
	return store.Key{Name: listKey, Value: owner, Sort: newestSort(created)}
}

// newestSort is a text that is less the later created is: what is left of time
// in milliseconds, then what is left of the millisecond.
func newestSort(created domain.Time) string {
	return fmt.Sprintf("%s%06d", newestMilli(created.Nanos()/nanosPerMilli), nanosPerMilli-1-created.Nanos()%nanosPerMilli)
}

// newestMilli is what newestSort begins with for all of a millisecond since
// 1970: it stands before them.
func newestMilli(milli int64) string { return fmt.Sprintf("%015d", math.MaxInt64/nanosPerMilli-milli) }

const nanosPerMilli = 1_000_000

// WholeList is a limit that takes all of a list.
const WholeList = 1 << 30

// timeOf is a time on disk that may be missing, which is 0 there.
func timeOf(nanos int64) (t domain.Time) {
	if nanos != 0 {
		t = domain.At(nanos)
	}
	return t
}

// nanosOf is a time as it stands on disk, 0 where it is not set.
func nanosOf(t domain.Time) int64 {
	if !t.IsSet() {
		return 0
	}
	return t.Nanos()
}

// listPage reads a part of the records of owner, the newest first, and counts
// them all. It is for lists of some thousands; see census for longer ones.
func listPage[T any](
	ctx context.Context, c *Catalog, project, kind, owner string, skip, limit int, decode func(store.Record) (T, error),
) (out []T, total int, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		out, total = []T{}, 0
		for _, err := range tx.Entries(kind, listKey, owner, "") {
			if err != nil {
				return err
			}
			total++
		}
		page, err := tx.Page(kind, listKey, owner, "", skip, limit)
		if err != nil {
			return err
		}
		for _, r := range page {
			v, err := decode(r)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return nil
	})
	return out, total, err
}
