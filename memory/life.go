package memory

import (
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// bury ends a session: seats and holds are free, presence follows by its
// departures, and it is remembered for session.TombstoneTime.
func (sh *shard) bury(s *pooled, now time.Time, reason string) {
	players := make([]throng.PlayerID, 0, len(s.seats))
	for p := range s.seats {
		players = append(players, p)
	}
	slices.Sort(players)
	for _, p := range players {
		sh.depart(s, now, throng.RosterChange{Player: p, Epoch: s.seats[p].epoch, Revision: s.Revision})
	}
	s.State, s.Reason = throng.SessionEnded, reason
	s.seats, s.holds, s.holding, s.waiting = nil, nil, nil, 0
	s.orders = nil
	sh.leases.drop(s)
	delete(sh.silenced, s.ID)
	if i, ok := slices.BinarySearch(sh.ids, s.ID); ok {
		sh.ids = slices.Delete(sh.ids, i, i+1)
	}
	sh.unlist(s)
	if sh.places[s.Place]--; sh.places[s.Place] == 0 {
		delete(sh.places, s.Place)
	}
	sh.tombs.push(due{at: now.Add(session.TombstoneTime), session: s.ID})
	sh.note(s)
}

// depart remembers that a seat came free until the player's record knows.
func (sh *shard) depart(s *pooled, now time.Time, c throng.RosterChange) {
	if len(s.left) == session.MaxDepartures {
		s.left = slices.Delete(s.left, 0, 1)
	}
	s.lastLeft++
	s.left = append(s.left, session.Departure{
		Number: s.lastLeft, Player: c.Player, Session: s.ID, Place: s.Place, Epoch: c.Epoch, Revision: c.Revision,
	})
	if _, ok := sh.unpublished[s.ID]; !ok {
		sh.unpublished[s.ID] = now
	}
}

// Published says that departures up to and with this number reached the
// players' records.
func (st *Store) Published(ctx context.Context, id throng.SessionID, upTo uint64) error {
	return st.on(ctx, operation{"Published", id.Shard(), always}, func(sh *shard, now time.Time) error {
		if s := sh.sessions[id]; s != nil {
			sh.published(s, upTo, now)
		}
		return nil
	})
}

func (sh *shard) published(s *pooled, upTo uint64, now time.Time) {
	if len(s.left) == 0 || s.left[0].Number > upTo {
		return
	}
	s.left = slices.DeleteFunc(s.left, func(d session.Departure) bool { return d.Number <= upTo })
	if len(s.left) == 0 {
		s.left = nil
		delete(sh.unpublished, s.ID)
	} else {
		sh.unpublished[s.ID] = now
	}
}

// Drain takes no more players in.
func (st *Store) Drain(ctx context.Context, r session.DrainRequest) (session.Effects, error) {
	var fx session.Effects
	err := st.on(ctx, operation{"Drain", r.Session.Shard(), live}, func(sh *shard, now time.Time) error {
		s := sh.find(r.Session, now)
		if s == nil {
			return sh.unknown(now, "session", "there is no session %s", r.Session)
		}
		moved := !r.Until.IsZero() && !r.Until.Equal(s.until)
		if moved {
			s.until = r.Until
		}
		switch s.State {
		case throng.SessionStarting:
			if s.drain == "" {
				s.drain = drainReason(r.Reason)
				sh.note(s)
			}
		case throng.SessionOpen:
			fx = s.effects(s.drainNow(r.Reason)...)
			sh.note(s)
		case throng.SessionDraining:
			if moved {
				fx = s.effects(s.drainNow(r.Reason)...)
			}
		case throng.SessionEnded:
		}
		return nil
	})
	return fx, err
}

func drainReason(reason string) string {
	if reason == "" {
		return "drained"
	}
	return reason
}

// drainNow makes an open session a draining one, or tells its server again.
func (s *pooled) drainNow(reason string) []throng.Order {
	s.State = throng.SessionDraining
	return s.order(throng.Order{Kind: throng.OrderDrain, Reason: drainReason(reason), Until: s.until})
}

// End ends a session and frees its seats and holds.
func (st *Store) End(ctx context.Context, r session.EndRequest) (session.Effects, error) {
	var fx session.Effects
	err := st.on(ctx, operation{"End", r.Session.Shard(), live}, func(sh *shard, now time.Time) error {
		s := sh.find(r.Session, now)
		if s == nil {
			return sh.unknown(now, "session", "there is no session %s", r.Session)
		}
		if by := r.By; by != nil && s.State == throng.SessionStarting {
			s.Server, s.Incarnation = by.Server, by.Incarnation
		}
		if r.By != nil && !s.boundTo(*r.By) {
			return throng.AtField(throng.Denied, "session", "%s is not on this server", r.Session)
		}
		if s.State == throng.SessionEnded {
			fx = s.effects()
			return nil
		}
		if r.IfEmpty && len(s.seats)+s.waiting > 0 {
			return throng.AtField(throng.Conflict, "session", "%s has %d players and %d on the way", r.Session, len(s.seats), s.waiting)
		}
		s.Failed = r.Failed
		sh.bury(s, now, r.Reason)
		if r.By == nil {
			fx = s.effects(s.endOrder()...)
			return nil
		}
		fx = s.effects()
		return nil
	})
	return fx, err
}

// endOrder is for the courier; heartbeats are told Ended.
func (s *pooled) endOrder() []throng.Order {
	if s.Server == "" {
		return nil
	}
	s.lastOrder++
	return []throng.Order{{ID: s.lastOrder, Kind: throng.OrderEnd, Reason: s.Reason}}
}

// Session returns one session, also an ended one while it is remembered.
func (st *Store) Session(ctx context.Context, id throng.SessionID) (throng.Session, error) {
	var v throng.Session
	err := st.on(ctx, operation{"Session", id.Shard(), live}, func(sh *shard, now time.Time) error {
		s := sh.find(id, now)
		if s == nil {
			return sh.unknown(now, "session", "there is no session %s", id)
		}
		sh.note(s)
		v = sh.view(s)
		return nil
	})
	return v, err
}

// Sessions lists a shard's sessions that have not ended, by ID. Unavailable:
// the shard is in quarantine, and more may exist.
func (st *Store) Sessions(ctx context.Context, r session.ListRequest) ([]throng.Session, error) {
	var list []throng.Session
	err := st.on(ctx, operation{"Sessions", r.Shard, grants}, func(sh *shard, _ time.Time) error {
		if r.Place != "" && sh.places[r.Place] == 0 {
			return nil
		}
		i, found := slices.BinarySearch(sh.ids, r.After)
		if found {
			i++
		}
		for ; i < len(sh.ids) && len(list) < r.Limit; i++ {
			s := sh.sessions[sh.ids[i]]
			if s.ID.Shard() == r.Shard && (r.Place == "" || s.Place == r.Place) {
				list = append(list, sh.view(s))
			}
		}
		return nil
	})
	return list, err
}
