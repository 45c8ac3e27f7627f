package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/sdk"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
)

// engine builds the game server of examples/engine-ts and returns how to run it.
func engine(t *testing.T) []string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node on this machine: the game server that is not Go is not tested")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	tsc := filepath.Join(root, "node_modules", "typescript", "bin", "tsc")
	if _, err := os.Stat(tsc); err != nil {
		t.Skip("node_modules is not there (npm ci): the game server that is not Go is not tested")
	}
	out := filepath.Join(t.TempDir(), "engine")
	project := filepath.Join(root, "examples", "engine-ts")
	if text, err := exec.CommandContext(t.Context(), node, tsc, "-p", project, "--outDir", out).CombinedOutput(); err != nil {
		t.Fatalf("tsc: %v\n%s", err, text)
	}
	if err := os.WriteFile(filepath.Join(out, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{node, filepath.Join(out, "src", "main.js")}
}

// stranger is a player of that engine, who speaks JSON over the door's WebSocket.
type stranger struct {
	name    throng.PlayerID
	door    *client.Door
	session atomic.Pointer[throng.SessionID]
	moves   atomic.Int32 // to other sessions
	states  atomic.Int32 // that he was sent in this session
	most    atomic.Int32 // players that he saw at once
	done    chan error   // holds one: how it ended
}

// said is what the engine tells players.
type said struct {
	T       string
	Player  string
	Session throng.SessionID
	Players int
	N, Of   int
	Token   string
}

// play joins and plays until ctx ends, also where he is moved to.
func (g *stranger) play(ctx context.Context, place throng.PlaceID, ticket string) error {
	a, err := g.door.Matchmake(ctx, throng.Ticket{
		Key: throng.TicketKey{Ticket: throng.TicketID(ticket)}, Place: place, Party: []throng.PlayerID{g.name}, Mode: throng.ModeDropIn,
	})
	if err != nil {
		return err
	}
	session, token := a.Session, a.JoinToken
	for {
		next, with, err := g.visit(ctx, session, token)
		if err != nil || ctx.Err() != nil {
			return err
		}
		session, token = next, with
		g.moves.Add(1)
	}
}

// visit plays in one session, and returns the next one with its token.
func (g *stranger) visit(ctx context.Context, session throng.SessionID, token []byte) (throng.SessionID, []byte, error) {
	conn, _, err := websocket.Dial(ctx, g.door.Socket(session), nil) //nolint:bodyclose // hijacked
	if err != nil {
		return "", nil, err
	}
	defer conn.CloseNow() //nolint:errcheck // closed properly already, or past caring
	if err := conn.Write(ctx, websocket.MessageBinary, token); err != nil {
		return "", nil, err
	}
	pieces := map[int]string{}
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return "", nil, nil
			}
			return "", nil, fmt.Errorf("%s in %s: %w", g.name, session, err)
		}
		var s said
		if err := json.Unmarshal(message, &s); err != nil {
			return "", nil, err
		}
		switch s.T {
		case "welcome":
			if s.Player != string(g.name) || s.Session != session {
				return "", nil, fmt.Errorf("%s was welcomed as %s in %s", g.name, s.Player, s.Session)
			}
			g.states.Store(0)
			g.session.Store(&session)
			if err := conn.Write(ctx, websocket.MessageBinary, []byte(`{"move":[1,0.5]}`)); err != nil {
				return "", nil, err
			}
		case "state":
			g.states.Add(1)
			g.most.Store(max(g.most.Load(), int32(s.Players)))
		case "move":
			pieces[s.N] = s.Token
			if len(pieces) < s.Of {
				continue
			}
			text := ""
			for n := range s.Of {
				text += pieces[n]
			}
			next, err := base64.StdEncoding.DecodeString(text)
			return s.Session, next, err
		}
	}
}

func (g *stranger) at() throng.SessionID {
	if s := g.session.Load(); s != nil {
		return *s
	}
	return ""
}

// strangers lets so many players in.
//
//nolint:contextcheck // tokens are the test's, players leave with ctx
func (r *region) strangers(ctx context.Context, n int) []*stranger {
	r.t.Helper()
	all := make([]*stranger, n)
	for i := range all {
		name := throng.PlayerID(fmt.Sprintf("stranger-%d", i))
		all[i] = &stranger{name: name, door: r.as(name, api.RolePlayer), done: make(chan error, 1)}
		go func() { all[i].done <- all[i].play(ctx, "arena", fmt.Sprintf("t-%d", i)) }()
	}
	return all
}

