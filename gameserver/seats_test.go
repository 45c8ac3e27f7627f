package gameserver

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// seatModel drives a session's loop by hand, in any order, and keeps its own
// books.
type seatModel struct {
	t     *rapid.T
	loop  *loop
	net   *chanTransport
	place *recorder
	boot  time.Duration

	epoch  throng.Epoch // newest that was made
	conns  int
	open   map[ConnID]bool // connections whose end has not been told
	epochs map[throng.PlayerID][]throng.Epoch
	away   map[throng.PlayerID]time.Duration // when each was noticed to be lost
	parked map[ConnID]throng.PlayerID        // came back to a suspended server
}

func newSeatModel(t *rapid.T) *seatModel {
	m := &seatModel{
		t: t, place: &recorder{}, boot: time.Hour,
		net:  &chanTransport{events: make(chan Event, 64), out: map[ConnID][][]byte{}},
		open: map[ConnID]bool{}, epochs: map[throng.PlayerID][]throng.Epoch{}, away: map[throng.PlayerID]time.Duration{},
		parked: map[ConnID]throng.PlayerID{},
	}
	s, err := New(Config{
		ID: testServer, Incarnation: "inc", Registry: &doorway{}, Packages: m.place, Transport: m.net, Control: handing{},
		Load:      func(LoadConfig) (Place, error) { return Place{}, nil },
		BootClock: func() time.Duration { return m.boot },
		Logger:    slog.New(slog.DiscardHandler), EmptyAfter: 1000 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.loop = newLoop(s, throng.Handover{
		Session: testSession, Place: "arena", Version: 1, Incarnation: "inc", Now: testNow,
		Capacity: rapid.IntRange(1, 4).Draw(t, "capacity"),
	}, s.cfg.Logger)
	m.loop.script, m.loop.rate, m.loop.bound = m.place, 30, true
	m.loop.opened, m.loop.emptySince = m.boot, m.boot
	m.step(0)
	return m
}

// step lets time pass and the loop do what is due.
func (m *seatModel) step(d time.Duration) {
	m.boot += d
	m.loop.step(time.Second / 30)
	for c, p := range m.parked {
		if m.loop.conns[c] != nil {
			delete(m.parked, c)
			delete(m.away, p)
		}
	}
}

func (m *seatModel) player() throng.PlayerID {
	return throng.PlayerID(fmt.Sprint("p", rapid.IntRange(0, 3).Draw(m.t, "player")))
}

// connect brings a token at the next step.
func (m *seatModel) connect(c wire.Claims) ConnID {
	c.Version, c.Expires = 1, m.loop.clock.now().Add(time.Minute).UnixMilli()
	data, err := wire.AppendClaims(nil, c)
	if err != nil {
		m.t.Fatal(err)
	}
	m.conns++
	conn := ConnID(m.conns)
	m.open[conn] = true
	m.loop.event(Event{Kind: EventConnected, Conn: conn, Data: data})
	return conn
}

// join is a new ticket's.
func (m *seatModel) join() {
	p := m.player()
	m.epoch++
	m.epochs[p] = append(m.epochs[p], m.epoch)
	had := m.loop.seats[p]
	room := len(m.loop.seats) < m.loop.hand.Capacity
	suspended := m.loop.suspended
	conn := m.connect(claims(string(p), m.epoch))
	if s := m.loop.seats[p]; !suspended && (had != nil || room) && (s == nil || s.conn != conn) {
		m.t.Fatalf("%s has no seat after a newer join", p)
	}
	if m.loop.conns[conn] != nil {
		delete(m.away, p)
	}
}

// comeBack is a reconnect token's of any epoch that the player ever had.
func (m *seatModel) comeBack() {
	p := m.player()
	if len(m.epochs[p]) == 0 {
		return
	}
	e := rapid.SampledFrom(m.epochs[p]).Draw(m.t, "epoch")
	had := m.loop.seats[p]
	suspended := m.loop.suspended
	conn := m.connect(reconnectClaims(string(p), e))
	s := m.loop.seats[p]
	switch {
	case s != had:
		m.t.Fatalf("%s came back and has another seat", p)
	case suspended:
		m.parked[conn] = p
	case had != nil && had.epoch == e && had.conn != conn:
		m.t.Fatalf("%s has the seat and could not come back", p)
	case (had == nil || had.epoch != e) && m.loop.conns[conn] != nil:
		m.t.Fatalf("%s has no seat under epoch %d and came back into it", p, e)
	case had != nil && had.epoch == e:
		delete(m.away, p)
	}
}

// lose loses the connection of a player.
func (m *seatModel) lose() {
	if s := m.loop.seats[m.player()]; s != nil && s.conn != 0 {
		m.tell(Event{Kind: EventDisconnected, Conn: s.conn, Lost: true})
	}
}

// end tells of the end of any connection, whoever ended it, perhaps long ago.
func (m *seatModel) end() {
	if len(m.open) > 0 {
		c := rapid.SampledFrom(slices.Sorted(maps.Keys(m.open))).Draw(m.t, "conn")
		lost := !slices.Contains(m.net.ended, c) && rapid.Bool().Draw(m.t, "lost")
		m.tell(Event{Kind: EventDisconnected, Conn: c, Lost: lost})
	}
}

func (m *seatModel) tell(e Event) {
	delete(m.open, e.Conn)
	if s := m.loop.conns[e.Conn]; s != nil && e.Lost && s.state == seatPlaying {
		m.away[s.player] = m.boot
	}
	m.loop.event(e)
}

func (m *seatModel) evict() {
	p := m.player()
	e := throng.Epoch(rapid.IntRange(0, int(m.epoch)).Draw(m.t, "evicted"))
	m.loop.order(throng.Order{Kind: throng.OrderEvict, Player: p, Epoch: e})
	if s := m.loop.seats[p]; s != nil && s.epoch <= e {
		m.t.Fatalf("%s is seated under epoch %d after the eviction of %d", p, s.epoch, e)
	}
	m.removed(p)
}

// confirm is the registry's word on an arrival.
func (m *seatModel) confirm() {
	s := m.loop.seats[m.player()]
	if s == nil || s.confirmed {
		return
	}
	res := confirmResult{change: s.join}
	if rapid.IntRange(0, 4).Draw(m.t, "denied") == 0 {
		res.err = throng.Errorf(throng.Denied, "a later join is confirmed")
	}
	m.loop.confirmed(res)
	m.removed(s.player)
}

// confirmAll is a registry that is quick.
func (m *seatModel) confirmAll() {
	for _, p := range slices.Sorted(maps.Keys(m.loop.seats)) {
		if s := m.loop.seats[p]; !s.confirmed {
			m.loop.confirmed(confirmResult{change: s.join})
		}
	}
}

// stop is a process that did not run for a while; heard is the registry after it.
func (m *seatModel) stop()  { m.step(stoppedAfter + time.Second) }
func (m *seatModel) heard() { m.loop.pulse.answered(m.boot) }

func (m *seatModel) pass() {
	m.step(time.Duration(rapid.IntRange(1, 4900).Draw(m.t, "ms")) * time.Millisecond)
}

// check is what holds at any time.
func (m *seatModel) check() {
	l := m.loop
	if l.end != nil {
		m.t.Fatalf("the session ended: %s", l.end.Reason)
	}
	if len(l.seats) > l.hand.Capacity || len(l.seats) != len(l.admission.seats) {
		m.t.Fatalf("%d players on %d seats of %d", len(l.seats), len(l.admission.seats), l.hand.Capacity)
	}
	connected := 0
	var world []throng.PlayerID
	for p, s := range l.seats {
		if l.admission.seats[p] != s.epoch || s.player != p {
			m.t.Fatalf("%s sits under epoch %d and is counted under %d", p, s.epoch, l.admission.seats[p])
		}
		since, away := m.away[p]
		if _, counted := l.admission.away[p]; counted != away || (s.state == seatAway) != away || (s.conn == 0) != away {
			m.t.Fatalf("%s: away %v, counted %v, state %d, connection %d", p, away, counted, s.state, s.conn)
		}
		if away && !l.suspended && m.boot-since >= l.cfg.KeepSeat+5*time.Second {
			m.t.Fatalf("the seat of %s is kept for %s", p, m.boot-since)
		}
		if s.conn != 0 {
			connected++
			if l.conns[s.conn] != s || !m.open[s.conn] || slices.Contains(m.net.ended, s.conn) {
				m.t.Fatalf("the connection %d of %s is not alive", s.conn, p)
			}
		}
		if s.state != seatArriving {
			world = append(world, p)
		}
	}
	if len(l.admission.away) != len(m.away) {
		m.t.Fatalf("%d seats are kept for %d players", len(l.admission.away), len(m.away))
	}
	if connected != len(l.conns) {
		m.t.Fatalf("%d connections for %d players who are not away", len(l.conns), connected)
	}
	slices.Sort(world)
	in := m.place.in()
	if slices.Sort(in); !slices.Equal(in, world) || len(l.joined) != len(world) {
		m.t.Fatalf("the place has %v, want %v", in, world)
	}
	m.checkRoster()
}

// checkRoster replays what the registry is told: each seat is taken and given
// up once.
func (m *seatModel) checkRoster() {
	told := map[throng.PlayerID]throng.Epoch{}
	given := map[throng.Epoch]bool{}
	for _, c := range m.loop.roster.pending() {
		switch c.Kind {
		case throng.RosterJoined:
			if told[c.Player] != 0 || given[c.Epoch] {
				m.t.Fatalf("%s is told to join twice: %+v", c.Player, c)
			}
			told[c.Player] = c.Epoch
		case throng.RosterLeft:
			if told[c.Player] != c.Epoch {
				m.t.Fatalf("%s is told to leave and has not joined: %+v", c.Player, c)
			}
			delete(told, c.Player)
			given[c.Epoch] = true
		}
	}
	if len(told) != len(m.loop.seats) {
		m.t.Fatalf("the registry is told of %v, %d have seats", told, len(m.loop.seats))
	}
	for p, e := range told {
		if m.loop.seats[p].epoch != e {
			m.t.Fatalf("the registry is told of %s under epoch %d, his seat has %d", p, e, m.loop.seats[p].epoch)
		}
	}
}

// lapse drops from the books whose seat was given up because the time was over,
// which is the only reason but the registry's word.
func (m *seatModel) lapse() {
	for p, since := range m.away {
		if m.loop.seats[p] != nil {
			continue
		}
		if m.boot-since < m.loop.cfg.KeepSeat {
			m.t.Fatalf("%s lost the seat that is kept for him after %s", p, m.boot-since)
		}
		delete(m.away, p)
	}
}

// removed drops a player from the books whom the registry's word put out.
func (m *seatModel) removed(p throng.PlayerID) {
	if m.loop.seats[p] == nil {
		delete(m.away, p)
	}
}

// TestSeatsInAnyOrder: under any order of joins, losses, goodbyes, returns,
// newer joins, evictions, stops and time there are never more players than
// seats, no seat is lost or doubled, and each is given up exactly once.
func TestSeatsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newSeatModel(t)
		what := []func(){
			m.join, m.join, m.comeBack, m.comeBack, m.lose, m.lose, m.end, m.evict, m.confirm, m.confirmAll, m.pass, m.pass, m.pass, m.stop, m.heard, m.heard,
		}
		for range rapid.IntRange(60, 120).Draw(t, "steps") {
			rapid.SampledFrom(what).Draw(t, "what")()
			m.lapse()
			m.check()
		}
	})
}

