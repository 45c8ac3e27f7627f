package gameserver

import (
	"cmp"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// breakTime is how long a place may wait for a good moment, and breakSpare is
	// what is left of the operator's time when it is not waited for any more.
	breakTime  = 2 * time.Minute
	breakSpare = 30 * time.Second
	// A round of handoffs begins so long after the last; later ones wait longer.
	roundPause    = 10 * time.Second
	maxRoundPause = time.Minute
)

// drain empties a session: its players are handed off, who cannot be plays on
// and is tried again. Owned by the loop.
type drain struct {
	reason  string
	until   time.Time     // by the registry's clock, when the session ends in any case; zero: never
	ready   bool          // the place says that the moment is good, or does not mind
	readyBy time.Duration // boot clock, when it is not asked any more
	next    time.Duration // boot clock, of the next round
	pause   time.Duration // before the round after it
	moves   int           // handoffs of this round under way
}

// drainBy begins to drain, or moves the end of it.
func (l *loop) drainBy(o throng.Order) {
	boot := l.cfg.BootClock()
	if !l.leaveBy.IsZero() && (o.Until.IsZero() || o.Until.After(l.leaveBy)) {
		o.Until = l.leaveBy // the process has to end by then
	}
	l.logger.Info("draining", "reason", o.Reason, "until", o.Until)
	l.admission.draining = true
	left := time.Duration(0)
	if !o.Until.IsZero() {
		left = max(o.Until.Sub(l.clock.now()), time.Nanosecond)
	}
	if l.drain != nil {
		l.drain.until = o.Until
		l.drain.readyBy = min(l.drain.readyBy, readyBy(boot, left))
		return
	}
	l.drain = &drain{reason: o.Reason, until: o.Until, readyBy: readyBy(boot, left), pause: roundPause}
	waits, err := l.script.Drain(left)
	l.drain.ready = l.drain.ready || !waits
	l.fatal(err)
}

// readyBy is when a place's word is not waited for any more. left 0: there is
// no end.
func readyBy(boot, left time.Duration) time.Duration {
	wait := breakTime
	if left > 0 {
		wait = min(wait, max(left-breakSpare, 0))
	}
	return boot + wait
}

// breakNow is the place's word that its players can be moved.
func (l *loop) breakNow() {
	if l.drain != nil {
		l.drain.ready = true
	}
}

// checkDrain begins a round when it is time, and ends the session when it is
// over.
func (l *loop) checkDrain(boot time.Duration) {
	d := l.drain
	switch {
	case d == nil || l.end != nil:
		return
	case !d.until.IsZero() && !l.clock.now().Before(d.until):
		l.finish("drained: "+d.reason, false)
		return
	case l.mover.handoffs == nil || d.moves > 0 || boot < d.next || !d.ready && boot < d.readyBy:
		return
	}
	groups := l.movable()
	if len(groups) == 0 {
		return
	}
	if d.next == 0 {
		l.logger.Info("players are moved out", "players", len(l.joined), "parties", len(groups))
	}
	l.moveOut(groups)
}

// movable is who can be moved now, by parties. One of whose members somebody
// cannot (yet) waits for him, unless there is no time.
func (l *loop) movable() [][]throng.PlayerID {
	hurry := !l.drain.until.IsZero() && l.drain.until.Sub(l.clock.now()) < breakSpare
	parties := map[throng.TicketKey][]throng.PlayerID{}
	waits := map[throng.TicketKey]bool{}
	for p, s := range l.seats {
		if l.stuck(s) != "" {
			waits[s.key] = true
			continue
		}
		parties[s.key] = append(parties[s.key], p)
	}
	var out [][]throng.PlayerID
	for key, party := range parties {
		if hurry || !waits[key] {
			slices.Sort(party)
			out = append(out, party)
		}
	}
	slices.SortFunc(out, func(a, b []throng.PlayerID) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a[0], b[0]))
	})
	return out
}

// moveOut hands parties off together, and in halves where that is refused; a
// private session stays together or stays.
func (l *loop) moveOut(parties [][]throng.PlayerID) {
	d := l.drain
	d.moves++
	ask := HandoffAsk{Players: slices.Concat(parties...), Mode: throng.ModeDropIn}
	if l.hand.Private {
		ask.Mode = throng.ModePrivate
	}
	l.handOff(ask, func(err error) {
		d.moves--
		if err != nil && !l.hand.Private && len(parties) > 1 && divisible(err) {
			half, rest := halve(parties)
			l.moveOut(half)
			l.moveOut(rest)
		}
		if d.moves == 0 {
			d.next = l.cfg.BootClock() + d.pause
			d.pause = min(2*d.pause, maxRoundPause)
		}
	})
}

// divisible says whether fewer players may be let in where so many were not.
func divisible(err error) bool {
	switch throng.KindOf(err) {
	case throng.Invalid, throng.Denied, throng.Full, throng.NoCapacity, throng.Contention, throng.Conflict:
		return true
	case throng.Internal, throng.NotFound, throng.Exists, throng.RateLimited, throng.Unavailable, throng.Unsupported:
		return false
	}
	return false
}

// halve parts at least two parties, bigger ones first, into two lists of about
// as many players.
func halve(parties [][]throng.PlayerID) (half, rest [][]throng.PlayerID) {
	a, b := 0, 0
	for _, p := range parties {
		if a <= b {
			half, a = append(half, p), a+len(p)
		} else {
			rest, b = append(rest, p), b+len(p)
		}
	}
	return half, rest
}
