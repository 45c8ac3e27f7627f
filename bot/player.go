package bot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/udp"
	"github.com/throng-gg/throng/wire"
)

// packetOverhead is what a payload costs beside itself: IPv4, UDP, and
// netcode's prefix, sequence (3 bytes) and tag.
const packetOverhead = 20 + 8 + 1 + 3 + 16

// defaultRate is how often a player sends inputs before he knows the tick rate.
const defaultRate = 30

// player is one bot's life. Owned by the goroutine of live, but for the stay.
type player struct {
	crowd   *crowd
	index   int
	party   *party
	wasIn   bool            // he saw his world once
	failed  throng.TicketID // the party's ticket that came to nothing for him
	id      throng.PlayerID
	rng     *rand.Rand
	tickets int
	settled func() // says once that the first try is over
}

// live joins, plays, and joins again when the session is lost, until ctx ends.
func (p *player) live(ctx context.Context) {
	defer p.settled()
	walker := newWalker(p.crowd.walk, p.rng)
	inside := false
	for tries := 0; ctx.Err() == nil; tries++ {
		s, err := p.join(ctx)
		if err != nil {
			inside = false
			if ctx.Err() == nil {
				p.crowd.tally.failure(throng.KindOf(err).String(), err)
				p.settled()
				p.pause(ctx, tries)
			}
			continue
		}
		inside = true
		p.crowd.tally.edit(p.index, func(t *playerTally) {
			if t.joined {
				t.rejoined++
			}
			t.joined, t.playing = true, true
		})
		p.settled()
		err = s.play(ctx, walker)
		p.crowd.tally.edit(p.index, func(t *playerTally) { t.playing = false })
		if err != nil {
			inside = false
			p.crowd.tally.failure(lossCode(err), err)
		}
		tries = 0
	}
	p.crowd.tally.edit(p.index, func(t *playerTally) { t.failed = !t.joined || !inside })
}

// pause waits before the next try, longer each time.
func (p *player) pause(ctx context.Context, tries int) {
	wait := time.Duration(min(tries+1, 8)) * 250 * time.Millisecond
	select {
	case <-ctx.Done():
	case <-time.After(wait/2 + rand.N(wait)):
	}
}

