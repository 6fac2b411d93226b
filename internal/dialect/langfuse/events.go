package langfuse

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/clewhq/clew/internal/auth"
	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/ingest"
	"github.com/clewhq/clew/internal/store"
)

// An event is one entry of a batch, with its envelope read.
type event struct {
	id    string // unknownEvent where it has none
	typ   string
	stamp domain.Stamp
	kind  eventKind
	body  []byte
	err   *domain.Error // what is wrong with the envelope
}

// unknownEvent stands for the id of an event that has none.
const unknownEvent = "unknown"

// entity is what an event is about.
type entity uint8

const (
	noEntity entity = iota // an event that is taken and thrown away
	traceEntity
	observationEntity
	scoreEntity
)

// eventKind is what a type of event means.
type eventKind struct {
	entity entity
	op     domain.Op
	typ    domain.ObservationType // "" where the body names it
	shape  shape
	makes  bool   // the server makes an id where the body has none
	refuse string // why events of this type are not taken
}

// sdkLog is the type of events that clients write about themselves.
const sdkLog = "sdk-log"

var eventKinds = map[string]eventKind{
	"trace-create":       {entity: traceEntity, op: domain.Create, makes: true},
	"score-create":       {entity: scoreEntity, op: domain.Create, makes: true},
	sdkLog:               {entity: noEntity, op: domain.Create},
	"event-create":       {observationEntity, domain.Create, domain.TypeEvent, shapeEvent, false, ""},
	"span-create":        {observationEntity, domain.Create, domain.TypeSpan, shapeSpan, false, ""},
	"span-update":        {observationEntity, domain.Update, domain.TypeSpan, shapeSpan, false, ""},
	"generation-create":  {observationEntity, domain.Create, domain.TypeGeneration, shapeGeneration, false, ""},
	"generation-update":  {observationEntity, domain.Update, domain.TypeGeneration, shapeGeneration, false, ""},
	"agent-create":       {observationEntity, domain.Create, domain.TypeAgent, shapeGeneration, false, ""},
	"tool-create":        {observationEntity, domain.Create, domain.TypeTool, shapeGeneration, false, ""},
	"chain-create":       {observationEntity, domain.Create, domain.TypeChain, shapeGeneration, false, ""},
	"retriever-create":   {observationEntity, domain.Create, domain.TypeRetriever, shapeGeneration, false, ""},
	"evaluator-create":   {observationEntity, domain.Create, domain.TypeEvaluator, shapeGeneration, false, ""},
	"embedding-create":   {observationEntity, domain.Create, domain.TypeEmbedding, shapeGeneration, false, ""},
	"guardrail-create":   {observationEntity, domain.Create, domain.TypeGuardrail, shapeGeneration, false, ""},
	"observation-create": {observationEntity, domain.Create, "", shapeGeneration, true, ""},
	"observation-update": {observationEntity, domain.Update, "", shapeGeneration, false, ""},
	"dataset-run-item-create": {
		refuse: "events of type dataset-run-item-create are not taken from outside: use POST /api/public/dataset-run-items",
	},
}

// readEvent reads the envelope of an event.
func readEvent(raw []byte) event {
	ev := event{id: unknownEvent}
	if !isObject(raw) {
		ev.err = domain.Errorf(domain.Invalid, "an event must be an object")
		return ev
	}
	var id, typ, timestamp []byte
	splitObject(raw, func(name, value []byte) {
		switch string(name) {
		case "id":
			id = value
		case "type":
			typ = value
		case "timestamp":
			timestamp = value
		case "body":
			ev.body = value
		}
	})
	why := "must be a string that is not empty"
	if isString(id) {
		if s := clean(unquote(id)); s != "" {
			why = badID(s)
			if why == "" {
				ev.id = s
			}
		}
	}
	if why != "" {
		ev.fail("id", why)
	}
	t, why := parseTime(timestamp)
	if why != "" {
		ev.fail("timestamp", why)
	}
	if isString(typ) {
		ev.typ = unquote(typ)
	}
	kind, known := eventKinds[ev.typ]
	if !known {
		ev.fail("type", "must be one of the types of events")
	}
	if ev.body == nil {
		ev.fail("body", "must be an object")
	}
	ev.kind = kind
	ev.stamp = domain.Stamp{Time: t.Nanos(), Op: kind.op, Event: ev.id}
	return ev
}

