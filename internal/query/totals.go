package query

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/clewhq/clew/internal/domain"
)

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
		s.hold(c.sketch(s).Add(float64(v)))
	}
}

// sketch is the cell's sketch, made where it has none yet.
func (c *Cell) sketch(s *Series) *Sketch {
	if c.Sketch == nil {
		c.Sketch = &Sketch{}
		s.hold(emptySketch)
	}
	return c.Sketch
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
		s.hold(c.sketch(s).Add(v))
	}
}

// AddText counts a text in.
func (c *Cell) AddText(s *Series, v string) {
	c.N++
	if s.Unique {
		if c.Unique == nil {
			c.Unique = &Unique{}
		}
		s.hold(c.Unique.Add(v))
	}
}

// AddPacked counts in a cell without its sketch, and its sketch as
// Sketch.AppendPacked wrote it. ok is false where that is something else.
func (c *Cell) AddPacked(s *Series, o *Cell, sketch []byte) (ok bool) {
	c.merge(s, o)
	if !s.Sketch {
		return true
	}
	grown, ok := c.sketch(s).AddPacked(sketch, o.Min, o.Max)
	s.hold(grown)
	return ok
}

func (c *Cell) merge(s *Series, o *Cell) {
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
		s.hold(c.sketch(s).Merge(o.Sketch))
	}
	if o.Unique != nil {
		if c.Unique == nil {
			c.Unique = &Unique{}
		}
		s.hold(c.Unique.Merge(o.Unique))
	}
}

// Totals is the groups of a Prepared aggregate, by interval and dimensions.
type Totals struct {
	p       *Prepared
	groups  map[string]*Cells
	stopped bool

	dims []string // what Add looks at
	ok   []bool
	key  []byte
}

// Stop notes that rows are left out.
func (t *Totals) Stop() { t.stopped = true }

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

// groupBytes is about what a group takes beside its name and its series.
const groupBytes = 100

// Group finds a group, or makes it. It fails beyond MaxGroups, and as Check does.
func (t *Totals) Group(key []byte) (*Cells, error) {
	if g := t.groups[string(key)]; g != nil {
		return g, nil
	}
	g := &Cells{Series: make([]Cell, len(t.p.Series))}
	t.p.held.Add(int64(len(key) + g.size()))
	return g, t.take(string(key), g)
}

// size is about how many bytes the group takes, its name apart.
func (g *Cells) size() int {
	n := groupBytes + len(g.Series)*int(unsafe.Sizeof(Cell{}))
	for i := range g.Series {
		if k := g.Series[i].Sketch; k != nil {
			n += k.size()
		}
		if u := g.Series[i].Unique; u != nil {
			n += u.size()
		}
	}
	return n
}

func (t *Totals) take(key string, g *Cells) error {
	if len(t.groups) >= MaxGroups {
		return &domain.Error{Code: domain.Invalid, Field: "by", Msg: fmt.Sprintf("more than %d groups: group by a column with fewer values", MaxGroups)}
	}
	t.groups[key] = g
	return t.Check()
}

// Check fails where the groups of the question hold too much by now.
func (t *Totals) Check() error {
	if t.p.held.Load() <= maxHeld {
		return nil
	}
	return &domain.Error{Code: domain.Invalid, Field: "by", Msg: fmt.Sprintf("the groups hold more than %d MB: group by a column with fewer values, or ask for fewer quantiles and counts of different values", maxHeld>>20)}
}

// Merge counts in the groups of another one, which is not used any more.
func (t *Totals) Merge(o *Totals) error {
	if len(t.groups) < len(o.groups) {
		t.groups, o.groups = o.groups, t.groups
	}
	for key, from := range o.groups {
		to := t.groups[key]
		if to == nil {
			if err := t.take(key, from); err != nil {
				return err
			}
			continue
		}
		to.Rows += from.Rows
		for i := range from.Series {
			to.Series[i].merge(&t.p.Series[i], &from.Series[i])
		}
		t.p.held.Add(-int64(len(key) + from.size()))
	}
	return t.Check()
}

