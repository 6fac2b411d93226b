package ingest

import (
	"math"
	"unicode/utf8"

	"github.com/clewhq/clew/internal/domain"
)

// maxScoreText is the most characters of a score of type TEXT.
const maxScoreText = 500

// score checks one score patch by the rules of Langfuse's API that need no
// score configuration. An update is checked for what it says, everything else
// must be a whole score.
func score(p *domain.ScorePatch) *domain.Error {
	s := &p.Value
	if err := texts(
		&s.ID, &s.TraceID, &s.ObservationID, &s.SessionID, &s.RunID, &s.Name, (*string)(&s.Type), &s.Environment,
		&s.Source, &s.ConfigID, &s.QueueID, &s.AuthorUserID, &s.ExecutionTraceID, &s.Comment,
	); err != nil {
		return err
	}
	if len(s.StringValue) > maxBody || len(s.Metadata) > maxBody {
		return tooLarge("score", max(len(s.StringValue), len(s.Metadata)), maxBody)
	}
	s.StringValue = cleanText(s.StringValue)
	s.Metadata = validBytes(s.Metadata)
	if err := ids(id{"id", s.ID, true}, id{"traceId", s.TraceID, false}, id{"observationId", s.ObservationID, false},
		id{"sessionId", s.SessionID, false}, id{"datasetRunId", s.RunID, false}); err != nil {
		return err
	}
	whole := p.Stamp.Op != domain.Update
	if whole || p.Said.Has(domain.ScoreValue) {
		p.Said |= domain.ScoreValue
		if err := scoreValue(s); err != nil {
			return err
		}
	}
	if s.Type == domain.ScoreCorrection {
		p.Said |= domain.ScoreName
		s.Name = "output"
	}
	if s.Name == "" && (whole || p.Said.Has(domain.ScoreName)) {
		return invalid("name", "name is required")
	}
	if err := scoreTarget(s, whole); err != nil {
		return err
	}
	if whole {
		p.Said |= domain.ScoreEnvironment | domain.ScoreTimestamp
		s.Environment = environment(s.Environment)
		if !s.Timestamp.IsSet() {
			s.Timestamp = domain.At(p.Stamp.Time)
		}
	} else if s.Environment != "" {
		s.Environment = environment(s.Environment)
	}
	domain.SealScore(p)
	return nil
}

// scoreTarget checks what the score judges: exactly one of a trace, perhaps
// with an observation of it, a session, and a run.
func scoreTarget(s *domain.Score, whole bool) *domain.Error {
	n := 0
	for _, target := range [...]string{s.TraceID, s.SessionID, s.RunID} {
		if target != "" {
			n++
		}
	}
	switch {
	case n > 1 || n == 0 && whole:
		return invalid("traceId", "exactly one of traceId, sessionId and datasetRunId is required")
	case s.ObservationID != "" && s.TraceID == "" && whole:
		return invalid("observationId", "observationId needs a traceId")
	case s.Type == domain.ScoreCorrection && (s.SessionID != "" || s.RunID != ""):
		return invalid("dataType", "a CORRECTION belongs to a trace or an observation")
	case s.Type == domain.ScoreCorrection && s.ConfigID != "":
		return invalid("configId", "a CORRECTION has no configId")
	case whole && s.Source == domain.SourceAnnotation && s.ConfigID == "" && s.Type != domain.ScoreCorrection:
		return invalid("configId", "a score of source ANNOTATION needs a configId")
	}
	return nil
}

// scoreValue checks the value by its type and brings it into its stored form.
func scoreValue(s *domain.Score) *domain.Error {
	if s.Type == "" {
		s.Type = domain.ScoreCategorical
		if s.Value.Set {
			s.Type = domain.ScoreNumeric
		}
	}
	v := s.Value.Value
	switch s.Type {
	case domain.ScoreNumeric:
		if !s.Value.Set || math.IsNaN(v) || math.IsInf(v, 0) {
			return invalid("value", "value of a NUMERIC score must be a number")
		}
		s.StringValue = ""
	case domain.ScoreBoolean:
		if !s.Value.Set || v != 0 && v != 1 {
			return invalid("value", "value of a BOOLEAN score must be 0 or 1")
		}
		s.StringValue = "False"
		if v == 1 {
			s.StringValue = "True"
		}
	case domain.ScoreCategorical:
		if s.StringValue == "" {
			return invalid("value", "value of a CATEGORICAL score must be a text")
		}
		s.Value = domain.Some(v) // the number of a configured category, else 0
	case domain.ScoreText:
		if n := utf8.RuneCountInString(s.StringValue); n < 1 || n > maxScoreText {
			return invalid("value", "value of a TEXT score must be a text of 1 to 500 characters")
		}
		s.Value = domain.Some(0.0)
	case domain.ScoreCorrection:
		if s.StringValue == "" {
			return invalid("value", "value of a CORRECTION must be a text")
		}
		s.Value = domain.Some(0.0)
	default:
		return invalid("dataType", "dataType must be NUMERIC, BOOLEAN, CATEGORICAL, TEXT or CORRECTION")
	}
	return nil
}

func invalid(field, msg string) *domain.Error {
	return &domain.Error{Code: domain.Invalid, Field: field, Msg: msg}
}
