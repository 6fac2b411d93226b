package query

import (
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/domain"
)

// View is what kind of rows a question is about.
type View uint8

// The views.
const (
	Traces View = iota + 1
	Observations
	Scores
	Sessions
	Users
)

var viewNames = [...]string{"", "traces", "observations", "scores", "sessions", "users"}

// String is the view's name.
func (v View) String() string {
	if int(v) < len(viewNames) {
		return viewNames[v]
	}
	return "unknown view"
}

// ParseView reads a view's name.
func ParseView(s string) (View, bool) {
	i := slices.Index(viewNames[:], s)
	return View(max(i, 0)), i > 0
}

// Kind is the type of a column.
type Kind uint8

// The kinds of column.
const (
	IDKind       Kind = iota + 1 // text of which a UUID and its 32 hexadecimal digits are one
	TextKind                     // text; "" is missing
	EnumKind                     // one of few words
	BoolKind                     // true or false
	IntKind                      // a whole number
	FloatKind                    // a number with a fraction
	MoneyKind                    // picodollars; dollars in filters
	DurationKind                 // nanoseconds; seconds in filters
	TimeKind                     // ns since 1970 UTC
	ListKind                     // texts, each once
	MapKind                      // JSON by dotted path
	ScoresKind                   // scores by name
	BodyKind                     // a large text or JSON value
	CountsKind                   // whole numbers by key
	PricesKind                   // picodollars by key
)

var kindNames = [...]string{"", "id", "text", "word", "boolean", "number", "number", "money", "duration", "time", "list", "map", "scores", "body", "map of numbers", "map of money"}

// String is the kind as messages name it.
func (k Kind) String() string { return kindNames[k] }

// Keyed reports whether a reference to a column of this kind has a key.
func (k Kind) Keyed() bool {
	return k == MapKind || k == ScoresKind || k == CountsKind || k == PricesKind
}

// scale is how many decimal places the stored unit is finer than a filter's.
func (k Kind) scale() int {
	switch k {
	case MoneyKind, PricesKind:
		return 12
	case DurationKind:
		return 9
	}
	return 0
}

// stored reports whether the column's values are integers of the stored unit.
func (k Kind) stored() bool {
	switch k {
	case BoolKind, IntKind, MoneyKind, DurationKind, TimeKind, CountsKind, PricesKind:
		return true
	}
	return false
}

// Col names a column; the same thing has the same name in every view.
type Col uint8

// The columns. 0 is none.
const (
	ColID Col = iota + 1
	ColTrace
	ColObservation
	ColParent
	ColSession
	ColUser
	ColType
	ColLevel
	ColName
	ColTraceName
	ColStart
	ColEnd
	ColFirstToken
	ColStatus
	ColEnv
	ColVersion
	ColRelease
	ColTags
	ColPublic
	ColBookmarked
	ColLatency
	ColTTFT
	ColSpeed
	ColTokens
	ColInputTokens
	ColOutputTokens
	ColCost
	ColInputCost
	ColOutputCost
	ColUsageBy
	ColCostBy
	ColErrorCount
	ColWarnings
	ColDefaults
	ColDebugs
	ColObservationCount
	ColScoreCount
	ColModel
	ColModelID
	ColParams
	ColPrompt
	ColPromptVersion
	ColMetadata
	ColInput
	ColOutput
	ColScore
	ColScoreAvg
	ColTraceScore
	ColTraceScoreAvg
	ColRoot
	ColTraceEnv
	ColTraceVersion
	ColExperiment
	ColExperimentName
	ColDataset
	ColItem
	ColItemRoot
	ColSource
	ColIngested
	ColUpdated
	ColScoreValue
	ColStringValue
	ColScoreBool
	ColConfig
	ColQueue
	ColAuthor
	ColEvaluator
	ColComment
	ColTraceCount
	ColSessionCount
	ColUsers
	ColEnvs
	ColOwnUser
	ColOwnSession
	ColOwnTags
	ColTools
	ColCalledTools
	ColToolCount
	ColCallCount
	numCols
)

// NumCols is one more than the greatest Col.
const NumCols = int(numCols)

// Marks is what a column may be used for.
type Marks uint8

// The marks.
const (
	MarkSort    Marks = 1 << iota // rows can be ordered by it
	MarkGroup                     // a facet, and a dimension of aggregates
	MarkMeasure                   // numbers to sum up
)

// Column is one entry of the registry.
type Column struct {
	Col      Col
	Name     string // in the text form
	Kind     Kind
	Optional bool // may be missing
	Marks    Marks
	Words    []string // of an EnumKind
	Also     []string // names that are understood as well
}

