package client

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// handOff sends a seat in another session, whose token is of a seed, over a
// connection.
func (n *wires) handOff(conn int, seed byte) {
	n.t.Helper()
	message, err := wire.AppendHandoff(nil, wire.Handoff{Session: "ses_other", Place: "arena", Version: 2, Token: makeJoinToken(n.t, seed)})
	if err != nil {
		n.t.Fatal(err)
	}
	n.down(conn, message)
	synctest.Wait()
}

func TestSessionGoesAlongWithAHandoff(t *testing.T) {
	var moved []wire.Handoff
	joined(t, func(c *SessionConfig) { c.Moved = func(h wire.Handoff) { moved = append(moved, h) } }, func(n *wires, s *Session, done <-chan error, leave func()) {
		n.give(0, 1)
		n.handOff(0, 9)
		n.down(0, payload(n.stage.snapshot(2, 0, 3)))
		n.wait(time.Second)
		n.wantDials(0, 9)
		s.World(func(w *World) {
			if w.Tick() != 2 {
				t.Errorf("before the other welcomes: got tick %d, want 2 of this session", w.Tick())
			}
		})
		// The other has confirmed, so this one puts the player out.
		n.down(0, wire.AppendBye(nil, wire.Bye{Code: wire.ByeEvicted}))
		n.conns[0].lost <- errors.New("ended by the server")
		n.wait(time.Second)
		n.down(1, n.stage.welcome()...)
		n.wait(100 * time.Millisecond)
		n.down(1, payload(n.stage.snapshot(7, 0, 3)))
		n.wait(100 * time.Millisecond)
		if s.Handoffs() != 1 || s.Reconnects() != 0 || len(moved) != 1 || moved[0].Session != "ses_other" {
			t.Errorf("got %d handoffs, %d returns, told of %+v; want one", s.Handoffs(), s.Reconnects(), moved)
		}
		s.World(func(w *World) {
			if w.Tick() != 7 {
				t.Errorf("got tick %d, want 7 of the other session", w.Tick())
			}
		})
		if n.conns[1].sent < 10 {
			t.Errorf("%d inputs in a second on the way, want some", n.conns[1].sent)
		}
		// Tokens of the first session are not good in this one.
		n.give(1, 5)
		n.wait(3 * time.Second)
		n.wantDials(0, 9, 5)
		leave()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// Who is handed off in good order says goodbye to the first session.
func TestSessionSaysGoodbyeWhereItWas(t *testing.T) {
	joined(t, nil, func(n *wires, s *Session, _ <-chan error, _ func()) {
		n.handOff(0, 9)
		n.down(1, n.stage.welcome()...)
		n.wait(100 * time.Millisecond)
		if s.Handoffs() != 1 || !n.conns[0].saidGoodbye() {
			t.Errorf("%d handoffs, goodbye %v; want one, and true", s.Handoffs(), n.conns[0].saidGoodbye())
		}
	})
}

func TestSessionStaysWhenTheHandoffFails(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(n *wires)
	}{
		{"it cannot be reached", func(n *wires) {
			gone := throng.Errorf(throng.Unavailable, "no answer")
			n.failing(gone, gone, gone, gone, gone)
			n.handOff(0, 9)
		}},
		{"it refuses", func(n *wires) {
			n.failing(throng.Errorf(throng.Denied, "expired"))
			n.handOff(0, 9)
		}},
		{"it says bye", func(n *wires) {
			n.handOff(0, 9)
			n.down(1, wire.AppendBye(nil, wire.Bye{Code: wire.ByeFull}))
		}},
		{"it says nothing", func(n *wires) { n.handOff(0, 9) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			joined(t, nil, func(n *wires, s *Session, done <-chan error, _ func()) {
				c.fail(n)
				n.keepAlive(0, 20*time.Second)
				n.down(0, payload(n.stage.snapshot(4, 0, 3)))
				synctest.Wait()
				s.World(func(w *World) {
					if w.Tick() != 4 || s.moves != 0 {
						t.Errorf("got tick %d, %d handoffs; want 4 of the first session", w.Tick(), s.moves)
					}
				})
				select {
				case err := <-done:
					t.Errorf("Run ended: %v", err)
				default:
				}
				// Another one, to elsewhere, may go better.
				n.failing()
				_, conns := n.count()
				n.handOff(0, 11)
				n.down(conns, n.stage.welcome()...)
				n.wait(100 * time.Millisecond)
				if s.Handoffs() != 1 {
					t.Error("the next handoff was not followed")
				}
			})
		})
	}
}

// When the first session has put the player out and the other does not take him
// either, the first one's word is why.
func TestSessionEndsWhenBothAreLost(t *testing.T) {
	joined(t, nil, func(n *wires, _ *Session, done <-chan error, _ func()) {
		n.handOff(0, 9)
		n.down(0, wire.AppendBye(nil, wire.Bye{Code: wire.ByeEvicted}))
		n.conns[0].lost <- errors.New("ended by the server")
		n.conns[1].lost <- errors.New("it died")
		n.wait(time.Second)
		var bye *ByeError
		if err := <-done; !errors.As(err, &bye) || bye.Bye.Code != wire.ByeEvicted {
			t.Errorf("Run: got %v, want evicted", err)
		}
	})
}
