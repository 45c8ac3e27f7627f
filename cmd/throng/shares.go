package main

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
)

// shared is the registry for game servers, whose answers say what share of its
// place's events a session has.
type shared struct {
	api.Registry
	sessions interface {
		// Siblings is how many sessions of its place there are; 0: it is not known.
		Siblings(id throng.SessionID) int
	}
	most int // events a second of a place; 0: no limit
}

// share puts it into an answer.
func (s shared) share(id throng.SessionID, a throng.HeartbeatAnswer) throng.HeartbeatAnswer {
	if n := s.sessions.Siblings(id); n > 0 {
		a.EventRate = float64(s.most) / float64(n)
	}
	return a
}

// Heartbeat is the registry's.
func (s shared) Heartbeat(ctx context.Context, h throng.Heartbeat) (throng.HeartbeatAnswer, error) {
	a, err := s.Registry.Heartbeat(ctx, h)
	return s.share(h.Session, a), err
}

// Report is the registry's.
func (s shared) Report(ctx context.Context, r throng.Report) (throng.HeartbeatAnswer, error) {
	a, err := s.Registry.Report(ctx, r)
	return s.share(r.Session, a), err
}
