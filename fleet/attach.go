package fleet

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// Attach registers a game server's connection; a newer one of the same server
// replaces the older. A server that is not known, because the control plane was
// away, is taken in: as idle, or with the session that it says it has. detach
// says that the connection is lost, and whether the server left: closed it in order, as one does that ends;
// it may be called more than once.
//
// Denied: the server was released, or is the next life of one that had a
// session. Invalid: it belongs to another region. Unavailable: nobody runs the
// fleet, or it is too large.
func (o *Orchestrator) Attach(hello throng.Hello, link Link) (detach func(left bool), err error) {
	if r := hello.Server.Region(); r != o.region.ID {
		return nil, throng.AtField(throng.Invalid, "server", "%s is of region %q, not of %q", hello.Server, r, o.region.ID)
	}
	if hello.Session != "" && hello.Session.Region() != o.region.ID {
		return nil, throng.AtField(throng.Invalid, "session", "%s is not of region %q", hello.Session, o.region.ID)
	}
	type answer struct {
		number int
		err    error
	}
	a, err := ask(o, func(ctx context.Context, t *table, now time.Time) answer {
		n, err := t.attach(ctx, hello, link, now)
		return answer{n, err}
	})
	if err != nil {
		return nil, err
	}
	if a.err != nil {
		return nil, a.err
	}
	return func(left bool) { o.detach(hello.Server, a.number, left) }, nil
}

// detach waits for as long as it takes: a connection that is believed in for
// ever would swallow a session.
func (o *Orchestrator) detach(id throng.ServerID, number int, left bool) {
	lost := func(ctx context.Context, t *table, now time.Time) { t.detach(ctx, id, departure{number, left}, now) }
	select {
	case o.mail <- lost:
	case <-o.stopped:
	}
}

func (t *table) attach(ctx context.Context, hello throng.Hello, link Link, now time.Time) (int, error) {
	s := t.servers[hello.Server]
	if s == nil {
		if len(t.servers) >= 4*t.o.most+spare {
			return 0, throng.RetryLater(throng.Unavailable, 10*time.Second, "there are %d game servers already", len(t.servers))
		}
		s = t.discover(hello.Server, now)
	}
	switch s.phase {
	case phaseLeaving, phaseGone:
		return 0, throng.Errorf(throng.Denied, "server %s is over: %s", hello.Server, s.reason)
	case phaseHanded, phaseBound:
		if s.hello.Incarnation != "" && s.hello.Incarnation != hello.Incarnation {
			// Its process was started again: the life that had the session is over.
			t.gone(ctx, s, "it was started again", now)
			return 0, throng.Errorf(throng.Denied, "server %s had a session before it was started again", hello.Server)
		}
	case phaseAsked, phaseStarted, phaseFound, phaseIdle, phases:
	}
	s.hello = hello
	s.link, s.left = link, false
	s.attachment++
	s.absent = 0
	s.suspect = ""
	if t.o.peers != nil && !s.own {
		t.o.peers.Took(hello.Server)
	}
	t.o.links.put(hello.Server, link)
	t.failures, t.notBefore = 0, time.Time{}
	t.refilled(s, now)
	if hello.Session != "" {
		t.claims(s, now)
		return s.attachment, nil
	}
	if s.phase < phaseIdle {
		t.move(s, phaseIdle, now)
	}
	return s.attachment, nil
}

// claims believes a server that says it has a session, until the registry
// contradicts for a lease.
func (t *table) claims(s *server, now time.Time) {
	s.session = s.hello.Session
	live, ok := t.hosts[s.hello.Server]
	if ok && live.ID == s.session && live.Incarnation == s.hello.Incarnation {
		s.doubt = time.Time{}
		t.move(s, phaseBound, now)
		return
	}
	if s.phase != phaseBound {
		s.handedAt = now
		t.move(s, phaseHanded, now)
	}
	if s.doubt.IsZero() {
		s.doubt = now
	}
}

// departure is the end of a connection.
type departure struct {
	attachment int
	left       bool // the server closed it in order
}

func (t *table) detach(ctx context.Context, id throng.ServerID, d departure, now time.Time) {
	s := t.servers[id]
	if s == nil || s.attachment != d.attachment || s.link == nil {
		return
	}
	t.unlink(s)
	if s.phase == phaseIdle {
		t.move(s, phaseStarted, now)
	}
	s.left = d.left
	t.bury(ctx, s, now)
}

// bury releases a server whose session is over and that has left, where the backend
// would learn late by itself that there is nothing to keep.
func (t *table) bury(ctx context.Context, s *server, now time.Time) {
	if t.o.buries && s.left && s.ended && s.phase < phaseLeaving {
		t.release(ctx, s, "its session is over", now)
	}
}

func (t *table) unlink(s *server) {
	if s.link != nil {
		t.o.links.drop(s.hello.Server)
		s.link = nil
	}
}
