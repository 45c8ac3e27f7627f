package sim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
)

// client is the store as one process reaches it over the network.
type client struct {
	w    *world
	from *node
}

var _ session.Store = client{}

// over is one operation across the network.
func over[T any](ctx context.Context, c client, op string, run func(context.Context, *memory.Store) (T, error)) (T, error) {
	s := c.w.store
	return call(ctx, &c.w.net, way{c.from, s.node, op}, storeCall, func(ctx context.Context) (T, error) {
		return do(ctx, s, run)
	})
}

// none is the answer of operations that have none.
type none struct{}

func over0(ctx context.Context, c client, op string, run func(context.Context, *memory.Store) error) error {
	_, err := over(ctx, c, op, func(ctx context.Context, m *memory.Store) (none, error) { return none{}, run(ctx, m) })
	return err
}

// pair is two answers of an operation.
type pair[A, B any] struct {
	a A
	b B
}

func over2[A, B any](
	ctx context.Context, c client, op string, run func(context.Context, *memory.Store) (A, B, error),
) (A, B, error) {
	p, err := over(ctx, c, op, func(ctx context.Context, m *memory.Store) (pair[A, B], error) {
		a, b, err := run(ctx, m)
		return pair[A, B]{a, b}, err
	})
	return p.a, p.b, err
}

func (c client) Claim(ctx context.Context, r session.ClaimRequest) (session.ClaimResult, error) {
	res, err := over(ctx, c, "claim", func(ctx context.Context, m *memory.Store) (session.ClaimResult, error) {
		res, err := m.Claim(ctx, r)
		if err == nil && !c.w.store.replays() {
			c.w.watch.claimed(r, res)
		}
		return res, err
	})
	return res, err
}

func (c client) Settle(ctx context.Context, g throng.Grant) (session.SettleResult, error) {
	res, err := over(ctx, c, "settle", func(ctx context.Context, m *memory.Store) (session.SettleResult, error) {
		res, err := m.Settle(ctx, g)
		if err == nil && !c.w.store.replays() {
			c.w.watch.settled(res)
		}
		return res, err
	})
	if err == nil && c.w.off(GuardFirst) {
		// As if each answer was as good: nothing that was answered is released.
		res.Grant = g
		res.Release = slices.DeleteFunc(res.Release, func(r session.HoldRef) bool { return r.Key == g.Key })
	}
	if c.w.off(GuardRelease) {
		res.Release = nil
	}
	return res, err
}

func (c client) Ticket(ctx context.Context, k throng.TicketKey) (session.TicketRecord, error) {
	return over(ctx, c, "ticket", func(ctx context.Context, m *memory.Store) (session.TicketRecord, error) { return m.Ticket(ctx, k) })
}

func (c client) Leave(ctx context.Context, r session.LeaveRequest) (session.LeaveResult, error) {
	return over(ctx, c, "leave", func(ctx context.Context, m *memory.Store) (session.LeaveResult, error) { return m.Leave(ctx, r) })
}

func (c client) Fence(ctx context.Context, r session.FenceRequest) ([]session.Eviction, error) {
	older, err := over(ctx, c, "fence", func(ctx context.Context, m *memory.Store) ([]session.Eviction, error) { return m.Fence(ctx, r) })
	if c.w.off(GuardFence) && throng.KindOf(err) == throng.Denied {
		return nil, nil
	}
	return older, err
}

func (c client) Restore(ctx context.Context, seats []session.FenceRequest) ([]session.Restored, error) {
	list, err := over(ctx, c, "restore", func(ctx context.Context, m *memory.Store) ([]session.Restored, error) {
		return m.Restore(ctx, seats)
	})
	for i := range list {
		if c.w.off(GuardFence) && throng.KindOf(list[i].Err) == throng.Denied {
			list[i].Err = nil
		}
	}
	return list, err
}

func (c client) Evicted(ctx context.Context, e session.Eviction) error {
	return over0(ctx, c, "evicted", func(ctx context.Context, m *memory.Store) error { return m.Evicted(ctx, e) })
}

