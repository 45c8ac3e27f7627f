// Package redistest starts Redis servers for tests: one alone, or a Cluster of
// three masters with a replica each, on free ports, each in a folder of its own,
// and does to them what happens to servers: they are emptied, killed, paused,
// restarted with an old snapshot, failed over.
//
// It needs redis-server, or another binary that THRONG_REDIS_SERVER names, such
// as valkey-server. Without one a test is skipped, and says so. Nothing here
// touches servers that it did not start.
package redistest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// startTime is how long a server may take to do what it is told, on a machine
// that is busy with other tests.
const startTime = 60 * time.Second

// Server is one Redis server.
type Server struct {
	Addr string // host:port

	binary string
	dir    string
	args   []string
	port   int

	process *exec.Cmd
	ended   chan struct{} // closed when process is over
	client  rueidis.Client
}

// Binary is the server program that tests use, empty if there is none.
func Binary() string {
	name := os.Getenv("THRONG_REDIS_SERVER") //nolint:forbidigo // a test's, not the product's
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return path
}

// Require skips the test if there is no server program.
func Require(t testing.TB) {
	t.Helper()
	if Binary() == "" {
		t.Skip("NOT TESTED: there is no redis-server; scripts/setup.sh redis-server:redis-server installs it")
	}
}

// Start starts a server that ends with the test. It saves nothing by itself.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	Require(t)
	s, err := Launch(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Launch starts a server that keeps its files in dir. The caller stops it.
func Launch(dir string, args ...string) (*Server, error) {
	s := &Server{binary: Binary(), dir: dir, args: args}
	var err error
	for range 10 { // another process may take the port first
		if s.port, err = freePort(); err != nil {
			return nil, err
		}
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
		if err = s.run(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// Ports for servers, and 10,000 higher for the Cluster's bus, are below those that
// systems give to outgoing connections: one of these must not sit on the port of a
// server that is to come back, nor reach itself there.
const (
	lowestPort = 11000
	ports      = 11000
	busOffset  = 10000
)

// freePort finds a port that is free, and whose port for the Cluster's bus is too.
func freePort() (int, error) {
	for range 1000 {
		port := lowestPort + rand.IntN(ports) //nolint:gosec // any will do
		if isFree(port) && isFree(port+busOffset) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("there is no free port from %d to %d", lowestPort, lowestPort+ports-1)
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // it returns at once
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// run starts the process and waits until it answers.
func (s *Server) run() error {
	args := append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--daemonize", "no",
		"--save", "", "--appendonly", "no", "--logfile", filepath.Join(s.dir, "redis.log"), "--repl-diskless-sync-delay", "0",
	}, s.args...)
	s.process = exec.Command(s.binary, args...) //nolint:gosec,noctx // a test's own server, ended by Stop
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.process.Dir = s.dir
	s.process.WaitDelay = time.Second // a child of its own may have its output
	var said bytes.Buffer
	s.process.Stderr, s.process.Stdout = &said, &said
	if err := s.process.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.binary, err)
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.process.Wait() // how it ended is not of interest
		close(s.ended)
	}()
	err := Await(startTime, func() error {
		select {
		case <-s.ended:
			return fmt.Errorf("it ended: %s", said.String())
		default:
		}
		_, err := s.Do("PING")
		return err
	}, s.ended)
	if err != nil {
		s.Kill()
		return fmt.Errorf("start a server at %s: %w", s.Addr, err)
	}
	return nil
}

// Await waits until try succeeds, or until gone is closed, and returns its last
// error.
func Await(limit time.Duration, try func() error, gone <-chan struct{}) error {
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-gone:
			return try()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL is where the server is.
func (s *Server) URL() string { return "redis://" + s.Addr }

// PID is the server's process.
func (s *Server) PID() int { return s.process.Process.Pid }

// Do runs a command and returns its answer as text, lines for lists.
func (s *Server) Do(words ...string) (string, error) {
	if s.client == nil {
		c, err := rueidis.NewClient(rueidis.ClientOption{
			InitAddress: []string{s.Addr}, ForceSingleClient: true, DisableCache: true, DisableRetry: true,
			AlwaysRESP2: true, ConnWriteTimeout: 10 * time.Second,
		})
		if err != nil {
			return "", fmt.Errorf("%s: %w", words[0], err)
		}
		s.client = c
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) //nolint:forbidigo // also used when a test is over
	defer cancel()
	m, err := s.client.Do(ctx, s.client.B().Arbitrary(words...).Build()).ToMessage()
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(words[:min(len(words), 3)], " "), err)
	}
	if list, err := m.AsStrSlice(); err == nil {
		return strings.Join(list, "\n"), nil
	}
	if n, err := m.AsInt64(); err == nil {
		return strconv.FormatInt(n, 10), nil
	}
	return m.ToString()
}

// Must is Do for what cannot fail.
func (s *Server) Must(t testing.TB, words ...string) string {
	t.Helper()
	got, err := s.Do(words...)
	if err != nil {
		t.Fatalf("redis at %s: %v", s.Addr, err)
	}
	return got
}

// Save writes a snapshot, which Restart finds.
func (s *Server) Save(t testing.TB) {
	t.Helper()
	s.Must(t, "SAVE")
}

// Kill ends the server at once, as a crash does.
func (s *Server) Kill() {
	_ = s.process.Process.Kill() // it may be over already
	<-s.ended
	s.forget()
}

// forget drops the connection to a process that is over.
func (s *Server) forget() {
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}

// Stop ends the server.
func (s *Server) Stop() { s.Kill() }

// Restart starts a server that was killed, at the same address, with the
// snapshot that Save wrote last.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// RestartEmpty starts a server that was killed, without a snapshot.
func (s *Server) RestartEmpty(t testing.TB) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.dir, "dump.rdb")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	s.Restart(t)
}

// Pause stops the server's process where it stands.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
}

// Continue lets a paused server go on.
func (s *Server) Continue(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGCONT)
}

func (s *Server) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		t.Fatalf("signal redis at %s: %v", s.Addr, err)
	}
}

// CPU is how much processor time the server has used.
func (s *Server) CPU(t testing.TB) time.Duration {
	t.Helper()
	var total float64
	for line := range strings.Lines(s.Must(t, "INFO", "cpu")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			total += v
		}
	}
	return time.Duration(total * float64(time.Second))
}

// Memory is how many bytes the server's data take.
func (s *Server) Memory(t testing.TB) int64 {
	t.Helper()
	for line := range strings.Lines(s.Must(t, "INFO", "memory")) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("INFO memory has no used_memory")
	return 0
}

func makeDir(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make a folder for a server: %w", err)
	}
	return nil
}
