package domain

import (
	"maps"
	"slices"
)

// Rollup gathers what a trace takes from its observations: totals, and for the
// fields that the trace's own writes may leave open the observation that
// decides. "Newest" is the greatest (start, id), "earliest" the least.
//
// Roots are the observations without a parent and those marked as the
// application's root. A trace with none, whose ancestors were never exported,
// takes its earliest observation for one.
type Rollup struct {
	Totals Totals

	earliest  earliest
	firstRoot pick
	lastRoot  pick // its name
	name      pick
	user      pick
	session   pick
	release   pick
	version   pick
	public    int64
	tags      map[string]int64
	parts     [parts]int64 // observations that said the part
}

// earliest is the least observation by (start, id): the trace's environment,
// and its root where there is no other.
type earliest struct {
	start       int64
	id          string
	environment string
	name        string
	set         bool
}

// pick is the observation that decides a field, and the value it gives.
type pick struct {
	start int64
	id    string
	value string
	set   bool
}

func (p *pick) offer(o *Observation, value string, newest bool) {
	if value == "" {
		return
	}
	later := o.Start.ns > p.start || o.Start.ns == p.start && o.ID > p.id
	if !p.set || later == newest {
		*p = pick{start: o.Start.ns, id: o.ID, value: value, set: true}
	}
}

// Add counts o in.
func (r *Rollup) Add(o *Observation) {
	r.Totals.add(o, 1)
	if !r.Totals.Start.set || o.Start.ns < r.Totals.Start.ns {
		r.Totals.Start = o.Start
	}
	if end := latest(o); !r.Totals.End.set || end.ns > r.Totals.End.ns {
		r.Totals.End = end
	}
	if e := &r.earliest; !e.set || o.Start.ns < e.start || o.Start.ns == e.start && o.ID < e.id {
		*e = earliest{o.Start.ns, o.ID, o.Environment, o.Name, true}
	}
	if o.IsRoot() {
		r.firstRoot.offer(o, o.ID, false)
		r.lastRoot.offer(o, o.Name, true)
	}
	r.name.offer(o, o.TraceName, true)
	r.user.offer(o, o.UserID, true)
	r.session.offer(o, o.SessionID, true)
	r.release.offer(o, o.Release, true)
	r.version.offer(o, o.Version, true)
	if o.Public.Value {
		r.public++
	}
	for _, t := range o.Tags {
		if r.tags == nil {
			r.tags = map[string]int64{}
		}
		r.tags[t]++
	}
	r.countParts(o, 1)
}

func (r *Rollup) countParts(o *Observation, sign int64) {
	for p := range parts {
		if o.Parts.Has(p) {
			r.parts[p] += sign
		}
	}
}

// Remove counts o out, which Add counted in with the same fields. It reports
// false where o held a deciding value: the rollup then still counts o, and must
// be gathered anew from the observations that remain.
func (r *Rollup) Remove(o *Observation) bool {
	if o.Start == r.Totals.Start || latest(o) == r.Totals.End {
		return false
	}
	if r.earliest.id == o.ID {
		return false
	}
	for _, p := range []*pick{&r.firstRoot, &r.lastRoot, &r.name, &r.user, &r.session, &r.release, &r.version} {
		if p.set && p.id == o.ID {
			return false
		}
	}
	r.Totals.add(o, -1)
	if o.Public.Value {
		r.public--
	}
	for _, t := range o.Tags {
		if r.tags[t]--; r.tags[t] == 0 {
			delete(r.tags, t)
		}
	}
	r.countParts(o, -1)
	return true
}

func (t *Totals) add(o *Observation, sign int64) {
	t.Observations += sign
	level := o.Level
	if level == NoLevel {
		level = LevelDefault
	}
	t.ByLevel[level] += sign
	t.Cost += Money(sign) * o.Derived.TotalCost.Value
	in, _ := o.Derived.Cost.Side("input")
	out, _ := o.Derived.Cost.Side("output")
	t.InputCost += Money(sign) * in
	t.OutputCost += Money(sign) * out
	t.Input += sign * o.Derived.Usage.Side("input")
	t.Output += sign * o.Derived.Usage.Side("output")
	total, _ := o.Derived.Usage.Get("total")
	t.Total += sign * total
}

func latest(o *Observation) Time {
	if o.Start.Before(o.End) {
		return o.End
	}
	return o.Start
}

// RootID is the id of the observation whose input and output stand for the
// trace's where nobody said those: the earliest root; "" without observations.
func (r *Rollup) RootID() string {
	if r.firstRoot.set {
		return r.firstRoot.id
	}
	return r.earliest.id
}

// Trace is the trace as reads see it: own, what was said of the trace itself,
// completed from its observations.
func (r *Rollup) Trace(own Trace) Trace {
	t := own
	t.Totals = r.Totals
	rootName := r.lastRoot.value
	if !r.firstRoot.set {
		rootName = r.earliest.name
	}
	t.Name = firstText(t.Name, r.name.value, rootName)
	t.UserID = firstText(t.UserID, r.user.value)
	t.SessionID = firstText(t.SessionID, r.session.value)
	t.Release = firstText(t.Release, r.release.value)
	t.Version = firstText(t.Version, r.version.value)
	t.Environment = firstText(t.Environment, r.earliest.environment, DefaultEnvironment)
	if !t.Public.Set && r.public > 0 {
		t.Public = Some(true)
	}
	if len(r.tags) > 0 {
		tags := slices.Concat(t.Tags, slices.Collect(maps.Keys(r.tags)))
		slices.Sort(tags)
		t.Tags = slices.Compact(tags)
	}
	if !t.Timestamp.set {
		t.Timestamp = r.Totals.Start
	}
	for p, n := range r.parts {
		if n > 0 {
			t.Parts = t.Parts.With(Part(p))
		}
	}
	return t
}

func firstText(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
