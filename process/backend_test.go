package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/process"
)

// underTest is a Backend that runs.
type underTest struct {
	*process.Backend
	games *games
	log   *lines
	end   func() // stops Run and waits for it
}

// lines is a log that tests can read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func run(t *testing.T, edit func(*process.Config)) *underTest {
	t.Helper()
	g, log := newGames(t), &lines{}
	cfg := process.Config{
		Command: []string{os.Args[0], "game"},
		Env:     g.env,
		Max:     4,
		Tied:    true,
		Logger:  slog.New(slog.NewTextHandler(log, nil)),
	}
	edit(&cfg)
	b, err := process.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // ended in order, by Cleanup
	var group sync.WaitGroup
	group.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	end := func() { cancel(); group.Wait() }
	t.Cleanup(end)
	return &underTest{Backend: b, games: g, log: log, end: end}
}

func (u *underTest) start(t *testing.T, id throng.ServerID) *player {
	t.Helper()
	if err := u.Allocate(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return u.games.of(t, id)
}

// exit waits for the next exit.
func (u *underTest) exit(t *testing.T) throng.ServerExit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got throng.ServerExit
	err := u.Watch(ctx, func(e throng.ServerExit) { got = e; cancel() })
	if err != nil || got.Server == "" {
		t.Fatalf("no exit was told: %v", err)
	}
	return got
}

func TestBackendContract(t *testing.T) {
	for _, tied := range []bool{true, false} {
		t.Run(fmt.Sprintf("tied %v", tied), func(t *testing.T) {
			contract.Backend(t, func(t *testing.T) contract.BackendUnderTest {
				u := run(t, func(c *process.Config) { c.Tied = tied })
				return contract.BackendUnderTest{
					Backend: u,
					Max:     4,
					Crash: func(t *testing.T, id throng.ServerID) {
						if err := syscall.Kill(u.games.of(t, id).pid, syscall.SIGKILL); err != nil {
							t.Fatal(err)
						}
					},
					Started: func(_ *testing.T, id throng.ServerID) int { return u.games.starts(id) },
				}
			})
		})
	}
}

func TestExitsSayHow(t *testing.T) {
	u := run(t, func(*process.Config) {})
	for what, want := range map[string]string{"exit 2": "exit status 2", "exit 0": "exit status 0"} {
		id := serverID(what[5])
		u.start(t, id).tell(t, what)
		if got := u.exit(t); got.Server != id || got.Reason != want {
			t.Errorf("%s: got %+v, want %s", what, got, want)
		}
	}
	p := u.start(t, serverID(1))
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := u.exit(t); got.Reason != "signal: killed" {
		t.Errorf("killed: got %+v", got)
	}
	u.start(t, serverID(2))
	if err := u.Release(t.Context(), serverID(2)); err != nil {
		t.Fatal(err)
	}
	if got := u.exit(t); got.Reason != "signal: terminated" {
		t.Errorf("released: got %+v", got)
	}
}

// One that does not listen is killed, and what it started with it.
func TestReleaseOfTheDeaf(t *testing.T) {
	u := run(t, func(*process.Config) {})
	p := u.start(t, serverID(1))
	p.ask(t, "deaf")
	grandchild, err := strconv.Atoi(p.ask(t, "spawn"))
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := u.Release(short, serverID(1)); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("Release whose caller leaves: got %v, want unavailable", err)
	}
	begun := time.Now()
	if got := u.exit(t); got.Reason != "signal: killed" {
		t.Errorf("got %+v, want killed", got)
	}
	if took := time.Since(begun); took < time.Second || took > 5*time.Second {
		t.Errorf("it was killed after %v, want 2 s", took)
	}
	wantOver(t, grandchild)
}

func TestWhatAServerStartedEndsWithIt(t *testing.T) {
	u := run(t, func(*process.Config) {})
	p := u.start(t, serverID(1))
	grandchild, err := strconv.Atoi(p.ask(t, "spawn"))
	if err != nil {
		t.Fatal(err)
	}
	p.tell(t, "exit 0")
	u.exit(t)
	wantOver(t, grandchild)
}