// levels is the levels from the least to the worst.
var levels = []string{"DEBUG", "DEFAULT", "WARNING", "ERROR"}

var types = []string{
	string(domain.TypeSpan), string(domain.TypeGeneration), string(domain.TypeEvent), string(domain.TypeAgent), string(domain.TypeTool),
	string(domain.TypeChain), string(domain.TypeRetriever), string(domain.TypeEvaluator), string(domain.TypeEmbedding), string(domain.TypeGuardrail),
}

var scoreTypes = []string{
	string(domain.ScoreNumeric), string(domain.ScoreBoolean), string(domain.ScoreCategorical), string(domain.ScoreText), string(domain.ScoreCorrection),
}

var scoreSources = []string{domain.SourceAPI, domain.SourceEval, domain.SourceAnnotation}

// registry is every column by view. docs/query.md shows it to people.
var registry = map[View][]Column{
	Traces: {
		{ColID, "id", IDKind, false, MarkSort | MarkGroup, nil, []string{"traceId"}},
		{ColName, "name", TextKind, true, MarkSort | MarkGroup, nil, []string{"traceName"}},
		{ColStart, "start", TimeKind, false, MarkSort, nil, []string{"time", "timestamp"}},
		{ColUser, "user", TextKind, true, MarkSort | MarkGroup | MarkMeasure, nil, []string{"userId"}},
		{ColSession, "session", TextKind, true, MarkSort | MarkGroup | MarkMeasure, nil, []string{"sessionId"}},
		{ColEnv, "env", TextKind, false, MarkGroup, nil, []string{"environment"}},
		{ColVersion, "version", TextKind, true, MarkSort | MarkGroup, nil, nil},
		{ColRelease, "release", TextKind, true, MarkSort | MarkGroup, nil, nil},
		{ColTags, "tags", ListKind, true, MarkGroup, nil, []string{"traceTags"}},
		{ColPublic, "public", BoolKind, false, MarkSort | MarkGroup, nil, nil},
		{ColBookmarked, "bookmarked", BoolKind, false, MarkSort | MarkGroup, nil, nil},
		{ColLevel, "level", EnumKind, true, MarkGroup, levels, nil},
		{ColLatency, "latency", DurationKind, false, MarkSort | MarkMeasure, nil, nil},
		{ColCost, "cost", MoneyKind, false, MarkSort | MarkMeasure, nil, []string{"totalCost"}},
		{ColInputCost, "inputCost", MoneyKind, false, MarkSort | MarkMeasure, nil, nil},
		{ColOutputCost, "outputCost", MoneyKind, false, MarkSort | MarkMeasure, nil, nil},
		{ColTokens, "tokens", IntKind, false, MarkSort | MarkMeasure, nil, []string{"totalTokens"}},
		{ColInputTokens, "inputTokens", IntKind, false, MarkSort | MarkMeasure, nil, nil},
		{ColOutputTokens, "outputTokens", IntKind, false, MarkSort | MarkMeasure, nil, nil},
		{ColErrorCount, "errors", IntKind, false, MarkSort | MarkMeasure, nil, []string{"errorCount"}},
		{ColWarnings, "warnings", IntKind, false, MarkSort | MarkMeasure, nil, []string{"warningCount"}},
		{ColDefaults, "defaults", IntKind, false, MarkSort | MarkMeasure, nil, []string{"defaultCount"}},
		{ColDebugs, "debugs", IntKind, false, MarkSort | MarkMeasure, nil, []string{"debugCount"}},
		{ColObservationCount, "observations", IntKind, false, MarkSort | MarkMeasure, nil, nil},
		{ColScoreCount, "scoreCount", IntKind, false, MarkMeasure, nil, nil},
		{ColMetadata, "metadata", MapKind, true, 0, nil, nil},
		{ColInput, "input", BodyKind, true, 0, nil, nil},
		{ColOutput, "output", BodyKind, true, 0, nil, nil},
		{ColScore, "score", ScoresKind, true, 0, nil, []string{"score_categories", "score_booleans"}},
		{ColScoreAvg, "scoreAvg", ScoresKind, true, MarkSort, nil, []string{"scores_avg"}},
		{ColTraceScore, "traceScore", ScoresKind, true, 0, nil, nil},
		{ColTraceScoreAvg, "traceScoreAvg", ScoresKind, true, MarkSort, nil, nil},
		{ColExperiment, "experiment", ListKind, true, MarkGroup, nil, nil},
		{ColIngested, "ingested", TimeKind, false, MarkSort, nil, nil},
		{ColUpdated, "updated", TimeKind, false, MarkSort, nil, nil},
	},
	Observations: {
		{ColID, "id", IDKind, false, MarkSort | MarkGroup, nil, nil},
		{ColTrace, "trace", IDKind, false, MarkSort | MarkGroup | MarkMeasure, nil, []string{"traceId"}},
		{ColParent, "parent", IDKind, true, 0, nil, []string{"parentObservationId"}},
		{ColType, "type", EnumKind, false, MarkSort | MarkGroup, types, nil},
		{ColLevel, "level", EnumKind, false, MarkSort | MarkGroup, levels, nil},
		{ColName, "name", TextKind, true, MarkSort | MarkGroup, nil, nil},
		{ColTraceName, "traceName", TextKind, true, MarkGroup, nil, nil},
		{ColStart, "start", TimeKind, false, MarkSort, nil, []string{"startTime", "time"}},
		{ColEnd, "end", TimeKind, true, MarkSort, nil, []string{"endTime"}},
		{ColFirstToken, "firstTokenAt", TimeKind, true, 0, nil, nil},
		{ColStatus, "status", TextKind, true, 0, nil, []string{"statusMessage"}},
		{ColEnv, "env", TextKind, false, MarkGroup, nil, []string{"environment"}},
		{ColVersion, "version", TextKind, true, MarkGroup, nil, nil},
		{ColLatency, "latency", DurationKind, true, MarkSort | MarkMeasure, nil, nil},
		{ColTTFT, "ttft", DurationKind, true, MarkSort | MarkMeasure, nil, []string{"timeToFirstToken"}},
		{ColSpeed, "speed", FloatKind, true, MarkSort | MarkMeasure, nil, []string{"tokensPerSecond"}},
		{ColTokens, "tokens", IntKind, true, MarkSort | MarkMeasure, nil, []string{"totalTokens"}},
		{ColInputTokens, "inputTokens", IntKind, true, MarkSort | MarkMeasure, nil, nil},
		{ColOutputTokens, "outputTokens", IntKind, true, MarkSort | MarkMeasure, nil, nil},
		{ColCost, "cost", MoneyKind, true, MarkSort | MarkMeasure, nil, []string{"totalCost"}},
		{ColInputCost, "inputCost", MoneyKind, true, MarkSort | MarkMeasure, nil, nil},
		{ColOutputCost, "outputCost", MoneyKind, true, MarkSort | MarkMeasure, nil, nil},
		{ColUsageBy, "usage", CountsKind, true, MarkMeasure, nil, nil},
		{ColCostBy, "costs", PricesKind, true, MarkMeasure, nil, nil},
		{ColModel, "model", TextKind, true, MarkSort | MarkGroup, nil, []string{"providedModelName"}},
		{ColModelID, "modelId", TextKind, true, MarkGroup, nil, nil},
		{ColParams, "params", MapKind, true, 0, nil, []string{"modelParameters"}},
		{ColPrompt, "prompt", TextKind, true, MarkSort | MarkGroup, nil, []string{"promptName"}},
		{ColPromptVersion, "promptVersion", IntKind, true, MarkSort | MarkGroup, nil, nil},
		{ColTools, "tools", ListKind, true, MarkGroup, nil, []string{"toolNames"}},
		{ColCalledTools, "calledTools", ListKind, true, MarkGroup, nil, []string{"calledToolNames"}},
		{ColToolCount, "toolCount", IntKind, false, MarkSort | MarkMeasure, nil, []string{"toolDefinitions"}},
		{ColCallCount, "callCount", IntKind, false, MarkSort | MarkMeasure, nil, []string{"toolCalls"}},
		{ColMetadata, "metadata", MapKind, true, 0, nil, nil},
		{ColInput, "input", BodyKind, true, 0, nil, nil},
		{ColOutput, "output", BodyKind, true, 0, nil, nil},
		{ColScore, "score", ScoresKind, true, 0, nil, []string{"score_categories", "score_booleans"}},
		{ColScoreAvg, "scoreAvg", ScoresKind, true, MarkSort, nil, []string{"scores_avg"}},
		{ColTraceScore, "traceScore", ScoresKind, true, 0, nil, nil},
		{ColTraceScoreAvg, "traceScoreAvg", ScoresKind, true, 0, nil, []string{"trace_scores_avg"}},
		{ColRoot, "root", BoolKind, false, MarkGroup, nil, []string{"isRootObservation"}},
		{ColUser, "user", TextKind, true, MarkSort | MarkGroup | MarkMeasure, nil, []string{"userId"}},
		{ColSession, "session", TextKind, true, MarkSort | MarkGroup | MarkMeasure, nil, []string{"sessionId"}},
		{ColTags, "tags", ListKind, true, MarkGroup, nil, []string{"traceTags"}},
		{ColRelease, "release", TextKind, true, MarkGroup, nil, []string{"traceRelease"}},
		{ColTraceEnv, "traceEnv", TextKind, false, MarkGroup, nil, []string{"traceEnvironment"}},
		{ColTraceVersion, "traceVersion", TextKind, true, MarkGroup, nil, nil},
		{ColExperiment, "experiment", TextKind, true, MarkGroup, nil, []string{"experimentId"}},
		{ColExperimentName, "experimentName", TextKind, true, MarkGroup, nil, nil},
		{ColDataset, "dataset", TextKind, true, MarkGroup, nil, []string{"experimentDatasetId"}},
		{ColItem, "item", TextKind, true, 0, nil, []string{"experimentItemId"}},
		{ColItemRoot, "itemRoot", BoolKind, false, 0, nil, []string{"isExperimentItemRootSpan"}},
		{ColSource, "source", TextKind, true, MarkGroup, nil, nil},
		{ColOwnUser, "ownUser", TextKind, true, MarkGroup, nil, nil},
		{ColOwnSession, "ownSession", TextKind, true, MarkGroup, nil, nil},
		{ColOwnTags, "ownTags", ListKind, true, MarkGroup, nil, nil},
		{ColIngested, "ingested", TimeKind, false, MarkSort, nil, nil},
		{ColUpdated, "updated", TimeKind, false, MarkSort, nil, nil},
	},
	Scores: {
		{ColID, "id", IDKind, false, 0, nil, nil},
		{ColName, "name", TextKind, false, MarkSort | MarkGroup, nil, nil},
		{ColScoreValue, "value", FloatKind, true, MarkSort | MarkMeasure, nil, nil},
		{ColStringValue, "string", TextKind, true, MarkGroup, nil, []string{"stringValue"}},
		{ColScoreBool, "bool", BoolKind, true, MarkGroup, nil, []string{"booleanValue"}},
		{ColType, "type", EnumKind, false, MarkGroup, scoreTypes, []string{"dataType"}},
		{ColSource, "source", EnumKind, false, MarkGroup, scoreSources, nil},
		{ColStart, "start", TimeKind, false, MarkSort, nil, []string{"time", "timestamp"}},
		{ColEnv, "env", TextKind, false, MarkGroup, nil, []string{"environment"}},
		{ColTrace, "trace", IDKind, true, MarkGroup | MarkMeasure, nil, []string{"traceId"}},
		{ColObservation, "observation", IDKind, true, 0, nil, []string{"observationId"}},
		{ColSession, "session", IDKind, true, MarkGroup | MarkMeasure, nil, []string{"sessionId"}},
		{ColExperiment, "experiment", IDKind, true, MarkGroup, nil, []string{"datasetRunId", "experimentId"}},
		{ColConfig, "config", IDKind, true, MarkGroup, nil, []string{"configId"}},
		{ColQueue, "queue", IDKind, true, 0, nil, []string{"queueId"}},
		{ColAuthor, "author", IDKind, true, MarkGroup, nil, []string{"authorUserId"}},
		{ColEvaluator, "evaluator", IDKind, true, MarkGroup, nil, []string{"evaluatorId"}},
		{ColComment, "comment", TextKind, true, 0, nil, nil},
		{ColMetadata, "metadata", MapKind, true, 0, nil, nil},
		{ColIngested, "ingested", TimeKind, false, MarkSort, nil, nil},
		{ColUpdated, "updated", TimeKind, false, MarkSort, nil, nil},
		{ColTraceName, "traceName", TextKind, true, MarkGroup, nil, nil},
		{ColUser, "user", TextKind, true, MarkGroup | MarkMeasure, nil, []string{"userId"}},
		{ColTags, "tags", ListKind, true, MarkGroup, nil, []string{"trace_tags", "traceTags"}},
		{ColRelease, "release", TextKind, true, MarkGroup, nil, []string{"traceRelease"}},
		{ColTraceVersion, "traceVersion", TextKind, true, MarkGroup, nil, nil},
		{ColTraceEnv, "traceEnv", TextKind, true, MarkGroup, nil, []string{"traceEnvironment"}},
	},
	Sessions: {
		{ColID, "id", TextKind, false, MarkSort, nil, []string{"sessionId"}},
		{ColStart, "start", TimeKind, false, MarkSort, nil, []string{"createdAt", "time"}},
		{ColEnd, "end", TimeKind, false, MarkSort, nil, nil},
		{ColLatency, "duration", DurationKind, false, MarkSort, nil, []string{"sessionDuration"}},
		{ColTraceCount, "traces", IntKind, false, MarkSort, nil, []string{"countTraces", "tracesCount"}},
		{ColUsers, "users", ListKind, true, 0, nil, []string{"userIds"}},
		{ColEnvs, "env", ListKind, false, 0, nil, []string{"environment"}},
		{ColTags, "tags", ListKind, true, 0, nil, []string{"traceTags"}},
		{ColCost, "cost", MoneyKind, false, MarkSort, nil, []string{"totalCost"}},
		{ColInputCost, "inputCost", MoneyKind, false, MarkSort, nil, nil},
		{ColOutputCost, "outputCost", MoneyKind, false, MarkSort, nil, nil},
		{ColTokens, "tokens", IntKind, false, MarkSort, nil, []string{"totalTokens", "usage"}},
		{ColInputTokens, "inputTokens", IntKind, false, MarkSort, nil, nil},
		{ColOutputTokens, "outputTokens", IntKind, false, MarkSort, nil, nil},
		{ColErrorCount, "errors", IntKind, false, MarkSort, nil, []string{"errorCount"}},
	},
	Users: {
		{ColID, "id", TextKind, false, MarkSort, nil, []string{"userId"}},
		{ColStart, "first", TimeKind, false, MarkSort, nil, []string{"start", "time"}},
		{ColEnd, "last", TimeKind, false, MarkSort, nil, []string{"end"}},
		{ColTraceCount, "traces", IntKind, false, MarkSort, nil, nil},
		{ColObservationCount, "observations", IntKind, false, MarkSort, nil, nil},
		{ColSessionCount, "sessions", IntKind, false, MarkSort, nil, nil},
		{ColEnvs, "env", ListKind, false, 0, nil, []string{"environment"}},
		{ColCost, "cost", MoneyKind, false, MarkSort, nil, []string{"totalCost"}},
		{ColTokens, "tokens", IntKind, false, MarkSort, nil, []string{"totalTokens"}},
		{ColErrorCount, "errors", IntKind, false, MarkSort, nil, []string{"errorCount"}},
	},
}

