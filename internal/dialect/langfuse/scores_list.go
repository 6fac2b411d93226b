package langfuse

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/httpio"
	"github.com/clewhq/clew/internal/query"
	"github.com/clewhq/clew/internal/store"
)

// scoreTypesOf is the types that a request may ask for.
var scoreTypesOf = []domain.ScoreType{
	domain.ScoreNumeric, domain.ScoreBoolean, domain.ScoreCategorical, domain.ScoreText, domain.ScoreCorrection,
}

var scoreSourcesOf = []string{domain.SourceAPI, domain.SourceEval, domain.SourceAnnotation}

// scoreOperators compare a score's value in the v1 and v2 reads.
var scoreOperators = map[string]query.Op{"<": query.Lt, ">": query.Gt, "<=": query.Le, ">=": query.Ge, "=": query.Eq, "!=": query.Eq}

// scoreConditions reads the parameters that the v1 and v2 lists have.
func scoreConditions(v url.Values) (*conditions, error) {
	typ, source := v.Get("dataType"), v.Get("source")
	if typ != "" && !slices.Contains(scoreTypesOf, domain.ScoreType(typ)) {
		return nil, invalid("dataType", "expected NUMERIC, BOOLEAN, CATEGORICAL, TEXT or CORRECTION")
	}
	if source != "" && !slices.Contains(scoreSourcesOf, source) {
		return nil, invalid("source", "expected API, EVAL or ANNOTATION")
	}
	c, err := parseFilter(query.Scores, v.Get("filter"))
	if err != nil {
		return nil, err
	}
	from, to, err := timeRange(v, "fromTimestamp", "toTimestamp")
	if err != nil {
		return nil, err
	}
	for name, col := range map[string]query.Col{
		"userId": query.ColUser, "name": query.ColName, "configId": query.ColConfig, "queueId": query.ColQueue,
		"dataType": query.ColType, "source": query.ColSource,
	} {
		c.equal(col, v.Get(name))
	}
	c.equal(query.ColEnv, lists(v, "environment")...)
	c.equal(query.ColID, lists(v, "scoreIds")...)
	c.all(query.ColTags, lists(v, "traceTags"))
	c.within(query.ColStart, from, to)
	return c, c.value(v)
}

// value adds the comparison of a value, which takes an operator beside it.
func (c *conditions) value(v url.Values) error {
	text, operator := v.Get("value"), v.Get("operator")
	if text == "" && operator == "" {
		return nil
	}
	d, ok := query.ParseDecimal(text)
	if !ok {
		return invalid("value", "expected a number beside operator")
	}
	op, known := scoreOperators[operator]
	if !known {
		return invalid("operator", "expected <, >, <=, >=, = or != beside value")
	}
	ref := query.Ref{Column: query.ColScoreValue}
	var f query.Filter = query.Cmp{Ref: ref, Op: op, Values: []query.Value{query.Num(d)}}
	if operator == "!=" {
		f = query.And{query.Has{Ref: ref}, query.Not{Filter: f}}
	}
	c.and(query.ColScoreValue, f)
	return nil
}

// listScoresV1 answers a page of the scores of traces and observations.
func (a *API) listScoresV1(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	c, err := scoreConditions(r.URL.Query())
	if err != nil {
		return err
	}
	correction := query.Cmp{Ref: query.Ref{Column: query.ColType}, Op: query.Eq, Values: []query.Value{query.Str(string(domain.ScoreCorrection))}}
	c.parts = append(c.parts, query.Has{Ref: query.Ref{Column: query.ColTrace}}, query.Not{Filter: correction})
	return a.scorePage(w, r, p, c, scoreV1, true)
}

// listScoresV2 answers a page of scores of every type and target.
func (a *API) listScoresV2(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	v := r.URL.Query()
	c, err := scoreConditions(v)
	if err != nil {
		return err
	}
	for name, col := range map[string]query.Col{"sessionId": query.ColSession, "traceId": query.ColTrace, "datasetRunId": query.ColExperiment} {
		c.equal(col, v.Get(name))
	}
	c.equal(query.ColObservation, lists(v, "observationId")...)
	withTrace := true
	if fields := lists(v, "fields"); len(fields) > 0 {
		if !slices.Contains(fields, "score") {
			return invalid("fields", "score can't be left out")
		}
		if withTrace = slices.Contains(fields, "trace"); !withTrace && (v.Get("userId") != "" || len(lists(v, "traceTags")) > 0) {
			return invalid("fields", "userId and traceTags need trace among the fields")
		}
	}
	return a.scorePage(w, r, p, c, scoreV2, withTrace)
}

