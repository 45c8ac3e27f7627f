package fleet

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
)

// replica is one of several orchestrators over a region. It hears of all exits.
type replica struct {
	*region
	*cluster
	o    *Orchestrator
	stop func()
	way  *memory.Backend
}

// cluster is the replicas that live. All of it is guarded by mu.
type cluster struct {
	mu   sync.Mutex
	all  []*replica
	mute error // what is heard in place of an answer
}

func (c *cluster) others(than *replica) ([]*replica, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.all), func(r *replica) bool { return r == than }), c.mute
}

func (r *replica) Allocate(ctx context.Context, id throng.ServerID) error {
	r.set(func() {
		if r.orderer[id] == nil { // an earlier one's server would be there already
			r.orderer[id] = r.o
		}
	})
	return r.region.Allocate(ctx, id)
}

func (r *replica) Watch(ctx context.Context, gone func(throng.ServerExit)) error {
	return r.way.Watch(ctx, gone)
}

func (r *replica) Held(_ context.Context, ids []throng.ServerID) (held []throng.ServerID, err error) {
	others, err := r.others(r)
	for _, other := range others {
		some, _ := other.o.Holds(ids)
		held = append(held, some...)
	}
	return held, err
}

func (r *replica) Opening(_ context.Context, s throng.SessionID) bool {
	others, _ := r.others(r)
	return slices.ContainsFunc(others, func(other *replica) bool {
		opens, _ := other.o.Opens(s)
		return opens
	})
}

func (r *replica) Took(id throng.ServerID) {
	others, _ := r.others(r)
	for _, other := range others {
		go func() { _ = other.o.TookElsewhere([]throng.ServerID{id}) }()
	}
}

func (r *replica) Relay(s throng.SessionID, id throng.ServerID, o throng.Order) {
	others, _ := r.others(r)
	for _, other := range others {
		other.o.Relayed(s, id, o)
	}
}

// runReplica starts an orchestrator beside the others.
func (c *cluster) runReplica(t *testing.T, r *region, stock, most int) *replica {
	t.Helper()
	p := &replica{region: r, cluster: c, way: r.machine.Backend()}
	var err error
	p.o, err = New(Config{
		Region: throng.Region{ID: "eu"}, Backend: p, Registry: r, Keys: r, Peers: p, Stock: stock, Max: most,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = p.o.Run(ctx) // never fails
	}()
	p.stop = sync.OnceFunc(func() { cancel(); <-over; p.way.Close() })
	t.Cleanup(p.stop)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, p)
	return p
}

// die ends a replica as a crash does: its connections are lost, nobody is told.
func (r *replica) die() {
	r.stop()
	r.cluster.mu.Lock()
	defer r.cluster.mu.Unlock()
	r.all = slices.DeleteFunc(r.all, func(other *replica) bool { return other == r })
}

// phasesOf counts a replica's servers.
func (r *replica) phasesOf() map[string]int {
	n := map[string]int{}
	for _, s := range r.o.Servers() {
		n[s.Phase]++
	}
	return n
}

// opened opens a session at this replica.
func (r *replica) opened(t *testing.T) throng.SessionID {
	t.Helper()
	r.set(func() { r.region.o = r.o })
	return r.opens(t)
}

func TestPeersServersAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRegion(), &cluster{}
		a, b := c.runReplica(t, r, 2, 20), c.runReplica(t, r, 2, 20)
		after(t, 10*time.Second)
		session := a.opened(t)
		after(t, 5*time.Minute)
		if len(r.freed()) != 0 {
			t.Errorf("got %v released, want none", r.freed())
		}
		r.isOpen(t, session)
		for name, n := range map[string]map[string]int{"a": a.phasesOf(), "b": b.phasesOf()} {
			if n["idle"] != 2 || n["found"] != 2 || n["bound"] != 1 {
				t.Errorf("%s: got %v, want two idle of its own, the other's two, and the one that is bound", name, n)
			}
		}
		// An order that reaches the other replica's registry goes to the server at once.
		b.o.Deliver(session, r.session(session).Server, throng.Order{ID: 1, Kind: throng.OrderDrain})
		if got := r.host(session).ordered(); len(got) != 1 || got[0].ID != 1 {
			t.Errorf("got orders %v, want the drain", got)
		}
		// Nor is one released whose session the registry forgot, while a peer has it.
		host := r.session(session).Server
		if err := r.End(t.Context(), session, "over"); err != nil {
			t.Fatal(err)
		}
		after(t, throng.LeaseTime+2*reconcileTime)
		if got := r.freed(); len(got) != 1 || got[0] != host {
			t.Errorf("got %v released, want %s by the one that it is connected to", got, host)
		}
		r.audit(t)
	})
}