// everybody waits until all of them are so.
func everybody(t *testing.T, all []*stranger, what string, is func(g *stranger) bool) {
	t.Helper()
	eventually(t, 30*time.Second, what, func() bool {
		for _, g := range all {
			select {
			case err := <-g.done:
				t.Fatalf("%s: %s is out: %v", what, g.name, err)
			default:
			}
			if !is(g) {
				return false
			}
		}
		return true
	})
}

// TestEngineThatIsNotGo: a game server in TypeScript, with nothing but the server
// API and the sidecar, hosts twenty players, and when its pod has to go they play
// on in another one.
func TestEngineThatIsNotGo(t *testing.T) {
	t.Parallel()
	command := engine(t)
	p := startPods(t)
	one, two := p.start(command...), p.start(command...)
	for _, o := range []*pod{one, two} {
		eventually(t, 20*time.Second, "it is ready", func() bool { return o.sidecar.State() == string(sdk.Ready) })
	}
	one.allocate()
	eventually(t, 20*time.Second, "it is in the stock", func() bool { return one.status() == string(throng.StatusWarm) })
	playing, stop := context.WithCancel(t.Context())
	var over sync.WaitGroup
	defer over.Wait()
	defer stop()
	all := p.strangers(playing, 20)
	everybody(t, all, "all play together", func(g *stranger) bool { return g.most.Load() == 20 && g.states.Load() > 10 })
	p.awaitSeated("arena", 20, 20*time.Second)
	first := all[0].at()

	// A newer join of a player takes his seat, wherever the older one is.
	other := &stranger{name: "stranger-0", door: p.as("stranger-0", api.RolePlayer), done: make(chan error, 1)}
	over.Go(func() { other.done <- other.play(playing, "arena", "again") })
	eventually(t, 20*time.Second, "the newer one plays", func() bool { return other.states.Load() > 3 })
	select {
	case err := <-all[0].done:
		if closed, ok := errors.AsType[websocket.CloseError](err); !ok || closed.Code != 4001 {
			t.Errorf("the older one ended with %v, want an eviction", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("two of one player play")
	}
	all[0] = other

	// A stranger's token and a used one get nobody in.
	for name, token := range map[string][]byte{"garbage": bytes.Repeat([]byte{7}, 2048), "nothing": {}} {
		bad := &stranger{name: "stranger-0", door: other.door}
		if _, _, err := bad.visit(t.Context(), first, token); err == nil || bad.at() != "" {
			t.Errorf("%s as a join token: got in (%v)", name, err)
		}
	}

	one.sidecar.Kill() // back in a moment; the session does not notice
	if err := one.sidecar.Start(); err != nil {
		t.Fatal(err)
	}
	two.allocate()
	eventually(t, 20*time.Second, "the other one is in the stock", func() bool { return two.status() == string(throng.StatusWarm) })
	if err := one.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	everybody(t, all, "all play on elsewhere", func(g *stranger) bool {
		return g.moves.Load() == 1 && g.at() != first && g.states.Load() > 10
	})
	one.ended(20 * time.Second)
	if s := p.awaitSeated("arena", 20, 20*time.Second); len(s) != 1 || s[0].Server != string(two.id) {
		t.Errorf("sessions after that: %+v, want one on the other server", s)
	}
	eventually(t, 5*time.Second, "the sidecar is told", func() bool { return one.sidecar.State() == string(sdk.Shutdown) })
	if reason, ended := p.ended(string(first)); !ended || !strings.Contains(reason, "drained") {
		t.Errorf("the first session: ended %v, %q", ended, reason)
	}

	// An operator's end, and the place is left tidy.
	status, out := throngCommand(t, "drain", string(two.id), "--addr", p.url, "--within", "1s")
	if status != 0 || !strings.Contains(out, "1 servers, 1 sessions, 20 players") {
		t.Errorf("throng drain: exit status %d:\n%s", status, out)
	}
	two.ended(20 * time.Second)
	stop()
}

// TestEngineUnderDev: throng dev runs an engine of one's own as it runs its own
// game servers.
func TestEngineUnderDev(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--server-command", strings.Join(engine(t), " "), "--warm", "1")
	playing, stop := context.WithCancel(t.Context())
	defer stop()
	all := r.strangers(playing, 5)
	everybody(t, all, "all play together", func(g *stranger) bool { return g.most.Load() == 5 && g.states.Load() > 10 })
	session := all[0].at()
	stop()
	eventually(t, 20*time.Second, "the registry knows that they left", func() bool {
		s := r.sessions("arena")
		return len(s) == 1 && s[0].Seated == 0
	})
	if err := r.as("operator", api.RoleOperator).End(t.Context(), session, "test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "its server is gone", func() bool {
		for _, s := range r.fleet() {
			if s.Session == string(session) {
				return false
			}
		}
		return true
	})
}
