package match

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// beat is what the server of a session says of itself.
func (p *place) beat(s throng.SessionID) throng.Heartbeat {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := byte(slices.Index(p.opened, s))
	return throng.Heartbeat{
		Session: s, Server: throng.MakeServerID("eu", throng.Entropy{i}),
		Incarnation: throng.MakeIncarnation(throng.Entropy{i}), Address: netip.MustParseAddrPort("127.0.0.1:7000"),
	}
}

// sit confirms all members of an assignment, as their session's server does.
func (p *place) sit(a throng.Assignment) []throng.Member {
	p.t.Helper()
	h := p.beat(a.Session.ID)
	s, err := p.registry.Session(p.t.Context(), h.Session)
	if err != nil {
		p.t.Fatal(err)
	}
	for i, m := range a.Grant.Members {
		c := throng.RosterChange{
			Revision: s.Revision + throng.Revision(i) + 1, Kind: throng.RosterJoined, Player: m.Player, Epoch: m.Epoch, Key: a.Grant.Key,
		}
		h.Revision = c.Revision
		h.Changes = append(h.Changes, c)
		if err := p.registry.Confirm(p.t.Context(), h, c); err != nil {
			p.t.Fatalf("confirm %s: %v", m.Player, err)
		}
	}
	if _, err := p.registry.Heartbeat(p.t.Context(), h); err != nil {
		p.t.Fatal(err)
	}
	return a.Grant.Members
}

// seated brings a party into a session of its own.
func seated(t *testing.T, m *Matchmaker, p *place, mode throng.Mode, party ...throng.PlayerID) (throng.SessionID, []throng.Member) {
	t.Helper()
	placed, err := m.Place(t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: party[0], Ticket: "first"}, Place: "arena", Party: party, Mode: mode,
	}, time.Minute)
	if err != nil || placed.Assignment == nil {
		t.Fatalf("place %v: got %+v, %v", party, placed, err)
	}
	return placed.Assignment.Session.ID, p.sit(*placed.Assignment)
}

// where is the session that a player sits in.
func (p *place) where(player throng.PlayerID) throng.SessionID {
	p.t.Helper()
	at, err := p.registry.Presence(p.t.Context(), player)
	if err != nil {
		p.t.Fatal(err)
	}
	return at.Session
}

// handing runs f with a matchmaker, and a party of two in a session of six seats.
func handing(t *testing.T, f func(t *testing.T, m *Matchmaker, p *place, from throng.SessionID, members []throng.Member)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ms, p := overMemory(t, 1, 6)
		from, members := seated(t, ms[0], p, throng.ModeNew, "ada", "bo")
		f(t, ms[0], p, from, members)
	})
}

func TestHandoffSeatsAllElsewhere(t *testing.T) {
	for _, mode := range []throng.Mode{throng.ModeDropIn, throng.ModeNew, throng.ModePrivate} {
		t.Run(string(mode), func(t *testing.T) {
			handing(t, func(t *testing.T, m *Matchmaker, p *place, from throng.SessionID, members []throng.Member) {
				other, _ := seated(t, m, p, throng.ModeNew, "cy")
				h := throng.Handoff{ID: "h1", Members: members, Mode: mode, Data: "red"}
				got, err := m.Handoff(t.Context(), p.beat(from), h, time.Minute)
				if err != nil || got.Assignment == nil {
					t.Fatalf("got %+v, %v; want seats", got, err)
				}
				to := got.Assignment.Session
				if to.ID == from || (mode == throng.ModeDropIn) != (to.ID == other) || to.Private != (mode == throng.ModePrivate) {
					t.Errorf("seats in %s (private %v), want by mode %s, not in %s; one with room is %s", to.ID, to.Private, mode, from, other)
				}
				if p.where("ada") != from || p.where("bo") != from {
					t.Error("a player was moved before he came there")
				}
				origin, err := p.registry.Origin(t.Context(), to.ID, got.Assignment.Grant.Key)
				if want := (throng.Origin{Session: from, Place: "arena", Data: "red"}); err != nil || origin != want {
					t.Errorf("where they are from: got %+v, %v; want %+v", origin, err, want)
				}
				if _, err := p.registry.Origin(t.Context(), from, got.Assignment.Grant.Key); throng.KindOf(err) != throng.NotFound {
					t.Errorf("asked by another session: got %v, want not found", err)
				}
				// The same call gives the same answer, before and after they moved.
				again, err := m.Handoff(t.Context(), p.beat(from), h, time.Minute)
				if err != nil || fmt.Sprint(again.Assignment.Grant) != fmt.Sprint(got.Assignment.Grant) {
					t.Errorf("repeated: got %+v, %v; want %+v", again.Assignment, err, got.Assignment)
				}
				p.sit(*got.Assignment)
				if p.where("ada") != to.ID || p.where("bo") != to.ID {
					t.Errorf("ada is in %s and bo in %s, want %s", p.where("ada"), p.where("bo"), to.ID)
				}
				again, err = m.Handoff(t.Context(), p.beat(from), h, time.Minute)
				if err != nil || again.Assignment.Grant.Nonce != got.Assignment.Grant.Nonce {
					t.Errorf("repeated once they are there: got %+v, %v", again, err)
				}
				h.Data = "blue"
				if _, err := m.Handoff(t.Context(), p.beat(from), h, time.Minute); throng.KindOf(err) != throng.Conflict {
					t.Errorf("repeated with other content: got %v, want a conflict", err)
				}
			})
		})
	}
}

