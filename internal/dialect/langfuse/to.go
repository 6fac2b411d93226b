package langfuse

import (
	"net/url"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// view writes things of one project in the shapes of the API.
type view struct {
	*stream
	project string
	prices  func(modelID string) flatPrices // today's default-tier prices
	known   map[string]flatPrices

	promptID func(name string, version int64) string // "": no such version
}

// flatPrices is what one unit costs by a model's definition of today.
// Each is a decimal, "" where the definition has no such price.
type flatPrices struct{ input, output, total string }

// price finds the prices of a model definition, each once an answer.
func (v *view) price(modelID string) flatPrices {
	if modelID == "" || v.prices == nil {
		return flatPrices{}
	}
	p, found := v.known[modelID]
	if !found {
		p = v.prices(modelID)
		if v.known == nil {
			v.known = map[string]flatPrices{}
		}
		v.known[modelID] = p
	}
	return p
}

// observation appends an observation as the v1 reads show it. noPrice stands
// where its model has no such price: "0" in a trace, "null" elsewhere.
func (v *view) observation(o *domain.Observation, traceID string, c *domain.Content, noPrice string) {
	v.str(`{"id":`)
	v.quote(o.ID)
	v.str(`,"projectId":`)
	v.quote(v.project)
	v.str(`,"traceId":`)
	v.quote(traceID)
	v.str(`,"parentObservationId":`)
	v.orNull(o.ParentID)
	v.str(`,"type":`)
	v.quote(string(typeOf(o)))
	v.str(`,"name":`)
	v.orNull(o.Name)
	v.str(`,"environment":`)
	v.quote(environmentOf(o.Environment))
	v.str(`,"startTime":`)
	v.time(o.Start)
	v.str(`,"endTime":`)
	v.time(o.End)
	v.str(`,"completionStartTime":`)
	v.time(o.CompletionStart)
	v.str(`,"level":"`)
	v.str(o.Level.String())
	v.str(`","statusMessage":`)
	v.orNull(o.StatusMessage)
	v.str(`,"version":`)
	v.orNull(o.Version)
	v.str(`,"createdAt":`)
	v.time(o.CreatedAt)
	v.str(`,"updatedAt":`)
	v.time(o.UpdatedAt)
	v.model(o)
	v.usage(o, noPrice)
	v.durations(o)
	v.str(`,"input":`)
	v.value(c[domain.Input])
	v.str(`,"output":`)
	v.value(c[domain.Output])
	v.str(`,"metadata":`)
	v.object(c[domain.Metadata])
	v.str("}")
	v.spill()
}

// model appends the keys about an observation's model and prompt.
func (v *view) model(o *domain.Observation) {
	v.str(`,"model":`)
	v.orNull(o.Model)
	v.str(`,"modelParameters":`)
	v.parameters(o)
	v.str(`,"modelId":`)
	v.orNull(o.Derived.ModelID)
	v.prompt(o)
	v.str(",")
}

// parameters appends the model parameters: the object, or the text as it came
// where that is no JSON.
func (v *view) parameters(o *domain.Observation) {
	if len(o.ModelParameters) == 0 {
		v.str("null")
		return
	}
	v.value(domain.Body{Kind: domain.JSON, Data: o.ModelParameters})
}

// prompt appends the keys about the prompt: name and version as they were sent,
// and the id of what has them today.
func (v *view) prompt(o *domain.Observation) {
	id := ""
	if v.promptID != nil && o.PromptName != "" && o.PromptVersion.Set {
		id = v.promptID(o.PromptName, o.PromptVersion.Value)
	}
	v.str(`,"promptId":`)
	v.orNull(id)
	v.str(`,"promptName":`)
	v.orNull(o.PromptName)
	v.str(`,"promptVersion":`)
	if o.PromptVersion.Set {
		v.int(o.PromptVersion.Value)
	} else {
		v.str("null")
	}
}

// usage appends everything about units, costs and prices that v1 reads show.
func (v *view) usage(o *domain.Observation, noPrice string) {
	d := &o.Derived
	input, output := d.Usage.Side("input"), d.Usage.Side("output")
	total, _ := d.Usage.Get("total")
	v.details(d)
	v.str(`,"usage":{"unit":"TOKENS","input":`)
	v.int(input)
	v.str(`,"output":`)
	v.int(output)
	v.str(`,"total":`)
	v.int(total)
	v.str(`},"unit":"TOKENS","promptTokens":`)
	v.int(input)
	v.str(`,"completionTokens":`)
	v.int(output)
	v.str(`,"totalTokens":`)
	v.int(total)
	v.str(`,"calculatedInputCost":`)
	v.side(d.Cost, "input")
	v.str(`,"calculatedOutputCost":`)
	v.side(d.Cost, "output")
	v.str(`,"calculatedTotalCost":`)
	v.money(d.TotalCost.Value)
	p := v.price(d.ModelID)
	v.str(`,"inputPrice":`)
	v.decimalOr(p.input, noPrice)
	v.str(`,"outputPrice":`)
	v.decimalOr(p.output, noPrice)
	v.str(`,"totalPrice":`)
	v.decimalOr(p.total, noPrice)
	v.str(`,"usagePricingTierId":`)
	v.orNull(d.TierID)
	v.str(`,"usagePricingTierName":`)
	v.orNull(d.TierName)
}

// details appends usage and cost by key.
func (v *view) details(d *domain.Derived) {
	v.str(`"usageDetails":{`)
	for i, c := range d.Usage {
		v.key(i, c.Key)
		v.int(c.Units)
	}
	v.str(`},"costDetails":{`)
	for i, c := range d.Cost {
		v.key(i, c.Key)
		v.money(c.Amount)
	}
	v.str("}")
}

// key appends the key of member i of an object.
func (v *view) key(i int, key string) {
	if i > 0 {
		v.str(",")
	}
	v.quote(key)
	v.str(":")
}

// side appends the sum of the costs on one side, null where there is none.
func (v *view) side(c domain.Cost, word string) {
	sum, found := c.Side(word)
	if found {
		v.money(sum)
	} else {
		v.str("null")
	}
}

func (v *view) decimalOr(decimal, none string) {
	if decimal == "" {
		decimal = none
	}
	v.str(decimal)
}

// durations appends latency and time to the first token, in seconds.
func (v *view) durations(o *domain.Observation) {
	v.str(`,"latency":`)
	v.secondsOrNull(o.Start, o.End)
	v.str(`,"timeToFirstToken":`)
	v.secondsOrNull(o.Start, o.CompletionStart)
}

func (v *view) secondsOrNull(from, to domain.Time) {
	if !from.IsSet() || !to.IsSet() {
		v.str("null")
		return
	}
	v.seconds(from, to)
}

// typeOf is the type of an observation; a plain span where nobody said one.
func typeOf(o *domain.Observation) domain.ObservationType {
	if o.Type == "" {
		return domain.TypeSpan
	}
	return o.Type
}

func environmentOf(e string) string {
	if e == "" {
		return domain.DefaultEnvironment
	}
	return e
}

// traceFields appends the keys of a trace that need none of its bodies, after
// its observations and scores.
func (v *view) traceFields(t *domain.Trace, metrics bool) {
	v.str(",")
	v.traceCore(t)
	v.str(`,"htmlPath":`)
	v.quote("/project/" + url.PathEscape(v.project) + "/traces/" + url.PathEscape(t.ID))
	v.str(`,"latency":`)
	switch {
	case !metrics:
		v.str(`-1,"totalCost":-1`)
		return
	case t.Totals.Start.IsSet():
		v.seconds(t.Totals.Start, t.Totals.End)
	default:
		v.str("0")
	}
	v.str(`,"totalCost":`)
	v.money(t.Totals.Cost)
}

// traceCore appends the keys that a trace has wherever it is shown.
func (v *view) traceCore(t *domain.Trace) {
	v.str(`"id":`)
	v.quote(t.ID)
	v.str(`,"projectId":`)
	v.quote(v.project)
	v.str(`,"externalId":null,"name":`)
	v.orNull(t.Name)
	v.str(`,"timestamp":`)
	v.time(query.TraceTime(t))
	v.str(`,"environment":`)
	v.quote(environmentOf(t.Environment))
	v.str(`,"tags":`)
	v.tags(t.Tags)
	v.str(`,"bookmarked":`)
	v.bool(t.Bookmarked)
	v.str(`,"public":`)
	v.bool(t.Public.Value)
	v.str(`,"release":`)
	v.orNull(t.Release)
	v.str(`,"version":`)
	v.orNull(t.Version)
	v.str(`,"userId":`)
	v.orNull(t.UserID)
	v.str(`,"sessionId":`)
	v.orNull(t.SessionID)
	v.str(`,"createdAt":`)
	v.time(t.CreatedAt)
	v.str(`,"updatedAt":`)
	v.time(t.UpdatedAt)
}

func (v *view) tags(tags []string) {
	v.str("[")
	for i, t := range tags {
		if i > 0 {
			v.str(",")
		}
		v.quote(t)
	}
	v.str("]")
}

// listable reports whether the v1 reads show a score: those of traces and
// observations, but no corrections.
func listable(s *domain.Score) bool { return s.TraceID != "" && s.Type != domain.ScoreCorrection }

// scoreShape is which generation of score reads asks.
type scoreShape bool

const (
	scoreV1 scoreShape = false
	scoreV2 scoreShape = true // also names the session and the dataset run
)

// score appends a score; traceID is the id of its trace as the answer has it.
func (v *view) score(s *domain.Score, traceID string, shape scoreShape) {
	v.scoreOpen(s, traceID, shape)
	v.str("}")
	v.spill()
}

// scoreOpen is score without the brace that ends it.
func (v *view) scoreOpen(s *domain.Score, traceID string, shape scoreShape) {
	v.str(`{"id":`)
	v.quote(s.ID)
	v.str(`,"projectId":`)
	v.quote(v.project)
	v.str(`,"environment":`)
	v.quote(environmentOf(s.Environment))
	v.str(`,"name":`)
	v.quote(s.Name)
	v.str(`,"source":`)
	if s.Source == "" {
		v.quote(domain.SourceAPI)
	} else {
		v.quote(s.Source)
	}
	v.str(`,"authorUserId":`)
	v.orNull(s.AuthorUserID)
	v.str(`,"comment":`)
	v.orNull(s.Comment)
	v.str(`,"metadata":`)
	v.object(domain.JSONBody(s.Metadata))
	v.str(`,"configId":`)
	v.orNull(s.ConfigID)
	v.str(`,"queueId":`)
	v.orNull(s.QueueID)
	v.str(`,"executionTraceId":`)
	v.orNull(s.ExecutionTraceID)
	v.str(`,"createdAt":`)
	v.time(s.CreatedAt)
	v.str(`,"updatedAt":`)
	v.time(s.UpdatedAt)
	v.str(`,"timestamp":`)
	v.time(query.ScoreTime(s))
	v.str(`,"traceId":`)
	v.orNull(traceID)
	v.str(`,"observationId":`)
	v.orNull(s.ObservationID)
	if shape == scoreV2 {
		v.str(`,"sessionId":`)
		v.orNull(s.SessionID)
		v.str(`,"datasetRunId":`)
		v.orNull(s.RunID)
	}
	v.scoreValue(s)
}

// scoreValue appends the keys that depend on a score's type. Clients parse by
// the type and want exactly the keys it has.
func (v *view) scoreValue(s *domain.Score) {
	v.str(`,"dataType":`)
	typ := s.Type
	if typ == "" {
		typ = domain.ScoreNumeric
	}
	v.quote(string(typ))
	switch typ {
	case domain.ScoreText:
	case domain.ScoreCorrection:
		v.str(`,"value":0`)
	default:
		v.str(`,"value":`)
		v.float(s.Value.Value)
	}
	v.str(`,"stringValue":`)
	switch {
	case typ == domain.ScoreNumeric:
		v.str("null")
	case typ == domain.ScoreBoolean && s.StringValue == "":
		v.quote(map[bool]string{true: "True", false: "False"}[s.Value.Value != 0])
	default:
		v.quote(s.StringValue)
	}
}

// scores appends the scores of a trace.
func (v *view) scores(t *store.Trace) {
	n := 0
	for i := range t.Scores {
		if s := &t.Scores[i]; listable(s) {
			if n++; n > 1 {
				v.str(",")
			}
			v.score(s, t.Trace.ID, scoreV1)
		}
	}
}
