package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clewhq/clew/e2e/exchange"
	"github.com/clewhq/clew/e2e/harness"
)

// TestExchanges sends every request of testdata to the binary, each file to a
// server of its own, and compares the answers.
func TestExchanges(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of exchanges in testdata (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := exchange.Parse(string(text))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			srv := harness.Start(t, "")
			r := exchange.Runner{BaseURL: srv.BaseURL, PublicKey: srv.PublicKey, SecretKey: srv.SecretKey}
			for _, e := range script {
				found, err := r.Run(e)
				if err != nil {
					t.Fatalf("%s:%d: %s %s: %v", file, e.Line, e.Method, e.Path, err)
				}
				for _, f := range found {
					t.Errorf("%s:%d: %s %s: %s", file, e.Line, e.Method, e.Path, f)
				}
			}
		})
	}
}
