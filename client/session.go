package client

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/scene"
	"github.com/throng-gg/throng/wire"
)

const (
	// keptTokens is how many reconnect tokens are kept: over UDP one is used up
	// when it opened a connection of which the client never heard.
	keptTokens = 3
	askAfter   = time.Second // of trying to come back, then as often
	askTime    = 5 * time.Second
	retryPause = 200 * time.Millisecond
)

// Conn is one connection to a game server; *udp.Conn is one.
type Conn interface {
	// Run gives the payloads to Dial's receive until the connection ends, and
	// says why. When ctx ends it tells the server goodbye, which frees the
	// player's seat, and returns nil.
	Run(ctx context.Context) error
	// Send sends one payload, unreliably.
	Send(payload []byte) error
	// Heard is when the server was heard last, by any packet.
	Heard() time.Time
	// Abandon ends the connection without a word to the server.
	Abandon() error
}

// Dial connects with a token. Unavailable, Full: the token is as good as
// before. Any other error: it may be used up.
type Dial func(ctx context.Context, token []byte, receive func(payload []byte)) (Conn, error)

// SessionConfig is what a Session needs to know.
type SessionConfig struct {
	Token []byte // the join token
	Dial  Dial
	// Received is told of each payload after the world took it, under the
	// Session's lock: it must not call the Session. Nil: nobody is told.
	Received func(Received)
	// Seated asks the door whether the player has his seat still, while the game
	// server cannot be reached. False ends the tries to come back; an error says
	// that the door does not know. Nil: nobody is asked.
	Seated func(ctx context.Context) (bool, error)
	// Move says how to connect to the server of a session that the player is
	// handed off to; nil: as Dial does.
	Move func(wire.Handoff) Dial
	// Moved is told once the player is in the session that he was handed off to,
	// as Received is: what is received from then on is of that one. Nil: nobody.
	Moved func(wire.Handoff)
	// Steps move the player's own entity of a kind in what Show shows, in place of what
	// the kind says of itself; see wire.Gait. Called under the Session's lock.
	Steps map[string]scene.Step
	// Silence is how long the server may say nothing before the client begins to
	// come back over another connection; default 2 s.
	Silence time.Duration
	// Patience is how long it tries; default 30 s, for which a seat is kept.
	Patience time.Duration
}

// Received is one payload and what it did.
type Received struct {
	World  *World // of the connection: another one after coming back
	Update Update
	Size   int // bytes of the datagram that brought it; 0: one before did, too
	Err    error
}

// ByeError is a game server's last word.
type ByeError struct{ Bye wire.Bye }

func (e *ByeError) Error() string {
	return "the game server said " + e.Bye.Code.String() + ": " + e.Bye.Text
}

// Session is a player's stay in one session, across lost connections: it comes
// back into the seat with the reconnect tokens that the server gives. It goes
// along when the server hands the player off to another session. Its methods may
// be called by anyone.
type Session struct {
	cfg      SessionConfig
	handoffs chan wire.Handoff // holds the newest one that was not looked at

	mu     sync.Mutex // guards what follows
	at     *link
	next   *link     // to the session that the player is handed off to, until it is at
	first  []byte    // token of the session's first connection
	way    Dial      // to the session
	tokens []wayBack // as they are to be tried: newest first, then those that may be used up
	back   int
	moves  int
	on     map[string]func(throng.Message)
	heard  []func() // handlers to be called once mu is free
	credit credit   // of Send
}

// wayBack is a reconnect token and until when it is good, by this machine's
// clock.
type wayBack struct {
	token []byte
	until time.Time
}

// Join connects with the join token. Run must be called then. Its errors are
// Dial's. Invalid: the configuration lacks something.
func Join(ctx context.Context, cfg SessionConfig) (*Session, error) {
	if cfg.Dial == nil {
		return nil, throng.AtField(throng.Invalid, "dial", "is not set")
	}
	if cfg.Silence == 0 {
		cfg.Silence = 2 * time.Second
	}
	if cfg.Patience == 0 {
		cfg.Patience = 30 * time.Second
	}
	s := &Session{cfg: cfg, handoffs: make(chan wire.Handoff, 1), first: cfg.Token, way: cfg.Dial}
	first, err := s.dial(ctx, cfg.Dial, cfg.Token)
	if err != nil {
		return nil, err
	}
	s.at = first
	return s, nil
}

// Run serves the session until it is over for this player. When ctx ends it says
// goodbye and returns nil. A *ByeError: the server ended it. Unavailable: the
// connection was lost, and there was no way back. It is called once.
func (s *Session) Run(ctx context.Context) error {
	at := s.at
	s.start(ctx, at)
	for {
		if h := s.watch(at); h != nil {
			at = s.move(ctx, at, *h)
			continue
		}
		if err := s.said(at); err != nil || ctx.Err() != nil {
			at.leave()
			<-at.over
			return err
		}
		next, err := s.comeBack(ctx, at)
		switch {
		case next == nil: // at is left
			return err
		case next != at:
			at = next
		}
	}
}

// Input sends a move; see World.Input. Unavailable: there is no connection now.
func (s *Session) Input(moveX, moveY float64, buttons uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at.input(moveX, moveY, buttons, time.Now())
}

