package query

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/clewhq/clew/internal/domain"
)

// Record is a Row over domain's own things. What costs something to read is
// read when a filter asks for it, through the functions; one that is nil has
// nothing to give.
type Record struct {
	View        View
	Trace       *domain.Trace       // of a Traces row, and the trace of the others, nil if it is not known
	Observation *domain.Observation // of an Observations row
	Score       *domain.Score       // of a Scores row
	Summary     *Summary            // of a Sessions or a Users row

	Content      func() *domain.Content // the bodies of the row
	Params       func() []byte          // the model parameters of an Observations row; nil: its Observation has them
	ScoreList    func() []domain.Score  // of a trace and its observations; of an Observations row those of its trace
	Observations func() []*Record       // of a Traces row; of a Scores row its observation

	content *domain.Content
	scores  []domain.Score
	asked   bool
}

// Reset makes the record one of another row of the same view: what was read for
// the last one is forgotten.
func (r *Record) Reset(t *domain.Trace, o *domain.Observation) {
	r.Trace, r.Observation = t, o
	r.content, r.scores, r.asked = nil, nil, false
}

// Summary is what the traces of a session or of a user sum up to.
type Summary struct {
	ID       string
	Start    domain.Time // of its first trace
	End      domain.Time // of the one that ended last
	Traces   int64
	Sessions int64    // of a user
	Users    []string // of a session, sorted
	Tags     []string // of a session, sorted
	Envs     []string // sorted
	Totals   domain.Totals
}

var _ Row = (*Record)(nil)

// Int implements Row.
func (r *Record) Int(c Col) (int64, bool) {
	switch r.View {
	case Traces:
		return traceInt(r.Trace, c, r.ScoreCount)
	case Observations:
		return observationInt(r.Observation, c)
	case Scores:
		return scoreInt(r.Score, c)
	}
	return r.Summary.int(c)
}

// ScoreCount is how many scores the row's trace has.
func (r *Record) ScoreCount() int64 { return int64(len(r.allScores())) }

func timeInt(t domain.Time) (int64, bool) { return t.Nanos(), t.IsSet() }

func boolInt(b bool) (int64, bool) {
	if b {
		return 1, true
	}
	return 0, true
}

// TraceTime is the instant that a trace is listed at: its timestamp, else its
// earliest start, else the time it was first heard of.
func TraceTime(t *domain.Trace) domain.Time {
	switch {
	case t.Timestamp.IsSet():
		return t.Timestamp
	case t.Totals.Start.IsSet():
		return t.Totals.Start
	}
	return t.CreatedAt
}

// ScoreTime is the instant that a score is listed at.
func ScoreTime(s *domain.Score) domain.Time {
	if s.Timestamp.IsSet() {
		return s.Timestamp
	}
	return s.CreatedAt
}

func totalsInt(n *domain.Totals, c Col) (v int64, ok bool) {
	switch c {
	case ColCost:
		return int64(n.Cost), true
	case ColInputCost:
		return int64(n.InputCost), true
	case ColOutputCost:
		return int64(n.OutputCost), true
	case ColTokens:
		return n.Total, true
	case ColInputTokens:
		return n.Input, true
	case ColOutputTokens:
		return n.Output, true
	case ColErrorCount:
		return n.ByLevel[domain.LevelError], true
	case ColWarnings:
		return n.ByLevel[domain.LevelWarning], true
	case ColDefaults:
		return n.ByLevel[domain.LevelDefault], true
	case ColDebugs:
		return n.ByLevel[domain.LevelDebug], true
	case ColObservationCount:
		return n.Observations, true
	case ColLatency:
		return n.Latency(), true
	}
	return 0, false
}

func traceInt(t *domain.Trace, c Col, scores func() int64) (int64, bool) {
	switch c {
	case ColStart:
		return timeInt(TraceTime(t))
	case ColPublic:
		return boolInt(t.Public.Value)
	case ColBookmarked:
		return boolInt(t.Bookmarked)
	case ColIngested:
		return timeInt(t.CreatedAt)
	case ColUpdated:
		return timeInt(t.UpdatedAt)
	case ColScoreCount:
		return scores(), true
	}
	return totalsInt(&t.Totals, c)
}

