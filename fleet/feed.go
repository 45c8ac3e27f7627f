package fleet

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/throng-gg/throng"
)

const (
	feedWait   = 30 * time.Second       // for one answer of the feed
	feedPause  = 50 * time.Millisecond  // after an answer that says nothing
	retryFirst = 100 * time.Millisecond // after the first error
	retryMost  = 2 * time.Second        // after many
)

// follow keeps the table current until ctx ends. After an error all is read
// anew, because an answer that never came may have had news in it.
func (o *Orchestrator) follow(ctx context.Context) {
	cursor := uint64(0)
	retry := retryFirst
	for ctx.Err() == nil {
		ch, err := o.changes(ctx, cursor)
		if err != nil && ctx.Err() != nil {
			return
		}
		if err != nil {
			o.logger.WarnContext(ctx, "feed of sessions lost", "err", err, "retry_after", retry)
			pause(ctx, retry)
			retry = min(2*retry, retryMost)
			cursor = 0
			continue
		}
		o.send(ctx, func(t *table, now time.Time) { t.take(ctx, ch, now) })
		if ch.Cursor == cursor || ch.Cursor == 0 {
			pause(ctx, feedPause)
		}
		cursor = ch.Cursor
		retry = retryFirst
	}
}

// changes asks the feed once. Silence is no error: nothing changed.
func (o *Orchestrator) changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error) {
	asking, cancel := context.WithTimeout(ctx, feedWait)
	defer cancel()
	ch, err := o.registry.Changes(asking, cursor)
	if cursor != 0 && errors.Is(err, context.DeadlineExceeded) {
		return throng.SessionChanges{Cursor: cursor}, nil
	}
	return ch, err
}

// take brings a piece of the feed into the table.
func (t *table) take(ctx context.Context, ch throng.SessionChanges, now time.Time) {
	if ch.Full && t.heard {
		t.known = now // what is new to the registry need not be new
	}
	for _, s := range ch.Sessions {
		t.put(ctx, s, now)
	}
	if !ch.Full {
		return
	}
	t.heard = true
	listed := make(map[throng.SessionID]bool, len(ch.Sessions))
	for _, s := range ch.Sessions {
		listed[s.ID] = true
	}
	for id := range t.bound {
		if !listed[id] {
			t.unhost(id, now)
		}
	}
}

func (t *table) put(ctx context.Context, s throng.Session, now time.Time) {
	if s.State == throng.SessionEnded {
		delete(t.endings, s.ID)
		delete(t.sight.told, s.ID)
		if op := t.openings[s.ID]; op != nil {
			t.close(op, "canceled")
		}
		host := t.servers[cmp.Or(t.bound[s.ID], s.Server)]
		t.unhost(s.ID, now)
		if host != nil && host.session == s.ID {
			host.ended = true
			t.bury(ctx, host, now)
		}
		return
	}
	if s.Server == "" {
		return
	}
	if t.bound[s.ID] == s.Server && t.hosts[s.Server].Incarnation == s.Incarnation {
		t.hosts[s.Server] = s
		return
	}
	if t.bound[s.ID] == "" && s.OpenedAt.After(t.known) {
		t.o.demand.opened(s.OpenedAt, now)
	}
	t.unhost(s.ID, now)
	t.bound[s.ID], t.hosts[s.Server] = s.Server, s
	t.host(ctx, s, now)
	if op := t.openings[s.ID]; op != nil {
		t.o.metrics.opening.Observe(now.Sub(op.began).Seconds())
		t.close(op, "bound")
	}
}

// host marks the server to which a session is bound.
func (t *table) host(ctx context.Context, live throng.Session, now time.Time) {
	s := t.servers[live.Server]
	switch {
	case s == nil: // of an earlier life of ours; the backend or it itself will tell
		return
	case s.phase == phaseGone:
		t.end(ctx, live.ID, ending{reason: "its game server is gone: " + s.reason})
		return
	case s.phase == phaseLeaving:
		return // its lease ends the session
	case s.hello.Incarnation != "" && s.hello.Incarnation != live.Incarnation:
		return // another life of it, which is over
	}
	if s.phase == phaseHanded && s.session == live.ID {
		t.o.metrics.handover.Observe(now.Sub(s.handedAt).Seconds())
	}
	s.session = live.ID
	s.doubt, s.suspect = time.Time{}, ""
	t.move(s, phaseBound, now)
}

// unhost takes in that a session is over, or not listed any more: whoever hosts
// it has a lease to go.
func (t *table) unhost(id throng.SessionID, now time.Time) {
	host, ok := t.bound[id]
	if !ok {
		return
	}
	delete(t.bound, id)
	delete(t.hosts, host)
	if s := t.servers[host]; s != nil && s.session == id && s.doubt.IsZero() {
		s.doubt = now
	}
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
