package gameserver

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
)

const (
	confirmers     = 8               // confirms under way at once
	confirmTimeout = 2 * time.Second // one try
	confirmBackoff = 200 * time.Millisecond
	maxBackoff     = 2 * time.Second
	beatTimeout    = 2 * time.Second        // one heartbeat
	beatRetry      = 500 * time.Millisecond // after a failed one; session.Overdue counts on both
	kickSpacing    = 100 * time.Millisecond
)

// confirmJob asks the registry to confirm one arrival.
type confirmJob struct {
	beat   throng.Heartbeat
	change throng.RosterChange
	gone   <-chan struct{} // closed when the player left: stop trying
}

// confirmResult is the registry's word on one arrival: nil or Denied.
type confirmResult struct {
	change throng.RosterChange
	from   throng.Origin // of one who was handed off
	err    error
}

// beatResult is the registry's answer to a heartbeat or a report. It was begun
// at the boot clock's begun; at local time at, the registry's clock was Now.
type beatResult struct {
	answer throng.HeartbeatAnswer
	begun  time.Duration
	at     time.Time
}

// reporter keeps the registry informed of one session.
type reporter struct {
	registry Registry
	handoffs Handoffs // nil: nobody comes by one
	drains   Drains   // nil: full reports say that the session drains
	logger   *slog.Logger
	boot     func() time.Duration
	random   func() uint64

	// Full: the loop offers the confirm again at its next tick.
	confirms chan confirmJob
	// Both have a reader, the loop, for as long as ctx lives.
	confirmed chan confirmResult
	answered  chan beatResult
	// kick holds one: a heartbeat soon, because somebody left.
	kick chan struct{}
	// retiring holds one: the registry is asked whether the empty session may end.
	retiring chan retirement
	retired  chan error // its answer; read by the loop
	// leaves holds one: the registry is told that the session drains.
	leaves chan departure
	// full: the next heartbeat is a full report.
	full atomic.Bool
	// beats asks the loop for what to report. A loop that hangs does not
	// answer, so the lease lapses, as it should.
	beats chan chan throng.Report
}

func newReporter(cfg Config) *reporter {
	return &reporter{
		registry:  cfg.Registry,
		handoffs:  cfg.Handoffs,
		drains:    cfg.Drains,
		logger:    cfg.Logger,
		boot:      cfg.BootClock,
		random:    cfg.Random,
		confirms:  make(chan confirmJob, 64),
		confirmed: make(chan confirmResult),
		answered:  make(chan beatResult),
		kick:      make(chan struct{}, 1),
		retiring:  make(chan retirement, 1),
		retired:   make(chan error),
		leaves:    make(chan departure, 1),
		beats:     make(chan chan throng.Report),
	}
}

// run reports until ctx ends.
func (r *reporter) run(ctx context.Context) {
	var group sync.WaitGroup
	for range confirmers {
		group.Go(func() { r.confirmLoop(ctx) })
	}
	group.Go(func() { r.beatLoop(ctx) })
	group.Go(func() { r.retireLoop(ctx) })
	group.Go(func() { r.leaveLoop(ctx) })
	group.Wait()
}

// retirement asks for the end of a session that nobody is in.
type retirement struct {
	beat   throng.Heartbeat
	reason string
}

// retire asks whether the empty session may end; one question at a time.
func (r *reporter) retire(beat throng.Heartbeat, reason string) {
	select {
	case r.retiring <- retirement{beat, reason}:
	default: // it is asked already
	}
}

func (r *reporter) retireLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case ask := <-r.retiring:
			once, cancel := context.WithTimeout(ctx, beatTimeout)
			err := r.registry.Retire(once, ask.beat, ask.reason)
			cancel()
			select {
			case r.retired <- err:
			case <-ctx.Done():
				return
			}
		}
	}
}

// soonReport asks for a full report soon.
func (r *reporter) soonReport() {
	r.full.Store(true)
	r.soon()
}

// soon asks for a heartbeat soon.
func (r *reporter) soon() {
	select {
	case r.kick <- struct{}{}:
	default: // one is asked for already
	}
}

