package gameserver

import (
	"time"

	"github.com/throng-gg/throng/wire"
)

const (
	tokenEvery = 15 * time.Second // between a client's reconnect tokens
	// firstTokens is how many tokens a new connection gets in its first seconds:
	// over UDP each is used up by a connection of which the client may never hear,
	// and who is lost soon after he came would have one try only.
	firstTokens = 3
	firstEvery  = time.Second // between those; a newer one expires in a later second
	// tokenSpare is how long a token is good past the time that a seat is kept
	// for: one that comes late because it was lost once is good for long enough all
	// the same.
	tokenSpare = 2 * tokenEvery
)

// passport is when a connection got reconnect tokens.
type passport struct {
	given int
	made  time.Duration // the newest, boot clock
}

// giveTokens sees to it that everybody could come back.
func (l *loop) giveTokens(boot time.Duration) {
	if l.cfg.Token == nil {
		return
	}
	for _, s := range l.joined {
		if s.peer == nil {
			continue
		}
		p := &s.passport
		age := boot - p.made
		if p.given == 0 || age >= tokenEvery || p.given < firstTokens && age >= firstEvery {
			p.given, p.made = p.given+1, boot
			l.giveToken(s)
		}
	}
}

// giveToken makes a player's next reconnect token.
func (l *loop) giveToken(s *seat) {
	life := l.cfg.KeepSeat + tokenSpare
	token, err := l.cfg.Token(l.hand, wire.Claims{
		Session: l.hand.Session, Player: s.player, Epoch: s.epoch, Version: l.hand.Version, Key: s.key, PartySize: 1,
		Expires: l.clock.now().Add(life).UnixMilli(), Reconnect: true,
	}, life)
	if err == nil {
		var r wire.Reconnect
		if r, err = wire.ReconnectOf(token); err == nil {
			l.queue(s, wire.AppendReconnect(nil, r))
			return
		}
	}
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
	s.state, s.conn, s.peer = seatAway, 0, nil
	s.still = true
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
	s.still = true
	if s.state != seatArriving {
		s.state = seatPlaying
		l.connect(s)
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
