package langfuse

import (
	"errors"
	"net/http"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

// The writes of single objects that came before batches. Each is one event
// that happens as it arrives.
func (a *API) legacyRoutes(mux *http.ServeMux) {
	single := func(typ string, id wireKey) handler {
		return func(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
			return a.writeSingle(w, r, p, typ, id)
		}
	}
	for path, methods := range map[string]map[string]handler{
		"/api/public/traces": {http.MethodPost: single("trace-create", keyID)},
		"/api/public/events": {http.MethodPost: single("event-create", keyID)},
		"/api/public/spans": {
			http.MethodPost:  single("span-create", keyID),
			http.MethodPatch: single("span-update", keySpanID),
		},
		"/api/public/generations": {
			http.MethodPost:  single("generation-create", keyID),
			http.MethodPatch: single("generation-update", keyGenerationID),
		},
	} {
		a.handleAs(mux, path, toWriteTraces, methods)
	}
}

// writeSingle takes a body as an event of that type. Its id is in the field
// idKey; only a create may leave it out.
func (a *API) writeSingle(w http.ResponseWriter, r *http.Request, p auth.Principal, typ string, idKey wireKey) error {
	body, err := httpio.ReadBody(r, a.maxBody)
	if err != nil {
		return err
	}
	raw, err := document(body)
	if err != nil {
		return err
	}
	kind := eventKinds[typ]
	var f wireFields
	f.read(raw, "")
	if kind.op == domain.Update && f.err == nil && f.id(idKey) == "" {
		f.fail(idKey, "is required")
	}
	f.raw[keyID] = f.raw[idKey]
	if kind.typ == domain.TypeGeneration {
		f.rename(keyPrompt, keyInput)
		f.rename(keyCompletion, keyOutput)
	}
	stamp := a.arrival(kind.op)
	stamp.Event = a.newID()
	b := a.newBatch(r.Context(), p, direct)
	id, err := "", error(f.err)
	if f.err == nil {
		id, err = b.add(&f, kind, stamp, a.newID, 0)
	}
	if err == nil {
		err = a.writeOne(r.Context(), b)
	}
	// These routes tell what is wrong in the message alone.
	if e, ok := errors.AsType[*domain.Error](err); ok && e.Code == domain.Invalid {
		httpio.WriteJSON(w, http.StatusBadRequest, messageReply{fieldMessage(e)})
		return nil
	}
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, idReply{id})
	return nil
}

// rename takes the value of an older name where the newer one is not said.
func (f *wireFields) rename(from, to wireKey) {
	if !f.said(to) {
		f.raw[to] = f.raw[from]
	}
}
