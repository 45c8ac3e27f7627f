package fleet

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const (
	serversMost = 3                // that one opening may use up
	openTime    = 20 * time.Second // from Start to bound at most
	bindTime    = 5 * time.Second  // from the handover to bound, before the next server is tried
	unsentWait  = 500 * time.Millisecond
)

// opening is a session on its way to a server.
type opening struct {
	session throng.Session
	release throng.Release
	began   time.Time
	used    int     // servers that it was handed to
	server  *server // that it was handed to last; nil: waiting for one
	after   time.Time
	reason  string            // what went wrong last
	failed  throng.ServerSite // where; others that stand there may have gone with it
}

// start takes a session in. Repeated for the same one it is no second opening.
func (t *table) start(s throng.Session, r throng.Release, now time.Time) error {
	if t.openings[s.ID] != nil {
		return nil
	}
	if reason := t.leavesRegion(); reason != "" {
		t.o.metrics.openings.WithLabelValues("no_capacity").Inc()
		return throng.RetryLater(throng.NoCapacity, time.Minute, "the region is drained: %s", reason)
	}
	v := t.view(now)
	if !HasRoom(v) {
		t.o.metrics.openings.WithLabelValues("no_capacity").Inc()
		return throng.RetryLater(throng.NoCapacity, fullTime, "all %d game servers are in use", t.o.most)
	}
	v.Waiting++
	if now.Before(t.supply.full) && Hopeless(v) > 0 && t.o.patience == 0 {
		t.o.metrics.openings.WithLabelValues("no_capacity").Inc()
		return throng.RetryLater(throng.NoCapacity, t.supply.full.Sub(now), "no more game servers can be started")
	}
	t.drawn(v, now)
	op := &opening{session: s, release: r, began: now}
	t.openings[s.ID] = op
	t.waiting = append(t.waiting, op)
	return nil
}

// dispatch hands waiting sessions to idle servers, the longest waiting first.
func (t *table) dispatch(ctx context.Context, now time.Time) {
	if len(t.stock) == 0 {
		return
	}
	for _, op := range slices.Clone(t.waiting) {
		if now.Before(op.after) {
			continue
		}
		s := t.best(op.failed)
		if s == nil {
			return
		}
		t.waiting = remove(t.waiting, op)
		t.move(s, phaseHanded, now)
		s.session, s.handedAt = op.session.ID, now
		op.server = s
		op.used++
		hello, link := s.hello, s.link
		t.spawn(func() {
			sent, err := t.o.handover(ctx, op, hello, link)
			t.o.send(ctx, func(t *table, now time.Time) { t.handed(ctx, op, s, outcome{sent, err, now}) })
		})
	}
}

// outcome is how a handover went.
type outcome struct {
	sent bool // false: the server never heard of it
	err  error
	now  time.Time
}

func (t *table) handed(ctx context.Context, op *opening, s *server, out outcome) {
	current := t.openings[op.session.ID] == op && op.server == s
	switch {
	case !out.sent && s.phase == phaseHanded && s.session == op.session.ID:
		s.session = ""
		if s.link != nil {
			t.move(s, phaseIdle, out.now)
		} else {
			t.move(s, phaseStarted, out.now)
		}
		if current {
			op.used--
			op.reason = out.err.Error()
			op.after = out.now.Add(unsentWait)
			t.requeue(op)
		}
	case out.err != nil && current:
		t.o.logger.WarnContext(ctx, "handover failed", "session", op.session.ID, "server", s.hello.Server, "err", out.err)
		t.next(ctx, op, out.err.Error())
	}
}

// handover sends a session to a server and waits for its answer. Sent false
// means that the server is as it was.
func (o *Orchestrator) handover(
	ctx context.Context, op *opening, hello throng.Hello, link Link,
) (sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, bindTime)
	defer cancel()
	now, err := o.registry.Now(ctx)
	if err != nil {
		return false, fmt.Errorf("ask the registry for the time: %w", err)
	}
	token, err := o.keys.ServerToken(hello.Server, op.session.ID)
	if err != nil {
		return false, fmt.Errorf("make a token: %w", err)
	}
	key, err := o.keys.SessionKey(op.session.ID)
	if err != nil {
		return false, fmt.Errorf("make the session's key: %w", err)
	}
	route, err := o.keys.Route(op.session.ID, hello.Address)
	if err != nil {
		return false, fmt.Errorf("make the server's route: %w", err)
	}
	err = link.Handover(ctx, throng.Handover{
		Session:     op.session.ID,
		Place:       op.session.Place,
		Version:     op.session.Version,
		Package:     op.release.Package,
		Scripts:     op.release.Scripts,
		Capacity:    op.session.Capacity,
		Private:     op.session.Private,
		Code:        op.session.Code,
		Key:         key,
		Token:       token,
		Now:         now,
		OpenedAt:    op.session.OpenedAt,
		Incarnation: hello.Incarnation,
		Route:       route,
	})
	return true, err
}

// requeue lets an opening wait for a server again, before all others.
func (t *table) requeue(op *opening) {
	op.server = nil
	t.waiting = append([]*opening{op}, remove(t.waiting, op)...)
}

// next tries another server, if any may still be tried. The one before is not
// released yet: it may have taken the session, and the registry decides.
func (t *table) next(ctx context.Context, op *opening, reason string) {
	op.reason = reason
	if op.server != nil {
		op.failed = t.site(op.server.hello.Server)
	}
	if op.used >= serversMost {
		t.fail(ctx, op)
		return
	}
	t.requeue(op)
}

// hurry ends what takes too long.
func (t *table) hurry(ctx context.Context, op *opening, now time.Time) {
	switch {
	case now.Sub(op.began) >= openTime:
		if op.reason == "" {
			op.reason = "no game server was ready in time"
		}
		t.fail(ctx, op)
	case op.server != nil && now.Sub(op.server.handedAt) >= bindTime:
		t.next(ctx, op, "its game server did not report in time")
	}
}

// fail gives an opening up.
func (t *table) fail(ctx context.Context, op *opening) {
	reason := fmt.Sprintf("no game server after %d: %s", op.used, op.reason)
	t.o.logger.WarnContext(ctx, "opening failed", "session", op.session.ID, "place", op.session.Place, "reason", reason)
	t.close(op, "failed")
	t.end(ctx, op.session.ID, ending{reason: reason, unbound: true})
}

// close takes an opening off the table.
func (t *table) close(op *opening, result string) {
	delete(t.openings, op.session.ID)
	t.waiting = remove(t.waiting, op)
	t.o.metrics.openings.WithLabelValues(result).Inc()
}

// hopeless fails the openings that came last and for which no server can come,
// but for those for which one may come yet.
func (t *table) hopeless(ctx context.Context, reason string, now time.Time) {
	left := Hopeless(t.view(now))
	for _, op := range slices.Backward(slices.Clone(t.waiting)) {
		if left == 0 {
			return
		}
		if now.Sub(op.began) < t.o.patience {
			continue
		}
		op.reason = reason
		t.fail(ctx, op)
		left--
	}
}
