package gameserver

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// Drain is the registry's, as far as the door is open.
func (d *doorway) Drain(ctx context.Context, s throng.SessionID, reason string, within time.Duration) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.Registry.Drain(ctx, s, reason, within)
}

// screen writes down what was displayed. Safe for concurrent use.
type screen struct {
	mu      sync.Mutex
	hosts   []throng.SessionID
	players []string
}

func (s *screen) Hosts(h throng.Handover) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, h.Session)
}

func (s *screen) Players(list []throng.PlayerID, seats int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(list)
	s.players = append(s.players, fmt.Sprint(list, " of ", seats))
}

// A process that has to end moves its players out as groups, and nobody is sent
// to it any more.
func TestLeaveMovesPlayersOut(t *testing.T) {
	play(t, func(s *stage) {
		conns, _ := s.enter("pair", "ada", "bo")
		s.server.Leave("the machine is drained", time.Minute)
		s.server.Leave("again", time.Hour)
		s.wait(time.Second)
		if got := s.record(s.session.ID).State; got != throng.SessionDraining {
			t.Errorf("registry: session is %s, want draining", got)
		}
		if got := fmt.Sprint(s.moves.groups()); got != "[ada+bo]" {
			t.Errorf("handed off %v, want the pair together", got)
		}
		for _, c := range conns {
			if len(s.offers(c)) == 0 {
				t.Errorf("connection %d was told of no seat", c)
			}
			s.net.events <- Event{Kind: EventDisconnected, Conn: c}
		}
		s.wait(time.Second)
		s.over(nil)
		if got := fmt.Sprint(s.screen.players); got != "[[] of 3 [ada bo] of 3 [] of 3]" && got != "[[] of 3 [ada] of 3 [ada bo] of 3 [] of 3]" {
			t.Errorf("displayed %v", got)
		}
		if !slices.Equal(s.screen.hosts, []throng.SessionID{s.session.ID}) {
			t.Errorf("displayed sessions %v", s.screen.hosts)
		}
	})
}

// Players who cannot be moved play until the time is over, which an operator's
// later end does not move.
func TestLeaveEndsInTime(t *testing.T) {
	play(t, func(s *stage) {
		s.enter("one", "cy")
		s.moves.set(func(throng.Handoff) error { return throng.Errorf(throng.NoCapacity, "no server") })
		s.server.Leave("the machine is drained", 40*time.Second)
		s.wait(time.Second)
		if err := s.registry.Drain(t.Context(), s.session.ID, "update", time.Hour); err != nil {
			t.Fatal(err)
		}
		s.wait(38 * time.Second)
		s.inside("until the end", 1, "cy")
		s.wait(3 * time.Second)
		s.over(nil)
	})
}

// The registry hears of it once it is back, by which time the session drains.
func TestLeaveWithoutRegistry(t *testing.T) {
	play(t, func(s *stage) {
		s.enter("one", "cy")
		s.moves.set(func(throng.Handoff) error { return throng.Errorf(throng.NoCapacity, "no server") })
		s.door.set(true)
		s.server.Leave("the machine is drained", time.Minute)
		s.wait(5 * time.Second)
		if got := s.record(s.session.ID).State; got != throng.SessionOpen {
			t.Fatalf("registry heard through a shut door: %s", got)
		}
		s.door.set(false)
		s.wait(3 * time.Second)
		if got := s.record(s.session.ID).State; got != throng.SessionDraining {
			t.Errorf("registry: session is %s, want draining", got)
		}
	})
}

// An idle server ends at once, and takes no session that comes late.
func TestLeaveWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := make(chan Directives, 1)
		server, err := New(Config{
			ID: testServer, Incarnation: "inc", Registry: &doorway{}, Packages: &recorder{}, Transport: &chanTransport{},
			Control: waiting(calls), Load: func(LoadConfig) (Place, error) { return Place{}, nil },
			BootClock: func() time.Duration { return 0 }, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		result := make(chan error, 1)
		go func() { result <- server.Run(t.Context()) }()
		d := <-calls
		server.Leave("the machine is drained", time.Minute)
		if err := d.Handover(throng.Handover{Session: "ses_test_1", Incarnation: "inc"}); throng.KindOf(err) != throng.Conflict {
			t.Errorf("handover to one that ends: %v, want Conflict", err)
		}
		if err := <-result; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// waiting is a control connection that gives its directives to a test.
type waiting chan Directives

func (w waiting) Serve(ctx context.Context, _ throng.Hello, d Directives) error {
	d.Connected()
	w <- d
	<-ctx.Done()
	return ctx.Err()
}
