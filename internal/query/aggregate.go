package query

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// Agg is how a measure sums up the values of a group.
type Agg string

// The aggregations. Count without a column counts rows, with one the rows that
// have a value there.
const (
	Count Agg = "count"
	Sum   Agg = "sum"
	Avg   Agg = "avg"
	Min   Agg = "min"
	Max   Agg = "max"
	Uniq  Agg = "uniq"
	P50   Agg = "p50"
	P75   Agg = "p75"
	P90   Agg = "p90"
	P95   Agg = "p95"
	P99   Agg = "p99"
	Hist  Agg = "hist"
)

var quantiles = map[Agg]float64{P50: 0.50, P75: 0.75, P90: 0.90, P95: 0.95, P99: 0.99}

// Measure is a column summed up.
type Measure struct {
	Agg Agg
	Ref Ref // zero: rows, for Count alone
}

// Dim is a column that rows are grouped by. A list groups by the whole of it,
// or counts a row once for each element.
type Dim struct {
	Ref     Ref
	Explode bool
}

// Grain is the width of the intervals of time that rows are grouped by.
type Grain string

// The grains. NoGrain does not group by time; AutoGrain chooses by the range.
const (
	NoGrain   Grain = ""
	AutoGrain Grain = "auto"
)

var grainWidths = map[Grain]time.Duration{
	"minute": time.Minute, "5m": 5 * time.Minute, "15m": 15 * time.Minute, "30m": 30 * time.Minute, "hour": time.Hour, "4h": 4 * time.Hour,
}

var calendarGrains = map[Grain]string{"day": "d", "week": "w", "month": "mo"}

// Aggregate asks for sums over groups of the rows of one project.
type Aggregate struct {
	View     View
	Filter   Filter
	From, To int64 // of the rows' time, ns, half open; both 0: all there are
	Measures []Measure
	By       []Dim
	Grain    Grain
	Fill     bool // also the intervals without rows
	Bins     int  // of Hist; 0: 10
	Limit    int  // rows of the answer; 0: 100
	Order    []AggOrder
	Bind     Bind
}

// AggOrder is what groups are ordered by: a measure or a dimension by its
// number, or their time.
type AggOrder struct {
	Measure, Dim int // one of them from 0; -1: not by it
	Desc         bool
}

// The limits of aggregates.
const (
	maxMeasures  = 20
	maxDims      = 5
	maxBins      = 100
	maxAggRows   = 10_000
	maxIntervals = 10_000
	MaxGroups    = 200_000
	maxHeld      = 40 << 20 // bytes of all groups, with their sketches and texts
)

// Number is a figure: a whole number of the column's stored unit where that is
// exact, else a double of the same unit.
type Number struct {
	Missing bool
	Exact   bool // Int is the value
	Int     int64
	Float   float64
	Bins    []Bin // of Hist
}

// Group is one row of an aggregate's answer.
type Group struct {
	Time   int64       // start of its interval, ns; 0 without a grain
	Dims   []SortValue // Text, or Missing
	Values []Number
}

// Result is the answer to an Aggregate.
type Result struct {
	Grain  Grain // the one chosen
	Groups []Group
	More   bool // there were more groups than the limit
	// Stopped says that not all rows were looked at: those of a dimension in
	// bodies are, the newest first, within bounds.
	Stopped bool
}

// Prepared is an Aggregate made ready.
type Prepared struct {
	*Aggregate
	Conjuncts []Conjunct
	Series    []Series
	edges     []int64 // starts of the intervals, and the end of the last
	width     int64   // of all of them, 0 where they differ
	grain     Grain
	held      atomic.Int64 // about how many bytes all of its Totals hold
}

// Series is one column that measures look at, and what has to be kept of it.
type Series struct {
	Ref    Ref
	Kind   Kind
	Sketch bool // quantiles or a histogram are asked for
	Unique bool
	Sum    bool

	held *atomic.Int64 // see Prepared; nil: nobody asks
}

// hold notes what was kept in addition.
func (s *Series) hold(bytes int) {
	if bytes != 0 && s.held != nil {
		s.held.Add(int64(bytes))
	}
}

// Prepare checks an Aggregate and makes it ready; its rows lie between the
// given times where it leaves its own open. The error is a domain.Error.
func (a *Aggregate) Prepare(first, last int64) (*Prepared, error) {
	var errs Errors
	p := &Prepared{Aggregate: a, grain: a.Grain}
	if a.From == 0 && a.To == 0 {
		a.From, a.To = first, last+1
	}
	a.Bins, a.Limit = cmp.Or(a.Bins, 10), cmp.Or(a.Limit, 100)
	switch {
	case len(a.Measures) == 0 || len(a.Measures) > maxMeasures:
		errs.add(BadValue, Span{}, "measures", "1 to %d measures can be asked for", maxMeasures)
	case len(a.By) > maxDims:
		errs.add(TooLarge, Span{}, "by", "rows can be grouped by at most %d columns", maxDims)
	case a.Bins < 1 || a.Bins > maxBins:
		errs.add(BadValue, Span{}, "bins", "a histogram has 1 to %d bars", maxBins)
	case a.Limit < 1 || a.Limit > maxAggRows:
		errs.add(BadValue, Span{}, "limit", "an answer has 1 to %d rows", maxAggRows)
	}
	for _, m := range a.Measures {
		p.measure(m, &errs)
	}
	for _, d := range a.By {
		col, found := ColumnOf(a.View, d.Ref.Column)
		switch {
		case !found:
			errs.add(UnknownField, Span{}, "by", "%s have no such column to group by", a.View)
		case col.Kind == MapKind, col.Kind == ScoresKind, col.Kind.Keyed() && d.Ref.Key == "":
		case col.Marks&MarkGroup == 0:
			errs.add(BadOperator, Span{}, col.Name, "%s can't be grouped by %s", a.View, col.Name)
		}
	}
	p.intervals(&errs)
	if len(errs) > 0 {
		return nil, Invalid(errs)
	}
	f := And{}
	if a.Filter != nil {
		f = And{a.Filter}
	}
	f = append(f, Cmp{Ref: Ref{Column: ColStart}, Op: Between, Values: []Value{TimeOf(a.From), TimeOf(a.To)}})
	var err error
	if p.Conjuncts, err = Plan(a.View, f, a.Bind); err != nil {
		return nil, Invalid(err)
	}
	return p, nil
}

