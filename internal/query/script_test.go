package query

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clewhq/clew/internal/domain"
)

// scriptRow is a row as a script's data line says it.
type scriptRow struct {
	Trace     string          `json:"trace"`
	Name      string          `json:"name"`
	Type      string          `json:"type"`
	Level     string          `json:"level"`
	Start     string          `json:"start"`
	Latency   json.Number     `json:"latency"`
	Cost      json.Number     `json:"cost"`
	Tokens    int64           `json:"tokens"`
	Model     string          `json:"model"`
	User      string          `json:"user"`
	Session   string          `json:"session"`
	Env       string          `json:"env"`
	Status    string          `json:"status"`
	Tags      []string        `json:"tags"`
	Metadata  json.RawMessage `json:"metadata"`
	Input     *string         `json:"input"`
	Output    *string         `json:"output"`
	Scores    []scriptScore   `json:"scores"`
	Obs       []scriptRow     `json:"obs"`
	ID        string          `json:"id"`
	Parent    string          `json:"parent"`
	InputJSON json.RawMessage `json:"inputJSON"`
}

type scriptScore struct {
	Name   string      `json:"name"`
	Type   string      `json:"type"`
	Value  json.Number `json:"value"`
	String string      `json:"string"`
	Bool   *bool       `json:"bool"`
	Source string      `json:"source"`
}

func (s scriptScore) score() domain.Score {
	out := domain.Score{ID: s.Name, Name: s.Name, Type: domain.ScoreType(s.Type), StringValue: s.String, Source: s.Source}
	if v, err := s.Value.Float64(); err == nil {
		out.Value = domain.Some(v)
	}
	if s.Bool != nil {
		out.Value = domain.Some(map[bool]float64{true: 1}[*s.Bool])
	}
	return out
}

// record makes a row of what a data line says.
func (r scriptRow) record(t *testing.T, v View, id string) *Record {
	t.Helper()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if r.Start != "" {
		var err error
		if start, err = time.Parse(time.RFC3339Nano, r.Start); err != nil {
			t.Fatal(err)
		}
	}
	ns := func(n json.Number, scale int) int64 {
		d, _ := ParseDecimal(n.String())
		v, _ := d.Scaled(scale)
		return v
	}
	level, _ := domain.ParseLevel(r.Level)
	var scores []domain.Score
	for _, s := range r.Scores {
		one := s.score()
		if v == Observations {
			one.ObservationID = id
		}
		scores = append(scores, one)
	}
	content := &domain.Content{}
	for part, text := range map[domain.Part]*string{domain.Input: r.Input, domain.Output: r.Output} {
		if text != nil {
			content[part] = domain.TextBody(*text)
		}
	}
	if len(r.InputJSON) > 0 {
		content[domain.Input] = domain.JSONBody(r.InputJSON)
	}
	if len(r.Metadata) > 0 {
		content[domain.Metadata] = domain.JSONBody(r.Metadata)
	}
	tr := &domain.Trace{
		ID: id, Name: r.Name, UserID: r.User, SessionID: r.Session, Environment: r.Env, Tags: r.Tags, Timestamp: domain.TimeOf(start),
	}
	rec := &Record{View: v, Trace: tr, Content: func() *domain.Content { return content }, ScoreList: func() []domain.Score { return scores }}
	if v == Traces {
		tr.Totals.Start, tr.Totals.End = tr.Timestamp, domain.At(start.UnixNano()+ns(r.Latency, 9))
		tr.Totals.Cost = domain.Money(ns(r.Cost, 12))
		var obs []*Record
		for i, o := range r.Obs {
			one := o.record(t, Observations, fmt.Sprint(id, "-", i))
			one.Trace = tr
			obs = append(obs, one)
			tr.Totals.ByLevel[max(one.Observation.Level, domain.LevelDebug)]++
		}
		if r.Level != "" {
			tr.Totals.ByLevel[level]++
		}
		rec.Observations = func() []*Record { return obs }
		return rec
	}
	tr.ID = r.Trace
	if r.Trace == "" {
		tr.ID = "trace-" + id
	}
	o := &domain.Observation{
		TraceID: tr.ID, ID: id, ParentID: r.Parent, Name: r.Name, Type: domain.ObservationType(r.Type), Level: level, Start: domain.TimeOf(start),
		Model: r.Model, Environment: r.Env, StatusMessage: r.Status,
	}
	tr.Name = ""
	if r.Latency != "" {
		o.End = domain.At(start.UnixNano() + ns(r.Latency, 9))
	}
	if r.Cost != "" {
		o.Derived.TotalCost = domain.Some(domain.Money(ns(r.Cost, 12)))
	}
	if r.Tokens > 0 {
		o.Derived.Usage = domain.Usage{{Key: "total", Units: r.Tokens}}
	}
	rec.Observation = o
	return rec
}

