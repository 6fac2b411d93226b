package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	publicKey = "pk-lf-00000000-0000-4000-8000-000000000001"
	secretKey = "sk-lf-00000000-0000-4000-8000-000000000002"
	orgKey    = "sk-lf-00000000-0000-4000-8000-000000000004" // the secret half
	// clockTicks is the unit of the times in /proc, the same on every Linux.
	clockTicks = 100
)

// readBuffer is how much the client takes from a socket at once. With the usual
// 4 KiB a large answer would measure the client's system calls.
const readBuffer = 128 << 10

var client = &http.Client{Transport: &http.Transport{ReadBufferSize: readBuffer, MaxIdleConnsPerHost: 8, DisableCompression: true}}

// buffers are reused, so that many small answers do not measure the client's
// memory.
var buffers = sync.Pool{New: func() any { b := make([]byte, readBuffer); return &b }}

// onlyWriter hides what io.CopyBuffer would use instead of its buffer.
type onlyWriter struct{ io.Writer }

// server is the process under measurement.
type server struct {
	url   string
	dir   string
	cmd   *exec.Cmd
	log   *bytes.Buffer
	done  chan error
	ready time.Duration // from the start of the process to the first 200
}

// start runs the server on a folder and waits until it is ready.
func (b *bench) start(ctx context.Context, dir string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()
	s := &server{url: "http://" + addr, dir: dir, log: &bytes.Buffer{}, done: make(chan error, 1)}
	s.cmd = exec.Command(b.bin, "serve", "--listen", addr, "--data", dir, "--pprof")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(),
		"CLEW_INIT_ORG_ID=bench", "CLEW_INIT_PROJECT_ID=bench",
		"CLEW_INIT_ORG_PUBLIC_KEY=pk-lf-00000000-0000-4000-8000-000000000003", "CLEW_INIT_ORG_SECRET_KEY="+orgKey,
		"CLEW_INIT_PROJECT_PUBLIC_KEY="+publicKey, "CLEW_INIT_PROJECT_SECRET_KEY="+secretKey)
	begun := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.done <- s.cmd.Wait() }()
	for {
		resp, err := http.Get(s.url + "/api/public/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				s.ready = time.Since(begun)
				return s, nil
			}
		}
		select {
		case err := <-s.done:
			return nil, fmt.Errorf("the server ended before it was ready: %w\n%s", err, s.log)
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), s.kill())
		case <-time.After(500 * time.Microsecond):
		}
		if time.Since(begun) > 2*time.Minute {
			return nil, errors.Join(errors.New("not ready after two minutes"), s.kill())
		}
	}
}

// stop ends the server in order.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-s.done:
		return err
	case <-time.After(time.Minute):
		return errors.Join(errors.New("the server did not stop within a minute"), s.kill())
	}
}

// kill ends it as a crash would.
func (s *server) kill() error {
	err := s.cmd.Process.Kill()
	<-s.done
	return err
}

// cpu is the processor time used so far.
func (s *server) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may hold spaces
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, errors.New("unexpected /proc/PID/stat")
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	sys, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+sys) * time.Second / clockTicks, errors.Join(err1, err2)
}

// memory is a line of /proc/PID/status in bytes: VmRSS is now, VmHWM the peak.
func (s *server) memory(line string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(b)) {
		if v, found := strings.CutPrefix(l, line+":"); found {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/PID/status has no %s", line)
}

// resetPeak lets VmHWM begin anew.
func (s *server) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0)
}

// disk is the bytes that the data folder takes up.
func (s *server) disk() (n int64, err error) {
	err = filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // given back just now
		}
		if err == nil {
			n += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	return n, err
}

// sealed reports whether no hot log is left.
func (s *server) sealed() bool {
	files, err := filepath.Glob(filepath.Join(s.dir, "bodies", "hot-*"))
	return err == nil && len(files) == 0
}

// settle waits until all is sealed, at most a minute.
func (s *server) settle() {
	for deadline := time.Now().Add(time.Minute); !s.sealed() && time.Now().Before(deadline); {
		time.Sleep(200 * time.Millisecond)
	}
}

// quiet waits until the server has nothing left to do for itself, at most a
// minute: what it tidies up is no part of what is timed next.
func (s *server) quiet() error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		before, err := s.cpu()
		if err != nil {
			return err
		}
		time.Sleep(3 * time.Second)
		after, err := s.cpu()
		if err != nil || after-before < 100*time.Millisecond {
			return err
		}
	}
	return nil
}

// get reads an answer whole and returns its length.
func (s *server) get(ctx context.Context, path string, into io.Writer) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return 0, err
	}
	req.SetBasicAuth(publicKey, secretKey)
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	n, err := io.CopyBuffer(onlyWriter{into}, resp.Body, *buffer)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s answers %s", path, resp.Status)
	}
	return n, err
}

// post sends a body and wants one of the statuses of a success.
func (s *server) post(ctx context.Context, path, contentType string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.SetBasicAuth(publicKey, secretKey)
	req.Header.Set("Content-Type", contentType)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("POST %s answers %s: %.200s", path, resp.Status, answer)
	}
	return nil
}