func (a *API) scorePage(w http.ResponseWriter, r *http.Request, p auth.Principal, c *conditions, shape scoreShape, withTrace bool) error {
	pg, err := parsePage(r.URL.Query())
	if err != nil {
		return err
	}
	rows, meta, err := a.listPage(r.Context(), p.Project, walkKey(p.Project, r), query.List{View: query.Scores, Filter: c.parts}, pg)
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
		v.scoreOpen(row.Score, row.Score.TraceID, shape)
		if withTrace {
			v.scoreTrace(row, shape)
		}
		v.str("}")
		v.spill()
	}
	return v.end(meta)
}

// scoreTrace appends what lists of scores show of a score's trace: null in v2
// where there is none, an object without a user in v1.
func (v *view) scoreTrace(row *store.Row, shape scoreShape) {
	v.str(`,"trace":`)
	t := row.Trace
	if t == nil {
		if shape == scoreV2 {
			v.str("null")
			return
		}
		t = &domain.Trace{}
	}
	v.str(`{"userId":`)
	v.orNull(t.UserID)
	v.str(`,"tags":`)
	v.tags(t.Tags)
	v.str(`,"environment":`)
	v.quote(environmentOf(t.Environment))
	if shape == scoreV2 {
		v.str(`,"sessionId":`)
		v.orNull(t.SessionID)
	}
	v.str("}")
}

// scoreParameters is every parameter of the v3 list, which refuses others.
var scoreParameters = map[string]query.Col{
	"id": query.ColID, "name": query.ColName, "source": query.ColSource, "dataType": query.ColType, "environment": query.ColEnv,
	"configId": query.ColConfig, "queueId": query.ColQueue, "authorUserId": query.ColAuthor, "value": 0, "traceId": query.ColTrace,
	"sessionId": query.ColSession, "observationId": query.ColObservation, "experimentId": query.ColExperiment,
	"valueMin": 0, "valueMax": 0, "fromTimestamp": 0, "toTimestamp": 0, "limit": 0, "cursor": 0, "fields": 0,
}

// scoreGroups is which groups of keys a request of the v3 list asks for.
type scoreGroups struct{ details, subject, annotation bool }

// scoreListV3 reads the parameters of the v3 list.
func scoreListV3(v url.Values) (l query.List, g scoreGroups, err error) {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if _, known := scoreParameters[name]; !known {
			return l, g, invalid(name, "unrecognized parameter")
		}
	}
	l = query.List{View: query.Scores, Limit: defaultLimit, After: v.Get("cursor")}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPageLimit {
			return l, g, invalid("limit", "expected a whole number from 1 to 100")
		}
		l.Limit = n
	}
	for _, f := range lists(v, "fields") {
		to := map[string]*bool{"core": new(bool), "details": &g.details, "subject": &g.subject, "annotation": &g.annotation}[f]
		if to == nil {
			return l, g, invalid("fields", "unknown group "+f+"; expected core, details, subject or annotation")
		}
		*to = true
	}
	targets := 0
	for _, name := range []string{"traceId", "sessionId", "experimentId"} {
		if v.Get(name) != "" {
			targets++
		}
	}
	switch {
	case targets > 1:
		return l, g, invalid("traceId", "only one of traceId, sessionId and experimentId may be given")
	case v.Get("observationId") != "" && v.Get("traceId") == "":
		return l, g, invalid("observationId", "needs traceId beside it")
	}
	c := &conditions{view: query.Scores}
	for name, col := range scoreParameters {
		values := lists(v, name)
		if col == 0 || len(values) == 0 {
			continue
		}
		if entry, _ := query.ColumnOf(query.Scores, col); entry.Kind == query.EnumKind {
			for i, s := range values {
				if values[i] = strings.ToUpper(s); !slices.Contains(entry.Words, values[i]) {
					return l, g, invalid(name, "expected "+strings.Join(entry.Words, ", "))
				}
			}
		}
		c.equal(col, values...)
	}
	from, to, err := timeRange(v, "fromTimestamp", "toTimestamp")
	if err != nil {
		return l, g, err
	}
	c.within(query.ColStart, from, to)
	if err := c.valuesV3(v); err != nil {
		return l, g, err
	}
	l.Filter = c.parts
	return l, g, nil
}

