package langfuse

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

func (a *API) promptRoutes(mux *http.ServeMux) {
	a.handle(mux, prefix+"/v2/prompts", map[string]handler{"GET": a.listPrompts})
	a.handleAs(mux, prefix+"/v2/prompts", toWriteTraces, map[string]handler{"POST": a.postPrompt})
	// Python 2 leaves the slashes of a name as they are, the others encode them.
	a.handle(mux, prefix+"/v2/prompts/{promptName...}", map[string]handler{"GET": a.getPrompt})
	a.handleAs(mux, prefix+"/v2/prompts/{promptName...}", toWriteTraces, map[string]handler{"DELETE": a.deletePrompts, "PATCH": a.patchPromptVersion})
	a.handle(mux, prefix+"/prompts", map[string]handler{"GET": a.getPromptV1})
	a.handleAs(mux, prefix+"/prompts", toWriteTraces, map[string]handler{"POST": a.postPromptV1})
}

// promptReply is one version of a prompt as writes answer it.
type promptReply struct {
	ID            string          `json:"id"`
	ProjectID     string          `json:"projectId"`
	CreatedAt     string          `json:"createdAt"`
	UpdatedAt     string          `json:"updatedAt"`
	CreatedBy     string          `json:"createdBy"`
	Name          string          `json:"name"`
	Version       int             `json:"version"`
	Type          string          `json:"type"`
	Prompt        json.RawMessage `json:"prompt"`
	Config        json.RawMessage `json:"config"`
	Labels        []string        `json:"labels"`
	Tags          []string        `json:"tags"`
	CommitMessage *string         `json:"commitMessage"`
}

// promptRead is one version as reads answer it.
type promptRead struct {
	promptReply
	Active bool                     `json:"isActive"` // carries the label production
	Graph  *catalog.ResolutionGraph `json:"resolutionGraph"`
}

func toPrompt(project string, p *catalog.Prompt) promptReply {
	r := promptReply{
		p.ID, project, wireTime(p.CreatedAt), wireTime(p.UpdatedAt), p.CreatedBy, p.Name, p.Version, p.Type, p.Prompt, p.Config, p.Labels, p.Tags, nil,
	}
	if p.CommitMessage != "" {
		r.CommitMessage = &p.CommitMessage
	}
	return r
}

func toPromptRead(project string, p *catalog.Prompt, g *catalog.ResolutionGraph) promptRead {
	return promptRead{toPrompt(project, p), slices.Contains(p.Labels, catalog.LabelProduction), g}
}

// parsePromptRef reads version and label, which exclude each other; without
// them it picks nothing.
func parsePromptRef(name string, v url.Values) (ref catalog.PromptRef, err error) {
	ref.Name, ref.Label = name, v.Get("label")
	text := v.Get("version")
	if text == "" {
		return ref, nil
	}
	if ref.Label != "" {
		return ref, domain.Errorf(domain.Invalid, "Cannot specify both version and label")
	}
	ref.Version, err = parseVersion(text)
	return ref, err
}

func parseVersion(text string) (int, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, invalid("version", "expected a whole number from 1")
	}
	return int(n), nil
}

// getPrompt serves GET /v2/prompts/{promptName}.
func (a *API) getPrompt(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q := r.URL.Query()
	ref, err := parsePromptRef(r.PathValue("promptName"), q)
	if err != nil {
		return err
	}
	if ref.Version == 0 {
		ref.Label = cmp.Or(ref.Label, catalog.LabelProduction)
	}
	switch q.Get("resolve") {
	case "", "true":
		prompt, graph, err := a.catalog.ResolvedPrompt(r.Context(), p.Project, ref)
		if err != nil {
			return err
		}
		httpio.WriteJSON(w, http.StatusOK, toPromptRead(p.Project, &prompt, graph))
	case "false":
		prompt, err := a.catalog.Prompt(r.Context(), p.Project, ref)
		if err != nil {
			return err
		}
		httpio.WriteJSON(w, http.StatusOK, toPromptRead(p.Project, &prompt, nil))
	default:
		return invalid("resolve", "expected true or false")
	}
	return nil
}

// getPromptV1 serves GET /prompts, the call of the first SDKs.
func (a *API) getPromptV1(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q := r.URL.Query()
	name := q.Get("name")
	if name == "" {
		return invalid("name", "is required")
	}
	ref := catalog.PromptRef{Name: name, Label: catalog.LabelProduction}
	if text := q.Get("version"); text != "" {
		version, err := parseVersion(text)
		if err != nil {
			return err
		}
		ref = catalog.PromptRef{Name: name, Version: version}
	}
	prompt, graph, err := a.catalog.ResolvedPrompt(r.Context(), p.Project, ref)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toPromptRead(p.Project, &prompt, graph))
	return nil
}

// promptIDs finds the ids of a project's prompts, each once; "" where there is
// no such version.
func (a *API) promptIDs(ctx context.Context, project string) func(name string, version int64) string {
	if a.catalog == nil {
		return nil
	}
	type key struct {
		name    string
		version int64
	}
	known := map[key]string{}
	return func(name string, version int64) string {
		k := key{name, version}
		id, found := known[k]
		if !found && version > 0 && version <= math.MaxInt32 {
			// An id that can't be read is left out: the observation itself matters more.
			p, err := a.catalog.Prompt(ctx, project, catalog.PromptRef{Name: name, Version: int(version)})
			if err == nil {
				id = p.ID
			}
			known[k] = id
		}
		return id
	}
}

