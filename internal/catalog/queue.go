package catalog

import (
	"context"
	"slices"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
)

// The kinds of an annotation queue, its items and who works on it.
const (
	kindQueue           = "annotationqueue"
	kindQueueItem       = "annotationqueueitem"
	kindQueueAssignment = "annotationqueueassignment"
)

// Queue is an annotation queue: things that people are to score.
type Queue struct {
	ID          string
	Name        string // unique in the project
	Description string
	Configs     []string // ids of the score configs to score by, one or more
	CreatedAt   domain.Time
	UpdatedAt   domain.Time
}

// storedQueue is a queue on disk. Its names never change.
type storedQueue struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Configs     []string `json:"scoreConfigIds"`
	CreatedAt   int64    `json:"createdAt"`
	UpdatedAt   int64    `json:"updatedAt"`
}

// The statuses of an item of a queue.
const (
	QueuePending   = "PENDING"
	QueueCompleted = "COMPLETED"
)

// QueueItem is a thing in a queue.
type QueueItem struct {
	ID          string
	Queue       string
	ObjectType  string // ObjectTrace, ObjectObservation or ObjectSession
	ObjectID    string // need not exist
	Status      string
	CompletedAt domain.Time // not set while pending
	CreatedAt   domain.Time
	UpdatedAt   domain.Time
}

// storedQueueItem is an item on disk. Its names never change.
type storedQueueItem struct {
	Queue       string `json:"queue"`
	ObjectType  string `json:"objectType"`
	ObjectID    string `json:"objectId"`
	Status      string `json:"status"`
	CompletedAt int64  `json:"completedAt,omitempty"`
	CreatedAt   int64  `json:"createdAt"`
	UpdatedAt   int64  `json:"updatedAt"`
}

// CreateQueue adds a queue and gives it its id. Unknown score configs and a
// name that is taken are domain.Invalid.
func (c *Catalog) CreateQueue(ctx context.Context, project string, n Queue) (Queue, error) {
	if err := checkName("name", n.Name); err != nil {
		return n, err
	}
	if n.Configs = unique(n.Configs); len(n.Configs) == 0 {
		return n, invalid("scoreConfigIds", "must name at least one score config")
	}
	n.ID, n.CreatedAt = c.recordID(), domain.TimeOf(c.now())
	n.UpdatedAt = n.CreatedAt
	return n, c.records.Tx(ctx, project, func(tx store.Tx) error {
		for _, id := range n.Configs {
			if _, err := getScoreConfig(tx, id); domain.CodeOf(err) == domain.NotFound {
				return invalid("scoreConfigIds", "names "+id+", which is no score config of the project")
			} else if err != nil {
				return err
			}
		}
		for _, err := range tx.Entries(kindQueue, "name", n.Name, "") {
			if err != nil {
				return err
			}
			return domain.Errorf(domain.Invalid, "A queue with this name already exists in the project")
		}
		return put(tx, kindQueue, n.ID, storedQueue{n.Name, n.Description, n.Configs, n.CreatedAt.Nanos(), n.UpdatedAt.Nanos()},
			store.Key{Name: "name", Value: n.Name, Unique: true}, newestFirst("", n.CreatedAt))
	})
}

// Queue reads one; domain.NotFound.
func (c *Catalog) Queue(ctx context.Context, project, id string) (q Queue, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		q, err = getQueue(tx, id)
		return err
	})
	return q, err
}

// Queues lists a part of a project's queues, the newest first, and says how
// many there are.
func (c *Catalog) Queues(ctx context.Context, project string, skip, limit int) ([]Queue, int, error) {
	return listPage(ctx, c, project, kindQueue, "", skip, limit, decodeQueue)
}

func getQueue(tx store.Tx, id string) (Queue, error) {
	r, err := tx.Get(kindQueue, id)
	if domain.CodeOf(err) == domain.NotFound {
		return Queue{}, domain.Errorf(domain.NotFound, "Annotation queue not found")
	}
	if err != nil {
		return Queue{}, err
	}
	return decodeQueue(r)
}

func decodeQueue(r store.Record) (Queue, error) {
	var s storedQueue
	if err := decode(r, &s); err != nil {
		return Queue{}, err
	}
	return Queue{r.ID, s.Name, s.Description, s.Configs, domain.At(s.CreatedAt), domain.At(s.UpdatedAt)}, nil
}

// queueObjects is what queues take.
var queueObjects = []string{ObjectTrace, ObjectObservation, ObjectSession}

func checkQueueStatus(status string) error {
	if status != QueuePending && status != QueueCompleted {
		return invalid("status", "must be PENDING or COMPLETED")
	}
	return nil
}

// AddQueueItem puts a thing into a queue and gives the item its id; of an
// unknown queue it is domain.NotFound.
func (c *Catalog) AddQueueItem(ctx context.Context, project string, n QueueItem) (QueueItem, error) {
	if n.Status == "" {
		n.Status = QueuePending
	}
	if err := checkQueueStatus(n.Status); err != nil {
		return n, err
	}
	if !slices.Contains(queueObjects, n.ObjectType) {
		return n, invalid("objectType", "must be TRACE, OBSERVATION or SESSION")
	}
	if n.ObjectID == "" {
		return n, invalid("objectId", "is required")
	}
	n.ID, n.CreatedAt = c.recordID(), domain.TimeOf(c.now())
	n.UpdatedAt = n.CreatedAt
	if n.Status == QueueCompleted {
		n.CompletedAt = n.CreatedAt
	}
	return n, c.records.Tx(ctx, project, func(tx store.Tx) error {
		if _, err := getQueue(tx, n.Queue); err != nil {
			return err
		}
		return putQueueItem(tx, &n)
	})
}

