package client

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/scene"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/channel"
)

// idleAfter is how long a player may send nothing before the link speaks for him:
// the server has to know what came.
const idleAfter = 100 * time.Millisecond

// link is one connection, with the world that came over it.
type link struct {
	conn  Conn
	made  time.Time          // 0 of the scene's clock
	bye   wire.Bye           // guarded by the Session's mu
	byes  chan struct{}      // closed when bye is set
	in    chan struct{}      // closed when the welcome is complete
	again bool               // not the first one of its session
	leave context.CancelFunc // says goodbye; set by start, as what follows
	over  chan struct{}      // closed when the connection ended
	err   error              // why; read after over

	// Guarded by the Session's mu.
	world   *World
	scene   *scene.Scene // nil: nobody asked for it
	channel *channel.Conn
	now     time.Time  // of the datagram at hand
	came    []Received // with it
	sent    time.Time  // when something was to be sent last
	failed  error      // of the sending at hand
}

func newLink() *link {
	return &link{
		made: time.Now(), world: NewWorld(), channel: channel.New(channel.Config{}),
		over: make(chan struct{}), byes: make(chan struct{}), in: make(chan struct{}),
	}
}

// take takes a datagram: came says what it changed, one entry at least.
func (l *link) take(now time.Time, datagram []byte) {
	l.now, l.came = now, l.came[:0]
	err := l.channel.Receive(now, datagram, l)
	if len(l.came) == 0 || err != nil {
		l.came = append(l.came, Received{World: l.world, Err: err})
	}
	l.came[0].Size = len(datagram)
}

func (l *link) payload(payload []byte) error {
	up, err := l.world.Receive(payload, l.now)
	if l.scene != nil && up.Tick != 0 {
		l.scene.Snapshot(l.world.View(), l.world.Applied(), up.Round, l.since(l.now))
	}
	l.came = append(l.came, Received{World: l.world, Update: up, Err: err})
	return err
}

// State takes a snapshot; see channel.Sink.
func (l *link) State(state []byte, _ bool) bool {
	return l.payload(state) == nil
}

// Message takes a message; see channel.Sink.
func (l *link) Message(message []byte) { _ = l.payload(message) }

// Last takes the server's last word; see channel.Sink.
func (l *link) Last(word []byte) { _ = l.payload(word) }

// Acked is told of inputs; see channel.Sink.
func (l *link) Acked(uint64) {}

// input sends a move. Unavailable: there is no connection.
func (l *link) input(moveX, moveY float64, buttons uint32, now time.Time) error {
	state := l.world.Input(moveX, moveY, buttons, now)
	if l.scene != nil {
		sequence, m := l.world.Newest()
		l.scene.Input(sequence, m, l.since(now))
	}
	return l.flush(now, state)
}

// show begins to keep a scene, if there is a world.
func (l *link) show(steps map[string]scene.Step, now time.Time) *scene.Scene {
	welcome, ok := l.world.Welcome()
	if l.scene == nil && ok {
		l.scene = scene.New(welcome)
		for kind, step := range steps {
			l.scene.Predict(kind, step)
		}
		if l.world.Tick() != 0 {
			l.scene.Snapshot(l.world.View(), 0, 0, l.since(now))
		}
	}
	return l.scene
}

// since is a time by the scene's clock.
func (l *link) since(t time.Time) time.Duration { return t.Sub(l.made) }

// idle sends what has to be sent though there is no input.
func (l *link) idle(now time.Time) {
	if now.Sub(l.sent) >= idleAfter {
		_ = l.flush(now, nil) // one that cannot be sent counts as lost
	}
}

func (l *link) flush(now time.Time, state []byte) error {
	l.sent, l.failed = now, nil
	l.channel.Flush(now, state, 0, l.transmit)
	if err := l.channel.Err(); err != nil {
		return err
	}
	return l.failed
}

func (l *link) transmit(datagram []byte) {
	if err := l.conn.Send(datagram); err != nil {
		l.failed = err
	}
}

// credit is how many messages may be sent now. The server has the same rule, and
// does not hear what is too many.
type credit struct {
	left float64
	at   time.Time
}

// spend takes one. False: there is none.
func (c *credit) spend(now time.Time) bool {
	if c.at.IsZero() {
		c.left = throng.MessageBurst
	}
	c.left = min(throng.MessageBurst, c.left+now.Sub(c.at).Seconds()*throng.MessageRate)
	c.at = now
	if c.left < 1 {
		return false
	}
	c.left--
	return true
}

// Send tells the place's script something: it comes in order with what was sent
// before, once, unless the connection is lost meanwhile. Invalid: see
// throng.Message.Check. RateLimited: more than throng.MessageRate a second were
// sent, and throng.MessageBurst at once. Unavailable: there is no connection now.
func (s *Session) Send(m throng.Message) error {
	b, err := wire.AppendPlace(nil, m)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.world.welcomed {
		return throng.Errorf(throng.Unavailable, "the player is not in the session yet")
	}
	if !s.credit.spend(time.Now()) {
		return throng.Errorf(throng.RateLimited, "more than %d messages a second", throng.MessageRate)
	}
	return s.at.channel.Queue(b)
}

// On has f told of messages with a name that the place's script sends this player;
// nil: nobody any more. f is called by the connection's goroutine, one after the
// other, and may call the Session.
func (s *Session) On(name string, f func(m throng.Message)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on == nil {
		s.on = map[string]func(throng.Message){}
	}
	s.on[name] = f
}

// hear notes that a message came; called under mu.
func (s *Session) hear(m throng.Message) {
	if f := s.on[m.Name]; f != nil {
		s.heard = append(s.heard, func() { f(m) })
	}
}