// World shows the world as it is now. see must not call the Session, nor keep
// the world.
func (s *Session) World(see func(w *World)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	see(s.at.world)
}

// Show gives the world as a screen should show it now: the player's own entity where it
// will be once the server has his inputs, all others evenly; see package scene. Nobody
// is shown before the first call that finds a world, with which it begins to be kept,
// and after every reconnect. see must not call the Session, nor keep what it gets.
func (s *Session) Show(see func(all []scene.Entity, sc *scene.Scene, now time.Duration)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if sc := s.at.show(s.cfg.Steps, now); sc != nil {
		at := s.at.since(now)
		see(sc.At(at), sc, at)
	}
}

// Reconnects is how often the player came back.
func (s *Session) Reconnects() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.back
}

// Handoffs is how often the player went to another session.
func (s *Session) Handoffs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moves
}

// dial makes a link that is not started.
func (s *Session) dial(ctx context.Context, way Dial, token []byte) (*link, error) {
	l := newLink()
	conn, err := way(ctx, token, func(payload []byte) { s.receive(l, payload) })
	if err != nil {
		return nil, err
	}
	l.conn = conn
	return l, nil
}

// start runs a link until it ends, or leave or ctx says goodbye.
func (s *Session) start(ctx context.Context, l *link) {
	running, cancel := context.WithCancel(ctx)
	l.leave = cancel
	go func() {
		defer close(l.over)
		defer cancel()
		l.err = l.conn.Run(running)
	}()
}

// receive takes a datagram of the current connection, or of the next one, whose
// world begins with it; called by its goroutine.
func (s *Session) receive(l *link, datagram []byte) {
	now := time.Now()
	s.mu.Lock()
	if l == s.at || l == s.next {
		l.take(now, datagram)
		for _, r := range l.came {
			s.changed(l, r, now)
		}
	}
	heard := s.heard
	s.heard = nil
	s.mu.Unlock()
	for _, tell := range heard {
		tell()
	}
}

// changed carries on with what a payload changed; called under mu.
func (s *Session) changed(l *link, r Received, now time.Time) {
	up := r.Update
	if up.Welcomed {
		close(l.in)
	}
	if up.Bye.Code != 0 && l.bye.Code == 0 {
		l.bye = up.Bye
		close(l.byes)
	}
	if l != s.at {
		return
	}
	if up.Reconnect {
		s.keep(l.world, now)
	}
	if up.Handoff {
		s.offer(l.world)
	}
	if up.Welcomed && l.again {
		s.back++
	}
	if up.Message != nil {
		s.hear(*up.Message)
	}
	if s.cfg.Received != nil {
		s.cfg.Received(r)
	}
}

// keep takes the world's newest reconnect token; called under mu.
func (s *Session) keep(w *World, now time.Time) {
	r, _ := w.Reconnect()
	token, err := r.Token(s.first)
	if err != nil {
		return // a join token that is none; it connected all the same
	}
	life := time.Duration(min(r.Expire-r.Create, 3600)) * time.Second
	s.tokens = slices.Insert(s.tokens, 0, wayBack{token: token, until: now.Add(life)})
	s.tokens = s.tokens[:min(len(s.tokens), keptTokens)]
}

// newest is the token to try next; false: there is none that is good.
func (s *Session) newest() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.tokens = slices.DeleteFunc(s.tokens, func(t wayBack) bool { return !now.Before(t.until) })
	if len(s.tokens) == 0 {
		return nil, false
	}
	return s.tokens[0].token, true
}

// drop forgets a token that may be used up.
func (s *Session) drop(token []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = slices.DeleteFunc(s.tokens, func(t wayBack) bool { return &t.token[0] == &token[0] })
}

// spend puts a token that opened a connection behind all others: not every way
// takes it again, but it is better than none if that connection is never heard.
func (s *Session) spend(token []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.tokens, func(t wayBack) bool { return &t.token[0] == &token[0] })
	if i < 0 {
		return // newer ones came
	}
	t := s.tokens[i]
	s.tokens = append(slices.Delete(s.tokens, i, i+1), t)
}

// said is the server's last word on a connection, nil before.
func (s *Session) said(l *link) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.bye.Code == 0 {
		return nil
	}
	return &ByeError{l.bye}
}

// watch waits until a connection ends, falls silent, or the server says bye or
// hands the player off, which it returns.
func (s *Session) watch(l *link) *wire.Handoff {
	tick := time.NewTicker(s.cfg.Silence / 8)
	defer tick.Stop()
	for {
		select {
		case <-l.over:
			return nil
		case <-l.byes:
			return nil
		case h := <-s.handoffs:
			return &h
		case now := <-tick.C:
			s.mu.Lock()
			l.idle(now)
			s.mu.Unlock()
			if s.silent(l) {
				return nil
			}
		}
	}
}

// silent says whether nothing comes over a connection any more.
func (s *Session) silent(l *link) bool {
	s.mu.Lock()
	broken := l.channel.Err() != nil
	s.mu.Unlock()
	return broken || time.Since(l.conn.Heard()) >= s.cfg.Silence
}
