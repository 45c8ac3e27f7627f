// Package s3test starts versitygw, a real S3 server, for tests: on a free port,
// its buckets in a folder of its own; and it counts, delays and cuts off what is
// asked of it.
//
// Its files need extended attributes: without them (its --sidecar) what it says
// of an object and the object are not written as one.
//
// The program is built by scripts/versitygw-build.sh, or named by
// THRONG_VERSITYGW. Without it a test is skipped, and says so.
package s3test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Credentials of every server.
const (
	AccessKey = "throng-test"
	SecretKey = "throng-test-secret"
)

// startTime is how long a server may take to answer, on a busy machine.
const startTime = 60 * time.Second

// Server is one versitygw with a door of ours before it, which can be shut.
type Server struct {
	Endpoint string // URL of the door

	dir     string
	process *exec.Cmd
	ended   chan struct{}
	said    *bytes.Buffer

	front *http.Server
	cut   atomic.Bool

	mu   sync.Mutex
	seen []string // guarded by mu; "METHOD /path" of requests
}

// Binary is the server program that tests use; empty: there is none.
func Binary() string {
	if name := os.Getenv("THRONG_VERSITYGW"); name != "" { //nolint:forbidigo // a test's, not the product's
		return name
	}
	_, here, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(here), "..", "..", "scripts", "versitygw-build.sh")
	ctx, cancel := context.WithTimeout(context.Background(), startTime) //nolint:forbidigo // asked before there is a test
	defer cancel()
	out, err := exec.CommandContext(ctx, script, "--where").Output() //nolint:gosec // a script of ours that prints a line
	name := strings.TrimSpace(string(out))
	if _, missing := os.Stat(name); err != nil || missing != nil {
		return ""
	}
	return name
}

// Require skips the test if there is no server program.
func Require(t testing.TB) {
	t.Helper()
	if Binary() == "" {
		t.Skip("NOT TESTED: there is no S3 server; scripts/versitygw-build.sh builds one")
	}
}

// Start starts a server with a bucket "places" that ends with the test. The AWS
// credentials of the test's environment become the server's.
func Start(t testing.TB) *Server {
	t.Helper()
	Require(t)
	for name, value := range Environment() {
		setenv(t, name, value)
	}
	s := &Server{dir: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(s.dir, "buckets", "places"), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 10 { // another process may take the port first
		if err = s.run(); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

// Environment is what a process needs in it to use the servers.
func Environment() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": AccessKey, "AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_REGION": "us-east-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
}

// setenv sets a variable for the rest of the process: what it says is the same
// for all tests, which run side by side.
func setenv(t testing.TB, name, value string) {
	t.Helper()
	if err := os.Setenv(name, value); err != nil { //nolint:usetesting // see above
		t.Fatal(err)
	}
}

func (s *Server) run() error {
	free, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		return err
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		return err
	}
	s.said = &bytes.Buffer{}
	s.process = exec.Command(Binary(), "--access", AccessKey, "--secret", SecretKey, "--port", addr, //nolint:gosec,noctx // ended by stop
		"--quiet", "--keep-alive", "posix", filepath.Join(s.dir, "buckets"))
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.process.Stdout, s.process.Stderr = s.said, s.said
	s.process.WaitDelay = time.Second
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("start %s: %w", Binary(), err)
	}
	s.ended = make(chan struct{})
	go func(p *exec.Cmd, ended chan struct{}) {
		_ = p.Wait() // it is killed
		close(ended)
	}(s.process, s.ended)
	for until := time.Now().Add(startTime); ; {
		conn, err := net.DialTimeout("tcp", addr, time.Second) //nolint:noctx // bounded
		if err == nil {
			_ = conn.Close()
			break
		}
		select {
		case <-s.ended:
			return fmt.Errorf("%s ended: %s", Binary(), s.said)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(until) {
			s.kill()
			return fmt.Errorf("%s does not listen after %s", Binary(), startTime)
		}
	}
	return s.door(addr)
}

// door puts a door before the server.
func (s *Server) door(addr string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		return err
	}
	target := &url.URL{Scheme: "http", Host: addr}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
			r.Out.Header = r.In.Header.Clone()
		},
		Transport:    &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	s.Endpoint = "http://" + l.Addr().String()
	s.front = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cut.Load() {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		s.mu.Lock()
		s.seen = append(s.seen, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		proxy.ServeHTTP(w, r)
	})}
	go func() { _ = s.front.Serve(l) }() // ends with Close
	return nil
}

func (s *Server) kill() {
	_ = s.process.Process.Kill() // it may be over
	<-s.ended
}

func (s *Server) stop() {
	_ = s.front.Close()
	s.kill()
}

// URL is the bucket "places" from a prefix on, as throng names it.
func (s *Server) URL(prefix string) string {
	return "s3://places/" + prefix + "?endpoint=" + url.QueryEscape(s.Endpoint)
}

// Cut shuts the door, or opens it again: connections break while it is shut.
func (s *Server) Cut(cut bool) { s.cut.Store(cut) }

// Count is how many requests had the method and a path with the word in it, since
// the last Reset.
func (s *Server) Count(method, word string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, line := range s.seen {
		if strings.HasPrefix(line, method+" ") && strings.Contains(line, word) {
			n++
		}
	}
	return n
}

// Reset forgets what was counted.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}

// File is where the server keeps an object of the bucket "places".
func (s *Server) File(key string) string {
	return filepath.Join(s.dir, "buckets", "places", filepath.FromSlash(key))
}

// Await looks every 10 ms until ok, for a minute at most.
func Await(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s", what, startTime)
		case <-look.C:
		}
	}
	return nil
}
