package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/scene"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/channel"
	"github.com/throng-gg/throng/wire/netcode"
)

// wires is a network to one game server, in a bubble.
type wires struct {
	t     *testing.T
	stage *stage
	first []byte // the join token

	mu    sync.Mutex
	dials [][]byte // tokens, in order
	fail  []error  // of the next dials; nil: it works
	conns []*wireless
}

// wireless is a connection without a network.
type wireless struct {
	receive   func([]byte)
	down      chan []byte
	lost      chan error
	abandoned chan struct{}
	once      sync.Once

	mu     sync.Mutex
	heard  time.Time
	bye    bool // it said goodbye
	sent   int
	server *channel.Conn // the other end
}

func (w *wireless) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			w.mu.Lock()
			defer w.mu.Unlock()
			w.bye = true
			return nil
		case <-w.abandoned:
			return nil
		case err := <-w.lost:
			return err
		case p := <-w.down:
			w.hear()
			w.receive(p)
		}
	}
}

func (w *wireless) hear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = time.Now()
}

func (w *wireless) Send(datagram []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	return w.server.Receive(time.Now(), datagram, deaf{})
}

// deaf is a server that looks at nothing.
type deaf struct{}

func (deaf) State([]byte, bool) bool { return true }
func (deaf) Message([]byte)          {}
func (deaf) Last([]byte)             {}
func (deaf) Acked(uint64)            {}

// datagrams are what brings a payload.
func (w *wireless) datagrams(payload []byte) (out [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keep := func(d []byte) { out = append(out, bytes.Clone(d)) }
	if m := wire.MessageOf(payload); m == wire.MessageBye {
		w.server.Last(time.Now(), payload, keep)
	} else if m == wire.MessageSnapshot {
		w.server.Flush(time.Now(), payload, 0, keep)
	} else {
		if err := w.server.Queue(payload); err != nil {
			panic(err)
		}
		w.server.Flush(time.Now(), nil, 0, keep)
	}
	return out
}

func (w *wireless) Heard() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard
}

func (w *wireless) Abandon() error {
	w.once.Do(func() { close(w.abandoned) })
	return nil
}

func (w *wireless) saidGoodbye() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bye
}

func (n *wires) dial(ctx context.Context, token []byte, receive func([]byte)) (Conn, error) {
	n.mu.Lock()
	n.dials = append(n.dials, token)
	var err error
	if len(n.fail) > 0 {
		err, n.fail = n.fail[0], n.fail[1:]
	}
	n.mu.Unlock()
	if err != nil {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(3 * time.Second):
			return nil, err
		}
	}
	c := &wireless{receive: receive, down: make(chan []byte), lost: make(chan error), abandoned: make(chan struct{}), heard: time.Now(), server: channel.New(channel.Config{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, c)
	return c, nil
}

// failing lets the next dials fail.
func (n *wires) failing(errs ...error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = errs
}

func (n *wires) count() (dials, conns int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.dials), len(n.conns)
}

