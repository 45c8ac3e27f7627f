package gameserver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

const (
	maxMoves  = 64                     // handoffs under way; more are refused
	moveTime  = 30 * time.Second       // for which one is asked for
	moveRetry = 250 * time.Millisecond // after an answer that says nothing, then longer
)

// HandoffAsk is players who are to move to another session, all or none.
type HandoffAsk struct {
	Players []throng.PlayerID
	Place   throng.PlaceID // as in throng.Handoff, as the rest
	Mode    throng.Mode
	Session throng.SessionID
	Data    string
}

// move is one handoff that is under way.
type move struct {
	beat throng.Heartbeat
	ask  throng.Handoff
	done func(error) // called by the loop, in a later step
}

// moved is what came of one.
type moved struct {
	move *move
	to   throng.Handed
	err  error
}

// offer is a seat elsewhere, of which a player was told.
type offer struct {
	message []byte    // for another connection, should he come back over one
	until   time.Time // by the registry's clock
}

// mover asks for seats elsewhere. What is not a channel is owned by the loop.
type mover struct {
	handoffs Handoffs // nil: nobody is moved
	random   func() uint64
	logger   *slog.Logger
	asks     chan *move // maxMoves long, so that the loop never waits
	moved    chan moved // read by the loop for as long as ctx lives

	made   int                       // handoffs, for their names
	moves  int                       // under way; at most maxMoves
	moving map[throng.PlayerID]*move // who is in one
}

func newMover(cfg Config) *mover {
	return &mover{
		handoffs: cfg.Handoffs,
		random:   cfg.Random,
		logger:   cfg.Logger,
		asks:     make(chan *move, maxMoves),
		moved:    make(chan moved),
		moving:   map[throng.PlayerID]*move{},
	}
}

// run asks, for all moves at once, until ctx ends.
func (m *mover) run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case mv := <-m.asks:
			group.Go(func() {
				to, err := m.move(ctx, mv)
				select {
				case m.moved <- moved{move: mv, to: to, err: err}:
				case <-ctx.Done():
				}
			})
		}
	}
}

// move asks until there is an answer, or it took too long.
func (m *mover) move(ctx context.Context, mv *move) (throng.Handed, error) {
	ctx, cancel := context.WithTimeout(ctx, moveTime)
	defer cancel()
	pause := moveRetry
	for {
		to, err := m.handoffs.Handoff(ctx, mv.beat, mv.ask)
		if err == nil || !again(err) {
			return to, err
		}
		m.logger.DebugContext(ctx, "handoff not answered", "handoff", string(mv.ask.ID), "err", err)
		wait := max(pause, throng.RetryAfterOf(err))
		select {
		case <-ctx.Done():
			return throng.Handed{}, throng.Errorf(throng.Unavailable, "no seats within %s: %w", moveTime, err)
		case <-time.After(wait + upTo(m.random, wait/5+1)):
			pause = min(2*pause, maxBackoff)
		}
	}
}

// again says whether a handoff's answer is none: it is asked for again, under
// the same name.
func again(err error) bool {
	switch throng.KindOf(err) {
	case throng.Internal, throng.Unavailable, throng.Contention, throng.RateLimited:
		return true
	case throng.Invalid, throng.Denied, throng.NotFound, throng.Exists, throng.Conflict, throng.Full,
		throng.NoCapacity, throng.Unsupported:
		return false
	}
	return false
}

// handOff begins to move players elsewhere. done is told in a later step: nil
// once all have seats there, of which they are told from then on.
func (l *loop) handOff(ask HandoffAsk, done func(error)) {
	if err := l.begin(ask, done); err != nil {
		l.later = append(l.later, func() { done(err) })
	}
}

func (l *loop) begin(ask HandoffAsk, done func(error)) error {
	m := l.mover
	switch {
	case m.handoffs == nil:
		return throng.Errorf(throng.Unsupported, "this game server hands nobody off")
	case m.moves >= maxMoves:
		return throng.Errorf(throng.RateLimited, "%d handoffs are under way, which is the most", m.moves)
	}
	mv := &move{beat: l.heartbeat(), done: done}
	mv.beat.Changes = nil
	m.made++
	mv.ask = throng.Handoff{
		ID:    throng.TicketID(fmt.Sprintf("%s-%d", l.cfg.Incarnation, m.made)),
		Place: ask.Place, Mode: ask.Mode, Session: ask.Session, Data: ask.Data,
	}
	for _, p := range ask.Players {
		s := l.seats[p]
		if why := l.stuck(s); why != "" {
			return throng.Errorf(throng.Conflict, "%s %s", p, why)
		}
		mv.ask.Members = append(mv.ask.Members, throng.Member{Player: p, Epoch: s.epoch})
		mv.ask.Attributes = append(mv.ask.Attributes, s.brought)
	}
	if err := mv.ask.Check(); err != nil {
		return err
	}
	for _, p := range ask.Players {
		m.moving[p] = mv
	}
	m.moves++
	m.asks <- mv // has room
	return nil
}

// stuck says why a player cannot be moved now; empty: he can.
func (l *loop) stuck(s *seat) string {
	switch {
	case s == nil:
		return "is not in the session"
	case s.state != seatPlaying:
		return "has no connection now"
	case !s.confirmed:
		return "is not confirmed yet"
	case l.mover.moving[s.player] != nil || s.offer != nil:
		return "is on his way already"
	}
	return ""
}

// handed takes the answer to a handoff.
func (l *loop) handed(res moved) {
	m := l.mover
	m.moves--
	for _, member := range res.move.ask.Members {
		if m.moving[member.Player] == res.move {
			delete(m.moving, member.Player)
		}
	}
	l.later = append(l.later, func() { res.move.done(res.err) })
	if res.err != nil {
		l.logger.Warn("players not handed off", "handoff", string(res.move.ask.ID), "target", string(res.move.ask.Session),
			"players", len(res.move.ask.Members), "err", res.err)
		return
	}
	l.logger.Info("players handed off", "handoff", string(res.move.ask.ID), "target", string(res.to.Session), "players", len(res.move.ask.Members))
	tokens := make(map[throng.PlayerID][]byte, len(res.to.Tokens))
	for _, t := range res.to.Tokens {
		tokens[t.Player] = t.Token
	}
	for _, member := range res.move.ask.Members {
		s := l.seats[member.Player]
		if s == nil || s.epoch != member.Epoch {
			continue // left meanwhile
		}
		message, err := wire.AppendHandoff(nil, wire.Handoff{
			Session: res.to.Session, Place: res.to.Place, Version: res.to.Version, Key: res.to.Key, Code: res.to.Code,
			Web: res.to.Web, Socket: res.to.Socket, Token: tokens[s.player],
		})
		if err != nil {
			l.logger.Error("player cannot be told of his seat", "player", string(s.player), "target", string(res.to.Session), "err", err)
			continue
		}
		s.offer = &offer{message: message, until: res.to.Expires}
		l.queue(s, message)
	}
}

// runLater does what waited for a step.
func (l *loop) runLater() {
	todo := l.later
	l.later = nil
	for _, f := range todo {
		f()
	}
}

// lapseOffers forgets seats elsewhere that players did not take.
func (l *loop) lapseOffers() {
	for _, s := range l.joined {
		if s.offer != nil && !l.clock.now().Before(s.offer.until) {
			l.logger.Info("player stayed", "player", string(s.player))
			s.offer = nil
		}
	}
}

// scriptHandoff is handOff for the place's script.
func (l *loop) scriptHandoff(call uint64, ask HandoffAsk) {
	l.handOff(ask, func(err error) { l.fatal(l.script.Handed(call, err)) })
}
