package profile

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

const (
	copyAtOnce = 16        // profiles that are read at the same time
	copyBatch  = 512       // of one step
	copyBytes  = 4 << 20   // of one step: it ends after those that are read by then
	maxChanged = 1_000_000 // that wait, by default: some 200 MB
	copyTime   = 10 * time.Second
	copyPause  = 100 * time.Millisecond
	copyMost   = 5 * time.Second // between two tries while something is away
)

// CopierConfig is what a Copier is made of.
type CopierConfig struct {
	Store  Store
	Log    Log
	Region throng.RegionID
	// Term is that under which this region is the home, or was last; 0: it never was,
	// and nothing is published.
	Term    func() uint64
	Most    int // profiles that wait; default 1,000,000
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// Copier publishes profiles that changed, for other regions, as they are when they are
// read for that: of several changes the last one may do. What did not get out is
// tried again; what waits when the process ends is published by the next change.
type Copier struct {
	cfg     CopierConfig
	results *prometheus.CounterVec // profiles, by what became of them
	wake    chan struct{}

	mu      sync.Mutex
	waiting map[Key]bool // guarded by mu; in order. Full: a change is not published
	order   []Key        // guarded by mu; the oldest first
	full    bool         // guarded by mu: and it was said
	busy    bool         // guarded by mu: some that were taken out are on their way
}

var _ Changes = (*Copier)(nil)

// NewCopier makes one. It starts nothing.
func NewCopier(cfg CopierConfig) (*Copier, error) {
	if cfg.Store == nil || cfg.Log == nil || cfg.Term == nil || cfg.Logger == nil {
		return nil, throng.Errorf(throng.Invalid, "profiles: a needed part of their copier's configuration is missing")
	}
	if cfg.Most <= 0 {
		cfg.Most = maxChanged
	}
	c := &Copier{cfg: cfg, wake: make(chan struct{}, 1), waiting: map[Key]bool{}, results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_profile_copies_total", Help: "Profiles that changed, by what became of their copies for other regions: published, failed (it is tried again), or dropped (until the next change).",
	}, []string{"result"})}
	if cfg.Metrics == nil {
		return c, nil
	}
	for _, m := range []prometheus.Collector{c.results, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "throng_profile_copies_waiting", Help: "Profiles that changed and whose copy is not published yet.",
	}, func() float64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return float64(len(c.waiting))
	})} {
		if err := cfg.Metrics.Register(m); err != nil {
			return nil, throng.Errorf(throng.Internal, "register metrics: %w", err)
		}
	}
	return c, nil
}

// Changed has a profile published. It does not wait.
func (c *Copier) Changed(k Key) {
	c.mu.Lock()
	fits := c.waiting[k] || len(c.waiting) < c.cfg.Most
	if fits && !c.waiting[k] {
		c.waiting[k] = true
		c.order = append(c.order, k)
	}
	say := !fits && !c.full
	c.full = !fits
	c.mu.Unlock()
	if !fits {
		c.results.WithLabelValues("dropped").Inc()
	}
	if say {
		c.cfg.Logger.Warn("profiles that changed are not copied to other regions until they change again, too many wait", "waiting", c.cfg.Most)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run publishes until ctx ends. What is away is waited for.
func (c *Copier) Run(ctx context.Context) error {
	pause := copyPause
	for {
		err := c.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if pause == copyPause {
				c.cfg.Logger.WarnContext(ctx, "profiles are not copied to other regions, they wait", "err", err)
			}
			pause = min(2*pause, copyMost)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
			continue
		}
		pause = copyPause
		c.mu.Lock()
		more := len(c.order) > 0
		c.mu.Unlock()
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		}
	}
}

// Flush returns when all that changed before it was called is published. Unavailable:
// it is not, and ctx is over.
func (c *Copier) Flush(ctx context.Context) error {
	tick := time.NewTicker(copyPause / 10)
	defer tick.Stop()
	for {
		c.mu.Lock()
		done := len(c.waiting) == 0 && !c.busy
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return throng.Errorf(throng.Unavailable, "profiles that changed are not published yet: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// Step publishes those that wait longest. An error: some of them wait again. One call
// at a time is made.
func (c *Copier) Step(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, copyTime)
	defer cancel()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.busy = false
	}()
	term := c.cfg.Term()
	var (
		keys   []Key
		events []throng.Event
		failed error
	)
	for bytes := 0; len(keys) < copyBatch && bytes < copyBytes; {
		list := c.take(copyAtOnce)
		if len(list) == 0 {
			break
		}
		if term == 0 {
			continue // nobody is to hear of them
		}
		made, errs := c.read(ctx, term, list)
		for i, e := range made {
			if errs[i] != nil {
				failed = errs[i]
				c.again(list[i : i+1])
				continue
			}
			if e.ID == "" {
				continue
			}
			keys, events, bytes = append(keys, list[i]), append(events, e), bytes+len(e.Data)
		}
		if failed != nil {
			break
		}
	}
	if len(events) == 0 {
		return failed
	}
	if err := c.publish(ctx, keys, events); err != nil {
		return err
	}
	return failed
}

// publish writes a batch. What can never be written is left out.
func (c *Copier) publish(ctx context.Context, keys []Key, events []throng.Event) error {
	err := c.cfg.Log.Publish(ctx, events)
	switch {
	case err == nil:
		c.results.WithLabelValues("published").Add(float64(len(events)))
		return nil
	case throng.KindOf(err) != throng.Invalid:
		c.again(keys)
		return err
	case len(events) == 1:
		c.results.WithLabelValues("dropped").Inc()
		c.cfg.Logger.ErrorContext(ctx, "a profile cannot be copied to other regions", "game", string(keys[0].Game), "player", string(keys[0].Player), "err", err)
		return nil
	}
	for i := range events {
		if err := c.publish(ctx, keys[i:i+1], events[i:i+1]); err != nil {
			c.again(keys[i+1:])
			return err
		}
	}
	return nil
}

// take takes the oldest ones out.
func (c *Copier) take(n int) []Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = min(n, len(c.order))
	c.busy = true
	list := c.order[:n:n]
	if c.order = c.order[n:]; len(c.order) == 0 {
		c.order = nil
	}
	for _, k := range list {
		delete(c.waiting, k)
	}
	return list
}

// again lets them wait again, behind the others.
func (c *Copier) again(list []Key) {
	c.results.WithLabelValues("failed").Add(float64(len(list)))
	for _, k := range list {
		c.Changed(k)
	}
}

// read makes the events of profiles as they are now.
func (c *Copier) read(ctx context.Context, term uint64, list []Key) ([]throng.Event, []error) {
	events, errs := make([]throng.Event, len(list)), make([]error, len(list))
	var group sync.WaitGroup
	for i, k := range list {
		group.Go(func() { events[i], errs[i] = c.readOne(ctx, term, k) })
	}
	group.Wait()
	return events, errs
}

// readOne makes a profile's event; without an ID: it was never checked out.
func (c *Copier) readOne(ctx context.Context, term uint64, k Key) (throng.Event, error) {
	h, err := c.cfg.Store.Head(ctx, k)
	if err != nil || h.Fence == 0 {
		return throng.Event{}, err
	}
	if h.Revision == 0 {
		return CopyOf(c.cfg.Region, term, k, h, nil)
	}
	s, err := c.cfg.Store.Saved(ctx, k, h.Revision)
	if err != nil {
		return throng.Event{}, err
	}
	return CopyOf(c.cfg.Region, term, k, h, &s)
}
