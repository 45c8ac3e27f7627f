package fleet

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// after lets so much time pass, and all that is due in it happen.
func after(t *testing.T, d time.Duration) {
	t.Helper()
	pause(t.Context(), d)
	synctest.Wait()
}

// isOpen fails unless the session is bound to a server.
func (r *region) isOpen(t *testing.T, id throng.SessionID) {
	t.Helper()
	if s := r.session(id); s.State != throng.SessionOpen || s.Server == "" {
		t.Errorf("got session %s %s (%s), want it open", id, s.State, s.Reason)
	}
}

// isOver fails unless the session ended with words like those.
func (r *region) isOver(t *testing.T, id throng.SessionID, words string) {
	t.Helper()
	if s := r.session(id); s.State != throng.SessionEnded || !strings.Contains(s.Reason, words) {
		t.Errorf("got session %s %s (%q), want it ended (%q)", id, s.State, s.Reason, words)
	}
}

func TestStockIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 2, 10)
		if r.o.Ready() {
			t.Error("got ready before a server connected")
		}
		after(t, 2*time.Second)
		if n := r.phases(); n["idle"] != 2 || len(n) != 1 || !r.o.Ready() {
			t.Errorf("got %v, ready %v, want two idle ones and ready", n, r.o.Ready())
		}
		id := r.opens(t)
		after(t, 400*time.Millisecond)
		r.isOpen(t, id) // by the stock: nothing else is that quick
		after(t, 2*time.Second)
		if n := r.phases(); n["idle"] != 2 || n["bound"] != 1 {
			t.Errorf("got %v, want the stock filled up again", n)
		}
		r.audit(t)
	})
}

func TestHandoverSaysEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 1, 10)
		after(t, 2*time.Second)
		var got throng.Handover
		for id, g := range r.games() {
			if _, err := r.o.Attach(g.hello, spy{g, &got}); err != nil { // the newer connection counts
				t.Errorf("server %s: %v", id, err)
			}
			g.detach() // and the end of the older one does not
		}
		id := r.opens(t)
		after(t, time.Second)
		r.isOpen(t, id)
		g, s := r.host(id), r.session(id)
		key, err := r.SessionKey(id)
		if err != nil {
			t.Fatal(err)
		}
		want := throng.Handover{
			Session: id, Place: "arena", Version: 1, Package: "abc", Capacity: 10, Key: key,
			Token: fmt.Sprintf("%s for %s", id, g.hello.Server), Now: got.Now, OpenedAt: s.OpenedAt,
			Incarnation: g.hello.Incarnation,
			Route:       "route",
		}
		if got != want || got.Now.IsZero() {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

type spy struct {
	*game
	got *throng.Handover
}

func (s spy) Handover(ctx context.Context, h throng.Handover) error {
	*s.got = h
	return s.game.Handover(ctx, h)
}

// Without stock every opening waits for a server of its own.
// A burst of openings: one server each, eight allocations at a time.
// The fleet has an end: what is beyond it is refused at once.
// The backend can start no more: waiting openings end at once, new ones are refused.
// Handovers that go wrong: the next server is tried, and the one before is
// never used again, and ends.
// A server that took its session and dies before it says so: the next one is
// tried at once.
// The first heartbeat of a server that is dead by now arrives late: its session
// is over, whoever else has got it.
// Three servers, then the session is given up.
// Nothing connects: an opening lasts 20 s and no longer, and servers that do
// not connect are released.
// A crashed game server: its session is over at once, and says why.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 1, 10)
		id, other := r.opens(t), r.opens(t)
		after(t, 4*time.Second)
		r.isOpen(t, id)
		r.set(func() { r.away = throng.Errorf(throng.Unavailable, "for a moment") })
		r.host(id).kill()
		after(t, 2*time.Second)
		r.set(func() { r.away = nil })
		after(t, 2*time.Second)
		r.isOver(t, id, "its game server is gone: signal: killed")
		r.isOpen(t, other)

		// A crash right after the first heartbeat, which the feed told late.
		late := r.opens(t)
		for r.session(late).Server == "" {
			pause(t.Context(), 10*time.Millisecond)
		}
		r.host(late).kill()
		after(t, time.Second)
		r.isOver(t, late, "its game server is gone: signal: killed")
		after(t, 3*time.Second)
		r.audit(t)
	})
}

