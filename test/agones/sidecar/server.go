package sidecar

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	"github.com/throng-gg/throng/test/agones/object"
)

// Config is what a Server needs.
type Config struct {
	Servers   *object.Client[*object.GameServer]
	Events    record.EventRecorder
	Log       *slog.Logger
	Namespace string
	Name      string
	Delay     time.Duration // from the first call to its write
}

// Server is one sidecar.
type Server struct {
	cfg Config
	// kick says that something is to be written.
	kick chan struct{}

	mu       sync.Mutex
	gs       *object.GameServer // as last seen, nil before
	watchers map[chan *object.GameServer]bool
	want     wishes
	reserved *time.Timer
	beat     time.Time // of the last /health
	missed   int32     // periods without one
	sick     bool
}

// wishes are what the game asked for and is not written yet.
type wishes struct {
	state       object.State
	reserve     time.Duration
	labels      map[string]string
	annotations map[string]string
	counters    map[string][]func(object.Counter) object.Counter
	lists       map[string][]func(object.List) object.List
}

// watchLength is how far a watcher may be behind before it is cut off.
const watchLength = 256

// New makes the sidecar of one game server.
func New(cfg Config) *Server {
	return &Server{
		cfg: cfg, kick: make(chan struct{}, 1),
		watchers: map[chan *object.GameServer]bool{},
	}
}

// Changed tells the sidecar what its game server is now.
func (s *Server) Changed(gs *object.GameServer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gs == nil {
		s.beat = time.Now()
	}
	s.gs = gs
	for w := range s.watchers {
		select {
		case w <- gs:
		default:
			close(w)
			delete(s.watchers, w)
		}
	}
}

// Run writes what the game asks for, and watches its health, until ctx ends.
func (s *Server) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { s.health(ctx) })
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.kick:
			select {
			case <-ctx.Done():
			case <-time.After(s.cfg.Delay):
				s.flush(ctx)
			}
		}
	}
	s.mu.Lock()
	if s.reserved != nil {
		s.reserved.Stop()
	}
	s.mu.Unlock()
	wg.Wait()
}

// ask records wishes.
func (s *Server) ask(f func(*wishes)) {
	s.mu.Lock()
	f(&s.want)
	s.mu.Unlock()
	s.nudge()
}

func (s *Server) nudge() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// flush writes all wishes, kind by kind as the real one does.
func (s *Server) flush(ctx context.Context) {
	s.mu.Lock()
	w := s.want
	s.want = wishes{}
	s.mu.Unlock()
	if w.state != "" {
		s.write(ctx, w.event(), func(gs *object.GameServer) bool { return s.setState(gs, w) })
	}
	if len(w.labels) > 0 {
		s.write(ctx, event{}, func(gs *object.GameServer) bool { return put(&gs.Labels, w.labels) })
	}
	if len(w.annotations) > 0 {
		s.write(ctx, event{}, func(gs *object.GameServer) bool { return put(&gs.Annotations, w.annotations) })
	}
	for name, changes := range w.counters {
		s.write(ctx, event{}, func(gs *object.GameServer) bool {
			c := gs.Status.Counters[name]
			for _, change := range changes {
				c = change(c)
			}
			gs.Status.Counters[name] = c
			return true
		})
		s.counted(name)
	}
	for name, changes := range w.lists {
		s.write(ctx, event{corev1.EventTypeNormal, "UpdateList", "List " + name + " updated"}, func(gs *object.GameServer) bool {
			l := gs.Status.Lists[name]
			for _, change := range changes {
				l = change(l)
			}
			gs.Status.Lists[name] = l
			return true
		})
	}
}

// event is a Kubernetes event; without a reason there is none.
type event struct{ kind, reason, message string }

func (w wishes) event() event {
	switch w.state { //nolint:exhaustive // the others are what the game asks for
	case object.Unhealthy:
		return event{corev1.EventTypeWarning, string(w.state), "Health check failure"}
	case object.Reserved:
		return event{corev1.EventTypeNormal, string(w.state), fmt.Sprintf("SDK state change, for %s", w.reserve)}
	default:
		return event{corev1.EventTypeNormal, string(w.state), "SDK state change"}
	}
}

