package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// The kinds of an item: where its newest version is, and what each version says.
const (
	kindItem        = "datasetitem"
	kindItemVersion = "datasetitemversion"
)

// The statuses of an item. Only active ones are listed and run.
const (
	ItemActive   = "ACTIVE"
	ItemArchived = "ARCHIVED"
)

// DatasetItem is one version of an item of a dataset.
type DatasetItem struct {
	ID                  string // chosen by the client or a UUID; unique in the project
	Dataset             string // id of its dataset
	Status              string // ItemActive or ItemArchived
	Input               json.RawMessage
	ExpectedOutput      json.RawMessage
	Metadata            json.RawMessage
	SourceTraceID       string
	SourceObservationID string
	Version             domain.Time // from when on it holds, in whole milliseconds
	CreatedAt           domain.Time // of the item
	UpdatedAt           domain.Time
}

// storedItem is the newest version of an item.
type storedItem struct {
	Dataset   string `json:"dataset"`
	Version   int64  `json:"version"` // milliseconds
	Status    string `json:"status"`
	CreatedAt int64  `json:"createdAt"`
}

// storedItemVersion is a version of an item on disk. Its names never change.
type storedItemVersion struct {
	Item                string          `json:"item"`
	Dataset             string          `json:"dataset"`
	Status              string          `json:"status"`
	Input               json.RawMessage `json:"input,omitempty"`
	ExpectedOutput      json.RawMessage `json:"expectedOutput,omitempty"`
	Metadata            json.RawMessage `json:"metadata,omitempty"`
	SourceTraceID       string          `json:"sourceTraceId,omitempty"`
	SourceObservationID string          `json:"sourceObservationId,omitempty"`
	Version             int64           `json:"version"`
	CreatedAt           int64           `json:"createdAt"`
	UpdatedAt           int64           `json:"updatedAt"`
}

// itemDeleted is the status of the version that ends an item.
const itemDeleted = "DELETED"

// ItemChange is what a write says about an item. A field that is nil, empty or
// JSON's null is left as it is, since SDKs send null for what was not given.
type ItemChange struct {
	ID                  string // "": a new item
	Dataset             string // name of its dataset
	Status              string
	Input               json.RawMessage
	ExpectedOutput      json.RawMessage
	Metadata            json.RawMessage
	SourceTraceID       string
	SourceObservationID string
}

// maxItemID is how many characters the id of an item may have.
const maxItemID = 255

func (n *ItemChange) check() error {
	switch {
	case n.Dataset == "":
		return invalid("datasetName", "is required")
	case n.Status != "" && n.Status != ItemActive && n.Status != ItemArchived:
		return invalid("status", "must be ACTIVE or ARCHIVED")
	case utf8.RuneCountInString(n.ID) > maxItemID:
		return invalid("id", fmt.Sprintf("is longer than %d characters", maxItemID))
	}
	return checkText("id", n.ID)
}

func (n *ItemChange) apply(it *DatasetItem) {
	for _, f := range []struct{ from, to *json.RawMessage }{
		{&n.Input, &it.Input}, {&n.ExpectedOutput, &it.ExpectedOutput}, {&n.Metadata, &it.Metadata},
	} {
		if !isNull(*f.from) {
			*f.to = *f.from
		}
	}
	for _, f := range []struct{ from, to *string }{
		{&n.Status, &it.Status}, {&n.SourceTraceID, &it.SourceTraceID}, {&n.SourceObservationID, &it.SourceObservationID},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
}

// SetItem creates an item or changes it, which makes a new version of it. An
// unknown dataset is domain.NotFound, an id that another dataset has
// domain.Conflict, what the dataset's schemas do not allow domain.Invalid.
func (c *Catalog) SetItem(ctx context.Context, project string, n ItemChange) (it DatasetItem, d Dataset, err error) {
	if err := n.check(); err != nil {
		return it, d, err
	}
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		if d, err = findDataset(tx, n.Dataset); err != nil {
			return err
		}
		it, err = c.setItem(tx, &d, &n)
		return err
	})
	return it, d, err
}

func (c *Catalog) setItem(tx store.Tx, d *Dataset, n *ItemChange) (it DatasetItem, err error) {
	now := domain.TimeOf(c.now())
	it = DatasetItem{ID: n.ID, Dataset: d.ID, Status: ItemActive, CreatedAt: now}
	if n.ID == "" {
		it.ID = c.recordID()
	}
	old, err := getItem(tx, it.ID)
	switch {
	case domain.CodeOf(err) == domain.NotFound:
		// A deleted item may come again; its versions go on.
		if it.Version, err = lastVersion(tx, it.ID); err != nil {
			return it, err
		}
	case err != nil:
		return it, err
	case old.Dataset != d.ID:
		return it, domain.Errorf(domain.Conflict, "The item with id %s belongs to another dataset", it.ID)
	default:
		it = old
	}
	wasActive := old.Status == ItemActive // of a new one it is not
	n.apply(&it)
	it.UpdatedAt, it.Version = now, nextVersion(it.Version, now)
	schemas, err := d.schemas()
	if err != nil {
		return it, err
	}
	if err := schemas.check(&it); err != nil {
		return it, err
	}
	if err := putItem(tx, &it); err != nil {
		return it, err
	}
	by := 0
	if isActive := it.Status == ItemActive; isActive && !wasActive {
		by = +1
	} else if wasActive && !isActive {
		by = -1
	}
	return it, recountItem(tx, &it, by)
}

