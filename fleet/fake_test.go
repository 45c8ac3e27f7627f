package fleet

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
)

// region is a registry, a backend and its game servers in memory.
type region struct {
	mu    sync.Mutex
	o     *Orchestrator
	clock error // of Now: not nil while rebuilding
	away  error // of every other call
	mute  bool  // the feed says nothing, as while the registry is rebuilding

	sequence uint64
	changed  map[throng.SessionID]uint64
	news     chan struct{}
	sessions map[throng.SessionID]*throng.Session

	manner    func(n int) manner // of the n-th server, from 0
	allocIn   time.Duration
	allocErr  error
	allocate  func() error // says it in allocErr's place, with mu held; nil: it does not
	allocated int
	busy      int // Allocate calls under way
	busiest   int
	machine   *memory.Machine
	way       *memory.Backend // to the machine, of who is no replica
	astray    bool            // the next one is nobody's, see stray
	servers   map[throng.ServerID]*game
	orderer   map[throng.ServerID]*Orchestrator // the replica that a server connects to; nil: the region's
	released  []throng.ServerID
	drained   []throng.SessionID // in this order
	sites     map[throng.ServerID]throng.ServerSite
	next      throng.ServerSite // where Allocate starts the next ones
	avoided   []string
}

func newRegion() *region {
	r := &region{
		changed:  map[throng.SessionID]uint64{},
		news:     make(chan struct{}),
		sessions: map[throng.SessionID]*throng.Session{},
		manner:   func(int) manner { return good() },
		allocIn:  200 * time.Millisecond,
		servers:  map[throng.ServerID]*game{},
		orderer:  map[throng.ServerID]*Orchestrator{},
	}
	var err error
	if r.machine, err = memory.NewMachine(memory.MachineConfig{Begin: r.begin}); err != nil {
		panic(err)
	}
	r.way = r.machine.Backend()
	return r
}

// run starts an orchestrator over the region; stop ends it.
func (r *region) run(t *testing.T, stock, most int) (stop func()) {
	t.Helper()
	return r.runWith(t, Config{Stock: stock, Max: most})
}

// runWith is run with more settings.
func (r *region) runWith(t *testing.T, c Config) (stop func()) {
	t.Helper()
	c.Region, c.Backend, c.Registry, c.Keys = throng.Region{ID: "eu"}, r, r, r
	if r.sites != nil {
		c.Backend = sited{r}
	}
	c.Metrics = prometheus.NewPedanticRegistry()
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.set(func() { r.o = o })
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- o.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("got %v from Run, want nil", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// set changes the region while others use it.
func (r *region) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *region) touch(id throng.SessionID) {
	r.sequence++
	r.changed[id] = r.sequence
	close(r.news)
	r.news = make(chan struct{})
}

// open makes a Starting session and gives it to the fleet.
func (r *region) open(t *testing.T) (throng.SessionID, error) {
	t.Helper()
	r.mu.Lock()
	s := &throng.Session{
		ID:    throng.SessionID(fmt.Sprintf("ses_eu_%04d", len(r.sessions))),
		Place: "arena", Version: 1, Capacity: 10, OpenedAt: time.Now(),
	}
	r.sessions[s.ID] = s
	r.touch(s.ID)
	r.mu.Unlock()
	return s.ID, r.o.Start(*s, throng.Release{Place: "arena", Version: 1, Package: "abc"})
}

// opens is open that must succeed.
func (r *region) opens(t *testing.T) throng.SessionID {
	t.Helper()
	id, err := r.open(t)
	if err != nil {
		t.Fatalf("got %v, want the fleet to take %s", err, id)
	}
	return id
}

// heartbeat binds a session to its first server; false: ended for this one.
func (r *region) heartbeat(id throng.SessionID, h throng.Hello) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[id]
	if s != nil && s.State == throng.SessionStarting {
		s.State, s.Server, s.Incarnation, s.BoundAt = throng.SessionOpen, h.Server, h.Incarnation, time.Now()
		r.touch(id)
	}
	return s != nil && s.State != throng.SessionEnded && s.Incarnation == h.Incarnation
}

func (r *region) Drain(_ context.Context, id throng.SessionID, reason string, _ time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[id]
	switch {
	case r.away != nil:
		return r.away
	case s == nil:
		return throng.Errorf(throng.NotFound, "no session %s", id)
	case s.State == throng.SessionOpen:
		s.State, s.Reason = throng.SessionDraining, reason
		r.drained = append(r.drained, id)
		r.touch(id)
	}
	return nil
}

func (r *region) End(_ context.Context, id throng.SessionID, reason string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[id]
	switch {
	case r.away != nil:
		return r.away
	case s == nil:
		return throng.Errorf(throng.NotFound, "no session %s", id)
	case s.State != throng.SessionEnded:
		s.State, s.Reason = throng.SessionEnded, reason
		r.touch(id)
	}
	return nil
}

