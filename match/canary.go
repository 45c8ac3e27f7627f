package match

import (
	"sync"

	"github.com/throng-gg/throng"
)

// lane is a release that a ticket may run instead of the live one.
type lane struct {
	release throng.Release
	percent int // of the new sessions
	wishes  []throng.Wish
}

// quotas says which new sessions run a canary: by count, not by chance. What each
// matchmaker counts is its own, so that several are off by less than one session
// each. A place's counts begin anew with each other canary or percentage.
type quotas struct {
	mu     sync.Mutex
	places map[throng.PlaceID]*quota // guarded by mu
}

// mostQuotas is how many places are remembered; beyond it all begin anew.
const mostQuotas = 10_000

// quota is one place's.
type quota struct {
	live, canary throng.Version
	percent      int
	sessions     portion // that were opened
	seats        portion // taken where both lanes had room
}

// portion counts two kinds.
type portion struct{ all, canary int }

// due says whether the next n are the canary's, so that it has its percentage of
// all at any time, rounded: of 10 % the fifth one, the fifteenth and so on.
func (s *portion) due(percent, n int) bool { return 100*s.canary+50*n <= percent*(s.all+n) }

// count counts n of the live version.
func (s *portion) count(n int) { s.all += n }

// countCanary counts n of the canary.
func (s *portion) countCanary(n int) {
	s.all += n
	s.canary += n
}

// of is the quota of a place as it is released now. The caller has mu.
func (q *quotas) of(live, canary throng.Release, percent int) *quota {
	p := q.places[live.Place]
	if p == nil || p.canary != canary.Version || p.live != live.Version || p.percent != percent {
		if len(q.places) >= mostQuotas {
			clear(q.places)
		}
		p = &quota{live: live.Version, canary: canary.Version, percent: percent}
		q.places[live.Place] = p
	}
	return p
}

// alone is what a session runs that one ticket opens.
func (q *quotas) alone(l throng.Lanes) throng.Release {
	if l.Percent == 0 {
		return l.Live
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.of(l.Live, l.Canary, l.Percent)
	if p.sessions.due(p.percent, 1) {
		p.sessions.countCanary(1)
		return l.Canary
	}
	p.sessions.count(1)
	return l.Live
}

// choose says which lane an ask is in: the one that has room, or will have; if
// both have, by their shares of the seats; if none has, by their shares of the
// sessions, as it needs a new one.
func (d *desk) choose(a *ask) {
	l := a.canary
	key := poolKey{l.release.Place, l.release.Version}
	live, canary := d.room(a.key, a.want.Seats, a.release.Capacity), d.room(key, a.want.Seats, l.release.Capacity)
	d.m.quotas.mu.Lock()
	p := d.m.quotas.of(a.release, l.release, l.percent)
	takes := canary
	switch {
	case live && canary:
		if takes = p.seats.due(p.percent, a.want.Seats); takes {
			p.seats.countCanary(a.want.Seats)
		} else {
			p.seats.count(a.want.Seats)
		}
	case !live && !canary:
		if takes = p.sessions.due(p.percent, 1); takes {
			p.sessions.countCanary(1)
		} else {
			p.sessions.count(1)
		}
	}
	d.m.quotas.mu.Unlock()
	if takes {
		a.key, a.release, a.claim.Version = key, l.release, l.release.Version
		a.want.Weights, a.want.Wishes = l.release.Weights, l.wishes
	}
	a.canary = nil
	if !live && !canary {
		d.line(a.key).promised++
	}
}

// room says whether a party fits into a session of a pool that is there, or that
// is opened for those who wait.
func (d *desk) room(key poolKey, seats, capacity int) bool {
	l := d.lines[key]
	if l == nil {
		return false
	}
	if l.waiting() == 0 && !l.filling {
		return l.pool.fits(seats)
	}
	// Who waits fills the session that is being opened with room, then new ones,
	// one after the other; the last one may have room.
	rest := l.seats - l.room
	if rest <= 0 {
		return rest+seats <= 0
	}
	last := rest % capacity
	return last > 0 && last+seats <= capacity
}

// fits says whether a session has room for so many.
func (p *Pool) fits(seats int) bool {
	for _, g := range p.order {
		if g.free >= seats {
			return true
		}
	}
	return false
}

// opens counts a session that a line opens, unless it was counted when it was
// found to be needed.
func (q *quotas) opens(l *line) {
	if l.promised > 0 {
		l.promised--
		return
	}
	q.add(l, 1)
}

// uncount takes back what was counted and is not needed any more: nobody waits.
func (q *quotas) uncount(l *line) {
	q.add(l, -l.promised)
	l.promised = 0
}

// add counts sessions of a line, if a canary runs beside it or in it.
func (q *quotas) add(l *line, sessions int) {
	if sessions == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch p := q.places[l.key.place]; {
	case p == nil:
	case l.key.version == p.canary:
		p.sessions.countCanary(sessions)
	case l.key.version == p.live:
		p.sessions.count(sessions)
	}
}
