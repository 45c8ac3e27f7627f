package fleet

import (
	"slices"
	"time"
)

const (
	targetShare = 10              // a target falls by so much of what is too many: one in ten, at each step
	firstRefill = 5 * time.Second // before any was measured
	refills     = 64              // that are remembered
	longest     = 4               // how many refills one after the other are looked ahead at most
)

// Target is a number that follows what is wanted: up at once, down slowly, and
// not down at all while openings fell and nobody foresaw it.
type Target struct {
	Floor int // never less
	Most  int // never more; Floor counts before it

	size int
	low  time.Time // since when less is wanted; zero: it is not
}

// Follow returns the target, now that so much is wanted. Hold: it does not fall.
func (t *Target) Follow(now time.Time, want int, hold bool) int {
	want = max(min(want, t.Most), t.Floor)
	t.size = max(min(t.size, t.Most), t.Floor)
	switch {
	case want >= t.size:
		t.size, t.low = want, time.Time{}
	case t.low.IsZero() || hold:
		t.low = now
	case now.Sub(t.low) >= surplusWait:
		t.size -= max((t.size-want)/targetShare, 1)
		t.low = now.Add(surplusStep - surplusWait)
	}
	return t.size
}

// Start sets the target to what is there already, from where it goes down slowly.
func (t *Target) Start(size int) { t.size, t.low = size, time.Time{} }

// Size is what it is now.
func (t *Target) Size() int { return t.size }

// Refills are the newest times from asking for a server to its connection.
type Refills struct {
	ring [refills]time.Duration
	n    int // measured so far
}

// Took takes one in.
func (r *Refills) Took(d time.Duration) {
	r.ring[r.n%refills] = d
	r.n++
}

// Time is what nine of ten do not exceed.
func (r *Refills) Time() time.Duration {
	known := r.known()
	return known[(len(known)*9-1)/10]
}

// Median is what half of them do not exceed.
func (r *Refills) Median() time.Duration {
	known := r.known()
	return known[(len(known)-1)/2]
}

// known is what they took, the shortest first.
func (r *Refills) known() []time.Duration {
	if r.n == 0 {
		return []time.Duration{firstRefill}
	}
	return slices.Sorted(slices.Values(r.ring[:min(r.n, refills)]))
}

// StockFor is the stock that lets openings go on while it is refilled: those
// that are to be expected within a refill, and within more than one where no
// more than so many are under way at once.
func StockFor(f Forecast, now time.Time, refill time.Duration, most int) Outlook {
	o := f.Expect(now, refill)
	if rounds := (o.Openings + most - 1) / most; rounds > 1 {
		return f.Expect(now, refill*time.Duration(min(rounds, longest)))
	}
	return o
}