func (c client) Left(ctx context.Context, d session.Departure) ([]session.Eviction, error) {
	return over(ctx, c, "left", func(ctx context.Context, m *memory.Store) ([]session.Eviction, error) { return m.Left(ctx, d) })
}

func (c client) Presence(ctx context.Context, p throng.PlayerID) (session.PresenceRecord, error) {
	return over(ctx, c, "presence", func(ctx context.Context, m *memory.Store) (session.PresenceRecord, error) {
		return m.Presence(ctx, p)
	})
}

func (c client) Seated(ctx context.Context, s throng.SessionID, p throng.PlayerID) (throng.Epoch, error) {
	return over(ctx, c, "seated", func(ctx context.Context, m *memory.Store) (throng.Epoch, error) { return m.Seated(ctx, s, p) })
}

func (c client) Open(ctx context.Context, r session.OpenRequest) (session.OpenResult, error) {
	return over(ctx, c, "open", func(ctx context.Context, m *memory.Store) (session.OpenResult, error) { return m.Open(ctx, r) })
}

func (c client) Drain(ctx context.Context, r session.DrainRequest) (session.Effects, error) {
	return over(ctx, c, "drain", func(ctx context.Context, m *memory.Store) (session.Effects, error) { return m.Drain(ctx, r) })
}

func (c client) End(ctx context.Context, r session.EndRequest) (session.Effects, error) {
	return over(ctx, c, "end", func(ctx context.Context, m *memory.Store) (session.Effects, error) { return m.End(ctx, r) })
}

func (c client) Session(ctx context.Context, s throng.SessionID) (throng.Session, error) {
	return over(ctx, c, "session", func(ctx context.Context, m *memory.Store) (throng.Session, error) { return m.Session(ctx, s) })
}

func (c client) Sessions(ctx context.Context, r session.ListRequest) ([]throng.Session, error) {
	return over(ctx, c, "sessions", func(ctx context.Context, m *memory.Store) ([]throng.Session, error) { return m.Sessions(ctx, r) })
}

func (c client) Hold(ctx context.Context, r session.HoldRequest) (throng.Hold, throng.Session, error) {
	return over2(ctx, c, "hold", func(ctx context.Context, m *memory.Store) (throng.Hold, throng.Session, error) {
		h, s, err := m.Hold(ctx, r)
		if throng.KindOf(err) != throng.Full || err == nil {
			return h, s, err
		}
		known, unknown := m.Session(ctx, r.Session)
		if unknown != nil || known.State == throng.SessionEnded {
			return h, s, err
		}
		switch {
		case c.w.off(GuardFull):
			// As if nobody counted.
			return throng.Hold{Key: r.Key, Session: r.Session, Members: r.Members, HeldAt: c.w.store.now()}, known, nil
		case c.w.off(GuardWhole) && len(r.Members) > 1 && known.Free() > 0:
			// As if each member was held alone.
			some := r
			some.Members = r.Members[:min(known.Free(), len(r.Members))]
			if h, s, err = m.Hold(ctx, some); err == nil {
				h.Members = r.Members
			}
		}
		return h, s, err
	})
}

func (c client) Unhold(ctx context.Context, s throng.SessionID, k throng.TicketKey, p throng.PlayerID) error {
	return over0(ctx, c, "unhold", func(ctx context.Context, m *memory.Store) error {
		err := m.Unhold(ctx, s, k, p)
		if err == nil && !c.w.store.replays() {
			c.w.watch.unheld(s, k)
		}
		return err
	})
}

func (c client) Seat(ctx context.Context, h throng.Heartbeat, ch throng.RosterChange) (throng.Session, error) {
	return over(ctx, c, "seat", func(ctx context.Context, m *memory.Store) (throng.Session, error) { return m.Seat(ctx, h, ch) })
}

func (c client) Unseat(ctx context.Context, s throng.SessionID, mem throng.Member) (session.Effects, error) {
	return over(ctx, c, "unseat", func(ctx context.Context, m *memory.Store) (session.Effects, error) { return m.Unseat(ctx, s, mem) })
}

