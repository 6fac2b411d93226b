// Package querytest runs the scripts of query/testdata: rows, questions and what
// they answer. The matcher runs them, and every engine that rows are written to.
package querytest

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
	"github.com/clewhq/clew/internal/query"
)

// Engine answers questions about the rows it was given.
type Engine interface {
	// Load takes the rows of a block of a script, in place of all before.
	Load(t *testing.T, v query.View, rows []Row)
	// Match is the ids of the rows that match, in order where keys are given,
	// else in any.
	Match(t *testing.T, v query.View, f query.Filter, b query.Bind, keys []query.Key) []string
}

// Row is a row as a script's data line says it.
type Row struct {
	ID string `json:"-"`

	Trace    string          `json:"trace"`
	Parent   string          `json:"parent"`
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	Level    string          `json:"level"`
	Start    string          `json:"start"`
	Latency  json.Number     `json:"latency"` // seconds; sets the end
	Cost     json.Number     `json:"cost"`    // dollars
	Tokens   int64           `json:"tokens"`
	Model    string          `json:"model"`
	User     string          `json:"user"`
	Session  string          `json:"session"`
	Env      string          `json:"env"`
	Status   string          `json:"status"`
	Tags     []string        `json:"tags"`
	Tools    []string        `json:"tools"` // sorted
	Calls    []string        `json:"calls"`
	Params   json.RawMessage `json:"params"`
	Metadata json.RawMessage `json:"metadata"`
	Input    *string         `json:"input"`
	Output   *string         `json:"output"`
	Scores   []Score         `json:"scores"`
	Obs      []Row           `json:"obs"` // of a trace
}

// Score is a score of a row.
type Score struct {
	Name   string      `json:"name"`
	Type   string      `json:"type"`
	Value  json.Number `json:"value"`
	String string      `json:"string"`
	Bool   *bool       `json:"bool"`
	Source string      `json:"source"`
}

func scaled(n json.Number, scale int) int64 {
	d, _ := query.ParseDecimal(n.String())
	v, _ := d.Scaled(scale)
	return v
}

// start is the row's start, the beginning of 2026 where it says none.
func (r *Row) start(t *testing.T) int64 {
	t.Helper()
	if r.Start == "" {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	}
	at, err := time.Parse(time.RFC3339Nano, r.Start)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixNano()
}

// Patches is what has to be written for the row to be there. Every Derive that
// takes usage and cost as they were provided makes the figures of the script.
func (r *Row) Patches(t *testing.T, v query.View) (traces []domain.TracePatch, observations []domain.ObservationPatch, scores []domain.ScorePatch) {
	t.Helper()
	trace, observation := r.ID, ""
	if v == query.Observations {
		observation = r.ID
		if trace = r.Trace; trace == "" {
			trace = "trace-" + r.ID
		}
		observations = append(observations, r.observation(t, trace))
	}
	tp := domain.TracePatch{Stamp: domain.Stamp{Time: 1, Op: domain.Create}, Said: domain.TraceTags | domain.TraceUserID | domain.TraceSessionID}
	tp.Value = domain.Trace{ID: trace, Tags: slices.Sorted(slices.Values(r.Tags)), UserID: r.User, SessionID: r.Session}
	if v == query.Traces {
		tp.Said |= domain.TraceName | domain.TraceEnvironment | domain.TraceTimestamp
		tp.Value.Name, tp.Value.Environment, tp.Value.Timestamp = r.Name, r.Env, domain.At(r.start(t))
		tp.Parts, tp.Content = r.content()
	}
	domain.SealTrace(&tp)
	traces = append(traces, tp)
	for i, o := range r.Obs {
		o.ID = fmt.Sprint(r.ID, "-", i)
		observations = append(observations, o.observation(t, trace))
	}
	for i, s := range r.Scores {
		sp := domain.ScorePatch{Stamp: domain.Stamp{Time: int64(i), Op: domain.Create}, Said: domain.AllScoreFields}
		sp.Value = domain.Score{
			ID: fmt.Sprint(r.ID, "-score-", i), TraceID: trace, ObservationID: observation, Name: s.Name, Type: domain.ScoreType(s.Type),
			StringValue: s.String, Source: s.Source, Timestamp: domain.At(1),
		}
		if f, err := s.Value.Float64(); err == nil {
			sp.Value.Value = domain.Some(f)
		}
		if s.Bool != nil {
			sp.Value.Value = domain.Some(map[bool]float64{true: 1}[*s.Bool])
		}
		domain.SealScore(&sp)
		scores = append(scores, sp)
	}
	return traces, observations, scores
}

