package server

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/clewhq/clew/internal/domain"
)

// load is LoadConfig with these variables.
func load(t *testing.T, env map[string]string, args ...string) (*Config, []Setting, error) {
	t.Helper()
	return LoadConfig("serve", args, func(name string) (string, bool) { v, found := env[name]; return v, found }, io.Discard)
}

func TestConfigPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clew.env")
	text := "# comment\n\nCLEW_LISTEN=127.0.0.1:1\nCLEW_DATA = \"of the file\"\nCLEW_LOG_LEVEL=debug\nLANGFUSE_INIT_ORG_ID=org\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, list, err := load(t, map[string]string{"CLEW_LISTEN": "127.0.0.1:2", "CLEW_DATA": "", "LANGFUSE_INIT_PROJECT_ID": "lf", "CLEW_INIT_PROJECT_SECRET_KEY": "hush"},
		"--config", file, "--listen", "127.0.0.1:3", "--max-body", "1MiB", "--pprof")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:3" || c.Data != "of the file" || c.LogLevel != slog.LevelDebug || c.MaxBody != 1<<20 || !c.Pprof ||
		c.QueueBytes != 64<<20 || c.Init.OrgID != "org" || c.Init.ProjectID != "lf" {
		t.Errorf("%+v", c)
	}
	got := map[string]Setting{}
	for _, s := range list {
		got[s.Name] = s
		if strings.Contains(s.Value, "hush") {
			t.Errorf("%s tells a secret", s.Name)
		}
	}
	for name, source := range map[string]string{"--listen": "flag", "--data": "file", "--queue": "default", "CLEW_INIT_PROJECT_ID": "LANGFUSE_INIT_PROJECT_ID"} {
		if got[name].Source != source {
			t.Errorf("%s is from %q, want %q", name, got[name].Source, source)
		}
	}
	c, _, err = load(t, map[string]string{"CLEW_CONFIG": file, "CLEW_INIT_ORG_ID": "ours", "LANGFUSE_INIT_ORG_ID": "theirs"})
	if err != nil || c.Init.OrgID != "ours" || c.Listen != "127.0.0.1:1" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	unknown := filepath.Join(t.TempDir(), "x.env")
	if err := os.WriteFile(unknown, []byte("CLEW_LISTN=:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env  map[string]string
		args []string
		says string
	}{
		{nil, []string{"--listen", "3000"}, "--listen (flag): must be host:port"},
		{nil, []string{"--listen", "localhost:99999"}, "no port"},
		{map[string]string{"CLEW_MAX_BODY": "a lot"}, nil, "--max-body (CLEW_MAX_BODY): must be a size"},
		{nil, []string{"--log-format", "xml"}, "must be text or json"},
		{nil, []string{"--log-level", "loud"}, "--log-level"},
		{nil, []string{"--otlp-grpc", "127.0.0.1:4317"}, "OTLP over gRPC is not served yet"},
		{nil, []string{"serve"}, "takes flags only"},
		{nil, []string{"--nonsense"}, "not defined"},
		{nil, []string{"--config", "/no/such/file"}, "configuration file"},
		{nil, []string{"--config", unknown}, "CLEW_LISTN, which is no setting"},
	} {
		if _, _, err := load(t, c.env, c.args...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v %v: %v, want it to say %q", c.env, c.args, err, c.says)
		}
	}
	var help bytes.Buffer
	if _, _, err := LoadConfig("serve", []string{"--help"}, func(string) (string, bool) { return "", false }, &help); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("help: %v", err)
	}
	for _, word := range []string{"-listen", "-data", "CLEW_INIT_PROJECT_SECRET_KEY", "LANGFUSE_INIT_"} {
		if !strings.Contains(help.String(), word) {
			t.Errorf("the help does not name %s:\n%s", word, help.String())
		}
	}
}

