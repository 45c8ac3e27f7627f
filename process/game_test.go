package process_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

const patience = 20 * time.Second

// TestMain lets this binary be the game server of its own tests, and a whole
// backend that can be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "game":
			os.Exit(game())
		case "backend":
			os.Exit(backendProcess(os.Args[2:]))
		case "grandchild":
			<-time.After(3 * patience) // until killed
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func lookup(name string) string {
	v, _ := os.LookupEnv(name)
	return v
}

// game calls its test and does what it is told, until the test is over.
func game() int {
	if lookup("THRONG_TIED") == "1" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // the end is what counts
			os.Exit(5)
		}()
	}
	conn, err := net.Dial("tcp", lookup("THRONG_TEST")) //nolint:noctx // it ends with its process
	if err != nil {
		return 6
	}
	fmt.Fprintf(conn, "%s %d\n", lookup("THRONG_SERVER"), os.Getpid())
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		fmt.Fprintf(conn, "%s\n", obey(strings.Fields(lines.Text())))
	}
	return 7
}

// kept holds what a game was told to eat.
var kept [][]byte

func obey(words []string) string {
	number := 0
	if len(words) > 1 {
		number, _ = strconv.Atoi(words[1])
	}
	switch words[0] {
	case "exit":
		os.Exit(number)
	case "eat":
		for range number {
			meal := make([]byte, 1<<20)
			for i := 0; i < len(meal); i += 4096 {
				meal[i] = 1
			}
			kept = append(kept, meal)
		}
	case "burn": // CPU for so many milliseconds of wall time
		begun, turns := time.Now(), 0
		for time.Since(begun) < time.Duration(number)*time.Millisecond {
			turns++
		}
		var use syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
		return strconv.FormatInt(time.Duration(use.Utime.Nano()+use.Stime.Nano()).Milliseconds(), 10)
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
	case "environment":
		return strings.Join(os.Environ(), " ")
	case "say":
		for range number {
			fmt.Fprintln(os.Stdout, strings.Repeat("x", 1023))
		}
	case "spawn":
		child := exec.Command(os.Args[0], "grandchild") //nolint:noctx // it is to outlive all contexts
		if err := child.Start(); err != nil {
			return err.Error()
		}
		return strconv.Itoa(child.Process.Pid)
	}
	return "ok"
}

// games are the processes that called a test.
type games struct {
	listener net.Listener

	mu      sync.Mutex
	changed chan struct{} // closed at each change
	called  map[throng.ServerID][]*player
	started map[throng.ServerID]int
}

// player is the test's end of one game.
type player struct {
	pid  int
	conn net.Conn
	in   *bufio.Reader
}

func newGames(t *testing.T) *games {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &games{
		listener: listener, changed: make(chan struct{}),
		called: map[throng.ServerID][]*player{}, started: map[throng.ServerID]int{},
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { g.greet(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		g.mu.Lock()
		defer g.mu.Unlock()
		for id, players := range g.called {
			for _, p := range players {
				if !p.over() {
					t.Errorf("process %d of %s outlived the test", p.pid, id)
				}
				_ = p.conn.Close() // the game ends at the latest now
			}
		}
	})
	t.Cleanup(func() { _ = listener.Close(); group.Wait() })
	return g
}

func (g *games) greet(conn net.Conn) {
	p := &player{conn: conn, in: bufio.NewReader(conn)}
	var id string
	if _, err := fmt.Fscanf(p.in, "%s %d\n", &id, &p.pid); err != nil {
		_ = conn.Close()
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.called[throng.ServerID(id)] = append(g.called[throng.ServerID(id)], p)
	close(g.changed)
	g.changed = make(chan struct{})
}

// env is a Config.Env that counts starts.
func (g *games) env(id throng.ServerID) ([]string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.started[id]++
	return []string{"THRONG_TEST=" + g.listener.Addr().String(), "THRONG_SERVER=" + string(id)}, nil
}

func (g *games) starts(id throng.ServerID) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.started[id]
}

// of waits for the game of a server to call.
func (g *games) of(t *testing.T, id throng.ServerID) *player {
	t.Helper()
	deadline := time.After(patience)
	for {
		g.mu.Lock()
		players, changed := g.called[id], g.changed
		g.mu.Unlock()
		if len(players) > 0 {
			return players[len(players)-1]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no game called for %s", id)
		}
	}
}

// tell says something and does not wait for an answer.
func (p *player) tell(t *testing.T, what string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.conn, what); err != nil {
		t.Fatalf("tell %q: %v", what, err)
	}
}

// ask waits for the answer.
func (p *player) ask(t *testing.T, what string) string {
	t.Helper()
	p.tell(t, what)
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	answer, err := p.in.ReadString('\n')
	if err != nil {
		t.Fatalf("ask %q: %v", what, err)
	}
	return strings.TrimSpace(answer)
}

// over waits until the game's process is over: its connection ends.
func (p *player) over() bool {
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return true
	}
	_, err := io.Copy(io.Discard, p.in)
	timeout, ok := err.(net.Error) //nolint:errorlint // a deadline is never wrapped
	return !ok || !timeout.Timeout()
}

// until looks again and again for what has no other way to tell.
func until(t *testing.T, what string, there func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !there() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func serverID(n byte) throng.ServerID { return throng.MakeServerID("test", throng.Entropy{n}) }