// script runs one file of testdata.
type script struct {
	*testing.T
	view View
	bind Bind
	ids  []string
	rows map[string]*Record
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{T: t}
			for n, line := range strings.Split(string(raw), "\n") {
				if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
					continue
				}
				verb, rest, _ := strings.Cut(line, " ")
				if !s.run(verb, rest) {
					t.Errorf("%s:%d: %s", file, n+1, line)
				}
			}
		})
	}
}

func (s *script) run(verb, rest string) bool {
	question, want := rest, ""
	if i := strings.LastIndex(rest, " => "); i >= 0 {
		question, want = rest[:i], rest[i+4:]
	}
	switch verb {
	case "view":
		s.view, _ = ParseView(rest)
		s.ids, s.rows = nil, map[string]*Record{}
		return s.view != 0
	case "now":
		at, err := time.Parse(time.RFC3339, rest)
		s.bind.Now = at.UnixNano()
		return err == nil
	case "zone":
		z, err := time.LoadLocation(rest)
		s.bind.Zone = z
		return err == nil
	case "data":
		id, raw, _ := strings.Cut(rest, " ")
		var row scriptRow
		d := json.NewDecoder(strings.NewReader(raw))
		d.DisallowUnknownFields()
		d.UseNumber()
		if err := d.Decode(&row); err != nil {
			s.Error(err)
			return false
		}
		s.ids = append(s.ids, id)
		s.rows[id] = row.record(s.T, s.view, id)
		return true
	case "match", "order":
		return s.match(question, want, verb == "order")
	case "print":
		f, err := Parse(s.view, question, s.bind)
		if err != nil {
			s.Error(err)
			return false
		}
		got := Print(s.view, f)
		if got != want {
			s.Errorf("prints as %s", got)
		}
		return got == want
	case "fail":
		_, err := Parse(s.view, question, s.bind)
		es, ok := err.(Errors)
		if !ok {
			s.Errorf("is no mistake")
			return false
		}
		got := fmt.Sprintf("%s %d-%d", es[0].Code, es[0].Pos.Start, es[0].Pos.End)
		if got != want {
			s.Errorf("%s: %v", got, err)
		}
		return got == want
	}
	s.Errorf("unknown verb %s", verb)
	return false
}

func (s *script) match(question, want string, ordered bool) bool {
	var keys []Key
	if ordered {
		var by string
		question, by, _ = strings.Cut(question, " | ")
		for _, k := range strings.Split(by, ", ") {
			name, dir, _ := strings.Cut(k, " ")
			name, key, _ := strings.Cut(name, ".")
			col, found := Lookup(s.view, name)
			if !found {
				return false
			}
			keys = append(keys, Key{Ref{col.Col, key}, dir == "desc"})
		}
	}
	f, err := Parse(s.view, question, s.bind)
	if err != nil {
		s.Error(err)
		return false
	}
	p, err := Compile(s.view, f, s.bind)
	if err != nil {
		s.Error(err)
		return false
	}
	// What is printed means the same.
	again, err := Parse(s.view, Print(s.view, f), s.bind)
	if err != nil {
		s.Errorf("%s: %v", Print(s.view, f), err)
		return false
	}
	twice, err := Compile(s.view, again, s.bind)
	if err != nil {
		s.Error(err)
		return false
	}
	var got []string
	for _, id := range s.ids {
		if p.Match(s.rows[id]) {
			got = append(got, id)
		}
		if p.Match(s.rows[id]) != twice.Match(s.rows[id]) {
			s.Errorf("%s is another filter than its print %s", question, Print(s.view, f))
		}
	}
	if ordered {
		order := Order(s.view, keys)
		slices.SortFunc(got, func(a, b string) int {
			return CompareSorts(order, SortAll(s.view, order, s.rows[a]), SortAll(s.view, order, s.rows[b]))
		})
	}
	text := strings.Join(got, " ")
	if text == "" {
		text = "-"
	}
	if text != want {
		s.Errorf("got %s", text)
	}
	return text == want
}
