package harness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// installWithin bounds the set-up of one environment on a cold machine.
const installWithin = 5 * time.Minute

// Environment is one SDK generation, installed from its lock file into a folder
// that stays for later runs.
type Environment struct {
	generation string // name of the folder in e2e/sdk: python2 … js5
	source     string // that folder
	dir        string // what is installed
}

// Install returns the environment of a generation (a folder of e2e/sdk),
// installing it when this machine does not have it yet. What is installed is
// keyed by lock file and interpreter, so a changed lock makes a new one.
func Install(t testing.TB, generation string) *Environment {
	t.Helper()
	root, err := repoRoot()
	if err != nil {
		t.Fatal(err)
	}
	e := &Environment{generation: generation, source: filepath.Join(root, "e2e", "sdk", generation)}
	key, err := e.key()
	if err != nil {
		t.Fatalf("environment %s: %v", generation, err)
	}
	cache := filepath.Join(root, ".cache", "test")
	e.dir = filepath.Join(cache, key)
	err = locked(filepath.Join(cache, key+".lock"), func() error {
		if _, err := os.Stat(filepath.Join(e.dir, "ok")); err == nil {
			return nil
		}
		if err := os.RemoveAll(e.dir); err != nil { // half of one, from an installation that was cut short
			return err
		}
		if err := os.MkdirAll(e.dir, 0o755); err != nil {
			return err
		}
		if err := e.install(); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(e.dir, "ok"), []byte(generation+"\n"), 0o644)
	})
	if err != nil {
		t.Fatalf("environment %s: %v", generation, err)
	}
	return e
}

func (e *Environment) python() bool { return strings.HasPrefix(e.generation, "python") }

func (e *Environment) key() (string, error) {
	lock, version := "package-lock.json", []string{"node", "--version"}
	if e.python() {
		lock, version = "requirements.txt", []string{"python3", "-c", "import sys, platform; print(sys.version, platform.platform())"}
	}
	b, err := os.ReadFile(filepath.Join(e.source, lock))
	if err != nil {
		return "", err
	}
	v, err := exec.Command(version[0], version[1:]...).Output()
	if err != nil {
		return "", fmt.Errorf("%v: %w", version, err)
	}
	sum := sha256.Sum256(append(append(b, 0), v...))
	return e.generation + "-" + hex.EncodeToString(sum[:8]), nil
}

func (e *Environment) install() error {
	if e.python() {
		if err := e.run("python3", "-m", "venv", e.dir); err != nil {
			return err
		}
		return e.run(filepath.Join(e.dir, "bin", "python"), "-m", "pip", "install", "--quiet",
			"--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes", "--only-binary=:all:",
			"-r", filepath.Join(e.source, "requirements.txt"))
	}
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		if err := copyFile(filepath.Join(e.dir, name), filepath.Join(e.source, name)); err != nil {
			return err
		}
	}
	return e.run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
}

func (e *Environment) run(argv ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), installWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = e.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", argv, errors.Join(err, ctx.Err()), out)
	}
	return nil
}

// Scripts lists the scripts of the generation, by name and in order.
func (e *Environment) Scripts(t testing.TB) []string {
	t.Helper()
	pattern := "*.mjs"
	if e.python() {
		pattern = "*.py"
	}
	found, err := filepath.Glob(filepath.Join(e.source, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("environment %s: no scripts in %s (%v)", e.generation, e.source, err)
	}
	for i, path := range found {
		found[i] = filepath.Base(path)
	}
	return found
}

// Run runs one script of the generation against s, with the settings that the
// SDKs read from the environment, and returns what it printed. The error is
// non-nil when the script exits with another code than 0 or is not done in time.
func (e *Environment) Run(t testing.TB, s *Server, script string, within time.Duration, env ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := e.command(ctx, t, script)
	cmd.Env = append(cleanEnv(),
		"LANGFUSE_HOST="+s.BaseURL,     // what Python 2, Python 3 and JS 3 read
		"LANGFUSE_BASE_URL="+s.BaseURL, // what later ones read
		"LANGFUSE_BASEURL="+s.BaseURL,
		"LANGFUSE_PUBLIC_KEY="+s.PublicKey,
		"LANGFUSE_SECRET_KEY="+s.SecretKey,
		"CLEW_PROJECT_ID="+ProjectID,
		"CLEW_PROJECT_NAME="+ProjectName,
		"CLEW_ORG_ID="+OrgID,
		"CLEW_ORG_NAME="+OrgName,
		"PYTHONPATH="+filepath.Dir(e.source),
		"PYTHONDONTWRITEBYTECODE=1",
		"PYTHONUNBUFFERED=1",
		"DO_NOT_TRACK=1",
	)
	cmd.Env = append(cmd.Env, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // do not wait for grandchildren that hold the pipe
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done after %v: %w", within, err)
	}
	return out.String(), err
}

// command is the script's process. Node resolves packages from the folder of
// the script, so JS scripts run as copies below their installed packages.
func (e *Environment) command(ctx context.Context, t testing.TB, script string) *exec.Cmd {
	t.Helper()
	if e.python() {
		return exec.CommandContext(ctx, filepath.Join(e.dir, "bin", "python"), filepath.Join(e.source, script))
	}
	run, err := os.MkdirTemp(e.dir, "run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	shared, err := fs.Glob(os.DirFS(filepath.Dir(e.source)), "*.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(run, e.generation), 0o755); err != nil {
		t.Fatal(err)
	}
	copies := append(shared, filepath.Join(e.generation, script))
	for _, name := range copies {
		if err := copyFile(filepath.Join(run, name), filepath.Join(filepath.Dir(e.source), name)); err != nil {
			t.Fatal(err)
		}
	}
	return exec.CommandContext(ctx, "node", filepath.Join(run, e.generation, script))
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
