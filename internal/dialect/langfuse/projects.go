package langfuse

import (
	"net/http"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/httpio"
)

// projectReply is the answer about the key's own project: always exactly one.
// Every SDK's check of its keys asks for it.
type projectReply struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	Organization nameReply      `json:"organization"`
	Metadata     map[string]any `json:"metadata"`
}

type nameReply struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// listProjects serves GET /projects.
func (a *API) listProjects(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	project, err := a.catalog.Project(r.Context(), p.Project)
	if err != nil {
		return err
	}
	org, err := a.catalog.Organization(r.Context(), project.Org)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, map[string]any{"data": []projectReply{{
		ID: project.ID, Name: project.Name, Organization: nameReply{org.ID, org.Name}, Metadata: map[string]any{},
	}}})
	return nil
}
