package langfuse

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/store"
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
	v := a.view(answer(w), p)
	v.observation(&o.Observation, cmp.Or(o.Trace.ID, o.Observation.TraceID), &o.Content, "null")
	return v.finish()
}

// listObservations answers the observations of one trace, newest first.
func (a *API) listObservations(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	q, err := parseObservationQuery(r.URL.Query())
	if err != nil {
		return err
	}
	t, err := a.traces.Trace(r.Context(), p.Project, q.traceID)
	if domain.CodeOf(err) == domain.NotFound {
		t, err = &store.Trace{}, nil // a list of nothing is no error
	}
	if err != nil {
		return err
	}
	picks, more := q.pick(t)
	v := a.view(answer(w), p)
	v.str(`{"data":[`)
	if err := v.page(r.Context(), t, picks, q); err != nil {
		return err
	}
	v.str(`],"meta":{`)
	if more {
		v.str(`"cursor":`)
		v.quote(cursorAfter(&t.Trace, &t.Observations[picks[len(picks)-1]]))
	}
	v.str("}}")
	return v.finish()
}

// pick finds the observations of a page, newest first, and whether there are
// more after them.
func (q *observationQuery) pick(t *store.Trace) (picks []int, more bool) {
	for i := len(t.Observations) - 1; i >= 0; i-- {
		if !q.matches(&t.Trace, &t.Observations[i]) {
			continue
		}
		if len(picks) == q.limit {
			return picks, q.limit > 0
		}
		picks = append(picks, i)
	}
	return picks, false
}

// matches reports whether o is asked for and comes after the cursor.
func (q *observationQuery) matches(t *domain.Trace, o *domain.Observation) bool {
	equal := func(want, got string) bool { return want == "" || want == got }
	switch {
	case !equal(q.name, o.Name), !equal(q.version, o.Version), !equal(q.userID, t.UserID), !equal(q.sessionID, t.SessionID):
		return false
	case !equal(q.typ, string(typeOf(o))), !equal(q.level, o.Level.String()):
		return false
	case q.parent.Set && q.parent.Value != o.ParentID:
		return false
	case q.root.Set && q.root.Value != o.IsRoot():
		return false
	case len(q.environments) > 0 && !q.environments[environmentOf(o.Environment)]:
		return false
	case o.Start.Before(q.from), q.to.IsSet() && !o.Start.Before(q.to):
		return false
	}
	return q.after == nil || q.after.before(t, o)
}

// place is where a page ended, in the order of start, trace and id, all falling.
type place struct {
	Start   string `json:"lastStartTimeTo"` // as fine as the store's times
	TraceID string `json:"lastTraceId"`
	ID      string `json:"lastId"`

	start domain.Time
}

func cursorAfter(t *domain.Trace, o *domain.Observation) string {
	raw, _ := json.Marshal(place{Start: o.Start.Std().Format(time.RFC3339Nano), TraceID: t.ID, ID: o.ID}) // texts always marshal
	return base64.URLEncoding.EncodeToString(raw)
}

func parseCursor(text string) (*place, error) {
	broken := invalid("cursor", "the cursor is broken; use one of an answer as it came")
	raw, err := base64.URLEncoding.DecodeString(text)
	if err != nil {
		raw, err = base64.StdEncoding.DecodeString(text)
	}
	p := &place{}
	if err != nil || json.Unmarshal(raw, p) != nil || p.ID == "" {
		return nil, broken
	}
	start, err := parseQueryTime(p.Start)
	if err != nil {
		return nil, broken
	}
	p.start = start
	return p, nil
}

// before reports whether the page ended before o.
func (p *place) before(t *domain.Trace, o *domain.Observation) bool {
	return cmp.Or(
		cmp.Compare(o.Start.Nanos(), p.start.Nanos()),
		cmp.Compare(domain.TraceKey(t.ID), domain.TraceKey(p.TraceID)),
		cmp.Compare(o.ID, p.ID),
	) < 0
}

// pageMemory is how many bytes of rendered observations one page may hold.
const pageMemory = 32 << 20

// errEnough ends a pass over contents early.
var errEnough = errors.New("enough")

// page appends the picked observations. Bodies are read from the oldest to the
// newest but wanted the other way round, so that they are held until the pass
// is over. Where a page is larger than what may be held, only its newest part
// is, and another pass brings the next part.
func (v *view) page(ctx context.Context, t *store.Trace, picks []int, q *observationQuery) error {
	if !q.fields.io && !q.fields.metadata {
		for n, i := range picks {
			if n > 0 {
				v.str(",")
			}
			v.observationV2(&t.Trace, &t.Observations[i], &domain.Content{}, q)
		}
		return nil
	}
	for done := 0; done < len(picks); {
		held, err := v.newest(ctx, t, picks[done:], q)
		if err != nil {
			return err
		}
		for i := len(held) - 1; i >= 0; i-- {
			if done > 0 {
				v.str(",")
			}
			v.raw(held[i])
			done++
		}
		if v.err != nil {
			return v.finish()
		}
	}
	return nil
}

// newest renders the first of picks, as many as may be held, oldest first.
func (v *view) newest(ctx context.Context, t *store.Trace, picks []int, q *observationQuery) ([][]byte, error) {
	var held [][]byte
	size, next := 0, len(picks)-1
	err := t.Source.Each(ctx, func(i int, c *domain.Content) error {
		if next < 0 {
			return errEnough
		}
		if i != picks[next] {
			return nil
		}
		next--
		one := view{stream: &stream{}, project: v.project, prices: v.prices, known: v.known}
		one.observationV2(&t.Trace, &t.Observations[i], c, q)
		v.known = one.known
		held, size = append(held, one.buf), size+len(one.buf)
		for size > pageMemory && len(held) > 1 {
			size -= len(held[0])
			held[0], held = nil, held[1:]
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if len(held) == 0 {
		return nil, domain.Errorf(domain.NotFound, "the observations were deleted meanwhile")
	}
	return held, nil
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
