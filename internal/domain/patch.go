package domain

import (
	"cmp"
	"encoding/binary"
	"math"

	"github.com/cespare/xxhash/v2"
)

// Op is the operation of a write. Where two writes carry the same event time,
// a greater operation counts as the later one.
type Op uint8

// The operations. A Replace says every field, so what it leaves out is gone;
// an OpenTelemetry span is one. Create and Update say some fields.
const (
	Create Op = iota + 1
	Update
	Replace
)

// Stamp orders the writes about one thing, so that neither arrival order nor
// repetition nor splitting changes what is read. Equal stamps are one write.
type Stamp struct {
	Time  int64  // event time in nanoseconds since 1970 UTC, as the dialect defines it
	Op    Op     // breaks ties of Time
	Event string // the sender's id of the write, "" where its protocol has none
	Hash  uint64 // XXH64 of what the write says; see Patch.Seal
}

// Compare orders stamps by time, operation, event and hash.
func (s Stamp) Compare(t Stamp) int {
	return cmp.Or(
		cmp.Compare(s.Time, t.Time),
		cmp.Compare(s.Op, t.Op),
		cmp.Compare(s.Event, t.Event),
		cmp.Compare(s.Hash, t.Hash),
	)
}

// Fields is a set of fields of an Observation, Trace or Score, one bit each.
type Fields uint64

// Has reports whether every field of f is in the set.
func (s Fields) Has(f Fields) bool { return s&f == f }

// Patch is what one write said about one observation, trace or score: the
// fields in Said with their values (a zero value is null), and bodies.
type Patch[E Observation | Trace | Score] struct {
	Stamp   Stamp
	Said    Fields
	Value   E
	Parts   Parts // the bodies said; one that is said but not set is null
	Content Content
}

// The patches of the three kinds of telemetry.
type (
	ObservationPatch = Patch[Observation]
	TracePatch       = Patch[Trace]
	ScorePatch       = Patch[Score] // Content stays empty
)

// Fields of an Observation.
const (
	ObservationParent Fields = 1 << iota
	ObservationTypeField
	ObservationName
	ObservationStart
	ObservationEnd
	ObservationCompletionStart
	ObservationLevel
	ObservationStatusMessage
	ObservationVersion
	ObservationEnvironment
	ObservationModel
	ObservationModelParameters
	ObservationUsage
	ObservationCost
	ObservationPrompt
	ObservationPriceAttributes
	ObservationSource
	ObservationExperiment
	ObservationTraceName
	ObservationUserID
	ObservationSessionID
	ObservationRelease
	ObservationPublic
	ObservationTags
	ObservationAppRoot
	ObservationTools
	ObservationCalls
	observationEnd

	AllObservationFields = observationEnd - 1
)

// Fields of a Trace.
const (
	TraceTimestamp Fields = 1 << iota
	TraceName
	TraceUserID
	TraceSessionID
	TraceRelease
	TraceVersion
	TraceEnvironment
	TracePublic
	TraceTags
	traceEnd

	AllTraceFields = traceEnd - 1
)

// Fields of a Score.
const (
	ScoreTraceID Fields = 1 << iota
	ScoreObservationID
	ScoreSessionID
	ScoreRunID
	ScoreName
	ScoreValue // type, value and string value together
	ScoreTimestamp
	ScoreEnvironment
	ScoreSource
	ScoreComment
	ScoreMetadata
	ScoreConfigID
	ScoreQueueID
	ScoreAuthorUserID
	ScoreExecutionTraceID
	scoreEnd

	AllScoreFields = scoreEnd - 1
)

// AllParts is every body, as a Replace says it.
const AllParts Parts = 1<<parts - 1

