package langfuse

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// filterElement is one condition of the filter parameter.
type filterElement struct {
	Type     string          `json:"type"`
	Column   string          `json:"column"`
	Operator string          `json:"operator"`
	Key      *string         `json:"key"`
	Value    json.RawMessage `json:"value"`
}

// filterColumns is what the API calls the columns of each view, beside their
// own names in the query language. A column that stands for the presence of
// another one is in presence.
var filterColumns = map[query.View]map[string]query.Col{
	query.Traces: {
		"id": query.ColID, "traceId": query.ColID, "name": query.ColName, "traceName": query.ColName, "timestamp": query.ColStart,
		"userId": query.ColUser, "sessionId": query.ColSession, "environment": query.ColEnv, "version": query.ColVersion,
		"release": query.ColRelease, "bookmarked": query.ColBookmarked, "public": query.ColPublic, "level": query.ColLevel,
		"tags": query.ColTags, "traceTags": query.ColTags, "metadata": query.ColMetadata, "latency": query.ColLatency,
		"inputTokens": query.ColInputTokens, "outputTokens": query.ColOutputTokens, "totalTokens": query.ColTokens, "tokens": query.ColTokens,
		"inputCost": query.ColInputCost, "outputCost": query.ColOutputCost, "totalCost": query.ColCost,
		"errorCount": query.ColErrorCount, "warningCount": query.ColWarnings, "defaultCount": query.ColDefaults, "debugCount": query.ColDebugs,
		"scores_avg": query.ColScore, "scores": query.ColScore, "score_categories": query.ColScore, "score_booleans": query.ColScore,
	},
	query.Observations: {
		"id": query.ColID, "type": query.ColType, "name": query.ColName, "traceId": query.ColTrace, "parentObservationId": query.ColParent,
		"startTime": query.ColStart, "endTime": query.ColEnd, "environment": query.ColEnv, "level": query.ColLevel,
		"statusMessage": query.ColStatus, "version": query.ColVersion, "latency": query.ColLatency, "timeToFirstToken": query.ColTTFT,
		"tokensPerSecond": query.ColSpeed, "inputTokens": query.ColInputTokens, "outputTokens": query.ColOutputTokens,
		"totalTokens": query.ColTokens, "tokens": query.ColTokens, "inputCost": query.ColInputCost, "outputCost": query.ColOutputCost,
		"totalCost": query.ColCost, "model": query.ColModel, "providedModelName": query.ColModel, "modelId": query.ColModelID,
		"promptName": query.ColPrompt, "promptVersion": query.ColPromptVersion, "metadata": query.ColMetadata,
		"userId": query.ColUser, "sessionId": query.ColSession, "traceName": query.ColTraceName, "traceEnvironment": query.ColTraceEnv,
		"traceTags": query.ColTags, "tags": query.ColTags, "release": query.ColRelease, "traceVersion": query.ColTraceVersion,
		"isRootObservation": query.ColRoot, "input": query.ColInput, "output": query.ColOutput,
		"experimentId": query.ColExperiment, "experimentName": query.ColExperimentName, "experimentDatasetId": query.ColDataset,
		"isExperimentItemRootSpan": query.ColItemRoot,
		"toolNames":                query.ColTools, "calledToolNames": query.ColCalledTools, "toolDefinitions": query.ColToolCount, "toolCalls": query.ColCallCount,
		"scores_avg": query.ColScore, "scores": query.ColScore, "score_categories": query.ColScore, "score_booleans": query.ColScore,
		"trace_scores_avg": query.ColTraceScore, "trace_score_categories": query.ColTraceScore, "trace_score_booleans": query.ColTraceScore,
	},
	query.Scores: {
		"id": query.ColID, "timestamp": query.ColStart, "environment": query.ColEnv, "traceId": query.ColTrace,
		"observationId": query.ColObservation, "sessionId": query.ColSession, "datasetRunId": query.ColExperiment, "name": query.ColName,
		"value": query.ColScoreValue, "booleanValue": query.ColScoreBool, "stringValue": query.ColStringValue, "source": query.ColSource,
		"comment": query.ColComment, "authorUserId": query.ColAuthor, "dataType": query.ColType, "metadata": query.ColMetadata,
		"traceName": query.ColTraceName, "userId": query.ColUser, "trace_tags": query.ColTags, "traceTags": query.ColTags,
		"evaluatorId": query.ColEvaluator, "configId": query.ColConfig, "queueId": query.ColQueue,
	},
}

