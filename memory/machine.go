package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet/endings"
)

// MachineConfig is what a Machine needs.
type MachineConfig struct {
	Max int // most game servers alive at once; 4,096
	// Begin starts a game server with what its environment has besides, and
	// returns what ends it, with the reason: that does not wait, and may be called
	// more than once. Whoever is over, by that or by itself, tells Machine.Over.
	// Required.
	Begin func(id throng.ServerID, env []string) (end func(reason string), err error)
}

// overMost is how many servers that are over are remembered, so that a call that
// comes late starts none of them again.
const overMost = 32_768

// Machine is game servers that are goroutines of this process. Control planes
// reach it by Backends.
type Machine struct {
	cfg MachineConfig

	mu       sync.Mutex
	servers  map[throng.ServerID]*running // guarded by mu; allocated and not over
	over     *endings.Recent              // guarded by mu
	backends map[*Backend]bool            // guarded by mu
}

// running is a game server that was begun.
type running struct {
	begun chan struct{} // closed when end and err are final
	gone  chan struct{} // closed when it is over
	end   func(reason string)
	err   error
}

// NewMachine makes one without servers. Invalid: the configuration is incomplete.
func NewMachine(c MachineConfig) (*Machine, error) {
	if c.Begin == nil || c.Max < 0 {
		return nil, throng.Errorf(throng.Invalid, "a machine in memory needs a way to begin game servers, and room for them")
	}
	if c.Max == 0 {
		c.Max = 4096
	}
	return &Machine{
		cfg: c, servers: map[throng.ServerID]*running{}, over: endings.NewRecent(overMost), backends: map[*Backend]bool{},
	}, nil
}

// Backend makes a control plane's way to the machine. It is told of all servers
// that end from then on, until it is closed.
func (m *Machine) Backend() *Backend {
	b := &Backend{Machine: m, exits: endings.New(func() {})}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.backends[b] = true
	return b
}

// Start begins a game server with what its environment has besides. Repeated for
// the same ID it waits for the same start. NoCapacity: Max are alive. Conflict:
// the ID's server is over. Others are Begin's.
func (m *Machine) Start(ctx context.Context, id throng.ServerID, env []string) error {
	r, mine, err := m.claim(id)
	if err != nil {
		return fmt.Errorf("allocate %s: %w", id, err)
	}
	if mine {
		r.end, r.err = m.cfg.Begin(id, env)
		close(r.begun)
		if r.err != nil {
			m.forget(id, r)
		}
	}
	select {
	case <-r.begun:
	case <-ctx.Done():
		return throng.Errorf(throng.Unavailable, "allocate %s: %w", id, ctx.Err())
	}
	if r.err != nil {
		return fmt.Errorf("allocate %s: %w", id, r.err)
	}
	return nil
}

// claim returns the server of an ID, and whether it was made by this call.
func (m *Machine) claim(id throng.ServerID) (r *running, mine bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.servers[id]; r != nil {
		return r, false, nil
	}
	switch {
	case m.over.Has(id):
		return nil, false, throng.Errorf(throng.Conflict, "the server is over")
	case len(m.servers) >= m.cfg.Max:
		return nil, false, throng.Errorf(throng.NoCapacity, "%d game servers are alive, which is the most", m.cfg.Max)
	}
	r = &running{begun: make(chan struct{}), gone: make(chan struct{})}
	m.servers[id] = r
	return r, true, nil
}

// forget takes a server out that was not begun: its ID may be tried again.
func (m *Machine) forget(id throng.ServerID, r *running) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.servers[id] == r {
		delete(m.servers, id)
		close(r.gone)
	}
}

// Over takes in that a server is over, and tells every Backend once.
func (m *Machine) Over(id throng.ServerID, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.servers[id]
	if r == nil {
		return
	}
	delete(m.servers, id)
	m.over.Add(id, reason)
	close(r.gone)
	for b := range m.backends {
		b.exits.Tell(throng.ServerExit{Server: id, Reason: reason})
	}
}

// Release ends a server and returns when it is over; one that was never seen is
// not started any more. Unavailable: ctx ended first, and the ending goes on.
func (m *Machine) Release(ctx context.Context, id throng.ServerID) error {
	m.mu.Lock()
	r := m.servers[id]
	if r == nil {
		m.over.Add(id, "")
	}
	m.mu.Unlock()
	if r == nil {
		return nil
	}
	select {
	case <-r.begun:
	case <-ctx.Done():
		return throng.Errorf(throng.Unavailable, "release %s: %w", id, ctx.Err())
	}
	if r.err != nil {
		return nil // there is none
	}
	r.end("released")
	select {
	case <-r.gone:
		return nil
	case <-ctx.Done():
		return throng.Errorf(throng.Unavailable, "release %s: %w", id, ctx.Err())
	}
}

// List returns all servers that are allocated and not over, by ID. It never fails.
func (m *Machine) List(context.Context) ([]throng.ServerID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]throng.ServerID, 0, len(m.servers))
	for id := range m.servers {
		all = append(all, id)
	}
	slices.Sort(all)
	return all, nil
}

// Max is how many may be alive at once.
func (m *Machine) Max() int { return m.cfg.Max }

// Backend is one control plane's way to a Machine. It is a fleet.Backend.
type Backend struct {
	*Machine
	exits *endings.Queue
}

// Allocate is Start with nothing in the environment.
func (b *Backend) Allocate(ctx context.Context, id throng.ServerID) error {
	return b.Start(ctx, id, nil)
}

// Watch calls gone for each server that is over, until ctx ends. Conflict:
// somebody does already.
func (b *Backend) Watch(ctx context.Context, gone func(throng.ServerExit)) error {
	return b.exits.Watch(ctx, gone)
}

// Close says that the control plane is gone: it is told nothing more.
func (b *Backend) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.backends, b)
}
