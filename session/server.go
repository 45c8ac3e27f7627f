package session

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// Heartbeat extends a session's lease, applies its roster changes and brings
// its orders back. The first one of a Starting session binds it to the server's
// incarnation; every other server is told that it ended. A session that is not
// known is asked for its report. NotFound: the session is another region's.
func (r *Registry) Heartbeat(ctx context.Context, h throng.Heartbeat) (a throng.HeartbeatAnswer, err error) {
	defer r.metrics.done("heartbeat", &err)
	if err := r.checkServer(h); err != nil {
		return throng.HeartbeatAnswer{}, err
	}
	if err := checkAddress(h); err != nil {
		return throng.HeartbeatAnswer{}, err
	}
	a, fx, err := r.store.Heartbeat(ctx, h, r.published.take(h.Session))
	if err != nil {
		return throng.HeartbeatAnswer{}, fmt.Errorf("heartbeat of %s: %w", h.Session, err)
	}
	r.deliver(fx)
	if upTo, ok := r.tell(ctx, fx); ok {
		r.published.note(fx.Session, upTo) // the next heartbeat brings it
	}
	return a, nil
}

// maxReports is how many reports are taken in at once. After a loss all sessions
// report; those whose servers gave up waiting cost the store nothing.
const maxReports = 32

// Report replaces all that the registry knows of the session's seats, never its
// holds, and makes the session again if it is lost. A player who has confirmed
// a later epoch elsewhere, in this region or another, is evicted. Invalid: the report contradicts itself or
// the session's ID.
func (r *Registry) Report(ctx context.Context, rep throng.Report) (a throng.HeartbeatAnswer, err error) {
	defer r.metrics.done("report", &err)
	if err := r.checkServer(rep.Heartbeat); err != nil {
		return throng.HeartbeatAnswer{}, err
	}
	if err := checkAddress(rep.Heartbeat); err != nil {
		return throng.HeartbeatAnswer{}, err
	}
	if err := checkReport(rep); err != nil {
		return throng.HeartbeatAnswer{}, err
	}
	select {
	case r.reports <- struct{}{}:
		defer func() { <-r.reports }()
	case <-ctx.Done():
		return throng.HeartbeatAnswer{}, throng.RetryLater(throng.Unavailable, TickTime, "too many reports at once: %w", ctx.Err())
	}
	a, fx, err := r.store.Report(ctx, rep)
	if err != nil {
		return throng.HeartbeatAnswer{}, fmt.Errorf("report of %s: %w", rep.Session, err)
	}
	r.deliver(fx)
	r.publish(ctx, fx)
	if err := r.restore(ctx, fx.Seats); err != nil {
		return throng.HeartbeatAnswer{}, fmt.Errorf("report of %s: %w", rep.Session, err)
	}
	return a, nil
}

// restore puts reported seats into their players' records, or has them evicted.
func (r *Registry) restore(ctx context.Context, seats []FenceRequest) error {
	if len(seats) == 0 {
		return nil
	}
	restored, err := r.store.Restore(ctx, seats)
	if err != nil {
		return err
	}
	var gone []Eviction
	for i, res := range restored {
		switch {
		case throng.KindOf(res.Err) == throng.Denied, res.Err == nil && r.abroad(seats[i].Player) > seats[i].Epoch:
			gone = append(gone, Eviction{Player: seats[i].Player, Session: seats[i].Session, Epoch: seats[i].Epoch})
		case res.Err != nil:
			return res.Err
		}
		gone = append(gone, res.Older...)
	}
	return r.evict(ctx, gone, joinedElsewhere)
}

// publish puts departures into the players' records. What fails is found by the
// next operation on the session, or by the sweep.
func (r *Registry) publish(ctx context.Context, fx Effects) {
	upTo, ok := r.tell(ctx, fx)
	if !ok {
		return
	}
	if err := r.store.Published(ctx, fx.Session, upTo); err != nil {
		r.log.WarnContext(ctx, "leaves were published and not noted", "session", fx.Session, "err", err)
	}
}

// tell puts departures into the players' records and returns the newest one's
// number. False: there are none, or not all are there.
func (r *Registry) tell(ctx context.Context, fx Effects) (upTo uint64, ok bool) {
	for _, d := range fx.Left {
		if err := r.left(ctx, d); err != nil {
			r.log.WarnContext(ctx, "leave was not published", "session", d.Session, "player", d.Player, "err", err)
			return 0, false
		}
		upTo = d.Number
	}
	return upTo, len(fx.Left) > 0
}

// published is which departures of sessions are in the players' records though the
// sessions do not know yet. What is lost of it is published again.
type published struct {
	mu   sync.Mutex
	upTo map[throng.SessionID]uint64
}