// valuesV3 adds the conditions on a value, whose kind the type decides.
func (c *conditions) valuesV3(v url.Values) error {
	types := lists(v, "dataType")
	typ := ""
	if len(types) == 1 {
		typ = strings.ToUpper(types[0])
	}
	number := query.Ref{Column: query.ColScoreValue}
	if values := lists(v, "value"); len(values) > 0 {
		any := query.Or{}
		for _, text := range values {
			f := query.Cmp{Op: query.Eq}
			d, isNumber := query.ParseDecimal(text)
			switch {
			case typ == string(domain.ScoreNumeric) && isNumber:
				f.Ref, f.Values = number, []query.Value{query.Num(d)}
			case typ == string(domain.ScoreBoolean) && (text == "true" || text == "false"):
				f.Ref, f.Values = query.Ref{Column: query.ColScoreBool}, []query.Value{query.Bool(text == "true")}
			case typ == string(domain.ScoreCategorical):
				f.Ref, f.Values = query.Ref{Column: query.ColStringValue}, []query.Value{query.Str(text)}
			case typ == string(domain.ScoreNumeric) || typ == string(domain.ScoreBoolean):
				return invalid("value", strconv.Quote(text)+" is no value of type "+typ)
			default:
				return invalid("value", "needs exactly one dataType of NUMERIC, BOOLEAN or CATEGORICAL")
			}
			any = append(any, f)
		}
		c.parts = append(c.parts, any)
	}
	for name, op := range map[string]query.Op{"valueMin": query.Ge, "valueMax": query.Le} {
		text := v.Get(name)
		if text == "" {
			continue
		}
		d, ok := query.ParseDecimal(text)
		switch {
		case !ok:
			return invalid(name, "expected a number")
		case typ != string(domain.ScoreNumeric):
			return invalid(name, "needs dataType=NUMERIC alone")
		}
		c.parts = append(c.parts, query.Cmp{Ref: number, Op: op, Values: []query.Value{query.Num(d)}})
	}
	return nil
}

// listScoresV3 answers scores by cursor, the newest first.
func (a *API) listScoresV3(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	l, g, err := scoreListV3(r.URL.Query())
	if err != nil {
		return err
	}
	l.Bind.Now = a.now().UnixNano()
	page, err := a.traces.List(r.Context(), p.Project, l)
	if err != nil {
		return err
	}
	v := a.view(r.Context(), answer(w), p)
	v.str(`{"data":[`)
	for i := range page.Rows {
		if i > 0 {
			v.str(",")
		}
		v.scoreV3(page.Rows[i].Score, g)
		v.spill()
	}
	v.str(`],"meta":{"limit":`)
	v.int(int64(l.Limit))
	if page.Next != "" {
		v.str(`,"cursor":`)
		v.quote(page.Next)
	}
	v.str("}}")
	return v.finish()
}

// scoreV3 appends a score whose value is a number, a boolean or a text.
func (v *view) scoreV3(s *domain.Score, g scoreGroups) {
	typ := s.Type
	if typ == "" {
		typ = domain.ScoreNumeric
	}
	source := s.Source
	if source == "" {
		source = domain.SourceAPI
	}
	v.str(`{"id":`)
	v.quote(s.ID)
	v.str(`,"projectId":`)
	v.quote(v.project)
	v.str(`,"name":`)
	v.quote(s.Name)
	v.str(`,"value":`)
	switch typ {
	case domain.ScoreNumeric:
		v.float(s.Value.Value)
	case domain.ScoreBoolean:
		v.bool(s.Value.Value != 0)
	default:
		v.quote(s.StringValue)
	}
	v.str(`,"dataType":`)
	v.quote(string(typ))
	v.str(`,"source":`)
	v.quote(source)
	v.str(`,"timestamp":`)
	v.time(query.ScoreTime(s))
	v.str(`,"environment":`)
	v.quote(environmentOf(s.Environment))
	v.str(`,"createdAt":`)
	v.time(s.CreatedAt)
	v.str(`,"updatedAt":`)
	v.time(s.UpdatedAt)
	if g.details {
		v.str(`,"comment":`)
		v.orNull(s.Comment)
		v.str(`,"configId":`)
		v.orNull(s.ConfigID)
		v.str(`,"metadata":`)
		v.object(domain.JSONBody(s.Metadata))
	}
	if g.annotation {
		v.str(`,"authorUserId":`)
		v.orNull(s.AuthorUserID)
		v.str(`,"queueId":`)
		v.orNull(s.QueueID)
	}
	if g.subject {
		v.subject(s)
	}
	v.str("}")
}

// subject appends what a score judges.
func (v *view) subject(s *domain.Score) {
	kind, id := "trace", s.TraceID
	switch {
	case s.ObservationID != "":
		kind, id = "observation", s.ObservationID
	case s.SessionID != "":
		kind, id = "session", s.SessionID
	case s.RunID != "":
		kind, id = "experiment", s.RunID
	}
	v.str(`,"subject":{"kind":`)
	v.quote(kind)
	v.str(`,"id":`)
	v.quote(id)
	if kind == "observation" && s.TraceID != "" {
		v.str(`,"traceId":`)
		v.quote(s.TraceID)
	}
	v.str("}")
}

// deleteScore deletes a score of any kind; one that is not there is gone already.
func (a *API) deleteScore(w http.ResponseWriter, r *http.Request, p auth.Principal) error {
	if err := a.traces.DeleteScores(r.Context(), p.Project, []string{r.PathValue("scoreId")}); err != nil {
		return err
	}
	httpio.WriteJSON(w, http.StatusAccepted, message{"Score deleted successfully"})
	return nil
}