// presence is columns of observations that ask whether another has a value.
var presence = map[string]query.Col{"hasInput": query.ColInput, "hasOutput": query.ColOutput, "hasParentObservation": query.ColParent}

// filterTitles is the names that the web application shows columns under, which
// filters made there are sent with.
var filterTitles = map[string]string{
	"⭐️": "bookmarked", "Name": "name", "ID": "id", "Trace ID": "traceId", "Timestamp": "timestamp", "User ID": "userId",
	"Session ID": "sessionId", "Level": "level", "Tags": "tags", "Trace Tags": "traceTags", "Trace Name": "traceName", "Version": "version", "Release": "release",
	"Environment": "environment", "Metadata": "metadata", "Latency (s)": "latency", "Time To First Token (s)": "timeToFirstToken",
	"Tokens per second": "tokensPerSecond", "Input Cost ($)": "inputCost", "Output Cost ($)": "outputCost", "Total Cost ($)": "totalCost",
	"Input Tokens": "inputTokens", "Output Tokens": "outputTokens", "Total Tokens": "totalTokens", "Tokens": "tokens",
	"Error Level Count": "errorCount", "Warning Level Count": "warningCount", "Default Level Count": "defaultCount", "Debug Level Count": "debugCount",
	"Scores": "scores", "Scores (numeric)": "scores_avg", "Scores (categorical)": "score_categories", "Scores (boolean)": "score_booleans",
	"Model": "model", "Model ID": "modelId", "Prompt Name": "promptName", "Prompt Version": "promptVersion", "Status Message": "statusMessage",
	"Type": "type", "Start Time": "startTime", "End Time": "endTime", "Parent Observation ID": "parentObservationId", "Value": "value", "Source": "source",
	"Data Type": "dataType", "Comment": "comment",
	"Available Tools": "toolDefinitions", "Tool Calls": "toolCalls", "Tool Names": "toolNames", "Called Tool Names": "calledToolNames",
}

// conditions gathers what a request asks of the rows.
type conditions struct {
	view  query.View
	parts query.And
	named map[query.Col]bool // columns that the filter parameter speaks of
}

// parseFilter reads the filter parameter: a JSON array of conditions that all
// have to hold. An error names the element and what is wrong with it.
func parseFilter(v query.View, text string) (*conditions, error) {
	c := &conditions{view: v, named: map[query.Col]bool{}}
	if strings.TrimSpace(text) == "" {
		return c, nil
	}
	var elements []json.RawMessage
	if err := json.Unmarshal([]byte(text), &elements); err != nil {
		return nil, invalid("filter", "expected a JSON array of conditions")
	}
	for i, raw := range elements {
		var e filterElement
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, invalid("filter."+strconv.Itoa(i), "expected an object with type, column, operator and value")
		}
		f, col, wrong := e.compile(v)
		if wrong != nil {
			wrong.Field = "filter." + strconv.Itoa(i) + "." + wrong.Field
			return nil, wrong
		}
		if err := query.Check(v, f); err != nil {
			return nil, invalid("filter."+strconv.Itoa(i), err.Error())
		}
		c.named[col] = true
		c.parts = append(c.parts, f)
	}
	return c, nil
}

// and adds a condition of a parameter of its own, unless the filter speaks of
// its column.
func (c *conditions) and(col query.Col, f query.Filter) {
	if !c.named[col] {
		c.parts = append(c.parts, f)
	}
}

// equal adds that a column is one of some texts; none ask for nothing.
func (c *conditions) equal(col query.Col, values ...string) {
	var vals []query.Value
	for _, v := range values {
		if v != "" {
			vals = append(vals, query.Str(v))
		}
	}
	switch len(vals) {
	case 0:
	case 1:
		c.and(col, query.Cmp{Ref: query.Ref{Column: col}, Op: query.Eq, Values: vals})
	default:
		c.and(col, query.Cmp{Ref: query.Ref{Column: col}, Op: query.In, Values: vals})
	}
}

