package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowd is clients of a running server that all do something else at once.
type crowd struct {
	*testing.T
	base  string
	asked atomic.Int64
	wg    sync.WaitGroup
	ctx   context.Context // until when they ask
}

const crowdSecret = "sk-lf-crowd"

// ask sends a request. Whatever a client may be told, a failure of ours is none
// of it.
func (c *crowd) ask(method, path string, body any) (status int, answer []byte) {
	raw, err := json.Marshal(body)
	if err != nil {
		c.Error(err)
		return 0, nil
	}
	req, err := http.NewRequest(method, c.base+path, bytes.NewReader(raw))
	if err != nil {
		c.Error(err)
		return 0, nil
	}
	req.SetBasicAuth("pk-lf-crowd", crowdSecret)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.Errorf("%s %s: %v", method, path, err)
		return 0, nil
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 500 || !json.Valid(answer) {
		c.Errorf("%s %s: %d %.300s %v", method, path, res.StatusCode, answer, err)
	}
	c.asked.Add(1)
	return res.StatusCode, answer
}

// each runs what one client does again and again.
func (c *crowd) each(do func(n int, r *rand.Rand)) {
	seed := rand.Uint64()
	c.wg.Go(func() {
		r := rand.New(rand.NewPCG(seed, seed))
		for n := 0; c.ctx.Err() == nil && !c.Failed(); n++ {
			do(n, r)
		}
	})
}

// Everything is asked for at once while traces come, change and go, segments
// are made and bodies move: nothing fails, and what was answered is read.
func TestCrowd(t *testing.T) {
	lasts := 9 * time.Second // traces are sealed after five
	if testing.Short() {
		lasts = 7 * time.Second
	}
	c, _, err := load(t, map[string]string{
		"CLEW_INIT_ORG_ID": "o", "CLEW_INIT_PROJECT_ID": "p", "CLEW_INIT_PROJECT_PUBLIC_KEY": "pk-lf-crowd", "CLEW_INIT_PROJECT_SECRET_KEY": crowdSecret,
	}, "--listen", "127.0.0.1:0", "--data", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), c, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	all := &crowd{T: t, base: s.URL, ctx: ctx}
	all.writers()
	all.readers()
	all.wg.Wait()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d requests", all.asked.Load())
}

// event is one of a batch.
func event(id, typ string, body map[string]any) map[string]any {
	return map[string]any{"id": id, "type": typ, "timestamp": time.Now().UTC().Format(time.RFC3339Nano), "body": body}
}

