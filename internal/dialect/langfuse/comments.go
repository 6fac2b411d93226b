package langfuse

import (
	"context"
	"net/http"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/query"
)

func (a *API) commentRoutes(mux *http.ServeMux) {
	a.handle(mux, prefix+"/comments", map[string]handler{"GET": a.listComments})
	a.handleAs(mux, prefix+"/comments", toWriteTraces, map[string]handler{"POST": a.postComment})
	a.handle(mux, prefix+"/comments/{commentId}", map[string]handler{"GET": a.getComment})
}

// commentReply is a comment as the API shows it.
type commentReply struct {
	ID         string  `json:"id"`
	ProjectID  string  `json:"projectId"`
	CreatedAt  string  `json:"createdAt"`
	UpdatedAt  string  `json:"updatedAt"`
	ObjectType string  `json:"objectType"`
	ObjectID   string  `json:"objectId"`
	Content    string  `json:"content"`
	Author     *string `json:"authorUserId"`
}

func toComment(project string, c *catalog.Comment) commentReply {
	return commentReply{c.ID, project, wireTime(c.CreatedAt), wireTime(c.UpdatedAt), c.ObjectType, c.ObjectID, c.Content, textOrNil(c.Author)}
}

// postComment serves POST /comments. The body names a project, which the API
// asks for and does not use: the key decides.
func (a *API) postComment(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	var in struct {
		ProjectID  string  `json:"projectId"`
		ObjectType string  `json:"objectType"`
		ObjectID   string  `json:"objectId"`
		Content    string  `json:"content"`
		Author     *string `json:"authorUserId"`
	}
	if err := a.readStrict(r, &in); err != nil {
		return err
	}
	if in.ProjectID == "" {
		return invalid("projectId", "is required")
	}
	exists, err := a.objectExists(r.Context(), p.Project, in.ObjectType, in.ObjectID)
	if err != nil {
		return err
	}
	if !exists {
		return domain.Errorf(domain.NotFound, "Reference object, %s: %s not found in the project. Can't create comment.", in.ObjectType, in.ObjectID)
	}
	c, err := a.catalog.CreateComment(r.Context(), p.Project, catalog.Comment{
		ObjectType: in.ObjectType, ObjectID: in.ObjectID, Content: clean(in.Content), Author: textOf(in.Author),
	})
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, idReply{c.ID})
	return nil
}

// objectExists reports whether a project has what a comment is about. Of a type
// that there is not it says yes: what is wrong then is the type.
func (a *API) objectExists(ctx context.Context, project, typ, id string) (bool, error) {
	view, known := map[string]query.View{
		catalog.ObjectTrace: query.Traces, catalog.ObjectSession: query.Sessions, catalog.ObjectObservation: query.Observations,
	}[typ]
	switch {
	case id == "":
		return true, nil
	case typ == catalog.ObjectPrompt:
		_, err := a.catalog.PromptByID(ctx, project, id)
		if domain.CodeOf(err) == domain.NotFound {
			return false, nil
		}
		return err == nil, err
	case !known:
		return true, nil
	}
	c := conditions{view: view}
	c.equal(query.ColID, id)
	page, err := a.traces.List(ctx, project, query.List{View: view, Filter: c.parts, Limit: 1, Bind: query.Bind{Now: a.now().UnixNano()}})
	return err == nil && len(page.Rows) > 0, err
}

// listComments serves GET /comments, the newest first.
func (a *API) listComments(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q := r.URL.Query()
	if err := onlyParameters(q, "page", "limit", "objectType", "objectId", "authorUserId"); err != nil {
		return err
	}
	f := catalog.CommentFilter{ObjectType: q.Get("objectType"), ObjectID: q.Get("objectId"), Author: q.Get("authorUserId")}
	switch f.ObjectType {
	case catalog.ObjectTrace, catalog.ObjectObservation, catalog.ObjectSession, catalog.ObjectPrompt:
	case "":
		if f.ObjectID != "" {
			return invalid("objectType", "is required with objectId")
		}
	default:
		return invalid("objectType", "expected TRACE, OBSERVATION, SESSION or PROMPT")
	}
	return servePage(w, r, func(skip, limit int) ([]catalog.Comment, int, error) {
		return a.catalog.Comments(r.Context(), p.Project, f, skip, limit)
	}, func(c *catalog.Comment) commentReply { return toComment(p.Project, c) })
}

// getComment serves GET /comments/{commentId}.
func (a *API) getComment(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	c, err := a.catalog.Comment(r.Context(), p.Project, r.PathValue("commentId"))
	if err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, toComment(p.Project, &c))
	return nil
}