// SealObservation puts the hash of all that p says into its stamp. A Replace is
// made to say every field and body first. A patch is sealed once it has its
// final form, before it is stored.
func SealObservation(p *ObservationPatch) {
	if p.Stamp.Op == Replace {
		p.Said, p.Parts = AllObservationFields, AllParts
	}
	h := newHasher()
	o := &p.Value
	h.texts(o.TraceID, o.ID)
	h.uint(uint64(p.Said), uint64(p.Parts))
	h.texts(o.ParentID, string(o.Type), o.Name)
	h.times(o.Start, o.End, o.CompletionStart)
	h.uint(uint64(o.Level))
	h.texts(o.StatusMessage, o.Version, o.Environment, o.Model)
	h.bytes(o.ModelParameters)
	h.uint(uint64(len(o.ProvidedUsage)))
	for _, c := range o.ProvidedUsage {
		h.texts(c.Key)
		h.uint(uint64(c.Units))
	}
	h.uint(uint64(len(o.ProvidedCost)))
	for _, c := range o.ProvidedCost {
		h.texts(c.Key)
		h.uint(uint64(c.Amount))
	}
	h.texts(o.PromptName)
	h.uint(uint64(o.PromptVersion.Value), flag(o.PromptVersion.Set))
	h.uint(uint64(len(o.PriceAttributes)))
	for _, a := range o.PriceAttributes {
		h.texts(a.Key, a.Value)
	}
	h.texts(o.Source)
	x := &o.Experiment
	h.texts(x.ID, x.Name, x.Description, x.Metadata, x.DatasetID, x.ItemID, x.ItemVersion,
		x.ItemMetadata, x.ItemExpectedOutput, x.RootObservationID)
	h.texts(o.TraceName, o.UserID, o.SessionID, o.Release)
	h.uint(flag(o.Public.Value), flag(o.Public.Set), flag(o.AppRoot))
	h.uint(uint64(len(o.Tags)))
	h.texts(o.Tags...)
	h.content(&p.Content) // what its tools follow from
	p.Stamp.Hash = h.sum()
}

// SealTrace is SealObservation for what is said of a trace itself.
func SealTrace(p *TracePatch) {
	if p.Stamp.Op == Replace {
		p.Said, p.Parts = AllTraceFields, AllParts
	}
	h := newHasher()
	t := &p.Value
	h.texts(t.ID)
	h.uint(uint64(p.Said), uint64(p.Parts))
	h.times(t.Timestamp)
	h.texts(t.Name, t.UserID, t.SessionID, t.Release, t.Version, t.Environment)
	h.uint(flag(t.Public.Value), flag(t.Public.Set))
	h.uint(uint64(len(t.Tags)))
	h.texts(t.Tags...)
	h.content(&p.Content)
	p.Stamp.Hash = h.sum()
}

// SealScore is SealObservation for a score.
func SealScore(p *ScorePatch) {
	if p.Stamp.Op == Replace {
		p.Said = AllScoreFields
	}
	h := newHasher()
	s := &p.Value
	h.uint(uint64(p.Said))
	h.texts(s.ID, s.TraceID, s.ObservationID, s.SessionID, s.RunID, s.Name, string(s.Type))
	h.uint(math.Float64bits(s.Value.Value), flag(s.Value.Set))
	h.texts(s.StringValue)
	h.times(s.Timestamp)
	h.texts(s.Environment, s.Source, s.Comment, s.ConfigID, s.QueueID, s.AuthorUserID, s.ExecutionTraceID)
	h.bytes(s.Metadata)
	p.Stamp.Hash = h.sum()
}

// hasher digests the values of a patch, each text and list with its length, so
// that two different patches never give the same bytes.
type hasher struct {
	d   *xxhash.Digest
	buf []byte
}

func newHasher() *hasher { return &hasher{d: xxhash.New(), buf: make([]byte, 0, 256)} }

func (h *hasher) flush() {
	_, _ = h.d.Write(h.buf) // a Digest never fails
	h.buf = h.buf[:0]
}

func (h *hasher) uint(vs ...uint64) {
	for _, v := range vs {
		h.buf = binary.AppendUvarint(h.buf, v)
	}
	if len(h.buf) > 200 {
		h.flush()
	}
}

func (h *hasher) texts(ss ...string) {
	for _, s := range ss {
		h.buf = binary.AppendUvarint(h.buf, uint64(len(s)))
		h.buf = append(h.buf, s...)
	}
	if len(h.buf) > 200 {
		h.flush()
	}
}

func (h *hasher) times(ts ...Time) {
	for _, t := range ts {
		h.uint(flag(t.set), uint64(t.ns))
	}
}

func (h *hasher) bytes(b []byte) {
	h.uint(uint64(len(b)))
	h.flush()
	_, _ = h.d.Write(b)
}

func (h *hasher) content(c *Content) {
	for i := range c {
		h.uint(uint64(c[i].Kind))
		if c[i].Kind != None {
			h.bytes(c[i].Data)
		}
	}
}

func (h *hasher) sum() uint64 {
	h.flush()
	return h.d.Sum64()
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
