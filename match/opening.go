package match

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// openingsMost is how many sessions of a pool one matchmaker opens at once.
// Those who wait beyond that wait until one of them is open. After a failure it
// is one, then twice as many with each success.
const openingsMost = 64

// opening is a session that is being opened, with those who wait aboard.
type opening struct {
	line   *line
	want   throng.Opening
	aboard []*ask
	// filling: it will have room for those who come meanwhile.
	filling bool
}

// open opens as many sessions as those who wait fill, and one for those who are
// left. Their seats are held in them from the first moment, so no other
// matchmaker can take them, and none needs to know of a session that is full.
//
// A session that stays partly empty is opened only if no other matchmaker has
// opened one with room meanwhile. While one is on its way, those who come and do
// not fill another wait for it.
func (d *desk) open(ctx context.Context, l *line) {
	capacity := l.release.Capacity
	for l.waiting() > 0 && l.openings < l.most && (l.seats >= capacity || !l.filling) {
		draft, err := d.m.sessions.Draft(l.release)
		if err != nil {
			refuse(l.clear(), fault(ctx, err, "draft a session of "+string(l.key.place)))
			return
		}
		aboard, left := l.pack(capacity)
		o := &opening{line: l, aboard: aboard, want: throng.Opening{Session: draft}}
		for _, a := range aboard {
			o.want.Parties = append(o.want.Parties, a.claim)
		}
		if left > 0 {
			o.want.Room, o.want.Seen = smallest(aboard), l.seen
			o.filling = l.waiting() == 0
			if o.filling {
				l.filling, l.room = true, left
			}
		}
		l.openings++
		d.m.quotas.opens(l)
		d.drafts[draft.ID] = nil
		release := l.release
		d.spawn(func() {
			got, err := d.m.open(ctx, release, o.want)
			d.m.tell(ctx, func(d *desk) { d.opened(ctx, o, got, err) })
		})
	}
}

// smallest is the size of the smallest party.
func smallest(asks []*ask) int {
	least := asks[0].want.Seats
	for _, a := range asks {
		least = min(least, a.want.Seats)
	}
	return least
}

// opened takes in what became of an opening: those aboard have their seats, or
// go back in line and see what others have opened.
func (d *desk) opened(ctx context.Context, o *opening, got throng.Opened, err error) {
	l := o.line
	d.touched[l] = true
	l.openings--
	l.opened++
	if o.filling {
		l.filling, l.room = false, 0
	}
	d.m.metrics.openings.WithLabelValues(opened(got, err)).Inc()
	if err != nil || got.Session.ID == "" {
		d.m.quotas.add(l, -1)
	}
	if err != nil {
		delete(d.drafts, o.want.Session.ID)
		l.most = 1
		l.rejoin(o.aboard)
		refuse(l.clear(), err)
		if throng.KindOf(err) == throng.NoCapacity {
			l.refusal, l.until = err, time.Now().Add(closedFor)
		}
		return
	}
	if got.Session.ID == "" {
		delete(d.drafts, o.want.Session.ID)
		for _, s := range got.Others {
			d.put(s)
			l.seen = max(l.seen, s.Number)
		}
		l.rejoin(o.aboard)
		return
	}
	l.most = min(2*l.most, openingsMost)
	d.release(got.Session)
	for i, a := range o.aboard {
		hold := got.Holds[i]
		if a.left {
			d.spawn(func() { d.m.unhold(ctx, hold.Session, a.claim.Key) })
			continue
		}
		a.openings = l.opened - a.openings
		a.offered = &offer{session: hold.Session, hold: &hold}
		a.answer <- *a.offered
	}
}

// opened is the code of an opening: as of an error, "ok", or "others" when it
// was not needed.
func opened(got throng.Opened, err error) string {
	if err == nil && got.Session.ID == "" {
		return "others"
	}
	return code(err)
}

// release lets others into a session that was opened here.
func (d *desk) release(s throng.Session) {
	if newer := d.drafts[s.ID]; newer != nil {
		s = *newer
	}
	delete(d.drafts, s.ID)
	d.put(s)
}

// open opens a session and gives it to the fleet, or does neither. The holds are
// those of all parties.
func (m *Matchmaker) open(ctx context.Context, r throng.Release, o throng.Opening) (throng.Opened, error) {
	if err := m.brakes.allow(poolKey{r.Place, r.Version}, time.Now()); err != nil {
		return throng.Opened{}, err
	}
	got, err := m.openFor(ctx, o)
	if err != nil {
		return throng.Opened{}, fault(ctx, err, "open a session of "+string(r.Place))
	}
	if got.Session.ID == "" {
		return got, nil
	}
	if err = whole(got, o); err == nil {
		err = m.fleet.Start(got.Session, r)
	}
	if err == nil {
		return got, nil
	}
	m.abandon(ctx, got.Session.ID, "no game server: "+err.Error())
	return throng.Opened{}, throng.RetryLater(throng.KindOf(err), again(err), "start a session of %s: %w", r.Place, err)
}

// openFor repeats a call whose outcome is not known, so that it leaves no twin
// behind; what cannot be known in the end is ended.
func (m *Matchmaker) openFor(ctx context.Context, o throng.Opening) (throng.Opened, error) {
	var last error
	wait := retryFirst
	for try := range tries {
		if try > 0 {
			pause(ctx, wait)
			wait *= 2
		}
		calling, cancel := within(ctx, m.callTime)
		got, err := m.sessions.OpenFor(calling, o)
		cancel()
		if err == nil || !unclear(err) {
			return got, err
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	m.abandon(ctx, o.Session.ID, "nobody heard that it was opened")
	return throng.Opened{}, last
}

// whole says whether a session that was opened, maybe by a call whose answer was
// lost, is still what was asked for.
func whole(got throng.Opened, o throng.Opening) error {
	if got.Session.State == throng.SessionEnded {
		return throng.RetryLater(throng.Unavailable, askAgain, "session %s ended while it was opened", got.Session.ID)
	}
	for i, c := range o.Parties {
		if len(got.Holds) != len(o.Parties) || got.Holds[i].Key != c.Key {
			return throng.RetryLater(throng.Unavailable, askAgain, "session %s was opened without all its holds", got.Session.ID)
		}
	}
	return nil
}

// abandon ends a session that was opened for who is elsewhere now. One that is
// missed ends by itself when it is not bound, or stays empty.
func (m *Matchmaker) abandon(ctx context.Context, id throng.SessionID, reason string) {
	calling, cancel := within(ctx, m.callTime)
	defer cancel()
	err := m.sessions.End(calling, id, reason)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		m.logger.WarnContext(ctx, "session that nobody needs not ended", "session", id, "err", err)
	}
}
