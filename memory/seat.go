package memory

import (
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Hold keeps seats for all members or for none; a live hold of the key is
// returned as it is.
func (st *Store) Hold(ctx context.Context, r session.HoldRequest) (throng.Hold, throng.Session, error) {
	var (
		got throng.Hold
		v   throng.Session
	)
	err := st.on(ctx, operation{"Hold", r.Session.Shard(), grants}, func(sh *shard, now time.Time) error {
		s := sh.find(r.Session, now)
		if s == nil || s.State == throng.SessionEnded {
			return throng.AtField(throng.NotFound, "session", "there is no session %s", r.Session)
		}
		h := s.holds[r.Key]
		if h != nil && !samePlayers(h.Members, r.Members) {
			return throng.AtField(throng.Conflict, "ticket", "%s holds seats for others", r.Key.Ticket)
		}
		if h == nil {
			var err error
			if h, err = sh.hold(s, r, now); err != nil {
				sh.note(s)
				return err
			}
		}
		sh.note(s)
		got, v = h.copy(), sh.view(s)
		return nil
	})
	return got, v, err
}

func samePlayers(a, b []throng.Member) bool {
	return slices.EqualFunc(a, b, func(x, y throng.Member) bool { return x.Player == y.Player })
}

// hold makes a new hold.
func (sh *shard) hold(s *pooled, r session.HoldRequest, now time.Time) (*hold, error) {
	if s.State == throng.SessionDraining || s.drain != "" {
		return nil, throng.AtField(throng.NotFound, "session", "%s takes no more players", s.ID)
	}
	if !sh.joinable(s) || !sh.end(s).After(now) {
		return nil, throng.AtField(throng.Full, "session", "%s takes no players until its server is heard", s.ID)
	}
	need := 0
	for _, m := range r.Members {
		if !s.counts(m.Player) {
			need++
		}
	}
	if need > s.free() || len(s.holds) >= session.MaxHolds {
		return nil, throng.AtField(throng.Full, "session", "%s has no room for %d", s.ID, len(r.Members))
	}
	h := newHold(r, now)
	if s.State != throng.SessionStarting {
		sh.runHold(s, h, now)
	}
	s.addHold(h)
	return h, nil
}

func newHold(r session.HoldRequest, now time.Time) *hold {
	return &hold{
		Hold: throng.Hold{Key: r.Key, Session: r.Session, Members: slices.Clone(r.Members), HeldAt: now},
		open: slices.Clone(r.Members),
	}
}

// copy is the hold as others see it.
func (h *hold) copy() throng.Hold {
	c := h.Hold
	c.Members = slices.Clone(h.Members)
	c.HeldAt, c.Until = h.HeldAt.Round(0), h.lapse.Round(0)
	return c
}

// runHold lets a hold's time begin.
func (sh *shard) runHold(s *pooled, h *hold, now time.Time) {
	h.lapse = now.Add(throng.HoldTime)
	s.lapseBy(h.lapse)
	sh.lapses.push(due{at: h.lapse, session: s.ID})
}

// Unhold releases a hold, or one player's seat in it if p is not empty.
func (st *Store) Unhold(ctx context.Context, id throng.SessionID, k throng.TicketKey, p throng.PlayerID) error {
	return st.on(ctx, operation{"Unhold", id.Shard(), live}, func(sh *shard, now time.Time) error {
		s := sh.find(id, now)
		if s == nil {
			return nil
		}
		if h := s.holds[k]; h != nil && p == "" {
			s.dropHold(h)
		} else if h != nil {
			s.release(h, p)
		}
		sh.note(s)
		return nil
	})
}

// Seat makes the hold a seat, or takes one if the hold lapsed and there is room.
func (st *Store) Seat(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) (throng.Session, error) {
	var v throng.Session
	err := st.on(ctx, operation{"Seat", h.Session.Shard(), live}, func(sh *shard, now time.Time) error {
		s := sh.find(h.Session, now)
		if s == nil || !sh.trusted(s) && s.State != throng.SessionEnded {
			return throng.RetryLater(throng.Unavailable, session.TickTime, "%s has to report first", h.Session)
		}
		defer sh.note(s)
		if err := s.sit(h, c); err != nil {
			return err
		}
		v = sh.view(s)
		return nil
	})
	return v, err
}

func (s *pooled) sit(h throng.Heartbeat, c throng.RosterChange) error {
	cur, seated := s.seats[c.Player]
	switch {
	case s.State == throng.SessionEnded || !s.boundTo(h):
		return errNoSeat(c, "the session is not on this server, or over")
	case seated && cur.epoch == c.Epoch:
		return nil
	case seated && cur.epoch > c.Epoch:
		return errNoSeat(c, "a later epoch sits there")
	case c.Revision <= s.Revision:
		return errNoSeat(c, "he has left since")
	case !seated && len(s.seats) >= s.Capacity:
		return errNoSeat(c, "all seats are taken")
	case !s.holdsFor(c) && !s.roomFor(c.Player):
		return errNoSeat(c, "the hold lapsed, and there is no room")
	}
	s.takeSeat(c.Player, seat{epoch: c.Epoch, key: c.Key, revision: c.Revision})
	return nil
}

// holdsFor says whether the change's hold still keeps the player's seat.
func (s *pooled) holdsFor(c throng.RosterChange) bool {
	h := s.holds[c.Key]
	return h != nil && slices.ContainsFunc(h.open, func(m throng.Member) bool { return m.Player == c.Player })
}

// roomFor says whether a player without a hold can sit down.
func (s *pooled) roomFor(p throng.PlayerID) bool {
	return s.counts(p) || s.free() > 0 && s.State == throng.SessionOpen
}

func errNoSeat(c throng.RosterChange, why string) error {
	return throng.AtField(throng.Denied, "player", "no seat for %s at epoch %d: %s", c.Player, c.Epoch, why)
}

// Unseat takes back a seat of exactly this epoch.
func (st *Store) Unseat(ctx context.Context, id throng.SessionID, m throng.Member) (session.Effects, error) {
	var fx session.Effects
	err := st.on(ctx, operation{"Unseat", id.Shard(), always}, func(sh *shard, now time.Time) error {
		s := sh.find(id, now)
		if s == nil {
			return nil
		}
		if cur, ok := s.seats[m.Player]; ok && cur.epoch == m.Epoch {
			s.freeSeat(m.Player)
			sh.depart(s, now, throng.RosterChange{Player: m.Player, Epoch: m.Epoch, Revision: cur.revision})
		}
		fx = s.effects()
		sh.note(s)
		return nil
	})
	return fx, err
}

// Seated returns the epoch of the player's seat; 0: he has none.
func (st *Store) Seated(ctx context.Context, id throng.SessionID, p throng.PlayerID) (throng.Epoch, error) {
	var epoch throng.Epoch
	err := st.on(ctx, operation{"Seated", id.Shard(), live}, func(sh *shard, now time.Time) error {
		s := sh.find(id, now)
		if s == nil {
			if wait := sh.mayReport(now); wait > 0 {
				return session.Rebuilding(wait)
			}
			return nil
		}
		if s.State != throng.SessionEnded && !sh.trusted(s) {
			return throng.RetryLater(throng.Unavailable, session.TickTime, "%s has to report first", id)
		}
		epoch = s.seats[p].epoch
		return nil
	})
	return epoch, err
}

// mayReport is how long a session that is not known may still report.
func (sh *shard) mayReport(now time.Time) time.Duration {
	return sh.began.Add(sh.store.config.Quarantine + throng.LeaseTime).Sub(now)
}
