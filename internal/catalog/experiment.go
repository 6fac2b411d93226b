package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// The kinds of an experiment: itself, and what links a trace to an item of it.
const (
	kindExperiment = "experiment"
	kindRunItem    = "runitem"
)

// Experiment is one run over the items of a dataset, or over items that only
// its spans know. It is made by the first run item or span that names it;
// Langfuse's older API calls it a dataset run.
type Experiment struct {
	ID          string // ExperimentID where it has a dataset
	Name        string
	Description string
	Metadata    json.RawMessage // a JSON object, null if none
	Dataset     string          // id; "" if it has none
	CreatedAt   domain.Time
	UpdatedAt   domain.Time

	// What Parea's API knows of one beside: the name that its runs share, which
	// is also that of its dataset; "", if it did not come from there.
	Group  string
	Status string          // running, completed or failed; "" counts as completed
	Public bool            // shared with whoever has its address
	Stats  json.RawMessage // of the whole dataset, as the client finished it

	// Since is when an earlier experiment of that id was deleted: spans that
	// came before it belong to that one. Not set: there was none.
	Since domain.Time
}

// Has reports whether an observation that names the experiment belongs to it,
// and not to an earlier one of that id.
func (e *Experiment) Has(o *domain.Observation) bool {
	return !e.Since.IsSet() || e.Since.Before(o.CreatedAt)
}

// storedExperiment is an experiment on disk. Its names never change.
type storedExperiment struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	Dataset     string          `json:"dataset,omitempty"`
	Group       string          `json:"group,omitempty"`
	Status      string          `json:"status,omitempty"`
	Public      bool            `json:"isPublic,omitempty"`
	Stats       json.RawMessage `json:"stats,omitempty"`
	Deleted     bool            `json:"deleted,omitempty"`
	Since       int64           `json:"since,omitempty"`
	CreatedAt   int64           `json:"createdAt"`
	UpdatedAt   int64           `json:"updatedAt"`
}

// RunItem says which trace, or which observation of it, an experiment made of
// an item.
type RunItem struct {
	ID            string
	Experiment    string // id
	Item          string // id of the dataset item
	TraceID       string
	ObservationID string // "": the whole trace
	CreatedAt     domain.Time
	UpdatedAt     domain.Time
}

// storedRunItem is a run item on disk. Its names never change.
type storedRunItem struct {
	Experiment    string `json:"experiment"`
	Item          string `json:"item"`
	TraceID       string `json:"traceId"`
	ObservationID string `json:"observationId,omitempty"`
	CreatedAt     int64  `json:"createdAt"`
	UpdatedAt     int64  `json:"updatedAt"`
}

// rawLines undoes the two escapes that encoding/json makes and others do not;
// an escaped backslash stays, so that what follows it is no escape.
var rawLines = strings.NewReplacer(`\\`, `\\`, `\u2028`, "\u2028", `\u2029`, "\u2029")

// ExperimentID is the id of a dataset's experiment of that name. Python 5
// computes the same, so that it needs no call: the first 16 hexadecimal digits
// of the SHA-256 of a compact JSON array without escapes.
func ExperimentID(project, dataset, name string) string {
	text, _ := marshalPlain([]string{"langfuse-experiment-v1", project, dataset, name}) // strings can be marshalled
	sum := sha256.Sum256([]byte(rawLines.Replace(string(text))))
	return hex.EncodeToString(sum[:8])
}

// NewRunItem says what to add to an experiment, which it makes where there is
// none of that name in the item's dataset.
type NewRunItem struct {
	Experiment    string // name
	Description   string // "": as it is
	Metadata      json.RawMessage
	Item          string // id of an active dataset item
	TraceID       string
	ObservationID string
	CreatedAt     domain.Time // not set: now
}

