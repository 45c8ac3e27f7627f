package fleet

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/throng-gg/throng"
)

const (
	callTime     = 5 * time.Second  // longest call to the registry
	allocateTime = 30 * time.Second // longest Allocate
	releaseTime  = 10 * time.Second // longest Release
	connectTime  = 30 * time.Second // from allocated to connected, or to connected again
	foundTime    = 60 * time.Second // the same for those that the backend lists and we do not know
	releaseAgain = 2 * time.Second  // between two tries
	goneTime     = time.Minute      // how long one that is gone is remembered
	endAgain     = time.Second      // between two tries to end a session
	tellDry      = 10 * time.Second // between two warnings that the backend has no more servers
)

// allocate asks for one more server.
func (t *table) allocate(ctx context.Context, now time.Time) {
	var e throng.Entropy
	if _, err := io.ReadFull(t.o.entropy, e[:]); err != nil {
		t.o.logger.ErrorContext(ctx, "no randomness for a server's name", "err", err)
		t.notBefore = now.Add(backoff(10))
		return
	}
	id := throng.MakeServerID(t.o.region.ID, e)
	s := t.add(id, phaseAsked, now)
	s.own, s.asked = true, now
	t.spawn(func() {
		calling, cancel := context.WithTimeout(ctx, allocateTime)
		defer cancel()
		err := t.o.backend.Allocate(calling, id)
		t.o.send(ctx, func(t *table, now time.Time) { t.allocated(ctx, s, err, now) })
	})
}

func (t *table) allocated(ctx context.Context, s *server, err error, now time.Time) {
	s.ours = err == nil
	if s.phase != phaseAsked { // it connected before its allocation returned, or is gone
		return
	}
	if err == nil {
		t.supply.gave()
		t.move(s, phaseStarted, now)
		return
	}
	if throng.KindOf(err) == throng.NoCapacity {
		t.dry(ctx, s, err, now)
		// Nothing is broken: the next try is as likely to succeed as the first.
		until := t.supply.refused(s.asked, now)
		t.forget(s)
		if t.notBefore.Before(until) {
			t.notBefore = until
		}
		t.hopeless(ctx, err.Error(), now)
		return
	}
	t.o.logger.WarnContext(ctx, "server not allocated", "server", s.hello.Server, "err", err)
	t.stumble(now)
	t.release(ctx, s, "its allocation failed", now) // it may be there all the same
}

// dry logs that the backend has no more servers: now and then, for it may be asked
// dozens of times a second.
func (t *table) dry(ctx context.Context, s *server, err error, now time.Time) {
	if now.Before(t.dryTold.Add(tellDry)) {
		t.untold++
		t.o.logger.DebugContext(ctx, "server not allocated", "server", s.hello.Server, "err", err)
		return
	}
	t.o.logger.WarnContext(ctx, "no server to be had", "err", err, "refused_before", t.untold)
	t.dryTold, t.untold = now, 0
}

// stumble slows allocation down after one that came to nothing. Several that
// were under way together count once.
func (t *table) stumble(now time.Time) {
	if now.Before(t.notBefore) {
		return
	}
	t.failures++
	t.notBefore = now.Add(backoff(t.failures))
}

// release ends a server.
func (t *table) release(ctx context.Context, s *server, reason string, now time.Time) {
	if s.phase == phaseIdle && s.link != nil {
		_ = s.link.Stop(reason) // the backend ends it if it does not
	}
	t.o.logger.InfoContext(ctx, "server released", "server", s.hello.Server, "session", s.session, "reason", reason)
	t.move(s, phaseLeaving, now)
	s.reason = "released: " + reason
	t.tryRelease(ctx, s, now)
}

func (t *table) tryRelease(ctx context.Context, s *server, now time.Time) {
	s.again = now.Add(releaseTime + releaseAgain)
	id := s.hello.Server
	t.spawn(func() {
		calling, cancel := context.WithTimeout(ctx, releaseTime)
		defer cancel()
		err := t.o.backend.Release(calling, id)
		t.o.send(ctx, func(t *table, now time.Time) {
			if err != nil {
				t.o.logger.WarnContext(ctx, "server not released, trying again", "server", id, "err", err)
				s.again = now.Add(releaseAgain)
				return
			}
			t.gone(ctx, s, s.reason, now)
		})
	})
}

