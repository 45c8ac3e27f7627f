package load

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const endTime = 10 * time.Second // for the ends of all sessions

// BeatsConfig says whose heartbeats go where, how fast.
type BeatsConfig struct {
	Addrs    []string     // URLs of the doors, which share the sessions
	HTTP     *http.Client // of all calls; required
	Sessions []Adopted
	// AtOnce is how many calls are under way, of as many sessions.
	AtOnce int
	Rate   float64       // heartbeats a second that begin; 0: as many as AtOnce allow
	For    time.Duration // that is measured, after one round of all sessions
	Began  func()        // called once when what is measured begins
	// Progress is called each second; nil: nobody looks.
	Progress func(Beaten)
}

// Beaten is what became of heartbeats.
type Beaten struct {
	Reported         int // sessions that the registry has
	Answered, Failed int
	Changes          int // of rosters, that were acknowledged
	Took             time.Duration
	MS               Spread // of those that were answered
	Ended            int    // sessions that were told that they are over
	Errors           map[string]int
}

// PerSecond is the rate of what was answered.
func (b Beaten) PerSecond() float64 {
	if b.Took <= 0 {
		return 0
	}
	return float64(b.Answered) / b.Took.Seconds()
}

// beating is one run.
type beating struct {
	cfg       BeatsConfig
	due       atomic.Int64 // heartbeats that began, when there is a rate
	measuring atomic.Bool
	begun     time.Time // when measuring, set before it

	mu  sync.Mutex
	out Beaten
	ms  []float64
}

// Beats reports the sessions and lets each heartbeat again and again, by its
// churn with a change of the roster: a player leaves, and comes back with the
// next change. In the end the sessions end. An error is that of a session that
// could not be reported.
func Beats(ctx context.Context, cfg BeatsConfig) (Beaten, error) {
	b := &beating{cfg: cfg}
	b.out.Errors = map[string]int{}
	watching, seen := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { b.watch(watching) })
	defer watch.Wait()
	defer seen()

	shares := make([][]*Server, max(min(cfg.AtOnce, len(cfg.Sessions)), 1))
	defer func() { b.end(context.WithoutCancel(ctx), shares) }()
	err := b.each(shares, func(i int) error { return b.report(ctx, shares, i) })
	if err == nil {
		err = b.each(shares, func(i int) error { b.round(ctx, shares[i]); return nil })
	}
	if err != nil || ctx.Err() != nil {
		return b.result(shares), err
	}
	b.begin()
	until, stop := context.WithTimeout(ctx, cfg.For)
	defer stop()
	err = b.each(shares, func(i int) error {
		for until.Err() == nil && b.round(until, shares[i]) {
		}
		return nil
	})
	b.measuring.Store(false)
	b.mu.Lock()
	b.out.Took = time.Since(b.begun)
	b.mu.Unlock()
	return b.result(shares), err
}

// each runs one goroutine a share and returns the first error.
func (b *beating) each(shares [][]*Server, run func(i int) error) error {
	var group sync.WaitGroup
	failed := make(chan error, len(shares))
	for i := range shares {
		group.Go(func() {
			if err := run(i); err != nil {
				failed <- err
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// report makes the servers of a share and tells the registry of them.
func (b *beating) report(ctx context.Context, shares [][]*Server, share int) error {
	for i := share; i < len(b.cfg.Sessions) && ctx.Err() == nil; i += len(shares) {
		a := b.cfg.Sessions[i]
		s, err := a.server(b.cfg.Addrs[i%len(b.cfg.Addrs)], b.cfg.HTTP)
		if err == nil {
			err = s.introduce(ctx)
		}
		if err != nil {
			return err
		}
		s.churn, s.back = a.Churn, true
		shares[share] = append(shares[share], s)
		b.mu.Lock()
		b.out.Reported++
		b.mu.Unlock()
	}
	return nil
}

func (b *beating) begin() {
	b.begun = time.Now()
	b.due.Store(0)
	b.measuring.Store(true)
	if b.cfg.Began != nil {
		b.cfg.Began()
	}
}

// round lets each server of a share heartbeat once. False: none can any more.
func (b *beating) round(ctx context.Context, share []*Server) bool {
	alive := false
	for _, s := range share {
		if s.over.Load() {
			continue
		}
		b.pace(ctx)
		if ctx.Err() != nil {
			return false
		}
		alive = true
		begun := time.Now()
		a, err := s.beat(ctx)
		took := time.Since(begun)
		changes := 0
		if err == nil {
			changes = s.pending()
			s.heard(a)
			changes -= s.pending()
		}
		if err == nil || ctx.Err() == nil {
			b.note(err, took, changes)
		}
	}
	return alive
}

// pace waits for the turn of the next heartbeat.
func (b *beating) pace(ctx context.Context) {
	if b.cfg.Rate <= 0 || !b.measuring.Load() {
		return
	}
	n := b.due.Add(1) - 1
	due := b.begun.Add(time.Duration(float64(n) / b.cfg.Rate * float64(time.Second)))
	if wait := time.Until(due); wait > 0 {
		pause(ctx, wait)
	}
}

func (b *beating) note(err error, took time.Duration, changes int) {
	if !b.measuring.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.out.Failed++
		if len(b.out.Errors) < 20 {
			b.out.Errors[fmt.Sprint(err)]++
		}
		return
	}
	b.out.Answered++
	b.out.Changes += changes
	b.ms = append(b.ms, took.Seconds()*1000)
}

func (b *beating) watch(ctx context.Context) {
	if b.cfg.Progress == nil {
		return
	}
	eachSecond(ctx, func() {
		b.mu.Lock()
		now := b.out
		b.mu.Unlock()
		now.Errors = nil
		b.cfg.Progress(now)
	})
}

func (b *beating) result(shares [][]*Server) Beaten {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.out
	out.MS = SpreadOf(b.ms)
	for _, share := range shares {
		for _, s := range share {
			if s.over.Load() {
				out.Ended++
			}
		}
	}
	return out
}

// end ends the sessions, so that a region that goes on is as it was. What is
// missed lapses.
func (b *beating) end(ctx context.Context, shares [][]*Server) {
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	_ = b.each(shares, func(i int) error {
		for _, s := range shares[i] {
			if !s.over.Load() {
				_ = s.end(ctx, "the benchmark is over")
			}
		}
		return nil
	})
}