// An order that was lost on the quick way is not done because a later one came
// that way.
func TestLostOrderComesAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newSeatModel(t)
		lost := throng.Order{ID: 1, Kind: throng.OrderEvict, Player: "p0", Epoch: 5}
		quick := throng.Order{ID: 2, Kind: throng.OrderEvict, Player: "p1", Epoch: 6}
		m.loop.orderNow(quick)
		if done := m.loop.heartbeat().OrdersDone; done != 0 || m.loop.admission.floor["p1"].epoch != 6 {
			t.Fatalf("order 2 without order 1: got %d as done and the floor %v, want 0, and it carried out", done, m.loop.admission.floor)
		}
		m.loop.answered(beatResult{answer: throng.HeartbeatAnswer{Now: testNow, Orders: []throng.Order{lost, quick}}})
		if done := m.loop.heartbeat().OrdersDone; done != 2 || m.loop.admission.floor["p0"].epoch != 5 {
			t.Fatalf("both in a heartbeat's answer: got %d as done and the floor %v, want 2, and both carried out", done, m.loop.admission.floor)
		}
		m.loop.orderNow(throng.Order{ID: 3, Kind: throng.OrderEvict, Player: "p2", Epoch: 7})
		if done := m.loop.heartbeat().OrdersDone; done != 3 {
			t.Fatalf("the next one on the quick way: got %d as done, want 3", done)
		}
	})
}