// SetQueueItem changes the status of an item, unless it is ""; domain.NotFound.
func (c *Catalog) SetQueueItem(ctx context.Context, project, queue, id, status string) (it QueueItem, err error) {
	if status != "" {
		if err := checkQueueStatus(status); err != nil {
			return it, err
		}
	}
	err = c.records.Tx(ctx, project, func(tx store.Tx) error {
		if it, err = getQueueItem(tx, queue, id); err != nil || status == "" {
			return err
		}
		it.UpdatedAt = domain.TimeOf(c.now())
		switch {
		case status == QueuePending:
			it.CompletedAt = domain.Time{}
		case it.Status != QueueCompleted:
			it.CompletedAt = it.UpdatedAt
		}
		it.Status = status
		return putQueueItem(tx, &it)
	})
	return it, err
}

// DeleteQueueItem takes a thing out of a queue; domain.NotFound.
func (c *Catalog) DeleteQueueItem(ctx context.Context, project, queue, id string) error {
	return c.records.Tx(ctx, project, func(tx store.Tx) error {
		if _, err := getQueueItem(tx, queue, id); err != nil {
			return err
		}
		return tx.Delete(kindQueueItem, id)
	})
}

// QueueItem reads one; domain.NotFound.
func (c *Catalog) QueueItem(ctx context.Context, project, queue, id string) (it QueueItem, err error) {
	err = c.records.View(ctx, project, func(tx store.Tx) error {
		it, err = getQueueItem(tx, queue, id)
		return err
	})
	return it, err
}

// QueueItems lists a part of a queue's items, of one status or "" for all, the
// newest first, and says how many there are.
func (c *Catalog) QueueItems(ctx context.Context, project, queue, status string, skip, limit int) ([]QueueItem, int, error) {
	if _, err := c.Queue(ctx, project, queue); err != nil {
		return nil, 0, err
	}
	if status != "" {
		if err := checkQueueStatus(status); err != nil {
			return nil, 0, err
		}
		queue += "|" + status
	}
	return listPage(ctx, c, project, kindQueueItem, queue, skip, limit, decodeQueueItem)
}

func getQueueItem(tx store.Tx, queue, id string) (QueueItem, error) {
	if _, err := getQueue(tx, queue); err != nil {
		return QueueItem{}, err
	}
	notFound := domain.Errorf(domain.NotFound, "Annotation queue item not found")
	r, err := tx.Get(kindQueueItem, id)
	if domain.CodeOf(err) == domain.NotFound {
		return QueueItem{}, notFound
	}
	if err != nil {
		return QueueItem{}, err
	}
	it, err := decodeQueueItem(r)
	if err == nil && it.Queue != queue {
		return QueueItem{}, notFound
	}
	return it, err
}

func decodeQueueItem(r store.Record) (QueueItem, error) {
	var s storedQueueItem
	if err := decode(r, &s); err != nil {
		return QueueItem{}, err
	}
	return QueueItem{
		CompletedAt: timeOf(s.CompletedAt), ID: r.ID, Queue: s.Queue, ObjectType: s.ObjectType, ObjectID: s.ObjectID, Status: s.Status,
		CreatedAt: domain.At(s.CreatedAt), UpdatedAt: domain.At(s.UpdatedAt),
	}, nil
}

func putQueueItem(tx store.Tx, it *QueueItem) error {
	s := storedQueueItem{
		Queue: it.Queue, ObjectType: it.ObjectType, ObjectID: it.ObjectID, Status: it.Status,
		CompletedAt: nanosOf(it.CompletedAt), CreatedAt: it.CreatedAt.Nanos(), UpdatedAt: it.UpdatedAt.Nanos(),
	}
	return put(tx, kindQueueItem, it.ID, s, newestFirst(it.Queue, it.CreatedAt), newestFirst(it.Queue+"|"+it.Status, it.CreatedAt))
}

// AssignQueue gives a member of the project's organisation a queue to work on,
// or takes it away; again is no error. An unknown queue or member is
// domain.NotFound.
func (c *Catalog) AssignQueue(ctx context.Context, project, queue, user string, assigned bool) error {
	if user == "" {
		return invalid("userId", "is required")
	}
	if err := c.checkMember(ctx, project, user); err != nil {
		return err
	}
	return c.records.Tx(ctx, project, func(tx store.Tx) error {
		if _, err := getQueue(tx, queue); err != nil {
			return err
		}
		id := queue + "|" + user
		if !assigned {
			return tx.Delete(kindQueueAssignment, id)
		}
		return put(tx, kindQueueAssignment, id, struct {
			Queue string `json:"queue"`
			User  string `json:"user"`
		}{queue, user}, store.Key{Name: "user", Value: user}, store.Key{Name: "queue", Value: queue})
	})
}
