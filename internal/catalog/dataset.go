package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

const kindDataset = "dataset"

// Dataset is a named list of items that applications are tried on.
type Dataset struct {
	ID          string
	Name        string // unique in the project, with "/" between folders
	Description string
	Metadata    json.RawMessage // any JSON, null if none

	// What the items' input and expected output must be, as JSON Schema; null:
	// anything.
	InputSchema          json.RawMessage
	ExpectedOutputSchema json.RawMessage

	CreatedAt domain.Time
	UpdatedAt domain.Time
}

// storedDataset is a dataset on disk. Its names never change.
type storedDataset struct {
	Name                 string          `json:"name"`
	Description          string          `json:"description,omitempty"`
	Metadata             json.RawMessage `json:"metadata,omitempty"`
	InputSchema          json.RawMessage `json:"inputSchema,omitempty"`
	ExpectedOutputSchema json.RawMessage `json:"expectedOutputSchema,omitempty"`
	CreatedAt            int64           `json:"createdAt"`
	UpdatedAt            int64           `json:"updatedAt"`
}

// DatasetChange is what a write says about a dataset: nil leaves a field as it is.
type DatasetChange struct {
	Name                 string
	Description          *string
	Metadata             json.RawMessage
	InputSchema          json.RawMessage
	ExpectedOutputSchema json.RawMessage
}

// checkDatasetName reports what is wrong with a name; it may hold a "|", which
// that of a prompt may not.
func checkDatasetName(name string) error {
	if strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//") {
		return invalid("name", "holds a slash at its beginning or end, or two in a row")
	}
	if htmlTag.MatchString(name) {
		return invalid("name", "holds an HTML tag")
	}
	return checkName("name", name)
}

// SetDataset creates the dataset of that name or changes it. Items that a new
// schema does not allow are domain.Invalid, and nothing is changed.
func (c *Catalog) SetDataset(ctx context.Context, project string, n DatasetChange) (d Dataset, err error) {
	n.Name = strings.TrimSpace(n.Name)
	if err := checkDatasetName(n.Name); err != nil {
		return d, err
	}
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		now := domain.TimeOf(c.now())
		d, err = findDataset(tx, n.Name)
		if domain.CodeOf(err) == domain.NotFound {
			d, err = Dataset{ID: c.recordID(), Name: n.Name, CreatedAt: now}, nil
		}
		if err != nil {
			return err
		}
		d.UpdatedAt = now
		n.apply(&d)
		schemas, err := d.schemas()
		if err != nil {
			return err
		}
		if !isNull(n.InputSchema) || !isNull(n.ExpectedOutputSchema) {
			if err := checkItems(tx, d.ID, schemas); err != nil {
				return err
			}
		}
		return putDataset(tx, &d)
	})
	return d, err
}

func (n *DatasetChange) apply(d *Dataset) {
	if n.Description != nil {
		d.Description = *n.Description
	}
	for _, f := range []struct{ from, to *json.RawMessage }{
		{&n.Metadata, &d.Metadata}, {&n.InputSchema, &d.InputSchema}, {&n.ExpectedOutputSchema, &d.ExpectedOutputSchema},
	} {
		if !isNull(*f.from) {
			*f.to = *f.from
		}
	}
}

// maxFaults is how many items an error about a new schema tells of.
const maxFaults = 10

// checkItems tells which active items of a dataset break its schemas.
func checkItems(tx store.Tx, dataset string, s itemSchemas) error {
	var faults []string
	for r, err := range tx.Find(kindItem, listKey, dataset, "") {
		if err != nil {
			return err
		}
		it, err := itemOf(tx, r)
		if err != nil {
			return err
		}
		if err := s.check(&it); err != nil {
			if len(faults) == maxFaults {
				faults = append(faults, "and more")
				break
			}
			faults = append(faults, fmt.Sprintf("item %s: %v", it.ID, err))
		}
	}
	if len(faults) > 0 {
		return domain.Errorf(domain.Invalid, "Dataset items do not match the new schema: %s", strings.Join(faults, "; "))
	}
	return nil
}

// Dataset reads the one of that name; domain.NotFound.
func (c *Catalog) Dataset(ctx context.Context, project, name string) (d Dataset, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		d, err = findDataset(tx, name)
		return err
	})
	return d, err
}

// DatasetByID reads the one of that id; domain.NotFound.
func (c *Catalog) DatasetByID(ctx context.Context, project, id string) (d Dataset, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		d, err = getDataset(tx, id)
		return err
	})
	return d, err
}

// Datasets lists a part of a project's datasets, the newest first, and says how
// many there are.
func (c *Catalog) Datasets(ctx context.Context, project string, skip, limit int) ([]Dataset, int, error) {
	return listPage(ctx, c, project, kindDataset, "", skip, limit, decodeDataset)
}

func findDataset(tx store.Tx, name string) (Dataset, error) {
	for r, err := range tx.Find(kindDataset, "name", name, "") {
		if err != nil {
			return Dataset{}, err
		}
		return decodeDataset(r)
	}
	return Dataset{}, domain.Errorf(domain.NotFound, "Dataset not found: '%s'", name)
}

func getDataset(tx store.Tx, id string) (Dataset, error) {
	r, err := tx.Get(kindDataset, id)
	if domain.CodeOf(err) == domain.NotFound {
		return Dataset{}, domain.Errorf(domain.NotFound, "Dataset not found: %s", id)
	}
	if err != nil {
		return Dataset{}, err
	}
	return decodeDataset(r)
}

func decodeDataset(r store.Record) (Dataset, error) {
	var s storedDataset
	if err := decode(r, &s); err != nil {
		return Dataset{}, err
	}
	return Dataset{
		r.ID, s.Name, s.Description, s.Metadata, s.InputSchema, s.ExpectedOutputSchema, domain.At(s.CreatedAt), domain.At(s.UpdatedAt),
	}, nil
}

func putDataset(tx store.Tx, d *Dataset) error {
	value, err := marshalPlain(storedDataset{
		d.Name, d.Description, d.Metadata, d.InputSchema, d.ExpectedOutputSchema, d.CreatedAt.Nanos(), d.UpdatedAt.Nanos(),
	})
	if err != nil {
		return err
	}
	return tx.Put(store.Record{Kind: kindDataset, ID: d.ID, Value: value, Keys: []store.Key{
		{Name: "name", Value: d.Name, Unique: true}, newestFirst("", d.CreatedAt),
	}})
}