func observationInt(o *domain.Observation, c Col) (int64, bool) {
	between := func(from, to domain.Time) (int64, bool) {
		return max(0, to.Nanos()-from.Nanos()), from.IsSet() && to.IsSet()
	}
	d := &o.Derived
	switch c {
	case ColStart:
		return timeInt(o.Start)
	case ColEnd:
		return timeInt(o.End)
	case ColFirstToken:
		return timeInt(o.CompletionStart)
	case ColLatency:
		return between(o.Start, o.End)
	case ColTTFT:
		return between(o.Start, o.CompletionStart)
	case ColTokens:
		n, ok := d.Usage.Get("total")
		return n, ok
	case ColInputTokens:
		return d.Usage.Side("input"), len(d.Usage) > 0
	case ColOutputTokens:
		return d.Usage.Side("output"), len(d.Usage) > 0
	case ColCost:
		return int64(d.TotalCost.Value), d.TotalCost.Set
	case ColInputCost:
		m, ok := d.Cost.Side("input")
		return int64(m), ok
	case ColOutputCost:
		m, ok := d.Cost.Side("output")
		return int64(m), ok
	case ColPromptVersion:
		return o.PromptVersion.Value, o.PromptVersion.Set
	case ColToolCount:
		return int64(len(o.Tools)), true
	case ColCallCount:
		return int64(len(o.Calls)), true
	case ColRoot:
		return boolInt(o.IsRoot())
	case ColItemRoot:
		return boolInt(o.Experiment.RootObservationID != "" && o.Experiment.RootObservationID == o.ID)
	case ColIngested:
		return timeInt(o.CreatedAt)
	case ColUpdated:
		return timeInt(o.UpdatedAt)
	}
	return 0, false
}

func scoreInt(s *domain.Score, c Col) (int64, bool) {
	switch c {
	case ColStart:
		return timeInt(ScoreTime(s))
	case ColScoreBool:
		v, _ := boolInt(s.Value.Value != 0)
		return v, s.Type == domain.ScoreBoolean && s.Value.Set
	case ColIngested:
		return timeInt(s.CreatedAt)
	case ColUpdated:
		return timeInt(s.UpdatedAt)
	}
	return 0, false
}

func (s *Summary) int(c Col) (int64, bool) {
	switch c {
	case ColStart:
		return timeInt(s.Start)
	case ColEnd:
		return timeInt(s.End)
	case ColLatency:
		return s.End.Nanos() - s.Start.Nanos(), true
	case ColTraceCount:
		return s.Traces, true
	case ColSessionCount:
		return s.Sessions, true
	}
	return totalsInt(&s.Totals, c)
}

// Float implements Row.
func (r *Record) Float(c Col) (float64, bool) {
	switch {
	case c == ColSpeed && r.Observation != nil:
		return Speed(r.Observation)
	case c == ColScoreValue && r.Score != nil:
		return ScoreNumber(r.Score)
	}
	return 0, false
}

// Speed is the output tokens of an observation per second of its latency.
func Speed(o *domain.Observation) (float64, bool) {
	ns, ok := observationInt(o, ColLatency)
	out := o.Derived.Usage.Side("output")
	if !ok || ns == 0 || len(o.Derived.Usage) == 0 {
		return 0, false
	}
	return float64(out) / (float64(ns) / 1e9), true
}

// ScoreNumber is the number of a score that has one: numeric, boolean and
// categorical ones.
func ScoreNumber(s *domain.Score) (float64, bool) {
	if s.Type == domain.ScoreText || s.Type == domain.ScoreCorrection {
		return 0, false
	}
	return s.Value.Value, s.Value.Set && s.Value.Value == s.Value.Value
}

func some(s string) (string, bool) { return s, s != "" }

// Text implements Row.
func (r *Record) Text(c Col) (string, bool) {
	switch r.View {
	case Traces:
		return TraceText(r.Trace, c)
	case Observations:
		return r.observationText(c)
	case Scores:
		return r.scoreText(c)
	}
	if c == ColID {
		return some(r.Summary.ID)
	}
	return "", false
}