// AddRunItem adds a run item. However many come at once, those of one dataset
// and name belong to one experiment. An item that is not active is
// domain.NotFound.
func (c *Catalog) AddRunItem(ctx context.Context, project string, n NewRunItem) (ri RunItem, e Experiment, err error) {
	if err := checkName("runName", n.Experiment); err != nil {
		return ri, e, err
	}
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		var item storedItem
		found, err := get(tx, kindItem, n.Item, &item)
		if err != nil {
			return err
		}
		if !found || item.Status != ItemActive {
			return domain.Errorf(domain.NotFound, "Dataset item not found or not active: %s", n.Item)
		}
		now := domain.TimeOf(c.now())
		id := ExperimentID(project, item.Dataset, n.Experiment)
		e, err = c.setExperiment(tx, Experiment{ID: id, Name: n.Experiment, Description: n.Description, Metadata: n.Metadata, Dataset: item.Dataset})
		if err != nil {
			return err
		}
		ri = RunItem{c.recordID(), id, n.Item, n.TraceID, n.ObservationID, n.CreatedAt, now}
		if !ri.CreatedAt.IsSet() {
			ri.CreatedAt = now
		}
		return put(tx, kindRunItem, ri.ID, storedRunItem{id, n.Item, n.TraceID, n.ObservationID, ri.CreatedAt.Nanos(), now.Nanos()},
			newestFirst(id, ri.CreatedAt), store.Key{Name: "item", Value: n.Item})
	})
	return ri, e, err
}

// The statuses of an experiment.
const (
	ExperimentRunning   = "running"
	ExperimentCompleted = "completed"
	ExperimentFailed    = "failed"
)

// CreateExperiment begins a run of the experiments that share a group. Its items
// go into the dataset of the group's name, which is made where it is missing. A
// run of that group and name that is there already is a domain.Conflict.
func (c *Catalog) CreateExperiment(ctx context.Context, project string, n Experiment) (Experiment, error) {
	if err := checkDatasetName(n.Group); err != nil {
		return n, err
	}
	if err := checkName("run_name", n.Name); err != nil {
		return n, err
	}
	return n, c.records.Tx(ctx, project, func(tx store.Tx) error {
		now := domain.TimeOf(c.now())
		d, err := findDataset(tx, n.Group)
		if domain.CodeOf(err) == domain.NotFound {
			d = Dataset{ID: c.recordID(), Name: n.Group, CreatedAt: now, UpdatedAt: now}
			err = putDataset(tx, &d)
		}
		if err != nil {
			return err
		}
		n.ID, n.Dataset, n.Status, n.CreatedAt, n.UpdatedAt = ExperimentID(project, d.ID, n.Name), d.ID, ExperimentRunning, now, now
		_, deleted, err := getExperiment(tx, n.ID)
		switch {
		case err == nil:
			return domain.Errorf(domain.Conflict, "Experiment %s already has a run named %s", n.Group, n.Name)
		case domain.CodeOf(err) != domain.NotFound:
			return err
		}
		n.Since = deleted
		return putExperiment(tx, &n, false)
	})
}

// FinishExperiment notes how an experiment ended; what is "" or nil stays as it
// is. It may be told again. domain.NotFound.
func (c *Catalog) FinishExperiment(ctx context.Context, project, id, status string, stats json.RawMessage) (e Experiment, err error) {
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		if e, _, err = getExperiment(tx, id); err != nil {
			return err
		}
		if status != "" {
			e.Status = status
		}
		if !isNull(stats) {
			e.Stats = stats
		}
		e.UpdatedAt = domain.TimeOf(c.now())
		return putExperiment(tx, &e, false)
	})
	return e, err
}

