package domain

// ScoreType is the kind of value a score has, spelled as in the Langfuse API.
type ScoreType string

// The types.
const (
	ScoreNumeric     ScoreType = "NUMERIC"
	ScoreBoolean     ScoreType = "BOOLEAN"     // value 0 or 1, string value "False" or "True"
	ScoreCategorical ScoreType = "CATEGORICAL" // string value; value is the category's number, else 0
	ScoreText        ScoreType = "TEXT"        // string value of 1 to 500 characters
	ScoreCorrection  ScoreType = "CORRECTION"  // string value is a corrected output
)

// The sources of a score.
const (
	SourceAPI        = "API"
	SourceEval       = "EVAL"
	SourceAnnotation = "ANNOTATION"
)

// Score is a judgement of a trace, an observation, a session or a dataset run.
type Score struct {
	ID string

	TraceID       string
	ObservationID string
	SessionID     string
	RunID         string // dataset run, or experiment

	Name             string
	Type             ScoreType
	Value            Opt[float64]
	StringValue      string
	Timestamp        Time
	Environment      string
	Source           string
	Comment          string
	Metadata         []byte // a JSON object
	ConfigID         string
	QueueID          string
	AuthorUserID     string
	ExecutionTraceID string

	// Kept by the engine, not part of any patch.
	CreatedAt Time
	UpdatedAt Time
}
