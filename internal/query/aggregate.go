package query

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/domain"
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
}

// Prepared is an Aggregate made ready.
type Prepared struct {
	*Aggregate
	Conjuncts []Conjunct
	Series    []Series
	edges     []int64 // starts of the intervals, and the end of the last
	width     int64   // of all of them, 0 where they differ
	grain     Grain
}

// Series is one column that measures look at, and what has to be kept of it.
type Series struct {
	Ref    Ref
	Kind   Kind
	Sketch bool // quantiles or a histogram are asked for
	Unique bool
	Sum    bool
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
		p.Series = append(p.Series, Series{Ref: m.Ref, Kind: col.Kind})
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

// Intervals is how many intervals there are, at least 1.
func (p *Prepared) Intervals() int { return max(1, len(p.edges)-1) }

// Cell is what is kept of one series in one group.
type Cell struct {
	N          int64
	Sum        int64
	FloatSum   float64
	Min, Max   int64
	FMin, FMax float64
	Sketch     *Sketch
	Unique     *Unique
}

// Cells is a group that is being summed up.
type Cells struct {
	Rows   int64
	Series []Cell
}

// AddInt counts a stored integer in.
func (c *Cell) AddInt(s *Series, v int64) {
	if c.N == 0 || v < c.Min {
		c.Min = v
	}
	if c.N == 0 || v > c.Max {
		c.Max = v
	}
	c.N++
	c.Sum += v
	if s.Sketch {
		if c.Sketch == nil {
			c.Sketch = &Sketch{}
		}
		c.Sketch.Add(float64(v))
	}
}

// AddFloat counts a double in.
func (c *Cell) AddFloat(s *Series, v float64) {
	if c.N == 0 || v < c.FMin {
		c.FMin = v
	}
	if c.N == 0 || v > c.FMax {
		c.FMax = v
	}
	c.N++
	c.FloatSum += v
	if s.Sketch {
		if c.Sketch == nil {
			c.Sketch = &Sketch{}
		}
		c.Sketch.Add(v)
	}
}

// AddText counts a text in.
func (c *Cell) AddText(s *Series, v string) {
	c.N++
	if s.Unique {
		if c.Unique == nil {
			c.Unique = &Unique{}
		}
		c.Unique.Add(v)
	}
}

func (c *Cell) merge(o *Cell) {
	if o.N == 0 {
		return
	}
	if c.N == 0 {
		c.Min, c.Max, c.FMin, c.FMax = o.Min, o.Max, o.FMin, o.FMax
	}
	c.Min, c.Max = min(c.Min, o.Min), max(c.Max, o.Max)
	c.FMin, c.FMax = min(c.FMin, o.FMin), max(c.FMax, o.FMax)
	c.N += o.N
	c.Sum += o.Sum
	c.FloatSum += o.FloatSum
	if o.Sketch != nil {
		if c.Sketch == nil {
			c.Sketch = &Sketch{}
		}
		c.Sketch.Merge(o.Sketch)
	}
	if o.Unique != nil {
		if c.Unique == nil {
			c.Unique = &Unique{}
		}
		c.Unique.Merge(o.Unique)
	}
}

// Totals is the groups of a Prepared aggregate, by interval and dimensions.
type Totals struct {
	p      *Prepared
	groups map[string]*Cells
}

// NewTotals begins to sum up.
func (p *Prepared) NewTotals() *Totals { return &Totals{p: p, groups: map[string]*Cells{}} }

// GroupKey names a group: its interval and the texts of its dimensions; ok[i]
// is false where dims[i] is missing.
func GroupKey(buf []byte, interval int, dims []string, ok []bool) []byte {
	buf = append(buf[:0], byte(interval>>16), byte(interval>>8), byte(interval))
	for i, d := range dims {
		if !ok[i] {
			buf = append(buf, 0)
			continue
		}
		n := len(d)
		buf = append(buf, 1, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		buf = append(buf, d...)
	}
	return buf
}

// Group finds a group, or makes it. It fails beyond MaxGroups.
func (t *Totals) Group(key []byte) (*Cells, error) {
	if g := t.groups[string(key)]; g != nil {
		return g, nil
	}
	if len(t.groups) >= MaxGroups {
		return nil, &domain.Error{Code: domain.Invalid, Field: "by", Msg: fmt.Sprintf("more than %d groups: group by a column with fewer values", MaxGroups)}
	}
	g := &Cells{Series: make([]Cell, len(t.p.Series))}
	t.groups[string(key)] = g
	return g, nil
}

// Merge counts in the groups of another one.
func (t *Totals) Merge(o *Totals) error {
	for key, from := range o.groups {
		to, err := t.Group([]byte(key))
		if err != nil {
			return err
		}
		to.Rows += from.Rows
		for i := range from.Series {
			to.Series[i].merge(&from.Series[i])
		}
	}
	return nil
}

// Add counts a row in.
func (t *Totals) Add(r Row) error {
	at, _ := r.Int(ColStart)
	dims, ok := make([]string, len(t.p.By)), make([]bool, len(t.p.By))
	return t.addDims(r, t.p.Interval(at), dims, ok, 0)
}

func (t *Totals) addDims(r Row, interval int, dims []string, ok []bool, i int) error {
	if i < len(dims) {
		d := t.p.By[i]
		for _, one := range DimTexts(t.p.View, d, r) {
			dims[i], ok[i] = one.Text, !one.Missing
			if err := t.addDims(r, interval, dims, ok, i+1); err != nil {
				return err
			}
		}
		return nil
	}
	g, err := t.Group(GroupKey(nil, interval, dims, ok))
	if err != nil {
		return err
	}
	g.Rows++
	for j := range t.p.Series {
		g.Series[j].AddRow(&t.p.Series[j], r)
	}
	return nil
}

// AddRow counts a row's value in, if it has one.
func (c *Cell) AddRow(s *Series, r Row) {
	col := s.Ref.Column
	switch {
	case s.Kind == FloatKind:
		if v, ok := r.Float(col); ok {
			c.AddFloat(s, v)
		}
	case s.Kind.Keyed():
		if v, ok := r.Count(col, s.Ref.Key); ok {
			c.AddInt(s, v)
		}
	case s.Kind.stored():
		if v, ok := r.Int(col); ok {
			c.AddInt(s, v)
		}
	case s.Kind == ListKind:
		if v := r.List(col); len(v) > 0 {
			c.AddText(s, strings.Join(v, "\x00"))
		}
	default:
		if v, ok := r.Text(col); ok {
			c.AddText(s, v)
		}
	}
}

// DimTexts is the values of a dimension in a row: one, or several of a list
// that is taken apart.
func DimTexts(v View, d Dim, r Row) []SortValue {
	col, _ := ColumnOf(v, d.Ref.Column)
	switch {
	case col.Kind == ListKind:
		list := r.List(d.Ref.Column)
		if !d.Explode {
			return []SortValue{{Text: ListText(list), Missing: len(list) == 0}}
		}
		if len(list) == 0 {
			return []SortValue{{Missing: true}}
		}
		var out []SortValue
		for _, s := range list {
			out = append(out, SortValue{Text: s})
		}
		return out
	case col.Kind.stored():
		n, ok := r.Int(d.Ref.Column)
		return []SortValue{{Text: IntText(col.Kind, n), Missing: !ok}}
	}
	s, ok := r.Text(d.Ref.Column)
	return []SortValue{{Text: s, Missing: !ok}}
}

// ListText is a list as a dimension shows it.
func ListText(list []string) string { return strings.Join(list, ",") }

// IntText is a stored integer as a dimension shows it.
func IntText(k Kind, n int64) string {
	switch k {
	case BoolKind:
		if n != 0 {
			return "true"
		}
		return "false"
	case TimeKind:
		return time.Unix(0, n).UTC().Format(time.RFC3339Nano)
	}
	return DecimalOf(n, k.scale()).String()
}

// Result is the groups in order, cut at the limit.
func (t *Totals) Result() *Result {
	p := t.p
	out := &Result{Grain: p.grain}
	for key, g := range t.groups {
		out.Groups = append(out.Groups, p.group(key, g))
	}
	if p.Fill && len(p.Order) == 0 && len(p.edges) > 1 {
		out.Groups = p.fill(out.Groups)
	}
	slices.SortFunc(out.Groups, p.compare)
	if len(out.Groups) > p.Limit {
		out.Groups, out.More = out.Groups[:p.Limit], true
	}
	return out
}

func (p *Prepared) group(key string, g *Cells) Group {
	interval := int(key[0])<<16 | int(key[1])<<8 | int(key[2])
	out := Group{}
	if len(p.edges) > 1 {
		out.Time = p.edges[min(interval, len(p.edges)-1)]
	}
	for rest := key[3:]; len(rest) > 0; {
		if rest[0] == 0 {
			out.Dims, rest = append(out.Dims, SortValue{Missing: true}), rest[1:]
			continue
		}
		n := int(rest[1])<<24 | int(rest[2])<<16 | int(rest[3])<<8 | int(rest[4])
		out.Dims, rest = append(out.Dims, SortValue{Text: rest[5 : 5+n]}), rest[5+n:]
	}
	for _, m := range p.Measures {
		out.Values = append(out.Values, p.number(m, g))
	}
	return out
}

func (p *Prepared) number(m Measure, g *Cells) Number {
	i := p.SeriesOf(m)
	if m.Ref == (Ref{}) || i < 0 {
		return Number{Exact: true, Int: g.Rows}
	}
	c, float := &g.Series[i], p.Series[i].Kind == FloatKind
	whole := func(n int64) Number { return Number{Exact: true, Int: n, Missing: c.N == 0} }
	real := func(f float64) Number { return Number{Float: f, Missing: c.N == 0} }
	switch m.Agg {
	case Count:
		return Number{Exact: true, Int: c.N}
	case Uniq:
		if c.Unique == nil {
			return Number{Exact: true}
		}
		return Number{Exact: true, Int: c.Unique.Count()}
	case Sum:
		if float {
			return Number{Float: c.FloatSum}
		}
		return Number{Exact: true, Int: c.Sum}
	case Avg:
		if float {
			return real(c.FloatSum / float64(max(1, c.N)))
		}
		return real(float64(c.Sum) / float64(max(1, c.N)))
	case Min:
		if float {
			return real(c.FMin)
		}
		return whole(c.Min)
	case Max:
		if float {
			return real(c.FMax)
		}
		return whole(c.Max)
	case Hist:
		if c.Sketch == nil {
			return Number{Missing: true}
		}
		return Number{Bins: c.Sketch.Histogram(p.Bins)}
	}
	if c.Sketch == nil {
		return Number{Missing: true}
	}
	v, ok := c.Sketch.Quantile(quantiles[m.Agg])
	return Number{Float: v, Missing: !ok}
}

// fill adds the intervals without rows, for each combination of dimensions.
func (p *Prepared) fill(groups []Group) []Group {
	type combination struct {
		dims []SortValue
		has  map[int64]bool
	}
	seen := map[string]*combination{}
	if len(p.By) == 0 {
		seen[""] = &combination{has: map[int64]bool{}}
	}
	for _, g := range groups {
		key := fmt.Sprint(g.Dims)
		if len(p.By) == 0 {
			key = ""
		}
		if seen[key] == nil {
			seen[key] = &combination{g.Dims, map[int64]bool{}}
		}
		seen[key].has[g.Time] = true
	}
	empty := &Cells{Series: make([]Cell, len(p.Series))}
	var values []Number
	for _, m := range p.Measures {
		values = append(values, p.number(m, empty))
	}
	for _, c := range seen {
		for _, at := range p.edges[:len(p.edges)-1] {
			if !c.has[at] && len(groups) < maxAggRows {
				groups = append(groups, Group{Time: at, Dims: c.dims, Values: values})
			}
		}
	}
	return groups
}

// compare orders groups as asked, then by time and dimensions.
func (p *Prepared) compare(a, b Group) int {
	for _, o := range p.Order {
		c := 0
		switch {
		case o.Measure >= 0 && o.Measure < len(a.Values):
			c = compareNumbers(a.Values[o.Measure], b.Values[o.Measure], o.Desc)
		case o.Dim >= 0 && o.Dim < len(a.Dims):
			c = Key{Desc: o.Desc}.Compare(a.Dims[o.Dim], b.Dims[o.Dim])
		default:
			if c = cmp.Compare(a.Time, b.Time); o.Desc {
				c = -c
			}
		}
		if c != 0 {
			return c
		}
	}
	if c := cmp.Compare(a.Time, b.Time); c != 0 {
		return c
	}
	for i := range a.Dims {
		if c := (Key{}).Compare(a.Dims[i], b.Dims[i]); c != 0 {
			return c
		}
	}
	return 0
}

func compareNumbers(a, b Number, desc bool) int {
	return Key{Desc: desc}.Compare(SortValue{Missing: a.Missing, Int: a.Int, Float: a.Float}, SortValue{Missing: b.Missing, Int: b.Int, Float: b.Float})
}

// Facet asks for the values of a column and how many rows have each.
type Facet struct {
	View    View
	Filter  Filter
	Ref     Ref    // a map without a key: its keys
	Prefix  string // only values that begin so
	Limit   int    // 0: 100
	KeepOwn bool   // else what the filter says of the column itself is left out
	Bind    Bind
}

// FacetValue is a value and its rows; the missing one comes last.
type FacetValue struct {
	Value   string
	Missing bool
	Count   int64
}

// maxFacet is how many values a facet answers.
const maxFacet = 1000

// Aggregate is the aggregate whose groups are the facet's values. The error is
// a domain.Error.
func (f *Facet) Aggregate() (*Aggregate, error) {
	filter := f.Filter
	if filter == nil {
		filter = And{}
	}
	if !f.KeepOwn {
		var rest And
		for _, part := range flatten(filter) {
			if ref, is := refOf(part); !is || ref != f.Ref {
				rest = append(rest, part)
			}
		}
		filter = rest
	}
	if f.Limit < 0 || f.Limit > maxFacet {
		return nil, &domain.Error{Code: domain.Invalid, Field: "limit", Msg: fmt.Sprintf("a facet has 1 to %d values", maxFacet)}
	}
	return &Aggregate{
		View: f.View, Filter: filter, Measures: []Measure{{Agg: Count}}, By: []Dim{{Ref: f.Ref, Explode: true}},
		Order: []AggOrder{{Measure: 0, Dim: -1, Desc: true}}, Limit: maxAggRows, Bind: f.Bind,
	}, nil
}

// refOf is what a condition, or its negation, compares.
func refOf(f Filter) (Ref, bool) {
	switch f := f.(type) {
	case Not:
		return refOf(f.Filter)
	case Cmp:
		return f.Ref, true
	case Has:
		return f.Ref, true
	}
	return Ref{}, false
}

// Values is the facet's values in the groups of its aggregate.
func (f *Facet) Values(r *Result) []FacetValue {
	var out []FacetValue
	missing := int64(0)
	limit := cmp.Or(f.Limit, 100)
	for _, g := range r.Groups {
		switch d := g.Dims[0]; {
		case d.Missing:
			missing = g.Values[0].Int
		case len(out) < limit && strings.HasPrefix(d.Text, f.Prefix):
			out = append(out, FacetValue{Value: d.Text, Count: g.Values[0].Int})
		}
	}
	if missing > 0 && f.Prefix == "" {
		out = append(out, FacetValue{Missing: true, Count: missing})
	}
	return out
}
