package langfuse

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/domain"
)

// observationQuery is what a request for a list of observations asks.
type observationQuery struct {
	traceID       string
	limit         int
	after         *place
	fields        observationGroups
	expand        map[string]bool
	name, version string
	userID        string
	sessionID     string
	typ, level    string
	parent        domain.Opt[string] // "" asks for those without a parent
	root          domain.Opt[bool]
	environments  map[string]bool
	from, to      domain.Time
}

// observationGroups is which groups of keys a request asks for, beside core.
type observationGroups struct {
	basic, time, io, metadata, model, usage, prompt, metrics, traceContext bool
}

const (
	defaultLimit = 50
	maxLimit     = 1000
)

var observationTypes = []domain.ObservationType{
	domain.TypeSpan, domain.TypeGeneration, domain.TypeEvent, domain.TypeAgent, domain.TypeTool, domain.TypeChain,
	domain.TypeRetriever, domain.TypeEvaluator, domain.TypeEmbedding, domain.TypeGuardrail,
}

// parseObservationQuery checks every parameter; unknown ones are ignored, as
// the API has it.
func parseObservationQuery(v url.Values) (*observationQuery, error) {
	q := &observationQuery{
		traceID: v.Get("traceId"), limit: defaultLimit, fields: observationFields(lists(v, "fields")),
		name: v.Get("name"), version: v.Get("version"), userID: v.Get("userId"), sessionID: v.Get("sessionId"),
		typ: v.Get("type"), level: v.Get("level"), expand: set(lists(v, "expandMetadata")), environments: set(lists(v, "environment")),
	}
	if v.Has("parentObservationId") {
		q.parent = domain.Some(v.Get("parentObservationId"))
	}
	for _, check := range []func(url.Values) error{q.parseLimit, q.parseEnums, q.parseTimes, q.parseRest} {
		if err := check(v); err != nil {
			return nil, err
		}
	}
	if q.traceID == "" {
		return nil, domain.Errorf(domain.Invalid, "a list without traceId is not served yet: add traceId")
	}
	return q, nil
}

func (q *observationQuery) parseLimit(v url.Values) error {
	text := v.Get("limit")
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxLimit {
		return invalid("limit", "expected a whole number from 0 to 1000")
	}
	q.limit = n
	return nil
}

func (q *observationQuery) parseEnums(v url.Values) error {
	if q.typ != "" && !slices.Contains(observationTypes, domain.ObservationType(q.typ)) {
		return invalid("type", "unknown type of observation")
	}
	if _, known := domain.ParseLevel(q.level); q.level != "" && !known {
		return invalid("level", "expected DEBUG, DEFAULT, WARNING or ERROR")
	}
	root, err := parseBool(v, "isRootObservation")
	if err != nil {
		return err
	}
	q.root = root
	parse, err := parseBool(v, "parseIoAsJson")
	if err != nil {
		return err
	}
	if parse.Value {
		return domain.Errorf(domain.Invalid, "parseIoAsJson=true is not supported: input and output are returned as the text that is stored")
	}
	return nil
}

// parseBool reads a parameter that is "true", "false", empty or missing.
func parseBool(v url.Values, name string) (domain.Opt[bool], error) {
	switch v.Get(name) {
	case "":
		return domain.Opt[bool]{}, nil
	case "true":
		return domain.Some(true), nil
	case "false":
		return domain.Some(false), nil
	}
	return domain.Opt[bool]{}, invalid(name, "expected true or false")
}

func (q *observationQuery) parseTimes(v url.Values) error {
	for name, at := range map[string]*domain.Time{"fromStartTime": &q.from, "toStartTime": &q.to} {
		text := v.Get(name)
		if text == "" {
			continue
		}
		t, err := parseQueryTime(text)
		if err != nil {
			return invalid(name, "expected a time like 2026-01-02T03:04:05.678Z")
		}
		*at = t
	}
	return nil
}

// parseQueryTime reads an RFC 3339 time. A plus sign that a client did not
// encode has become a space on its way.
func parseQueryTime(text string) (domain.Time, error) {
	t, err := time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+"))
	if err != nil {
		return domain.Time{}, err
	}
	return domain.TimeOf(t), nil
}

func (q *observationQuery) parseRest(v url.Values) (err error) {
	if f := strings.TrimSpace(v.Get("filter")); f != "" && f != "[]" {
		return domain.Errorf(domain.Invalid, "filter is not served yet: use the single parameters")
	}
	if text := v.Get("cursor"); text != "" {
		q.after, err = parseCursor(text)
	}
	return err
}

// observationFields reads a list of groups; none at all asks for basic.
func observationFields(names []string) observationGroups {
	if len(names) == 0 {
		return observationGroups{basic: true}
	}
	var g observationGroups
	known := map[string]*bool{
		"basic": &g.basic, "time": &g.time, "io": &g.io, "metadata": &g.metadata, "model": &g.model,
		"usage": &g.usage, "prompt": &g.prompt, "metrics": &g.metrics, "trace_context": &g.traceContext,
	}
	for _, name := range names {
		if group := known[name]; group != nil {
			*group = true
		}
	}
	return g
}

// lists is the values of a parameter that may be repeated, hold several values
// with commas between them, or both.
func lists(v url.Values, name string) []string {
	var out []string
	for _, text := range v[name] {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

func set(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}