func (r *region) Session(_ context.Context, id throng.SessionID) (throng.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away != nil {
		return throng.Session{}, r.away
	}
	if s := r.sessions[id]; s != nil {
		return *s, nil
	}
	return throng.Session{}, throng.Errorf(throng.NotFound, "no session %s", id)
}

func (r *region) Changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error) {
	for {
		r.mu.Lock()
		news, err, mute := r.news, r.away, r.mute
		ch := throng.SessionChanges{Cursor: r.sequence + 1, Full: cursor == 0}
		for id, n := range r.changed {
			s := r.sessions[id]
			if s != nil && (n >= cursor && !ch.Full || ch.Full && s.State != throng.SessionEnded) {
				ch.Sessions = append(ch.Sessions, *s)
			}
		}
		r.mu.Unlock()
		if err != nil {
			return throng.SessionChanges{}, err
		}
		if !mute && (ch.Full || len(ch.Sessions) > 0) {
			return ch, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return throng.SessionChanges{}, ctx.Err()
		}
	}
}

func (r *region) Now(context.Context) (time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now(), r.clock
}

// flush is the loss of everything that the registry knew.
func (r *region) flush(rebuilding error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.sessions)
	clear(r.changed)
	r.clock = rebuilding
	close(r.news)
	r.news = make(chan struct{})
}

func (r *region) SessionKey(s throng.SessionID) ([32]byte, error) {
	return [32]byte([]byte(fmt.Sprintf("%032s", s))), nil
}

func (r *region) Route(throng.SessionID, netip.AddrPort) (string, error) { return "route", nil }

func (r *region) ServerToken(id throng.ServerID, s throng.SessionID) (string, error) {
	return fmt.Sprintf("%s for %s", s, id), nil
}

func (r *region) Allocate(ctx context.Context, id throng.ServerID) error {
	r.mu.Lock()
	r.busy++
	r.busiest = max(r.busiest, r.busy)
	wait, err := r.allocIn, r.allocErr
	r.mu.Unlock()
	pause(ctx, wait)
	r.set(func() {
		r.busy--
		if r.allocate != nil {
			err = r.allocate()
		}
	})
	if err != nil {
		return err
	}
	return r.machine.Start(ctx, id, nil)
}

// begin starts a process, and has it connect after a while.
func (r *region) begin(id throng.ServerID, _ []string) (end func(reason string), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := manner{connectIn: -1}
	if !r.astray {
		m = r.manner(r.allocated)
		r.allocated++
	}
	g := &game{r: r, manner: m, at: r.orderer[id], alive: true, hello: throng.Hello{
		Server: id, Incarnation: throng.Incarnation("life of " + id),
		Address: netip.MustParseAddrPort("127.0.0.1:7000"),
	}}
	r.servers[id] = g
	if m.connectIn >= 0 {
		time.AfterFunc(m.connectIn, func() { _ = g.connect() })
	}
	return g.end, nil
}

// stray starts a server that nobody allocated and that does not connect.
func (r *region) stray(t *testing.T, id throng.ServerID) *game {
	t.Helper()
	r.set(func() { r.astray = true })
	if err := r.machine.Start(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	r.set(func() { r.astray = false })
	return r.games()[id]
}

func (r *region) Release(ctx context.Context, id throng.ServerID) error {
	return r.machine.Release(ctx, id)
}

func (r *region) List(ctx context.Context) ([]throng.ServerID, error) {
	pause(ctx, 300*time.Millisecond)
	all, err := r.machine.List(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(all, func(id throng.ServerID) bool { return r.servers[id].unlisted }), err
}

func (r *region) Watch(ctx context.Context, gone func(throng.ServerExit)) error {
	return r.way.Watch(ctx, gone)
}

// session is a copy of what the registry knows.
func (r *region) session(id throng.SessionID) throng.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[id]; s != nil {
		return *s
	}
	return throng.Session{}
}

// host is the server that a session is bound to.
func (r *region) host(id throng.SessionID) *game {
	s := r.session(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.servers[s.Server]
}

// phases counts the servers that the orchestrator lists.
func (r *region) phases() map[string]int {
	n := map[string]int{}
	for _, s := range r.o.Servers() {
		n[s.Phase]++
	}
	return n
}

// audit fails when a server was used twice or is alive for nothing.
func (r *region) audit(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, g := range r.servers {
		if len(g.handed) > 1 {
			t.Errorf("server %s was handed %v, want one session at most", id, g.handed)
		}
		if len(g.handed) == 0 || !g.alive {
			continue
		}
		s := r.sessions[g.handed[0]]
		if s == nil || s.State == throng.SessionEnded || s.Server != id {
			t.Errorf("server %s is alive, but session %s is over or elsewhere", id, g.handed[0])
		}
	}
}

// freed is the servers that were released, in order.
func (r *region) freed() []throng.ServerID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.released)
}

// games is all servers that there ever were.
func (r *region) games() map[throng.ServerID]*game {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.servers)
}

// used is how many servers were allocated.
func (r *region) used() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.allocated
}

// peak is how many allocations were under way at once.
func (r *region) peak() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.busiest
}