// maxPublished is of how many sessions that is remembered.
const maxPublished = 1 << 17

func (p *published) note(s throng.SessionID, upTo uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.upTo == nil || len(p.upTo) >= maxPublished {
		p.upTo = map[throng.SessionID]uint64{}
	}
	p.upTo[s] = upTo
}

func (p *published) take(s throng.SessionID) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	upTo := p.upTo[s]
	delete(p.upTo, s)
	return upTo
}

// forget is for when the store may know less than it did.
func (p *published) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upTo = nil
}

// left puts one departure into the player's record, and finishes his confirm.
func (r *Registry) left(ctx context.Context, d Departure) error {
	older, err := r.store.Left(ctx, d)
	if err != nil {
		return err
	}
	return r.evict(ctx, older, joinedElsewhere)
}

// EndBy ends a session as its own server says. Denied: it is another server's.
// Ended ones and such as the registry lost are no error.
func (r *Registry) EndBy(ctx context.Context, h throng.Heartbeat, e throng.Ending) (err error) {
	defer r.metrics.done("end_by", &err)
	if err := r.checkServer(h); err != nil {
		return err
	}
	err = r.end(ctx, EndRequest{Session: h.Session, Reason: e.Reason, Failed: e.Failed, By: &h})
	if throng.KindOf(err) == throng.NotFound {
		return nil
	}
	return err
}

// Retire ends a session as its own server asks, if nobody is in it or on the
// way to it: a grant and the end of its session cannot cross. Conflict: somebody
// is. Denied: it is another server's. Ended ones are no error. Unavailable: the
// registry lost the session, or is rebuilding, and cannot tell.
func (r *Registry) Retire(ctx context.Context, h throng.Heartbeat, reason string) (err error) {
	defer r.metrics.done("retire", &err)
	if err := r.checkServer(h); err != nil {
		return err
	}
	err = r.end(ctx, EndRequest{Session: h.Session, Reason: reason, By: &h, IfEmpty: true})
	if throng.KindOf(err) == throng.NotFound {
		return throng.RetryLater(throng.Unavailable, throng.HeartbeatTime, "session %s has not reported yet", h.Session)
	}
	return err
}

// End ends a session, with the reason for people, and frees its seats. Ended
// ones are no error. NotFound: no such session.
func (r *Registry) End(ctx context.Context, id throng.SessionID, reason string) (err error) {
	defer r.metrics.done("end", &err)
	if err := r.checkSession(id); err != nil {
		return err
	}
	return r.end(ctx, EndRequest{Session: id, Reason: reason})
}

// Abandon ends a session if nobody is in it or on the way to it. Others who are,
// and ended ones, are no error. NotFound: no such session.
func (r *Registry) Abandon(ctx context.Context, id throng.SessionID, reason string) (err error) {
	defer r.metrics.done("abandon", &err)
	if err := r.checkSession(id); err != nil {
		return err
	}
	err = r.end(ctx, EndRequest{Session: id, Reason: reason, IfEmpty: true})
	if throng.KindOf(err) == throng.Conflict {
		return nil
	}
	return err
}

func (r *Registry) end(ctx context.Context, req EndRequest) error {
	req.Reason = clip(req.Reason)
	fx, err := r.store.End(ctx, req)
	if err != nil {
		return fmt.Errorf("end %s: %w", req.Session, err)
	}
	r.over(req.Session, throng.Ending{Reason: req.Reason, Failed: req.Failed})
	r.ended(fx.Left)
	r.deliver(fx)
	r.publish(ctx, fx)
	return nil
}

// Drain takes no more players into a session and lets it end when empty, or
// after within (whole milliseconds) though it is not; zero: never. Said again,
// the end is moved. Ended ones are no error. NotFound: no such session.
func (r *Registry) Drain(ctx context.Context, id throng.SessionID, reason string, within time.Duration) (err error) {
	defer r.metrics.done("drain", &err)
	if err := r.checkSession(id); err != nil {
		return err
	}
	req := DrainRequest{Session: id, Reason: clip(reason)}
	if within > 0 {
		now, err := r.store.Now(ctx)
		if err != nil {
			return fmt.Errorf("drain %s: %w", id, err)
		}
		req.Until = now.Add(within).Round(0).Truncate(time.Millisecond)
	}
	fx, err := r.store.Drain(ctx, req)
	if err != nil {
		return fmt.Errorf("drain %s: %w", id, err)
	}
	r.deliver(fx)
	return nil
}

// clip bounds a reason, which may come from a script.
func clip(reason string) string {
	const most = 500
	if len(reason) > most {
		return strings.ToValidUTF8(reason[:most], "") + "…"
	}
	return reason
}