// The idle servers of a replica that died are taken in where they connect next,
// what it was starting is started by another, and what runs goes on.
func TestDeadReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRegion(), &cluster{}
		a, b := c.runReplica(t, r, 2, 20), c.runReplica(t, r, 2, 20)
		after(t, 10*time.Second)
		running := a.opened(t)
		after(t, 10*time.Second)
		r.set(func() { r.manner = func(int) manner { return manner{connectIn: -1} } }) // hang before they connect
		a.opened(t)
		after(t, time.Second) // a allocates one more for its stock
		waiting := r.openAt()
		a.die()
		for _, g := range r.games() {
			if g.at == a.o {
				r.set(func() { g.at = b.o })
				if g.manner.connectIn >= 0 {
					if err := g.connect(); err != nil {
						t.Errorf("got %v from the other replica, want the server taken in", err)
					}
				}
			}
		}
		s := r.session(waiting)
		for range 5 { // many wait for it
			if err := b.o.Resume(t.Context(), s, throng.Release{Place: "arena", Version: 1, Package: "abc"}); err != nil {
				t.Fatal(err)
			}
		}
		after(t, 2*time.Second)
		r.isOpen(t, waiting)
		r.isOpen(t, running)
		hung := 0
		after(t, foundTime+3*reconcileTime)
		for _, id := range r.freed() {
			if g := r.games()[id]; g.manner.connectIn >= 0 {
				t.Errorf("released %s, which works", id)
			} else {
				hung++
			}
		}
		if hung == 0 {
			t.Error("the one that the dead replica allocated and that hangs was not released")
		}
		r.host(running).kill()
		after(t, time.Second)
		r.isOver(t, running, "killed")
		r.audit(t)
	})
}

// openAt makes a Starting session that its opener did not give to its fleet.
func (r *region) openAt() throng.SessionID {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &throng.Session{ID: "ses_eu_waiting", Place: "arena", Version: 1, Capacity: 10, OpenedAt: time.Now()}
	r.sessions[s.ID] = s
	r.touch(s.ID)
	return s.ID
}

// Without an answer of every living peer nothing of theirs is released.
func TestPeersThatDoNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRegion(), &cluster{}
		a := c.runReplica(t, r, 1, 20)
		c.mute = throng.Errorf(throng.Unavailable, "no answer")
		after(t, 5*time.Second)
		r.stray(t, "srv_eu_strange000000000")
		after(t, 5*time.Minute)
		if len(r.freed()) != 0 {
			t.Errorf("got %v released, want none", r.freed())
		}
		c.mu.Lock()
		c.mute = nil
		c.mu.Unlock()
		after(t, 2*reconcileTime)
		if got := r.freed(); len(got) != 1 || got[0] != "srv_eu_strange000000000" {
			t.Errorf("got %v released, want the one that nobody has", got)
		}
		if n := a.phasesOf(); n["idle"] != 1 {
			t.Errorf("got %v, want the own one kept", n)
		}
	})
}

// wasHanded checks how many handovers there were of all sessions.
func (r *region) wasHanded(t *testing.T, want int) {
	t.Helper()
	got := 0
	for _, g := range r.games() {
		got += len(g.handed)
	}
	if got != want {
		t.Errorf("got %d handovers, want %d", got, want)
	}
}

// A session that somebody is starting is not started again.
func TestResumeLeavesItToWhoStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRegion(), &cluster{}
		a, b := c.runReplica(t, r, 1, 20), c.runReplica(t, r, 1, 20)
		r.set(func() { r.manner = func(int) manner { return manner{connectIn: 0, bindIn: 4 * time.Second} } })
		after(t, 5*time.Second)
		id := a.opened(t)
		for range 3 {
			if err := b.o.Resume(t.Context(), r.session(id), throng.Release{Place: "arena", Version: 1}); err != nil {
				t.Fatal(err)
			}
			after(t, time.Second)
		}
		after(t, 3*time.Second)
		r.isOpen(t, id)
		r.wasHanded(t, 1)
	})
}

// Who waits for a session may ask for it after it was bound, on old news.
func TestResumeOfABoundSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRegion(), &cluster{}
		a, b := c.runReplica(t, r, 1, 20), c.runReplica(t, r, 1, 20)
		after(t, 5*time.Second)
		id := a.opened(t)
		old := r.session(id)
		after(t, 5*time.Second)
		r.isOpen(t, id)
		for _, o := range []*replica{a, b} {
			if err := o.o.Resume(t.Context(), old, throng.Release{Place: "arena", Version: 1}); err != nil {
				t.Fatal(err)
			}
		}
		after(t, throng.LeaseTime)
		r.isOpen(t, id)
		r.wasHanded(t, 1)
	})
}

// Two orchestrators that start the same session, because one of them was not
// heard: one server is bound, the other ends.
func TestTwinsAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := newRegion(), &cluster{}
		a := c.runReplica(t, r, 1, 20)
		b := (&cluster{}).runReplica(t, r, 1, 20) // hears of nobody
		after(t, 5*time.Second)
		id := a.opened(t)
		if err := b.o.Resume(t.Context(), r.session(id), throng.Release{Place: "arena", Version: 1}); err != nil {
			t.Fatal(err)
		}
		after(t, throng.LeaseTime)
		r.isOpen(t, id)
		r.wasHanded(t, 2)
		r.audit(t) // the one that is not bound is not alive
	})
}
