package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// logsPerRoot is how many logs each sample of an experiment has.
const logsPerRoot = 8

// parea posts logs as Parea's SDKs do, one a request, and reads an experiment's.
func (b *bench) parea(ctx context.Context) (err error) {
	s, err := b.start(ctx, b.folder("parea"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	bodies := make([]string, 200)
	for i := range bodies {
		bodies[i] = b.texts.prose(2500)
	}
	log := func(kind string, i int, experiment string) map[string]any {
		root, n := i/logsPerRoot, i%logsPerRoot
		at := time.Date(2026, 3, 1, 9, 0, root, n*1e6, time.UTC)
		l := map[string]any{
			"trace_id": fmt.Sprintf("%s-%d-%d", kind, root, n), "parent_trace_id": fmt.Sprintf("%s-%d-0", kind, root), "root_trace_id": fmt.Sprintf("%s-%d-0", kind, root),
			"trace_name": "task", "inputs": map[string]string{"q": bodies[i%200]}, "output": bodies[(i+7)%200], "status": "success",
			"start_timestamp": at.Format(time.RFC3339Nano), "end_timestamp": at.Add(time.Second).Format(time.RFC3339Nano), "latency": 1.0,
			"configuration": map[string]any{"model": "gpt-4o", "messages": []map[string]string{{"role": "user", "content": "?"}}}, "input_tokens": 100, "output_tokens": 20, "total_tokens": 120,
		}
		if experiment != "" && n == 0 {
			l["experiment_uuid"] = experiment
			l["scores"] = []map[string]any{{"name": "good", "score": float64(root%100) / 100}}
		}
		return l
	}
	n := b.lots / 50
	took, err := byClients(n, func(i int) error { return s.postJSON(ctx, "/api/parea/v1/trace_log", log("load", i, "")) })
	if err != nil {
		return err
	}
	b.table.row("Parea logs of 5 KB, one a request, by 8 clients", float64(n)/took.Seconds(), "/s", 3000, false)

	var made bytes.Buffer
	if _, err := s.ask(ctx, "/api/parea/v1/experiment", map[string]string{"name": "bench", "run_name": "run"}, &made); err != nil {
		return err
	}
	var e struct{ UUID string }
	if err := json.Unmarshal(made.Bytes(), &e); err != nil {
		return err
	}
	roots := b.lots / 1000
	if _, err := byClients(roots*logsPerRoot, func(i int) error { return s.postJSON(ctx, "/api/parea/v1/trace_log", log("exp", i, e.UUID)) }); err != nil {
		return err
	}
	s.settle()
	for _, q := range []struct {
		name      string
		filter    map[string]string
		want      int
		first     float64
		whole     float64
		wholeUnit string
	}{
		{fmt.Sprintf("trace_logs of %d roots with 8 logs each", roots), map[string]string{}, roots, 100, 1500, "ms"},
		{"  with a filter by score that takes one in a hundred", map[string]string{"filter_field": "score:good", "filter_operator": "greater_than", "filter_value": "0.985"}, roots / 100, 0, 50, "ms"},
	} {
		var firsts, wholes []float64
		if err := s.resetPeak(); err != nil {
			return err
		}
		before, err := s.memory("VmRSS")
		if err != nil {
			return err
		}
		for range 5 {
			var answer bytes.Buffer
			begun := time.Now()
			first, err := s.ask(ctx, "/api/parea/v1/experiment/"+e.UUID+"/trace_logs", q.filter, &answer)
			if err != nil {
				return err
			}
			firsts, wholes = append(firsts, first.Seconds()*1000), append(wholes, time.Since(begun).Seconds()*1000)
			var trees []struct {
				Children []json.RawMessage `json:"children_logs"`
			}
			if err := json.Unmarshal(answer.Bytes(), &trees); err != nil || len(trees) != q.want || len(trees) > 0 && len(trees[0].Children) != logsPerRoot-1 {
				return fmt.Errorf("%d trees, want %d: %w", len(trees), q.want, err)
			}
		}
		peak, err := s.memory("VmHWM")
		if err != nil {
			return err
		}
		slices.Sort(firsts)
		slices.Sort(wholes)
		b.table.row(q.name+", first byte", firsts[2], "ms", q.first, true)
		b.table.row("  whole, median of 5", wholes[2], q.wholeUnit, q.whole, true)
		b.table.row("  memory beyond what was held before", float64(peak-before)/megabyte, "MB", 0, true)
	}
	return nil
}

// ask posts a question and reads the answer; it returns when the first byte came.
func (s *server) ask(ctx context.Context, path string, body any, into io.Writer) (first time.Duration, err error) {
	return s.askAs(ctx, secretKey, path, body, into)
}

// askAs is ask with another secret than the project's.
func (s *server) askAs(ctx context.Context, key, path string, body any, into io.Writer) (first time.Duration, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Api-Key", key)
	begun := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	first = time.Since(begun)
	if _, err = io.Copy(into, resp.Body); err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("POST %s answers %s", path, resp.Status)
	}
	return first, err
}
