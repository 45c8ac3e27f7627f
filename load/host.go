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
	"github.com/throng-gg/throng/memory"
)

// HostConfig is what a Host needs.
type HostConfig struct {
	Max    int          // most servers at once; 4,096
	HTTP   *http.Client // of all servers' calls; required
	Logger *slog.Logger // required
}

// Host runs simulated game servers for a node.
type Host struct {
	*memory.Backend
	cfg HostConfig

	mu       sync.Mutex
	ctx      context.Context //nolint:containedctx // Run's, for the servers that are started while it runs; guarded by mu; nil before
	sessions map[throng.SessionID]*Server
	working  sync.WaitGroup // of servers; added to under mu while ctx lives
	alive    int
	peak     int // of alive
	adopted  []*Server

	beats, missed atomic.Int64 // heartbeats and reports
}

// NewHost makes a Host. Invalid: something is missing.
func NewHost(c HostConfig) (*Host, error) {
	if c.HTTP == nil || c.Logger == nil || c.Max < 0 {
		return nil, throng.Errorf(throng.Invalid, "simulated servers need a client and a logger")
	}
	h := &Host{cfg: c, sessions: map[throng.SessionID]*Server{}}
	m, err := memory.NewMachine(memory.MachineConfig{Max: c.Max, Begin: h.begin})
	if err != nil {
		return nil, err
	}
	h.Backend = m.Backend()
	return h, nil
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

// begin starts a server, which connects to the door that env names.
func (h *Host) begin(id throng.ServerID, env []string) (end func(reason string), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx == nil {
		return nil, throng.Errorf(throng.Unavailable, "simulated servers do not run")
	}
	addr, token := value(env, "THRONG_ADDR"), value(env, "THRONG_SERVER_TOKEN")
	door, err := client.NewServer(client.ServerConfig{Addr: addr, Server: id, Token: token, HTTP: h.cfg.HTTP})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(h.ctx)
	s := newServer(id, door)
	s.stop, s.answered, s.missed = stop, &h.beats, &h.missed
	s.took = func(on throng.SessionID) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.sessions[on] = s
	}
	h.alive++
	h.peak = max(h.peak, h.alive)
	h.working.Go(func() {
		defer stop(nil)
		s.run(ctx)
		h.gone(id, s, context.Cause(ctx))
	})
	return func(reason string) { stop(errors.New(reason)) }, nil
}

func value(env []string, name string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// gone forgets a server that is over.
func (h *Host) gone(id throng.ServerID, s *Server, cause error) {
	on := s.Session() // which has a lock of its own, taken before ours
	h.mu.Lock()
	h.alive--
	if on != "" && h.sessions[on] == s {
		delete(h.sessions, on)
	}
	h.mu.Unlock()
	reason := "exit status 0"
	if cause != nil && !errors.Is(cause, context.Canceled) {
		reason = cause.Error()
	}
	h.Over(id, reason)
}

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
