package langfuse

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/store"
)

const prefix = "/api/public"

// readRoutes registers what answers from the store, and the answer to paths
// that nobody serves.
func (a *API) readRoutes(mux *http.ServeMux) {
	a.handle(mux, prefix+"/traces", map[string]handler{"GET": a.listTraces, "DELETE": a.deleteTraces})
	a.handle(mux, prefix+"/traces/{traceId}", map[string]handler{"GET": a.getTrace, "DELETE": a.deleteTrace})
	a.handle(mux, prefix+"/observations/{observationId}", map[string]handler{"GET": a.getObservation})
	a.handle(mux, prefix+"/observations", map[string]handler{"GET": a.listObservationsV1})
	a.handle(mux, prefix+"/v2/observations", map[string]handler{"GET": a.listObservations})
	a.handle(mux, prefix+"/sessions", map[string]handler{"GET": a.listSessions})
	a.handle(mux, prefix+"/sessions/{sessionId}", map[string]handler{"GET": a.getSession})
	a.handle(mux, prefix+"/scores", map[string]handler{"GET": a.listScoresV1})
	a.handle(mux, prefix+"/v2/scores", map[string]handler{"GET": a.listScoresV2})
	a.handle(mux, prefix+"/v3/scores", map[string]handler{"GET": a.listScoresV3})
	a.handle(mux, prefix+"/scores/{scoreId}", map[string]handler{"GET": a.getScoreV1, "DELETE": a.deleteScore})
	a.handle(mux, prefix+"/v2/scores/{scoreId}", map[string]handler{"GET": a.getScoreV2})
	a.handle(mux, prefix+"/projects", map[string]handler{"GET": a.listProjects})
	a.promptRoutes(mux)
	a.scoreConfigRoutes(mux)
	a.datasetRoutes(mux)
	a.commentRoutes(mux)
	a.queueRoutes(mux)
	a.connectionRoutes(mux)
	a.mediaRoutes(mux)
	a.handle(mux, prefix+"/experiments", map[string]handler{"GET": a.listExperiments})
	a.handle(mux, prefix+"/experiment-items", map[string]handler{"GET": a.listExperimentItems})
	a.handle(mux, prefix+"/models", map[string]handler{"GET": a.listModels})
	a.handleAs(mux, prefix+"/models", toWriteTraces, map[string]handler{"POST": a.postModel})
	a.handle(mux, prefix+"/models/{modelId}", map[string]handler{"GET": a.getModel})
	a.handleAs(mux, prefix+"/models/{modelId}", toWriteTraces, map[string]handler{"PUT": a.putModel, "DELETE": a.deleteModel})
	a.healthRoutes(mux)
	mux.HandleFunc(prefix+"/", func(w http.ResponseWriter, _ *http.Request) {
		httpio.WriteJSON(w, http.StatusNotFound, errorBody{"Path not found", "LangfuseNotFoundError"})
	})
}

// view writes into an answer to p.
func (a *API) view(ctx context.Context, s *stream, p auth.Principal) *view {
	return &view{stream: s, project: p.Project, prices: a.flatPrices(p.Project), promptID: a.promptIDs(ctx, p.Project)}
}

// flatPrices finds today's prices of a project's model definitions.
func (a *API) flatPrices(project string) func(modelID string) flatPrices {
	if a.prices == nil {
		return nil
	}
	return func(modelID string) (p flatPrices) {
		d, found := a.prices.Definition(project, modelID)
		if !found {
			return p
		}
		for key, price := range map[string]*string{"input": &p.input, "output": &p.output, "total": &p.total} {
			if r, found := d.Price(key); found {
				*price = r.String()
			}
		}
		return p
	}
}

// groups is which groups of a trace's keys a request asks for.
type groups struct{ io, scores, observations, metrics bool }

// traceGroups reads a list of groups; one that names none asks for all.
func traceGroups(names []string) groups {
	var g groups
	known := false
	for _, name := range names {
		switch name {
		case "core":
		case "io":
			g.io = true
		case "scores":
			g.scores = true
		case "observations":
			g.observations = true
		case "metrics":
			g.metrics = true
		default:
			continue
		}
		known = true
	}
	if !known {
		return groups{true, true, true, true}
	}
	return g
}