func (p *Prepared) measure(m Measure, errs *Errors) {
	if m.Ref == (Ref{}) && m.Agg == Count {
		return
	}
	col, found := ColumnOf(p.View, m.Ref.Column)
	numeric := col.Kind.stored() || col.Kind == FloatKind
	_, isQuantile := quantiles[m.Agg]
	switch {
	case !found:
		errs.add(UnknownField, Span{}, "measures", "%s have no such column to sum up", p.View)
		return
	case m.Agg != Count && m.Agg != Uniq && m.Agg != Sum && m.Agg != Avg && m.Agg != Min && m.Agg != Max && m.Agg != Hist && !isQuantile:
		errs.add(BadOperator, Span{}, col.Name, "unknown aggregation %q", string(m.Agg))
		return
	case m.Agg == Uniq && numeric, m.Agg != Uniq && m.Agg != Count && (!numeric || col.Marks&MarkMeasure == 0):
		errs.add(BadOperator, Span{}, col.Name, "there is no %s of %s", string(m.Agg), col.Name)
		return
	case col.Kind.Keyed() != (m.Ref.Key != ""):
		errs.add(MissingKey, Span{}, col.Name, "%s takes a key after a dot", col.Name)
		return
	}
	i := p.SeriesOf(m)
	if i < 0 {
		p.Series = append(p.Series, Series{Ref: m.Ref, Kind: col.Kind, held: &p.held})
		i = len(p.Series) - 1
	}
	s := &p.Series[i]
	s.Sketch = s.Sketch || isQuantile || m.Agg == Hist
	s.Unique = s.Unique || m.Agg == Uniq
	s.Sum = s.Sum || m.Agg != Uniq && m.Agg != Count
}

// SeriesOf is the series that a measure looks at, -1 for none.
func (p *Prepared) SeriesOf(m Measure) int {
	return slices.IndexFunc(p.Series, func(s Series) bool { return s.Ref == m.Ref })
}

// autoGrain is the grain for a range of time.
func autoGrain(d time.Duration) Grain {
	const day = 24 * time.Hour
	switch {
	case d < 2*time.Hour:
		return "minute"
	case d < 72*time.Hour:
		return "hour"
	case d < 60*day:
		return "day"
	case d < 365*day:
		return "week"
	}
	return "month"
}

// intervals lays out the intervals of time.
func (p *Prepared) intervals(errs *Errors) {
	if p.grain == NoGrain || p.From >= p.To {
		return
	}
	if p.grain == AutoGrain {
		p.grain = autoGrain(time.Duration(p.To - p.From))
	}
	z := p.Bind.zone()
	start := time.Unix(0, p.From).In(z)
	width, fixed := grainWidths[p.grain]
	unit, calendar := calendarGrains[p.grain]
	switch {
	case fixed:
		p.width = int64(width)
		// Whole hours of the zone, which may lie off those of UTC.
		_, offset := start.Zone()
		shift := int64(offset) * int64(time.Second)
		from := floorTo(p.From+shift, p.width) - shift
		n := (p.To - from + p.width - 1) / p.width
		if n > maxIntervals {
			errs.add(TooLarge, Span{}, "grain", "%d intervals, at most %d can be answered: choose a wider grain", n, maxIntervals)
			return
		}
		for i := range n + 1 {
			p.edges = append(p.edges, from+i*p.width)
		}
	case calendar:
		for at := snap(start, unit); len(p.edges) <= maxIntervals; {
			p.edges = append(p.edges, at.UnixNano())
			if at.UnixNano() >= p.To {
				return
			}
			switch unit {
			case "w":
				at = at.AddDate(0, 0, 7)
			case "mo":
				at = at.AddDate(0, 1, 0)
			default:
				at = at.AddDate(0, 0, 1)
			}
		}
		errs.add(TooLarge, Span{}, "grain", "more than %d intervals: choose a wider grain", maxIntervals)
	default:
		errs.add(BadValue, Span{}, "grain", "unknown grain %q: one of auto, minute, 5m, 15m, 30m, hour, 4h, day, week, month", string(p.grain))
	}
}

func floorTo(v, width int64) int64 {
	q := v / width
	if v%width < 0 {
		q--
	}
	return q * width
}

// Interval is the number of the interval that an instant lies in, 0 without a
// grain.
func (p *Prepared) Interval(at int64) int {
	switch {
	case len(p.edges) < 2:
		return 0
	case p.width > 0:
		return int((at - p.edges[0]) / p.width)
	}
	i, found := slices.BinarySearch(p.edges, at)
	if found {
		return i
	}
	return i - 1
}

// Edges is where an interval begins and where the next one does.
func (p *Prepared) Edges(interval int) (from, to int64) {
	if interval < 0 || interval+1 >= len(p.edges) {
		return 0, 0
	}
	return p.edges[interval], p.edges[interval+1]
}

// Intervals is how many intervals there are, at least 1.
func (p *Prepared) Intervals() int { return max(1, len(p.edges)-1) }
