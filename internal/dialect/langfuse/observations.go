package langfuse

import (
	"cmp"
	"net/http"
	"time"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

func (a *API) getObservation(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	id := r.PathValue("observationId")
	o, err := a.traces.Observation(r.Context(), p.Project, id)
	if domain.CodeOf(err) == domain.NotFound {
		return domain.Errorf(domain.NotFound, "Observation %s not found within authorized project", id)
	}
	if err != nil {
		return err
	}
	v := a.view(r.Context(), answer(w), p)
	v.observation(&o.Observation, cmp.Or(o.Trace.ID, o.Observation.TraceID), &o.Content, "null")
	return v.finish()
}

// listObservationsV1 answers a page of observations, the newest first.
func (a *API) listObservationsV1(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q := r.URL.Query()
	pg, err := parsePage(q)
	if err != nil {
		return err
	}
	c, err := observationConditions(q)
	if err != nil {
		return err
	}
	rows, meta, err := a.listPage(r.Context(), p.Project, walkKey(p.Project, r), query.List{View: query.Observations, Filter: c.parts}, pg)
	if err != nil {
		return err
	}
	v := a.view(r.Context(), answer(w), p)
	v.str(`{"data":[`)
	for i := range rows.Rows {
		if i > 0 {
			v.str(",")
		}
		row := &rows.Rows[i]
		bodies, err := content(r.Context(), row)
		if err != nil {
			return err
		}
		v.observation(row.Observation, row.Trace.ID, &bodies, "null")
		if v.err != nil {
			return v.finish()
		}
	}
	return v.end(meta)
}

// lookAgain is how long a list by cursor goes on looking for its first row
// before it answers with none and a cursor.
const lookAgain = 5 * time.Second

// listObservations answers observations by cursor, the newest first.
func (a *API) listObservations(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q, err := parseObservationQuery(r.URL.Query())
	if err != nil {
		return err
	}
	q.list.Bind.Now = a.now().UnixNano()
	page, err := a.traces.List(r.Context(), p.Project, q.list)
	for began := time.Now(); err == nil && page.Stopped && len(page.Rows) == 0 && time.Since(began) < lookAgain; {
		q.list.After = page.Next
		page, err = a.traces.List(r.Context(), p.Project, q.list)
	}
	if err != nil {
		return err
	}
	v := a.view(r.Context(), answer(w), p)
	v.str(`{"data":[`)
	for i := range page.Rows {
		if i > 0 {
			v.str(",")
		}
		row := &page.Rows[i]
		var bodies domain.Content
		if q.fields.io || q.fields.metadata {
			if bodies, err = content(r.Context(), row); err != nil {
				return err
			}
		}
		v.observationV2(row.Trace, row.Observation, &bodies, q)
		if v.err != nil {
			return v.finish()
		}
	}
	v.str(`],"meta":{`)
	if page.Next != "" {
		v.str(`"cursor":`)
		v.quote(page.Next)
	}
	v.str("}}")
	return v.finish()
}

// observationV2 appends an observation as the v2 reads show it: the groups of
// keys that were asked for, and what it takes from its trace.
func (v *view) observationV2(t *domain.Trace, o *domain.Observation, c *domain.Content, q *observationQuery) {
	f := &q.fields
	v.coreV2(t, o)
	if f.basic {
		v.basicV2(t, o)
	}
	if f.time {
		v.str(`,"completionStartTime":`)
		v.time(o.CompletionStart)
		v.str(`,"createdAt":`)
		v.time(o.CreatedAt)
		v.str(`,"updatedAt":`)
		v.time(o.UpdatedAt)
	}
	if f.io {
		v.str(`,"input":`)
		v.storedText(c[domain.Input])
		v.str(`,"output":`)
		v.storedText(c[domain.Output])
	}
	if f.metadata {
		v.str(`,"metadata":`)
		v.cutObject(c[domain.Metadata], q.expand)
	}
	v.modelV2(o, f.model)
	if f.usage {
		v.str(",")
		v.details(&o.Derived)
		v.str(`,"totalCost":`)
		if o.Derived.TotalCost.Set {
			v.money(o.Derived.TotalCost.Value)
		} else {
			v.str("null")
		}
		v.str(`,"usagePricingTierName":`)
		v.orNull(o.Derived.TierName)
	}
	if f.prompt {
		v.prompt(o)
	}
	if f.metrics {
		v.durations(o)
	}
	if f.traceContext {
		v.str(`,"tags":`)
		v.tags(t.Tags)
		v.str(`,"release":`)
		v.orNull(t.Release)
		v.str(`,"traceName":`)
		v.orNull(t.Name)
	}
	v.str("}")
	v.spill()
}

func (v *view) coreV2(t *domain.Trace, o *domain.Observation) {
	v.str(`{"id":`)
	v.quote(o.ID)
	v.str(`,"traceId":`)
	v.orNull(cmp.Or(t.ID, o.TraceID))
	v.str(`,"startTime":`)
	v.time(o.Start)
	v.str(`,"endTime":`)
	v.time(o.End)
	v.str(`,"projectId":`)
	v.quote(v.project)
	v.str(`,"parentObservationId":`)
	v.orNull(o.ParentID)
	v.str(`,"type":`)
	v.quote(string(typeOf(o)))
}

func (v *view) basicV2(t *domain.Trace, o *domain.Observation) {
	v.str(`,"name":`)
	v.orNull(o.Name)
	v.str(`,"level":"`)
	v.str(o.Level.String())
	v.str(`","statusMessage":`)
	v.orNull(o.StatusMessage)
	v.str(`,"version":`)
	v.orNull(o.Version)
	v.str(`,"environment":`)
	v.quote(environmentOf(o.Environment))
	v.str(`,"bookmarked":`)
	v.bool(t.Bookmarked)
	v.str(`,"public":`)
	v.bool(t.Public.Value)
	v.str(`,"userId":`)
	v.orNull(t.UserID)
	v.str(`,"sessionId":`)
	v.orNull(t.SessionID)
	v.str(`,"isRootObservation":`)
	v.bool(o.IsRoot())
}

// modelV2 appends the model under the names of both generations of clients.
// The matched definition and its prices are always keys, but filled only where
// the group was asked for; prices are texts there.
func (v *view) modelV2(o *domain.Observation, asked bool) {
	if !asked {
		v.str(`,"modelId":null,"inputPrice":null,"outputPrice":null,"totalPrice":null`)
		return
	}
	v.str(`,"providedModelName":`)
	v.orNull(o.Model)
	v.str(`,"model":`)
	v.orNull(o.Model)
	v.str(`,"internalModelId":`)
	v.orNull(o.Derived.ModelID)
	v.str(`,"modelParameters":`)
	v.parameters(o)
	v.str(`,"modelId":`)
	v.orNull(o.Derived.ModelID)
	p := v.price(o.Derived.ModelID)
	v.str(`,"inputPrice":`)
	v.orNull(p.input)
	v.str(`,"outputPrice":`)
	v.orNull(p.output)
	v.str(`,"totalPrice":`)
	v.orNull(p.total)
}
