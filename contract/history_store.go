package contract

import (
	"context"
	"errors"
	"sync"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// fate is what befalls one caller on his way through a call's store operations.
// Points count from 1: before and after each operation; 0 is never.
type fate struct {
	dies   int // at this point and ever after: the caller's process is gone
	misses int // at this point or the next after an operation: its answer is lost
	stalls int // at this point the caller's process is paused
	pause  func()

	mu     sync.Mutex
	seen   int
	struck bool // a step was left out, or may have been
}

var errLost = throng.RetryLater(throng.Unavailable, session.TickTime, "the answer was lost")

type fateKey struct{}

func withFate(ctx context.Context, f *fate) context.Context {
	return context.WithValue(ctx, fateKey{}, f)
}

// meets says what happens to the caller at a point.
func (f *fate) meets(at session.Point) error {
	f.mu.Lock()
	f.seen++
	n := f.seen
	lost := f.misses > 0 && n >= f.misses && at == session.AfterPersist
	if lost {
		f.misses = 0
	}
	dead := f.dies > 0 && n >= f.dies
	f.struck = f.struck || lost || dead
	f.mu.Unlock()
	if n == f.stalls {
		f.pause()
	}
	switch {
	case dead:
		return errCrash
	case lost:
		return errLost
	}
	return nil
}

// isSure says whether all steps of the caller were done and answered.
func (f *fate) isSure() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.struck
}

// fated is a store whose callers meet their fates. It stamps and sweeps only the
// shards that a history uses.
type fated struct {
	session.Store
	now    func() session.Store // the store as it is now
	shards map[uint8]bool
}

func one[T any](ctx context.Context, run func() (T, error)) (T, error) {
	f, ok := ctx.Value(fateKey{}).(*fate)
	if !ok {
		return run()
	}
	var none T
	if err := f.meets(session.BeforePersist); err != nil {
		return none, err
	}
	v, err := run()
	if after := f.meets(session.AfterPersist); after != nil {
		return none, after
	}
	if throng.KindOf(err) == throng.Unavailable {
		f.mu.Lock()
		f.struck = true
		f.mu.Unlock()
	}
	return v, err
}

func zero(ctx context.Context, run func() error) error {
	_, err := one(ctx, func() (struct{}, error) { return struct{}{}, run() })
	return err
}

type both[A, B any] struct {
	a A
	b B
}

func two[A, B any](ctx context.Context, run func() (A, B, error)) (A, B, error) {
	v, err := one(ctx, func() (both[A, B], error) {
		a, b, err := run()
		return both[A, B]{a, b}, err
	})
	return v.a, v.b, err
}

func (s fated) Claim(ctx context.Context, r session.ClaimRequest) (session.ClaimResult, error) {
	return one(ctx, func() (session.ClaimResult, error) { return s.now().Claim(ctx, r) })
}

func (s fated) Settle(ctx context.Context, g throng.Grant) (session.SettleResult, error) {
	return one(ctx, func() (session.SettleResult, error) { return s.now().Settle(ctx, g) })
}

func (s fated) Ticket(ctx context.Context, k throng.TicketKey) (session.TicketRecord, error) {
	return one(ctx, func() (session.TicketRecord, error) { return s.now().Ticket(ctx, k) })
}

func (s fated) Leave(ctx context.Context, r session.LeaveRequest) (session.LeaveResult, error) {
	return one(ctx, func() (session.LeaveResult, error) { return s.now().Leave(ctx, r) })
}

func (s fated) Fence(ctx context.Context, r session.FenceRequest) ([]session.Eviction, error) {
	return one(ctx, func() ([]session.Eviction, error) { return s.now().Fence(ctx, r) })
}

func (s fated) Restore(ctx context.Context, seats []session.FenceRequest) ([]session.Restored, error) {
	return one(ctx, func() ([]session.Restored, error) { return s.now().Restore(ctx, seats) })
}

func (s fated) Evicted(ctx context.Context, e session.Eviction) error {
	return zero(ctx, func() error { return s.now().Evicted(ctx, e) })
}

