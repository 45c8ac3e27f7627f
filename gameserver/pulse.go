package gameserver

import "time"

// Times of a server that was stopped.
const (
	stoppedAfter = 5 * time.Second  // without a beat: the process was stopped
	resumeAfter  = 15 * time.Second // without an answer: serve all the same
)

// pulse notices that this process was stopped (SIGSTOP, a suspended machine)
// and then serves nobody until the registry was heard, because the session may
// have been given up meanwhile. If the registry is away too, the session goes on
// after resumeAfter: losing the registry ends nothing. Owned by the loop; times
// are of a clock that counts while the machine sleeps.
//
//	serving ──no tick for 5 s──▶ suspended ──answer, or 15 s──▶ serving
type pulse struct {
	last      time.Duration // of the last beat
	suspended time.Duration // when it was noticed; zero while serving
}

// beat is called every tick and before an event is handled. It says whether the server may serve, and whether
// it was noticed just now that it had been stopped.
func (p *pulse) beat(now time.Duration) (serve, stopped bool) {
	gap := now - p.last
	if p.last != 0 && gap > stoppedAfter {
		p.suspended = now
		stopped = true
	}
	p.last = now
	if p.suspended != 0 && now-p.suspended >= resumeAfter {
		p.suspended = 0
	}
	return p.suspended == 0, stopped
}

// answered tells of a registry's answer to a call that was begun at the given
// time. Only one begun after the stop was noticed counts.
func (p *pulse) answered(begun time.Duration) {
	if p.suspended != 0 && begun >= p.suspended {
		p.suspended = 0
	}
}
