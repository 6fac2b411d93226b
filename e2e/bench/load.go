package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	connections = 2
	templates   = 24 // requests of different texts: 4,800 different spans
)

// loader sends spans over some connections and counts what was answered.
type loader struct {
	s        *server
	requests chan *request // those not being sent
	next     atomic.Uint64 // number of the next request
	sent     atomic.Int64  // spans answered
}

func (b *bench) loader(s *server) *loader {
	l := &loader{s: s, requests: make(chan *request, templates)}
	for range templates {
		l.requests <- newRequest(b.texts)
	}
	l.next.Store(1)
	return l
}

// send sends one request; whole, if not nil, is the trace of all its spans.
func (l *loader) send(ctx context.Context, whole []byte) (uint64, error) {
	r := <-l.requests
	defer func() { l.requests <- r }()
	number := l.next.Add(1)
	r.fill(number, whole)
	if err := l.s.post(ctx, "/v1/traces", "application/x-protobuf", r.body); err != nil {
		return 0, err
	}
	l.sent.Add(spansPerRequest)
	return number, nil
}

// run sends as fast as it is answered, until that many spans were sent or the
// time is over; every now and then it reads back what was just answered.
func (l *loader) run(ctx context.Context, spans int, d time.Duration) error {
	until := l.sent.Load() + int64(spans)
	end := time.Now().Add(d)
	return l.parallel(func(worker int) error {
		check := time.Now()
		for l.sent.Load() < until && time.Now().Before(end) {
			number, err := l.send(ctx, nil)
			if err != nil {
				return err
			}
			if worker == 0 && time.Since(check) > 500*time.Millisecond {
				check = time.Now()
				if err := l.readBack(ctx, number); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// pace sends spans at a steady rate until the context ends.
func (l *loader) pace(ctx context.Context, perSecond int) error {
	t := time.NewTicker(time.Second * spansPerRequest / time.Duration(perSecond))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if _, err := l.send(ctx, nil); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

func (l *loader) parallel(f func(worker int) error) error {
	errs := make([]error, connections)
	var wg sync.WaitGroup
	for i := range connections {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// readBack checks that a trace that was just answered is there whole.
func (l *loader) readBack(ctx context.Context, number uint64) error {
	r, w := io.Pipe()
	go func() {
		_, err := l.s.get(ctx, "/api/public/traces/"+traceID(number, 3), w)
		w.CloseWithError(err)
	}()
	var t struct {
		Observations []struct {
			Input json.RawMessage `json:"input"`
		} `json:"observations"`
	}
	if err := json.NewDecoder(r).Decode(&t); err != nil {
		return fmt.Errorf("reading back: %w", err)
	}
	_, _ = io.Copy(io.Discard, r)
	if len(t.Observations) != spansPerTrace {
		return fmt.Errorf("a trace just answered has %d observations, want %d", len(t.Observations), spansPerTrace)
	}
	for _, o := range t.Observations {
		if len(o.Input) < inputBytes-64 {
			return fmt.Errorf("an input just answered reads as %d bytes", len(o.Input))
		}
	}
	return nil
}
