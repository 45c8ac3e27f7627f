package memory

import (
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Heartbeat binds, extends the lease and applies contiguous roster changes.
func (st *Store) Heartbeat(ctx context.Context, h throng.Heartbeat, published uint64) (throng.HeartbeatAnswer, session.Effects, error) {
	var (
		a  throng.HeartbeatAnswer
		fx session.Effects
	)
	err := st.on(ctx, operation{"Heartbeat", h.Session.Shard(), always}, func(sh *shard, now time.Time) error {
		a = throng.HeartbeatAnswer{Now: now.Round(0), Next: throng.HeartbeatTime}
		s := sh.find(h.Session, now)
		if s == nil {
			a.WantReport = true
			return nil
		}
		sh.published(s, published, now)
		if s.State == throng.SessionStarting && !sh.trustsServers(now) {
			// Another server may have been bound in what was lost: the one with
			// players reports, the others wait.
			a.WantReport = true
			return nil
		}
		if s.State == throng.SessionStarting && h.Revision > 0 {
			// It was bound before, in what was lost, and players were confirmed.
			s.suspended = true
		}
		bound := sh.bind(s, h, now)
		if !s.hears(h, &a) {
			return nil
		}
		s.reach(h)
		sh.extend(s, now)
		s.done(h.OrdersDone)
		orders, gap := sh.apply(s, h, now)
		s.answer(&a)
		a.WantReport = gap || s.suspended || sh.wants(s)
		fx = s.effects(append(bound, orders...)...)
		sh.note(s)
		return nil
	})
	return a, fx, err
}

// trustsServers says whether a server that nobody knows can be bound: not while
// the shard may lack what an earlier store knew.
func (sh *shard) trustsServers(now time.Time) bool {
	return sh.store.config.Quarantine == 0 || sh.wait(now, grants) == 0
}

// bind gives a Starting session to its first server, and its holds their time.
// Of one that is older than the generation, holds may be lost: their tokens are
// good from now on, so nothing is held in it until they are not (see complete).
func (sh *shard) bind(s *pooled, h throng.Heartbeat, now time.Time) []throng.Order {
	if s.State != throng.SessionStarting {
		return nil
	}
	s.done(h.OrdersDone) // before there are new ones
	s.State, s.BoundAt = throng.SessionOpen, now
	s.Server, s.Incarnation, s.Address = h.Server, h.Incarnation, h.Address
	if s.opened == sh.generation {
		s.generation = sh.generation
	}
	for _, held := range s.holds {
		held.lapse = now.Add(throng.HoldTime)
		s.lapseBy(held.lapse)
	}
	if len(s.holds) > 0 {
		sh.lapses.push(due{at: s.lapse, session: s.ID})
	}
	if s.drain == "" {
		return nil
	}
	return s.drainNow(s.drain)
}

// complete says whether all who may be on the way are known once the server reports,
// when something is held again.
func (sh *shard) complete(s *pooled, now time.Time) bool {
	held := now.Add(sh.wait(now, grants))
	return s.opened == sh.generation || !held.Before(s.BoundAt.Add(sh.store.config.Quarantine))
}

// reach keeps where browsers connect, which changes as certificates do, and
// what the session says of its place's signals.
func (s *pooled) reach(h throng.Heartbeat) {
	if !s.Web.Equal(h.Web) {
		s.Web = h.Web
		s.webs++
	}
	s.Attributes = h.Attributes
}

// boundTo says whether the session belongs to the server that speaks.
func (s *pooled) boundTo(h throng.Heartbeat) bool {
	return s.Server == h.Server && s.Incarnation == h.Incarnation && s.Incarnation != ""
}

// hears says whether the session is this server's; the answer tells it if not.
func (s *pooled) hears(h throng.Heartbeat, a *throng.HeartbeatAnswer) bool {
	switch {
	case s.State == throng.SessionEnded:
		a.Ended, a.Reason = true, s.Reason
	case !s.boundTo(h):
		a.Ended, a.Reason = true, "the session runs on another server"
	default:
		return true
	}
	return false
}

func (s *pooled) answer(a *throng.HeartbeatAnswer) {
	a.Acked = s.Revision
	a.Orders = slices.Clone(s.orders)
}

func (sh *shard) extend(s *pooled, now time.Time) {
	s.silent = false
	delete(sh.silenced, s.ID)
	sh.leases.set(s, now.Add(throng.LeaseTime))
}

// apply brings the roster up to date and says whether a report is needed.
func (sh *shard) apply(s *pooled, h throng.Heartbeat, now time.Time) ([]throng.Order, bool) {
	if len(h.Changes) > session.MaxChanges {
		return nil, true
	}
	var orders []throng.Order
	for _, c := range h.Changes {
		if c.Revision <= s.Revision {
			continue
		}
		if c.Revision != s.Revision+1 {
			return orders, true
		}
		s.Revision = c.Revision
		switch c.Kind {
		case throng.RosterJoined:
			orders = append(orders, s.join(c)...)
		case throng.RosterLeft:
			sh.leave(s, c, now)
		}
	}
	return orders, s.Revision < h.Revision
}

// join is a player whom the server let in; his confirm may not be answered yet.
func (s *pooled) join(c throng.RosterChange) []throng.Order {
	cur, seated := s.seats[c.Player]
	if seated && cur.epoch >= c.Epoch {
		return nil
	}
	if !seated && len(s.seats) >= s.Capacity {
		return s.evict(throng.Member{Player: c.Player, Epoch: c.Epoch}, "the session is full")
	}
	s.takeSeat(c.Player, seat{epoch: c.Epoch, key: c.Key, revision: c.Revision})
	return nil
}

func (sh *shard) leave(s *pooled, c throng.RosterChange, now time.Time) {
	if cur, ok := s.seats[c.Player]; ok && cur.epoch <= c.Epoch && cur.revision <= c.Revision {
		s.freeSeat(c.Player)
	}
	sh.depart(s, now, c)
}

// Report replaces the seats, makes an unknown session and returns all its seats
// in Effects.
func (st *Store) Report(ctx context.Context, r throng.Report) (throng.HeartbeatAnswer, session.Effects, error) {
	var (
		a  throng.HeartbeatAnswer
		fx session.Effects
	)
	err := st.on(ctx, operation{"Report", r.Session.Shard(), always}, func(sh *shard, now time.Time) error {
		a = throng.HeartbeatAnswer{Now: now.Round(0), Next: throng.HeartbeatTime}
		s, err := sh.adopt(r, now)
		if err != nil {
			return err
		}
		if s.State == throng.SessionStarting && !sh.trustsServers(now) && r.Revision == 0 {
			return nil // nobody was in: it may be a twin that was never bound
		}
		bound := sh.bind(s, r.Heartbeat, now)
		if !s.hears(r.Heartbeat, &a) {
			return nil
		}
		s.reach(r.Heartbeat)
		sh.extend(s, now)
		s.done(r.OrdersDone)
		var gone []throng.RosterChange
		if r.Revision >= s.Revision {
			gone = s.replace(r)
			s.suspended, s.census = false, sh.census
			if sh.complete(s, now) {
				s.generation = sh.generation
			}
		}
		for _, c := range gone {
			sh.depart(s, now, c)
		}
		s.answer(&a)
		a.WantReport = s.suspended || sh.wants(s)
		fx = s.effects(bound...)
		fx.Seats = s.reported(r)
		sh.note(s)
		return nil
	})
	return a, fx, err
}

// adopt returns the report's session, made anew if the store lost it.
func (sh *shard) adopt(r throng.Report, now time.Time) (*pooled, error) {
	if s := sh.find(r.Session, now); s != nil {
		if s.Place != r.Place || s.Version != r.Version || s.Capacity != r.Capacity {
			return nil, throng.AtField(throng.Invalid, "place", "%s is of another place, version or capacity", r.Session)
		}
		return s, nil
	}
	opened := r.OpenedAt
	if opened.After(now) || opened.IsZero() {
		opened = now
	}
	s, err := sh.add(throng.Session{
		ID: r.Session, Place: r.Place, Version: r.Version, Capacity: r.Capacity, State: r.State,
		Server: r.Server, Incarnation: r.Incarnation, Address: r.Address,
		// Not later than it was, so that no old token lives longer.
		OpenedAt: opened, BoundAt: opened,
		Private: r.Private, Code: r.Code,
	}, now)
	if err != nil {
		return nil, err
	}
	if s.State == throng.SessionStarting {
		s.opened--
		s.generation--
	}
	return s, nil
}

// replace makes the reported seats the session's, and returns the players who
// are not in any more. Seats that were confirmed after the report stay.
func (s *pooled) replace(r throng.Report) []throng.RosterChange {
	in := make(map[throng.PlayerID]bool, len(r.Seats))
	for _, sr := range r.Seats {
		in[sr.Player] = true
	}
	var gone []throng.RosterChange
	for p, cur := range s.seats {
		if !in[p] && cur.revision <= r.Revision {
			gone = append(gone, throng.RosterChange{Player: p, Epoch: cur.epoch, Revision: r.Revision})
		}
	}
	slices.SortFunc(gone, func(a, b throng.RosterChange) int { return compareIDs(a.Player, b.Player) })
	for _, c := range gone {
		s.freeSeat(c.Player)
	}
	for _, sr := range r.Seats {
		if cur, ok := s.seats[sr.Player]; !ok && len(s.seats) < s.Capacity || ok && cur.epoch <= sr.Epoch {
			s.takeSeat(sr.Player, seat{epoch: sr.Epoch, key: sr.Key, revision: r.Revision})
		}
	}
	s.Revision = r.Revision
	if r.State == throng.SessionDraining && s.State.CanBecome(throng.SessionDraining) {
		s.State = throng.SessionDraining
	}
	return gone
}

func compareIDs(a, b throng.PlayerID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// reported returns the seats that the players' records have to agree with.
func (s *pooled) reported(r throng.Report) []session.FenceRequest {
	list := make([]session.FenceRequest, 0, len(r.Seats))
	for _, sr := range r.Seats {
		if cur, ok := s.seats[sr.Player]; !ok || cur.epoch > sr.Epoch {
			continue
		}
		list = append(list, session.FenceRequest{
			Player: sr.Player, Epoch: sr.Epoch, Session: s.ID, Place: s.Place, Key: sr.Key,
			Revision: r.Revision,
		})
	}
	return list
}