func (ev *event) fail(field, why string) {
	if ev.err == nil {
		ev.err = &domain.Error{Code: domain.Invalid, Msg: why, Field: field}
	}
}

// sortEvents puts events in the order in which they are taken and answered:
// all but updates by time, then updates by time.
func sortEvents(events []event) {
	slices.SortStableFunc(events, func(a, b event) int {
		return cmp.Or(
			cmp.Compare(flag(a.isUpdate()), flag(b.isUpdate())),
			cmp.Compare(a.stamp.Time, b.stamp.Time),
		)
	})
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (ev *event) isUpdate() bool { return strings.HasSuffix(ev.typ, "-update") }

// entityID is the id of what an event creates without naming it. It follows
// from the event, so that the event sent again means the same thing.
func (ev *event) entityID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s", ev.typ, ev.stamp.Time, ev.id))
	return formatUUID([16]byte(sum[:16]))
}

// batch gathers the patches of a request and knows which event each came from.
type batch struct {
	store.Batch
	find   findConfig
	route  scoreRoute
	events [3][]int // by ingest.Kind
}

// take adds what the i-th event says, or says why it is not taken.
func (b *batch) take(p auth.Principal, ev *event, i int) error {
	if ev.err != nil {
		return ev.err
	}
	if err := mayWrite(p, ev); err != nil {
		return err
	}
	switch {
	case ev.kind.refuse != "":
		return domain.Errorf(domain.Invalid, "%s", ev.kind.refuse)
	case ev.kind.entity == noEntity:
		return nil
	}
	var f wireFields
	f.read(ev.body, "body.")
	if f.err != nil {
		return f.err
	}
	newID := ev.entityID
	if !ev.kind.makes {
		newID = nil
	}
	_, err := b.add(&f, ev.kind, ev.stamp, newID, i)
	return err
}

// add adds the patch of a body that has been read and returns the id of what
// it is about; where the body has none, newID makes it, and nil refuses it. The
// body is that of the i-th event.
func (b *batch) add(f *wireFields, k eventKind, stamp domain.Stamp, newID func() string, i int) (string, error) {
	id := f.entityID(k.entity)
	switch {
	case id != "":
	case newID != nil:
		id = newID()
	default:
		f.fail(keyID, "is required")
	}
	switch k.entity {
	case traceEntity:
		if p := fromTrace(f, id, stamp); f.err == nil {
			b.Traces = append(b.Traces, p)
			b.events[ingest.Trace] = append(b.events[ingest.Trace], i)
		}
	case observationEntity:
		typ := k.typ
		if typ == "" {
			typ = f.observationType()
		}
		if p := fromObservation(f, id, typ, k.shape, stamp); f.err == nil {
			b.Observations = append(b.Observations, p)
			b.events[ingest.Observation] = append(b.events[ingest.Observation], i)
		}
	case scoreEntity:
		p, err := fromScore(f, id, b.find, stamp, b.route)
		if err != nil {
			return "", err
		}
		b.Scores = append(b.Scores, p)
		b.events[ingest.Score] = append(b.events[ingest.Score], i)
	}
	if f.err != nil {
		return "", f.err
	}
	return id, nil
}

// entityID is the id that a body gives itself, "" where it has none. A score's
// may be empty, which means none.
func (f *wireFields) entityID(e entity) string {
	if e == scoreEntity {
		return f.ref(keyID)
	}
	return f.id(keyID)
}

// observationType is the type that a body names.
func (f *wireFields) observationType() domain.ObservationType {
	typ := domain.ObservationType(f.text(keyType))
	for _, k := range eventKinds {
		if k.typ == typ && typ != "" {
			return typ
		}
	}
	f.fail(keyType, "must be one of the types of observations")
	return typ
}
