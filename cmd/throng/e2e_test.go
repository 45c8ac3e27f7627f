package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
)

// The tests in e2e_*_test.go run the real binary: real processes, real sockets.
// It is built without the race detector, which would slow fifty players down
// beyond use; TestRacePlatform runs a small crowd through one built with it.

var (
	buildOnce sync.Once
	buildDir  string
	errBuild  error
)

// atOnce is how many of the tests that are parallel run at once, unless
// -parallel says so: mostly they wait for leases and for other processes.
const atOnce = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if p := flag.Lookup("test.parallel"); !given && p != nil {
		if err := p.Value.Set(atOnce); err != nil {
			panic(err)
		}
	}
	status := m.Run()
	if buildDir != "" {
		_ = os.RemoveAll(buildDir)
	}
	os.Exit(status)
}

// throngBinary builds throng once for all tests, with game servers' program beside it.
func throngBinary(t testing.TB) string {
	t.Helper()
	buildOnce.Do(func() {
		buildDir, errBuild = os.MkdirTemp("", "throng-e2e-") //nolint:usetesting // outlives the test that builds
		if errBuild == nil {
			errBuild = build(buildDir)
		}
	})
	if errBuild != nil {
		t.Fatal(errBuild)
	}
	return filepath.Join(buildDir, "throng")
}

// gameServerBinary is the program of game servers.
func gameServerBinary(t testing.TB) string {
	t.Helper()
	return filepath.Join(filepath.Dir(throngBinary(t)), "throng-gameserver")
}

// build builds both programs into a folder.
func build(dir string, flags ...string) error {
	args := append([]string{"build", "-o", dir + "/"}, flags...)
	out, err := exec.Command("go", append(args, ".", "../throng-gameserver")...).CombinedOutput() //nolint:noctx // bounded by the test binary's own timeout
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// program is one running throng process.
type program struct {
	t    testing.TB
	cmd  *exec.Cmd
	logs *logBuffer
	out  chan string // lines of standard output
	done chan struct{}
	err  error // after done
}

// start runs throng; it is ended with the test.
func start(t testing.TB, exe string, args ...string) *program {
	t.Helper()
	p := &program{t: t, logs: &logBuffer{}, out: make(chan string, 64), done: make(chan struct{})}
	p.cmd = exec.Command(exe, args...) //nolint:noctx // ended by Cleanup, by signal first
	p.cmd.Stderr = p.logs
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			select {
			case p.out <- lines.Text():
			default:
			}
		}
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("log of throng %s:\n%s", strings.Join(args, " "), p.logs.tail(12_000))
		}
	})
	return p
}

// stop sends a signal and waits for the end, at most 10 s.
func (p *program) stop(s syscall.Signal) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(s)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.t.Errorf("throng did not end within 10 s of %s", s)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// line waits for a line of output that has the word in it.
func (p *program) line(word string, within time.Duration) string {
	p.t.Helper()
	late := time.After(within)
	for {
		select {
		case line := <-p.out:
			if strings.Contains(line, word) {
				return line
			}
		case <-p.done:
			p.t.Fatalf("throng ended (%v) before it said %q:\n%s", p.err, word, p.logs.tail(8000))
		case <-late:
			p.t.Fatalf("throng did not say %q within %s:\n%s", word, within, p.logs.tail(8000))
		}
	}
}

// logBuffer keeps what a process logs. Safe for concurrent use.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) tail(n int) string {
	s := l.String()
	return s[max(0, len(s)-n):]
}

// region is a running platform.
type region struct {
	t    testing.TB
	prog *program
	url  string
	data string
	door *client.Door // without a token
}

// startDev runs throng dev on a free port and waits until it is ready.
func startDev(t *testing.T, args ...string) *region {
	t.Helper()
	return startDevWith(t, throngBinary(t), args...)
}

func startDevWith(t testing.TB, exe string, args ...string) *region {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, exe, append([]string{"dev", "--addr", "127.0.0.1:0", "--data", data}, args...)...)
	line := p.line("ready at", 60*time.Second)
	url := strings.Fields(line[strings.Index(line, "http://"):])[0]
	return newRegion(t, p, url, data)
}

// startSplit runs a control plane and a node. control starts the plane again, at
// the same place, after it was ended. args are more of its flags.
func startSplit(t *testing.T, args ...string) (r *region, node *program, control func() *program) {
	t.Helper()
	exe := throngBinary(t)
	data := filepath.Join(t.TempDir(), "data")
	addr := freePort(t)
	control = func() *program {
		p := start(t, exe, append([]string{"serve", "control", "--addr", addr, "--data", data, "--dev"}, args...)...)
		p.line("listens at", 30*time.Second)
		return p
	}
	r = newRegion(t, control(), "http://"+addr, data)
	node = start(t, exe, "serve", "node", "--addr", r.url, "--token-file", filepath.Join(data, "node.token"), "--data", filepath.Join(t.TempDir(), "node"))
	node.line("node serves", 30*time.Second)
	return r, node, control
}

func newRegion(t testing.TB, p *program, url, data string) *region {
	t.Helper()
	door, err := client.New(client.Config{Addr: url})
	if err != nil {
		t.Fatal(err)
	}
	return &region{t: t, prog: p, url: url, data: data, door: door}
}

