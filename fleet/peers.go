package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// A region has several orchestrators when its control plane has several
// processes. They share the backend and the registry, and each has the servers
// that are connected to it; those that it allocated count as its own until they
// connect. A server that loses its orchestrator connects to another one, which
// takes it in (attach.go). What the backend lists and is not connected here is
// left alone: before any of it is released, the others are asked.

const (
	heldTime    = 3 * time.Second // longest question to the peers
	openingTime = time.Second     // the same, when players wait for the answer
	resumeEvery = time.Second     // between two looks at the same session
	mostResumes = 10_000          // sessions looked at; more are looked at as often as asked
)

// part releases a server, at once if it is connected here or there are no
// peers, else when they were asked and none has it.
func (t *table) part(ctx context.Context, s *server, reason string, now time.Time) {
	if t.o.peers != nil && s.link == nil {
		s.suspect = reason // the next reconciliation asks
		return
	}
	if s.phase == phaseStarted {
		t.stumble(now)
	}
	t.release(ctx, s, reason, now)
}

// askPeers asks who has the suspects.
func (o *Orchestrator) askPeers(ctx context.Context, q *inquest) {
	if len(q.suspects) == 0 {
		return
	}
	asking, cancel := context.WithTimeout(ctx, heldTime)
	defer cancel()
	held, err := o.peers.Held(asking, q.suspects)
	q.heldErr = err
	q.held = make(map[throng.ServerID]bool, len(held))
	for _, id := range held {
		q.held[id] = true
	}
}

// partSuspects acts on what the peers said. Without an answer of all of them
// nothing is released.
func (t *table) partSuspects(ctx context.Context, q inquest, now time.Time) {
	if q.heldErr != nil {
		t.o.logger.WarnContext(ctx, "servers kept: peers were not reached", "servers", len(q.suspects), "err", q.heldErr)
		return
	}
	for _, id := range q.suspects {
		s := t.servers[id]
		if s == nil || s.suspect == "" || s.link != nil || s.phase == phaseLeaving {
			continue
		}
		reason := s.suspect
		s.suspect = ""
		if q.held[id] {
			t.elsewhere(s, now)
			continue
		}
		if s.phase == phaseStarted {
			t.stumble(now)
		}
		t.release(ctx, s, reason, now)
	}
}

// elsewhere takes in that a peer has a server.
func (t *table) elsewhere(s *server, now time.Time) {
	if s.link != nil {
		return // whoever was last will be found out when the other connection ends
	}
	s.own, s.suspect = false, ""
	switch s.phase {
	case phaseGone:
		t.forget(s) // the next listing finds it
	case phaseBound, phaseHanded:
		if s.doubt.IsZero() {
			return // its session says where it is
		}
		s.doubt, s.session, s.hello.Session = time.Time{}, "", ""
		t.move(s, phaseFound, now)
	case phaseAsked, phaseStarted, phaseFound, phaseIdle:
		t.move(s, phaseFound, now)
		s.since = now
	case phaseLeaving, phases:
	}
}

// Holds returns which of the servers are this orchestrator's: connected to it,
// or allocated by it and about to connect. Unavailable: nobody runs it.
func (o *Orchestrator) Holds(ids []throng.ServerID) ([]throng.ServerID, error) {
	return ask(o, func(_ context.Context, t *table, now time.Time) []throng.ServerID {
		var held []throng.ServerID
		for _, id := range ids {
			s := t.servers[id]
			if s == nil {
				continue
			}
			coming := s.phase == phaseAsked || s.phase == phaseStarted && now.Sub(s.since) < connectTime
			if s.link != nil || s.own && coming {
				held = append(held, id)
			}
		}
		return held
	})
}

// TookElsewhere takes in that servers are connected to a peer.
func (o *Orchestrator) TookElsewhere(ids []throng.ServerID) error {
	_, err := ask(o, func(_ context.Context, t *table, now time.Time) struct{} {
		for _, id := range ids {
			if s := t.servers[id]; s != nil {
				t.elsewhere(s, now)
			}
		}
		return struct{}{}
	})
	return err
}

// Opens says whether a server is being found here for the session, or was: it is
// known here to be bound to one.
func (o *Orchestrator) Opens(id throng.SessionID) (bool, error) {
	return ask(o, func(_ context.Context, t *table, _ time.Time) bool { return t.openings[id] != nil || t.bound[id] != "" })
}

// Resume is Start for a session that somebody else opened and may be starting:
// it does nothing while he is, or once he did, since who asks may have heard of
// the session before that. It blocks for up to a second. Two orchestrators
// that start the same session do no harm: the registry binds one server, and
// the other one ends.
func (o *Orchestrator) Resume(ctx context.Context, s throng.Session, r throng.Release) error {
	if !o.resumes.due(s.ID, time.Now()) {
		return nil
	}
	if opens, err := o.Opens(s.ID); opens || err != nil {
		return err
	}
	if o.peers != nil {
		asking, cancel := context.WithTimeout(ctx, openingTime)
		defer cancel()
		if o.peers.Opening(asking, s.ID) {
			return nil
		}
	}
	o.logger.InfoContext(ctx, "session taken over: nobody was starting it", "session", s.ID)
	return o.Start(s, r)
}

// resumes lets each session be looked at once in a while, however many wait for
// it.
type resumes struct {
	mu   sync.Mutex
	last map[throng.SessionID]time.Time
}

func (r *resumes) due(id throng.SessionID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.last[id]) < resumeEvery {
		return false
	}
	if r.last == nil || len(r.last) >= mostResumes {
		r.last = make(map[throng.SessionID]time.Time)
	}
	r.last[id] = now
	return true
}
