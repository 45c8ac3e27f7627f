package redis

import (
	"context"
	"errors"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Unhold releases a hold, or one player's seat in it if p is not empty.
func (st *Store) Unhold(ctx context.Context, id throng.SessionID, k throng.TicketKey, p throng.PlayerID) error {
	return st.around(ctx, "Unhold", func() error {
		_, _, err := st.onSession(ctx, st.hot, scriptUnhold, id, ticketKey(k), string(p))
		return err
	})
}

// Seat makes the hold a seat, or takes one if the hold lapsed and there is room.
// Calls for one session at the same time share one call.
func (st *Store) Seat(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) (throng.Session, error) {
	var t told
	err := st.around(ctx, "Seat", func() error {
		if err := errors.Join(checkNumbers(c.Epoch, c.Revision), checkPlayer(c.Player)); err != nil {
			return err
		}
		me := &asked{session: h.Session, told: make(chan told, 1)}
		me.args = []string{packWho(h), string(c.Player), decimal(c.Epoch), decimal(c.Revision), ticketKey(c.Key)}
		me.read = func(s *record, got rueidis.RedisMessage) told { return s.sat(h, c, number(got)) }
		t = st.seats.enter(ctx, me, st.seatAll)
		return t.err
	})
	return t.session, err
}

// seatAll asks for seats in one session, in one call.
func (st *Store) seatAll(ctx context.Context, id throng.SessionID, block []*asked) []told {
	return st.askAll(ctx, scriptSeat, id, block)
}

// sat reads the answer to one request. c is nil if the session is not known.
func (c *record) sat(h throng.Heartbeat, r throng.RosterChange, answer int64) told {
	switch {
	case answer == 6 || c == nil:
		return told{err: throng.RetryLater(throng.Unavailable, session.TickTime, "%s has to report first", h.Session)}
	case answer == 0:
		return told{session: c.Session}
	case answer == 1:
		return told{err: errNoSeat(r, "the session is not on this server, or over")}
	case answer == 2:
		return told{err: errNoSeat(r, "a later epoch sits there")}
	case answer == 3:
		return told{err: errNoSeat(r, "he has left since")}
	case answer == 4:
		return told{err: errNoSeat(r, "all seats are taken")}
	default:
		return told{err: errNoSeat(r, "the hold lapsed, and there is no room")}
	}
}

// Seated returns the epoch of the player's seat; 0: he has none.
func (st *Store) Seated(ctx context.Context, id throng.SessionID, p throng.PlayerID) (throng.Epoch, error) {
	var epoch throng.Epoch
	err := st.around(ctx, "Seated", func() error {
		if err := checkPlayer(p); err != nil {
			return err
		}
		_, got, err := st.onSession(ctx, st.hot, scriptSeated, id, string(p))
		if err != nil {
			return err
		}
		if short(got) == "R" {
			return throng.RetryLater(throng.Unavailable, session.TickTime, "%s has to report first", id)
		}
		epoch = throng.Epoch(number(got[3]))
		return nil
	})
	return epoch, err
}

func errNoSeat(c throng.RosterChange, why string) error {
	return throng.AtField(throng.Denied, "player", "no seat for %s at epoch %d: %s", c.Player, c.Epoch, why)
}

// checkPlayer says whether the layout takes a player's name.
func checkPlayer(p throng.PlayerID) error {
	if p == "" || len(p) > 64 {
		return throng.AtField(throng.Invalid, "player", "has %d characters, must have 1 to 64", len(p))
	}
	return nil
}

// Unseat takes back a seat of exactly this epoch.
func (st *Store) Unseat(ctx context.Context, id throng.SessionID, m throng.Member) (session.Effects, error) {
	var fx session.Effects
	err := st.around(ctx, "Unseat", func() error {
		c, _, err := st.onSession(ctx, st.hot, scriptUnseat, id, string(m.Player), decimal(m.Epoch))
		if c != nil {
			fx = c.effects()
		}
		return err
	})
	return fx, err
}

// Evict queues an order for the member's epoch unless a later one sits there or
// it is queued already.
func (st *Store) Evict(ctx context.Context, id throng.SessionID, m throng.Member, reason string) (session.Effects, error) {
	var fx session.Effects
	err := st.around(ctx, "Evict", func() error {
		if err := errors.Join(checkNumbers(m.Epoch, 0), checkPlayer(m.Player)); err != nil {
			return err
		}
		c, got, err := st.onSession(ctx, st.hot, scriptEvict, id, string(m.Player), decimal(m.Epoch), clip(reason))
		if errors.Is(err, errUnknown) {
			return nil
		}
		if err != nil {
			return err
		}
		orders, err := c.parseOrders(texts(got[4]))
		fx = c.effects(newest(orders, number(got[3]))...)
		return err
	})
	return fx, err
}