// setExperiment makes the experiment of that id, or brings it to what is said
// of it; what n leaves out stays.
func (c *Catalog) setExperiment(tx store.Tx, n Experiment) (Experiment, error) {
	now := domain.TimeOf(c.now())
	e, deleted, err := getExperiment(tx, n.ID)
	if domain.CodeOf(err) == domain.NotFound {
		e, err = Experiment{ID: n.ID, Since: deleted, CreatedAt: now}, nil
	}
	if err != nil {
		return e, err
	}
	before := e
	for _, f := range []struct{ from, to *string }{
		{&n.Name, &e.Name}, {&n.Description, &e.Description}, {&n.Dataset, &e.Dataset},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	if !isNull(n.Metadata) {
		e.Metadata = n.Metadata
	}
	if e.Name == before.Name && e.Description == before.Description && e.Dataset == before.Dataset && string(e.Metadata) == string(before.Metadata) {
		return e, nil
	}
	e.UpdatedAt = now
	return e, putExperiment(tx, &e, false)
}

// seenExperiments is which experiments are known to be in the catalog as their
// spans have them, so that not every span has to ask.
type seenExperiments struct {
	mu  sync.Mutex
	ids map[string]struct{} // project, NUL, id
}

// maxSeen bounds the experiments that are remembered; then all are forgotten.
const maxSeen = 10_000

func (s *seenExperiments) has(project, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.ids[project+"\x00"+id]
	return found
}

func (s *seenExperiments) add(project, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids == nil || len(s.ids) >= maxSeen {
		s.ids = map[string]struct{}{}
	}
	s.ids[project+"\x00"+id] = struct{}{}
}

func (s *seenExperiments) forget(project, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ids, project+"\x00"+id)
}