// join goes from a new ticket to the first complete snapshot.
func (p *player) join(ctx context.Context) (*stay, error) {
	var ticket throng.Ticket
	leads := p.leads()
	if !leads { // before he takes a place at the door, which the leader may need
		var err error
		if ticket, err = p.party.follow(ctx, p.failed); err != nil {
			return nil, err
		}
		p.failed = ticket.Key.Ticket // unless it brings him in
	}
	select {
	case p.crowd.doors <- struct{}{}:
		defer func() { <-p.crowd.doors }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	joining, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	p.tickets++
	begun := time.Now()
	if leads {
		ticket = p.bring(throng.TicketID(fmt.Sprintf("tkt-%d-%d-%d", begun.UnixMilli(), p.index, p.tickets)))
	}
	seat, err := p.crowd.cfg.Door.Place(joining, p.id, ticket)
	if err != nil {
		return nil, err
	}
	placed := time.Since(begun)
	s := &stay{player: p, session: seat.Session, first: make(chan struct{}), over: make(chan struct{})}
	s.game, err = client.Join(joining, client.SessionConfig{
		Token: seat.Token, Dial: p.crowd.cfg.Way(seat), Received: s.received, Seated: s.seated, Move: s.move, Moved: s.moved,
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.leave = p.crowd.tally.sit(p.index, seat.Session)
	s.mu.Unlock()
	var playing context.Context
	playing, s.quit = context.WithCancel(ctx)
	go func() {
		defer close(s.over)
		s.err = s.game.Run(playing)
	}()
	if err := s.awaitWorld(joining); err != nil {
		s.close()
		return nil, err
	}
	p.wasIn = true
	p.crowd.tally.edit(p.index, func(t *playerTally) {
		t.place = append(t.place, placed)
		t.join = append(t.join, s.firstAt.Sub(begun))
	})
	return s, nil
}

// dialUDP connects over UDP.
func dialUDP(ctx context.Context, token []byte, receive func([]byte)) (client.Conn, error) {
	conn, err := udp.Dial(ctx, token, receive)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// stay is one visit to a session.
type stay struct {
	player *player
	game   *client.Session
	quit   context.CancelFunc // ends the game with a goodbye
	first  chan struct{}      // closed at the first complete snapshot
	over   chan struct{}      // closed when the game is over
	err    error              // why; read after over

	mu       sync.Mutex // guards what follows
	session  throng.SessionID
	leave    func()    // the tally's seat in it
	movedAt  time.Time // when the world before a handoff was seen last; zero: this one was seen since
	unproven bool      // no view was proven right since a handoff
	welcomes int       // one for each connection in the session
	firstAt  time.Time
	lastAt   time.Time
	provenAt time.Time
	proven   int
	wrong    int
	bytes    int
	rounds   []time.Duration
}

// seated asks the door whether the seat is there still.
func (s *stay) seated(ctx context.Context) (bool, error) {
	s.mu.Lock()
	session := s.session
	s.mu.Unlock()
	return s.player.crowd.cfg.Door.Seated(ctx, s.player.id, session)
}

// move says how to connect to the session that the player is handed off to.
func (s *stay) move(h wire.Handoff) client.Dial {
	cfg := s.player.crowd.cfg
	seat := Seat{Session: h.Session, Token: h.Token, Web: h.Web}
	if h.Socket && cfg.Socket != nil {
		seat.Web.WebSocket = cfg.Socket(h.Session)
	}
	return cfg.Way(seat)
}

// moved counts a handoff; called by the connection's goroutine.
func (s *stay) moved(h wire.Handoff) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave()
	s.session, s.leave = h.Session, s.player.crowd.tally.sit(s.player.index, h.Session)
	s.movedAt, s.unproven, s.welcomes = s.lastAt, true, 1
	s.player.crowd.tally.edit(s.player.index, func(t *playerTally) { t.handedOff++ })
}

// arrived is the first look at the world after a handoff.
func (s *stay) arrived(now time.Time) {
	gap := now.Sub(s.movedAt)
	s.movedAt = time.Time{}
	s.player.crowd.tally.edit(s.player.index, func(t *playerTally) { t.gaps = append(t.gaps, gap) })
}

// received counts one payload; called by the connection's goroutine.
func (s *stay) received(r client.Received) {
	if r.Err != nil {
		s.player.crowd.tally.failure("payload_"+throng.KindOf(r.Err).String(), r.Err)
		return
	}
	now, up := time.Now(), r.Update
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += r.Size + packetOverhead
	if up.Tick != 0 && !s.movedAt.IsZero() {
		s.arrived(now)
	}
	s.lastAt = now
	if up.Welcomed {
		if s.welcomes++; s.welcomes > 1 {
			s.player.crowd.tally.edit(s.player.index, func(t *playerTally) { t.reconnected++ })
		}
	}
	if up.Tick != 0 && s.firstAt.IsZero() {
		s.firstAt = now
		close(s.first)
	}
	if up.Verified > 0 {
		s.proven += up.Verified
		s.provenAt = now
		if s.unproven {
			s.unproven = false
			s.player.crowd.tally.edit(s.player.index, func(t *playerTally) { t.handedProven++ })
		}
	}
	if up.Mismatch {
		s.wrong++
	}
	if up.Round > 0 {
		s.rounds = append(s.rounds, up.Round)
	}
}

// awaitWorld sends inputs until the first snapshot is there.
func (s *stay) awaitWorld(ctx context.Context) error {
	ticker := time.NewTicker(time.Second / defaultRate)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return throng.Errorf(throng.Unavailable, "no world within %s", joinWithin)
		case <-s.over:
			return s.lost()
		case <-s.first:
			return nil
		case <-ticker.C:
			s.send(0, 0, 0)
		}
	}
}

// play walks about until ctx ends, which is no error, or the session is lost.
func (s *stay) play(ctx context.Context, w *Walker) error {
	rate := defaultRate
	s.game.World(func(w *client.World) {
		if welcome, ok := w.Welcome(); ok && welcome.TickRate > 0 {
			rate = int(welcome.TickRate)
		}
	})
	step := time.Second / time.Duration(rate)
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.close()
			return nil
		case <-s.over:
			s.close()
			if ctx.Err() != nil {
				return nil
			}
			return s.lost()
		case <-ticker.C:
			s.send(w.Step(int(step / time.Millisecond)))
		}
	}
}

func (s *stay) send(x, y float64, buttons uint32) {
	// An input that cannot be sent counts as lost.
	_ = s.game.Input(x, y, buttons)
}

// lost says why the game is over though nobody here wanted it.
func (s *stay) lost() error {
	if said, ok := errors.AsType[*client.ByeError](s.err); ok {
		return &lossError{code: "bye_" + said.Bye.Code.String(), text: said.Bye.Text}
	}
	if s.err == nil {
		return &lossError{code: "disconnected", text: "the server ended the connection"}
	}
	return s.err
}

// close leaves the session and hands the count in.
func (s *stay) close() {
	s.quit()
	<-s.over
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave()
	s.player.crowd.tally.edit(s.player.index, func(t *playerTally) {
		t.mismatched += s.wrong
		t.bytes += s.bytes
		t.rtt = append(t.rtt, s.rounds...)
		if s.proven > 1 {
			t.snapshots += s.proven - 1 // the first begins the time
			t.proven += s.provenAt.Sub(s.firstAt)
		}
		if !s.firstAt.IsZero() {
			t.inside += s.lastAt.Sub(s.firstAt)
		}
	})
}

// lossError is a session that was lost, by code.
type lossError struct{ code, text string }

func (e *lossError) Error() string { return e.code + ": " + e.text }

func lossCode(err error) string {
	if loss, ok := errors.AsType[*lossError](err); ok {
		return loss.code
	}
	return "lost_" + throng.KindOf(err).String()
}