func (r *Row) observation(t *testing.T, trace string) domain.ObservationPatch {
	level, _ := domain.ParseLevel(r.Level)
	p := domain.ObservationPatch{Stamp: domain.Stamp{Time: 1, Op: domain.Replace}, Said: domain.AllObservationFields}
	start := r.start(t)
	p.Value = domain.Observation{
		TraceID: trace, ID: r.ID, ParentID: r.Parent, Name: r.Name, Type: domain.ObservationType(r.Type), Level: level, Start: domain.At(start),
		Model: r.Model, Environment: r.Env, StatusMessage: r.Status, Tools: r.Tools, Calls: r.Calls, ModelParameters: r.Params,
	}
	if r.Latency != "" {
		p.Value.End = domain.At(start + scaled(r.Latency, 9))
	}
	if r.Cost != "" {
		p.Value.ProvidedCost = domain.Cost{{Key: "total", Amount: domain.Money(scaled(r.Cost, 12))}}
	}
	if r.Tokens > 0 {
		p.Value.ProvidedUsage = domain.Usage{{Key: "total", Units: r.Tokens}}
	}
	p.Parts, p.Content = r.content()
	domain.SealObservation(&p)
	return p
}

func (r *Row) content() (said domain.Parts, c domain.Content) {
	for part, text := range map[domain.Part]*string{domain.Input: r.Input, domain.Output: r.Output} {
		if text != nil {
			c[part] = domain.TextBody(*text)
		}
	}
	if len(r.Metadata) > 0 {
		c[domain.Metadata] = domain.JSONBody(r.Metadata)
	}
	return c.Set(), c
}

// Derive takes usage and cost as they were provided.
func Derive(_ string, o *domain.Observation) {
	o.Derived.Usage, o.Derived.Cost = o.ProvidedUsage, o.ProvidedCost
	if m, ok := o.ProvidedCost.Get("total"); ok {
		o.Derived.TotalCost = domain.Some(m)
	}
}

// script is a file of testdata that is being run.
type script struct {
	*testing.T
	engine Engine
	view   query.View
	bind   query.Bind
	rows   []Row
	loaded bool
}

// Run runs every script of a folder; open makes an engine for each.
func Run(t *testing.T, dir string, open func(t *testing.T) Engine) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{T: t, engine: open(t)}
			for n, line := range strings.Split(string(raw), "\n") {
				if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
					continue
				}
				verb, rest, _ := strings.Cut(line, " ")
				if err := s.run(verb, rest); err != nil {
					t.Errorf("%s:%d: %s: %v", file, n+1, line, err)
				}
			}
		})
	}
}

func (s *script) run(verb, rest string) (err error) {
	asked, want := rest, ""
	if i := strings.LastIndex(rest, " => "); i >= 0 {
		asked, want = rest[:i], rest[i+4:]
	}
	switch verb {
	case "view":
		known := false
		if s.view, known = query.ParseView(rest); !known {
			return fmt.Errorf("no such view")
		}
		s.rows, s.loaded = nil, false
	case "now":
		at, err := time.Parse(time.RFC3339, rest)
		s.bind.Now = at.UnixNano()
		return err
	case "zone":
		s.bind.Zone, err = time.LoadLocation(rest)
	case "data":
		id, raw, _ := strings.Cut(rest, " ")
		row := Row{ID: id}
		d := json.NewDecoder(strings.NewReader(raw))
		d.DisallowUnknownFields()
		d.UseNumber()
		err = d.Decode(&row)
		s.rows = append(s.rows, row)
	case "match", "order":
		return s.match(asked, want, verb == "order")
	case "print":
		f, err := query.Parse(s.view, asked, s.bind)
		if err != nil {
			return err
		}
		if got := query.Print(s.view, f); got != want {
			return fmt.Errorf("prints as %s", got)
		}
	case "fail":
		_, err := query.Parse(s.view, asked, s.bind)
		es, ok := err.(query.Errors)
		if !ok {
			return fmt.Errorf("is no mistake")
		}
		var all []string
		for _, e := range es {
			all = append(all, fmt.Sprintf("%s %d-%d", e.Code, e.Pos.Start, e.Pos.End))
		}
		if got := strings.Join(all, ", "); got != want {
			return fmt.Errorf("%s: %w", got, es)
		}
	default:
		return fmt.Errorf("unknown verb")
	}
	return err
}

// match asks a question, and once more as its print.
func (s *script) match(asked, want string, ordered bool) error {
	if !s.loaded {
		s.engine.Load(s.T, s.view, s.rows)
		s.loaded = true
	}
	var keys []query.Key
	if ordered {
		text, by, _ := strings.Cut(asked, " | ")
		asked = text
		for _, k := range strings.Split(by, ", ") {
			name, dir, _ := strings.Cut(k, " ")
			name, key, _ := strings.Cut(name, ".")
			col, found := query.Lookup(s.view, name)
			if !found {
				return fmt.Errorf("no column %s", name)
			}
			keys = append(keys, query.Key{Ref: query.Ref{Column: col.Col, Key: key}, Desc: dir == "desc"})
		}
	}
	f, err := query.Parse(s.view, asked, s.bind)
	if err != nil {
		return err
	}
	again, err := query.Parse(s.view, query.Print(s.view, f), s.bind)
	if err != nil {
		return fmt.Errorf("its print %s: %w", query.Print(s.view, f), err)
	}
	for _, one := range []query.Filter{f, again} {
		got := s.engine.Match(s.T, s.view, one, s.bind, keys)
		if !ordered {
			slices.Sort(got)
		}
		text := strings.Join(got, " ")
		if text == "" {
			text = "-"
		}
		if text != want {
			return fmt.Errorf("%s matches %s", query.Print(s.view, one), text)
		}
	}
	return nil
}
