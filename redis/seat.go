package redis

import (
	"context"
	"errors"

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
func (st *Store) Seat(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) (throng.Session, error) {
	var v throng.Session
	err := st.around(ctx, "Seat", func() error {
		if err := errors.Join(checkNumbers(c.Epoch, c.Revision), checkPlayer(c.Player)); err != nil {
			return err
		}
		s, got, err := st.onSession(ctx, st.hot, scriptSeat, h.Session,
			packWho(h), string(c.Player), decimal(c.Epoch), decimal(c.Revision), ticketKey(c.Key))
		if err != nil {
			return err
		}
		if short(got) == "R" {
			return throng.RetryLater(throng.Unavailable, session.TickTime, "%s has to report first", h.Session)
		}
		switch number(got[0]) {
		case 0:
			v = s.Session
			return nil
		case 1:
			return errNoSeat(c, "the session is not on this server, or over")
		case 2:
			return errNoSeat(c, "a later epoch sits there")
		case 3:
			return errNoSeat(c, "he has left since")
		case 4:
			return errNoSeat(c, "all seats are taken")
		default:
			return errNoSeat(c, "the hold lapsed, and there is no room")
		}
	})
	return v, err
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
