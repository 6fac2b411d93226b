package e2e

import (
	"testing"
	"time"

	"github.com/clewhq/clew/e2e/harness"
)

// scriptWithin bounds one SDK script; they take seconds, most of it importing.
const scriptWithin = 90 * time.Second

// TestSDKs runs every script of every SDK generation against one server. The
// scripts send, read back at once, and say each difference from what the
// Langfuse API promises.
func TestSDKs(t *testing.T) {
	if testing.Short() {
		t.Skip("installs SDKs")
	}
	srv := harness.Start(t, "")
	for _, generation := range []string{"python2", "python3", "python4", "python5", "python-parea", "js3", "js4", "js5"} {
		t.Run(generation, func(t *testing.T) {
			env := harness.Install(t, generation)
			for _, script := range env.Scripts(t) {
				t.Run(script, func(t *testing.T) {
					out, err := env.Run(t, srv, script, scriptWithin)
					if err != nil {
						t.Errorf("%v\n%s", err, out)
					}
				})
			}
		})
	}
}
