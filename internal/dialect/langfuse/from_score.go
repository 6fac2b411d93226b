package langfuse

import (
	"strconv"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/catalog"
	"github.com/clewhq/clew/internal/domain"
)

// scoreRoute is the way a score came; the rules differ a little.
type scoreRoute uint8

const (
	inBatch scoreRoute = iota // as an event of a batch
	direct                    // posted by itself
)

// findConfig finds a score config of the project; domain.NotFound.
type findConfig func(id string) (*catalog.ScoreConfig, error)

// maxScoreText is how many characters a score of type TEXT may have.
const maxScoreText = 500

// correctionName is the name of every correction.
const correctionName = "output"

// fromScore is what a body says of the score of that id.
func fromScore(f *wireFields, id string, find findConfig, stamp domain.Stamp, route scoreRoute) (domain.ScorePatch, error) {
	p := domain.ScorePatch{Stamp: stamp, Said: domain.ScoreName | domain.ScoreValue | domain.ScoreTimestamp | domain.ScoreSource}
	s := &p.Value
	s.ID = id
	if s.Timestamp = f.time(keyTimestamp); !s.Timestamp.IsSet() {
		s.Timestamp = domain.At(stamp.Time)
	}
	for _, c := range []struct {
		value string
		field domain.Fields
		to    *string
	}{
		{f.ref(keyTraceID), domain.ScoreTraceID, &s.TraceID},
		{f.ref(keyObservationID), domain.ScoreObservationID, &s.ObservationID},
		{f.ref(keySessionID), domain.ScoreSessionID, &s.SessionID},
		{f.ref(keyDatasetRunID), domain.ScoreRunID, &s.RunID},
		{f.environment(), domain.ScoreEnvironment, &s.Environment},
		{f.text(keyComment), domain.ScoreComment, &s.Comment},
		{f.ref(keyConfigID), domain.ScoreConfigID, &s.ConfigID},
		{f.ref(keyQueueID), domain.ScoreQueueID, &s.QueueID},
		{f.ref(keyExecutionTraceID), domain.ScoreExecutionTraceID, &s.ExecutionTraceID},
	} {
		if *c.to = c.value; c.value != "" {
			p.Said |= c.field
		}
	}
	if m := f.metadata(keyMetadata); m.IsSet() {
		p.Said |= domain.ScoreMetadata
		s.Metadata = m.Data
	}
	config, err := f.scoreConfig(s, find)
	if err != nil {
		return p, err
	}
	f.scoreType(s, config)
	f.scoreName(s, config)
	f.scoreTarget(s)
	f.scoreSource(s, route)
	f.scoreValue(s)
	if f.err != nil {
		return p, f.err
	}
	if config != nil {
		return p, config.Apply(s)
	}
	return p, nil
}

// scoreConfig is the config that the score names, nil where it names none.
func (f *wireFields) scoreConfig(s *domain.Score, find findConfig) (*catalog.ScoreConfig, error) {
	if s.ConfigID == "" || f.err != nil {
		return nil, nil
	}
	return find(s.ConfigID)
}

// scoreType fills in the type: as sent, else the config's, else by the value.
func (f *wireFields) scoreType(s *domain.Score, config *catalog.ScoreConfig) {
	value := f.raw[keyValue]
	s.Type = domain.ScoreType(f.text(keyDataType))
	switch s.Type {
	case domain.ScoreNumeric, domain.ScoreBoolean, domain.ScoreCategorical, domain.ScoreText, domain.ScoreCorrection:
	case "":
		switch {
		case f.has(keyDataType):
			f.fail(keyDataType, "must not be empty")
		case config != nil:
			s.Type = config.Type
		case isString(value):
			s.Type = domain.ScoreCategorical
		case isNumber(value):
			s.Type = domain.ScoreNumeric
		default:
			f.fail(keyValue, "must be a number or a string")
		}
	default:
		f.fail(keyDataType, "must be one of NUMERIC, CATEGORICAL, BOOLEAN, TEXT, CORRECTION")
	}
}

// scoreName fills in the name: the config's and a correction's are given.
func (f *wireFields) scoreName(s *domain.Score, config *catalog.ScoreConfig) {
	s.Name = f.text(keyName)
	switch {
	case s.Type == domain.ScoreCorrection:
		s.Name = correctionName
	case config != nil:
		s.Name = config.Name
	case s.Name == "":
		f.fail(keyName, "is required and must not be empty")
	}
}

// scoreTarget checks that the score is about one thing.
func (f *wireFields) scoreTarget(s *domain.Score) {
	n := 0
	for _, id := range [...]string{s.TraceID, s.SessionID, s.RunID} {
		if id != "" {
			n++
		}
	}
	isCorrection := s.Type == domain.ScoreCorrection
	switch {
	case s.ObservationID != "" && s.TraceID == "":
		f.fail(keyTraceID, "is required with observationId")
	case n != 1:
		f.fail(keyTraceID, "exactly one of traceId, sessionId and datasetRunId is required")
	case isCorrection && s.SessionID != "":
		f.fail(keySessionID, "a score of type CORRECTION is about a trace or an observation")
	case isCorrection && s.RunID != "":
		f.fail(keyDatasetRunID, "a score of type CORRECTION is about a trace or an observation")
	case isCorrection && s.ConfigID != "":
		f.fail(keyConfigID, "a score of type CORRECTION has no config")
	}
}

// scoreSource fills in the source: API where none is named.
func (f *wireFields) scoreSource(s *domain.Score, route scoreRoute) {
	if !f.has(keySource) {
		s.Source = domain.SourceAPI
		return
	}
	s.Source = f.text(keySource)
	switch {
	case s.Source == domain.SourceAPI, s.Source == domain.SourceEval && route == inBatch:
	case s.Source == domain.SourceAnnotation:
		if s.ConfigID == "" && s.Type != domain.ScoreCorrection {
			f.fail(keyConfigID, "is required for a score of source ANNOTATION")
		}
	case route == inBatch:
		f.fail(keySource, "must be one of API, EVAL, ANNOTATION")
	default:
		f.fail(keySource, "must be one of API, ANNOTATION")
	}
}

// scoreValue fills in the value by the type.
func (f *wireFields) scoreValue(s *domain.Score) {
	raw := f.raw[keyValue]
	if s.Type == domain.ScoreNumeric || s.Type == domain.ScoreBoolean {
		f.scoreNumber(s, raw)
		return
	}
	if !isString(raw) {
		f.fail(keyValue, "must be a string for a score of type %s", s.Type)
		return
	}
	s.StringValue = clean(unquote(raw))
	s.Value = domain.Some(0.0)
	if s.Type == domain.ScoreText {
		if n := utf8.RuneCountInString(s.StringValue); n < 1 || n > maxScoreText {
			f.fail(keyValue, "must have 1 to %d characters for a score of type TEXT", maxScoreText)
		}
	}
}

func (f *wireFields) scoreNumber(s *domain.Score, raw []byte) {
	if !isNumber(raw) {
		f.fail(keyValue, "must be a number for a score of type %s", s.Type)
		return
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		f.fail(keyValue, "is too large for a number")
	}
	if s.Value = domain.Some(x); s.Type == domain.ScoreNumeric {
		return
	}
	switch x {
	case 0:
		s.Value = domain.Some(0.0) // never -0
		s.StringValue = "False"
	case 1:
		s.StringValue = "True"
	default:
		f.fail(keyValue, "must be 0 or 1 for a score of type BOOLEAN")
	}
}
