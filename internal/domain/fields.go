package domain

// The fields of each kind in the order of their bits, with the rule of each.
// The rules are Langfuse's for batches (first write wins for what identifies,
// an explicit null clears name, model, level and the trace's columns and
// nothing else), extended to replacing writes; see docs/adr on the fold.

var observationKind = kind[Observation]{
	fields: []field[Observation]{
		{lastSet, func(e *Observation) bool { return e.ParentID != "" }, func(d, s *Observation) { d.ParentID = s.ParentID }},
		{last, func(e *Observation) bool { return e.Type != "" }, func(d, s *Observation) { d.Type = s.Type }},
		{last, func(e *Observation) bool { return e.Name != "" }, func(d, s *Observation) { d.Name = s.Name }},
		{firstSet, func(e *Observation) bool { return e.Start.set }, func(d, s *Observation) { d.Start = s.Start }},
		{lastSet, func(e *Observation) bool { return e.End.set }, func(d, s *Observation) { d.End = s.End }},
		{lastSet, func(e *Observation) bool { return e.CompletionStart.set }, func(d, s *Observation) { d.CompletionStart = s.CompletionStart }},
		{last, func(e *Observation) bool { return e.Level != NoLevel }, func(d, s *Observation) { d.Level = s.Level }},
		{lastSet, func(e *Observation) bool { return e.StatusMessage != "" }, func(d, s *Observation) { d.StatusMessage = s.StatusMessage }},
		{lastSet, func(e *Observation) bool { return e.Version != "" }, func(d, s *Observation) { d.Version = s.Version }},
		{firstSet, func(e *Observation) bool { return e.Environment != "" }, func(d, s *Observation) { d.Environment = s.Environment }},
		{last, func(e *Observation) bool { return e.Model != "" }, func(d, s *Observation) { d.Model = s.Model }},
		{lastSet, func(e *Observation) bool { return len(e.ModelParameters) > 0 }, func(d, s *Observation) { d.ModelParameters = s.ModelParameters }},
		{lastSet, func(e *Observation) bool { return len(e.ProvidedUsage) > 0 }, func(d, s *Observation) { d.ProvidedUsage = s.ProvidedUsage }},
		{lastSet, func(e *Observation) bool { return len(e.ProvidedCost) > 0 }, func(d, s *Observation) { d.ProvidedCost = s.ProvidedCost }},
		{lastSet, func(e *Observation) bool { return e.PromptName != "" }, func(d, s *Observation) { d.PromptName, d.PromptVersion = s.PromptName, s.PromptVersion }},
		{lastSet, func(e *Observation) bool { return len(e.PriceAttributes) > 0 }, func(d, s *Observation) { d.PriceAttributes = s.PriceAttributes }},
		{lastSet, func(e *Observation) bool { return e.Source != "" }, func(d, s *Observation) { d.Source = s.Source }},
		{lastSet, func(e *Observation) bool { return e.Experiment != Experiment{} }, func(d, s *Observation) { d.Experiment = s.Experiment }},
		{lastSet, func(e *Observation) bool { return e.TraceName != "" }, func(d, s *Observation) { d.TraceName = s.TraceName }},
		{lastSet, func(e *Observation) bool { return e.UserID != "" }, func(d, s *Observation) { d.UserID = s.UserID }},
		{lastSet, func(e *Observation) bool { return e.SessionID != "" }, func(d, s *Observation) { d.SessionID = s.SessionID }},
		{lastSet, func(e *Observation) bool { return e.Release != "" }, func(d, s *Observation) { d.Release = s.Release }},
		{lastSet, func(e *Observation) bool { return e.Public.Set }, func(d, s *Observation) { d.Public = s.Public }},
		{last, func(e *Observation) bool { return len(e.Tags) > 0 }, func(d, s *Observation) { d.Tags = s.Tags }},
		{lastSet, func(e *Observation) bool { return e.AppRoot }, func(d, s *Observation) { d.AppRoot = s.AppRoot }},
		{last, func(e *Observation) bool { return len(e.Tools) > 0 }, func(d, s *Observation) { d.Tools = s.Tools }},
		{last, func(e *Observation) bool { return len(e.Calls) > 0 }, func(d, s *Observation) { d.Calls = s.Calls }},
	},
	union: 23,
	tags:  func(e *Observation) *[]string { return &e.Tags },
}