// SeeExperiments makes the experiments that spans name, before the spans are
// written: so none can be stored whose experiment is not listed.
func (c *Catalog) SeeExperiments(ctx context.Context, project string, named []domain.Experiment) error {
	var fresh []domain.Experiment
	for _, x := range named {
		if x.ID != "" && !c.seen.has(project, x.ID) && !slices.ContainsFunc(fresh, func(f domain.Experiment) bool { return f.ID == x.ID }) {
			fresh = append(fresh, x)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	err := c.records.Tx(ctx, project, func(tx store.Tx) error {
		for _, x := range fresh {
			n := Experiment{ID: x.ID, Name: x.Name, Description: x.Description, Dataset: x.DatasetID}
			if strings.HasPrefix(x.Metadata, "{") && json.Valid([]byte(x.Metadata)) {
				n.Metadata = json.RawMessage(x.Metadata)
			}
			if _, err := c.setExperiment(tx, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, x := range fresh {
		c.seen.add(project, x.ID)
	}
	return nil
}

// Experiment reads one; domain.NotFound.
func (c *Catalog) Experiment(ctx context.Context, project, id string) (e Experiment, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		e, _, err = getExperiment(tx, id)
		return err
	})
	return e, err
}

// ExperimentOf reads the experiment of that name of a dataset; domain.NotFound.
func (c *Catalog) ExperimentOf(ctx context.Context, project, dataset, name string) (e Experiment, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		e, err = findExperiment(tx, project, dataset, name)
		return err
	})
	return e, err
}

// findExperiment looks for the id that follows from the name, then for the
// newest experiment that spans gave the name with an id of their own.
func findExperiment(tx store.Tx, project, dataset, name string) (Experiment, error) {
	e, _, err := getExperiment(tx, ExperimentID(project, dataset, name))
	if domain.CodeOf(err) != domain.NotFound {
		return e, err
	}
	for r, err := range tx.Find(kindExperiment, "name", experimentName(dataset, name), "") {
		if err != nil {
			return e, err
		}
		e, _, err := decodeExperiment(r)
		return e, err
	}
	return e, domain.Errorf(domain.NotFound, "Dataset run not found: '%s'", name)
}

// DeleteExperiment removes an experiment with its run items; traces stay.
func (c *Catalog) DeleteExperiment(ctx context.Context, project, id string) error {
	err := c.records.Tx(ctx, project, func(tx store.Tx) error {
		e, _, err := getExperiment(tx, id)
		if err != nil {
			return err
		}
		var gone []string
		for x, err := range tx.Entries(kindRunItem, listKey, id, "") {
			if err != nil {
				return err
			}
			gone = append(gone, x.ID)
		}
		for _, id := range gone {
			if err := tx.Delete(kindRunItem, id); err != nil {
				return err
			}
		}
		e.Since = domain.TimeOf(c.now())
		return putExperiment(tx, &e, true)
	})
	c.seen.forget(project, id) // also where it failed: then it is looked at once more
	return err
}

// Experiments lists a part of a dataset's experiments, the newest first, and
// says how many there are.
func (c *Catalog) Experiments(ctx context.Context, project, dataset string, skip, limit int) ([]Experiment, int, error) {
	return listPage(ctx, c, project, kindExperiment, dataset, skip, limit, func(r store.Record) (Experiment, error) {
		e, _, err := decodeExperiment(r)
		return e, err
	})
}

// AllExperiments calls f with every experiment of a project, in no order, until
// it fails.
func (c *Catalog) AllExperiments(ctx context.Context, project string, f func(Experiment) error) error {
	return c.records.View(ctx, project, func(tx store.Tx) error {
		for r, err := range tx.Find(kindExperiment, "", "", "") {
			if err != nil {
				return err
			}
			e, deleted, err := decodeExperiment(r)
			if err == nil && !deleted {
				err = f(e)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// RunItems lists a part of an experiment's run items, the newest first, and
// says how many there are.
func (c *Catalog) RunItems(ctx context.Context, project, experiment string, skip, limit int) ([]RunItem, int, error) {
	return listPage(ctx, c, project, kindRunItem, experiment, skip, limit, decodeRunItem)
}

// getExperiment reads one; of one that was deleted it says when, with
// domain.NotFound.
func getExperiment(tx store.Tx, id string) (e Experiment, deleted domain.Time, err error) {
	notFound := domain.Errorf(domain.NotFound, "Experiment not found: %s", id)
	r, err := tx.Get(kindExperiment, id)
	if domain.CodeOf(err) == domain.NotFound {
		return e, deleted, notFound
	}
	if err != nil {
		return e, deleted, err
	}
	e, isDeleted, err := decodeExperiment(r)
	if err == nil && isDeleted {
		return Experiment{}, e.Since, notFound
	}
	return e, deleted, err
}

func decodeExperiment(r store.Record) (Experiment, bool, error) {
	var s storedExperiment
	if err := decode(r, &s); err != nil {
		return Experiment{}, false, err
	}
	e := Experiment{
		Since: timeOf(s.Since), ID: r.ID, Name: s.Name, Description: s.Description, Metadata: s.Metadata, Dataset: s.Dataset,
		Group: s.Group, Status: s.Status, Public: s.Public, Stats: s.Stats,
		CreatedAt: domain.At(s.CreatedAt), UpdatedAt: domain.At(s.UpdatedAt),
	}
	return e, s.Deleted, nil
}

func putExperiment(tx store.Tx, e *Experiment, deleted bool) error {
	s := storedExperiment{
		Name: e.Name, Description: e.Description, Metadata: e.Metadata, Dataset: e.Dataset, Deleted: deleted,
		Group: e.Group, Status: e.Status, Public: e.Public, Stats: e.Stats, Since: nanosOf(e.Since),
		CreatedAt: e.CreatedAt.Nanos(), UpdatedAt: e.UpdatedAt.Nanos(),
	}
	var keys []store.Key
	if !deleted {
		keys = []store.Key{
			newestFirst(e.Dataset, e.CreatedAt),
			{Name: "name", Value: experimentName(e.Dataset, e.Name), Sort: newestSort(e.CreatedAt)},
		}
	}
	value, err := marshalPlain(s)
	if err != nil {
		return err
	}
	return tx.Put(store.Record{Kind: kindExperiment, ID: e.ID, Value: value, Keys: keys})
}

func experimentName(dataset, name string) string { return dataset + "|" + name }

func decodeRunItem(r store.Record) (RunItem, error) {
	var s storedRunItem
	if err := decode(r, &s); err != nil {
		return RunItem{}, err
	}
	return RunItem{r.ID, s.Experiment, s.Item, s.TraceID, s.ObservationID, domain.At(s.CreatedAt), domain.At(s.UpdatedAt)}, nil
}
