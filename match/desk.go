package match

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// closedFor is how long nobody tries to open a session of a pool after the
// fleet had no server for one.
const closedFor = 500 * time.Millisecond

// desk owns every line. All of it is used by Run's own goroutine only; others
// send it functions.
type desk struct {
	m     *Matchmaker
	spawn func(func()) // runs something that Run waits for

	lines   map[poolKey]*line
	touched map[*line]bool // to be looked at in the next pass
	waking  map[throng.SessionID][]chan throng.Session
	private privates
	// drafts are the sessions that this matchmaker is opening, with what the
	// feed said of them meanwhile. Nobody else is seated there before the fleet
	// took them on.
	drafts map[throng.SessionID]*throng.Session
	ready  bool  // the feed told all there is
	broken error // why the feed is away; nil: it is not

	candidates int // of all lines
}

func newDesk(m *Matchmaker, spawn func(func())) *desk {
	return &desk{
		m:       m,
		spawn:   spawn,
		lines:   map[poolKey]*line{},
		touched: map[*line]bool{},
		waking:  map[throng.SessionID][]chan throng.Session{},
		private: newPrivates(),
		drafts:  map[throng.SessionID]*throng.Session{},
	}
}

// line returns the line of a pool, a new one if need be, to be looked at.
func (d *desk) line(key poolKey) *line {
	l := d.lines[key]
	if l == nil {
		l = newLine(key)
		l.pool.recorded = d.m.joins != nil
		d.lines[key] = l
	}
	d.touched[l] = true
	return l
}

// pass seats whom it can in all touched lines and sees to the others.
func (d *desk) pass(ctx context.Context, now time.Time) {
	for l := range d.touched {
		d.look(ctx, l, now)
		d.candidates += l.pool.Candidates() - l.shown
		l.shown = l.pool.Candidates()
		if l.idle(now) {
			delete(d.lines, l.key)
		}
	}
	clear(d.touched)
	d.m.metrics.candidates.Set(float64(d.candidates))
}

func (d *desk) look(ctx context.Context, l *line, now time.Time) {
	if d.broken != nil {
		refuse(l.clear(), d.broken)
		return
	}
	if !d.ready {
		return
	}
	l.seat(func(a *ask, id throng.SessionID) {
		if d.m.joins != nil {
			made := l.pool.decision(&a.want, id)
			a.decision = &made
			a.openings = l.opened - a.openings
		}
		o := offer{session: id, mark: l.pool.Take(id, a.want.Seats)}
		a.offered = &o
		a.answer <- o
	})
	switch {
	case l.waiting() == 0:
		d.m.quotas.uncount(l)
	case now.Before(l.until):
		refuse(l.clear(), l.refusal)
	default:
		d.open(ctx, l)
	}
}

// refuse gives everyone the same error.
func refuse(asks []*ask, err error) {
	for _, a := range asks {
		a.offered = &offer{err: err}
		a.answer <- *a.offered
	}
}

// join puts an ask in its line.
func (d *desk) join(a *ask) {
	if a.canary != nil {
		d.choose(a)
	}
	if a.want.Seats > a.release.Capacity { // or sessions would be opened for it without end
		refuse([]*ask{a}, tooMany(a.want.Seats, a.release.Capacity))
		return
	}
	l := d.line(a.key)
	if a.release.Published >= l.release.Published {
		l.release = a.release
	}
	l.join(a)
}

// leave takes an ask back whose ticket does not wait any more. It says which
// hold it leaves behind, if there is one.
func (d *desk) leave(a *ask) *throng.Hold {
	a.left = true
	l := d.line(a.key)
	switch o := a.offered; {
	case o == nil:
		l.leave(a)
	case o.hold != nil:
		return o.hold
	case o.err == nil:
		l.pool.Return(o.session, a.want.Seats)
	}
	return nil
}

// watch returns what is known of a session, and a channel that gets it once
// when it was bound or has ended, or its zero value when the feed had a gap.
func (d *desk) watch(key poolKey, id throng.SessionID) (throng.Session, chan throng.Session) {
	wake := make(chan throng.Session, 1)
	d.waking[id] = append(d.waking[id], wake)
	if l := d.lines[key]; l != nil {
		if s, ok := l.pool.Session(id); ok {
			return s, wake
		}
	}
	return throng.Session{}, wake
}

// unwatch is watch's reverse.
func (d *desk) unwatch(id throng.SessionID, wake chan throng.Session) {
	rest := d.waking[id][:0]
	for _, w := range d.waking[id] {
		if w != wake {
			rest = append(rest, w)
		}
	}
	if len(rest) == 0 {
		delete(d.waking, id)
		return
	}
	d.waking[id] = rest
}

func (d *desk) wake(id throng.SessionID, s throng.Session) {
	for _, w := range d.waking[id] {
		w <- s
	}
	delete(d.waking, id)
}

// take brings a piece of the feed into the lines.
func (d *desk) take(ch throng.SessionChanges) {
	d.broken = nil
	d.ready = d.ready || ch.Full
	for _, s := range ch.Sessions {
		d.put(s)
		if l := d.lines[poolKey{s.Place, s.Version}]; l != nil && !s.Private {
			l.seen = max(l.seen, s.Number)
		}
	}
	if !ch.Full {
		return
	}
	listed := make(map[throng.SessionID]bool, len(ch.Sessions))
	for _, s := range ch.Sessions {
		listed[s.ID] = true
	}
	d.private.keep(listed)
	for _, l := range d.lines {
		l.pool.Keep(listed)
		d.touched[l] = true
	}
	for id := range d.waking {
		if !listed[id] {
			d.wake(id, throng.Session{})
		}
	}
}

func (d *desk) put(s throng.Session) {
	if _, ours := d.drafts[s.ID]; ours {
		d.drafts[s.ID] = &s
		if s.State == throng.SessionStarting {
			return
		}
	}
	if s.Private {
		d.private.put(s)
	} else if key := (poolKey{s.Place, s.Version}); d.lines[key] != nil || s.State != throng.SessionEnded {
		d.line(key).pool.Put(s)
	}
	if !s.BoundAt.IsZero() || s.State == throng.SessionEnded {
		d.wake(s.ID, s)
	}
}

// lost fails everyone who waits for seats: without the feed nobody knows where
// any are. Those who wait for their session to be bound go on waiting.
func (d *desk) lost(err error) {
	d.broken = throng.RetryLater(throng.Unavailable, again(err), "matching does not hear from the registry: %w", err)
	for _, l := range d.lines {
		d.touched[l] = true
	}
}

// again is when to come back after an error that does not say.
func again(err error) time.Duration {
	if after := throng.RetryAfterOf(err); after > 0 {
		return after
	}
	return time.Second
}