func makeJoinToken(t *testing.T, seed byte) []byte {
	t.Helper()
	c := netcode.TokenConfig{Key: [32]byte{1}, Create: 100, Expire: 160, Nonce: [24]byte{seed}, Servers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:7")}}
	token, err := netcode.MakeToken(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// give sends the reconnect token of a seed over a connection.
func (n *wires) give(conn int, seed byte) {
	n.t.Helper()
	r, err := wire.ReconnectOf(makeJoinToken(n.t, seed))
	if err != nil {
		n.t.Fatal(err)
	}
	n.down(conn, wire.AppendReconnect(nil, r))
}

func (n *wires) down(conn int, payloads ...[]byte) {
	n.t.Helper()
	n.mu.Lock()
	c := n.conns[conn]
	n.mu.Unlock()
	for _, p := range payloads {
		for _, d := range c.datagrams(p) {
			c.down <- d
		}
	}
}

// keepAlive lets a connection be heard for a while.
func (n *wires) keepAlive(conn int, d time.Duration) {
	n.mu.Lock()
	c := n.conns[conn]
	n.mu.Unlock()
	for end := time.Now().Add(d); time.Now().Before(end); {
		c.hear()
		n.wait(100 * time.Millisecond)
	}
}

func (n *wires) wait(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // fake time
	synctest.Wait()
}

// wantDials checks which tokens were tried: 0 is the join token.
func (n *wires) wantDials(want ...byte) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.dials) != len(want) {
		n.t.Errorf("got %d dials, want %d", len(n.dials), len(want))
		return
	}
	for i, seed := range want {
		if !bytes.Equal(n.dials[i], makeJoinToken(n.t, seed)) {
			n.t.Errorf("dial %d was not with token %d", i, seed)
		}
	}
}

// joined runs f with a Session that has joined, and its first connection's
// welcome and reconnect tokens.
func joined(t *testing.T, change func(*SessionConfig), f func(n *wires, s *Session, done <-chan error, leave func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &wires{t: t, stage: newStage(t), first: makeJoinToken(t, 0)}
		cfg := SessionConfig{Token: n.first, Dial: n.dial}
		if change != nil {
			change(&cfg)
		}
		s, err := Join(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		n.down(0, n.stage.welcome()...)
		n.down(0, payload(n.stage.snapshot(1, 0, 3)))
		f(n, s, done, leave)
		leave()
		synctest.Wait()
	})
}

func TestSessionComesBackAfterSilence(t *testing.T) {
	var told []Received
	joined(t, func(c *SessionConfig) { c.Received = func(r Received) { told = append(told, r) } }, func(n *wires, s *Session, done <-chan error, leave func()) {
		n.give(0, 1)
		n.give(0, 2)
		n.keepAlive(0, 10*time.Second)
		n.wantDials(0)
		n.failing(throng.Errorf(throng.Unavailable, "cut"), throng.Errorf(throng.Unavailable, "cut"))
		n.wait(5 * time.Second)
		if err := s.Input(1, 0, 0); err != nil {
			t.Errorf("Input while away: %v", err)
		}
		n.wait(5 * time.Second)
		n.wantDials(0, 2, 2, 2)
		if s.Reconnects() != 0 {
			t.Error("came back before the server's welcome")
		}
		n.down(1, n.stage.welcome()...)
		n.down(1, payload(n.stage.snapshot(9, 0, 3)))
		n.give(1, 3)
		n.keepAlive(1, 10*time.Second)
		if s.Reconnects() != 1 || n.conns[0].saidGoodbye() {
			t.Errorf("got %d returns, goodbye over the old connection: %v; want 1 and none", s.Reconnects(), n.conns[0].saidGoodbye())
		}
		s.World(func(w *World) {
			if w.Tick() != 9 || w != told[len(told)-1].World || w == told[0].World {
				t.Errorf("got tick %d, want the new connection's world at 9", w.Tick())
			}
		})
		n.wait(3 * time.Second)
		n.wantDials(0, 2, 2, 2, 3)
		leave()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if !n.conns[2].saidGoodbye() {
			t.Error("who leaves did not say goodbye")
		}
	})
}

// The world is kept to be shown from the first look on, which shows the newest snapshot.
func TestSessionShows(t *testing.T) {
	joined(t, func(*SessionConfig) {}, func(n *wires, s *Session, done <-chan error, leave func()) {
		look := func() (xs []float64, behind time.Duration) {
			s.Show(func(all []scene.Entity, sc *scene.Scene, _ time.Duration) {
				for _, e := range all {
					xs = append(xs, e.Number(0))
				}
				behind = sc.Stats().Behind
			})
			return xs, behind
		}
		n.down(0, payload(n.stage.snapshot(9, 0, 3)))
		if xs, behind := look(); len(xs) != 3 || behind <= 0 {
			t.Errorf("got %v, %v behind, want three balls some ticks behind", xs, behind)
		}
		before, _ := look()
		if err := s.Input(1, 0, 0); err != nil {
			t.Error(err)
		}
		n.down(0, payload(n.stage.snapshot(15, 0, 3)))
		n.wait(500 * time.Millisecond)
		if after, _ := look(); len(after) != 3 || after[0] <= before[0] {
			t.Errorf("got %v half a second after %v", after, before)
		}
		leave()
		if err := <-done; err != nil {
			t.Errorf("left: got %v, want nil", err)
		}
	})
}

// A token that may be used up is not tried again, the one before is.
func TestSessionTriesOlderTokens(t *testing.T) {
	joined(t, nil, func(n *wires, s *Session, done <-chan error, _ func()) {
		for seed := range byte(5) {
			n.give(0, seed+1)
		}
		used := throng.Errorf(throng.Denied, "used up")
		n.failing(used, throng.Errorf(throng.Full, "all at once"), used, used)
		n.wait(20 * time.Second)
		n.wantDials(0, 5, 4, 4, 3)
		select {
		case err := <-done:
			t.Fatalf("Run ended with tokens gone and the connection there: %v", err)
		default:
		}
		n.conns[0].lost <- throng.Errorf(throng.Unavailable, "timed out")
		if err := <-done; throng.KindOf(err) != throng.Unavailable {
			t.Errorf("Run: got %v, want unavailable", err)
		}
		if s.Reconnects() != 0 {
			t.Errorf("got %d returns, want none", s.Reconnects())
		}
	})
}

// The only token opened a connection over which nothing came: it may be good
// again, where the way takes it.
func TestSessionTriesATokenAgainWhoseConnectionWasNeverHeard(t *testing.T) {
	joined(t, nil, func(n *wires, s *Session, _ <-chan error, _ func()) {
		n.give(0, 1)
		n.conns[0].lost <- throng.Errorf(throng.Unavailable, "timed out")
		n.wait(time.Second)
		n.wantDials(0, 1)
		n.conns[1].lost <- throng.Errorf(throng.Unavailable, "timed out")
		n.wait(time.Second)
		n.wantDials(0, 1, 1)
		n.down(2, n.stage.welcome()...)
		n.give(2, 2)
		n.give(2, 3)
		n.conns[2].lost <- throng.Errorf(throng.Unavailable, "timed out")
		n.wait(time.Second)
		n.conns[3].lost <- throng.Errorf(throng.Unavailable, "timed out")
		n.wait(time.Second)
		n.wantDials(0, 1, 1, 3, 2)
		n.down(4, n.stage.welcome()...)
		synctest.Wait()
		if s.Reconnects() != 2 {
			t.Errorf("got %d returns, want 2", s.Reconnects())
		}
	})
}

func TestSessionGoesOnWithAConnectionThatIsHeardAgain(t *testing.T) {
	joined(t, nil, func(n *wires, s *Session, _ <-chan error, _ func()) {
		n.give(0, 1)
		n.failing(throng.Errorf(throng.Unavailable, "cut"))
		n.wait(4 * time.Second)
		n.keepAlive(0, 5*time.Second)
		n.wantDials(0, 1)
		n.down(0, payload(n.stage.snapshot(2, 0, 3)))
		synctest.Wait()
		s.World(func(w *World) {
			if w.Tick() != 2 {
				t.Errorf("got tick %d, want 2 of the first connection", w.Tick())
			}
		})
	})
}

// Without a token the Session waits for its connection as long as that lives.
func TestSessionWithoutATokenWaits(t *testing.T) {
	joined(t, nil, func(n *wires, _ *Session, done <-chan error, _ func()) {
		n.wait(4 * time.Second)
		n.keepAlive(0, 3*time.Second)
		n.conns[0].lost <- throng.Errorf(throng.Unavailable, "timed out")
		if err := <-done; throng.KindOf(err) != throng.Unavailable {
			t.Errorf("Run: got %v, want unavailable", err)
		}
		n.wantDials(0)
	})
}

func TestSessionEndsWithTheServersWord(t *testing.T) {
	for name, away := range map[string]bool{"in the game": false, "while coming back": true} {
		t.Run(name, func(t *testing.T) {
			joined(t, nil, func(n *wires, _ *Session, done <-chan error, _ func()) {
				n.give(0, 1)
				want := 1
				if away {
					n.failing(throng.Errorf(throng.Unavailable, "cut"))
					n.wait(3 * time.Second)
					want = 2
				}
				n.down(0, wire.AppendBye(nil, wire.Bye{Code: wire.ByeEvicted, Text: "a newer join"}))
				err := <-done
				if bye, ok := errors.AsType[*ByeError](err); !ok || bye.Bye.Code != wire.ByeEvicted {
					t.Errorf("Run: got %v, want evicted", err)
				}
				if dials, _ := n.count(); dials != want {
					t.Errorf("got %d dials, want %d", dials, want)
				}
			})
		})
	}
}

// The server may refuse who comes back: that is its last word.
func TestSessionRefusedOnTheWayBack(t *testing.T) {
	joined(t, nil, func(n *wires, s *Session, done <-chan error, _ func()) {
		n.give(0, 1)
		n.wait(3 * time.Second)
		n.down(1, wire.AppendBye(nil, wire.Bye{Code: wire.ByeDenied, Text: "the seat was given up"}))
		if bye, ok := errors.AsType[*ByeError](<-done); !ok || bye.Bye.Code != wire.ByeDenied {
			t.Errorf("Run: got %v, want denied", bye)
		}
		if s.Reconnects() != 0 {
			t.Error("a refusal counts as coming back")
		}
	})
}

func TestSessionGivesUpWhenTheSeatIsGone(t *testing.T) {
	asked := 0
	joined(t, func(c *SessionConfig) {
		c.Seated = func(context.Context) (bool, error) {
			asked++
			switch asked {
			case 1:
				return false, fmt.Errorf("the door is away")
			case 2:
				return true, nil
			}
			return false, nil
		}
	}, func(n *wires, _ *Session, done <-chan error, _ func()) {
		n.give(0, 1)
		n.failing(slices.Repeat([]error{throng.Errorf(throng.Unavailable, "dead")}, 100)...)
		begun := time.Now()
		if err := <-done; throng.KindOf(err) != throng.Unavailable {
			t.Errorf("Run: got %v, want unavailable", err)
		}
		if took := time.Since(begun); took < 4*time.Second || took > 6*time.Second || asked != 3 {
			t.Errorf("gave up after %s and %d questions, want 5 s and 3", took, asked)
		}
	})
}

func TestSessionGivesUpAfterItsPatience(t *testing.T) {
	joined(t, nil, func(n *wires, _ *Session, done <-chan error, _ func()) {
		n.give(0, 1)
		n.failing(slices.Repeat([]error{throng.Errorf(throng.Unavailable, "dead")}, 100)...)
		begun := time.Now()
		if err := <-done; throng.KindOf(err) != throng.Unavailable {
			t.Errorf("Run: got %v, want unavailable", err)
		}
		if took := time.Since(begun); took < 31*time.Second || took > 36*time.Second {
			t.Errorf("gave up after %s, want 32 s", took)
		}
	})
}

func TestJoinFails(t *testing.T) {
	if _, err := Join(t.Context(), SessionConfig{}); throng.KindOf(err) != throng.Invalid {
		t.Errorf("without Dial: got %v, want invalid", err)
	}
	n := &wires{t: t, fail: []error{throng.Errorf(throng.Full, "full")}}
	synctest.Test(t, func(t *testing.T) {
		if _, err := Join(t.Context(), SessionConfig{Dial: n.dial}); throng.KindOf(err) != throng.Full {
			t.Errorf("full: got %v, want full", err)
		}
	})
}

func TestWorldKeepsTheNewestReconnectToken(t *testing.T) {
	s := newStage(t)
	if _, ok := s.client.Reconnect(); ok {
		t.Error("a token before any came")
	}
	for _, number := range []uint8{1, 2} {
		r, err := wire.ReconnectOf(makeJoinToken(t, number))
		if err != nil {
			t.Fatal(err)
		}
		if u := s.receive(wire.AppendReconnect(nil, r)); !u.Reconnect {
			t.Errorf("token %d: got %+v", number, u)
		}
		if got, ok := s.client.Reconnect(); !ok || got != r {
			t.Errorf("token %d is not the one that was kept", number)
		}
	}
	if _, err := s.client.Receive([]byte{byte(wire.MessageReconnect), 1}, s.now); throng.KindOf(err) != throng.Invalid || err == nil {
		t.Errorf("cut short: got %v, want invalid", err)
	}
}