// all adds that a list holds each of some texts.
func (c *conditions) all(col query.Col, values []string) {
	for _, v := range values {
		c.equal(col, v)
	}
}

// within adds a range of time: from included, to not.
func (c *conditions) within(col query.Col, from, to domain.Time) {
	if from.IsSet() {
		c.and(col, query.Cmp{Ref: query.Ref{Column: col}, Op: query.Ge, Values: []query.Value{query.TimeOf(from.Nanos())}})
	}
	if to.IsSet() {
		c.and(col, query.Cmp{Ref: query.Ref{Column: col}, Op: query.Lt, Values: []query.Value{query.TimeOf(to.Nanos())}})
	}
}

// filterTypes is which types of condition suit a kind of column.
var filterTypes = map[query.Kind][]string{
	query.IDKind: {"string", "stringOptions"}, query.TextKind: {"string", "stringOptions"}, query.EnumKind: {"string", "stringOptions"},
	query.BodyKind: {"string"}, query.ListKind: {"arrayOptions", "stringOptions"}, query.BoolKind: {"boolean"},
	query.IntKind: {"number"}, query.FloatKind: {"number"}, query.MoneyKind: {"number"}, query.DurationKind: {"number"},
	query.TimeKind: {"datetime"}, query.MapKind: {"stringObject", "numberObject", "categoryOptions"},
	query.ScoresKind: {"numberObject", "categoryOptions", "booleanObject"},
}

// scoreColumnTypes is which type each name of a score column stands for; the
// old name "scores" takes any.
var scoreColumnTypes = map[string]string{"avg": "numberObject", "categories": "categoryOptions", "booleans": "booleanObject"}

// compile makes a filter of one condition. The error's field is the part of the
// element that is wrong.
func (e *filterElement) compile(v query.View) (query.Filter, query.Col, *domain.Error) {
	name := e.Column
	if id, found := filterTitles[name]; found {
		name = id
	}
	if of, found := presence[name]; found && v == query.Observations {
		f, err := e.boolean(query.Has{Ref: query.Ref{Column: of}}, nil)
		return f, of, err
	}
	col, found := filterColumns[v][name]
	if !found {
		return nil, 0, invalid("column", "unknown column "+strconv.Quote(e.Column))
	}
	column, _ := query.ColumnOf(v, col)
	ref := query.Ref{Column: col}
	if e.Type == "null" {
		f, err := e.null(v, column, ref)
		return f, col, err
	}
	suits := filterTypes[column.Kind]
	if kind, rest := scoreColumnTypes[name[strings.LastIndexByte(name, '_')+1:]], column.Kind == query.ScoresKind; rest && kind != "" {
		suits = []string{kind}
	}
	if !slices.Contains(suits, e.Type) {
		return nil, 0, invalid("type", "column "+e.Column+" takes a condition of type "+strings.Join(suits, " or ")+", not "+strconv.Quote(e.Type))
	}
	if column.Kind.Keyed() {
		if e.Key == nil || *e.Key == "" && column.Kind == query.ScoresKind {
			return nil, 0, invalid("key", "required for column "+e.Column)
		}
		ref.Key = *e.Key
	}
	f, err := e.condition(column, ref)
	return f, col, err
}

func (e *filterElement) condition(col query.Column, ref query.Ref) (query.Filter, *domain.Error) {
	switch e.Type {
	case "string", "stringObject":
		return e.text(col, ref)
	case "stringOptions", "arrayOptions", "categoryOptions":
		return e.options(col, ref)
	case "number", "numberObject":
		return e.number(col, ref)
	case "datetime":
		return e.datetime(ref)
	case "booleanObject":
		is := func(b bool) query.Filter {
			return query.Cmp{Ref: ref, Op: query.Eq, Values: []query.Value{query.Bool(b)}}
		}
		b, err := e.bool()
		if err != nil {
			return nil, err
		}
		switch e.Operator {
		case "=":
			return is(b), nil
		case "<>":
			return query.Not{Filter: is(b)}, nil // rows without the score as well
		}
		return nil, e.badOperator("=", "<>")
	}
	return e.boolean(query.Cmp{Ref: ref, Op: query.Eq, Values: []query.Value{query.Bool(true)}}, &ref)
}

