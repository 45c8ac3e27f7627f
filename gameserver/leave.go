package gameserver

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// leaveAgain is between two tries to tell the registry that the session drains.
const leaveAgain = time.Second

// leaving is that this process has to end soon, whatever its session does.
type leaving struct {
	reason string
	within time.Duration
}

// Leave tells the server that its process has to end within so long. An idle one
// ends at once, and takes no session any more. One with a session takes no more
// players, hands off those that it has, tells the registry, and ends its session
// when it is empty, or when the time is over. It does not wait; a second call
// changes nothing. To end at once, end Run's context.
func (s *Server) Leave(reason string, within time.Duration) {
	s.mu.Lock()
	s.left = true
	idle := s.hand == nil
	s.mu.Unlock()
	if idle {
		directives{s: s}.Stop(reason)
		return
	}
	select {
	case s.leaves <- leaving{reason, within}:
	default: // it leaves already
	}
}

// leave begins to empty the session on this server's own account.
func (l *loop) leave(v leaving) {
	l.leaveBy = l.clock.now().Add(v.within)
	order := throng.Order{Kind: throng.OrderDrain, Reason: v.reason}
	if l.drain != nil {
		order.Until = l.drain.until
	}
	l.drainBy(order)
	l.reporter.leave(l.heartbeat(), v)
}

// departure asks the registry to send nobody into the session any more.
type departure struct {
	beat throng.Heartbeat
	leaving
	ends time.Time // local clock
}

// leave has the registry told that the session drains.
func (r *reporter) leave(beat throng.Heartbeat, v leaving) {
	select {
	case r.leaves <- departure{beat, v, time.Now().Add(v.within)}:
	default: // it is told already
	}
}

// leaveLoop tells it until it has heard. A control plane that does not know the
// call hears it from a full report.
func (r *reporter) leaveLoop(ctx context.Context) {
	var d departure
	select {
	case <-ctx.Done():
		return
	case d = <-r.leaves:
	}
	for r.drains != nil {
		once, cancel := context.WithTimeout(ctx, beatTimeout)
		err := r.drains.Drain(once, d.beat.Session, d.reason, max(time.Until(d.ends), time.Millisecond))
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		r.logger.WarnContext(ctx, "the registry has not heard that the session drains", "err", err)
		if throng.KindOf(err) != throng.Unavailable {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(leaveAgain):
		}
	}
	r.soonReport()
}
