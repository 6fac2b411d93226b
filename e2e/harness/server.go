// Package harness runs the built binary and the real SDKs for the end-to-end
// tests: a server on a folder of its own, and one installed environment for
// each SDK generation.
package harness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What every server started here is initialised with.
const (
	OrgID       = "org-e2e"
	OrgName     = "Thread & Needle"
	ProjectID   = "prj-e2e"
	ProjectName = "Loom"
	PublicKey   = "pk-lf-11111111-2222-4333-8444-555555555555"
	SecretKey   = "sk-lf-66666666-7777-4888-8999-aaaaaaaaaaaa"
)

const (
	readyWithin = 60 * time.Second
	stopWithin  = 60 * time.Second
)

// Options says how a server is started. The zero value is a server on a new
// folder with the standard project.
type Options struct {
	Dir    string   // data folder; empty: a new one, removed unless the test fails
	Env    []string // KEY=VALUE pairs added to the standard ones; later ones win
	Args   []string // appended to `clew serve --listen … --data …`
	Prefix []string // a command that runs the server, such as one that makes a namespace
}

// Server is one running `clew serve`. It is stopped, and its exit checked, when
// its test ends.
type Server struct {
	BaseURL   string // http://127.0.0.1:port, no slash at the end
	Dir       string // the data folder
	PublicKey string
	SecretKey string

	t       testing.TB
	cmd     *exec.Cmd
	logPath string
	exited  chan struct{} // closed when the process is gone and waitErr is set
	waitErr error
}

// Start runs a server on dir (a new folder when empty) with env added to its
// environment, and returns when it is ready.
func Start(t testing.TB, dir string, env ...string) *Server {
	t.Helper()
	return StartWith(t, Options{Dir: dir, Env: env})
}

// StartWith runs a server as o says and returns when GET /api/public/ready
// answers 200. The test fails at once when that does not happen.
func StartWith(t testing.TB, o Options) *Server {
	t.Helper()
	s := Launch(t, o)
	if err := s.WaitReady(readyWithin); err != nil {
		t.Fatalf("start: %v", err)
	}
	return s
}

// Launch starts the process and does not wait for it to be ready; for servers
// that are expected to refuse.
func Launch(t testing.TB, o Options) *Server {
	t.Helper()
	bin := Binary(t)
	home := keptFolder(t)
	dir := o.Dir
	if dir == "" {
		dir = filepath.Join(home, "data")
	}
	addr := freeAddr(t)
	logPath := filepath.Join(home, "server.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the child holds its own descriptor

	argv := append([]string{}, o.Prefix...)
	argv = append(argv, bin, "serve", "--listen", addr, "--data", dir)
	argv = append(argv, o.Args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(cleanEnv(),
		"CLEW_INIT_ORG_ID="+OrgID,
		"CLEW_INIT_ORG_NAME="+OrgName,
		"CLEW_INIT_PROJECT_ID="+ProjectID,
		"CLEW_INIT_PROJECT_NAME="+ProjectName,
		"CLEW_INIT_PROJECT_PUBLIC_KEY="+PublicKey,
		"CLEW_INIT_PROJECT_SECRET_KEY="+SecretKey,
		"CLEW_INIT_USER_EMAIL=weaver@example.com",
		"CLEW_INIT_USER_NAME=Weaver",
		"CLEW_INIT_USER_PASSWORD=shuttle-and-heddle",
	)
	cmd.Env = append(cmd.Env, o.Env...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %v: %v", argv, err)
	}
	s := &Server{
		BaseURL: "http://" + addr, Dir: dir, PublicKey: PublicKey, SecretKey: SecretKey,
		t: t, cmd: cmd, logPath: logPath, exited: make(chan struct{}),
	}
	go func() {
		s.waitErr = cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(s.finish)
	return s
}

// WaitReady returns nil once the server says that it is ready, and an error
// with the end of its log when it has gone or the time is over.
func (s *Server) WaitReady(within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		select {
		case <-s.exited:
			return fmt.Errorf("the server exited (%v) before it was ready; its log ends:\n%s", s.waitErr, s.Log())
		default:
		}
		resp, err := http.Get(s.BaseURL + "/api/public/ready")
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("ready answers %d", resp.StatusCode)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready after %v: %w; the log ends:\n%s", within, err, s.Log())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Pid is the process id of the server (of the prefix command, if there is one).
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Kill ends the process with SIGKILL and returns when it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // already gone is as good
	<-s.exited
}

// Stop sends SIGTERM, waits, and fails the test unless the exit code is 0.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("stop: %v", err)
	}
	if err := s.Wait(stopWithin); err != nil {
		s.t.Errorf("stop: %v", err)
	}
}

// Wait returns when the process has exited: nil for exit code 0. A process
// that outlives the time is killed, which is an error.
func (s *Server) Wait(within time.Duration) error {
	select {
	case <-s.exited:
	case <-time.After(within):
		s.Kill()
		return fmt.Errorf("still running after %v; the log ends:\n%s", within, s.Log())
	}
	if s.waitErr != nil {
		return fmt.Errorf("exit: %w; the log ends:\n%s", s.waitErr, s.Log())
	}
	return nil
}

// Log returns the last 16 KiB that the server printed.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.logPath)
	if err != nil {
		return err.Error()
	}
	if len(b) > 16<<10 {
		b = b[len(b)-16<<10:]
	}
	return string(b)
}