// What players brought to the place's signals comes along, as far as the place
// that they come to has these.
func TestHandoffTakesAttributesAlong(t *testing.T) {
	handing(t, func(t *testing.T, m *Matchmaker, p *place, from throng.SessionID, members []throng.Member) {
		p.signals = []throng.Signal{{Name: "language", Kind: throng.SignalCategory, Weight: 1}}
		english := throng.Attribute{Name: "language", Category: "en"}
		got, err := m.Handoff(t.Context(), p.beat(from), throng.Handoff{
			ID: "h1", Members: members, Mode: throng.ModeNew,
			Attributes: [][]throng.Attribute{nil, {{Name: "skill", Number: 3}, english}},
		}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		g := got.Assignment.Grant
		if ada, bo := g.AttributesOf("ada"), g.AttributesOf("bo"); len(ada) != 0 || !slices.Equal(bo, []throng.Attribute{english}) {
			t.Errorf("ada brings %v and bo %v, want nothing and %v", ada, bo, english)
		}
	})
}

// A game server moves nobody but those who sit in its own session, under their
// epochs of now.
func TestHandoffOfForeignPlayersIsDenied(t *testing.T) {
	handing(t, func(t *testing.T, m *Matchmaker, p *place, from throng.SessionID, members []throng.Member) {
		other, foreign := seated(t, m, p, throng.ModeNew, "cy")
		older := slices.Clone(members)
		older[1].Epoch--
		stale := p.beat(from)
		stale.Incarnation = "another"
		unknown := throng.Member{Player: "nobody", Epoch: members[0].Epoch}
		for name, c := range map[string]struct {
			beat    throng.Heartbeat
			members []throng.Member
		}{
			"a player of another session":       {p.beat(from), foreign},
			"one among its own":                 {p.beat(from), append(slices.Clone(members), foreign...)},
			"its own by another session":        {p.beat(other), members},
			"under an older epoch":              {p.beat(from), older},
			"nobody":                            {p.beat(from), []throng.Member{unknown}},
			"by a server that lost the session": {stale, members},
		} {
			got, err := m.Handoff(t.Context(), c.beat, throng.Handoff{ID: throng.TicketID("h-" + name[:1]), Members: c.members, Mode: throng.ModeNew}, time.Minute)
			if throng.KindOf(err) != throng.Denied {
				t.Errorf("%s: got %+v, %v; want denied", name, got, err)
			}
		}
		if err := p.registry.End(t.Context(), from, "over"); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Handoff(t.Context(), p.beat(from), throng.Handoff{ID: "h", Members: members, Mode: throng.ModeDropIn}, time.Minute); throng.KindOf(err) != throng.Denied {
			t.Errorf("by a session that is over: got %v, want denied", err)
		}
		if n := len(p.opened); n != 2 {
			t.Errorf("%d sessions were opened, want the two of the players", n)
		}
		if p.where("cy") != other {
			t.Error("cy was moved")
		}
	})
}

// A target that fills while they are on the way to it takes none of them.
func TestHandoffToAFullSessionMovesNobody(t *testing.T) {
	handing(t, func(t *testing.T, m *Matchmaker, p *place, from throng.SessionID, members []throng.Member) {
		other, _ := seated(t, m, p, throng.ModeNew, "cy", "di", "eve", "flo", "gus") // of six seats
		h := throng.Handoff{ID: "h1", Members: members, Mode: throng.ModeSession, Session: other}
		if got, err := m.Handoff(t.Context(), p.beat(from), h, time.Minute); throng.KindOf(err) != throng.Full {
			t.Errorf("into one seat: got %+v, %v; want full", got, err)
		}
		s, err := p.registry.Session(t.Context(), other)
		if err != nil || s.Held != 0 || s.Seated != 5 {
			t.Errorf("afterwards %d are held and %d seated there, %v; want 0 and 5", s.Held, s.Seated, err)
		}
		h = throng.Handoff{ID: "h2", Members: members[:1], Mode: throng.ModeSession, Session: other}
		if got, err := m.Handoff(t.Context(), p.beat(from), h, time.Minute); err != nil || got.Assignment.Session.ID != other {
			t.Errorf("one into one seat: got %+v, %v", got, err)
		}
		for name, bad := range map[string]throng.Handoff{
			"where they are":      {ID: "h3", Members: members, Mode: throng.ModeSession, Session: from},
			"too much data":       {ID: "h4", Members: members, Mode: throng.ModeDropIn, Data: string(make([]byte, throng.HandoffData+1))},
			"following a friend":  {ID: "h5", Members: members, Mode: throng.ModeFriend},
			"two of one name":     {ID: "h6", Members: []throng.Member{members[0], members[0]}, Mode: throng.ModeDropIn},
			"without anybody":     {ID: "h7", Mode: throng.ModeDropIn},
			"another place there": {ID: "h8", Members: members, Mode: throng.ModeSession, Session: other, Place: "lobby"},
		} {
			if _, err := m.Handoff(t.Context(), p.beat(from), bad, time.Minute); throng.KindOf(err) != throng.Invalid {
				t.Errorf("%s: got %v, want invalid", name, err)
			}
		}
		private, _ := seated(t, m, p, throng.ModePrivate, "hal")
		h = throng.Handoff{ID: "h9", Members: members, Mode: throng.ModeSession, Session: private}
		if _, err := m.Handoff(t.Context(), p.beat(from), h, time.Minute); throng.KindOf(err) != throng.NotFound {
			t.Errorf("into somebody's private session: got %v, want not found", err)
		}
	})
}

// Who joins elsewhere by himself meanwhile is not moved any more, and the other
// is not the worse for it.
func TestNewerJoinBeatsAHandoff(t *testing.T) {
	handing(t, func(t *testing.T, m *Matchmaker, p *place, from throng.SessionID, members []throng.Member) {
		got, err := m.Handoff(t.Context(), p.beat(from), throng.Handoff{ID: "h1", Members: members, Mode: throng.ModeNew}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		placed, err := m.Place(t.Context(), throng.Ticket{
			Key: throng.TicketKey{Caller: "bo", Ticket: "second"}, Place: "arena", Party: []throng.PlayerID{"bo"}, Mode: throng.ModeNew,
		}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		p.sit(*placed.Assignment)
		h := p.beat(got.Assignment.Session.ID)
		for i, member := range got.Assignment.Grant.Members {
			c := throng.RosterChange{Revision: throng.Revision(i + 1), Kind: throng.RosterJoined, Player: member.Player, Epoch: member.Epoch, Key: got.Assignment.Grant.Key}
			want := map[throng.PlayerID]bool{"bo": true}[member.Player]
			if err := p.registry.Confirm(t.Context(), h, c); (throng.KindOf(err) == throng.Denied && err != nil) != want {
				t.Errorf("%s arrives: got %v, refused should be %v", member.Player, err, want)
			}
		}
		if p.where("bo") != placed.Assignment.Session.ID || p.where("ada") != h.Session {
			t.Errorf("bo is in %s, ada in %s; want %s and %s", p.where("bo"), p.where("ada"), placed.Assignment.Session.ID, h.Session)
		}
	})
}