// An idle server that ends is replaced.
func TestIdleDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 1, 10)
		after(t, 2*time.Second)
		for _, g := range r.games() {
			g.kill()
		}
		after(t, 3*time.Second)
		if n := r.phases(); n["idle"] != 1 || r.used() != 2 {
			t.Errorf("got %v of %d, want one idle of 2", n, r.used())
		}
	})
}

// A session is over: its server has a lease to end by itself.
// The control plane starts again: servers come back with what they are.
// The registry lost everything: nobody is released for that, neither while it
// is rebuilding nor while the servers' reports are on their way.
// While rebuilding, all calls but Now answer away, or as if there were nothing.
// Cut off with all the others, a server is not released because the registry
// has not heard of its session.
// A server whose process is started again is not given a session anew.
// A server that vanishes without a word from the watch is missed in the list.
// The registry's clock is away for a moment: the server was not spoken to, so
// it stays good.
func TestDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 0, 10)
		id := r.opens(t)
		after(t, 4*time.Second)
		g := r.host(id)
		r.o.Deliver(id, g.hello.Server, throng.Order{ID: 1, Kind: throng.OrderDrain})
		r.o.Deliver(id, "srv_eu_nobody", throng.Order{ID: 2, Kind: throng.OrderDrain})
		g.detach()
		synctest.Wait()
		r.o.Deliver(id, g.hello.Server, throng.Order{ID: 3, Kind: throng.OrderDrain})
		if orders := g.ordered(); len(orders) != 1 || orders[0].ID != 1 {
			t.Errorf("got orders %v, want the first only", orders)
		}
	})
}

func TestRefusedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		stop := r.run(t, 0, 10)
		if _, err := r.o.Attach(throng.Hello{Server: "srv_us_0000000000000000"}, nil); throng.KindOf(err) != throng.Invalid {
			t.Errorf("got %v for another region's server, want invalid", err)
		}
		lost := throng.Hello{Server: "srv_eu_0000000000000000", Session: "ses_us_000000000000000000"}
		if _, err := r.o.Attach(lost, nil); throng.KindOf(err) != throng.Invalid {
			t.Errorf("got %v for another region's session, want invalid", err)
		}
		id := r.opens(t)
		after(t, 4*time.Second)
		g := r.host(id)
		g.kill()
		after(t, time.Second)
		r.set(func() { g.alive = true })
		if err := g.connect(); throng.KindOf(err) != throng.Denied {
			t.Errorf("got %v for one that is gone, want denied", err)
		}
		stop()
		if err := g.connect(); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("got %v when nobody runs the fleet, want unavailable", err)
		}
		if _, err := r.open(t); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("got %v when nobody runs the fleet, want unavailable", err)
		}
		g.detach()
	})
}

func TestConfig(t *testing.T) {
	r := newRegion()
	c := Config{Region: throng.Region{ID: "eu"}, Backend: r, Registry: r, Keys: r, Metrics: prometheus.NewPedanticRegistry()}
	if _, err := New(c); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if _, err := New(c); throng.KindOf(err) != throng.Exists {
		t.Errorf("got %v for the second on one registry, want exists", err)
	}
	c.Metrics = nil
	for _, change := range []func(*Config){
		func(c *Config) { c.Region.ID = "" },
		func(c *Config) { c.Backend = nil },
		func(c *Config) { c.Stock = 65 },
		func(c *Config) { c.Stock = -1 },
		func(c *Config) { c.Max = -1 },
	} {
		broken := c
		change(&broken)
		if _, err := New(broken); throng.KindOf(err) != throng.Invalid {
			t.Errorf("got %v, want invalid", err)
		}
	}
}
