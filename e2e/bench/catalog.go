package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// clients is how many clients write and fetch at once here: SDKs of as many
// processes.
const clients = 8

// catalog times what SDKs do beside tracing: fetching prompts, datasets,
// experiments and uploads.
func (b *bench) catalog(ctx context.Context) (err error) {
	s, err := b.start(ctx, b.folder("catalog"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	for _, f := range []func(context.Context, *server) error{b.prompts, b.dataset, b.experiment, b.upload} {
		if err := f(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// byClients runs f for 0 to n-1, divided among the clients, and returns how
// long that took.
func byClients(n int, f func(i int) error) (time.Duration, error) {
	var next atomic.Int64
	errs := make([]error, clients)
	begun := time.Now()
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[c] = f(i); errs[c] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begun), errors.Join(errs...)
}

func (s *server) postJSON(ctx context.Context, path string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.post(ctx, path, "application/json", raw)
}

// prompts fetches them by name, as every process does that has none cached.
func (b *bench) prompts(ctx context.Context, s *server) error {
	const names, versions = 200, 3
	_, err := byClients(names*versions, func(i int) error {
		return s.postJSON(ctx, "/api/public/v2/prompts", map[string]any{
			"name": fmt.Sprintf("folder/prompt %d", i%names), "prompt": "Answer {{question}}. " + b.texts.prose(1000), "labels": []string{"production"},
		})
	})
	if err != nil {
		return err
	}
	n := b.lots / 10
	times := make([]float64, n)
	took, err := byClients(n, func(i int) error {
		begun := time.Now()
		_, err := s.get(ctx, "/api/public/v2/prompts/"+url.PathEscape(fmt.Sprintf("folder/prompt %d", i%names)), io.Discard)
		times[i] = time.Since(begun).Seconds() * 1000
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(times)
	b.table.row("GET /v2/prompts/{name} by 8 clients", float64(n)/took.Seconds(), "/s", 8000, false)
	b.table.row("  p99", times[n*99/100], "ms", 10, true)
	return nil
}

// dataset fills a long one and times its pages, now and as of a time.
func (b *bench) dataset(ctx context.Context, s *server) error {
	if err := s.postJSON(ctx, "/api/public/v2/datasets", map[string]any{"name": "long"}); err != nil {
		return err
	}
	n := b.lots / 10
	took, err := byClients(n, func(i int) error {
		return s.postJSON(ctx, "/api/public/dataset-items", map[string]any{
			"datasetName": "long", "id": fmt.Sprintf("item-%d", i), "input": map[string]any{"question": b.texts.prose(300)}, "expectedOutput": b.texts.prose(100),
		})
	})
	if err != nil {
		return err
	}
	b.table.row(fmt.Sprintf("dataset items made by 8 clients, of %d", n), float64(n)/took.Seconds(), "/s", 0, false)
	then := time.Now().UTC().Format(time.RFC3339Nano)
	for _, asOf := range []string{"", "&version=" + then} {
		var times []float64
		pages := n / 50
		for i := range 200 {
			page := 1 + i*(pages-1)/199 // the first and the last among them
			begun := time.Now()
			if _, err := s.get(ctx, fmt.Sprintf("/api/public/dataset-items?datasetName=long&page=%d%s", page, asOf), io.Discard); err != nil {
				return err
			}
			times = append(times, time.Since(begun).Seconds()*1000)
		}
		slices.Sort(times)
		name := "GET /dataset-items, any page of it"
		if asOf != "" {
			name += ", as of a time"
		}
		b.table.row(name+", median", times[100], "ms", 0, true)
		b.table.row("  slowest of 200", times[199], "ms", 20, true)
	}
	return nil
}

// experiment runs one over many items, each with a span and a run item, and
// counts what came of it.
func (b *bench) experiment(ctx context.Context, s *server) error {
	n := b.lots / 100
	took, err := byClients(n, func(i int) error {
		trace, span := fmt.Sprintf("%032x", i+1), fmt.Sprintf("%016x", i+1)
		if err := s.postJSON(ctx, "/api/public/dataset-run-items", map[string]any{
			"runName": "run", "datasetItemId": fmt.Sprintf("item-%d", i), "traceId": trace, "observationId": span,
		}); err != nil {
			return err
		}
		at := time.Now().UnixNano()
		body := fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"scope":{"name":"langfuse-sdk"},"spans":[{"traceId":%q,"spanId":%q,"name":"experiment-item-run",
			"startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[{"key":"langfuse.observation.input","value":{"stringValue":%q}}]}]}]}]}`, trace, span, at, at+1e6, b.texts.prose(300))
		return s.post(ctx, "/api/public/otel/v1/traces", "application/json", []byte(body))
	})
	if err != nil {
		return err
	}
	b.table.row(fmt.Sprintf("experiment of %d items by 8 clients, a run item and a span each", n), float64(n)/took.Seconds(), "/s", 1000, false)
	var answer bytes.Buffer
	begun := time.Now()
	if _, err := s.get(ctx, "/api/public/datasets/long/runs/run", &answer); err != nil {
		return err
	}
	b.table.row("  GET of the run with all items", time.Since(begun).Seconds()*1000, "ms", 0, true)
	var run struct {
		Items []struct{ DatasetItemID string } `json:"datasetRunItems"`
	}
	if err := json.Unmarshal(answer.Bytes(), &run); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, i := range run.Items {
		seen[i.DatasetItemID] = true
	}
	if len(run.Items) != n || len(seen) != n {
		return fmt.Errorf("the run has %d items of %d dataset items, want %d", len(run.Items), len(seen), n)
	}
	var times []float64
	for range 20 {
		begun := time.Now()
		if _, err := s.get(ctx, "/api/public/experiment-items?fromStartTime=2020-01-01T00:00:00Z&experimentName=run&fields=core,io", io.Discard); err != nil {
			return err
		}
		times = append(times, time.Since(begun).Seconds()*1000)
	}
	slices.Sort(times)
	b.table.row("  GET /experiment-items, a page with inputs, median", times[10], "ms", 0, true)
	return nil
}

// upload sends one large content and sees what memory it took.
func (b *bench) upload(ctx context.Context, s *server) error {
	size := int64(b.lots/2000) * megabyte
	content := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), size) }
	sum := sha256.New()
	if _, err := io.Copy(sum, content()); err != nil {
		return err
	}
	var answer bytes.Buffer
	if _, err := s.ask(ctx, "/api/public/media", map[string]any{
		"contentType": "video/mp4", "contentLength": size, "sha256Hash": base64.StdEncoding.EncodeToString(sum.Sum(nil)), "field": "input", "traceId": "t",
	}, &answer); err != nil {
		return err
	}
	var announced struct{ UploadURL string }
	if err := json.Unmarshal(answer.Bytes(), &announced); err != nil {
		return err
	}
	if err := s.resetPeak(); err != nil {
		return err
	}
	before, err := s.memory("VmRSS")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, announced.UploadURL, content())
	if err != nil {
		return err
	}
	req.ContentLength = size
	begun := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	took := time.Since(begun).Seconds()
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("upload answers %s, %w", resp.Status, err)
	}
	peak, err := s.memory("VmHWM")
	if err != nil {
		return err
	}
	b.table.row(fmt.Sprintf("upload of %d MB", size/megabyte), float64(size)/megabyte/took, "MB/s", 0, false)
	b.table.row("  memory beyond what was held before", float64(peak-before)/megabyte, "MB", 50, true)
	return nil
}