var traceKind = kind[Trace]{
	fields: []field[Trace]{
		{firstSet, func(e *Trace) bool { return e.Timestamp.set }, func(d, s *Trace) { d.Timestamp = s.Timestamp }},
		{last, func(e *Trace) bool { return e.Name != "" }, func(d, s *Trace) { d.Name = s.Name }},
		{last, func(e *Trace) bool { return e.UserID != "" }, func(d, s *Trace) { d.UserID = s.UserID }},
		{last, func(e *Trace) bool { return e.SessionID != "" }, func(d, s *Trace) { d.SessionID = s.SessionID }},
		{last, func(e *Trace) bool { return e.Release != "" }, func(d, s *Trace) { d.Release = s.Release }},
		{last, func(e *Trace) bool { return e.Version != "" }, func(d, s *Trace) { d.Version = s.Version }},
		{firstSet, func(e *Trace) bool { return e.Environment != "" }, func(d, s *Trace) { d.Environment = s.Environment }},
		{lastSet, func(e *Trace) bool { return e.Public.Set }, func(d, s *Trace) { d.Public = s.Public }},
		{last, func(e *Trace) bool { return len(e.Tags) > 0 }, func(d, s *Trace) { d.Tags = s.Tags }},
	},
	union: 8,
	tags:  func(e *Trace) *[]string { return &e.Tags },
}

var scoreKind = kind[Score]{
	fields: []field[Score]{
		{firstSet, func(e *Score) bool { return e.TraceID != "" }, func(d, s *Score) { d.TraceID = s.TraceID }},
		{lastSet, func(e *Score) bool { return e.ObservationID != "" }, func(d, s *Score) { d.ObservationID = s.ObservationID }},
		{lastSet, func(e *Score) bool { return e.SessionID != "" }, func(d, s *Score) { d.SessionID = s.SessionID }},
		{lastSet, func(e *Score) bool { return e.RunID != "" }, func(d, s *Score) { d.RunID = s.RunID }},
		{last, func(e *Score) bool { return e.Name != "" }, func(d, s *Score) { d.Name = s.Name }},
		{last, func(e *Score) bool { return e.Type != "" }, func(d, s *Score) { d.Type, d.Value, d.StringValue = s.Type, s.Value, s.StringValue }},
		{firstSet, func(e *Score) bool { return e.Timestamp.set }, func(d, s *Score) { d.Timestamp = s.Timestamp }},
		{firstSet, func(e *Score) bool { return e.Environment != "" }, func(d, s *Score) { d.Environment = s.Environment }},
		{lastSet, func(e *Score) bool { return e.Source != "" }, func(d, s *Score) { d.Source = s.Source }},
		{lastSet, func(e *Score) bool { return e.Comment != "" }, func(d, s *Score) { d.Comment = s.Comment }},
		{lastSet, func(e *Score) bool { return len(e.Metadata) > 0 }, func(d, s *Score) { d.Metadata = s.Metadata }},
		{lastSet, func(e *Score) bool { return e.ConfigID != "" }, func(d, s *Score) { d.ConfigID = s.ConfigID }},
		{lastSet, func(e *Score) bool { return e.QueueID != "" }, func(d, s *Score) { d.QueueID = s.QueueID }},
		{lastSet, func(e *Score) bool { return e.AuthorUserID != "" }, func(d, s *Score) { d.AuthorUserID = s.AuthorUserID }},
		{lastSet, func(e *Score) bool { return e.ExecutionTraceID != "" }, func(d, s *Score) { d.ExecutionTraceID = s.ExecutionTraceID }},
	},
	union: -1,
}
