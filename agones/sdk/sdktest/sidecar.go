// Package sdktest is a stand-in for the sidecar that Agones puts beside a game
// server, for tests: the SDK's REST API on a port of the loopback interface, with
// a GameServer that only it has. sidecar_test.go holds it to what the real one
// was recorded to answer.
//
// Files: sidecar.go (its life, what a test does to it), answers.go (the calls).
package sdktest

import (
	"context"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Config is what a Sidecar begins with.
type Config struct {
	Name    string            // of the GameServer; default "gs-1"
	Address string            // of its node; default 127.0.0.1
	Ports   map[string]uint16 // by name
	Labels  map[string]string
	// Lists and Counters are those that it has, by name, with their capacity.
	Lists, Counters map[string]int64
	// Lag is how long after their answer writes are done; the real one's is up to
	// 500 ms. 0: at once.
	Lag time.Duration
}

// Sidecar is one game server's. It is safe to use from many goroutines.
type Sidecar struct {
	cfg  Config
	addr string

	mu       sync.Mutex
	g        gameServer               // guarded by mu
	changed  chan struct{}            // guarded by mu; closed, and made anew, when g changed
	healths  int                      // guarded by mu
	calls    map[string]int           // guarded by mu; by method and path
	server   *http.Server             // guarded by mu; nil: it is dead
	listener net.Listener             // guarded by mu
	stop     context.CancelFunc       // guarded by mu
	timers   map[*time.Timer]struct{} // guarded by mu; writes to come
}

// New starts one. Close it.
func New(cfg Config) (*Sidecar, error) {
	if cfg.Name == "" {
		cfg.Name = "gs-1"
	}
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1"
	}
	s := &Sidecar{cfg: cfg, changed: make(chan struct{}), calls: map[string]int{}, timers: map[*time.Timer]struct{}{}}
	s.g = newGameServer(cfg)
	s.addr = "127.0.0.1:0"
	return s, s.Start()
}

// URL is where it listens; the same one after it was started again.
func (s *Sidecar) URL() string { return "http://" + s.addr }

// Port is that of URL.
func (s *Sidecar) Port() string {
	_, port, _ := net.SplitHostPort(s.addr)
	return port
}

// Start starts it again after Kill.
func (s *Sidecar) Start() error {
	l, err := net.Listen("tcp", s.addr) //nolint:noctx // it has none
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addr = l.Addr().String()
	base, stop := context.WithCancel(context.Background()) //nolint:forbidigo // until Kill
	s.listener, s.stop = l, stop
	s.server = &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: time.Second,
		BaseContext: func(net.Listener) context.Context { return base },
	}
	go func(server *http.Server) { _ = server.Serve(l) }(s.server) // its error is that it was killed
	return nil
}

// Kill ends it as kill -9 does: connections break, what it had not written yet is
// lost.
func (s *Sidecar) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return
	}
	s.stop()
	_ = s.server.Close() // nobody is left to hear of it
	s.server = nil
	for t := range s.timers {
		t.Stop()
	}
	clear(s.timers)
}

// Close ends it for good.
func (s *Sidecar) Close() { s.Kill() }

// Allocate makes the GameServer Allocated, with these labels on it.
func (s *Sidecar) Allocate(labels map[string]string) {
	s.change(func(g *gameServer) {
		maps.Copy(g.Meta.Labels, labels)
		g.Meta.Annotations["agones.dev/last-allocated"] = time.Now().UTC().Format(time.RFC3339Nano)
		g.Status.State = "Allocated"
	})
}

// SetState makes it another state.
func (s *Sidecar) SetState(state string) {
	s.change(func(g *gameServer) { g.Status.State = state })
}

// Delete has the GameServer on its way out, as when somebody deleted it.
func (s *Sidecar) Delete() {
	s.change(func(g *gameServer) { g.Meta.Deleted = strconv.FormatInt(time.Now().Unix(), 10) })
}

// State is the GameServer's.
func (s *Sidecar) State() string {
	return read(s, func(g *gameServer) string { return g.Status.State })
}

// Label is the value of a label; empty: it has none.
func (s *Sidecar) Label(key string) string {
	return read(s, func(g *gameServer) string { return g.Meta.Labels[key] })
}

// Annotation is the value of an annotation; empty: it has none.
func (s *Sidecar) Annotation(key string) string {
	return read(s, func(g *gameServer) string { return g.Meta.Annotations[key] })
}

// List is what is on a list.
func (s *Sidecar) List(name string) []string {
	return read(s, func(g *gameServer) []string {
		if l := g.Status.Lists[name]; l != nil {
			return slices.Clone(l.Values)
		}
		return nil
	})
}

// Counter is a counter's count.
func (s *Sidecar) Counter(name string) int64 {
	return read(s, func(g *gameServer) int64 {
		if c := g.Status.Counters[name]; c != nil {
			return int64(c.Count)
		}
		return 0
	})
}

// Calls is how often it was called so, like "POST /ready".
func (s *Sidecar) Calls(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

func read[T any](s *Sidecar, f func(*gameServer) T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f(&s.g)
}

// change does something to the GameServer and tells those who watch.
func (s *Sidecar) change(f func(*gameServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.g)
	close(s.changed)
	s.changed = make(chan struct{})
}

// write is change after the lag.
func (s *Sidecar) write(f func(*gameServer)) {
	if s.cfg.Lag == 0 {
		s.change(f)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var t *time.Timer
	t = time.AfterFunc(s.cfg.Lag, func() {
		s.mu.Lock()
		_, due := s.timers[t]
		delete(s.timers, t)
		s.mu.Unlock()
		if due {
			s.change(f)
		}
	})
	s.timers[t] = struct{}{}
}