// promptRequest is the body that adds a version. Active belongs to the first
// generation of the call.
type promptRequest struct {
	Name          string          `json:"name"`
	Type          string          `json:"type"`
	Prompt        json.RawMessage `json:"prompt"`
	Config        json.RawMessage `json:"config"`
	Labels        []string        `json:"labels"`
	Tags          []string        `json:"tags"`
	CommitMessage *string         `json:"commitMessage"`
	Active        bool            `json:"isActive"`
}

// postPrompt serves POST /v2/prompts.
func (a *API) postPrompt(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	return a.createPrompt(w, r, p, false)
}

// postPromptV1 serves POST /prompts.
func (a *API) postPromptV1(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	return a.createPrompt(w, r, p, true)
}

func (a *API) createPrompt(w http.ResponseWriter, r *http.Request, p auth.Principal, withActive bool) error {
	var in promptRequest
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	n := catalog.NewPrompt{Name: in.Name, Type: in.Type, Prompt: in.Prompt, Config: in.Config, Labels: in.Labels, Tags: in.Tags}
	if in.CommitMessage != nil {
		n.CommitMessage = *in.CommitMessage
	}
	if withActive && in.Active {
		n.Labels = append(n.Labels, catalog.LabelProduction)
	}
	made, err := a.catalog.CreatePrompt(r.Context(), p.Project, n)
	if err != nil {
		return err
	}
	if withActive {
		httpio.WriteJSON(w, http.StatusCreated, toPromptRead(p.Project, &made, nil))
		return nil
	}
	httpio.WriteJSON(w, http.StatusCreated, toPrompt(p.Project, &made))
	return nil
}

// patchPromptVersion serves PATCH /v2/prompts/{promptName}/versions/{version}.
func (a *API) patchPromptVersion(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	path := r.PathValue("promptName")
	at := strings.LastIndex(path, "/versions/")
	if at < 0 {
		return domain.Errorf(domain.NotFound, "Path not found")
	}
	name := path[:at]
	version, err := parseVersion(path[at+len("/versions/"):])
	if err != nil {
		return err
	}
	var in struct {
		NewLabels []string `json:"newLabels"`
	}
	if err := a.readObject(r, &in); err != nil {
		return err
	}
	if in.NewLabels == nil {
		return invalid("newLabels", "is required")
	}
	prompt, err := a.catalog.LabelPrompt(r.Context(), p.Project, name, version, in.NewLabels)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toPrompt(p.Project, &prompt))
	return nil
}

// deletePrompts serves DELETE /v2/prompts/{promptName}. It is one of the few
// routes that answer 204.
func (a *API) deletePrompts(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	ref, err := parsePromptRef(r.PathValue("promptName"), r.URL.Query())
	if err != nil {
		return err
	}
	if err := a.catalog.DeletePrompts(r.Context(), p.Project, ref); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// promptSummary is a name in the list of prompts.
type promptSummary struct {
	Name      string          `json:"name"`
	Type      string          `json:"type"`
	Versions  []int           `json:"versions"`
	Labels    []string        `json:"labels"`
	Tags      []string        `json:"tags"`
	UpdatedAt string          `json:"lastUpdatedAt"`
	Config    json.RawMessage `json:"lastConfig"`

	updated domain.Time
}

func (s *promptSummary) add(p *catalog.Prompt) {
	if len(s.Versions) == 0 || p.Version > slices.Max(s.Versions) {
		s.Type, s.Tags, s.Config = p.Type, p.Tags, p.Config
	}
	s.Versions, s.Labels = append(s.Versions, p.Version), append(s.Labels, p.Labels...)
	if len(s.Versions) == 1 || p.UpdatedAt.Nanos() > s.updated.Nanos() {
		s.updated = p.UpdatedAt
	}
}

// defaultPromptLimit is how many prompts a page has if nothing is said.
const defaultPromptLimit = 10

// listPrompts serves GET /v2/prompts: names in their order, each with those of
// its versions that the filters take.
func (a *API) listPrompts(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q := r.URL.Query()
	page, err := parsePage(q)
	if err != nil {
		return err
	}
	if q.Get("limit") == "" {
		page.limit = defaultPromptLimit
	}
	takes, err := parsePromptFilter(q)
	if err != nil {
		return err
	}
	byName := map[string]*promptSummary{}
	err = a.catalog.Prompts(r.Context(), p.Project, func(v catalog.Prompt) bool {
		if takes(&v) {
			if byName[v.Name] == nil {
				byName[v.Name] = &promptSummary{Name: v.Name, Labels: []string{}}
			}
			byName[v.Name].add(&v)
		}
		return true
	})
	if err != nil {
		return err
	}
	list := make([]*promptSummary, 0, len(byName))
	for _, s := range byName {
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y *promptSummary) int { return cmp.Compare(x.Name, y.Name) })
	from, to, meta := page.of(len(list))
	list = list[from:to]
	for _, s := range list {
		slices.Sort(s.Versions)
		slices.Sort(s.Labels)
		s.UpdatedAt = wireTime(s.updated)
	}
	// SDKs of the second generation read pagination, the others meta.
	httpio.WriteJSON(w, http.StatusOK, map[string]any{"data": list, "meta": meta, "pagination": meta})
	return nil
}