// nextVersion is when a version begins to hold: now, and after the one before.
// The API tells it in milliseconds, and a read as of what it told must find it.
func nextVersion(last, now domain.Time) domain.Time {
	milli := now.Nanos() / nanosPerMilli
	if last.IsSet() {
		milli = max(milli, last.Nanos()/nanosPerMilli+1)
	}
	return domain.At(milli * nanosPerMilli)
}

// lastVersion is when the newest version of an item that was deleted began, if
// it ever was.
func lastVersion(tx store.Tx, id string) (last domain.Time, err error) {
	for e, err := range tx.Entries(kindItemVersion, "item", id, "") {
		if err != nil {
			return last, err
		}
		milli, err := strconv.ParseInt(e.Sort, 10, 64)
		if err != nil {
			return last, fmt.Errorf("catalog: version of item %s: %w", id, err)
		}
		last = domain.At(milli * nanosPerMilli)
	}
	return last, nil
}

// recountItem counts a version of an item, and the item in or out, where items
// are listed: in its dataset, and in the project.
func recountItem(tx store.Tx, it *DatasetItem, by int) error {
	if err := recount(tx, kindItem, it.Dataset, it.CreatedAt, it.Version, by); err != nil || by == 0 {
		return err
	}
	return recount(tx, kindItem, "", it.CreatedAt, it.Version, by)
}

// DeleteItem removes an item and the run items of it, and returns it as it was;
// reads as of a time before go on to show it. domain.NotFound.
func (c *Catalog) DeleteItem(ctx context.Context, project, id string) (it DatasetItem, err error) {
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		if it, err = getItem(tx, id); err != nil {
			return err
		}
		end := it
		end.Status, end.Input, end.ExpectedOutput, end.Metadata = itemDeleted, nil, nil, nil
		end.Version = nextVersion(it.Version, domain.TimeOf(c.now()))
		if err := putItemVersion(tx, &end); err != nil {
			return err
		}
		if err := tx.Delete(kindItem, id); err != nil {
			return err
		}
		by := 0
		if it.Status == ItemActive {
			by = -1
		}
		if err := recountItem(tx, &end, by); err != nil {
			return err
		}
		var gone []string
		for e, err := range tx.Entries(kindRunItem, "item", id, "") {
			if err != nil {
				return err
			}
			gone = append(gone, e.ID)
		}
		for _, id := range gone {
			if err := tx.Delete(kindRunItem, id); err != nil {
				return err
			}
		}
		return nil
	})
	return it, err
}

// Item reads the newest version of an item, whatever its status, and its
// dataset; domain.NotFound.
func (c *Catalog) Item(ctx context.Context, project, id string) (it DatasetItem, d Dataset, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		if it, err = getItem(tx, id); err == nil {
			d, err = getDataset(tx, it.Dataset)
		}
		return err
	})
	return it, d, err
}

// ItemFilter says which active items a list has.
type ItemFilter struct {
	Dataset             string // id; "": of every dataset
	SourceTraceID       string
	SourceObservationID string
	AsOf                domain.Time // not set: now; needs Dataset
}