func put(into *map[string]string, what map[string]string) bool {
	if *into == nil {
		*into = map[string]string{}
	}
	maps.Copy(*into, what)
	return true
}

// setState makes the state what is asked; an end is never undone.
func (s *Server) setState(gs *object.GameServer, w wishes) bool {
	now := gs.Status.State
	if now == object.Shutdown || now == object.Error || now == object.Unhealthy && w.state != object.Shutdown {
		return false
	}
	gs.Status.State = w.state
	gs.Status.ReservedUntil = nil
	switch w.state { //nolint:exhaustive // the others bring nothing with them
	case object.Allocated:
		put(&gs.Annotations, map[string]string{object.LastAllocated: time.Now().UTC().Format(time.RFC3339Nano)})
	case object.Reserved:
		until := metav1.NewTime(time.Now().Add(w.reserve))
		gs.Status.ReservedUntil = &until
		s.mu.Lock()
		s.reserved = time.AfterFunc(w.reserve, func() { s.ask(func(w *wishes) { w.state = object.RequestReady }) })
		s.mu.Unlock()
	}
	return true
}

// write changes the game server, again if somebody else did meanwhile.
func (s *Server) write(ctx context.Context, e event, change func(*object.GameServer) bool) {
	for ctx.Err() == nil {
		gs, err := s.cfg.Servers.Get(ctx, s.cfg.Namespace, s.cfg.Name)
		if err == nil && (gs.DeletionTimestamp != nil || !change(gs)) {
			return
		}
		if err == nil {
			gs, err = s.cfg.Servers.Update(ctx, gs)
		}
		switch {
		case err == nil:
			s.wrote(gs)
			s.tell(e)
			return
		case apierrors.IsNotFound(err) || ctx.Err() != nil:
			return
		case !apierrors.IsConflict(err):
			s.cfg.Log.WarnContext(ctx, "write game server", "server", s.cfg.Name, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(max(s.cfg.Delay, time.Millisecond)):
			}
		}
	}
}

// wrote shows a write at once, unless the watch is ahead of it.
func (s *Server) wrote(gs *object.GameServer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gs == nil || revision(gs) > revision(s.gs) {
		s.gs = gs
	}
}

func revision(gs *object.GameServer) uint64 {
	n, err := strconv.ParseUint(gs.ResourceVersion, 10, 64)
	if err != nil {
		return 0 // API servers of today count
	}
	return n
}

func (s *Server) tell(e event) {
	s.mu.Lock()
	gs := s.gs
	s.mu.Unlock()
	if gs != nil && e.reason != "" {
		s.cfg.Events.Event(gs, e.kind, e.reason, e.message)
	}
}

func (s *Server) counted(name string) {
	s.mu.Lock()
	c := s.gs.Status.Counters[name]
	s.mu.Unlock()
	s.tell(event{
		corev1.EventTypeNormal, "UpdateCounter",
		fmt.Sprintf("Counter %s updated to Count:%d Capacity:%d", name, c.Count, c.Capacity),
	})
}

// health counts periods without a beat, from the initial delay on.
func (s *Server) health(ctx context.Context) {
	wait := 100 * time.Millisecond // until the game server is known
	begun := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		s.mu.Lock()
		gs := s.gs
		s.mu.Unlock()
		if gs == nil {
			continue
		}
		h := gs.Spec.Health
		if h.Disabled {
			return
		}
		wait = time.Duration(h.PeriodSeconds) * time.Second
		if !begun {
			begun = true
			wait = time.Duration(h.InitialDelaySeconds) * time.Second
			continue
		}
		if s.check(h) {
			s.ask(func(w *wishes) { w.state = object.Unhealthy })
			return
		}
	}
}

// check tells whether the server is sick now.
func (s *Server) check(h object.Health) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.beat) > time.Duration(h.PeriodSeconds)*time.Second {
		s.missed++
	} else {
		s.missed = 0
	}
	s.sick = s.missed >= h.FailureThreshold
	return s.sick
}
