package langfuse

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/domain"
	"github.com/clewhq/clew/internal/query"
)

// observationQuery is what a request for a list of observations asks.
type observationQuery struct {
	list   query.List
	fields observationGroups
	expand map[string]bool
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

// observationConditions reads the parameters that lists of observations of
// both generations have. Unknown ones are ignored, as the API has it.
func observationConditions(v url.Values) (*conditions, error) {
	typ, level := v.Get("type"), v.Get("level")
	if typ != "" && !slices.Contains(observationTypes, domain.ObservationType(typ)) {
		return nil, invalid("type", "unknown type of observation")
	}
	if _, known := domain.ParseLevel(level); level != "" && !known {
		return nil, invalid("level", "expected DEBUG, DEFAULT, WARNING or ERROR")
	}
	c, err := parseFilter(query.Observations, v.Get("filter"))
	if err != nil {
		return nil, err
	}
	from, to, err := timeRange(v, "fromStartTime", "toStartTime")
	if err != nil {
		return nil, err
	}
	for name, col := range map[string]query.Col{
		"name": query.ColName, "userId": query.ColUser, "type": query.ColType, "traceId": query.ColTrace, "level": query.ColLevel,
		"version": query.ColVersion, "parentObservationId": query.ColParent,
	} {
		c.equal(col, v.Get(name))
	}
	c.equal(query.ColEnv, lists(v, "environment")...)
	c.within(query.ColStart, from, to)
	return c, nil
}

// parseObservationQuery checks every parameter of the cursor style.
func parseObservationQuery(v url.Values) (*observationQuery, error) {
	c, err := observationConditions(v)
	if err != nil {
		return nil, err
	}
	q := &observationQuery{
		list:   query.List{View: query.Observations, Limit: defaultLimit, After: v.Get("cursor")},
		fields: observationFields(lists(v, "fields")), expand: set(lists(v, "expandMetadata")),
	}
	if text := v.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxLimit {
			return nil, invalid("limit", "expected a whole number from 0 to 1000")
		}
		q.list.Limit = n
	}
	c.equal(query.ColSession, v.Get("sessionId"))
	if v.Has("parentObservationId") && v.Get("parentObservationId") == "" {
		c.and(query.ColParent, query.Not{Filter: query.Has{Ref: query.Ref{Column: query.ColParent}}})
	}
	root, err := parseBool(v, "isRootObservation")
	if err != nil {
		return nil, err
	}
	if root.Set {
		c.and(query.ColRoot, query.Cmp{Ref: query.Ref{Column: query.ColRoot}, Op: query.Eq, Values: []query.Value{query.Bool(root.Value)}})
	}
	parse, err := parseBool(v, "parseIoAsJson")
	if err != nil {
		return nil, err
	}
	if parse.Value {
		return nil, domain.Errorf(domain.Invalid, "parseIoAsJson=true is not supported: input and output are returned as the text that is stored")
	}
	if err := boundedBodies(c.parts); err != nil {
		return nil, err
	}
	q.list.Filter = c.parts
	return q, nil
}

// boundedBodies refuses conditions on input or output of which none is an
// equality or a match of words: nothing would bound what they look through.
func boundedBodies(parts query.And) error {
	asked, bounded := false, false
	var look func(f query.Filter)
	look = func(f query.Filter) {
		switch f := f.(type) {
		case query.And:
			for _, p := range f {
				look(p)
			}
		case query.Or:
			for _, p := range f {
				look(p)
			}
		case query.Not:
			look(f.Filter)
		case query.Cmp:
			if c := f.Ref.Column; c == query.ColInput || c == query.ColOutput {
				asked = true
				bounded = bounded || f.Op == query.Eq
			}
		case query.Text:
			bounded = bounded || f.Scope.Column == query.ColInput || f.Scope.Column == query.ColOutput
		}
	}
	look(parts)
	if asked && !bounded {
		return invalid("filter", "conditions on input or output need at least one with = or matches on input or output")
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

// parseQueryTime reads an RFC 3339 time. A plus sign that a client did not
// encode has become a space on its way.
func parseQueryTime(text string) (domain.Time, error) {
	t, err := time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+"))
	if err != nil {
		return domain.Time{}, err
	}
	return domain.TimeOf(t), nil
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
