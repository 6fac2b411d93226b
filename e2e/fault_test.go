package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clewhq/clew/e2e/harness"
)

// noise is text that does not pack, so that a disk fills up as fast as it is
// written to.
func noise(r *rand.Rand, n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(64)]
	}
	return string(b)
}

// postSpan exports one span of a trace of its own and returns the status and
// the headers.
func postSpan(s *harness.Server, n int, input string) (int, http.Header, string) {
	now := time.Now().UnixNano()
	body := fmt.Sprintf(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x","name":"step",
		"startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[{"key":"langfuse.observation.input","value":{"stringValue":%q}}]}]}]}]}`,
		n, n, now, now+1000, input)
	status, header, answer := s.Do(http.MethodPost, "/v1/traces", nil, []byte(body))
	return status, header, string(answer)
}

// inputOf reads the only observation's input of a trace that postSpan wrote.
func inputOf(t *testing.T, s *harness.Server, n int) string {
	t.Helper()
	status, _, body := s.Do(http.MethodGet, fmt.Sprintf("/api/public/traces/%032x", n), nil, nil)
	var trace struct {
		Observations []struct {
			Input string `json:"input"`
		} `json:"observations"`
	}
	if err := json.Unmarshal(body, &trace); err != nil || status != http.StatusOK || len(trace.Observations) != 1 {
		t.Errorf("trace %d: status %d, %v: %.300s", n, status, err, body)
		return ""
	}
	return trace.Observations[0].Input
}

// mounted is the command before a server that gives it a mount namespace of its
// own, in which script has run. Where the system refuses that, the test fails
// under CI and is skipped elsewhere.
func mounted(t *testing.T, script string) []string {
	t.Helper()
	unshare := []string{"unshare", "-m"}
	if os.Getuid() != 0 {
		unshare = []string{"unshare", "-rm"}
	}
	if out, err := exec.Command(unshare[0], append(unshare[1:], "mount", "-t", "tmpfs", "tmpfs", "/mnt")...).CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no mount namespace to be had: %v: %s", err, out)
		}
		t.Skipf("no mount namespace to be had: %v: %s", err, out)
	}
	return append(unshare, "sh", "-ec", script+"\nexec \"$@\"", "sh")
}

// A full disk refuses writes with a reason and a time to try again, takes
// nothing back that was answered, and is over once there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := harness.StartWith(t, harness.Options{
		Dir: dir,
		Prefix: mounted(t, fmt.Sprintf(`mount -t tmpfs -o size=32m tmpfs %[1]q
			dd if=/dev/zero of=%[1]q/ballast bs=1M count=12 2>/dev/null`, dir)),
	})
	r := rand.New(rand.NewPCG(1, 2))
	var kept []string
	var status int
	var header http.Header
	var answer string
	for len(kept) < 2000 {
		in := noise(r, 100_000)
		if status, header, answer = postSpan(s, len(kept)+1, in); status != http.StatusOK {
			break
		}
		kept = append(kept, in)
	}
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.Contains(answer, "disk is full") {
		t.Fatalf("after %d spans a full disk answers %d, Retry-After %q: %s", len(kept), status, header.Get("Retry-After"), answer)
	}
	if status, _, body := s.Do(http.MethodGet, "/api/public/ready", nil, nil); status != http.StatusServiceUnavailable || !strings.Contains(string(body), "disk is full") {
		t.Errorf("ready answers %d on a full disk: %s", status, body)
	}
	for n, in := range kept {
		if got := inputOf(t, s, n+1); got != in {
			t.Fatalf("span %d of %d, answered before the disk was full, reads as %d bytes", n+1, len(kept), len(got))
		}
	}
	// The namespace's files are reached through its process.
	if err := os.Remove(fmt.Sprintf("/proc/%d/root%s/ballast", s.Pid(), dir)); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReady(10 * time.Second); err != nil {
		t.Fatalf("after room was made: %v", err)
	}
	if status, _, answer := postSpan(s, 9999, "there is room"); status != http.StatusOK {
		t.Fatalf("a write after room was made answers %d: %s", status, answer)
	}
	if got := inputOf(t, s, 9999); got != "there is room" {
		t.Errorf("a write after room was made reads as %q", got)
	}
}

