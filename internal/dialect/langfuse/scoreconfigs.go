package langfuse

import (
	"net/http"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

func (a *API) scoreConfigRoutes(mux *http.ServeMux) {
	list, one := prefix+"/score-configs", prefix+"/score-configs/{configId}"
	a.handle(mux, list, map[string]handler{"GET": a.listScoreConfigs})
	a.handleAs(mux, list, toWriteTraces, map[string]handler{"POST": a.postScoreConfig})
	a.handle(mux, one, map[string]handler{"GET": a.getScoreConfig})
	a.handleAs(mux, one, toWriteTraces, map[string]handler{"PATCH": a.patchScoreConfig})
}

// scoreConfigReply is a score config as the API shows it.
type scoreConfigReply struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	CreatedAt   string             `json:"createdAt"`
	UpdatedAt   string             `json:"updatedAt"`
	ProjectID   string             `json:"projectId"`
	Type        domain.ScoreType   `json:"dataType"`
	Archived    bool               `json:"isArchived"`
	Min         *float64           `json:"minValue"`
	Max         *float64           `json:"maxValue"`
	Categories  []catalog.Category `json:"categories"`
	Description *string            `json:"description"`
}

func toScoreConfig(project string, c *catalog.ScoreConfig) scoreConfigReply {
	r := scoreConfigReply{
		c.ID, c.Name, wireTime(c.CreatedAt), wireTime(c.UpdatedAt), project, c.Type, c.Archived, nil, nil, c.Categories, textOrNil(c.Description),
	}
	if c.Min.Set {
		r.Min = &c.Min.Value
	}
	if c.Max.Set {
		r.Max = &c.Max.Value
	}
	return r
}

// scoreConfigRequest is what creates a config, or what changes it: of a change
// every field is optional, and null is one that was not given.
type scoreConfigRequest struct {
	Name        *string          `json:"name"`
	Type        domain.ScoreType `json:"dataType"`
	Archived    *bool            `json:"isArchived"`
	Min         *float64         `json:"minValue"`
	Max         *float64         `json:"maxValue"`
	Categories  []categoryWire   `json:"categories"`
	Description *string          `json:"description"`
}

// categoryWire is a category of which both parts must be given.
type categoryWire struct {
	Label *string  `json:"label"`
	Value *float64 `json:"value"`
}

// apply puts what was given into c.
func (q *scoreConfigRequest) apply(c *catalog.ScoreConfig) {
	if q.Name != nil {
		c.Name = *q.Name
	}
	if q.Archived != nil {
		c.Archived = *q.Archived
	}
	if q.Min != nil {
		c.Min = domain.Some(*q.Min)
	}
	if q.Max != nil {
		c.Max = domain.Some(*q.Max)
	}
	if q.Description != nil {
		c.Description = *q.Description
	}
	if q.Categories != nil {
		c.Categories = nil
		for _, k := range q.Categories {
			c.Categories = append(c.Categories, catalog.Category{Label: *k.Label, Value: *k.Value})
		}
	}
}

func (a *API) readScoreConfig(r *http.Request) (q scoreConfigRequest, err error) {
	if err := a.readObject(r, &q); err != nil {
		return q, err
	}
	for _, k := range q.Categories {
		if k.Label == nil || k.Value == nil {
			return q, invalid("categories", "each needs a label and a value")
		}
	}
	return q, nil
}

// postScoreConfig serves POST /score-configs.
func (a *API) postScoreConfig(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q, err := a.readScoreConfig(r)
	if err != nil {
		return err
	}
	n := catalog.ScoreConfig{Type: q.Type}
	q.Archived = nil
	q.apply(&n)
	made, err := a.catalog.CreateScoreConfig(r.Context(), p.Project, n)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toScoreConfig(p.Project, &made))
	return nil
}

// patchScoreConfig serves PATCH /score-configs/{configId}.
func (a *API) patchScoreConfig(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q, err := a.readScoreConfig(r)
	if err != nil {
		return err
	}
	if q.Name == nil && q.Archived == nil && q.Min == nil && q.Max == nil && q.Categories == nil && q.Description == nil {
		return domain.Errorf(domain.Invalid, "Request body cannot be empty. At least one field must be provided for update.")
	}
	changed, err := a.catalog.ChangeScoreConfig(r.Context(), p.Project, r.PathValue("configId"), q.apply)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toScoreConfig(p.Project, &changed))
	return nil
}

// getScoreConfig serves GET /score-configs/{configId}.
func (a *API) getScoreConfig(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	c, err := a.catalog.ScoreConfig(r.Context(), p.Project, r.PathValue("configId"))
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toScoreConfig(p.Project, &c))
	return nil
}

// listScoreConfigs serves GET /score-configs, the newest first.
func (a *API) listScoreConfigs(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	return servePage(w, r, func(skip, limit int) ([]catalog.ScoreConfig, int, error) {
		return a.catalog.ScoreConfigs(r.Context(), p.Project, skip, limit)
	}, func(c *catalog.ScoreConfig) scoreConfigReply { return toScoreConfig(p.Project, c) })
}
