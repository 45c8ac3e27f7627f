package region

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// FreshFor is how old a summary may be; an older one says nothing.
const FreshFor = 2 * time.Second

// near is how close to the best score is as good as the best, and farthest the
// latency in milliseconds from which on all are alike: as in package match.
const (
	near     = 0.99
	farthest = 250
)

// Candidate is what is known of a region.
type Candidate struct {
	Region  throng.RegionID
	Own     bool // it is the one that chooses
	Refused bool // calls of it fail, so none is made for now
	Age     time.Duration
	Summary throng.RegionSummary
	// Sent is how many seats of the place, and how many tickets, were sent there
	// since the summary was made.
	SentSeats, SentTickets int
}

// The tiers of regions: all of one are tried before those of the next.
const (
	tierNear    = iota // they compete by score
	tierFar            // the nearest first
	tierUnknown        // the client did not measure them
	tierUnfit          // only the own region, whose matchmaker has the last word
	tierNone           // not tried
)

// ranked is a region in its place.
type ranked struct {
	throng.RegionChoice

	tier int
}

// Rank puts regions in the order in which they are tried: first, by score, those
// near enough that can seat the party, then those farther away, the nearest
// first, then those of unknown latency. The own region is tried last if nothing
// good is known of it. What is not tried comes after that. Among scores within 1 %
// of the best, Random decides who is first.
func Rank(w throng.RegionWish, candidates []Candidate) []throng.RegionChoice {
	list := rank(w, candidates)
	out := make([]throng.RegionChoice, len(list))
	for i := range list {
		out[i] = list[i].RegionChoice
	}
	return out
}

func rank(w throng.RegionWish, candidates []Candidate) []ranked {
	list := make([]ranked, 0, len(candidates))
	nearest := math.Inf(1)
	for _, c := range candidates {
		r := rate(w, c)
		if r.Why == "" && r.Latency >= 0 {
			nearest = min(nearest, r.Latency)
		}
		list = append(list, r)
	}
	for i := range list {
		list[i].tier = tier(list[i], candidates[i].Own, max(w.Farthest, nearest))
		list[i].Try = list[i].tier < tierNone
	}
	slices.SortFunc(list, func(a, b ranked) int {
		far := 0
		if a.tier == tierFar {
			far = cmp.Compare(a.Latency, b.Latency)
		}
		return cmp.Or(cmp.Compare(a.tier, b.tier), far, cmp.Compare(b.Score, a.Score), cmp.Compare(a.Region, b.Region))
	})
	draw(list, w.Random)
	return list
}

// rate says what a region is worth.
func rate(w throng.RegionWish, c Candidate) ranked {
	r := ranked{RegionChoice: throng.RegionChoice{Region: c.Region, Latency: -1, Near: 0.5}}
	if ms, known := w.Latencies[c.Region]; known && ms >= 0 {
		r.Latency, r.Near = ms, 1-min(ms, farthest)/farthest
	}
	i, found := slices.BinarySearchFunc(c.Summary.Places, w.Place, func(p throng.PlaceSummary, id throng.PlaceID) int { return cmp.Compare(p.Place, id) })
	// A place that has much of its room promised already counts as if it had none.
	if found && !w.New && c.Summary.Places[i].Free-c.SentSeats >= w.Seats {
		r.Fill, r.Open = c.Summary.Places[i].FullestFor(w.Seats)
	}
	r.Score = w.Weights.Fill*r.Fill + w.Weights.Latency*r.Near
	switch {
	case c.Age > FreshFor:
		r.Why = throng.RegionStale
	case c.Refused:
		r.Why = throng.RegionRefused
	case c.Summary.Draining:
		r.Why = throng.RegionDraining
	case c.Summary.Room-c.SentTickets <= 0:
		r.Why = throng.RegionBusy
	case !r.Open && c.Summary.Warm+c.Summary.Spare <= 0:
		r.Why = throng.RegionFull
	}
	return r
}

func tier(r ranked, own bool, enough float64) int {
	switch {
	case r.Why != "" && own:
		return tierUnfit
	case r.Why != "":
		return tierNone
	case r.Latency < 0 && own: // its door was asked, so it is likely near
		return tierNear
	case r.Latency < 0:
		return tierUnknown
	case r.Latency > enough:
		return tierFar
	}
	return tierNear
}

// draw brings one of the near-ties to the front.
func draw(list []ranked, random uint64) {
	ties := 0
	for ties < len(list) && list[ties].tier == tierNear && list[ties].Score >= near*list[0].Score {
		ties++
	}
	if ties < 2 {
		return
	}
	k, _ := bits.Mul64(random, uint64(ties))
	first := list[k]
	copy(list[1:k+1], list[:k])
	list[0] = first
}
