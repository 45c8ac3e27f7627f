package fleet

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

func TestEndedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 0, 10)
		polite, stuck := r.opens(t), r.opens(t)
		after(t, 3*time.Second)
		for _, id := range []throng.SessionID{polite, stuck} {
			if err := r.End(t.Context(), id, "everybody left"); err != nil {
				t.Fatal(err)
			}
		}
		r.host(polite).kill()
		after(t, throng.LeaseTime-time.Second)
		if len(r.freed()) != 0 {
			t.Errorf("got %v released, want none within the lease", r.freed())
		}
		after(t, 2*reconcileTime)
		if len(r.freed()) != 1 || r.freed()[0] != r.session(stuck).Server {
			t.Errorf("got %v released, want the one that did not end", r.freed())
		}
		r.isOver(t, polite, "everybody left")
		r.audit(t)
	})
}

// TestSilentServerMayComeBack: one whose lease lapsed because it was stopped for
// 30 s is still there to be told that its session is over.
func TestSilentServerMayComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 0, 10)
		id := r.opens(t)
		after(t, 3*time.Second)
		server := r.session(id).Server
		r.host(id).detach()
		if err := r.End(t.Context(), id, "no heartbeat for 15s"); err != nil {
			t.Fatal(err)
		}
		after(t, 2*throng.LeaseTime-time.Second)
		if len(r.freed()) != 0 {
			t.Errorf("got %v released, want none within two leases", r.freed())
		}
		after(t, 2*reconcileTime)
		if len(r.freed()) != 1 || r.freed()[0] != server {
			t.Errorf("got %v released, want the silent one", r.freed())
		}
		r.audit(t)
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		stop := r.run(t, 2, 10)
		id, silent := r.opens(t), r.opens(t)
		after(t, 4*time.Second)
		stop()
		hosts := []*game{r.host(id), r.host(silent)}
		before := r.used()
		leaked := r.stray(t, "srv_eu_leaked0000000000")

		r.run(t, 2, 10)
		after(t, time.Second)
		for _, g := range r.games() {
			if g != leaked && g != hosts[1] { // that one is cut off
				if err := g.connect(); err != nil {
					t.Errorf("server %s: got %v, want it taken in", g.hello.Server, err)
				}
			}
		}
		after(t, 10*time.Second)
		if n := r.phases(); n["bound"] != 2 || n["idle"] != 2 || r.used() != before {
			t.Errorf("got %v and %d more, want two bound, the two idle ones and no more", n, r.used()-before)
		}
		after(t, 2*time.Minute)
		if len(r.freed()) != 1 || r.freed()[0] != leaked.hello.Server {
			t.Errorf("got %v released, want the leaked one only", r.freed())
		}
		hosts[0].kill()
		after(t, time.Second)
		r.isOver(t, id, "killed")
		r.isOpen(t, silent)
		r.audit(t)
	})
}

func TestRegistryLost(t *testing.T) {
	rebuilding := throng.Errorf(throng.Unavailable, "rebuilding")
	t.Run("silent", func(t *testing.T) { testRegistryLost(t, rebuilding) })
	t.Run("empty", func(t *testing.T) { testRegistryLost(t, nil) })
}

func testRegistryLost(t *testing.T, away error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 1, 10)
		id, mute := r.opens(t), r.opens(t)
		after(t, 4*time.Second)
		host, dumb := r.host(id), r.host(mute)
		kept := r.session(id)
		r.set(func() { r.away = away })
		r.flush(throng.Errorf(throng.Unavailable, "rebuilding"))
		if away == nil { // the feed had a gap
			r.set(func() { r.away = errors.New("connection lost") })
			after(t, time.Second)
			r.set(func() { r.away = nil })
		}
		after(t, 10*time.Minute)
		if len(r.freed()) != 0 {
			t.Fatalf("got %v released while rebuilding, want none", r.freed())
		}
		r.set(func() { r.clock, r.away = nil, nil })
		after(t, 10*time.Second)
		r.set(func() { // a late report
			r.sessions[id] = &kept
			r.touch(id)
		})
		after(t, throng.LeaseTime+2*reconcileTime)
		if len(r.freed()) != 1 || r.freed()[0] != dumb.hello.Server {
			t.Errorf("got %v released, want only the one that never reported", r.freed())
		}
		if n := r.phases(); n["bound"] != 1 || !host.alive {
			t.Errorf("got %v, want the one that reported still bound", n)
		}
	})
}

func TestDoorCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 0, 10)
		id := r.opens(t)
		after(t, 4*time.Second)
		r.host(id).detach()
		r.set(func() { r.away = throng.Errorf(throng.Unavailable, "rebuilding") })
		r.flush(r.away)
		after(t, time.Minute)
		r.set(func() { r.clock, r.away = nil, nil })
		after(t, 5*time.Minute)
		if len(r.freed()) != 0 {
			t.Errorf("got %v released, want none while no server is heard", r.freed())
		}
	})
}

