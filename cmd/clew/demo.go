package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/clewhq/clew/internal/dialect/native"
	"github.com/clewhq/clew/internal/server"
)

const demoUsage = `Usage: clew demo [flags]

Fills a project with a sample through the public API: conversations with an agent
and its tools, answers from retrieved documents, streamed answers, failures, scores,
sessions and users of the last days; and prompts, a dataset with experiments, score
configs, an annotation queue, a comment and a picture.

The server is the one that runs on the data folder, with a key made for the occasion;
or the one at --url, with the keys of LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY.

Flags:
`

// demo sends a sample.
func demo(e *env, args []string) error {
	fs := flag.NewFlagSet("clew demo", flag.ContinueOnError)
	fs.SetOutput(e.errs)
	fs.Usage = func() { fmt.Fprint(e.errs, demoUsage); fs.PrintDefaults() }
	get := func(name string) string { v, _ := e.lookup(name); return v }
	dir := fs.String("data", cmp.Or(get("CLEW_DATA"), "clew-data"), "data `folder` of the running server")
	url := fs.String("url", cmp.Or(get("LANGFUSE_BASE_URL"), get("LANGFUSE_HOST")), "base `address` of a server, instead of --data")
	project := fs.String("project", "", "`id` of the project to fill; default: the only one there is")
	sessions := fs.Int("sessions", 40, "how `many` sessions to make; each has some traces")
	seed := fs.Uint64("seed", 0, "`number` that the sample follows from; 0: another one each time")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 || *sessions < 1 || *sessions > 100_000 {
		return errors.New("demo takes flags only, and from 1 to 100000 sessions")
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := &demoClient{url: strings.TrimRight(*url, "/"), public: get("LANGFUSE_PUBLIC_KEY"), secret: get("LANGFUSE_SECRET_KEY")}
	if c.url == "" || c.public == "" || c.secret == "" {
		done, err := c.borrowKey(ctx, *dir, *project)
		if err != nil {
			return err
		}
		defer done()
	}
	return c.fill(ctx, e.out, *sessions, *seed)
}

// demoClient sends batches to one project.
type demoClient struct{ url, public, secret string }

// borrowKey makes a key on the running server, to be revoked when all is sent.
func (c *demoClient) borrowKey(ctx context.Context, dir, project string) (func(), error) {
	run, err := server.ReadRunFile(dir)
	if err != nil {
		return nil, fmt.Errorf("%w; start one with clew serve, or name one with --url and its keys", err)
	}
	r := &remoteKeys{run}
	if project == "" {
		if project, err = onlyProject(ctx, r); err != nil {
			return nil, err
		}
	}
	k, err := r.create(ctx, native.Key{Project: project, Note: "clew demo"})
	if err != nil {
		return nil, err
	}
	c.url, c.public, c.secret = run.URL, k.PublicKey, k.SecretKey
	return func() {
		// Not ctx: the key has to go when the demo was interrupted, too.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.revoke(ctx, k.ID) // a server that is gone by now has told already
	}, nil
}

// fill makes the sample session by session, and shows how far it is.
func (c *demoClient) fill(ctx context.Context, out io.Writer, sessions int, seed uint64) error {
	s := &sample{Rand: rand.New(rand.NewPCG(seed, 2026)), now: time.Now().UTC()}
	begun := time.Now()
	for i := range sessions {
		s.session(i, sessions)
		if len(s.events) >= 200 || i == sessions-1 {
			if err := c.send(ctx, s.events); err != nil {
				return err
			}
			s.events = s.events[:0]
		}
		const width = 30
		filled := (i + 1) * width / sessions
		fmt.Fprintf(out, "\r[%s%s] %d of %d sessions", strings.Repeat("=", filled), strings.Repeat(" ", width-filled), i+1, sessions)
	}
	if err := (&catalogSample{c, s, ctx}).fill(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `
%d traces with %d observations and %d scores were sent in %.1f s; one of them: %s/api/public/traces/%s
There are prompts (support/answer), a dataset with two experiments (support/questions), score configs, an annotation queue, a comment and a picture, too.
`, s.traces, s.observations, s.scores, time.Since(begun).Seconds(), c.url, s.last)
	return err
}

// send sends one batch; a server that is busy is asked again.
func (c *demoClient) send(ctx context.Context, events []demoEvent) error {
	body, err := json.Marshal(map[string]any{"batch": events})
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		status, answer, err := c.request(ctx, http.MethodPost, "/ingestion", body)
		if err != nil {
			return err
		}
		if status == http.StatusMultiStatus {
			return refused(answer)
		}
		if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable || try == 10 {
			return fmt.Errorf("the server answers %d: %.300s", status, answer)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// refused is the first event that the server did not take, nil if it took all.
func refused(answer []byte) error {
	var r struct {
		Errors []struct {
			ID    string `json:"id"`
			Error any    `json:"error"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return err
	}
	if len(r.Errors) > 0 {
		return fmt.Errorf("%d events were refused, such as %s: %v", len(r.Errors), r.Errors[0].ID, r.Errors[0].Error)
	}
	return nil
}

// request sends a JSON body to a route of the public API.
func (c *demoClient) request(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+"/api/public"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.SetBasicAuth(c.public, c.secret)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, answer, err
}
