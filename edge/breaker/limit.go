package breaker

import "time"

// Bounds of a Limit.
const (
	limitFirst = 16
	limitLeast = 4
	limitMost  = 256
	limitCut   = 0.9                    // of the limit is left when calls become slow
	limitEvery = 100 * time.Millisecond // at most one cut in so long: one jam is one reason
	limitSlack = 20 * time.Millisecond  // that calls may vary whatever they take
)

// Limit is how many calls are under way at once: more while they are as quick as
// ever, fewer when they take twice as long, since then they wait for each other
// over there. It is not safe for use by several goroutines at once.
type Limit struct {
	limit   float64
	running int
	usual   time.Duration // that a call takes while few are under way; 0: unknown
	cut     time.Time     // the last one
}

// NewLimit makes one.
func NewLimit() *Limit { return &Limit{limit: limitFirst} }

// Most is how many calls may be under way.
func (l *Limit) Most() int { return int(l.limit) }

// Slot is a call's place among those under way. It goes back to Back, once.
type Slot struct{ few bool }

// Take begins a call. False: too many are under way.
func (l *Limit) Take() (Slot, bool) {
	if l.running >= l.Most() {
		return Slot{}, false
	}
	l.running++
	return Slot{few: l.running <= limitLeast}, true
}

// Back ends a call that Take began. took is 0 when it says nothing.
func (l *Limit) Back(s Slot, o Outcome, took time.Duration, now time.Time) {
	full, few := 2*l.running >= l.Most(), s.few && l.running <= limitLeast
	l.running--
	switch {
	case o == Void:
	case o == Bad, took > 0 && l.usual > 0 && took > 2*l.usual+limitSlack:
		if now.Sub(l.cut) >= limitEvery {
			l.limit, l.cut = max(limitLeast, l.limit*limitCut), now
		}
	case full: // or nobody knows what more would do
		l.limit = min(limitMost, l.limit+1/l.limit)
	}
	switch {
	case took <= 0 || o != Good:
	case l.usual == 0 || took < l.usual:
		l.usual = took
	case few: // slower though it did not wait for others of ours
		l.usual += (took - l.usual) / 64
	}
}
