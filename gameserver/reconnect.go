package gameserver

import (
	"time"

	"github.com/throng-gg/throng/wire"
)

const (
	tokenEvery  = 15 * time.Second       // between a client's reconnect tokens
	tokenRepeat = 250 * time.Millisecond // until it says that one came
	// firstTokens is how many tokens a new connection gets in its first seconds:
	// over UDP each is used up by a connection of which the client may never hear,
	// and who is lost soon after he came would have one try only.
	firstTokens = 3
	firstEvery  = time.Second // between those; a newer one expires in a later second
	// tokenSpare is how long a token is good past the time that a seat is kept
	// for: one that was lost and replaced is good for long enough all the same.
	tokenSpare = 2 * tokenEvery
)

// passport is the reconnect token that a client has or is being sent.
type passport struct {
	payload []byte        // nil: none was made
	given   int           // how many were made
	number  uint8         // of the newest
	made    time.Duration // boot clock, as below
	sent    time.Duration
	here    bool // the client said that it came
}

// sendTokens sees to it that everybody could come back.
func (l *loop) sendTokens(boot time.Duration) {
	if l.cfg.Token == nil {
		return
	}
	for _, s := range l.joined {
		if s.state != seatPlaying || !s.replica.welcomed() {
			continue
		}
		p := &s.passport
		age := boot - p.made
		if p.made == 0 || age >= tokenEvery || p.here && p.given < firstTokens && age >= firstEvery {
			l.renew(s, boot)
		}
		if p.payload != nil && !p.here && (p.sent < p.made || boot-p.sent >= tokenRepeat) {
			p.sent = boot
			l.transport.Send(s.conn, p.payload)
		}
	}
}

// renew makes a player's next reconnect token.
func (l *loop) renew(s *seat, boot time.Duration) {
	p := &s.passport
	p.made, p.sent, p.here = boot, 0, false
	p.given++
	p.number = p.number%wire.ReconnectNumbers + 1
	life := l.cfg.KeepSeat + tokenSpare
	token, err := l.cfg.Token(l.hand.Key, wire.Claims{
		Session: l.hand.Session, Player: s.player, Epoch: s.epoch, Version: l.hand.Version, Key: s.key, PartySize: 1,
		Expires: l.clock.now().Add(life).UnixMilli(), Reconnect: true,
	}, life)
	if err == nil {
		var r wire.Reconnect
		if r, err = wire.ReconnectOf(token, p.number); err == nil {
			p.payload = wire.AppendReconnect(p.payload[:0], r)
			return
		}
	}
	p.payload = nil
	l.logger.Error("no reconnect token was made", "player", string(s.player), "err", err)
}

// disconnected takes the end of a connection: a player who said goodbye gives
// his seat up, one who was lost in the middle of the game may come back.
func (l *loop) disconnected(s *seat, e Event) {
	if !e.Lost || s.state != seatPlaying {
		l.remove(s, wire.Bye{})
		return
	}
	delete(l.conns, s.conn)
	s.state, s.conn = seatAway, 0
	s.input, s.fresh = Input{}, true
	l.admission.lose(s.player, s.epoch, l.cfg.BootClock()+l.cfg.KeepSeat)
	l.logger.Debug("player lost", "player", string(s.player))
}

// comeBack gives a player's seat, which he still has, another connection: also
// when the one before looks alive.
func (l *loop) comeBack(s *seat, c ConnID) {
	if s.conn != 0 {
		delete(l.conns, s.conn)
		l.transport.Disconnect(s.conn)
	}
	s.conn = c
	l.conns[c] = s
	s.input, s.fresh = Input{}, true
	s.passport = passport{}
	if s.state != seatArriving {
		s.state = seatPlaying
		s.replica = NewReplica(l.world, l.welcome(s))
	}
	l.metrics.returns.Inc()
	l.logger.Debug("player came back", "player", string(s.player))
}

// lapse gives up the seats of players who did not come back.
func (l *loop) lapse(boot time.Duration) {
	for _, p := range l.admission.lapsed(boot) {
		if s := l.seats[p]; s != nil {
			l.metrics.lapses.Inc()
			l.remove(s, wire.Bye{})
		}
	}
}

// park keeps the connection of a player who comes back to a suspended server
// until the registry was heard. False: he does not come back, or too many wait.
func (l *loop) park(e Event) bool {
	c, err := wire.ParseClaims(e.Data)
	if err != nil || !c.Reconnect || len(l.parked) >= 2*l.hand.Capacity {
		return false
	}
	l.parked = append(l.parked, e)
	return true
}

// unpark lets in who waited, in order.
func (l *loop) unpark() {
	waiting := l.parked
	l.parked = nil
	for _, e := range waiting {
		l.arrive(e)
	}
}

// forgetParked drops a connection that ended while it waited.
func (l *loop) forgetParked(c ConnID) {
	for i, e := range l.parked {
		if e.Conn == c {
			l.parked = append(l.parked[:i], l.parked[i+1:]...)
			return
		}
	}
}