// showServers prints what game servers logged, when the test failed.
func (r *region) showServers() {
	r.t.Helper()
	if !r.t.Failed() {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(r.data, "logs", "srv_*.log"))
	for _, path := range logs {
		if log, err := os.ReadFile(path); err == nil && bytes.Contains(log, []byte("session=")) {
			r.t.Logf("log of %s:\n%s", filepath.Base(path), log[max(0, len(log)-8000):])
		}
	}
}

// as is the door for one account.
func (r *region) as(name throng.PlayerID, role api.Role) *client.Door {
	r.t.Helper()
	token, err := r.door.DevToken(r.t.Context(), name, string(role))
	if err != nil {
		r.t.Fatalf("token for %s: %v", name, err)
	}
	door, err := r.door.As(token.AccessToken)
	if err != nil {
		r.t.Fatal(err)
	}
	return door
}

// sessions lists what runs of a place.
func (r *region) sessions(place throng.PlaceID) []gen.SessionRecord {
	r.t.Helper()
	list, err := collect(allSessions(r.t.Context(), r.as("operator", api.RoleOperator), place))
	if err != nil && throng.KindOf(err) != throng.Unavailable { // a registry that is rebuilding lists nothing
		r.t.Fatalf("list sessions: %v", err)
	}
	return list
}

// bots runs a crowd in this process.
//
//nolint:contextcheck // tokens and look-ups are the test's, the crowd ends with ctx
func (r *region) bots(ctx context.Context, cfg bot.Config) bot.Report {
	r.t.Helper()
	progress := &logBuffer{}
	if watched, ok := cfg.Progress.(*logBuffer); ok {
		progress = watched
	}
	cfg.Progress = progress
	if cfg.Door == nil {
		cfg.Door = botDoor{r.door}
	}
	if cfg.Seed == 0 {
		cfg.Seed = 1
	}
	if cfg.Name == "" {
		cfg.Name = string(cfg.Place) // no player in two places
	}
	if cfg.Capacity == 0 {
		capacity, err := capacityOf(ctx, r.as("scout", api.RolePlayer), cfg.Place)
		if err != nil {
			r.t.Errorf("look %s up: %v", cfg.Place, err)
			return bot.Report{}
		}
		cfg.Capacity = capacity
	}
	report, err := bot.Run(ctx, cfg)
	if err != nil {
		r.t.Errorf("bots: %v", err)
	}
	text, _ := json.Marshal(report)
	r.t.Logf("bots: %s\n%s", text, progress.tail(1000))
	return report
}

// publish writes a place and publishes it with the real command.
func (r *region) publish(id, capacity, script string) {
	r.t.Helper()
	dir := filepath.Join(r.t.TempDir(), id)
	if err := os.MkdirAll(filepath.Join(dir, "scripts"), 0o755); err != nil {
		r.t.Fatal(err)
	}
	manifest := fmt.Sprintf("id: %s\nname: Test\ncapacity: %s\nentry: scripts/main.lua\n", id, capacity)
	for name, text := range map[string]string{"place.yaml": manifest, "scripts/main.lua": script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	status, out := throngCommand(r.t, "publish", dir, "--addr", r.url)
	if status != 0 {
		r.t.Fatalf("publish %s: exit status %d:\n%s", id, status, out)
	}
}

// throngCommand runs a command of the CLI in this process.
func throngCommand(t testing.TB, args ...string) (status int, output string) {
	t.Helper()
	var out logBuffer
	status = run(args, &env{ctx: t.Context(), in: strings.NewReader(""), out: &out, err: &out})
	return status, out.String()
}

// serverProcess is one game server process.
type serverProcess struct {
	pid    int
	server throng.ServerID
}

// servers finds the game servers that a process started, by their environment.
func (r *region) servers(parent int) []serverProcess {
	r.t.Helper()
	var found []serverProcess
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) || fields[0] == "Z" {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		for kv := range strings.SplitSeq(string(environ), "\x00") {
			if id, ok := strings.CutPrefix(kv, "THRONG_SERVER="); ok {
				found = append(found, serverProcess{pid: pid, server: throng.ServerID(id)})
			}
		}
	}
	return found
}

// pidOf finds the process that hosts a session.
func (r *region) pidOf(server string) int {
	r.t.Helper()
	pid := r.lookFor(server)
	if pid == 0 {
		r.t.Fatalf("no process is server %s", server)
	}
	return pid
}

// lookFor finds the process of a server, 0 when it is gone already.
func (r *region) lookFor(server string) int {
	for _, s := range r.servers(r.prog.cmd.Process.Pid) {
		if string(s.server) == server {
			return s.pid
		}
	}
	return 0
}

// eventually waits until ok, looking every 20 ms.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		if time.Since(begun) > within {
			t.Fatalf("%s: not within %s", what, within)
		}
		<-ticker.C
	}
	return time.Since(begun)
}

// gone says whether a process is over.
func gone(pid int) bool {
	err := syscall.Kill(pid, 0)
	if errors.Is(err, syscall.ESRCH) {
		return true
	}
	stat, readErr := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return readErr != nil || bytes.Contains(stat, []byte(") Z "))
}
