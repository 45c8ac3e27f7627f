package client

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

const (
	// moveTime is how long a client tries to get into the session that it is
	// handed off to: as long as its seat is held there, and a little.
	moveTime  = throng.HoldTime + 2*time.Second
	moveInput = 50 * time.Millisecond // between inputs to it
)

// offer takes the world's newest handoff; called under mu.
func (s *Session) offer(w *World) {
	h, _ := w.Handoff()
	select {
	case <-s.handoffs: // an older one
	default:
	}
	s.handoffs <- h
}

// move goes to another session. Until that has welcomed the player he stays in
// this one, whose server may end his stay once he is in the other. It returns
// the connection to go on with: old, if there is no way.
func (s *Session) move(ctx context.Context, old *link, h wire.Handoff) *link {
	moving, cancel := context.WithTimeout(ctx, moveTime)
	defer cancel()
	way := s.cfg.Dial
	if s.cfg.Move != nil {
		way = s.cfg.Move(h)
	}
	next, err := s.reach(moving, way, h.Token)
	if err != nil {
		return old
	}
	s.mu.Lock()
	s.next = next
	s.mu.Unlock()
	s.start(ctx, next)
	if !s.awaitWelcome(moving, next) {
		s.mu.Lock()
		s.next = nil
		s.mu.Unlock()
		next.leave()
		<-next.over
		return old
	}
	s.mu.Lock()
	s.at, s.next = next, nil
	s.first, s.way, s.tokens = h.Token, way, nil
	s.moves++
	if s.cfg.Moved != nil {
		s.cfg.Moved(h)
	}
	s.mu.Unlock()
	old.leave()
	<-old.over
	return next
}

// reach dials until the token may be used up, or ctx ends.
func (s *Session) reach(ctx context.Context, way Dial, token []byte) (*link, error) {
	for {
		l, err := s.dial(ctx, way, token)
		if kind := throng.KindOf(err); err == nil || kind != throng.Unavailable && kind != throng.Full {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(retryPause):
		}
	}
}

// awaitWelcome sends inputs until the other session's welcome is there. False:
// it ended before, or did not come in time.
func (s *Session) awaitWelcome(ctx context.Context, l *link) bool {
	tick := time.NewTicker(moveInput)
	defer tick.Stop()
	for {
		select {
		case <-l.in:
			return true
		case <-l.over:
			return false
		case <-l.byes:
			return false
		case <-ctx.Done():
			return false
		case <-tick.C:
			s.mu.Lock()
			// One that cannot be sent counts as lost.
			_ = l.input(0, 0, 0, time.Now())
			s.mu.Unlock()
		}
	}
}