// wantOver waits until a process that is not our child is gone, or a zombie
// that nobody reaps.
func wantOver(t *testing.T, pid int) {
	t.Helper()
	until(t, fmt.Sprintf("the end of process %d", pid), func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}

func TestShutdown(t *testing.T) {
	u := run(t, func(*process.Config) {})
	players := []*player{u.start(t, serverID(1)), u.start(t, serverID(2)), u.start(t, serverID(3))}
	players[0].ask(t, "deaf")
	begun := time.Now()
	u.end()
	if took := time.Since(begun); took > 6*time.Second {
		t.Errorf("the end took %v, want about 3 s", took)
	}
	for _, p := range players {
		if err := syscall.Kill(p.pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is not reaped: %v", p.pid, err)
		}
	}
	err := u.Allocate(t.Context(), serverID(4))
	if throng.KindOf(err) != throng.Unavailable {
		t.Errorf("Allocate after the end: got %v, want unavailable", err)
	}
	if err := u.Run(t.Context()); throng.KindOf(err) != throng.Conflict {
		t.Errorf("second Run: got %v, want conflict", err)
	}
	if list, err := u.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("List: got %v, %v, want none", list, err)
	}
}

func TestChildGetsNothingOfOurs(t *testing.T) {
	t.Setenv("THRONG_SECRET_OF_OURS", "1")
	u := run(t, func(*process.Config) {})
	secret, err := os.Create(filepath.Join(t.TempDir(), "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = secret.Close() }()
	p := u.start(t, serverID(1))
	want := "THRONG_TEST=" + u.games.listener.Addr().String() + " THRONG_SERVER=" + string(serverID(1)) + " THRONG_TIED=1"
	if got := p.ask(t, "environment"); got != want {
		t.Errorf("got environment %q, want %q", got, want)
	}
	group, err := syscall.Getpgid(p.pid)
	if err != nil || group != p.pid {
		t.Errorf("got process group %d, %v, want its own, %d", group, err, p.pid)
	}
	if score, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/oom_score_adj"); err != nil || string(score) != "500\n" {
		t.Errorf("got OOM score %q, %v, want 500", score, err)
	}
	links, err := os.ReadDir("/proc/" + strconv.Itoa(p.pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		target, _ := os.Readlink("/proc/" + strconv.Itoa(p.pid) + "/fd/" + l.Name()) // it may be closed by now
		if target == secret.Name() {
			t.Errorf("it has our file %s", target)
		}
	}
}

func TestStartThatFails(t *testing.T) {
	broken := true
	var mu sync.Mutex
	u := run(t, func(c *process.Config) {
		env := c.Env
		c.Env = func(id throng.ServerID) ([]string, error) {
			mu.Lock()
			defer mu.Unlock()
			if broken {
				return nil, throng.Errorf(throng.Unavailable, "no token today")
			}
			return env(id)
		}
	})
	if err := u.Allocate(t.Context(), serverID(1)); throng.KindOf(err) != throng.Unavailable || !strings.Contains(err.Error(), "no token today") {
		t.Errorf("got %v, want unavailable with its cause", err)
	}
	if list, err := u.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("List: got %v, %v, want none", list, err)
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	u.start(t, serverID(1)) // it may be repeated

	if err := u.Allocate(t.Context(), "../../x"); throng.KindOf(err) != throng.Invalid {
		t.Errorf("an ID that is a path: got %v, want invalid", err)
	}
	_, err := process.New(process.Config{Command: []string{"/nowhere/throng"}, Logger: slog.New(slog.DiscardHandler)})
	if throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("no such program: got %v, want invalid", err)
	}
}

func TestLogsAreBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	old := filepath.Join(dir, string(serverID(9))+".log")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 210 {
		name := filepath.Join(dir, string(throng.MakeServerID("old", throng.Entropy{byte(i)}))+".log")
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Time{}, time.Unix(int64(1e9+i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(old, []byte("oldest"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(old, time.Time{}, time.Unix(1e8, 0)); err != nil {
		t.Fatal(err)
	}
	u := run(t, func(c *process.Config) { c.LogDir = dir })
	p := u.start(t, serverID(1))
	if left, err := os.ReadDir(dir); err != nil || len(left) != 201 {
		t.Errorf("got %d logs, %v, want 200 and the new one", len(left), err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the oldest log is still there")
	}

	name := filepath.Join(dir, string(serverID(1)))
	p.ask(t, "say 12000") // 12 MiB
	until(t, "logs of at most 5 MiB each", func() bool {
		now, err1 := os.Stat(name + ".log")
		before, err2 := os.Stat(name + ".old.log")
		return err1 == nil && err2 == nil && now.Size() <= 5<<20 && before.Size() == 5<<20
	})
	p.ask(t, "say 1")
	if err := u.Release(t.Context(), serverID(1)); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(name + ".log")
	if err != nil || len(content) == 0 || bytes.ContainsRune(content, 0) {
		t.Errorf("after it was cut: got %d bytes, %v, want text without holes", len(content), err)
	}
}

// backendProcess runs a Backend until it is killed: arguments are the test's
// address, "tied" or a folder for its state, and servers to start.
func backendProcess(args []string) int {
	cfg := process.Config{
		Command: []string{os.Args[0], "game"},
		Env: func(id throng.ServerID) ([]string, error) {
			return []string{"THRONG_TEST=" + args[0], "THRONG_SERVER=" + string(id)}, nil
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	if args[1] == "tied" {
		cfg.Tied = true
	} else {
		cfg.StateDir = args[1]
		cfg.MemoryBytes = 1 << 30
	}
	b, err := process.New(cfg)
	if err != nil {
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // this is a main
	defer cancel()
	var group sync.WaitGroup
	group.Go(func() { _ = b.Run(ctx) }) // it never returns
	for _, id := range args[2:] {
		if err := b.Allocate(ctx, throng.ServerID(id)); err != nil {
			return 2
		}
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed
	return 0
}

// killed starts a Backend in a process of its own, waits for its servers and
// kills it.
func killed(t *testing.T, g *games, state string, ids ...throng.ServerID) []*player {
	t.Helper()
	args := []string{"backend", g.listener.Addr().String(), state}
	for _, id := range ids {
		args = append(args, string(id))
	}
	other := exec.CommandContext(t.Context(), os.Args[0], args...)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	players := []*player{}
	for _, id := range ids {
		players = append(players, g.of(t, id))
	}
	if state != "tied" {
		waitRemembered(t, state, ids)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := other.Wait(); err == nil {
		t.Fatal("the backend ended well, want killed")
	}
	return players
}

func waitRemembered(t *testing.T, state string, ids []throng.ServerID) {
	t.Helper()
	for _, id := range ids {
		until(t, "a state file of "+string(id), func() bool {
			_, err := os.Stat(filepath.Join(state, string(id)+".json"))
			return err == nil
		})
	}
}

func TestTiedEndWithAKilledBackend(t *testing.T) {
	g := newGames(t)
	for _, p := range killed(t, g, "tied", serverID(1), serverID(2)) {
		if !p.over() {
			t.Errorf("process %d outlived its backend", p.pid)
		}
	}
}

// Losing the process that started them ends no game server, and the next one
// watches and ends them.
func TestOthersOutliveAKilledBackend(t *testing.T) {
	g, state := newGames(t), t.TempDir()
	ids := []throng.ServerID{serverID(1), serverID(2), serverID(3)}
	players := killed(t, g, state, ids...)
	for _, p := range players {
		if got := p.ask(t, "environment"); !strings.Contains(got, "THRONG_SERVER=") || strings.Contains(got, "THRONG_TIED") {
			t.Errorf("process %d: got environment %q", p.pid, got)
		}
		if sid, err := unix.Getsid(p.pid); err != nil || sid != p.pid {
			t.Errorf("process %d: got session %d, %v, want its own", p.pid, sid, err)
		}
	}
	players[2].tell(t, "exit 3") // while nobody watches
	if !players[2].over() {
		t.Fatal("the third one goes on")
	}
	wantOver(t, players[2].pid)
	if err := os.WriteFile(filepath.Join(state, string(serverID(4))+".json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}

	u := run(t, func(c *process.Config) { c.Tied, c.StateDir = false, state })
	if got := u.exit(t); got.Server != ids[2] || got.Reason != "it ended while nobody watched" {
		t.Errorf("got %+v, want the third one's end", got)
	}
	if list, err := u.List(t.Context()); err != nil || fmt.Sprint(list) != fmt.Sprint(ids[:2]) {
		t.Errorf("List: got %v, %v, want %v", list, err, ids[:2])
	}
	if err := u.Allocate(t.Context(), ids[0]); err != nil || u.games.starts(ids[0]) != 0 {
		t.Errorf("Allocate of one that outlived: got %v and %d new processes, want none", err, u.games.starts(ids[0]))
	}
	if err := syscall.Kill(players[0].pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := u.exit(t); got.Server != ids[0] {
		t.Errorf("got %+v, want the first one's end", got)
	}
	players[1].ask(t, "deaf")
	if err := u.Release(t.Context(), ids[1]); err != nil {
		t.Fatal(err)
	}
	if !players[1].over() {
		t.Error("the second one was released and goes on")
	}
	u.end()
	left, err := filepath.Glob(filepath.Join(state, "srv_*"))
	if err != nil || len(left) != 1 { // the damaged one is nobody's to remove
		t.Errorf("state left behind: %v, %v", left, err)
	}
}
