package langfuse

import (
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/pricing"
)

// maxTraceName is how many characters a trace's name may have.
const maxTraceName = 1000

// A field that a write leaves out is never in Said. An explicit null is there
// only for the fields that null clears; for all others it says nothing.

// fromTrace is what an event says of the trace of that id.
func fromTrace(f *wireFields, id string, stamp domain.Stamp) domain.TracePatch {
	p := domain.TracePatch{Stamp: stamp, Said: domain.TraceTimestamp}
	t := &p.Value
	t.ID = id
	t.Timestamp = f.time(keyTimestamp)
	if !t.Timestamp.IsSet() {
		t.Timestamp = domain.At(stamp.Time)
	}
	if overLong(f.raw[keyName], maxTraceName) && overLong([]byte(f.text(keyName)), maxTraceName) {
		f.fail(keyName, "must have at most %d characters", maxTraceName)
	}
	for _, c := range []struct {
		key   wireKey
		field domain.Fields
		to    *string
	}{
		{keyName, domain.TraceName, &t.Name},
		{keyUserID, domain.TraceUserID, &t.UserID},
		{keySessionID, domain.TraceSessionID, &t.SessionID},
		{keyRelease, domain.TraceRelease, &t.Release},
		{keyVersion, domain.TraceVersion, &t.Version},
	} {
		if f.said(c.key) {
			p.Said |= c.field
			*c.to = f.text(c.key)
		}
	}
	if t.Environment = f.environment(); t.Environment != "" {
		p.Said |= domain.TraceEnvironment
	}
	if t.Public = f.flag(keyPublic); t.Public.Set {
		p.Said |= domain.TracePublic
	}
	if t.Tags = f.tags(keyTags); len(t.Tags) > 0 {
		p.Said |= domain.TraceTags
	}
	p.Parts = f.contents(&p.Content, keyInput, keyOutput)
	return p
}

// overLong reports whether text has more than n characters.
func overLong(text []byte, n int) bool {
	return len(text) > n && len([]rune(string(text))) > n
}

// contents fills in the bodies of a write and is the set of those it says.
func (f *wireFields) contents(c *domain.Content, input, output wireKey) domain.Parts {
	c[domain.Input] = f.content(input)
	c[domain.Output] = f.content(output)
	c[domain.Metadata] = f.metadata(keyMetadata)
	return c.Set()
}

// shape is which fields an observation event has; it ignores all others.
type shape uint8

const (
	shapeEvent shape = iota
	shapeSpan
	shapeGeneration
)

// fromObservation is what an event says of the observation of that id.
func fromObservation(f *wireFields, id string, typ domain.ObservationType, s shape, stamp domain.Stamp) domain.ObservationPatch {
	p := domain.ObservationPatch{Stamp: stamp, Said: domain.ObservationTypeField | domain.ObservationStart | domain.ObservationSource}
	o := &p.Value
	o.ID, o.Type, o.Source = id, typ, domain.SourceBatch
	o.TraceID = f.id(keyTraceID)
	start := f.time(keyStartTime)
	if o.Start = start; !start.IsSet() {
		o.Start = domain.At(stamp.Time)
	}
	if f.said(keyName) {
		p.Said |= domain.ObservationName
		o.Name = f.text(keyName)
	}
	if f.said(keyLevel) {
		p.Said |= domain.ObservationLevel
		o.Level = f.level()
	}
	for _, c := range []struct {
		value string
		field domain.Fields
		to    *string
	}{
		{f.ref(keyParentObservationID), domain.ObservationParent, &o.ParentID},
		{f.text(keyStatusMessage), domain.ObservationStatusMessage, &o.StatusMessage},
		{f.text(keyVersion), domain.ObservationVersion, &o.Version},
		{f.environment(), domain.ObservationEnvironment, &o.Environment},
	} {
		if *c.to = c.value; c.value != "" {
			p.Said |= c.field
		}
	}
	if s >= shapeSpan {
		if o.End = f.time(keyEndTime); o.End.IsSet() {
			p.Said |= domain.ObservationEnd
		}
		// Only a start that this event names: its own time is no bound.
		if o.End.Before(start) {
			o.End = start
		}
	}
	if s == shapeGeneration {
		fromGeneration(f, &p)
	}
	p.Parts = f.contents(&p.Content, keyInput, keyOutput)
	return p
}

// fromGeneration adds what only generations and their like say.
func fromGeneration(f *wireFields, p *domain.ObservationPatch) {
	o := &p.Value
	if o.CompletionStart = f.time(keyCompletionStartTime); o.CompletionStart.IsSet() {
		p.Said |= domain.ObservationCompletionStart
	}
	if f.said(keyModel) {
		p.Said |= domain.ObservationModel
		o.Model = f.text(keyModel)
	}
	if o.ModelParameters = f.object(keyModelParameters); o.ModelParameters != nil {
		p.Said |= domain.ObservationModelParameters
	}
	o.ProvidedUsage, o.ProvidedCost = f.usage()
	if len(o.ProvidedUsage) > 0 {
		p.Said |= domain.ObservationUsage
	}
	if len(o.ProvidedCost) > 0 {
		p.Said |= domain.ObservationCost
	}
	name, version := f.text(keyPromptName), f.integer(keyPromptVersion)
	switch {
	case name != "" && version.Set:
		p.Said |= domain.ObservationPrompt
		o.PromptName, o.PromptVersion = name, version
	case name != "":
		f.fail(keyPromptVersion, "is required with promptName")
	case version.Set:
		f.fail(keyPromptName, "is required with promptVersion")
	}
}

// usage is the usage and cost that an event provides: those of the details
// win over those of the older usage object.
func (f *wireFields) usage() (domain.Usage, domain.Cost) {
	var usage domain.Usage
	var cost domain.Cost
	if raw := f.object(keyUsage); raw != nil {
		usage, cost = pricing.LegacyUsageFromJSON(raw)
	}
	if raw := f.object(keyUsageDetails); raw != nil {
		if u := pricing.UsageFromJSON(raw); len(u) > 0 {
			usage = u
		}
	}
	if raw := f.object(keyCostDetails); raw != nil {
		if c := pricing.CostFromJSON(raw); len(c) > 0 {
			cost = c
		}
	}
	return usage, cost
}

// level is one of the four levels, none for null.
func (f *wireFields) level() domain.Level {
	if !f.has(keyLevel) {
		return domain.NoLevel
	}
	l, known := domain.ParseLevel(f.text(keyLevel))
	if !known {
		f.fail(keyLevel, "must be one of DEBUG, DEFAULT, WARNING, ERROR")
	}
	return l
}
