package parea

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
)

// placeholder is where a value stands in a template.
var placeholder = regexp.MustCompile(`\{\{\s*([^{}\s]+)\s*\}\}`)

// fill puts values into a template; what has no value stays.
func fill(text string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(match string) string {
		if v, found := values[placeholder.FindStringSubmatch(match)[1]]; found {
			return v
		}
		return match
	})
}

// deployedPrompt shows the production version of a prompt, whose name is the id
// of its deployment, with values filled in.
func (a *API) deployedPrompt(w http.ResponseWriter, r *http.Request, c caller) error {
	o, err := a.read(r)
	if err != nil {
		return err
	}
	id := o.text("deployment_id")
	if id == "" {
		return invalid("deployment_id", "field required")
	}
	projects, err := a.projects(r.Context(), c)
	if err != nil {
		return err
	}
	_, p, err := a.findDeployed(r.Context(), projects, id)
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toDeployed(id, p, textMap(o["llm_inputs"])))
	return nil
}

// findDeployed finds the production version of a prompt in the first project
// that has one; domain.NotFound.
func (a *API) findDeployed(ctx context.Context, projects []string, id string) (project string, p *catalog.Prompt, err error) {
	for _, project := range projects {
		p, _, err := a.catalog.ResolvedPrompt(ctx, project, catalog.PromptRef{Name: id, Label: catalog.LabelProduction})
		if domain.CodeOf(err) == domain.NotFound {
			continue
		}
		return project, &p, err
	}
	return "", nil, domain.Errorf(domain.NotFound, "Deployed prompt not found: %s", id)
}

// toDeployed shows a prompt as Parea's API does: model and parameters are those
// of its config.
func toDeployed(id string, p *catalog.Prompt, values map[string]string) fields {
	raw := []fields{}
	var text string
	if json.Unmarshal(p.Prompt, &text) == nil {
		raw = append(raw, fields{"role": "user", "content": text})
	} else {
		var list []object
		_ = json.Unmarshal(p.Prompt, &list) // a chat prompt is a list
		for _, m := range list {
			if m.has("role") {
				raw = append(raw, fields{"role": m.text("role"), "content": m.text("content")})
			}
		}
	}
	messages := make([]fields, len(raw))
	for i, m := range raw {
		content, _ := m["content"].(string)
		messages[i] = fields{"role": m["role"], "content": fill(content, values)}
	}
	out := fields{
		"deployment_id": id, "version_number": float64(p.Version), "name": p.Name, "functions": []any{},
		"prompt": fields{"raw_messages": raw, "messages": messages, "inputs": values}, "model_params": fields{},
	}
	var config object
	_ = json.Unmarshal(p.Config, &config) // what is no object says nothing
	params := fields{}
	for k := range config {
		switch {
		case !config.has(k):
		case k == "model" || k == "provider":
			out[k] = config.text(k)
		default:
			params[pareaParameter(k)] = config[k]
		}
	}
	out["model_params"] = params
	if model, _ := out["model"].(string); model != "" && out["provider"] == nil {
		out["provider"] = providerOf(model)
	}
	return out
}

// providerOf guesses whose model it is by its name.
func providerOf(model string) string {
	switch {
	case strings.HasPrefix(model, "claude"):
		return "anthropic"
	case strings.HasPrefix(model, "gemini"):
		return "vertexai"
	case strings.HasPrefix(model, "mistral"):
		return "mistral"
	}
	return "openai"
}
