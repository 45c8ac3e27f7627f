package throng

import "math/bits"

// Bounds of what regions tell each other.
const (
	MaxRegions        = 16   // of a deployment
	MaxPlaceSummaries = 1000 // of one summary
	maxFullest        = 8    // of one place: for parties of 1, 2, 4, ... 128

	MaxBeacons   = 8   // of a region
	MaxBeaconURL = 256 // bytes of each one's URL
	MaxDoorURL   = 256 // bytes of the URL of a region's door
)

// RegionSummary is what a region tells the others of itself.
type RegionSummary struct {
	Region   RegionID
	Number   uint8 // of the region, in its epochs; no two regions have the same
	Draining bool  // it takes nobody
	// Door is the URL by which players reach the region's door; empty: it is not said.
	Door string
	// Beacons are the URLs by which players measure how far it is; package probe says
	// what they are like.
	Beacons []string
	Warm    int  // idle game servers, that can take a session at once
	Spare   int  // game servers that may be started beside those that there are
	Room    int  // tickets that it takes up at once; 0: they stand in line
	Home    Home // as it knows it; zero: each region keeps what its own players own
	// Places are those with sessions that have a free seat, by ID. Where there are
	// more than MaxPlaceSummaries, those with the most players.
	Places []PlaceSummary
}

// ServerRoom is how many more sessions a region's game servers can take.
type ServerRoom struct {
	Draining bool // none: the region is taken out of use
	Warm     int  // by idle game servers, at once
	Spare    int  // by game servers that may be started beside those
}

// PlaceSummary is what a region has of the live version of a place.
type PlaceSummary struct {
	Place    PlaceID
	Sessions int // that have a free seat
	Players  int // in them, and on the way to them
	Free     int // seats
	// Fullest is how full the fullest session is that has at least 1, 2, 4, ... free
	// seats, from 0 to 1; shorter: none has so many.
	Fullest []float64
}

// FullestFor returns how full the fullest session is that surely has room for so
// many. False: perhaps none has.
func (p *PlaceSummary) FullestFor(seats int) (float64, bool) {
	if i := fullestIndex(seats); seats > 0 && i < len(p.Fullest) {
		return p.Fullest[i], true
	}
	return 0, false
}

// Add counts so many sessions that are alike in.
func (p *PlaceSummary) Add(sessions, capacity, free int) {
	p.Sessions += sessions
	p.Players += sessions * (capacity - free)
	p.Free += sessions * free
	fill := float64(capacity-free) / float64(capacity)
	for i := 0; i < maxFullest && 1<<i <= free; i++ {
		if i == len(p.Fullest) {
			p.Fullest = append(p.Fullest, fill)
		}
		p.Fullest[i] = max(p.Fullest[i], fill)
	}
}

// fullestIndex is the least i for which 2^i seats are enough.
func fullestIndex(seats int) int { return bits.Len(uint(max(seats, 1) - 1)) }

// RegionWish is what a ticket asks of a region.
type RegionWish struct {
	Place   PlaceID
	Seats   int
	New     bool // a session of its own
	Weights Weights
	// Farthest is how far regions may be that compete with nearer ones, ms.
	Farthest float64
	// Latencies are round trips as the client measured them, ms.
	Latencies map[RegionID]float64
	Random    uint64 // picks among the near-ties
}

// What may speak against a region.
const (
	RegionStale    = "stale"    // nothing is known that is fresh
	RegionRefused  = "refused"  // calls of it fail
	RegionDraining = "draining" // it takes nobody
	RegionBusy     = "busy"     // its tickets stand in line
	RegionFull     = "full"     // no seat and no server
)

// RegionChoice is a region as it was considered for a ticket. Zero values are left
// out of its JSON.
type RegionChoice struct {
	Region  RegionID `json:"region"`
	Try     bool     `json:"try"`            // false: it is not tried, for the reason in Why
	Why     string   `json:"why,omitempty"`  // what speaks against it; empty: nothing
	Latency float64  `json:"latency"`        // ms; negative: unknown
	Open    bool     `json:"open,omitempty"` // a session there has room; else a new one is opened
	Fill    float64  `json:"fill,omitempty"` // of the session, 0 to 1
	Near    float64  `json:"near"`           // the latency's signal, 0 to 1
	Score   float64  `json:"score"`
	Code    string   `json:"code,omitempty"` // what came of trying it: ok, or the kind of error; empty: it was not tried
}