func (e *filterElement) badOperator(known ...string) *domain.Error {
	return invalid("operator", "a condition of type "+e.Type+" has "+strings.Join(known, ", ")+", not "+strconv.Quote(e.Operator))
}

func (e *filterElement) bool() (b bool, err *domain.Error) {
	if json.Unmarshal(e.Value, &b) != nil || len(e.Value) == 0 || e.Value[0] == 'n' {
		return false, invalid("value", "expected true or false")
	}
	return b, nil
}

// boolean makes a condition of a column that is true where yes is.
func (e *filterElement) boolean(yes query.Filter, ref *query.Ref) (query.Filter, *domain.Error) {
	if e.Type != "boolean" {
		return nil, invalid("type", "column "+e.Column+" takes a condition of type boolean, not "+strconv.Quote(e.Type))
	}
	want, err := e.bool()
	if err != nil {
		return nil, err
	}
	switch e.Operator {
	case "=":
	case "<>":
		want = !want
	default:
		return nil, e.badOperator("=", "<>")
	}
	switch {
	case want:
		return yes, nil
	case ref == nil:
		return query.Not{Filter: yes}, nil
	}
	return query.And{query.Has{Ref: *ref}, query.Not{Filter: yes}}, nil
}

func (e *filterElement) null(v query.View, col query.Column, ref query.Ref) (query.Filter, *domain.Error) {
	var has query.Filter = query.Has{Ref: ref}
	switch {
	case e.Key != nil && col.Kind.Keyed():
		ref.Key = *e.Key
		has = query.Has{Ref: ref}
	case col.Kind == query.ScoresKind:
		if _, found := query.Related(v, query.RelScores); !found {
			return nil, invalid("key", "required for column "+e.Column)
		}
		has = query.Rel{Name: query.RelScores, Where: query.And{}}
	case col.Kind.Keyed():
		return nil, invalid("key", "required for column "+e.Column)
	}
	switch e.Operator {
	case "is null":
		return query.Not{Filter: has}, nil
	case "is not null":
		return has, nil
	}
	return nil, e.badOperator("is null", "is not null")
}

func (e *filterElement) text(col query.Column, ref query.Ref) (query.Filter, *domain.Error) {
	var s string
	if len(e.Value) == 0 || e.Value[0] != '"' || json.Unmarshal(e.Value, &s) != nil {
		return nil, invalid("value", "expected a text")
	}
	has := query.Has{Ref: ref}
	cmp := func(op query.Op, fold bool) query.Filter {
		return query.Cmp{Ref: ref, Op: op, Values: []query.Value{query.Str(s)}, Fold: fold}
	}
	switch {
	case e.Operator == "is set" && e.Type == "stringObject", e.Operator == "is not empty" && e.Type == "string":
		return has, nil
	case e.Operator == "is not set" && e.Type == "stringObject":
		return query.Not{Filter: has}, nil
	}
	if col.Kind == query.EnumKind && e.Operator != "=" {
		return nil, invalid("operator", "column "+e.Column+" has only = and the options")
	}
	switch e.Operator {
	case "=":
		if s == "" && col.Kind != query.MapKind {
			return query.Not{Filter: has}, nil
		}
		return cmp(query.Eq, false), nil
	case "contains":
		return cmp(query.Contains, false), nil
	case "does not contain":
		return query.And{has, query.Not{Filter: cmp(query.Contains, false)}}, nil
	case "starts with":
		return cmp(query.Prefix, false), nil
	case "ends with":
		return cmp(query.Suffix, false), nil
	case "matches":
		if col.Kind != query.BodyKind && col.Kind != query.MapKind {
			return nil, invalid("operator", "matches is for input, output and metadata")
		}
		if len(query.Tokens(s)) == 0 {
			return nil, invalid("value", "expected a text with a letter or a digit")
		}
		return query.And{query.Text{Scope: ref, Query: s}, cmp(query.Contains, col.Kind == query.BodyKind)}, nil
	}
	return nil, e.badOperator("=", "contains", "does not contain", "starts with", "ends with")
}

