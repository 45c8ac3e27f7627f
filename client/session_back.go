package client

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// comeBack makes another connection into the seat while old may still be heard
// again. It returns the one to go on with, which is old when that was heard
// first; or none, when there is no way back: old is left then.
func (s *Session) comeBack(ctx context.Context, old *link) (*link, error) {
	trying, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	var asking sync.WaitGroup
	asking.Go(func() { s.ask(trying, cancel, old) })
	next, err := s.tryBack(trying, old)
	cancel()
	asking.Wait()
	switch {
	case next == old:
		return old, nil
	case next != nil && s.said(old) == nil:
		s.take(ctx, next)
		// The server has ended it, or will find it silent.
		_ = old.conn.Abandon()
		<-old.over
		return next, nil
	case next != nil: // the server's last word came over the old one meanwhile
		_ = next.conn.Abandon()
	}
	old.leave()
	<-old.over
	if said := s.said(old); said != nil || ctx.Err() != nil {
		return nil, said
	}
	if old.err != nil {
		err = old.err
	}
	return nil, throng.Errorf(throng.Unavailable, "the connection was lost, and there is no way back: %w", err)
}

// take makes a connection the current one.
func (s *Session) take(ctx context.Context, l *link) {
	s.mu.Lock()
	l.again = true
	s.at = l
	s.mu.Unlock()
	s.start(ctx, l)
}

// tryBack dials with the newest token that may be good until one is taken, ctx
// ends, or old is heard again.
func (s *Session) tryBack(ctx context.Context, old *link) (*link, error) {
	for {
		next, tried, err := s.tryOnce(ctx)
		if err == nil {
			return next, nil
		}
		switch over := old.isOver(); {
		case !over && !s.silent(old):
			return old, nil
		case over && !tried:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(retryPause/2 + rand.N(retryPause)):
		}
	}
}

// tryOnce dials with the newest token that may be good. Tried: there was one.
func (s *Session) tryOnce(ctx context.Context) (next *link, tried bool, err error) {
	token, ok := s.newest()
	if !ok {
		return nil, false, throng.Errorf(throng.Unavailable, "no reconnect token is left")
	}
	next, err = s.dial(ctx, s.way, token)
	switch kind := throng.KindOf(err); {
	case err == nil:
		s.spend(token)
	case kind != throng.Unavailable && kind != throng.Full:
		s.drop(token)
	}
	return next, true, err
}

func (l *link) isOver() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// ask ends the tries to come back when the server has said bye, or the door says
// that the seat is gone.
func (s *Session) ask(ctx context.Context, giveUp context.CancelFunc, old *link) {
	tick := time.NewTicker(askAfter)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-old.byes:
			giveUp()
			return
		case <-tick.C:
		}
		if s.cfg.Seated == nil {
			continue
		}
		asked, cancel := context.WithTimeout(ctx, askTime)
		seated, err := s.cfg.Seated(asked)
		cancel()
		if err == nil && !seated {
			giveUp()
			return
		}
	}
}