func (r *reporter) beatLoop(ctx context.Context) {
	wait := time.Duration(0) // the first one binds the session
	for {
		if !r.pause(ctx, wait) {
			return
		}
		full := r.full.Swap(false)
		call := r.heartbeat
		if full {
			call = r.registry.Report
		}
		res, err := r.beat(ctx, call)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.logger.WarnContext(ctx, "heartbeat failed", "err", err)
			wait = beatRetry
			if full {
				r.full.Store(true)
			}
			continue
		}
		wait = r.jitter(res.answer.Next)
		if res.answer.WantReport {
			r.full.Store(true)
			wait = 0
		}
		select {
		case r.answered <- res:
		case <-ctx.Done():
			return
		}
	}
}

// pause waits for the next heartbeat's time, or for a kick after a moment in
// which more changes may come. False: ctx ended.
func (r *reporter) pause(ctx context.Context, wait time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	case <-r.kick:
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(min(kickSpacing, wait)):
		return true
	}
}

// jitter is d, off by up to a tenth.
func (r *reporter) jitter(d time.Duration) time.Duration {
	if d <= 0 {
		d = throng.HeartbeatTime
	}
	return d - d/10 + upTo(r.random, d/5+1)
}

// upTo is a random duration from 0 to below d.
func upTo(random func() uint64, d time.Duration) time.Duration {
	return time.Duration(random() % uint64(d))
}

// heartbeat tells what changed.
func (r *reporter) heartbeat(ctx context.Context, report throng.Report) (throng.HeartbeatAnswer, error) {
	return r.registry.Heartbeat(ctx, report.Heartbeat)
}

// beat asks the loop for what there is to tell, and calls with it.
func (r *reporter) beat(
	ctx context.Context, call func(context.Context, throng.Report) (throng.HeartbeatAnswer, error),
) (beatResult, error) {
	state := make(chan throng.Report, 1)
	select {
	case r.beats <- state:
	case <-ctx.Done():
		return beatResult{}, ctx.Err()
	}
	report := <-state
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	begun, sent := r.boot(), time.Now()
	answer, err := call(ctx, report)
	return beatResult{answer: answer, begun: begun, at: sent.Add(time.Since(sent) / 2)}, err
}

func (r *reporter) confirmLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-r.confirms:
			res, answered := r.confirm(ctx, job)
			if !answered {
				continue
			}
			select {
			case r.confirmed <- res:
			case <-ctx.Done():
				return
			}
		}
	}
}

// confirm repeats until the registry has said yes or no, or the player left.
func (r *reporter) confirm(ctx context.Context, job confirmJob) (res confirmResult, answered bool) {
	res.change = job.change
	backoff := confirmBackoff
	for {
		once, cancel := context.WithTimeout(ctx, confirmTimeout)
		res.from, res.err = r.confirmOnce(once, job, res.from)
		cancel()
		if res.err == nil || final(res.err) {
			return res, true
		}
		select {
		case <-ctx.Done():
			return res, false
		case <-job.gone:
			return res, false
		case <-time.After(r.jitter(backoff)):
			backoff = min(2*backoff, maxBackoff)
		}
	}
}

// confirmOnce finds out where a player comes from who was handed off, if that is
// not known yet, and confirms him then: confirming takes his other seat away.
func (r *reporter) confirmOnce(ctx context.Context, job confirmJob, from throng.Origin) (throng.Origin, error) {
	if key := job.change.Key; key.Ticket.IsHandoff() && from == (throng.Origin{}) {
		if r.handoffs == nil {
			return from, throng.Errorf(throng.Denied, "nobody is handed off to this game server")
		}
		var err error
		from, err = r.handoffs.Origin(ctx, job.beat.Session, key)
		switch {
		case throng.KindOf(err) == throng.NotFound && err != nil:
			return from, throng.Errorf(throng.Denied, "the handoff is not known any more: %w", err)
		case err != nil:
			return throng.Origin{}, err
		}
	}
	return from, r.registry.Confirm(ctx, job.beat, job.change)
}

// final says whether a confirm's error is the registry's last word. A registry
// that does not know the session yet (it was lost) will hear of it soon.
func final(err error) bool {
	switch throng.KindOf(err) {
	case throng.Denied, throng.Full, throng.Invalid, throng.Conflict:
		return true
	case throng.Internal, throng.NotFound, throng.Exists, throng.NoCapacity, throng.Contention,
		throng.RateLimited, throng.Unavailable, throng.Unsupported:
		return false
	}
	return false
}