// exited hears from the backend that a process is over.
func (t *table) exited(ctx context.Context, x throng.ServerExit, now time.Time) {
	s := t.servers[x.Server]
	if s == nil {
		s = t.discover(x.Server, now)
	}
	t.gone(ctx, s, x.Reason, now)
}

// discover makes a row for a server of an earlier life of ours. Its session may
// be alive.
func (t *table) discover(id throng.ServerID, now time.Time) *server {
	live, hosts := t.hosts[id]
	if !hosts {
		return t.add(id, phaseFound, now)
	}
	s := t.add(id, phaseBound, now)
	s.session = live.ID
	s.hello.Incarnation = live.Incarnation
	s.hello.Address = live.Address
	return s
}

// gone closes a server's row, once.
func (t *table) gone(ctx context.Context, s *server, reason string, now time.Time) {
	was := s.phase
	if was == phaseGone {
		return
	}
	if was == phaseLeaving {
		reason = s.reason
	}
	s.reason = reason
	t.move(s, phaseGone, now)
	t.unlink(s)
	t.o.metrics.gone.WithLabelValues(classOf(reason)).Inc()
	switch was {
	case phaseAsked, phaseStarted:
		t.o.logger.WarnContext(ctx, "server ended before it connected", "server", s.hello.Server, "reason", reason)
		t.stumble(now)
	case phaseIdle, phaseFound:
		t.o.logger.WarnContext(ctx, "idle server ended", "server", s.hello.Server, "reason", reason)
	case phaseBound, phaseHanded:
		t.inquire(ctx, s)
	case phaseLeaving, phaseGone, phases:
	}
}

// inquire finds out whether the session of a server that is gone is still bound
// to it: it may have ended just now, or have been bound just now. If it is, it
// ends; if it never was, the next server is tried.
func (t *table) inquire(ctx context.Context, s *server) {
	id, wasBound := s.session, t.bound[s.session] == s.hello.Server
	t.spawn(func() {
		calling, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		session, err := t.o.registry.Session(calling, id)
		t.o.send(ctx, func(t *table, _ time.Time) {
			op := t.openings[id]
			v := judge(s.hello, session, err)
			switch {
			case v == verdictHosts || v == verdictUnknown && wasBound:
				if op != nil {
					t.close(op, "failed")
				}
				t.o.logger.WarnContext(ctx, "game server is gone", "session", id, "server", s.hello.Server, "reason", s.reason)
				t.end(ctx, id, ending{reason: "its game server is gone: " + s.reason})
			case op != nil && op.server == s:
				t.next(ctx, op, s.reason)
			}
		})
	})
}

// age does to a server what its time has come for.
func (t *table) age(ctx context.Context, s *server, now time.Time) {
	stands := now.Sub(s.since)
	switch s.phase {
	case phaseStarted:
		if stands >= connectTime {
			t.part(ctx, s, "it did not connect", now)
		}
	case phaseFound:
		if stands >= foundTime && t.heard && t.reachable(now) {
			t.part(ctx, s, "it has no session and does not connect", now)
		}
	case phaseHanded:
		// Nobody knows what became of the handover. If it was bound, the feed said so.
		if now.Sub(s.handedAt) >= throng.LeaseTime && s.doubt.IsZero() {
			s.doubt = s.handedAt
		}
	case phaseLeaving:
		if !now.Before(s.again) {
			t.tryRelease(ctx, s, now)
		}
	case phaseGone:
		if stands >= goneTime {
			t.forget(s)
		}
	case phaseAsked, phaseIdle, phaseBound, phases:
	}
}

// othersReport says that servers can reach us: then the silence of one is its
// own, not the network's.
func (t *table) othersReport() bool {
	for _, s := range t.servers {
		if s.link != nil {
			return true
		}
	}
	return false
}

// noteReports keeps since when servers can reach us.
func (t *table) noteReports(now time.Time) {
	switch {
	case !t.othersReport():
		t.reports = time.Time{}
	case t.reports.IsZero():
		t.reports = now
	}
}

// reachable says that servers have been able to reach us for a lease: whoever
// was cut off with all others had the time to come back.
func (t *table) reachable(now time.Time) bool {
	return t.othersReport() && !t.reports.IsZero() && now.Sub(t.reports) >= throng.LeaseTime
}

// classOf sorts reasons into few classes.
func classOf(reason string) string {
	for _, class := range []string{"released", "exit", "signal", "node"} {
		if strings.HasPrefix(reason, class) {
			return class
		}
	}
	return "other"
}
