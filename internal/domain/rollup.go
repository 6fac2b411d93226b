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

	earliest  pick // its environment, and the root where there is no other
	firstRoot pick
	lastRoot  pick // its name
	name      pick
	user      pick
	session   pick
	release   pick
	version   pick
	public    int64
	tags      map[string]int64
	parts     Parts
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
	if !r.earliest.set || o.Start.ns < r.earliest.start || o.Start.ns == r.earliest.start && o.ID < r.earliest.id {
		r.earliest = pick{o.Start.ns, o.ID, o.Environment + "\x00" + o.Name, true}
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
	r.parts |= o.Parts
}

// Remove counts o out, which Add counted in with the same fields. It reports
// false where o held a deciding value: the rollup is then of no use and must be
// gathered anew from the observations that remain.
func (r *Rollup) Remove(o *Observation) bool {
	if o.Start == r.Totals.Start || latest(o) == r.Totals.End {
		return false
	}
	for _, p := range []*pick{&r.earliest, &r.firstRoot, &r.lastRoot, &r.name, &r.user, &r.session, &r.release, &r.version} {
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
	environment, earliestName := "", ""
	if r.earliest.set {
		for i := range len(r.earliest.value) {
			if r.earliest.value[i] == 0 {
				environment, earliestName = r.earliest.value[:i], r.earliest.value[i+1:]
				break
			}
		}
	}
	rootName := r.lastRoot.value
	if !r.firstRoot.set {
		rootName = earliestName
	}
	t.Name = firstText(t.Name, r.name.value, rootName)
	t.UserID = firstText(t.UserID, r.user.value)
	t.SessionID = firstText(t.SessionID, r.session.value)
	t.Release = firstText(t.Release, r.release.value)
	t.Version = firstText(t.Version, r.version.value)
	t.Environment = firstText(t.Environment, environment, DefaultEnvironment)
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
	t.Parts |= r.parts
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