// Do sends one request with the project's keys and returns status, headers and
// the whole body. A failing connection fails the test.
func (s *Server) Do(method, path string, header http.Header, body []byte) (int, http.Header, []byte) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth(s.PublicKey, s.SecretKey)
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v; the log ends:\n%s", method, path, err, s.Log())
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: reading the answer: %v", method, path, err)
	}
	return resp.StatusCode, resp.Header, b
}

func (s *Server) finish() {
	select {
	case <-s.exited: // the test ended it itself, and judged how
	default:
		s.Stop()
	}
	if s.t.Failed() {
		s.t.Logf("data folder kept: %s\nthe server's log (%s) ends:\n%s", s.Dir, s.logPath, s.Log())
	}
}

// Binary is the path of the program under test: CLEW_BIN, or bin/clew built
// from this tree once per process.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := builtBinary()
	if err != nil {
		t.Fatalf("build clew: %v", err)
	}
	return path
}

var builtBinary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("CLEW_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	root, err := repoRoot()
	if err != nil {
		return "", err
	}
	out := filepath.Join(root, "bin", "clew")
	err = locked(filepath.Join(root, ".cache", "test", "clew.lock"), func() error {
		cmd := exec.Command("go", "build", "-o", out, "./cmd/clew")
		cmd.Dir = root
		if b, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, b)
		}
		return nil
	})
	return out, err
})

// repoRoot is the folder of go.mod above the working directory.
func repoRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}

// keptFolder is a new folder that outlives a test which failed.
func keptFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "clew-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(dir)
		}
	})
	return dir
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// cleanEnv is the environment without what would configure the server or an
// SDK behind the test's back, and without proxies.
func cleanEnv() []string {
	var kept []string
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(key)
		switch {
		case strings.HasPrefix(upper, "CLEW_"), strings.HasPrefix(upper, "LANGFUSE_"),
			strings.HasPrefix(upper, "OTEL_"), strings.HasSuffix(upper, "_PROXY"):
		default:
			kept = append(kept, kv)
		}
	}
	return kept
}

// TryPost sends a JSON body with the project's keys and returns the status and
// the answer; a failing connection is an error, for tests that cut it.
func (s *Server) TryPost(path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequest(http.MethodPost, s.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.SetBasicAuth(s.PublicKey, s.SecretKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// Inputs reads a trace and returns the input of each of its observations, which
// must be texts.
func (s *Server) Inputs(trace string) (map[string]string, error) {
	status, _, body := s.Do(http.MethodGet, "/api/public/traces/"+url.PathEscape(trace), nil, nil)
	if status != http.StatusOK {
		return nil, fmt.Errorf("status %d: %.200s", status, body)
	}
	var t struct {
		Observations []struct {
			ID    string `json:"id"`
			Input string `json:"input"`
		} `json:"observations"`
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, o := range t.Observations {
		out[o.ID] = o.Input
	}
	return out, nil
}
