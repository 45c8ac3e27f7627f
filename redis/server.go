package redis

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Heartbeat binds, extends the lease and applies contiguous roster changes.
func (st *Store) Heartbeat(ctx context.Context, h throng.Heartbeat, published uint64) (throng.HeartbeatAnswer, session.Effects, error) {
	var (
		a  throng.HeartbeatAnswer
		fx session.Effects
	)
	err := st.around(ctx, "Heartbeat", func() error {
		args, err := said(h)
		if err != nil {
			return err
		}
		args = append(args, decimal(min(published, maxNumber)))
		changes := h.Changes
		if len(changes) > session.MaxChanges {
			changes = changes[:session.MaxChanges+1] // enough to see that they are too many
		}
		for _, c := range changes {
			if err := errors.Join(checkNumbers(c.Epoch, c.Revision), checkPlayer(c.Player)); err != nil {
				return err
			}
			kind, key := "2", ""
			if c.Kind == throng.RosterJoined {
				kind, key = "1", ticketKey(c.Key)
			}
			args = append(args, decimal(c.Revision), kind, string(c.Player), decimal(c.Epoch), key)
		}
		c, got, err := st.onSession(ctx, st.bulk, scriptHeartbeat, h.Session, args...)
		if err != nil {
			return err
		}
		a, fx, err = c.heard(got)
		return err
	})
	return a, fx, err
}

// said is what a heartbeat says, as ARGV of bind.lua.
func said(h throng.Heartbeat) ([]string, error) {
	if err := checkNumbers(0, h.Revision); err != nil {
		return nil, err
	}
	if h.OrdersDone >= maxNumber {
		return nil, throng.AtField(throng.Invalid, "orders_done", "%d is too large", h.OrdersDone)
	}
	who, addr, web := packWho(h), packAddress(h.Address), packWeb(h.Web)
	if len(who) > 255 || len(addr) > 255 || len(web) > 4096 || len(h.Attributes) > 1<<15 {
		return nil, throng.AtField(throng.Invalid, "server", "or its address or attributes are too long")
	}
	return []string{who, addr, web, decimal(h.Revision), decimal(h.OrdersDone), string(h.Attributes)}, nil
}

// heard reads the answer to a heartbeat or a report. c is nil if the session is
// not known.
func (c *record) heard(got []rueidis.RedisMessage) (throng.HeartbeatAnswer, session.Effects, error) {
	a := throng.HeartbeatAnswer{
		Now: time.UnixMilli(number(got[3])), Next: throng.HeartbeatTime, WantReport: number(got[4]) == 1,
	}
	if c == nil {
		return a, session.Effects{}, nil
	}
	switch number(got[5]) {
	case 1:
		a.Ended, a.Reason = true, c.Reason
		return a, session.Effects{}, nil
	case 2:
		a.Ended, a.Reason = true, "the session runs on another server"
		return a, session.Effects{}, nil
	}
	if c.State == throng.SessionStarting {
		return a, session.Effects{}, nil
	}
	orders, err := c.parseOrders(texts(got[7]))
	if err != nil {
		return a, session.Effects{}, err
	}
	a.Acked = c.Revision
	if len(orders) > 0 {
		a.Orders = orders
	}
	return a, c.effects(newest(orders, number(got[6]))...), nil
}

// Report replaces the seats, makes an unknown session and returns all its seats
// in Effects.
func (st *Store) Report(ctx context.Context, r throng.Report) (throng.HeartbeatAnswer, session.Effects, error) {
	var (
		a  throng.HeartbeatAnswer
		fx session.Effects
	)
	err := st.around(ctx, "Report", func() error {
		args, err := packReport(r)
		if err != nil {
			return err
		}
		c, got, err := st.onSession(ctx, st.bulk, scriptReport, r.Session, args...)
		switch {
		case err != nil:
			return err
		case c != nil && number(got[0]) == 1:
			return throng.AtField(throng.Invalid, "place", "%s is of another place, version or capacity", r.Session)
		case c == nil:
			return errNoCapacity(got)
		}
		if a, fx, err = c.heard(got); err != nil || a.Ended || fx.Session == "" {
			return err
		}
		seats, err := got[8].AsIntSlice()
		if err != nil {
			return away(err)
		}
		fx.Seats = make([]session.FenceRequest, 0, len(seats))
		for _, i := range seats {
			s := r.Seats[i]
			fx.Seats = append(fx.Seats, session.FenceRequest{
				Player: s.Player, Epoch: s.Epoch, Session: c.ID, Place: c.Place, Key: s.Key,
				Revision: r.Revision,
			})
		}
		return nil
	})
	return a, fx, err
}

// packReport is what a report says, as ARGV of report.lua.
func packReport(r throng.Report) ([]string, error) {
	args, err := said(r.Heartbeat)
	if err != nil {
		return nil, err
	}
	if err := checkRelease(r.Place, r.Version, r.Capacity); err != nil {
		return nil, err
	}
	if len(r.Seats) > session.MaxCapacity {
		return nil, throng.AtField(throng.Invalid, "seats", "are %d, at most %d are allowed", len(r.Seats), session.MaxCapacity)
	}
	args = append(args, decimal(r.State), decimal(r.Capacity), string(release(r.Place, r.Version)),
		packWhat(throng.Session{Place: r.Place, Version: r.Version, Private: r.Private, Code: r.Code}), decimal(uint64(unixMilli(r.OpenedAt))))
	for _, s := range r.Seats {
		if err := errors.Join(checkNumbers(s.Epoch, 0), checkPlayer(s.Player)); err != nil {
			return nil, err
		}
		args = append(args, string(s.Player), decimal(s.Epoch), ticketKey(s.Key))
	}
	return args, nil
}

// Published says that departures up to and with this number reached the
// players' records.
func (st *Store) Published(ctx context.Context, id throng.SessionID, upTo uint64) error {
	return st.around(ctx, "Published", func() error {
		_, _, err := st.onSession(ctx, st.bulk, scriptPublished, id, decimal(min(upTo, maxNumber)))
		return err
	})
}
