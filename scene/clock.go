package scene

import (
	"cmp"
	"math"
	"slices"
)

const (
	clockWindow = 32   // round trips that are looked at
	clockSlew   = 0.05 // how much faster or slower than real time the estimate may run
	clockJump   = 500  // ms off at which it jumps instead: the server stood still, or is another one
)

// clock estimates the server's time. A round trip says it within half of its
// length; so the shortest quarter of them is believed, and of these the median.
// Times are in ms.
type clock struct {
	tickTime float64
	trips    []trip
	target   float64 // what is to be added to the caller's time
	offset   float64 // what is added, on its way to target
	at       float64 // when
}

// trip is one round trip: what to add to the caller's time if both ways took as
// long.
type trip struct{ offset, round float64 }

// add takes a round trip that ended now, with the snapshot of a tick.
func (c *clock) add(tick, round, now float64) {
	t := trip{tick*c.tickTime - (now - round/2), round}
	c.advance(now)
	if len(c.trips) > 0 && math.Abs(t.offset-c.target) > clockJump+round/2 {
		c.trips = c.trips[:0] // no way can be as uneven as that
	}
	first := len(c.trips) == 0
	c.trips = push(c.trips, t, clockWindow)
	best := slices.Clone(c.trips)
	slices.SortStableFunc(best, func(a, b trip) int { return cmp.Compare(a.round, b.round) })
	best = best[:(len(best)+3)/4]
	offsets := make([]float64, len(best))
	for i, b := range best {
		offsets[i] = b.offset
	}
	c.target = median(offsets)
	if first || math.Abs(c.target-c.offset) > clockJump {
		c.offset = c.target
	}
}

func (c *clock) advance(now float64) {
	passed := max(0, now-c.at)
	c.at = max(c.at, now)
	c.offset += bounded(c.target-c.offset, clockSlew*passed)
}

// tick is the server's now, with its fraction; false: no round trip was seen.
func (c *clock) tick(now float64) (float64, bool) {
	if len(c.trips) == 0 {
		return 0, false
	}
	c.advance(now)
	return (now + c.offset) / c.tickTime, true
}

// push appends to a list of the newest n.
func push[T any](list []T, v T, n int) []T {
	if len(list) == n {
		copy(list, list[1:])
		list = list[:n-1]
	}
	return append(list, v)
}

// median is the middle one, of an even number the lower; it sorts them.
func median(v []float64) float64 {
	slices.Sort(v)
	return v[(len(v)-1)/2]
}

// bounded is v, at most by so much from 0.
func bounded(v, most float64) float64 { return max(-most, min(most, v)) }