// TraceText is a text of a trace.
func TraceText(t *domain.Trace, c Col) (string, bool) {
	switch c {
	case ColID:
		return some(t.ID)
	case ColName:
		return some(t.Name)
	case ColUser:
		return some(t.UserID)
	case ColSession:
		return some(t.SessionID)
	case ColEnv:
		return some(cmp.Or(t.Environment, domain.DefaultEnvironment))
	case ColVersion:
		return some(t.Version)
	case ColRelease:
		return some(t.Release)
	case ColLevel:
		for l := domain.LevelError; l > domain.NoLevel; l-- {
			if t.Totals.ByLevel[l] > 0 {
				return l.String(), true
			}
		}
	}
	return "", false
}

// ofTrace is what columns of a trace are called in views of what belongs to it.
var ofTrace = map[Col]Col{
	ColTraceName: ColName, ColUser: ColUser, ColRelease: ColRelease, ColTraceEnv: ColEnv, ColTraceVersion: ColVersion,
}

func (r *Record) traceText(c Col) (string, bool) {
	of, found := ofTrace[c]
	if !found || r.Trace == nil {
		return "", false
	}
	return TraceText(r.Trace, of)
}

func (r *Record) observationText(c Col) (string, bool) {
	if s, ok := ObservationText(r.Observation, c); ok {
		return s, ok
	}
	if c == ColSession && r.Trace != nil {
		return some(r.Trace.SessionID)
	}
	return r.traceText(c)
}

// ObservationText is a text that an observation holds itself.
func ObservationText(o *domain.Observation, c Col) (string, bool) {
	switch c {
	case ColID:
		return some(o.ID)
	case ColTrace:
		return some(o.TraceID)
	case ColParent:
		return some(o.ParentID)
	case ColOwnUser:
		return some(o.UserID)
	case ColOwnSession:
		return some(o.SessionID)
	case ColType:
		return string(cmp.Or(o.Type, domain.TypeSpan)), true
	case ColLevel:
		return o.Level.String(), true
	case ColName:
		return some(o.Name)
	case ColStatus:
		return some(o.StatusMessage)
	case ColEnv:
		return cmp.Or(o.Environment, domain.DefaultEnvironment), true
	case ColVersion:
		return some(o.Version)
	case ColModel:
		return some(o.Model)
	case ColModelID:
		return some(o.Derived.ModelID)
	case ColPrompt:
		return some(o.PromptName)
	case ColExperiment:
		return some(o.Experiment.ID)
	case ColExperimentName:
		return some(o.Experiment.Name)
	case ColDataset:
		return some(o.Experiment.DatasetID)
	case ColItem:
		return some(o.Experiment.ItemID)
	case ColSource:
		return some(o.Source)
	}
	return "", false
}

func (r *Record) scoreText(c Col) (string, bool) {
	s := r.Score
	switch c {
	case ColID:
		return some(s.ID)
	case ColName:
		return some(s.Name)
	case ColStringValue:
		return ScoreString(s)
	case ColType:
		return string(cmp.Or(s.Type, domain.ScoreNumeric)), true
	case ColSource:
		return cmp.Or(s.Source, domain.SourceAPI), true
	case ColEnv:
		return cmp.Or(s.Environment, domain.DefaultEnvironment), true
	case ColTrace:
		return some(s.TraceID)
	case ColObservation:
		return some(s.ObservationID)
	case ColSession:
		return some(s.SessionID)
	case ColExperiment:
		return some(s.RunID)
	case ColConfig:
		return some(s.ConfigID)
	case ColQueue:
		return some(s.QueueID)
	case ColAuthor:
		return some(s.AuthorUserID)
	case ColComment:
		return some(s.Comment)
	case ColEvaluator:
		return evaluator(s.Metadata)
	}
	return r.traceText(c)
}

// ScoreString is the text that a score shows: its category, text or correction,
// and True or False of a boolean one.
func ScoreString(s *domain.Score) (string, bool) {
	if s.Type == domain.ScoreBoolean && s.StringValue == "" {
		if s.Value.Value != 0 {
			return "True", true
		}
		return "False", true
	}
	return some(s.StringValue)
}