// exitsWith starts a server that must end by itself with an error that names
// the reason.
func exitsWith(t *testing.T, o harness.Options, reason string) {
	t.Helper()
	s := harness.Launch(t, o)
	if err := s.Wait(20 * time.Second); err == nil || strings.Contains(err.Error(), "still running") {
		t.Errorf("the server did not refuse: %v", err)
	}
	if log := s.Log(); !strings.Contains(log, reason) || strings.Contains(log, "goroutine ") {
		t.Errorf("the log does not say %q plainly:\n%s", reason, log)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	dir := t.TempDir()
	s := harness.Start(t, dir)
	if status, _, answer := postSpan(s, 1, "kept"); status != http.StatusOK {
		t.Fatalf("write: %d %s", status, answer)
	}
	s.Stop()
	before := listing(t, dir)
	exitsWith(t, harness.Options{
		Dir:    dir,
		Prefix: mounted(t, fmt.Sprintf("mount --bind %[1]q %[1]q\nmount -o remount,ro,bind %[1]q", dir)),
	}, "not writable")
	if after := listing(t, dir); after != before {
		t.Errorf("a refused start changed the folder from\n%s\nto\n%s", before, after)
	}
	s = harness.Start(t, dir)
	if got := inputOf(t, s, 1); got != "kept" {
		t.Errorf("afterwards it reads as %q", got)
	}
}

// listing is the names and sizes of the files in a folder.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintln(&b, strings.TrimPrefix(path, dir), info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSecondServer(t *testing.T) {
	s := harness.Start(t, "")
	exitsWith(t, harness.Options{Dir: s.Dir}, "in use by another process")
	if status, _, answer := postSpan(s, 1, "x"); status != http.StatusOK {
		t.Errorf("the first server answers %d then: %s", status, answer)
	}
}

// check runs `clew check --data` and returns what it printed.
func check(t *testing.T, dir string) (string, error) {
	t.Helper()
	out, err := exec.Command(harness.Binary(t), "check", "--data", dir).CombinedOutput()
	return string(out), err
}

// damage turns bytes in the middle of a file over.
func damage(t *testing.T, path string, at int64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 0x5a
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// A database that is none is refused; a damaged body fails its own trace alone,
// and the check names both.
func TestDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	s := harness.Start(t, dir)
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 2 {
		if status, _, answer := postSpan(s, n+1, noise(r, 50_000)); status != http.StatusOK {
			t.Fatalf("write: %d %s", status, answer)
		}
	}
	s.Kill() // before anything is sealed: the bodies are in a hot log
	if out, err := check(t, dir); err != nil {
		t.Fatalf("check of a sound folder: %v\n%s", err, out)
	}
	hot, err := filepath.Glob(filepath.Join(dir, "bodies", "hot-*"))
	if err != nil || len(hot) != 1 {
		t.Fatalf("hot logs %v, %v", hot, err)
	}
	damage(t, hot[0], 70_000, 100) // in the second span's input
	if out, err := check(t, dir); err == nil || !strings.Contains(out, "damaged") {
		t.Errorf("check of a damaged body: %v\n%s", err, out)
	}
	s = harness.Start(t, dir)
	if got := inputOf(t, s, 1); len(got) != 50_000 {
		t.Errorf("the sound trace reads as %d bytes", len(got))
	}
	if status, _, body := s.Do(http.MethodGet, fmt.Sprintf("/api/public/traces/%032x", 2), nil, nil); status < 500 {
		t.Errorf("the damaged trace answers %d: %.200s", status, body)
	}
	s.Stop()

	damage(t, filepath.Join(dir, "traces.db"), 0, 32)
	exitsWith(t, harness.Options{Dir: dir}, "traces.db is not a database")
	if out, err := check(t, dir); err == nil || !strings.Contains(out, "traces.db") {
		t.Errorf("check of a damaged database: %v\n%s", err, out)
	}
}
