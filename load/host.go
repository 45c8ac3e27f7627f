package load

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
)

// HostConfig is what a Host needs.
type HostConfig struct {
	Max    int          // most servers at once; 4,096
	HTTP   *http.Client // of all servers' calls; required
	Logger *slog.Logger // required
}

// Host runs simulated game servers for a node.
type Host struct {
	cfg HostConfig

	// Full: whoever ends a server waits for the node to read.
	exits chan throng.ServerExit

	mu       sync.Mutex
	ctx      context.Context //nolint:containedctx // Run's, for the servers that are started while it runs; guarded by mu; nil before
	servers  map[throng.ServerID]*Server
	sessions map[throng.SessionID]*Server
	working  sync.WaitGroup // of servers; added to under mu while ctx lives
	peak     int
	adopted  []*Server

	beats, missed atomic.Int64 // heartbeats and reports
}

// NewHost makes a Host. Invalid: something is missing.
func NewHost(c HostConfig) (*Host, error) {
	if c.HTTP == nil || c.Logger == nil || c.Max < 0 {
		return nil, throng.Errorf(throng.Invalid, "simulated servers need a client and a logger")
	}
	if c.Max == 0 {
		c.Max = 4096
	}
	return &Host{
		cfg: c, exits: make(chan throng.ServerExit, 1024),
		servers: map[throng.ServerID]*Server{}, sessions: map[throng.SessionID]*Server{},
	}, nil
}

// Run keeps the servers that are started until ctx ends.
func (h *Host) Run(ctx context.Context) error {
	h.mu.Lock()
	h.ctx = ctx
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock()
	h.ctx = nil
	h.mu.Unlock()
	h.working.Wait()
	return nil
}

// Start starts a server, which connects to the door that env names.
//
//nolint:contextcheck // the server outlives the call
func (h *Host) Start(_ context.Context, id throng.ServerID, env []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ctx == nil:
		return throng.Errorf(throng.Unavailable, "simulated servers do not run")
	case h.servers[id] != nil:
		return nil
	case len(h.servers) >= h.cfg.Max:
		return throng.Errorf(throng.NoCapacity, "there are %d simulated servers", len(h.servers))
	}
	addr, token := value(env, "THRONG_ADDR"), value(env, "THRONG_SERVER_TOKEN")
	door, err := client.NewServer(client.ServerConfig{Addr: addr, Server: id, Token: token, HTTP: h.cfg.HTTP})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(h.ctx)
	s := newServer(id, door)
	s.stop, s.answered, s.missed = stop, &h.beats, &h.missed
	s.took = func(on throng.SessionID) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.sessions[on] = s
	}
	h.servers[id] = s
	h.peak = max(h.peak, len(h.servers))
	h.working.Go(func() {
		defer stop(nil)
		s.run(ctx)
		h.over(id, s, context.Cause(ctx))
	})
	return nil
}

func value(env []string, name string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// over forgets a server and tells the node.
func (h *Host) over(id throng.ServerID, s *Server, cause error) {
	on := s.Session() // which has a lock of its own, taken before ours
	h.mu.Lock()
	delete(h.servers, id)
	if on != "" && h.sessions[on] == s {
		delete(h.sessions, on)
	}
	ended := h.ctx == nil
	h.mu.Unlock()
	if ended {
		return
	}
	reason := "exit status 0"
	if cause != nil && !errors.Is(cause, context.Canceled) {
		reason = cause.Error()
	}
	h.exits <- throng.ServerExit{Server: id, Reason: reason}
}

// Release ends a server.
func (h *Host) Release(_ context.Context, id throng.ServerID) error {
	h.mu.Lock()
	s := h.servers[id]
	h.mu.Unlock()
	if s != nil {
		s.stop(errors.New("released"))
	}
	return nil
}

// List returns all servers that run.
func (h *Host) List(context.Context) ([]throng.ServerID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := make([]throng.ServerID, 0, len(h.servers))
	for id := range h.servers {
		ids = append(ids, id)
	}
	return ids, nil
}

// Watch tells which servers are over.
func (h *Host) Watch(ctx context.Context, gone func(throng.ServerExit)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-h.exits:
			gone(e)
		}
	}
}

// Max is how many may run at once.
func (h *Host) Max() int { return h.cfg.Max }

// Server returns who hosts a session; nil: none of ours.
func (h *Host) Server(s throng.SessionID) *Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[s]
}

// Peak is the most servers that ran at once.
func (h *Host) Peak() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.peak
}

// Hosted is what the sessions have seen so far.
func (h *Host) Hosted() Hosted {
	h.mu.Lock()
	servers := make([]*Server, 0, len(h.sessions))
	for _, s := range h.sessions {
		servers = append(servers, s)
	}
	h.mu.Unlock()
	var all Hosted
	for _, s := range servers {
		all.add(s.Hosted())
	}
	return all
}
