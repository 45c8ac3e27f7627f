package shed

import "time"

const (
	// windowTime is how often what a door does is looked at.
	windowTime = 100 * time.Millisecond
	// windowsKept is of how many windows the best counts as what the door gets done.
	windowsKept = 20
	// overFirst is how many windows in a row are over before there is a limit: a stall
	// of the machine, or of a store, is none.
	overFirst = 2
	// fewWaits and fewLeases are too few to say anything of a window.
	fewWaits, fewLeases = 10, 5

	cutTo = 0.7  // of what gets done, and again while it is too much: what waits already is worked off
	grow  = 1.02 // a window, from there on
	// growFast is the same after growAfter windows without overload: what was known of
	// how much gets done was too little, as after a stall.
	growFast, growAfter = 1.2, 20
	// growMost is how much more than gets done is let in: the rest waits.
	growMost = 1.25
	// leastRate is calls a second that are let in whatever happens.
	leastRate = 50.0
	// burstTime is for how long calls can be saved up, leastBurst at least how many.
	burstTime  = 0.2 // seconds
	leastBurst = 32.0
	// calmFor is how many windows in a row without overload and refusals end the limit.
	calmFor = 50
)

// Window is what was seen of a door for a while.
type Window struct {
	Waits, Late  uint64 // times that a goroutine waited to run, and of those the long ones
	Leases, Slow uint64 // leases' calls that were answered, and of those the slow ones
	Stuck        uint64 // leases' calls that are slow and not answered yet
	Done         uint64 // calls that were let in and have ended
	Refused      uint64 // calls
	Took         time.Duration
}

// Over says why the door was overloaded; empty: it was not.
func (w Window) Over() string {
	switch {
	case w.Waits >= fewWaits && 2*w.Late > w.Waits:
		return "late"
	case w.Leases+w.Stuck >= fewLeases && 2*(w.Slow+w.Stuck) > w.Leases+w.Stuck:
		return "slow"
	}
	return ""
}

// Policy lets calls in. Without overload it lets all in. During overload it lets in
// as many a second as the door gets done, the highest classes first: a class has to
// leave a share of what was saved up to those above it. Leases are always let in, and
// what they take is missing to the others: only the door's places bound them.
// It is not safe for use by several goroutines at once.
type Policy struct {
	rate   float64 // calls a second; 0: there is no limit
	tokens float64 // calls that were saved up; below 0: leases took them in advance
	at     time.Time
	over   int                  // windows in a row
	clear  int                  // windows in a row without overload
	calm   int                  // of those in which nothing was refused, in a row
	done   [windowsKept]float64 // calls a second in the last windows
	next   int                  // of done
}

// Rate is how many calls a second are let in; 0: all.
func (p *Policy) Rate() float64 { return p.rate }

func (p *Policy) burst() float64 { return max(p.rate*burstTime, leastBurst) }

// Would says whether a call of a class would be let in. A class is never let in when
// one above it would not be.
func (p *Policy) Would(c Class, now time.Time) bool {
	if p.rate == 0 {
		return true
	}
	if c == Lease {
		return true
	}
	p.refill(now)
	return p.tokens >= 1+(1-c.share())*p.burst() // the rest is for those above
}

// Admit lets a call in, or does not.
func (p *Policy) Admit(c Class, now time.Time) bool {
	ok := p.Would(c, now)
	if ok && p.rate > 0 {
		p.tokens = max(p.tokens-1, -p.burst())
	}
	return ok
}

func (p *Policy) refill(now time.Time) {
	if d := now.Sub(p.at).Seconds(); d > 0 {
		p.tokens = min(p.tokens+d*p.rate, p.burst())
		p.at = now
	}
}

// Look takes in what was seen until now.
func (p *Policy) Look(w Window, now time.Time) {
	if w.Took > 0 {
		p.done[p.next] = float64(w.Done) / w.Took.Seconds()
		p.next = (p.next + 1) % windowsKept
	}
	if p.rate > 0 {
		p.refill(now)
	}
	if w.Over() != "" {
		p.over++
		p.clear, p.calm = 0, 0
		p.cut(now)
		return
	}
	p.over = 0
	if p.rate == 0 {
		return
	}
	by := grow
	if p.clear++; p.clear > growAfter {
		by = growFast
	}
	// It stays where little gets done because little is asked for: or calls that come many
	// at once and seldom would find the least for ever.
	p.rate = max(p.rate, min(p.rate*by, growMost*p.best()), cutTo*p.best(), leastRate)
	if p.calm++; w.Refused > 0 {
		p.calm = 0
	}
	if p.calm >= calmFor {
		p.rate = 0
	}
}

// cut makes a limit, or a lower one, of what gets done.
func (p *Policy) cut(now time.Time) {
	if p.rate == 0 && p.over < overFirst {
		return
	}
	begins := p.rate == 0
	if begins {
		p.rate, p.at = p.best(), now
	}
	p.rate = max(cutTo*p.rate, leastRate)
	if p.tokens = min(max(p.tokens, -p.burst()), p.burst()); begins {
		p.tokens = p.burst()
	}
}

// best is how many calls a second got done at most of late.
func (p *Policy) best() float64 {
	best := 0.0
	for _, d := range p.done {
		best = max(best, d)
	}
	return best
}