func start(t *testing.T, dir string, args ...string) *Server {
	t.Helper()
	c, _, err := load(t, map[string]string{
		"CLEW_INIT_ORG_ID": "o", "CLEW_INIT_PROJECT_ID": "p", "CLEW_INIT_PROJECT_PUBLIC_KEY": "pk-lf-test", "CLEW_INIT_PROJECT_SECRET_KEY": "sk-lf-test-secret",
	}, append([]string{"--listen", "127.0.0.1:0", "--data", dir}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), c, "1.2.3", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do sends a request with the project's keys, or another Authorization.
func do(t *testing.T, s *Server, method, path, body, authorization string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth("pk-lf-test", "sk-lf-test-secret")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// A stop keeps whatever was answered, and leaves nothing that says it runs.
func TestStopKeepsWhatWasAnswered(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	var mu sync.Mutex
	var kept []string
	stopped := make(chan error, 1)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("t-%d-%d", w, i)
				status, _ := do(t, s, "POST", "/api/public/traces", `{"id":"`+id+`","input":"`+strings.Repeat(id, 50)+`"}`, "")
				if status != http.StatusOK {
					return
				}
				mu.Lock()
				kept = append(kept, id)
				if len(kept) == 150 {
					go func() { stopped <- s.Stop() }()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := os.Stat(runPath(dir)); err == nil {
		t.Error("the run file is still there after the stop")
	}
	s = start(t, dir)
	for _, id := range kept {
		if status, body := do(t, s, "GET", "/api/public/traces/"+id, "", ""); status != http.StatusOK || !strings.Contains(body, strings.Repeat(id, 50)) {
			t.Errorf("%s: %d %.100s", id, status, body)
		}
	}
	if err := s.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// The token in run.json manages keys; a key stops working when it is revoked.
func TestKeysOverHTTP(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	defer s.Stop()
	run, err := ReadRunFile(dir)
	if err != nil || run.URL != s.URL {
		t.Fatalf("%+v, %v", run, err)
	}
	if info, err := os.Stat(runPath(dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("run.json: %v, %v, want nobody else to read it", info.Mode(), err)
	}
	admin := "Bearer " + run.Token
	for path, want := range map[string]int{"/api/v1/keys": 200, "/api/public/traces/x": 403, "/api/v1/nothing": 404} {
		if status, body := do(t, s, "GET", path, "", admin); status != want {
			t.Errorf("%s as the admin: %d %s, want %d", path, status, body, want)
		}
	}
	status, body := do(t, s, "POST", "/api/v1/keys", `{"project":"p","note":"n"}`, admin)
	if status != http.StatusCreated || !strings.Contains(body, `"secretKey":"sk-lf-`) {
		t.Fatalf("create: %d %s", status, body)
	}
	_, list := do(t, s, "GET", "/api/v1/keys", "", admin)
	if strings.Contains(list, `"secretKey":`) || strings.Count(list, `"publicKey":`) != 2 {
		t.Errorf("list: %s", list)
	}
	if status, body := do(t, s, "POST", "/api/v1/keys", `{"project":"nothing"}`, admin); status != http.StatusNotFound {
		t.Errorf("a key of no project: %d %s", status, body)
	}
	if status, body := do(t, s, "DELETE", "/api/v1/keys/pk-lf-test", "", admin); status != http.StatusNoContent {
		t.Errorf("revoke: %d %s", status, body)
	}
	if status, _ := do(t, s, "GET", "/api/public/projects", "", ""); status != http.StatusUnauthorized {
		t.Errorf("a revoked key answers %d", status)
	}
	if status, _ := do(t, s, "GET", "/api/v1/keys", "", "Bearer "+run.Token+"x"); status != http.StatusUnauthorized {
		t.Errorf("another token answers %d", status)
	}
}

func TestSecondServerRefused(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	defer s.Stop()
	c, _, err := load(t, nil, "--listen", "127.0.0.1:0", "--data", dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), c, "1", slog.New(slog.DiscardHandler)); domain.CodeOf(err) != domain.Conflict {
		t.Errorf("a second server: %v", err)
	}
	if _, err := ReadRunFile(dir); err != nil {
		t.Errorf("the refused one took the first one's run.json: %v", err)
	}
	if status, _ := do(t, s, "GET", "/api/public/ready", "", ""); status != http.StatusOK {
		t.Errorf("the first one answers %d", status)
	}
}

// A first start without settings makes a project, and tells its keys once.
func TestFirstKey(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		c, _, err := load(t, nil, "--listen", "127.0.0.1:0", "--data", dir)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Start(t.Context(), c, "1", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if (s.First != nil) != (round == 0) {
			t.Errorf("start %d: first key %v", round, s.First != nil)
		}
		if status, body := do(t, s, "GET", "/", "", ""); status != http.StatusOK || !strings.Contains(body, "Clew is running") {
			t.Errorf("the page: %d %.100s", status, body)
		}
		if status, body := do(t, s, "GET", "/metrics", "", ""); status != http.StatusOK || !strings.Contains(body, "clew_ingest_patches_total") {
			t.Errorf("metrics: %d %.100s", status, body)
		}
		if status, _ := do(t, s, "GET", "/debug/pprof/", "", ""); status != http.StatusNotFound {
			t.Errorf("pprof without its flag answers %d", status)
		}
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}