// evaluator is who made a score, as its metadata has it.
func evaluator(metadata []byte) (string, bool) {
	var m struct {
		Evaluator any `json:"evaluator_id"`
		Job       any `json:"job_configuration_id"`
	}
	if len(metadata) == 0 || json.Unmarshal(metadata, &m) != nil {
		return "", false
	}
	for _, v := range []any{m.Evaluator, m.Job} {
		if s, ok := v.(string); ok && s != "" {
			return s, true
		}
	}
	return "", false
}

// List implements Row.
func (r *Record) List(c Col) []string {
	switch {
	case c == ColUsers && r.Summary != nil:
		return r.Summary.Users
	case c == ColEnvs && r.Summary != nil:
		return r.Summary.Envs
	case c == ColTags && r.Summary != nil:
		return r.Summary.Tags
	case c == ColTags && r.Trace != nil:
		return r.Trace.Tags
	case c == ColOwnTags && r.Observation != nil:
		return r.Observation.Tags
	case c == ColTools && r.Observation != nil:
		return r.Observation.Tools
	case c == ColCalledTools && r.Observation != nil && len(r.Observation.Calls) > 0:
		return slices.Compact(slices.Sorted(slices.Values(r.Observation.Calls)))
	case c == ColExperiment && r.View == Traces:
		var ids []string
		for _, o := range r.Related(RelObs) {
			if id, ok := o.Text(ColExperiment); ok {
				ids = append(ids, id)
			}
		}
		return ids
	}
	return nil
}

// Count implements Row.
func (r *Record) Count(c Col, key string) (int64, bool) {
	if r.Observation == nil {
		return 0, false
	}
	if c == ColUsageBy {
		return r.Observation.Derived.Usage.Get(key)
	}
	m, ok := r.Observation.Derived.Cost.Get(key)
	return int64(m), ok
}

// Keys implements Row.
func (r *Record) Keys(c Col) (keys []string) {
	switch {
	case r.Observation == nil:
	case c == ColUsageBy:
		for _, n := range r.Observation.Derived.Usage {
			keys = append(keys, n.Key)
		}
	case c == ColCostBy:
		for _, n := range r.Observation.Derived.Cost {
			keys = append(keys, n.Key)
		}
	}
	return keys
}

// Body implements Row.
func (r *Record) Body(c Col) domain.Body {
	switch {
	case c == ColParams && r.Params != nil:
		return domain.JSONBody(r.Params())
	case c == ColParams && r.Observation != nil:
		return domain.JSONBody(r.Observation.ModelParameters)
	case r.View == Scores && c == ColMetadata:
		return domain.JSONBody(r.Score.Metadata)
	case r.Content == nil:
		return domain.Body{}
	}
	if r.content == nil {
		if r.content = r.Content(); r.content == nil {
			r.content = &domain.Content{}
		}
	}
	switch c {
	case ColInput:
		return r.content[domain.Input]
	case ColOutput:
		return r.content[domain.Output]
	case ColMetadata:
		return r.content[domain.Metadata]
	}
	return domain.Body{}
}

func (r *Record) allScores() []domain.Score {
	if !r.asked && r.ScoreList != nil {
		for _, s := range r.ScoreList() {
			if s.Type != domain.ScoreCorrection {
				r.scores = append(r.scores, s)
			}
		}
	}
	r.asked = true
	return r.scores
}

// Scores implements Row.
func (r *Record) Scores(c Col) []domain.Score {
	_, own := ScoresOver(c)
	if r.View == Traces && !own {
		return r.allScores()
	}
	var out []domain.Score
	for _, s := range r.allScores() {
		if own && s.ObservationID == "" || !own && r.Observation != nil && s.ObservationID == r.Observation.ID {
			out = append(out, s)
		}
	}
	return out
}

// Related implements Row.
func (r *Record) Related(rel Relation) []Row {
	var out []Row
	switch {
	case rel == RelTrace && r.Trace != nil && r.View != Traces:
		t := *r
		t.View, t.Content = Traces, nil
		return []Row{&t}
	case rel == RelScores && r.View != Scores:
		list := r.allScores()
		if r.View == Observations {
			list = r.Scores(ColScore)
		}
		for i := range list {
			out = append(out, &Record{View: Scores, Score: &list[i], Trace: r.Trace})
		}
	case rel == RelObs && r.Observations != nil:
		for _, o := range r.Observations() {
			out = append(out, o)
		}
	}
	return out
}
