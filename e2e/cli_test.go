package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clewhq/clew/e2e/harness"
)

// clew runs the program and returns what it printed and its exit code.
func clew(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestCommands(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  []string
		exit int
		says string
	}{
		{nil, nil, 2, "Usage: clew COMMAND"},
		{[]string{"help"}, nil, 0, "Commands:"},
		{[]string{"nonsense"}, nil, 2, `there is no command "nonsense"`},
		{[]string{"version"}, nil, 0, "clew "},
		{[]string{"serve", "--help"}, nil, 0, "CLEW_INIT_PROJECT_SECRET_KEY"},
		{[]string{"serve", "--otlp-grpc", "127.0.0.1:4317"}, nil, 1, "OTLP over gRPC is not served yet"},
		{[]string{"serve", "--listen", "nowhere"}, nil, 1, "must be host:port"},
		{[]string{"config"}, []string{"CLEW_LISTEN=:1", "LANGFUSE_INIT_PROJECT_SECRET_KEY=sk-lf-hush"}, 0, "CLEW_LISTEN"},
		{[]string{"check"}, nil, 0, "the configuration is sound"},
		{[]string{"check"}, []string{"CLEW_QUEUE=x"}, 1, "--queue (CLEW_QUEUE)"},
		{[]string{"check", "--data", "/no/such/folder"}, nil, 1, "is no data folder"},
		{[]string{"keys", "nonsense"}, nil, 1, ""},
		{[]string{"demo"}, nil, 1, "no server runs"},
		{[]string{"demo", "--sessions", "0"}, nil, 1, "from 1 to 100000"},
	} {
		out, exit := clew(t, c.env, c.args...)
		if exit != c.exit || !strings.Contains(out, c.says) || strings.Contains(out, "hush") || strings.Contains(out, "goroutine ") {
			t.Errorf("clew %v: exit %d, want %d and %q:\n%s", c.args, exit, c.exit, c.says, out)
		}
	}
}

// Keys are managed alike through a running server and in a folder without one.
func TestKeys(t *testing.T) {
	s := harness.Start(t, "")
	public := regexp.MustCompile(`pk-lf-[0-9a-f-]{36}`)
	for _, running := range []bool{true, false} {
		if !running {
			s.Stop()
		}
		out, exit := clew(t, nil, "keys", "create", "--data", s.Dir, "--note", "a note")
		made := public.FindString(out)
		if exit != 0 || made == "" || !strings.Contains(out, "LANGFUSE_SECRET_KEY=sk-lf-") {
			t.Fatalf("create, server running: %v: exit %d\n%s", running, exit, out)
		}
		if out, exit := clew(t, nil, "keys", "--data", s.Dir); exit != 0 || !strings.Contains(out, made) || !strings.Contains(out, "a note") || !strings.Contains(out, harness.PublicKey) {
			t.Errorf("list, server running: %v: exit %d\n%s", running, exit, out)
		}
		if out, exit := clew(t, nil, "keys", "revoke", "--data", s.Dir, made); exit != 0 {
			t.Errorf("revoke, server running: %v: exit %d\n%s", running, exit, out)
		}
		if out, exit := clew(t, nil, "keys", "revoke", "--data", s.Dir, made); exit == 0 {
			t.Errorf("revoked twice, server running: %v:\n%s", running, out)
		}
	}
}

// The sample goes in through the API, and leaves no key behind.
func TestDemo(t *testing.T) {
	s := harness.Start(t, "")
	out, exit := clew(t, nil, "demo", "--data", s.Dir, "--sessions", "12", "--seed", "7")
	m := regexp.MustCompile(`(\d+) traces with (\d+) observations and (\d+) scores`).FindStringSubmatch(out)
	if exit != 0 || m == nil {
		t.Fatalf("exit %d\n%s", exit, out)
	}
	last := regexp.MustCompile(`/api/public/traces/\S+`).FindString(out)
	status, _, body := s.Do("GET", last, nil, nil)
	if status != 200 || !strings.Contains(string(body), `"sessionId":"session-`) {
		t.Errorf("%s: %d %.300s", last, status, body)
	}
	for path, want := range map[string]string{
		"/api/public/v2/prompts/support%2Fanswer": `Be brief and kind.`, "/api/public/datasets/support%2Fquestions/runs": `"totalItems":2`,
		"/api/public/annotation-queues": `"totalItems":1`, "/api/public/comments": `"totalItems":1`, "/api/public/score-configs": `"totalItems":3`,
	} {
		if status, _, body := s.Do("GET", path, nil, nil); status != 200 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
	}
	if out, _ := clew(t, nil, "keys", "--data", s.Dir); strings.Contains(out, "clew demo") {
		t.Errorf("a key of the demo is left:\n%s", out)
	}
	s.Stop()
	checked, exit := clew(t, nil, "check", "--data", s.Dir)
	if want := m[1] + " traces, " + m[2] + " observations, " + m[3] + " scores"; exit != 0 || !strings.Contains(checked, want) {
		t.Errorf("check: exit %d, want %q:\n%s", exit, want, checked)
	}
	s = harness.Start(t, s.Dir)
	if out, exit := clew(t, nil, "demo", "--data", s.Dir, "--sessions", "1"); exit != 0 {
		t.Errorf("a second time: exit %d\n%s", exit, out)
	}
	s.Stop()
	if _, err := os.Stat(filepath.Join(s.Dir, "run.json")); err == nil {
		t.Error("run.json is left after a stop")
	}
}