// Add counts a row in.
func (t *Totals) Add(r Row) error {
	at, _ := r.Int(ColStart)
	if t.dims == nil {
		t.dims, t.ok = make([]string, len(t.p.By)), make([]bool, len(t.p.By))
	}
	return t.addDims(r, t.p.Interval(at), 0)
}

func (t *Totals) addDims(r Row, interval, i int) error {
	if i < len(t.dims) {
		d := t.p.By[i]
		col, _ := ColumnOf(t.p.View, d.Ref.Column)
		if !several(col, d) {
			one := dimText(col, r)
			t.dims[i], t.ok[i] = one.Text, !one.Missing
			return t.addDims(r, interval, i+1)
		}
		for _, one := range dimTexts(col, d, r) {
			t.dims[i], t.ok[i] = one.Text, !one.Missing
			if err := t.addDims(r, interval, i+1); err != nil {
				return err
			}
		}
		return nil
	}
	t.key = GroupKey(t.key, interval, t.dims, t.ok)
	g, err := t.Group(t.key)
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

// several reports whether a row may have several values of a dimension: of a
// list that is taken apart, or of a map.
func several(col Column, d Dim) bool {
	return col.Kind == ListKind && d.Explode || col.Kind.Keyed()
}

// dimTexts is the values of a dimension of which a row may have several.
func dimTexts(col Column, d Dim, r Row) (out []SortValue) {
	var texts []string
	if col.Kind.Keyed() {
		texts = keyed(col.Kind, d.Ref, r)
		slices.Sort(texts)
		texts = slices.Compact(texts)
	} else {
		texts = r.List(col.Col)
	}
	if len(texts) == 0 {
		return []SortValue{{Missing: true}}
	}
	for _, s := range texts {
		out = append(out, SortValue{Text: s})
	}
	return out
}

// dimText is the value of any other dimension.
func dimText(col Column, r Row) SortValue {
	switch {
	case col.Kind == ListKind:
		list := r.List(col.Col)
		return SortValue{Text: ListText(list), Missing: len(list) == 0}
	case col.Kind.stored():
		n, ok := r.Int(col.Col)
		return SortValue{Text: IntText(col.Kind, n), Missing: !ok}
	}
	s, ok := r.Text(col.Col)
	return SortValue{Text: s, Missing: !ok}
}

// keyed is the keys of a row's map, or what stands at one of them: of scores
// their texts, else their numbers.
func keyed(k Kind, ref Ref, r Row) (out []string) {
	switch k {
	case MapKind:
		raw := r.Body(ref.Column).Data
		if ref.Key == "" {
			EachLeaf(raw, func(path, _ string) { out = append(out, path) })
			return out
		}
		eachNode(raw, ref.Key, func(node []byte, _ bool) bool {
			if text, ok := nodeText(node); ok && node[0] != '{' && node[0] != '[' {
				out = append(out, text)
			}
			return false
		})
	case ScoresKind:
		for _, s := range r.Scores(ref.Column) {
			if ref.Key == "" {
				out = append(out, s.Name)
				continue
			}
			text, ok := ScoreString(&s)
			if !ok {
				var n float64
				n, ok = ScoreNumber(&s)
				text = strconv.FormatFloat(n, 'f', -1, 64)
			}
			if ok && s.Name == ref.Key {
				out = append(out, text)
			}
		}
	default:
		out = slices.Clone(r.Keys(ref.Column))
	}
	return out
}

// InBodies reports whether an aggregate has a dimension that only bodies tell.
func (a *Aggregate) InBodies() bool {
	return slices.ContainsFunc(a.By, func(d Dim) bool {
		col, _ := ColumnOf(a.View, d.Ref.Column)
		return col.Kind == MapKind && a.View != Scores
	})
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
	out := &Result{Grain: p.grain, Stopped: t.stopped}
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
