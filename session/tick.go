package session

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
)

// Run stamps every shard each TickTime, and sweeps them beside that, so that a
// long sweep delays no stamp, until ctx ends. Several processes may run it on
// one store.
func (r *Registry) Run(ctx context.Context) error {
	var sweeping sync.WaitGroup
	defer sweeping.Wait()
	if err := r.stamp(ctx); err != nil && ctx.Err() == nil {
		r.log.ErrorContext(ctx, "stamping failed", "part", "session", "err", err)
	}
	sweeping.Go(func() { r.every(ctx, "sweep", r.sweep) })
	r.every(ctx, "stamp", r.stamp)
	return nil
}

// againTime is when a tick that failed is tried again: a stamp that comes late costs
// a generation.
const againTime = TickTime / 4

// every runs a task each TickTime, or sooner after one that failed, until ctx ends.
func (r *Registry) every(ctx context.Context, op string, task func(context.Context) error) {
	tick := time.NewTicker(TickTime)
	defer tick.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := task(ctx)
		switch {
		case err == nil && failures > 0:
			failures = 0
			tick.Reset(TickTime)
		case err != nil && ctx.Err() == nil:
			if failures%int(TickTime/againTime) == 0 {
				r.log.ErrorContext(ctx, "tick failed", "part", "session", "op", op, "err", err)
			}
			failures++
			tick.Reset(againTime)
		}
	}
}

// Tick is one round of what Run does: all shards are stamped, then swept, then
// it is decided which silent sessions end. It is for callers with a clock of
// their own.
func (r *Registry) Tick(ctx context.Context) error {
	if err := r.stamp(ctx); err != nil {
		return err
	}
	return r.sweep(ctx)
}

// stamp stamps all shards and returns the first error.
func (r *Registry) stamp(ctx context.Context) (err error) {
	defer r.metrics.done("stamp", &err)
	results := make([]StampResult, r.shards)
	census := r.census.Load()
	stamp := func(shard uint8) error {
		res, err := r.store.Stamp(ctx, shard, census)
		if err != nil {
			return fmt.Errorf("stamp shard %d: %w", shard, err)
		}
		res.Began = res.Began || results[shard].Began
		results[shard] = res
		return nil
	}
	first := r.each(stamp)
	began := 0
	for _, res := range results {
		if res.Began {
			began++
		}
		if !res.Now.IsZero() { // it was stamped
			r.clock.Store(res.Now.UnixNano())
		}
		census = max(census, res.Census)
	}
	if r.census.Swap(census) != census {
		r.published.forget()
	}
	if began > 0 { // the others learn of the census at once
		first = cmp.Or(first, r.each(func(shard uint8) error {
			if results[shard].Now.IsZero() || results[shard].Census == census {
				return nil
			}
			return stamp(shard)
		}))
	}
	if began > 0 {
		r.metrics.generations.Add(float64(began))
		r.log.InfoContext(ctx, "registry shards began a generation", "region", r.region.ID, "shards", began)
	}
	return first
}

// sweep sweeps all shards and decides on what they found.
func (r *Registry) sweep(ctx context.Context) (err error) {
	defer r.metrics.done("sweep", &err)
	results := make([]SweepResult, r.shards)
	first := r.each(func(shard uint8) (err error) {
		if results[shard], err = r.store.Sweep(ctx, shard); err != nil {
			return fmt.Errorf("sweep shard %d: %w", shard, err)
		}
		return nil
	})
	var all SweepResult
	for i := range results {
		all.add(&results[i])
	}
	r.metrics.sessions(all)
	for _, fx := range all.Left {
		r.publish(ctx, fx)
	}
	if first != nil {
		// The count may be wrong, and a session that ends is gone for good.
		return first
	}
	return r.lapse(ctx, all)
}

// each does something with every shard, r.parallel at once, and returns the
// error of the first that failed.
func (r *Registry) each(run func(shard uint8) error) error {
	var (
		failed = make([]error, r.shards)
		next   atomic.Int32
		wg     sync.WaitGroup
	)
	work := func() {
		for shard := next.Add(1) - 1; int(shard) < r.shards; shard = next.Add(1) - 1 {
			failed[shard] = run(uint8(shard))
		}
	}
	for range r.parallel - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *SweepResult) add(o *SweepResult) {
	s.Starting += o.Starting
	s.Open += o.Open
	s.Draining += o.Draining
	s.Seated += o.Seated
	s.Held += o.Held
	s.Overdue += o.Overdue
	s.Lapsed = append(s.Lapsed, o.Lapsed...)
	s.Left = append(s.Left, o.Left...)
}

// lapse decides on the sessions whose leases are over.
func (r *Registry) lapse(ctx context.Context, all SweepResult) error {
	suspend := r.cut.together(all.Open+all.Draining, all.Overdue, time.Unix(0, r.clock.Load()))
	suspended := 0
	for _, l := range all.Lapsed {
		req := ExpireRequest{Session: l.Session, Until: l.Until}
		switch {
		case l.Server == "":
			req.Reason = "never started"
		case suspend:
			suspended++
		default:
			req.Reason = fmt.Sprintf("no heartbeat for %v", throng.LeaseTime)
		}
		fx, err := r.store.Expire(ctx, req)
		if err != nil {
			return fmt.Errorf("expire %s: %w", l.Session, err)
		}
		r.metrics.lapsed(req)
		if req.Reason != "" {
			r.over(l.Session, throng.Ending{Reason: req.Reason})
			r.ended(fx.Left)
			r.log.WarnContext(ctx, "session lapsed", "session", l.Session, "server", l.Server, "reason", req.Reason)
		}
		r.deliver(fx)
		r.publish(ctx, fx)
	}
	if suspended > 0 {
		r.log.ErrorContext(ctx, "many sessions are silent together, so they are kept and take no joins",
			"region", r.region.ID, "silent", all.Overdue, "suspended", suspended)
	}
	return nil
}

// cut remembers that many sessions were silent together: when the door is there
// again the first ones to be heard leave the others looking alone. Owned by the
// sweep.
type cut struct{ until time.Time }

// together is whether those that lapse now are silent together, or those among
// them that were not heard yet.
func (c *cut) together(bound, overdue int, now time.Time) bool {
	if together(bound, overdue) {
		c.until = now.Add(throng.HeartbeatTime)
	}
	return now.Before(c.until)
}

// together says whether so many of the bound sessions fell silent at once that
// it is the registry, the door or the network that is away rather than the
// servers: a tenth of them, and at least three.
func together(bound, overdue int) bool {
	return overdue >= max(3, (bound+9)/10)
}
