package query

import (
	"errors"
	"fmt"
	"testing"

	"github.com/clewhq/clew/internal/domain"
)

// Groups are refused before they take more memory than a question may, however
// they are made: by name, by quantiles, by different values, or merged.
func TestTotalsAreBounded(t *testing.T) {
	latency, trace := Ref{Column: ColLatency}, Ref{Column: ColTrace}
	fill := func(p *Prepared, from int) (*Totals, error) {
		totals := p.NewTotals()
		for i := range MaxGroups + 1 {
			g, err := totals.Group(GroupKey(nil, 0, []string{fmt.Sprint("group ", from+i)}, []bool{true}))
			if err != nil {
				return totals, err
			}
			for n := range 40 {
				for k := range p.Series {
					if s := &p.Series[k]; s.Unique {
						g.Series[k].AddText(s, fmt.Sprint(i, n))
					} else {
						g.Series[k].AddInt(s, int64(1)<<(n+1))
					}
				}
			}
		}
		return totals, nil
	}
	for name, measures := range map[string][]Measure{
		"rows": {{Agg: Count}}, "sums": {{Agg: Sum, Ref: latency}}, "quantiles": {{Agg: P95, Ref: latency}}, "different values": {{Agg: Uniq, Ref: trace}},
	} {
		p, err := (&Aggregate{View: Observations, Measures: measures, By: []Dim{{Ref: Ref{Column: ColName}}}}).Prepare(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		one, err := fill(p, 0)
		var de *domain.Error
		if !errors.As(err, &de) || de.Code != domain.Invalid || de.Field != "by" {
			t.Errorf("%s: %d groups, and the error %v", name, len(one.groups), err)
		}
		taken := int64(0)
		for key, g := range one.groups {
			taken += int64(len(key) + g.size())
		}
		if held := p.held.Load(); held < taken || held > taken+taken/100 {
			t.Errorf("%s: %d bytes are noted, the groups take %d", name, held, taken)
		}
		if held := p.held.Load(); held < maxHeld/2 || held > maxHeld+maxHeld/10 {
			t.Errorf("%s: refused when %d bytes were held", name, held)
		}
	}
	p, err := (&Aggregate{View: Observations, Measures: []Measure{{Agg: Count}}, By: []Dim{{Ref: Ref{Column: ColName}}}}).Prepare(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := fill(p, 0)
	before := p.held.Load()
	same, _ := fill(p, 0)
	if err := one.Merge(same); err != nil || p.held.Load() != before {
		t.Errorf("%d bytes are noted, %d once the same was merged: %v", before, p.held.Load(), err)
	}
	if other, _ := fill(p, MaxGroups); one.Merge(other) == nil {
		t.Errorf("%d groups were merged", len(one.groups))
	}
}
