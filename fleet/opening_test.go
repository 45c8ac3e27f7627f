package fleet

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

func TestNoStock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 0, 10)
		after(t, time.Second)
		if r.used() != 0 || !r.o.Ready() {
			t.Errorf("got %d servers, want none, and ready", r.used())
		}
		id := r.opens(t)
		if err := r.o.Start(r.session(id), throng.Release{}); err != nil { // a repeat
			t.Errorf("got %v for a repeat, want nil", err)
		}
		after(t, 2*time.Second)
		r.isOpen(t, id)
		if r.used() != 1 {
			t.Errorf("got %d servers, want 1", r.used())
		}
	})
}

func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 2, 100)
		after(t, 2*time.Second)
		var ids []throng.SessionID
		var mu sync.Mutex
		var each sync.WaitGroup
		for range 25 {
			id := r.opens(t)
			each.Go(func() {
				mu.Lock()
				defer mu.Unlock()
				ids = append(ids, id)
			})
		}
		each.Wait()
		after(t, 10*time.Second)
		hosts := map[throng.ServerID]bool{}
		for _, id := range ids {
			r.isOpen(t, id)
			hosts[r.session(id).Server] = true
		}
		if len(hosts) != 25 || r.used() != 27 || r.peak() > atOnce {
			t.Errorf("got %d hosts of %d servers, %d allocations at once, want 25 of 27, at most %d",
				len(hosts), r.used(), r.peak(), atOnce)
		}
		r.audit(t)
	})
}

func TestMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 1, 3)
		for range 3 {
			r.opens(t)
		}
		_, err := r.open(t)
		if throng.KindOf(err) != throng.NoCapacity || throng.RetryAfterOf(err) <= 0 {
			t.Errorf("got %v, want no capacity with a time", err)
		}
		after(t, 5*time.Second)
		if n := r.phases(); n["bound"] != 3 || r.used() != 3 || !r.o.Ready() {
			t.Errorf("got %v, want 3 bound and nothing more", n)
		}
	})
}

func TestBackendFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.allocErr = throng.Errorf(throng.NoCapacity, "no more ports")
		r.run(t, 0, 10)
		after(t, time.Second)
		id := r.opens(t)
		after(t, time.Second)
		r.isOver(t, id, "no more ports")
		if _, err := r.open(t); throng.KindOf(err) != throng.NoCapacity {
			t.Errorf("got %v, want no capacity", err)
		}
		r.set(func() { r.allocErr = nil })
		after(t, 2*time.Second)
		id = r.opens(t)
		after(t, 5*time.Second)
		r.isOpen(t, id)
	})
}

// A backend that grows by itself has none for a while: openings wait for what
// comes, and the stock is refilled as soon as there are some, however often it was
// asked for in vain; what waits for too long is refused.
func TestBackendDry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.allocErr = throng.Errorf(throng.NoCapacity, "no game server is ready")
		r.runWith(t, Config{Stock: 4, Max: 20, AtOnce: 16, Patience: 10 * time.Second})
		after(t, time.Minute)
		if n := r.peak(); n > 16 {
			t.Errorf("got %d allocations under way, want 16 at most", n)
		}
		r.set(func() { r.busiest = 0 })
		early := r.opens(t)
		after(t, 6*time.Second)
		if n := r.peak(); n == 0 || n > dryAtOnce {
			t.Errorf("got %d allocations under way while there are none, want 1 to %d", n, dryAtOnce)
		}
		late := r.opens(t)
		after(t, 7*time.Second)
		r.isOver(t, early, "no game server is ready")
		r.set(func() { r.allocErr = nil })
		after(t, 5*time.Second)
		r.isOpen(t, late)
		if n := r.phases()["idle"]; n != 4 {
			t.Errorf("got %d idle servers 5 s after there were some, want 4", n)
		}
	})
}

// Half of the new servers never connect, as on a node that is cut off and that the
// backend believes in: openings get one of the others in time.
func TestCutNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.manner = func(n int) manner {
			if n%2 == 1 {
				return manner{connectIn: -1}
			}
			return good()
		}
		r.runWith(t, Config{Stock: 2, Max: 60})
		after(t, 15*time.Second)
		for range 12 {
			id := r.opens(t)
			after(t, 5*time.Second)
			r.isOpen(t, id)
		}
		r.audit(t)
	})
}

// A server that does not answer a handover may not be alone: the next try is in
// another cluster, although servers of the same one have been idle for longer.
func TestNextServerIsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSited()
		r.manner = func(n int) manner {
			if n < 4 {
				return manner{connectIn: time.Second, bindIn: -1, hang: true}
			}
			return good()
		}
		r.runWith(t, Config{Stock: 4, Max: 60})
		after(t, 5*time.Second)
		r.set(func() { r.next.Cluster = "b" })
		for range 3 {
			id := r.opens(t)
			after(t, 7*time.Second)
			r.isOpen(t, id)
		}
		after(t, time.Minute) // those that did not answer are released
		r.audit(t)
	})
}