func (e *filterElement) options(col query.Column, ref query.Ref) (query.Filter, *domain.Error) {
	var raw []json.RawMessage
	if json.Unmarshal(e.Value, &raw) != nil || raw == nil {
		return nil, invalid("value", "expected a list of texts")
	}
	var vals []query.Value
	empty := false
	for i, r := range raw {
		var s string
		if len(r) == 0 || r[0] != '"' || json.Unmarshal(r, &s) != nil {
			return nil, invalid("value."+strconv.Itoa(i), "expected a text")
		}
		if s == "" && col.Kind != query.ScoresKind {
			empty = true
			continue
		}
		vals = append(vals, query.Str(s))
	}
	has := query.Has{Ref: ref}
	var in query.Filter = query.Cmp{Ref: ref, Op: query.In, Values: vals}
	if len(vals) == 0 {
		in = query.Or{}
	}
	if empty {
		in = query.Or{in, query.Not{Filter: has}}
	}
	switch e.Operator {
	case "any of":
		if len(raw) == 0 {
			return nil, invalid("value", "expected at least one option")
		}
		return in, nil
	case "none of":
		switch {
		case col.Kind == query.ListKind || col.Kind == query.ScoresKind:
			return query.Not{Filter: in}, nil
		case len(raw) == 0:
			return nil, invalid("value", "expected at least one option")
		}
		return query.And{has, query.Not{Filter: in}}, nil
	case "all of":
		if e.Type != "arrayOptions" {
			break
		}
		all := query.And{}
		for _, v := range vals {
			all = append(all, query.Cmp{Ref: ref, Op: query.Eq, Values: []query.Value{v}})
		}
		return all, nil
	}
	if e.Type == "arrayOptions" {
		return nil, e.badOperator("any of", "none of", "all of")
	}
	return nil, e.badOperator("any of", "none of")
}

var orderOperators = map[string]query.Op{">": query.Gt, ">=": query.Ge, "<": query.Lt, "<=": query.Le}

func (e *filterElement) number(col query.Column, ref query.Ref) (query.Filter, *domain.Error) {
	d, ok := query.ParseDecimal(string(e.Value))
	if !ok {
		return nil, invalid("value", "expected a number")
	}
	if op, found := orderOperators[e.Operator]; found {
		return query.Cmp{Ref: ref, Op: op, Values: []query.Value{query.Num(d)}}, nil
	}
	if e.Operator != "=" {
		return nil, e.badOperator("=", ">", ">=", "<", "<=")
	}
	if col.Kind == query.DurationKind { // what the API shows of a duration is its milliseconds
		ns, _ := d.Scaled(9)
		return query.Cmp{Ref: ref, Op: query.Between, Values: []query.Value{
			query.Num(query.DecimalOf(ns, 9)), query.Num(query.DecimalOf(ns+int64(time.Millisecond)-1, 9)),
		}}, nil
	}
	return query.Cmp{Ref: ref, Op: query.Eq, Values: []query.Value{query.Num(d)}}, nil
}

func (e *filterElement) datetime(ref query.Ref) (query.Filter, *domain.Error) {
	var s string
	if json.Unmarshal(e.Value, &s) != nil {
		return nil, invalid("value", "expected a time like 2026-01-02T03:04:05.678Z")
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.ParseInLocation("2006-01-02T15:04:05", s, time.UTC)
	}
	if err != nil {
		t, err = time.Parse(time.DateOnly, s)
	}
	if err != nil {
		return nil, invalid("value", "expected a time like 2026-01-02T03:04:05.678Z")
	}
	op, found := orderOperators[e.Operator]
	if !found {
		return nil, e.badOperator(">", ">=", "<", "<=")
	}
	return query.Cmp{Ref: ref, Op: op, Values: []query.Value{query.TimeOf(t.Truncate(time.Millisecond).UnixNano())}}, nil
}
