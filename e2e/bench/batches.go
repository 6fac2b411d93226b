package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const perBatch = 50 // observations created, and then updated, by one batch each

// batches sends what the older SDKs send: each observation created, and updated
// when it ends.
func (b *bench) batches(ctx context.Context) (err error) {
	s, err := b.start(ctx, b.folder("batches"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	l := b.loader(s)
	inputs, outputs := make([]string, 400), make([]string, 400)
	for i := range inputs {
		inputs[i], outputs[i] = b.texts.input(inputBytes), b.texts.prose(outputBytes)
	}
	var next, done atomic.Int64
	begun := time.Now()
	end := begun.Add(b.load / 3)
	err = l.parallel(func(int) error {
		for time.Now().Before(end) {
			first := next.Add(perBatch) - perBatch
			for _, update := range []bool{false, true} {
				body, err := json.Marshal(map[string]any{"batch": events(first, update, inputs, outputs)})
				if err != nil {
					return err
				}
				if err := s.post(ctx, "/api/public/ingestion", "application/json", body); err != nil {
					return err
				}
			}
			done.Add(perBatch)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.table.row("Langfuse batches: observations/s, each created and updated", float64(done.Load())/time.Since(begun).Seconds(), "", 5000, false)
	return nil
}

// events are the events of one batch: creations with inputs, or updates with
// outputs and usage.
func events(first int64, update bool, inputs, outputs []string) []map[string]any {
	now := time.Now().UTC()
	var list []map[string]any
	for i := range int64(perBatch) {
		n := first + i
		kind, body := "generation-create", map[string]any{
			"id": fmt.Sprintf("observation-%d", n), "traceId": fmt.Sprintf("trace-%d", n/spansPerTrace),
			"name": "step", "startTime": now.Format(time.RFC3339Nano), "model": "gpt-4o",
			"input": json.RawMessage(inputs[n%400]),
		}
		if update {
			kind, body = "generation-update", map[string]any{
				"id": body["id"], "traceId": body["traceId"], "endTime": now.Add(time.Second).Format(time.RFC3339Nano),
				"output": outputs[n%400], "usageDetails": map[string]int{"input": 1000, "output": 250},
			}
		}
		list = append(list, map[string]any{
			"id": fmt.Sprintf("%s-%d", kind, n), "type": kind, "timestamp": now.Format(time.RFC3339Nano), "body": body,
		})
	}
	return list
}
