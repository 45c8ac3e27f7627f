package contract

import (
	"maps"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// server plays the game server of one session.
type server struct {
	b        *bench
	id       throng.SessionID
	report   throng.Report
	seats    map[throng.PlayerID]throng.SeatReport
	highest  map[throng.PlayerID]throng.Epoch // ever let in
	changes  []throng.RosterChange            // not acknowledged
	reported int
}

func newServer(b *bench, s throng.Session) *server {
	var e throng.Entropy
	copy(e[:], s.ID[len(s.ID)-10:])
	return &server{
		b: b, id: s.ID, seats: map[throng.PlayerID]throng.SeatReport{},
		highest: map[throng.PlayerID]throng.Epoch{},
		report: throng.Report{
			Heartbeat: throng.Heartbeat{
				Session: s.ID, Server: throng.MakeServerID(benchRegion.ID, e),
				Incarnation: throng.MakeIncarnation(e), Address: address(4000),
			},
			Place: s.Place, Version: s.Version, Capacity: s.Capacity,
			State: throng.SessionOpen, OpenedAt: s.OpenedAt,
			Private: s.Private, Code: s.Code,
		},
	}
}

// twin is another server that was given the same session.
func (s *server) twin() *server {
	var e throng.Entropy
	copy(e[:], "twin")
	other := newServer(s.b, throng.Session{
		ID: s.id, Place: s.report.Place, Version: s.report.Version, Capacity: s.report.Capacity, OpenedAt: s.report.OpenedAt,
	})
	other.report.Server, other.report.Incarnation = throng.MakeServerID(benchRegion.ID, e), throng.MakeIncarnation(e)
	return other
}

func (s *server) heartbeat() throng.Heartbeat {
	h := s.report.Heartbeat
	h.Changes = slices.Clone(s.changes)
	return h
}

// beat sends a heartbeat, and the report if it is wanted.
func (s *server) beat(t tester) throng.HeartbeatAnswer {
	t.Helper()
	a := must(s.b.reg.Heartbeat(t.Context(), s.heartbeat()))(t)
	s.took(a)
	if a.WantReport && !a.Ended {
		s.send(t)
	}
	return a
}

// send sends the full report.
func (s *server) send(t tester) throng.HeartbeatAnswer {
	t.Helper()
	s.reported++
	a := must(s.b.reg.Report(t.Context(), s.full()))(t)
	s.took(a)
	return a
}

func (s *server) full() throng.Report {
	r := s.report
	for _, p := range slices.Sorted(maps.Keys(s.seats)) {
		r.Seats = append(r.Seats, s.seats[p])
	}
	return r
}

func (s *server) took(a throng.HeartbeatAnswer) {
	s.changes = slices.DeleteFunc(s.changes, func(c throng.RosterChange) bool { return c.Revision <= a.Acked })
}

// obey carries out the orders of an answer.
func (s *server) obey(a throng.HeartbeatAnswer) {
	for _, o := range a.Orders {
		if o.ID <= s.report.OrdersDone {
			continue
		}
		if seat, ok := s.seats[o.Player]; ok && o.Kind == throng.OrderEvict && seat.Epoch <= o.Epoch {
			s.leave(o.Player)
		}
		s.report.OrdersDone = o.ID
	}
}

// admit lets a player in before anything is confirmed.
func (s *server) admit(g throng.Grant, p throng.PlayerID) throng.RosterChange {
	var m throng.Member
	for _, member := range g.Members {
		if member.Player == p {
			m = member
		}
	}
	s.report.Revision++
	c := throng.RosterChange{
		Revision: s.report.Revision, Kind: throng.RosterJoined, Player: p, Epoch: m.Epoch, Key: g.Key,
	}
	s.changes = append(s.changes, c)
	s.highest[p] = max(s.highest[p], m.Epoch)
	s.seats[p] = throng.SeatReport{Player: p, Epoch: m.Epoch, Key: g.Key}
	return c
}

// leave lets a player go.
func (s *server) leave(p throng.PlayerID) {
	s.report.Revision++
	s.changes = append(s.changes, throng.RosterChange{
		Revision: s.report.Revision, Kind: throng.RosterLeft, Player: p, Epoch: s.seats[p].Epoch,
	})
	delete(s.seats, p)
}

// confirm asks for a seat; a player who is refused has to leave.
func (s *server) confirm(t tester, c throng.RosterChange) error {
	t.Helper()
	err := s.b.reg.Confirm(t.Context(), s.report.Heartbeat, c)
	if seat, ok := s.seats[c.Player]; throng.KindOf(err) == throng.Denied && ok && seat.Epoch == c.Epoch {
		s.leave(c.Player)
	}
	return err
}

// enter admits and confirms.
func (s *server) enter(t tester, g throng.Grant, p throng.PlayerID) throng.RosterChange {
	t.Helper()
	c := s.admit(g, p)
	check(t, s.confirm(t, c))
	return c
}

// alive lets time pass while the servers send heartbeats every second.
func (b *bench) alive(t tester, d time.Duration, servers ...*server) {
	t.Helper()
	for ; d > 0; d -= time.Second {
		for _, s := range servers {
			s.beat(t)
		}
		b.pass(t, min(d, time.Second))
	}
}
