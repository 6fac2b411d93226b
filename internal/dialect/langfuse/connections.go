package langfuse

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/httpio"
)

func (a *API) connectionRoutes(mux *http.ServeMux) {
	list := prefix + "/llm-connections"
	a.handle(mux, list, map[string]handler{"GET": a.listConnections})
	a.handleAs(mux, list, toWriteTraces, map[string]handler{"PUT": a.putConnection})
	a.handleAs(mux, list+"/{connectionId}", toWriteTraces, map[string]handler{"DELETE": a.deleteConnection})
}

// connectionReply is an LLM connection as the API shows it: without secrets.
type connectionReply struct {
	ID            string          `json:"id"`
	Provider      string          `json:"provider"`
	Adapter       string          `json:"adapter"`
	DisplayKey    string          `json:"displaySecretKey"`
	BaseURL       *string         `json:"baseURL"`
	CustomModels  []string        `json:"customModels"`
	DefaultModels bool            `json:"withDefaultModels"`
	HeaderKeys    []string        `json:"extraHeaderKeys"`
	Config        json.RawMessage `json:"config"`
	CreatedAt     string          `json:"createdAt"`
	UpdatedAt     string          `json:"updatedAt"`
}

func toConnection(c *catalog.Connection) connectionReply {
	r := connectionReply{
		c.ID, c.Provider, c.Adapter, c.DisplayKey, textOrNil(c.BaseURL), c.CustomModels, c.DefaultModels,
		slices.AppendSeq([]string{}, maps.Keys(c.Headers)), c.Config, wireTime(c.CreatedAt), wireTime(c.UpdatedAt),
	}
	slices.Sort(r.HeaderKeys)
	if r.CustomModels == nil {
		r.CustomModels = []string{}
	}
	return r
}

// listConnections serves GET /llm-connections, the newest first.
func (a *API) listConnections(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	if err := onlyParameters(r.URL.Query(), "page", "limit"); err != nil {
		return err
	}
	return servePage(w, r, func(skip, limit int) ([]catalog.Connection, int, error) {
		return a.catalog.Connections(r.Context(), p.Project, skip, limit)
	}, toConnection)
}

// putConnection serves PUT /llm-connections: 201 for a provider that had none.
func (a *API) putConnection(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in struct {
		Provider      string            `json:"provider"`
		Adapter       string            `json:"adapter"`
		SecretKey     string            `json:"secretKey"`
		BaseURL       *string           `json:"baseURL"`
		CustomModels  []string          `json:"customModels"`
		DefaultModels *bool             `json:"withDefaultModels"`
		Headers       map[string]string `json:"extraHeaders"`
		Config        json.RawMessage   `json:"config"`
	}
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	c, created, err := a.catalog.SetConnection(r.Context(), p.Project, catalog.Connection{
		Provider: in.Provider, Adapter: in.Adapter, SecretKey: in.SecretKey, BaseURL: textOf(in.BaseURL), CustomModels: in.CustomModels,
		DefaultModels: in.DefaultModels == nil || *in.DefaultModels, Headers: in.Headers, Config: in.Config,
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	httpio.WriteJSON(w, status, toConnection(&c))
	return nil
}

// deleteConnection serves DELETE /llm-connections/{connectionId}.
func (a *API) deleteConnection(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	if err := a.catalog.DeleteConnection(r.Context(), p.Project, r.PathValue("connectionId")); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, message{"LLM connection successfully deleted"})
	return nil
}
