package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/sdk"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/test/stranger"
)

// engine builds the game server of examples/engine-ts and returns how to run it.
func engine(t *testing.T) []string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	command, err := stranger.Build(t.Context(), root, t.TempDir())
	switch {
	case errors.Is(err, stranger.ErrNotHere):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return command
}

// player is one who plays on the engine of examples/engine-ts.
type player struct {
	*stranger.Player
	done chan error // holds one: how it ended
}

func (r *region) stranger(name throng.PlayerID) *player {
	return &player{&stranger.Player{Name: name, Door: r.as(name, api.RolePlayer)}, make(chan error, 1)}
}

// strangers lets so many players in.
//
//nolint:contextcheck // tokens are the test's, players leave with ctx
func (r *region) strangers(ctx context.Context, n int) []*player {
	r.t.Helper()
	all := make([]*player, n)
	for i := range all {
		name := throng.PlayerID(fmt.Sprintf("stranger-%d", i))
		all[i] = r.stranger(name)
		go func() { all[i].done <- all[i].Play(ctx, "arena", fmt.Sprintf("t-%d", i)) }()
	}
	return all
}

// everybody waits until all of them are so.
func everybody(t *testing.T, all []*player, what string, is func(g *player) bool) {
	t.Helper()
	eventually(t, 30*time.Second, what, func() bool {
		for _, g := range all {
			select {
			case err := <-g.done:
				t.Fatalf("%s: %s is out: %v", what, g.Name, err)
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
	everybody(t, all, "all play together", func(g *player) bool { return g.Most.Load() == 20 && g.States.Load() > 10 })
	p.awaitSeated("arena", 20, 20*time.Second)
	first := all[0].At()

	// A newer join of a player takes his seat, wherever the older one is.
	other := p.stranger("stranger-0")
	over.Go(func() { other.done <- other.Play(playing, "arena", "again") })
	eventually(t, 20*time.Second, "the newer one plays", func() bool { return other.States.Load() > 3 })
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
		bad := p.stranger("stranger-0")
		if _, _, err := bad.Visit(t.Context(), first, token); err == nil || bad.At() != "" {
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
	everybody(t, all, "all play on elsewhere", func(g *player) bool {
		return g.Moves.Load() == 1 && g.At() != first && g.States.Load() > 10
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
	everybody(t, all, "all play together", func(g *player) bool { return g.Most.Load() == 5 && g.States.Load() > 10 })
	session := all[0].At()
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