func (c client) Evict(ctx context.Context, s throng.SessionID, mem throng.Member, reason string) (session.Effects, error) {
	if c.w.off(GuardEvict) {
		return session.Effects{}, nil
	}
	return over(ctx, c, "evict", func(ctx context.Context, m *memory.Store) (session.Effects, error) {
		return m.Evict(ctx, s, mem, reason)
	})
}

func (c client) Heartbeat(ctx context.Context, h throng.Heartbeat, published uint64) (throng.HeartbeatAnswer, session.Effects, error) {
	return over2(ctx, c, "heartbeat", func(ctx context.Context, m *memory.Store) (throng.HeartbeatAnswer, session.Effects, error) {
		return m.Heartbeat(ctx, h, published)
	})
}

func (c client) Report(ctx context.Context, r throng.Report) (throng.HeartbeatAnswer, session.Effects, error) {
	return over2(ctx, c, "report", func(ctx context.Context, m *memory.Store) (throng.HeartbeatAnswer, session.Effects, error) {
		return m.Report(ctx, r)
	})
}

func (c client) Published(ctx context.Context, s throng.SessionID, upTo uint64) error {
	return over0(ctx, c, "published", func(ctx context.Context, m *memory.Store) error { return m.Published(ctx, s, upTo) })
}

// Stamp goes for all shards in one message, with that of the first.
func (c client) Stamp(ctx context.Context, shard uint8, census uint64) (session.StampResult, error) {
	return shardwise(ctx, c, "stamp", shard, func(m *memory.Store, ctx context.Context, shard uint8) (session.StampResult, error) {
		return m.Stamp(ctx, shard, census)
	})
}

// Sweep is as Stamp.
func (c client) Sweep(ctx context.Context, shard uint8) (session.SweepResult, error) {
	return shardwise(ctx, c, "sweep", shard, (*memory.Store).Sweep)
}

// shardwise is an operation that is done for all shards in one go.
func shardwise[T any](
	ctx context.Context, c client, op string, shard uint8, run func(*memory.Store, context.Context, uint8) (T, error),
) (T, error) {
	var none T
	switch s := c.w.store; {
	case shard == 0:
		return over(ctx, c, op, func(ctx context.Context, m *memory.Store) (T, error) { return run(m, ctx, shard) })
	case c.from.dead() || c.w.net.isCut(c.from, s.node):
		return none, errAway(op)
	default:
		return do(ctx, s, func(ctx context.Context, m *memory.Store) (T, error) { return run(m, ctx, shard) })
	}
}

func (c client) Expire(ctx context.Context, r session.ExpireRequest) (session.Effects, error) {
	if c.w.off(GuardTogether) && r.Reason == "" {
		r.Reason = "no heartbeat"
	}
	return over(ctx, c, "expire", func(ctx context.Context, m *memory.Store) (session.Effects, error) { return m.Expire(ctx, r) })
}

func (c client) Changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error) {
	s := c.w.store
	ch, err := call(ctx, &c.w.net, way{c.from, s.node, "changes"}, storeCall, func(ctx context.Context) (throng.SessionChanges, error) {
		return s.changes(ctx, cursor)
	})
	if c.w.trace.keep {
		c.w.heard(c.from.name, ch, err)
	}
	return ch, err
}

// Now is the store's clock.
func (c client) Now(ctx context.Context) (time.Time, error) {
	return over(ctx, c, "now", func(ctx context.Context, m *memory.Store) (time.Time, error) { return m.Now(ctx) })
}

// heard writes what a process heard of the feed into the trace.
func (w *world) heard(who string, ch throng.SessionChanges, err error) {
	if err != nil {
		w.trace.note(time.Since(w.began), who, "does not hear the feed", err.Error())
		return
	}
	for _, s := range ch.Sessions {
		w.trace.note(time.Since(w.began), who, "hears of", fmt.Sprintf("%s: %s on %q, %d+%d of %d", s.ID, s.State, s.Server, s.Seated, s.Held, s.Capacity))
	}
}
