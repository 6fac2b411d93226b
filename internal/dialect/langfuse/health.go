package langfuse

import (
	"errors"
	"net/http"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

// claimed is the release of the Langfuse API that Clew answers like. Clients
// choose their calls by it, so it comes before our own.
const claimed = "4.35.0"

// state is the answer of the health routes.
type state struct {
	Status  string `json:"status"`
	Version string `json:"version"`
}

// Stopping makes readiness say no from now on, so that no new work is sent to a
// program that is about to end.
func (a *API) Stopping() { a.stopping.Store(true) }

func (a *API) healthRoutes(mux *http.ServeMux) {
	a.handleOpen(mux, prefix+"/health", map[string]http.HandlerFunc{"GET": a.health})
	a.handleOpen(mux, prefix+"/ready", map[string]http.HandlerFunc{"GET": a.readiness})
}

// health says that the program runs and, if asked, whether its store does.
func (a *API) health(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("failIfDatabaseUnavailable") == "true" && a.traces.Ready(r.Context()) != nil {
		a.tell(w, http.StatusServiceUnavailable, "Database not available")
		return
	}
	a.tell(w, http.StatusOK, "OK")
}

// readiness says whether requests may be sent here.
func (a *API) readiness(w http.ResponseWriter, r *http.Request) {
	if a.stopping.Load() {
		a.tell(w, http.StatusInternalServerError, "Stopping")
		return
	}
	err := a.traces.Ready(r.Context())
	if err == nil {
		a.tell(w, http.StatusOK, "OK")
		return
	}
	why := "The store can't be written to"
	if e, ok := errors.AsType[*domain.Error](err); ok && e.Code != domain.Internal {
		why += ": " + e.Msg
	}
	a.tell(w, http.StatusServiceUnavailable, why)
}

func (a *API) tell(w http.ResponseWriter, status int, text string) {
	version := claimed
	if a.version != "" {
		version += "+clew." + a.version
	}
	httpio.WriteJSON(w, status, state{text, version})
}