// relations is which relations a view has, and the view they lead to.
var relations = map[View]map[Relation]View{
	Traces:       {RelObs: Observations, RelScores: Scores},
	Observations: {RelTrace: Traces, RelScores: Scores},
	Scores:       {RelTrace: Traces, RelObs: Observations},
	Sessions:     {},
	Users:        {},
}

// ScoresOver reports whether a ScoresKind column is the mean over the scores of
// a name, and whether it looks at those on the trace itself only.
func ScoresOver(c Col) (mean, traceOnly bool) {
	return c == ColScoreAvg || c == ColTraceScoreAvg, c == ColTraceScore || c == ColTraceScoreAvg
}

// SumsUp reports whether the rows of a view are what traces sum up to, and by
// which column of theirs.
func (v View) SumsUp() (by Col, ok bool) {
	switch v {
	case Sessions:
		return ColSession, true
	case Users:
		return ColUser, true
	}
	return 0, false
}

// Related is the view that a relation leads to.
func Related(v View, r Relation) (View, bool) {
	to, found := relations[v][r]
	return to, found
}

// Columns is the registry's columns of a view; the caller changes nothing.
func Columns(v View) []Column { return registry[v] }

// places is where in the registry a view's columns stand, counted from 1.
var places = func() (out [len(viewNames)][numCols]uint8) {
	for v, columns := range registry {
		for i, c := range columns {
			out[v][c.Col] = uint8(i + 1)
		}
	}
	return out
}()

// ColumnOf is the registry's entry of a column in a view.
func ColumnOf(v View, c Col) (Column, bool) {
	if i := places[v][c]; i > 0 {
		return registry[v][i-1], true
	}
	return Column{}, false
}

// Lookup finds a column by its name or one that is understood as well.
func Lookup(v View, name string) (Column, bool) {
	for _, col := range registry[v] {
		if col.Name == name || slices.Contains(col.Also, name) {
			return col, true
		}
	}
	return Column{}, false
}

// nearest is the column whose name is most like name, "" where none is.
func nearest(v View, name string) string {
	best, at := 2+len(name)/4, ""
	for _, col := range registry[v] {
		if d := distance(strings.ToLower(name), strings.ToLower(col.Name)); d < best {
			best, at = d, col.Name
		}
	}
	return at
}

// distance is how many letters differ between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := last
			if a[i] != b[j] {
				d++
			}
			last = row[j+1]
			row[j+1] = min(d, last+1, row[j]+1)
		}
	}
	return row[len(b)]
}
