package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clewhq/clew/e2e/harness"
)

// floodPause is how long a flooding client waits when it was refused: far less
// than it is told to, but so that others have their turn, however slow the
// machine is.
const floodPause = 20 * time.Millisecond

// flood keeps a small queue full until the context ends and counts how often
// the server refused.
func flood(ctx context.Context, s *harness.Server, worker int, refused *atomic.Int64) error {
	r := rand.New(rand.NewPCG(uint64(worker), 5))
	for n := 0; ctx.Err() == nil; n++ {
		var spans []string
		for i := range 60 {
			spans = append(spans, fmt.Sprintf(`{"traceId":"%016x%016x","spanId":"%016x","name":"n","attributes":[{"key":"langfuse.observation.input","value":{"stringValue":%q}}]}`,
				worker+1, n+1, i+1, noise(r, 3000)))
		}
		status, _, err := s.TryPost("/v1/traces", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[`+strings.Join(spans, ",")+`]}]}]}`))
		switch {
		case err != nil:
			return err
		case status == http.StatusServiceUnavailable:
			refused.Add(1)
			time.Sleep(floodPause)
		case status != http.StatusOK:
			return fmt.Errorf("a flooded server answers %d", status)
		}
	}
	return nil
}

// A server that can't keep up refuses with a time to try again, and the
// exporters of the SDKs do: nothing that they send is lost.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("installs SDKs")
	}
	for _, generation := range []string{"python2", "python4"} {
		t.Run(generation, func(t *testing.T) {
			env := harness.Install(t, generation)
			s := harness.StartWith(t, harness.Options{Args: []string{"--queue", "1KiB"}})
			ctx, cancel := context.WithCancel(t.Context())
			var refused atomic.Int64
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					if err := flood(ctx, s, w, &refused); err != nil {
						t.Error(err)
					}
				})
			}
			out, err := env.Run(t, s, "many.py", scriptWithin)
			cancel()
			wg.Wait()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			if refused.Load() == 0 {
				t.Error("the server was never full: nothing was tested")
			}
			t.Logf("%d requests were refused meanwhile", refused.Load())
		})
	}
}