func (a *API) getTrace(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	id := r.PathValue("traceId")
	t, err := a.traces.Trace(r.Context(), p.Project, id)
	if domain.CodeOf(err) == domain.NotFound {
		return domain.Errorf(domain.NotFound, "Trace %s not found within authorized project", id)
	}
	if err != nil {
		return err
	}
	v := a.view(r.Context(), answer(w), p)
	if err := v.trace(r.Context(), t, traceGroups(lists(r.URL.Query(), "fields"))); err != nil {
		return err
	}
	return v.finish()
}

// trace appends a whole trace. Its observations go first, each while its bodies
// are at hand, because the trace's own input, output and metadata may be any of
// theirs and are known after the last one.
func (v *view) trace(ctx context.Context, t *store.Trace, g groups) error {
	var content *domain.TraceContent
	if g.io {
		own, err := t.Source.Own(ctx)
		if err != nil {
			return err
		}
		content = domain.NewTraceContent(own)
	}
	v.str(`{"observations":[`)
	if len(t.Observations) > 0 && (g.io || g.observations) {
		err := t.Source.Each(ctx, func(i int, c *domain.Content) error {
			o := &t.Observations[i]
			if content != nil {
				content.Add(o, c, o.ID == t.RootID)
			}
			if g.observations {
				if i > 0 {
					v.str(",")
				}
				v.observation(o, t.Trace.ID, c, "0")
			}
			return v.err
		})
		if v.err != nil {
			return v.finish()
		}
		if err != nil {
			return err
		}
	}
	v.str(`],"scores":[`)
	if g.scores {
		v.scores(t)
	}
	v.str("]")
	v.traceFields(&t.Trace, g.metrics)
	v.traceContent(content)
	v.str("}")
	return nil
}

// traceContent appends the bodies of the trace itself, none where content is nil.
func (v *view) traceContent(content *domain.TraceContent) {
	var c domain.Content
	if content != nil {
		c = content.Fold()
	}
	v.traceBodies(&c)
}

func (v *view) traceBodies(c *domain.Content) {
	v.str(`,"input":`)
	v.value(c[domain.Input])
	v.str(`,"output":`)
	v.value(c[domain.Output])
	v.str(`,"metadata":`)
	v.object(c[domain.Metadata])
}

// message is the answer of what has no result to show.
type message struct {
	Message string `json:"message"`
}

func (a *API) deleteTrace(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	if err := a.deleteAll(r.Context(), p.Project, []string{r.PathValue("traceId")}); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, message{"Trace deleted successfully"})
	return nil
}

// maxDeletes is how many traces one request may delete.
const maxDeletes = 1000

func (a *API) deleteTraces(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	raw, err := httpio.ReadBody(r, a.maxBody)
	if err != nil {
		return err
	}
	ids, err := parseTraceIDs(raw)
	if err != nil {
		return err
	}
	if err := a.deleteAll(r.Context(), p.Project, ids); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusOK, message{"Traces deleted successfully"})
	return nil
}

// parseTraceIDs reads {"traceIds":[…]}, the only thing a deletion may say.
func parseTraceIDs(raw []byte) ([]string, error) {
	var body map[string]json.RawMessage
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &body); err != nil {
			return nil, domain.Errorf(domain.Invalid, "the body is not a JSON object")
		}
	}
	for key := range body {
		if key != "traceIds" {
			return nil, invalid(key, "unrecognized key")
		}
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body["traceIds"], &items); err != nil {
		return nil, invalid("traceIds", "expected a list of trace ids")
	}
	if len(items) == 0 || len(items) > maxDeletes {
		return nil, invalid("traceIds", "expected 1 to 1000 trace ids, got "+strconv.Itoa(len(items)))
	}
	ids := make([]string, len(items))
	for i, item := range items {
		if len(item) == 0 || item[0] != '"' || json.Unmarshal(item, &ids[i]) != nil {
			return nil, invalid("traceIds."+strconv.Itoa(i), "expected a text")
		}
	}
	return ids, nil
}

// invalid says what is wrong with one field of a request.
func invalid(field, msg string) *domain.Error {
	return &domain.Error{Code: domain.Invalid, Field: field, Msg: msg}
}
