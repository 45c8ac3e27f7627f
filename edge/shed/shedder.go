package shed

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// slowAfter is how long a lease's call may take: a confirm has 5 s, a lease 15.
const slowAfter = 250 * time.Millisecond

// Config is what a Shedder needs.
type Config struct {
	// Late counts since the start how often goroutines waited to run, and how often too
	// long; nil: that is not looked at. See Goroutines.
	Late    func() (waits, late uint64)
	Metrics prometheus.Registerer // nil: not registered
}

// Shedder lets a door's calls in. It is safe for use by several goroutines at once.
type Shedder struct {
	late    func() (waits, late uint64)
	metrics *metrics
	limited atomic.Bool // there is a limit
	counts  [classes]count
	leases  struct{ begun, ended, answered, slow atomic.Uint64 }

	mu     sync.Mutex
	policy Policy // guarded by mu
}

// count is what became of a class's calls; each on a line of its own in the CPU's cache.
type count struct {
	admitted, refused, done atomic.Uint64
	_                       [40]byte
}

// New makes a Shedder that lets all in until Run measures.
func New(c Config) (*Shedder, error) {
	s := &Shedder{late: c.Late}
	var err error
	s.metrics, err = newMetrics(c.Metrics, s)
	return s, err
}

// Would says whether a call of a class would be let in now. One that would not be is
// counted as refused.
func (s *Shedder) Would(c Class) bool {
	if !s.limited.Load() {
		return true
	}
	s.mu.Lock()
	ok := s.policy.Would(c, time.Now())
	s.mu.Unlock()
	if !ok {
		s.Refuse(c)
	}
	return ok
}

// Admit lets a call of a class in, which ends with Done, or does not.
func (s *Shedder) Admit(c Class) bool {
	if s.limited.Load() {
		s.mu.Lock()
		ok := s.policy.Admit(c, time.Now())
		s.mu.Unlock()
		if !ok {
			s.Refuse(c)
			return false
		}
	}
	s.counts[c].admitted.Add(1)
	return true
}

// Refuse counts a call that is refused for its class.
func (s *Shedder) Refuse(c Class) { s.counts[c].refused.Add(1) }

// Done ends a call that was let in.
func (s *Shedder) Done(c Class) { s.counts[c].done.Add(1) }

// Lease begins a lease's call, which may take long only when what stores leases is
// busy. Whoever calls end says whether it was answered: one that failed says nothing
// of how busy anything is.
func (s *Shedder) Lease() (end func(answered bool)) {
	begun := time.Now()
	s.leases.begun.Add(1)
	return func(answered bool) {
		s.leases.ended.Add(1)
		if !answered {
			return
		}
		s.leases.answered.Add(1)
		if time.Since(begun) > slowAfter {
			s.leases.slow.Add(1)
		}
	}
}

// Sheds says whether a class is refused now. It counts nothing.
func (s *Shedder) Sheds(c Class) bool {
	if !s.limited.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.policy.Would(c, time.Now())
}

// Run measures until ctx ends.
func (s *Shedder) Run(ctx context.Context) {
	tick := time.NewTicker(windowTime)
	defer tick.Stop()
	past := []totals{s.total()} // the newest last
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		past = append(past, s.total())
		if len(past) > pastKept {
			past = past[1:]
		}
		s.look(last(past), past[len(past)-1].at)
	}
}

// look takes a window in.
func (s *Shedder) look(w Window, now time.Time) {
	if why := w.Over(); why != "" {
		s.metrics.over.WithLabelValues(why).Inc()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy.Look(w, now)
	s.limited.Store(s.policy.Rate() > 0)
}

// pastKept is how many totals are kept: of a second. stuckAfter is how many windows a
// lease's call was begun before, to be slow.
const (
	pastKept   = 11
	stuckAfter = int(slowAfter/windowTime) + 1
)

// totals are what was counted since the start.
type totals struct {
	Window

	begun, ended uint64 // leases' calls
	at           time.Time
}

func (s *Shedder) total() totals {
	t := totals{
		at: time.Now(), begun: s.leases.begun.Load(), ended: s.leases.ended.Load(),
		Window: Window{Leases: s.leases.answered.Load(), Slow: s.leases.slow.Load()},
	}
	if s.late != nil {
		t.Waits, t.Late = s.late()
	}
	for i := range s.counts {
		t.Done += s.counts[i].done.Load()
		t.Refused += s.counts[i].refused.Load()
	}
	return t
}

// last is the window that has just ended. Of leases' calls the older are taken to end
// first; while none was answered for a second, their store is away and not busy.
func last(past []totals) Window {
	is, was := past[len(past)-1], past[len(past)-2]
	w := Window{
		Waits: is.Waits - was.Waits, Late: is.Late - was.Late, Leases: is.Leases - was.Leases, Slow: is.Slow - was.Slow,
		Done: is.Done - was.Done, Refused: is.Refused - was.Refused, Took: is.at.Sub(was.at),
	}
	if old := len(past) - 1 - stuckAfter; old >= 0 && past[old].begun > is.ended && is.Leases > past[0].Leases {
		w.Stuck = past[old].begun - is.ended
	}
	return w
}
