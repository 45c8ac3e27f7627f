package channel

import "time"

const (
	// SlowestPace: state goes out every so many times at least.
	SlowestPace = 8

	// Loss is judged after a second and so many packets, or the latest.
	lossAfter   = time.Second
	lossPackets = 20
	lossLatest  = 2 * time.Second
	// Of 100 packets: so many lost once, or some less three times running, mean
	// that the way is too narrow. Wireless networks lose 5 without being full, and
	// what is overtaken on the way, of no use when it comes, counts as lost, too.
	badLoss  = 40
	poorLoss = 25
	poorRuns = 3

	// A queue is judged after this, and so many round trips: their shortest is
	// longer than the best one by so much.
	queueAfter = 300 * time.Millisecond
	queueTrips = 2
	badQueue   = 100 * time.Millisecond
	// floorTime is how long the best round trip is remembered, up to twice that.
	floorTime = 30 * time.Second

	// holdOff is between two times that the pace slows down.
	holdOff = time.Second
	// A state rate that fails within this was too much.
	trialTime     = 10 * time.Second
	leastPatience = 2 * time.Second
	mostPatience  = 30 * time.Second
)

// pace decides how often state goes out: every so many times. When the way is full
// it slows down to a quarter until the queue is empty, goes on at half, and comes
// back step by step after a while; a while that grows when coming back was too
// much.
//
// Only state is slowed down. Inputs and events are small, and a queue that state
// has filled is what makes them late.
type pace struct {
	every int // now
	fits  int // what fits, as far as is known; every is more while a queue empties

	patience time.Duration
	calm     time.Time // since when nothing was bad
	raised   time.Time // when it last came back a step
	slowed   time.Time // when it last slowed down

	loss  lossWindow
	queue queueWindow
}

func newPace() pace { return pace{every: 1, fits: 1, patience: leastPatience} }

// lossWindow counts packets whose fate is known.
type lossWindow struct {
	since       time.Time
	known, lost int
	poor        int // windows running
}

// over says whether the window is over, and whether it was bad. It begins anew.
func (w *lossWindow) over(now time.Time) (over, bad bool) {
	age := now.Sub(w.since)
	if age < lossAfter || w.known < lossPackets && age < lossLatest {
		return false, false
	}
	enough := w.known >= lossPackets/4
	if enough && 100*w.lost >= poorLoss*w.known {
		w.poor++
	} else {
		w.poor = 0
	}
	bad = enough && 100*w.lost >= badLoss*w.known || w.poor >= poorRuns
	if bad {
		w.poor = 0
	}
	w.since, w.known, w.lost = now, 0, 0
	return true, bad
}

// queueWindow compares round trips with the best one.
type queueWindow struct {
	since time.Time
	count int
	least time.Duration

	floor, next time.Duration // shortest of this and the last floorTime; 0: none
	floorSince  time.Time
}

func (w *queueWindow) add(sample time.Duration, now time.Time) {
	w.count++
	if w.count == 1 || sample < w.least {
		w.least = sample
	}
	if now.Sub(w.floorSince) >= floorTime {
		w.floor, w.next, w.floorSince = w.next, 0, now
	}
	if w.next == 0 || sample < w.next {
		w.next = sample
	}
	if w.floor == 0 || sample < w.floor {
		w.floor = sample
	}
}

// over is as lossWindow's.
func (w *queueWindow) over(now time.Time) (over, bad bool) {
	if w.count < queueTrips || now.Sub(w.since) < queueAfter {
		return false, false
	}
	bad = w.least > w.floor+max(badQueue, w.floor/2)
	w.since, w.count = now, 0
	return true, bad
}

// came takes that a packet was acked.
func (w *lossWindow) came() { w.known++ }

// gone takes that one is lost, found that it is not after all.
func (w *lossWindow) gone()  { w.known, w.lost = w.known+1, w.lost+1 }
func (w *lossWindow) found() { w.lost = max(0, w.lost-1) }

// judge changes the pace when enough is known.
func (p *pace) judge(now time.Time) {
	if p.calm.IsZero() {
		p.calm, p.loss.since, p.queue.since = now, now, now
	}
	lossOver, lossy := p.loss.over(now)
	queueOver, queued := p.queue.over(now)
	switch {
	case lossy || queued:
		p.calm = now
		if now.Sub(p.slowed) >= holdOff {
			p.slow(now)
		}
	case p.every > p.fits:
		if (lossOver || queueOver) && now.Sub(p.slowed) >= holdOff/2 {
			p.every, p.calm = p.fits, now // the queue is empty
		}
	case now.Sub(p.calm) >= p.patience && p.every > 1:
		p.every = max(1, p.every-(p.every+2)/4) // 8, 6, 4, 3, 2, 1
		p.fits, p.calm, p.raised = p.every, now, now
	case now.Sub(p.calm) >= mostPatience:
		p.patience, p.calm = max(p.patience/2, leastPatience), now
	}
}

// slow slows down: to less than what is thought to fit, until the queue that was
// made is empty.
func (p *pace) slow(now time.Time) {
	if now.Sub(p.raised) < trialTime {
		p.patience = min(2*p.patience, mostPatience)
	}
	if p.every <= p.fits {
		p.fits = min(2*p.every, SlowestPace)
	}
	p.every = min(2*max(p.every, p.fits), SlowestPace)
	p.slowed, p.raised = now, time.Time{}
}
