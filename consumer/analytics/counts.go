package analytics

import (
	"maps"
	"math"
)

// mostNames is how many event types, or currencies, of a place are told apart;
// those beyond are counted together as otherName.
const (
	mostNames = 256
	otherName = "other"
)

// counts is what is counted; all of it are sums.
type counts struct {
	Joins   int64 `json:"j,omitempty"`
	Leaves  int64 `json:"l,omitempty"`
	Opened  int64 `json:"o,omitempty"`
	Ended   int64 `json:"e,omitempty"`
	StayMS  int64 `json:"s,omitempty"` // of those who left
	Matches int64 `json:"m,omitempty"`
	WaitMS  int64 `json:"w,omitempty"`
	Trips   int64 `json:"t,omitempty"`
	TripUS  int64 `json:"r,omitempty"`
	// Events is creators' own, by type; Revenue what players paid, by item.
	Events  map[string]int64 `json:"v,omitempty"`
	Revenue map[string]int64 `json:"p,omitempty"`
}

// add adds o, sign times.
func (c *counts) add(o *counts, sign int64) {
	c.Joins += sign * o.Joins
	c.Leaves += sign * o.Leaves
	c.Opened += sign * o.Opened
	c.Ended += sign * o.Ended
	c.StayMS += sign * o.StayMS
	c.Matches += sign * o.Matches
	c.WaitMS += sign * o.WaitMS
	c.Trips += sign * o.Trips
	c.TripUS += sign * o.TripUS
	c.Events = addNames(c.Events, o.Events, sign)
	c.Revenue = addNames(c.Revenue, o.Revenue, sign)
}

func addNames(to, from map[string]int64, sign int64) map[string]int64 {
	for name, n := range from {
		if to == nil {
			to = map[string]int64{}
		}
		if sum := to[name] + sign*n; sum != 0 {
			to[name] = sum
		} else {
			delete(to, name)
		}
	}
	if len(to) == 0 {
		return nil
	}
	return to
}

func (c *counts) zero() bool {
	return c.Joins|c.Leaves|c.Opened|c.Ended|c.StayMS|c.Matches|c.WaitMS|c.Trips|c.TripUS == 0 && len(c.Events)+len(c.Revenue) == 0
}

func (c *counts) clone() counts {
	out := *c
	out.Events, out.Revenue = maps.Clone(c.Events), maps.Clone(c.Revenue)
	return out
}

// micros is a measured time in milliseconds as whole microseconds; false: it
// cannot be one.
func micros(ms float64) (int64, bool) {
	if math.IsNaN(ms) || ms < 0 || ms > 3_600_000 {
		return 0, false
	}
	return int64(ms * 1000), true
}

// seat is a player's stay in a session under one epoch. Times are in ms; 0: not
// heard of.
type seat struct {
	Joined int64 `json:"j,omitempty"`
	Left   int64 `json:"l,omitempty"`
	TripUS int64 `json:"r,omitempty"` // -1: not measured
}

// part is what a seat adds, to the minute of its join and to that of its end. A
// seat whose join was not heard of adds nothing yet.
func (s seat) part(sessionEnded int64, add func(ms int64, c *counts)) {
	if s.Joined == 0 {
		return
	}
	add(s.Joined, &counts{Joins: 1})
	left := s.Left
	if left == 0 {
		left = sessionEnded
	}
	if left == 0 {
		return
	}
	left = max(left, s.Joined)
	c := counts{Leaves: 1, StayMS: left - s.Joined}
	if s.Left != 0 && s.TripUS >= 0 {
		c.Trips, c.TripUS = 1, s.TripUS
	}
	add(left, &c)
}

// sessionLife is when a session began and ended, ms; 0: not heard of.
type sessionLife struct {
	Place  string `json:"p"`
	Opened int64  `json:"o,omitempty"`
	Ended  int64  `json:"e,omitempty"`
}

func (s sessionLife) part(add func(ms int64, c *counts)) {
	if s.Opened == 0 {
		return
	}
	add(s.Opened, &counts{Opened: 1})
	if s.Ended != 0 {
		add(max(s.Ended, s.Opened), &counts{Ended: 1})
	}
}

// first is the earlier of two times, of which 0 is none.
func first(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
