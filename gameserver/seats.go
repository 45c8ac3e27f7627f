package gameserver

import (
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

// playUnconfirmed is how long a player waits for his confirm before he plays
// without it: a registry that is away keeps nobody out of his own seat.
const playUnconfirmed = time.Second

// seatState is how far a player has come.
//
//	arriving ──confirmed, or 1 s──▶ playing ──connection lost──▶ away
//	                                   ▲───────came back─────────┘
type seatState uint8

const (
	seatArriving seatState = iota
	seatPlaying
	seatAway // in the world, with neutral input, for Config.KeepSeat
)

// seat is one player in the session.
type seat struct {
	player  throng.PlayerID
	epoch   throng.Epoch
	key     throng.TicketKey
	brought []throng.Attribute // to the place's signals
	conn    ConnID             // 0: away
	state   seatState
	arrived time.Duration // boot clock
	entered time.Duration // boot clock: when he came into the world
	source  string        // of his address, see throng.MotionSampled
	sample  sample
	pattern pattern

	join      throng.RosterChange
	asked     bool          // the confirm is with the reporter
	confirmed bool          // the registry said yes
	gone      chan struct{} // closed when the player left
	arrival   throng.Arrival
	shown     bool // a snapshot was sent

	peer     *peer    // nil: away, or not in the world yet
	replica  *Replica // of peer
	passport passport
	from     throng.Origin // of one who was handed off to here
	offer    *offer        // of a seat elsewhere; nil: none
	still    bool          // the script is to hear that he does nothing
}

// events takes what came over the network. A suspended server only keeps count
// of who is connected.
func (l *loop) events() {
	if q, ok := l.transport.(Quiet); ok {
		q.Gather()
	}
	for range maxEvents {
		select {
		case e := <-l.transport.Events():
			l.event(e)
		default:
			return
		}
	}
}

func (l *loop) event(e Event) {
	switch e.Kind {
	case EventConnected:
		switch {
		case !l.suspended:
			l.arrive(e)
		case !l.park(e):
			l.refuse(e.Conn, "suspended", wire.Bye{Code: wire.ByeDenied, Text: "this server was stopped and waits for the registry"})
		}
	case EventMessage:
		if s := l.conns[e.Conn]; s != nil && s.peer != nil && !l.suspended {
			s.peer.receive(e)
		}
		e.Done()
	case EventDisconnected:
		if s := l.conns[e.Conn]; s != nil {
			l.disconnected(s, e)
			return
		}
		l.forgetParked(e.Conn)
	}
}

// arrive lets a player in, or says why not.
func (l *loop) arrive(e Event) {
	c, err := wire.ParseClaims(e.Data)
	if err != nil {
		l.refuse(e.Conn, "claims", wire.Bye{Code: wire.ByeDenied, Text: "the join token's claims cannot be read"})
		return
	}
	now := l.clock.now()
	refusal, ok := l.admission.admit(c, l.hand.Session, now)
	if !ok {
		code := wire.ByeDenied
		switch refusal {
		case RefusedFull:
			code = wire.ByeFull
		case RefusedDraining:
			code = wire.ByeDraining
		case RefusedExpired, RefusedSession, RefusedEpoch, RefusedGone:
		}
		l.logger.Debug("player refused", "player", string(c.Player), "reason", string(refusal))
		l.refuse(e.Conn, string(refusal), wire.Bye{Code: code, Text: refusal.text()})
		return
	}
	old := l.seats[c.Player]
	if old != nil && old.epoch == c.Epoch { // back, or he never heard that he was let in
		l.comeBack(old, e.Conn)
		return
	}
	if old != nil { // a newer join of a player who is inside
		l.vacate(old, wire.Bye{Code: wire.ByeEvicted, Text: "a newer join of this player took the seat"})
		l.admission.fence(c.Player, old.epoch, now)
	}
	s := &seat{
		player: c.Player, epoch: c.Epoch, key: c.Key, brought: c.Attributes, conn: e.Conn,
		arrived: l.cfg.BootClock(), gone: make(chan struct{}), source: l.sourceOf(e.From.Addr()),
		arrival: throng.Arrival{
			Key: c.Key, Player: c.Player, Epoch: c.Epoch, Session: l.hand.Session, Place: l.hand.Place, Version: l.hand.Version,
			Connected: e.At,
		},
	}
	s.join = l.roster.add(throng.RosterJoined, s.player, s.epoch, s.key)
	l.seats[s.player] = s
	l.attributes.stale = true
	l.conns[s.conn] = s
	l.metrics.players.Set(float64(len(l.seats)))
	l.askConfirm(s)
}

func (l *loop) refuse(c ConnID, reason string, bye wire.Bye) {
	l.metrics.refusals.WithLabelValues(reason).Inc()
	l.bye(c, nil, bye)
}

// text says a refusal to people.
func (r Refusal) text() string {
	switch r {
	case RefusedExpired:
		return "the join token has expired: ask for a new one"
	case RefusedSession:
		return "the join token is for another session"
	case RefusedEpoch:
		return "a newer join of this player is known"
	case RefusedFull:
		return "the session is full"
	case RefusedDraining:
		return "the session takes no more players"
	case RefusedGone:
		return "the seat was given up: join again"
	}
	return "refused"
}

// askConfirm hands the arrival to the reporter; when it is busy, the next step
// tries again.
func (l *loop) askConfirm(s *seat) {
	beat := l.heartbeat()
	beat.Changes = nil
	select {
	case l.reporter.confirms <- confirmJob{beat: beat, change: s.join, gone: s.gone}:
		s.asked = true
	default:
	}
}

// confirmed takes the registry's word on an arrival.
func (l *loop) confirmed(res confirmResult) {
	s := l.seats[res.change.Player]
	if s == nil || s.join.Revision != res.change.Revision {
		return // left meanwhile
	}
	if res.err != nil {
		l.logger.Info("player not confirmed", "player", string(s.player), "reason", res.err.Error())
		l.metrics.refusals.WithLabelValues("unconfirmed").Inc()
		l.remove(s, wire.Bye{Code: wire.ByeDenied, Text: res.err.Error()})
		return
	}
	s.confirmed, s.from = true, res.from
	s.arrival.Confirmed = time.Now()
	l.enter(s)
}

// settleArrivals lets players in whose confirm takes too long; but not those who
// were handed off, because they play elsewhere until they are in.
func (l *loop) settleArrivals(boot time.Duration) {
	for _, s := range l.seats {
		if !s.asked && !s.confirmed {
			l.askConfirm(s)
		}
		if s.state == seatArriving && boot-s.arrived >= playUnconfirmed && !s.key.Ticket.IsHandoff() {
			l.enter(s)
		}
	}
}

// enter puts a player into the world.
func (l *loop) enter(s *seat) {
	if s.state != seatArriving || l.end != nil {
		return
	}
	s.state = seatPlaying
	s.arrival.Entered = time.Now()
	l.connect(s)
	l.joined = append(l.joined, s)
	l.tellJoined(s)
	if !l.fatal(l.script.Join(s.player, s.from, s.brought...)) {
		l.checkout(s)
	}
}

func (l *loop) welcome(s *seat) wire.Welcome {
	return wire.Welcome{
		Protocol: wire.Protocol,
		TickRate: uint8(l.rate),
		Capacity: uint16(l.hand.Capacity),
		Player:   s.player,
		Session:  l.hand.Session,
		Place:    l.hand.Place,
		Version:  l.hand.Version,
		Schema:   l.world.Schema(),
	}
}

// remove ends a player's stay for good: his epoch does not come back.
func (l *loop) remove(s *seat, bye wire.Bye) {
	l.vacate(s, bye)
	l.admission.leave(s.player, s.epoch)
	l.admission.fence(s.player, s.epoch, l.clock.now())
	l.reporter.soon()
}

// vacate takes a player out of the world and the roster; his seat is still
// counted, because the caller gives it to someone or frees it.
func (l *loop) vacate(s *seat, bye wire.Bye) {
	if s.state != seatArriving {
		l.tellLeft(s)
	}
	if s.conn != 0 {
		l.bye(s.conn, s.peer, bye)
		delete(l.conns, s.conn)
	}
	close(s.gone)
	delete(l.seats, s.player)
	l.attributes.stale = true
	l.metrics.players.Set(float64(len(l.seats)))
	l.roster.add(throng.RosterLeft, s.player, s.epoch, s.key)
	if s.state != seatArriving {
		l.joined = slices.DeleteFunc(l.joined, func(o *seat) bool { return o == s })
		l.fatal(l.script.Leave(s.player))
		l.giveBack(s)
	}
}

// applyInputs gives the script what players do in this step: the next move of each,
// or more if many wait. Who has none goes on as before.
func (l *loop) applyInputs() {
	for _, s := range l.joined {
		if s.still {
			s.still = false
			if l.fatal(l.script.Input(s.player, Input{})) {
				return
			}
		}
		if s.peer == nil {
			continue
		}
		q := &s.peer.inputs
		for range q.due(l.rate) {
			m := q.take()
			in := Input{Buttons: m.move.Buttons, Lag: s.replica.Lag(m.saw)}
			in.MoveX, in.MoveY = m.move.Axes()
			if l.cfg.Events != nil {
				// By the player's own steps: those that were late come close together.
				s.sample.input(in, time.Duration(m.sequence)*time.Second/time.Duration(l.rate))
				s.pattern.step(m.sequence, m.move)
			}
			if l.fatal(l.script.Input(s.player, in)) {
				return
			}
		}
		s.replica.Applied(q.taken)
	}
}

// serve sends each player his view, and what is queued for him.
func (l *loop) serve() {
	l.world.Commit(l.tick)
	now := time.Now()
	if b, ok := l.transport.(Batch); ok {
		b.Hold()
		defer b.Release()
	}
	for _, s := range l.joined {
		if s.peer != nil {
			s.peer.flush(now)
		}
	}
}

// arrivedWell ends a player's arrival: what he waited for is over.
func (l *loop) arrivedWell(s *seat) {
	s.shown = true
	s.arrival.Snapshot = time.Now()
	l.metrics.arrival.Observe(s.arrival.Snapshot.Sub(s.arrival.Connected).Seconds())
	if l.cfg.Arrivals != nil {
		l.cfg.Arrivals.Arrived(s.arrival)
	}
}
