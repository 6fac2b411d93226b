package query

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	for _, x := range []struct {
		view                     View
		text                     string // | is the caret
		stage                    Stage
		replaced, inserts, asked string
	}{
		{Traces, "lat|", StageField, "lat", "latency", ""},
		{Traces, "-LAT|", StageField, "LAT", "latency", ""},
		{Traces, "level|", StageOp, "level", "level: level!=", ""},
		{Traces, "level:er|", StageValue, "er", "ERROR", ""},
		{Traces, "level:error,wa|", StageValue, "wa", "WARNING", ""},
		{Traces, "level:e|rr user:u", StageValue, "err", "ERROR", ""},
		{Traces, "public:|", StageValue, "", "true false", ""},
		{Traces, "cost>1 tags:v|", StageValue, "v", "", "traces tags v cost>1"},
		{Traces, "tags:(vip AND be|", StageValue, "be", "", "traces tags be"},
		{Traces, `name:"my a|`, StageValue, `"my a`, "", "traces name my a"},
		{Traces, `name:"my a|pp" cost>1`, StageValue, `"my app"`, "", "traces name my a cost>1"},
		{Traces, `name:"my|`, StageValue, `"my`, "", "traces name my"},
		{Traces, "cost>1 |", StageJoin, "", "OR id name start", ""},
		{Traces, "obs(mod|", StageField, "mod", "model modelId", ""},
		{Traces, "obs(model:g| type:TOOL)", StageValue, "g", "", "observations model g"},
		{Traces, "obs.typ|", StageField, "typ", "type", ""},
		{Traces, "obs.type:to|", StageValue, "to", "TOOL", ""},
		{Traces, "ob|", StageField, "ob", "observations obs(", ""},
		{Traces, "has:use|", StageField, "use", "user", ""},
		{Traces, "scoreA|", StageField, "scoreA", "scoreAvg.", ""},
		{Traces, "score.acc|", StageKey, "acc", "", "scores name acc"},
		{Traces, "score.tone:r|", StageValue, "r", "", "scores string r name:tone"},
		{Traces, "metadata.ten|", StageKey, "ten", "", "traces metadata ten"},
		{Traces, "metadata.tenant:a| env:x", StageValue, "a", "", "traces metadata a env:x"},
		{Observations, "usage.|", StageKey, "", "", "observations usage "},
		{Traces, "start:now-1|", StageValue, "now-1", "now-1h..now", ""},
		{Traces, "nonsense:x|", StageField, "nonsense:x", "", ""},
		{Sessions, "dur|", StageField, "dur", "duration", ""},
		{Observations, "calledTools:|", StageValue, "", "", "observations calledTools "},
	} {
		before, after, _ := strings.Cut(x.text, "|")
		text := before + after
		c := Complete(x.view, text, len(before), Bind{})
		var inserts []string
		for _, s := range c.Items {
			inserts = append(inserts, s.Insert)
		}
		got := strings.Join(inserts, " ")
		if x.stage == StageJoin {
			got = strings.Join(inserts[:min(4, len(inserts))], " ")
		}
		asked := ""
		if c.Ask != nil {
			col, _ := ColumnOf(c.Ask.View, c.Ask.Ref.Column)
			asked = c.Ask.View.String() + " " + col.Name + " " + c.Ask.Prefix
			if rest := Print(c.Ask.View, c.Ask.Filter); rest != "" {
				asked += " " + rest
			}
		}
		if c.Stage != x.stage || text[c.From:c.To] != x.replaced || got != x.inserts || asked != x.asked {
			t.Errorf("%s: %s of %q, %q, asks %q; want %s of %q, %q, asks %q",
				x.text, c.Stage, text[c.From:c.To], got, asked, x.stage, x.replaced, x.inserts, x.asked)
		}
	}
}

// Whatever value is suggested is no mistake where it is put.
func TestCompleteParses(t *testing.T) {
	parts := []string{
		"level", ":", "error", " ", "cost", ">", "(", ")", "obs(", "obs.", "-", "metadata.", `"`, "a", ",", "OR", "score.", "has:", "..", "é", "\\", "name", "~", "tags",
	}
	random := rand.New(rand.NewPCG(1, 2))
	odd := FacetValue{Value: `a "b", (c)*`}
	for range 20_000 {
		var b strings.Builder
		for range random.IntN(8) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		text := b.String()
		caret := random.IntN(len(text) + 1)
		v := View(1 + random.IntN(5))
		c := Complete(v, text, caret, Bind{})
		if c.From > c.To || c.To > len(text) || c.From < 0 || len(c.Items) > MaxSuggestions {
			t.Fatalf("%q at %d: %+v", text, caret, c)
		}
		if c.Ask != nil {
			c.Items = append(c.Items, c.Suggest(odd, ""))
		}
		if strings.ContainsAny(text[:c.From], `"()`) || c.Stage != StageValue || c.From == 0 {
			continue // they may be open, and then the end of the text is a mistake
		}
		for _, s := range c.Items {
			whole := text[:c.From] + s.Insert
			_, err := Parse(v, whole, Bind{})
			es, _ := errors.AsType[Errors](err)
			for _, e := range es {
				if e.Pos.End > c.From {
					t.Fatalf("%q at %d: %q does not parse: %v", text, caret, whole, err)
				}
			}
		}
	}
}
