package langfuse

import (
	"net/http"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/httpio"
)

func (a *API) queueRoutes(mux *http.ServeMux) {
	queues, one := prefix+"/annotation-queues", prefix+"/annotation-queues/{queueId}"
	items, item := one+"/items", one+"/items/{itemId}"
	a.handle(mux, queues, map[string]handler{"GET": a.listQueues})
	a.handleAs(mux, queues, toWriteTraces, map[string]handler{"POST": a.postQueue})
	a.handle(mux, one, map[string]handler{"GET": a.getQueue})
	a.handle(mux, items, map[string]handler{"GET": a.listQueueItems})
	a.handleAs(mux, items, toWriteTraces, map[string]handler{"POST": a.postQueueItem})
	a.handle(mux, item, map[string]handler{"GET": a.getQueueItem})
	a.handleAs(mux, item, toWriteTraces, map[string]handler{"PATCH": a.patchQueueItem, "DELETE": a.deleteQueueItem})
	a.handleAs(mux, one+"/assignments", toWriteTraces, map[string]handler{"POST": a.postAssignment, "DELETE": a.deleteAssignment})
}

// queueReply is an annotation queue as the API shows it.
type queueReply struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description *string  `json:"description"`
	Configs     []string `json:"scoreConfigIds"`
	CreatedAt   string   `json:"createdAt"`
	UpdatedAt   string   `json:"updatedAt"`
}

func toQueue(q *catalog.Queue) queueReply {
	return queueReply{q.ID, q.Name, textOrNil(q.Description), q.Configs, wireTime(q.CreatedAt), wireTime(q.UpdatedAt)}
}

// queueItemReply is an item of a queue as the API shows it.
type queueItemReply struct {
	ID          string  `json:"id"`
	QueueID     string  `json:"queueId"`
	ObjectID    string  `json:"objectId"`
	ObjectType  string  `json:"objectType"`
	Status      string  `json:"status"`
	CompletedAt *string `json:"completedAt"`
	CreatedAt   string  `json:"createdAt"`
	UpdatedAt   string  `json:"updatedAt"`
}

func toQueueItem(it *catalog.QueueItem) queueItemReply {
	r := queueItemReply{it.ID, it.Queue, it.ObjectID, it.ObjectType, it.Status, nil, wireTime(it.CreatedAt), wireTime(it.UpdatedAt)}
	if it.CompletedAt.IsSet() {
		at := wireTime(it.CompletedAt)
		r.CompletedAt = &at
	}
	return r
}

// postQueue serves POST /annotation-queues.
func (a *API) postQueue(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in struct {
		Name        string   `json:"name"`
		Description *string  `json:"description"`
		Configs     []string `json:"scoreConfigIds"`
	}
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	q, err := a.catalog.CreateQueue(r.Context(), p.Project, catalog.Queue{Name: in.Name, Description: textOf(in.Description), Configs: in.Configs})
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toQueue(&q))
	return nil
}

// listQueues serves GET /annotation-queues, the newest first.
func (a *API) listQueues(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	if err := onlyParameters(v, "page", "limit"); err != nil {
		return err
	}
	return servePage(w, r, func(skip, limit int) ([]catalog.Queue, int, error) {
		return a.catalog.Queues(r.Context(), p.Project, skip, limit)
	}, toQueue)
}

// getQueue serves GET /annotation-queues/{queueId}.
func (a *API) getQueue(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q, err := a.catalog.Queue(r.Context(), p.Project, r.PathValue("queueId"))
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toQueue(&q))
	return nil
}

// listQueueItems serves GET /annotation-queues/{queueId}/items, the newest first.
func (a *API) listQueueItems(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	if err := onlyParameters(v, "page", "limit", "status"); err != nil {
		return err
	}
	return servePage(w, r, func(skip, limit int) ([]catalog.QueueItem, int, error) {
		return a.catalog.QueueItems(r.Context(), p.Project, r.PathValue("queueId"), v.Get("status"), skip, limit)
	}, toQueueItem)
}

// postQueueItem serves POST /annotation-queues/{queueId}/items.
func (a *API) postQueueItem(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in struct {
		ObjectID   string  `json:"objectId"`
		ObjectType string  `json:"objectType"`
		Status     *string `json:"status"`
	}
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	it, err := a.catalog.AddQueueItem(r.Context(), p.Project, catalog.QueueItem{
		Queue: r.PathValue("queueId"), ObjectType: in.ObjectType, ObjectID: in.ObjectID, Status: textOf(in.Status),
	})
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toQueueItem(&it))
	return nil
}

// getQueueItem serves GET /annotation-queues/{queueId}/items/{itemId}.
func (a *API) getQueueItem(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	it, err := a.catalog.QueueItem(r.Context(), p.Project, r.PathValue("queueId"), r.PathValue("itemId"))
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toQueueItem(&it))
	return nil
}

// patchQueueItem serves PATCH /annotation-queues/{queueId}/items/{itemId}.
func (a *API) patchQueueItem(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in struct {
		Status *string `json:"status"`
	}
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	it, err := a.catalog.SetQueueItem(r.Context(), p.Project, r.PathValue("queueId"), r.PathValue("itemId"), textOf(in.Status))
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toQueueItem(&it))
	return nil
}

// deleteQueueItem serves DELETE /annotation-queues/{queueId}/items/{itemId}.
func (a *API) deleteQueueItem(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	if err := a.catalog.DeleteQueueItem(r.Context(), p.Project, r.PathValue("queueId"), r.PathValue("itemId")); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, map[string]any{"success": true, "message": "Annotation queue item deleted successfully"})
	return nil
}

// assignmentRequest names who works on a queue.
type assignmentRequest struct {
	UserID string `json:"userId"`
}

// postAssignment serves POST /annotation-queues/{queueId}/assignments.
func (a *API) postAssignment(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in assignmentRequest
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	queue := r.PathValue("queueId")
	if err := a.catalog.AssignQueue(r.Context(), p.Project, queue, in.UserID, true); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, map[string]string{"userId": in.UserID, "queueId": queue, "projectId": p.Project})
	return nil
}

// deleteAssignment serves DELETE /annotation-queues/{queueId}/assignments, which
// has a body.
func (a *API) deleteAssignment(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in assignmentRequest
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	if err := a.catalog.AssignQueue(r.Context(), p.Project, r.PathValue("queueId"), in.UserID, false); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, map[string]any{"success": true})
	return nil
}