func TestBadHandovers(t *testing.T) {
	for name, bad := range map[string]manner{
		"reply lost":           {connectIn: time.Second, bindIn: 20 * time.Second, answer: throng.Errorf(throng.Unavailable, "lost")},
		"reply lost and bound": {connectIn: time.Second, bindIn: 4 * time.Second, answer: throng.Errorf(throng.Unavailable, "lost")},
		"no reply":             {connectIn: time.Second, bindIn: -1, hang: true},
		"refused":              {connectIn: time.Second, bindIn: -1, answer: throng.Errorf(throng.Conflict, "has one")},
		"never bound":          {connectIn: time.Second, bindIn: -1},
		"bound too late":       {connectIn: time.Second, bindIn: 8 * time.Second},
		"dies":                 {connectIn: time.Second, bindIn: -1, diesOn: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegion()
				r.manner = func(n int) manner {
					if n == 0 {
						return bad
					}
					return good()
				}
				r.run(t, 2, 10)
				after(t, 2*time.Second)
				id := r.opens(t)
				after(t, 7*time.Second)
				r.isOpen(t, id)
				if r.host(id).manner == bad {
					t.Error("got the bad server as host, want the next one")
				}
				after(t, throng.LeaseTime+2*reconcileTime)
				r.audit(t)
				r.isOpen(t, id)
				if n := r.phases(); n["bound"] != 1 || n["idle"] != 2 || len(n) != 2 {
					t.Errorf("got %v, want one bound and the stock", n)
				}
			})
		})
	}
}

func TestDiesBeforeBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.manner = func(n int) manner {
			if n == 0 {
				return manner{connectIn: time.Second, bindIn: -1, diesIn: time.Second}
			}
			return manner{connectIn: 2 * time.Second, bindIn: time.Second}
		}
		r.run(t, 2, 10)
		after(t, 4*time.Second)
		first := r.opens(t)
		after(t, 2500*time.Millisecond)
		r.isOpen(t, first)
		r.audit(t)
	})
}

func TestLateHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.manner = func(int) manner { return manner{connectIn: time.Second, bindIn: 4 * time.Second} }
		r.run(t, 2, 10)
		after(t, 4*time.Second)
		id := r.opens(t)
		after(t, time.Second)
		for _, g := range r.games() {
			if g.hello.Session == id {
				g.kill()
				after(t, time.Second)
				r.heartbeat(id, g.hello)
			}
		}
		after(t, time.Second)
		r.isOver(t, id, "its game server is gone: signal: killed")
		after(t, 2*throng.LeaseTime)
		r.audit(t)
	})
}

func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.manner = func(int) manner { return manner{connectIn: time.Second, bindIn: -1} }
		r.run(t, 3, 20)
		after(t, 3*time.Second)
		id := r.opens(t)
		after(t, 14*time.Second)
		if s := r.session(id); s.State != throng.SessionStarting {
			t.Errorf("got %s, want the third server's time to be waited for", s.State)
		}
		after(t, 2*time.Second)
		r.isOver(t, id, "no game server after 3: its game server did not report in time")
		after(t, throng.LeaseTime+2*reconcileTime)
		r.audit(t)
	})
}

func TestNeverConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.manner = func(int) manner { return manner{connectIn: -1} }
		r.run(t, 1, 4)
		id := r.opens(t)
		after(t, 21*time.Second)
		r.isOver(t, id, "no game server was ready in time")
		after(t, 12*time.Second)
		if len(r.freed()) < 2 {
			t.Errorf("got %d released, want the first two", len(r.freed()))
		}
		after(t, time.Minute)
		if r.used() > 20 {
			t.Errorf("got %d allocations in 90 s, want few", r.used())
		}
		r.set(func() { r.manner = func(int) manner { return good() } })
		after(t, time.Minute)
		if n := r.phases(); n["idle"] < 1 {
			t.Errorf("got %v, want the stock, now that servers connect", n)
		}
	})
}

func TestNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 1, 1)
		after(t, 3*time.Second)
		r.set(func() { r.clock = errors.New("away") })
		id := r.opens(t)
		after(t, 5*time.Second)
		r.set(func() { r.clock = nil })
		after(t, 2*time.Second)
		r.isOpen(t, id)
		r.audit(t)
	})
}

// A registry that is rebuilding says nothing in its feed and binds all the same:
// a session with players in it must not be ended because nobody heard of that.
func TestBoundUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		hangs := good()
		hangs.hang = true // the answer to the handover is lost
		r.manner = func(int) manner { return hangs }
		r.run(t, 3, 10)
		after(t, 2*time.Second)
		r.set(func() { r.mute = true })
		id := r.opens(t)
		after(t, openTime+10*time.Second)
		r.isOpen(t, id)
		first := r.session(id).Server
		r.set(func() { r.mute = false; r.touch(id) })
		after(t, time.Minute)
		r.isOpen(t, id)
		if got := r.session(id).Server; got != first {
			t.Errorf("got %s, want it to stay on %s", got, first)
		}
		r.audit(t)
	})
}