func (s fated) Left(ctx context.Context, d session.Departure) ([]session.Eviction, error) {
	return one(ctx, func() ([]session.Eviction, error) { return s.now().Left(ctx, d) })
}

func (s fated) Presence(ctx context.Context, p throng.PlayerID) (session.PresenceRecord, error) {
	return one(ctx, func() (session.PresenceRecord, error) { return s.now().Presence(ctx, p) })
}

func (s fated) Open(ctx context.Context, r session.OpenRequest) (session.OpenResult, error) {
	return one(ctx, func() (session.OpenResult, error) { return s.now().Open(ctx, r) })
}

func (s fated) End(ctx context.Context, r session.EndRequest) (session.Effects, error) {
	return one(ctx, func() (session.Effects, error) { return s.now().End(ctx, r) })
}

func (s fated) Session(ctx context.Context, id throng.SessionID) (throng.Session, error) {
	return one(ctx, func() (throng.Session, error) { return s.now().Session(ctx, id) })
}

func (s fated) Hold(ctx context.Context, r session.HoldRequest) (throng.Hold, throng.Session, error) {
	return two(ctx, func() (throng.Hold, throng.Session, error) { return s.now().Hold(ctx, r) })
}

func (s fated) Unhold(ctx context.Context, id throng.SessionID, k throng.TicketKey, p throng.PlayerID) error {
	return zero(ctx, func() error { return s.now().Unhold(ctx, id, k, p) })
}

func (s fated) Seat(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) (throng.Session, error) {
	return one(ctx, func() (throng.Session, error) { return s.now().Seat(ctx, h, c) })
}

func (s fated) Seated(ctx context.Context, id throng.SessionID, p throng.PlayerID) (throng.Epoch, error) {
	return one(ctx, func() (throng.Epoch, error) { return s.now().Seated(ctx, id, p) })
}

func (s fated) Unseat(ctx context.Context, id throng.SessionID, m throng.Member) (session.Effects, error) {
	return one(ctx, func() (session.Effects, error) { return s.now().Unseat(ctx, id, m) })
}

func (s fated) Evict(ctx context.Context, id throng.SessionID, m throng.Member, reason string) (session.Effects, error) {
	return one(ctx, func() (session.Effects, error) { return s.now().Evict(ctx, id, m, reason) })
}

func (s fated) Heartbeat(ctx context.Context, h throng.Heartbeat, published uint64) (throng.HeartbeatAnswer, session.Effects, error) {
	return two(ctx, func() (throng.HeartbeatAnswer, session.Effects, error) { return s.now().Heartbeat(ctx, h, published) })
}

func (s fated) Report(ctx context.Context, r throng.Report) (throng.HeartbeatAnswer, session.Effects, error) {
	return two(ctx, func() (throng.HeartbeatAnswer, session.Effects, error) { return s.now().Report(ctx, r) })
}

func (s fated) Published(ctx context.Context, id throng.SessionID, upTo uint64) error {
	return zero(ctx, func() error { return s.now().Published(ctx, id, upTo) })
}

func (s fated) Stamp(ctx context.Context, shard uint8, census uint64) (session.StampResult, error) {
	if !s.shards[shard] {
		return session.StampResult{}, nil
	}
	return one(ctx, func() (session.StampResult, error) { return s.now().Stamp(ctx, shard, census) })
}

func (s fated) Sweep(ctx context.Context, shard uint8) (session.SweepResult, error) {
	if !s.shards[shard] {
		return session.SweepResult{}, nil
	}
	return one(ctx, func() (session.SweepResult, error) { return s.now().Sweep(ctx, shard) })
}

func (s fated) Expire(ctx context.Context, r session.ExpireRequest) (session.Effects, error) {
	return one(ctx, func() (session.Effects, error) { return s.now().Expire(ctx, r) })
}

// isCrash says that a call ended because its caller did.
func isCrash(err error) bool { return errors.Is(err, errCrash) }