// Items lists a part of the items that f takes, the newest first, and says how
// many there are.
func (c *Catalog) Items(ctx context.Context, project string, f ItemFilter, skip, limit int) (items []DatasetItem, total int, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		switch {
		case f.SourceTraceID != "" || f.SourceObservationID != "":
			items, total, err = itemsBySource(tx, f, skip, limit)
			return err
		case f.AsOf.IsSet() && f.AsOf.Nanos()/nanosPerMilli < c.now().UnixMilli(): // in this millisecond more may begin
			items, total, err = c.itemsAsOf(tx, project, f, skip, limit)
			return err
		}
		page, n, err := censusPage(tx, kindItem, f.Dataset, skip, limit)
		if err != nil {
			return err
		}
		items, total = make([]DatasetItem, len(page)), n
		for i, r := range page {
			if items[i], err = itemOf(tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	return items, total, err
}

// itemsBySource finds items by where they come from, of which there are few.
func itemsBySource(tx store.Tx, f ItemFilter, skip, limit int) (items []DatasetItem, total int, err error) {
	name, value := "trace", f.SourceTraceID
	if value == "" {
		name, value = "observation", f.SourceObservationID
	}
	// The key is on every version: an item is taken if the version of the time
	// that is asked for has it.
	seen := map[string]bool{}
	for r, err := range tx.Find(kindItemVersion, name, value, "") {
		if err != nil {
			return nil, 0, err
		}
		v, err := decodeItemVersion(r)
		if err != nil {
			return nil, 0, err
		}
		if f.Dataset != "" && v.Dataset != f.Dataset || seen[v.ID] {
			continue
		}
		seen[v.ID] = true
		it, found, err := versionAsOf(tx, v.ID, f.AsOf)
		if err != nil {
			return nil, 0, err
		}
		if found && it.Status == ItemActive && (f.SourceTraceID == "" || it.SourceTraceID == f.SourceTraceID) &&
			(f.SourceObservationID == "" || it.SourceObservationID == f.SourceObservationID) {
			items = append(items, it)
		}
	}
	slices.SortFunc(items, func(a, b DatasetItem) int {
		return strings.Compare(newestSort(a.CreatedAt)+a.ID, newestSort(b.CreatedAt)+b.ID)
	})
	total = len(items)
	return items[min(skip, total):min(skip+limit, total)], total, nil
}

// versionAsOf is the version of an item that held then.
func versionAsOf(tx store.Tx, id string, at domain.Time) (it DatasetItem, found bool, err error) {
	if !at.IsSet() {
		it, err = getItem(tx, id)
		if domain.CodeOf(err) == domain.NotFound {
			return it, false, nil
		}
		return it, err == nil, err
	}
	for r, err := range tx.Find(kindItemVersion, "item", id, "") {
		if err != nil {
			return it, false, err
		}
		v, err := decodeItemVersion(r)
		if err != nil {
			return it, false, err
		}
		if v.Version.Nanos() > at.Nanos() {
			break
		}
		it, found = v, true
	}
	return it, found, nil
}

// historySep divides the parts of a version's sort: it is less than what may
// stand in an id, so that items come in the order of their ids.
const historySep = "\t"

func versionMilli(t domain.Time) string { return fmt.Sprintf("%015d", t.Nanos()/nanosPerMilli) }

// getItem reads the newest version of an item.
func getItem(tx store.Tx, id string) (DatasetItem, error) {
	r, err := tx.Get(kindItem, id)
	if domain.CodeOf(err) == domain.NotFound {
		return DatasetItem{}, domain.Errorf(domain.NotFound, "Dataset item not found: %s", id)
	}
	if err != nil {
		return DatasetItem{}, err
	}
	return itemOf(tx, r)
}

// itemOf is the version that the record of an item points to.
func itemOf(tx store.Tx, r store.Record) (DatasetItem, error) {
	var s storedItem
	if err := decode(r, &s); err != nil {
		return DatasetItem{}, err
	}
	v, err := tx.Get(kindItemVersion, itemVersionID(r.ID, s.Version))
	if err != nil {
		return DatasetItem{}, err
	}
	return decodeItemVersion(v)
}

func itemVersionID(item string, milli int64) string { return fmt.Sprintf("%s@%015d", item, milli) }

func decodeItemVersion(r store.Record) (DatasetItem, error) {
	var s storedItemVersion
	if err := decode(r, &s); err != nil {
		return DatasetItem{}, err
	}
	return DatasetItem{
		s.Item, s.Dataset, s.Status, s.Input, s.ExpectedOutput, s.Metadata, s.SourceTraceID, s.SourceObservationID,
		domain.At(s.Version * nanosPerMilli), domain.At(s.CreatedAt), domain.At(s.UpdatedAt),
	}, nil
}

// putItem writes a version and makes it the newest.
func putItem(tx store.Tx, it *DatasetItem) error {
	if err := putItemVersion(tx, it); err != nil {
		return err
	}
	var keys []store.Key
	if it.Status == ItemActive {
		keys = []store.Key{newestFirst(it.Dataset, it.CreatedAt), newestFirst("", it.CreatedAt)}
	}
	return put(tx, kindItem, it.ID, storedItem{it.Dataset, it.Version.Nanos() / nanosPerMilli, it.Status, it.CreatedAt.Nanos()}, keys...)
}

func putItemVersion(tx store.Tx, it *DatasetItem) error {
	milli := it.Version.Nanos() / nanosPerMilli
	value, err := marshalPlain(storedItemVersion{
		it.ID, it.Dataset, it.Status, it.Input, it.ExpectedOutput, it.Metadata, it.SourceTraceID, it.SourceObservationID,
		milli, it.CreatedAt.Nanos(), it.UpdatedAt.Nanos(),
	})
	if err != nil {
		return err
	}
	version := versionMilli(it.Version)
	keys := []store.Key{
		{Name: "item", Value: it.ID, Sort: version},
		{Name: "history", Value: it.Dataset, Sort: strings.Join([]string{newestSort(it.CreatedAt), it.ID, version, it.Status}, historySep)},
	}
	if it.SourceTraceID != "" {
		keys = append(keys, store.Key{Name: "trace", Value: it.SourceTraceID})
	}
	if it.SourceObservationID != "" {
		keys = append(keys, store.Key{Name: "observation", Value: it.SourceObservationID})
	}
	return tx.Put(store.Record{Kind: kindItemVersion, ID: itemVersionID(it.ID, milli), Value: value, Keys: keys})
}