// The registry was emptied while the door was cut. The first servers that are
// back must not be the end of those that come a moment later.
func TestDoorCutComesBackOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 0, 10)
		first, second := r.opens(t), r.opens(t)
		after(t, 4*time.Second)
		hosts := []*game{r.host(first), r.host(second)}
		kept := []throng.Session{r.session(first), r.session(second)}
		for _, g := range hosts {
			g.detach()
		}
		r.flush(throng.Errorf(throng.Unavailable, "rebuilding"))
		r.set(func() { r.away = errors.New("connection lost") }) // the feed has a gap
		after(t, 10*time.Second)
		r.set(func() { r.clock, r.away = nil, nil })
		after(t, time.Minute)
		for i, g := range hosts { // each reports and connects
			r.set(func() {
				r.sessions[kept[i].ID] = &kept[i]
				r.touch(kept[i].ID)
			})
			if err := g.connect(); err != nil {
				t.Errorf("server %s: got %v, want it taken in", g.hello.Server, err)
			}
			after(t, throng.LeaseTime/2)
		}
		after(t, time.Minute)
		if len(r.freed()) != 0 {
			t.Errorf("got %v released, want none: both are heard", r.freed())
		}
	})
}

func TestSecondLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 0, 10)
		id := r.opens(t)
		after(t, 4*time.Second)
		g := r.host(id)
		r.set(func() { g.hello.Incarnation, g.hello.Session = "second", "" })
		if err := g.connect(); throng.KindOf(err) != throng.Denied {
			t.Errorf("got %v, want denied", err)
		}
		after(t, 2*reconcileTime)
		r.isOver(t, id, "it was started again")
		r.audit(t)
	})
}

func TestMissedExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 0, 10)
		id, linked := r.opens(t), r.opens(t)
		after(t, 4*time.Second)
		r.host(id).detach()
		r.set(func() {
			r.servers[r.sessions[id].Server].unlisted = true
			r.servers[r.sessions[linked].Server].unlisted = true
		})
		after(t, 4*reconcileTime)
		r.isOver(t, id, "the backend does not list it")
		r.isOpen(t, linked) // it is connected, so it lives, whatever the backend says
	})
}

func TestSurplus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		stop := r.run(t, 4, 10)
		after(t, 3*time.Second)
		stop()
		r.run(t, 1, 10)
		after(t, time.Second)
		for _, g := range r.games() {
			if err := g.connect(); err != nil {
				t.Fatal(err)
			}
		}
		after(t, surplusWait)
		if len(r.freed()) > 1 {
			t.Errorf("got %d released in the first minute, want one at most", len(r.freed()))
		}
		after(t, surplusWait)
		if n := r.phases(); n["idle"] != 1 || len(r.freed()) != 3 || r.games()[r.freed()[0]].stopped == "" {
			t.Errorf("got %v and %v released, want one idle, three told to stop and released", n, r.freed())
		}
	})
}

// A registry that came back from an older copy has sessions whose servers ended
// long ago. They end, but for one that is heard: its server runs somewhere.
func TestOlderCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 2, 10)
		over, heard := r.opens(t), r.opens(t)
		after(t, 4*time.Second)
		copies := []throng.Session{r.session(over), r.session(heard)}
		copies[1].LeaseUntil = time.Now().Add(time.Hour)
		r.host(over).kill()
		r.host(heard).kill()
		after(t, 2*goneTime) // nobody remembers the servers
		r.set(func() {
			for _, s := range copies {
				r.sessions[s.ID] = &s
				r.touch(s.ID)
			}
		})
		after(t, (absentMost+2)*reconcileTime)
		r.isOver(t, over, "its game server is gone")
		r.isOpen(t, heard)
	})
}

// Where the backend learns late that a server is over, one that left when its session
// had ended is released at once, in whichever order the two are heard; one whose
// connection is lost has its time to come back. Elsewhere its own end says it.
func TestBuries(t *testing.T) {
	end := func(t *testing.T, r *region, s throng.SessionID) { r.endIt(t, s) }
	leave := func(_ *testing.T, r *region, s throng.SessionID) { r.host(s).leave() }
	lose := func(_ *testing.T, r *region, s throng.SessionID) { r.host(s).detach() }
	type step func(*testing.T, *region, throng.SessionID)
	for name, c := range map[string]struct {
		buries bool
		steps  []step
		freed  int
	}{
		"ends, leaves":             {true, []step{end, leave}, 1},
		"leaves, ends":             {true, []step{leave, end}, 1},
		"ends, is lost":            {true, []step{end, lose}, 0},
		"is lost, ends":            {true, []step{lose, end}, 0},
		"leaves":                   {true, []step{leave}, 0},
		"the backend hears itself": {false, []step{end, leave}, 0},
		"leaves, comes back, ends": {true, []step{leave, func(t *testing.T, r *region, s throng.SessionID) {
			if err := r.host(s).connect(); err != nil {
				t.Error(err)
			}
		}, end}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegion()
				r.runWith(t, Config{Max: 10, Buries: c.buries})
				s := r.opens(t)
				after(t, 4*time.Second)
				r.isOpen(t, s)
				for _, do := range c.steps {
					do(t, r, s)
					after(t, 500*time.Millisecond)
				}
				if got := len(r.freed()); got != c.freed {
					t.Errorf("%d servers released, want %d: %v", got, c.freed, r.o.Servers())
				}
				if c.freed > 0 && len(r.o.Servers()) != 0 {
					t.Errorf("got %v, want it gone", r.o.Servers())
				}
			})
		})
	}
}
