package breaker

import (
	"time"

	"github.com/throng-gg/throng"
)

// State is how a circuit treats calls.
//
//	         too many failed          the pause is over
//	Closed ──────────────────▶ Open ──────────────────▶ HalfOpen
//	   ▲                        ▲                          │ │
//	   │                        └────────a probe failed────┘ │
//	   └───────────────enough probes in a row were good──────┘
type State uint8

// The states of a circuit.
const (
	Closed   State = iota // calls go through
	Open                  // calls are refused
	HalfOpen              // one call at a time goes through, as a probe
)

// CanBecome says which changes of state there are.
func (s State) CanBecome(next State) bool {
	switch s {
	case Closed:
		return next == Open
	case Open:
		return next == HalfOpen
	case HalfOpen:
		return next == Open || next == Closed
	}
	return false
}

// String is for people.
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	}
	return "none"
}

// Outcome is what a call says of the other side.
type Outcome uint8

// The outcomes of calls.
const (
	Good Outcome = iota // it answered, if only to refuse
	Bad                 // it failed or gave no answer
	Void                // the caller went away first: nothing is known
)

// Rules are when a circuit opens and closes. Zero values mean the defaults.
type Rules struct {
	Window    time.Duration // of calls that count; 10 s
	Least     int           // fewer calls in the window say nothing; 5
	Share     float64       // of calls in the window that failed, which opens it; 0.5
	Slow      time.Duration // a call that takes longer has failed; 1 s
	Pause     time.Duration // how long it stays open; doubled each time it opens again; 1 s
	PauseMost time.Duration // 8 s
	Probes    int           // in a row that must be good before it closes; 3
	Calm      time.Duration // how long it must have been closed for Pause to count again; 30 s
}

func (r Rules) withDefaults() Rules {
	for _, d := range []struct {
		of *time.Duration
		is time.Duration
	}{{&r.Window, 10 * time.Second}, {&r.Slow, time.Second}, {&r.Pause, time.Second}, {&r.PauseMost, 8 * time.Second}, {&r.Calm, 30 * time.Second}} {
		if *d.of == 0 {
			*d.of = d.is
		}
	}
	if r.Least == 0 {
		r.Least = 5
	}
	if r.Share == 0 {
		r.Share = 0.5
	}
	if r.Probes == 0 {
		r.Probes = 3
	}
	return r
}

func (r Rules) check() error {
	switch {
	case r.Window < parts || r.Slow <= 0 || r.Pause <= 0 || r.PauseMost < r.Pause || r.Calm < 0:
		return throng.AtField(throng.Invalid, "Rules", "have times that make no sense: %+v", r)
	case r.Least < 1 || r.Probes < 1 || !(r.Share > 0 && r.Share <= 1):
		return throng.AtField(throng.Invalid, "Rules", "have numbers that make no sense: %+v", r)
	}
	return nil
}

// parts of the window are forgotten one by one.
const parts = 10

// Circuit is one breaker: it says whether a call may be made. It is not safe for
// use by several goroutines at once.
type Circuit struct {
	rules  Rules
	state  State
	period uint64    // how often the state has changed: what began in another one does not count
	since  time.Time // of the state
	until  time.Time // Open: when the first probe may go
	opened time.Duration
	probe  bool // HalfOpen: one is under way
	good   int  // HalfOpen: probes in a row
	window [parts]part
}

// part is what became of the calls that ended in a part of the window.
type part struct {
	number   int64 // of the part, by the clock
	all, bad int
}

// Pass is the leave to make one call. It goes back to Done, once.
type Pass struct {
	at     time.Time
	wait   time.Duration
	period uint64
}

// NewCircuit makes a closed circuit. Invalid: the rules make no sense.
func NewCircuit(r Rules) (*Circuit, error) {
	r = r.withDefaults()
	return &Circuit{rules: r}, r.check()
}

// State returns how calls are treated that come now.
func (c *Circuit) State(now time.Time) State {
	if c.state == Open && !now.Before(c.until) {
		return HalfOpen
	}
	return c.state
}

// Allow asks for leave to make a call in which the other side may wait for so
// long before it answers. False: it is refused.
func (c *Circuit) Allow(now time.Time, wait time.Duration) (Pass, bool) {
	if c.state == Open && !now.Before(c.until) {
		c.become(HalfOpen, now)
	}
	switch c.state {
	case Closed:
	case Open:
		return Pass{}, false
	case HalfOpen:
		if c.probe {
			return Pass{}, false
		}
		c.probe = true
	}
	return Pass{at: now, wait: wait, period: c.period}, true
}

// Done says what became of a call. What took too long has failed, whatever it says.
func (c *Circuit) Done(p Pass, o Outcome, now time.Time) {
	if p.period != c.period {
		return
	}
	if now.Sub(p.at) > p.wait+c.rules.Slow {
		o = Bad
	}
	switch c.state {
	case Closed:
		if o != Void && c.count(o, now) {
			c.become(Open, now)
		}
	case HalfOpen:
		c.probe = false
		switch o {
		case Bad:
			c.become(Open, now)
		case Good:
			if c.good++; c.good >= c.rules.Probes {
				c.become(Closed, now)
			}
		case Void:
		}
	case Open: // no call is under way that began in it
	}
}

// count adds a call to the window, and says whether too many in it failed.
func (c *Circuit) count(o Outcome, now time.Time) bool {
	number := now.UnixNano() / int64(c.rules.Window/parts)
	s := &c.window[uint64(number)%parts] //nolint:gosec // before 1970 the parts are just others
	if s.number != number {
		*s = part{number: number}
	}
	s.all++
	if o == Bad {
		s.bad++
	}
	all, bad := 0, 0
	for _, s := range c.window {
		if s.number > number-parts && s.number <= number {
			all, bad = all+s.all, bad+s.bad
		}
	}
	return all >= c.rules.Least && float64(bad) >= c.rules.Share*float64(all)
}

func (c *Circuit) become(s State, now time.Time) {
	if s == Open {
		c.opened = c.pause(now)
		c.until = now.Add(c.opened)
	}
	c.state, c.since = s, now
	c.period++
	c.probe, c.good, c.window = false, 0, [parts]part{}
}

// pause is how long the circuit stays open this time: longer than the last time,
// unless all was well for long since.
func (c *Circuit) pause(now time.Time) time.Duration {
	if c.opened == 0 || c.state == Closed && now.Sub(c.since) >= c.rules.Calm {
		return c.rules.Pause
	}
	return min(2*c.opened, c.rules.PauseMost)
}
