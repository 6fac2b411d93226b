package langfuse

import (
	"context"
	"errors"
	"net/http"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

const ingestionPath = "/api/public/ingestion"

func (a *API) writeRoutes(mux *http.ServeMux) {
	a.handleAs(mux, ingestionPath, perEvent, map[string]handler{http.MethodPost: a.postIngestion})
	a.scoreWriteRoutes(mux)
	a.legacyRoutes(mux)
}

// maxEvents bounds the events of a request, and so the memory of reading them.
const maxEvents = 100_000

// batchReply answers a batch. Both lists are always there: clients read their
// lengths.
type batchReply struct {
	Successes []eventSuccess `json:"successes"`
	Errors    []eventError   `json:"errors"`
}

type eventSuccess struct {
	ID     string `json:"id"`
	Status int    `json:"status"`
}

type eventError struct {
	ID      string `json:"id"`
	Status  int    `json:"status"`
	Message string `json:"message"`
	Error   string `json:"error"`
}

// envelopeError answers a request that holds no batch.
type envelopeError struct {
	Message string   `json:"message"`
	Errors  []string `json:"errors"`
}

// postIngestion takes a batch of events. Each stands for itself: what is wrong
// with one is told in the answer, and the others are kept.
func (a *API) postIngestion(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	body, err := httpio.ReadBody(r, a.maxBody)
	if err != nil {
		return err
	}
	raws, err := readEnvelope(body)
	if err != nil {
		if e, ok := errors.AsType[*domain.Error](err); ok && e.Code == domain.Invalid {
			httpio.WriteJSON(w, http.StatusBadRequest, envelopeError{invalidData, []string{e.Msg}})
			return nil
		}
		return err
	}
	events := make([]event, len(raws))
	for i, raw := range raws {
		events[i] = readEvent(raw)
	}
	sortEvents(events)
	failed, err := a.takeEvents(r.Context(), p, events)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusMultiStatus, replyTo(events, failed))
	return nil
}

// readEnvelope is the raw events of a batch.
func readEnvelope(body []byte) ([][]byte, error) {
	raw, err := document(body)
	if err != nil {
		return nil, err
	}
	if !isObject(raw) {
		return nil, domain.Errorf(domain.Invalid, "the body must be an object with the array \"batch\"")
	}
	var list []byte
	splitObject(raw, func(name, value []byte) {
		if string(name) == "batch" {
			list = value
		}
	})
	if !isArray(list) {
		return nil, domain.Errorf(domain.Invalid, "\"batch\" must be an array of events")
	}
	return elements(list, maxEvents)
}

// elements is the raw elements of a valid JSON array, at most limit.
func elements(list []byte, limit int) (raws [][]byte, err error) {
	splitArray(list, func(v []byte) bool {
		if len(raws) == limit {
			err = domain.Errorf(domain.TooLarge, "the request has more than %d entries", limit)
		} else {
			raws = append(raws, v)
		}
		return err == nil
	})
	return raws, err
}

// takeEvents writes what the events say and returns for each of them why it
// was not kept, nil where it was. An error means that none is known to be kept.
func (a *API) takeEvents(ctx context.Context, p auth.Principal, events []event) ([]*domain.Error, error) {
	failed := make([]*domain.Error, len(events))
	b := a.newBatch(ctx, p, inBatch)
	for i := range events {
		var err error
		if failed[i], err = eventFailure(b.take(p, &events[i], i)); err != nil {
			return nil, err
		}
	}
	return failed, a.writeBatch(ctx, b, failed)
}

// newBatch is an empty batch of the caller's project.
func (a *API) newBatch(ctx context.Context, p auth.Principal, route scoreRoute) *batch {
	b := &batch{find: a.configs(ctx, p.Project), route: route}
	b.Project = p.Project
	return b
}

// writeBatch writes b and notes in failed, by the index of the event, what the
// writer did not take.
func (a *API) writeBatch(ctx context.Context, b *batch, failed []*domain.Error) error {
	if b.Len() == 0 {
		return nil
	}
	rejected, err := a.writer.Write(ctx, &b.Batch)
	for _, x := range rejected {
		failed[b.events[x.Kind][x.Index]] = x.Err
	}
	return err
}

// writeOne writes a batch of one patch.
func (a *API) writeOne(ctx context.Context, b *batch) error {
	failed := make([]*domain.Error, 1)
	if err := a.writeBatch(ctx, b, failed); err != nil {
		return err
	}
	if failed[0] != nil {
		return failed[0]
	}
	return nil
}

// mayWrite reports what keeps the caller from sending an event of that type.
func mayWrite(p auth.Principal, ev *event) error {
	may := p.CanWriteTraces()
	switch {
	case ev.kind.entity == scoreEntity:
		may = p.CanWriteScores()
	case ev.typ == sdkLog:
		may = true
	}
	if may {
		return nil
	}
	return domain.Errorf(domain.Unauthorized, "Access denied: this key may not send events of type %s.", ev.typ)
}

// eventFailure tells a failure of one event from one of the whole request.
func eventFailure(err error) (*domain.Error, error) {
	e, ok := errors.AsType[*domain.Error](err)
	switch {
	case err == nil:
		return nil, nil
	case ok && (e.Code == domain.Invalid || e.Code == domain.NotFound || e.Code == domain.Unauthorized):
		return e, nil
	}
	return nil, err
}

// replyTo is the answer to events of which some failed; logs are in no list.
func replyTo(events []event, failed []*domain.Error) batchReply {
	reply := batchReply{Successes: make([]eventSuccess, 0, len(events)), Errors: []eventError{}}
	for i := range events {
		ev := &events[i]
		switch {
		case failed[i] != nil:
			reply.Errors = append(reply.Errors, toEventError(ev.id, failed[i]))
		case ev.typ != sdkLog:
			reply.Successes = append(reply.Successes, eventSuccess{ev.id, http.StatusCreated})
		}
	}
	return reply
}

// toEventError is what is said of one event that was not kept.
func toEventError(id string, e *domain.Error) eventError {
	status, body := errorReply(e)
	out := eventError{ID: id, Status: status, Message: body.Message}
	switch {
	case e.Code == domain.Invalid:
		out.Message, out.Error = invalidData, fieldMessage(e)
	case body.Error != nil:
		out.Error, _ = body.Error.(string)
	}
	return out
}

// fieldMessage is an error's text with the field it is about.
func fieldMessage(e *domain.Error) string {
	if e.Field == "" {
		return e.Msg
	}
	return e.Field + ": " + e.Msg
}