func (c *crowd) writers() {
	// Traces that grow, again and again from the first.
	c.each(func(n int, r *rand.Rand) {
		trace := fmt.Sprintf("grows-%d", n%60)
		id := fmt.Sprintf("%s-%d", trace, n)
		now := time.Now().UTC().Format(time.RFC3339Nano)
		_, answer := c.ask("POST", "/api/public/ingestion", map[string]any{"batch": []any{
			event(id+"t", "trace-create", map[string]any{"id": trace, "name": "grows", "userId": fmt.Sprintf("u%d", n%7), "tags": []string{fmt.Sprintf("t%d", n%5)}, "metadata": map[string]any{"n": n}}),
			event(id+"o", "generation-create", map[string]any{"id": id, "traceId": trace, "name": "step", "startTime": now, "input": strings.Repeat("word ", 1+r.IntN(400)), "model": "gpt-4o", "usage": map[string]int{"input": 10, "output": 5}}),
			event(id+"s", "score-create", map[string]any{"id": id + "-s", "traceId": trace, "name": "good", "value": r.Float64()}),
		}})
		if !strings.Contains(string(answer), `"errors":[]`) {
			c.Errorf("a batch is answered %s", answer)
		}
		status, whole := c.ask("GET", "/api/public/traces/"+trace, nil)
		if status != http.StatusOK || !strings.Contains(string(whole), `"`+id+`"`) {
			c.Errorf("%s does not hold %s right after the answer: %d", trace, id, status)
		}
		where := url.QueryEscape(fmt.Sprintf(`[{"type":"string","column":"id","operator":"=","value":"%s"}]`, id))
		if _, found := c.ask("GET", "/api/public/v2/observations?fields=core&filter="+where, nil); !strings.Contains(string(found), `"`+id+`"`) {
			c.Errorf("%s is in no list right after the answer", id)
		}
	})
	// Spans of new traces, of which every third is deleted.
	c.each(func(n int, _ *rand.Rand) {
		trace := fmt.Sprintf("%032x", n+1)
		var spans []map[string]any
		for i := range 20 {
			spans = append(spans, map[string]any{
				"traceId": trace, "spanId": fmt.Sprintf("%016x", n*20+i+1), "name": "span", "startTimeUnixNano": fmt.Sprint(time.Now().UnixNano()), "endTimeUnixNano": fmt.Sprint(time.Now().UnixNano() + 1000),
				"attributes": []map[string]any{{"key": "session.id", "value": map[string]string{"stringValue": fmt.Sprint("s", n%9)}}, {"key": "langfuse.observation.output", "value": map[string]string{"stringValue": "an answer"}}},
			})
		}
		c.ask("POST", "/v1/traces", map[string]any{"resourceSpans": []any{map[string]any{"scopeSpans": []any{map[string]any{"spans": spans}}}}})
		if n%3 == 0 {
			c.ask("DELETE", "/api/public/traces/"+trace, nil)
			if status, _ := c.ask("GET", "/api/public/traces/"+trace, nil); status != http.StatusNotFound {
				c.Errorf("a deleted trace is answered %d", status)
			}
		}
	})
	c.each(func(n int, _ *rand.Rand) {
		now := time.Now().UTC().Format(time.RFC3339Nano)
		c.ask("POST", "/api/parea/v1/trace_log", map[string]any{"trace_id": fmt.Sprint("log-", n), "trace_name": "log", "start_timestamp": now, "end_timestamp": now, "inputs": map[string]string{"q": "?"}, "output": "!"})
		c.ask("PUT", "/api/parea/v1/trace_log", map[string]any{"trace_id": fmt.Sprint("log-", n), "field_name_to_value_map": map[string]any{"target": "later"}})
	})
	c.each(func(n int, _ *rand.Rand) {
		name := fmt.Sprint("prompt-", n%3)
		c.ask("POST", "/api/public/v2/prompts", map[string]any{"name": name, "prompt": fmt.Sprint("text ", n), "labels": []string{"production"}})
		if _, got := c.ask("GET", "/api/public/v2/prompts/"+name, nil); !strings.Contains(string(got), fmt.Sprintf(`"text %d"`, n)) {
			c.Errorf("version %d of %s is answered %.200s", n, name, got)
		}
	})
}

func (c *crowd) readers() {
	for _, path := range []string{
		"/api/public/traces?limit=20", "/api/public/traces?userId=u3&tags=t1&orderBy=timestamp.asc", "/api/public/traces?fields=core&name=grows&page=2&limit=5",
		"/api/public/observations?limit=50&type=GENERATION", "/api/public/sessions", "/api/public/v2/scores?name=good", "/api/public/v3/scores?limit=10", "/api/public/models",
		"/api/v1/facet?view=traces&column=user", "/api/v1/list?view=traces&q=word&total=true", "/api/v1/list?view=observations&q=obs+OR+model:gpt-4o&order=cost+desc",
		"/api/v1/aggregate?view=observations&measure=count,sum:cost,p95:latency&by=model,name&grain=hour", "/api/v1/aggregate?view=traces&measure=count&by=user",
	} {
		c.each(func(int, *rand.Rand) { c.ask("GET", path, nil) })
	}
	// Walks by cursor, which see every id once.
	c.each(func(int, *rand.Rand) {
		seen := map[string]bool{}
		for cursor := ""; c.ctx.Err() == nil; {
			_, answer := c.ask("GET", "/api/public/v2/observations?limit=40&fields=core&cursor="+url.QueryEscape(cursor), nil)
			var page struct {
				Data []struct{ ID, TraceID string }
				Meta struct{ Cursor string }
			}
			if err := json.Unmarshal(answer, &page); err != nil {
				return
			}
			for _, o := range page.Data {
				if key := o.TraceID + " " + o.ID; seen[key] {
					c.Errorf("%s is on two pages of a walk", key)
				} else {
					seen[key] = true
				}
			}
			if cursor = page.Meta.Cursor; cursor == "" {
				return
			}
		}
	})
	c.each(func(int, *rand.Rand) {
		c.ask("POST", "/api/parea/v1/get_trace_logs", map[string]any{"project_name": "p", "page_size": 10, "filter_field": "target", "filter_operator": "equals", "filter_value": "later"})
	})
}
