package gameserver

import (
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/channel"
)

const (
	// A client sends about one datagram a tick. So many are taken of it, and so
	// many more that it saved up; the rest is dropped unread.
	datagramsPerTick = 4
	mostDatagrams    = 64
	// What a client may send that makes the server keep it until more comes.
	mostEarly = 4 << 10
	// Messages of a client that are taken, a second and at once: the client may send
	// throng.MessageRate and MessageBurst, which can arrive at once.
	talkRate = throng.MessageRate * 11 / 10
	mostTalk = 2 * throng.MessageBurst
	// Bytes that a script may send a player, a second and at once.
	roomRate = 8 << 10
	mostRoom = 16 << 10
)

// peer is a player's connection, with what goes over it in order. It belongs to
// the loop.
type peer struct {
	loop     *loop
	seat     *seat
	conn     ConnID
	channel  *channel.Conn
	transmit func(datagram []byte)
	credit   int       // datagrams that are still taken
	at       time.Time // when the one at hand came
	inputs   inputs
	talk     float64 // messages that are still taken; as the client counts, and some more
	said     []throng.Message
	room     int // bytes that the script may still send
}

// connect gives a player's connection its channels: the welcome goes first.
func (l *loop) connect(s *seat) {
	p := &peer{
		loop: l, seat: s, conn: s.conn, credit: mostDatagrams, talk: mostTalk, room: mostRoom,
		channel: channel.New(channel.Config{Longest: throng.MaxMessageSize, Early: mostEarly, Assemblies: 1}),
	}
	p.transmit = func(datagram []byte) { l.transport.Send(p.conn, datagram) }
	s.peer = p
	welcome := l.welcome(s)
	s.replica = NewReplica(l.world, welcome)
	l.queue(s, wire.AppendWelcome(nil, welcome))
	s.passport = passport{}
	if s.offer != nil {
		l.queue(s, s.offer.message)
	}
}

// queue has a message for a player who is connected. Not even one that cannot take
// it any more ends the session: cutOff follows.
func (l *loop) queue(s *seat, message []byte) {
	if s.peer == nil {
		return
	}
	if err := s.peer.channel.Queue(message); err != nil && s.peer.channel.Err() == nil {
		l.logger.Error("a message cannot be sent", "player", string(s.player), "err", err)
	}
}

// receive takes one datagram of a player.
func (p *peer) receive(e Event) {
	if p.credit == 0 {
		p.loop.metrics.dropped.WithLabelValues("flood").Inc()
		return
	}
	p.credit--
	p.at = e.At
	if err := p.channel.Receive(e.At, e.Data, p); err != nil {
		p.loop.metrics.dropped.WithLabelValues("malformed").Inc()
	}
}

// State takes an input; see channel.Sink.
func (p *peer) State(state []byte, _ bool) bool {
	l, s := p.loop, p.seat
	in, err := wire.ParseInput(state)
	if err != nil {
		l.metrics.dropped.WithLabelValues("malformed").Inc()
		return false
	}
	l.metrics.inputs.Inc()
	if !s.replica.Receive(in, p.at) {
		return true // older than one that was taken, which says as much
	}
	missing, dropped := p.inputs.missing, p.inputs.dropped
	p.inputs.add(in, s.replica.known)
	l.metrics.missing.Add(float64(p.inputs.missing - missing))
	l.metrics.dropped.WithLabelValues("input_rate").Add(float64(p.inputs.dropped - dropped))
	return true
}

// Message takes a message; see channel.Sink. The script hears of it in the next
// step.
func (p *peer) Message(message []byte) {
	l := p.loop
	if wire.MessageOf(message) != wire.MessagePlace {
		l.metrics.dropped.WithLabelValues("unknown_message").Inc()
		return
	}
	m, err := wire.ParsePlace(message)
	switch {
	case err != nil:
		l.metrics.dropped.WithLabelValues("malformed").Inc()
	case p.talk < 1:
		l.metrics.dropped.WithLabelValues("message_rate").Inc()
	default:
		p.talk--
		p.said = append(p.said, m)
	}
}

// Last is of servers only; see channel.Sink.
func (p *peer) Last([]byte) { p.loop.metrics.dropped.WithLabelValues("unknown_message").Inc() }

// Acked is told of snapshots; see channel.Sink.
func (p *peer) Acked(uint64) {}

// flush sends what is due: the snapshot of the tick, if it is this player's turn,
// and messages.
func (p *peer) flush(now time.Time) {
	l, s := p.loop, p.seat
	p.credit = min(p.credit+datagramsPerTick, mostDatagrams)
	p.talk = min(p.talk+talkRate/float64(l.rate), mostTalk)
	p.room = min(p.room+roomRate/l.rate, mostRoom)
	if !p.channel.Due() {
		l.metrics.paced.Inc()
		p.channel.Flush(now, nil, 0, p.transmit)
		return
	}
	sent := false
	for _, payload := range s.replica.Payloads(l.tick, now) {
		p.channel.Flush(now, payload, uint64(l.tick), p.transmit)
		sent = true
	}
	if !sent {
		p.channel.Flush(now, nil, 0, p.transmit)
		return
	}
	l.metrics.snapshots.Inc()
	if !s.shown {
		l.arrivedWell(s)
	}
}

// bye tells a client why its connection ends, and ends it.
func (l *loop) bye(conn ConnID, p *peer, bye wire.Bye) {
	if bye.Code != 0 {
		word := wire.AppendBye(nil, bye)
		if p != nil {
			p.channel.Last(time.Now(), word, p.transmit)
		} else {
			l.transport.Send(conn, channel.Refusal(word))
		}
	}
	l.transport.Disconnect(conn)
}

// cutOff ends the stay of players with whom there is no going on: they break the
// rules, or take nothing of what they are sent.
func (l *loop) cutOff() {
	var over []*seat
	for _, s := range l.joined {
		if s.peer != nil && s.peer.channel.Err() != nil {
			over = append(over, s)
		}
	}
	for _, s := range over {
		err := s.peer.channel.Err()
		bye := wire.Bye{Code: wire.ByeBehind, Text: err.Error()}
		if throng.KindOf(err) == throng.Invalid {
			bye.Code = wire.ByeDenied
		}
		l.metrics.cut.WithLabelValues(bye.Code.String()).Inc()
		l.logger.Info("player cut off", "player", string(s.player), "err", err)
		l.remove(s, bye)
	}
}

// tell sends a player what the script says. False: he has no connection, or was
// told too much already.
func (l *loop) tell(id throng.PlayerID, m throng.Message) bool {
	s := l.seats[id]
	if s == nil || s.peer == nil {
		return false
	}
	b, err := wire.AppendPlace(nil, m)
	if err != nil || len(b) > s.peer.room {
		l.metrics.dropped.WithLabelValues("script_rate").Inc()
		return false
	}
	s.peer.room -= len(b)
	l.queue(s, b)
	return true
}

// hear tells the script what players said since the last step.
func (l *loop) hear() {
	for _, s := range l.joined {
		if s.peer == nil {
			continue
		}
		said := s.peer.said
		s.peer.said = s.peer.said[:0]
		for _, m := range said {
			if l.fatal(l.script.Message(s.player, m)) {
				return
			}
		}
		clear(said)
	}
}
