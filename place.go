package throng

import "time"

// Release is what is live of a place: one version and what every part needs to
// know of it.
type Release struct {
	Place    PlaceID
	Name     string
	Version  Version
	Package  PackageHash
	Scripts  PackageHash // the manifest and scripts of Package, which servers run; empty in old releases
	Capacity int         // seats a session, 1 to 200
	TickRate int         // Hz
	MaxSpeed int         // units a second that players move at most; 0: it is not said
	Weights  Weights
	// MaxLatency is how far a region may be, in milliseconds of round trip, for its
	// sessions to compete with nearer ones; 0: DefaultMaxLatency.
	MaxLatency int
	Signals    []Signal // the place's own, by name; at most MaxSignals
	Published  int64    // Unix milliseconds
	Game       GameID   // whose profiles and ledger its sessions share; empty: the place's own
}

// Bounds of Release.MaxLatency, in milliseconds.
const (
	DefaultMaxLatency = 100
	MinMaxLatency     = 20
	MaxMaxLatency     = 1000
)

// Farthest is MaxLatency, or what it is when it is not said.
func (r Release) Farthest() float64 {
	if r.MaxLatency <= 0 {
		return DefaultMaxLatency
	}
	return float64(r.MaxLatency)
}

// Keeps is the game that sessions of the release keep what players own in.
func (r Release) Keeps() GameID {
	if r.Game != "" {
		return r.Game
	}
	return GameID(r.Place)
}

// Canary is a version that a part of a place's new sessions run instead of the
// live one.
type Canary struct {
	Version Version
	Percent int // of the new sessions, 1 to 99
}

// Lanes are what new sessions of a place run: the live release, and the canary
// in Percent of them.
type Lanes struct {
	Live    Release
	Canary  Release
	Percent int // 0: there is no canary
}

// Publication is how an upload is published.
type Publication struct {
	Stage  bool // it is stored only, for ReleaseChange to release it
	Canary int  // it runs in so many percent of the new sessions, 1 to 99; 0: in all
}

// Published is a version that was published, and what became of it.
type Published struct {
	Release
	Live   bool
	Canary int // percent of the new sessions that run it; 0: none, or it is live
}

// ReleaseChange says what of a place is to change. What it does not say stays.
type ReleaseChange struct {
	Live     Version // is made live, and a canary ends; 0: not
	Canary   *Canary // runs in a part of the new sessions; Percent 0: the canary ends
	Rollback bool    // the canary ends; if there is none, what was live before is live again
	Pin      *bool   // whether publishing makes nothing live
	// Revision is what the place must be at, so that nothing is done twice; 0: at
	// any.
	Revision uint64
}

// Channels is what is released of a place.
type Channels struct {
	Place    PlaceID
	Revision uint64
	Live     Version // 0: nothing yet
	Canary   Canary  // zero: none
	Pinned   bool
	Before   Version   // what a rollback makes live; 0: nothing
	Releases []Release // the newest first, up to 50
}

// Weights are how much each signal counts when a session is chosen; each signal
// is in [0,1], each weight 0 to 100.
type Weights struct {
	Fill    float64 `json:"fill"`    // occupancy: fuller is better
	Latency float64 `json:"latency"` // 1 - min(250 ms, latency)/250 ms
	Friends float64 `json:"friends"` // n/(n+1) for n friends of the party inside
}

// Mode is how a ticket wants to be placed.
type Mode string

// The modes of a ticket.
const (
	ModeDropIn  Mode = "drop-in"
	ModeSession Mode = "session"
	ModeNew     Mode = "new"
	ModeQueue   Mode = "queue"
	ModeFriend  Mode = "friend"
	ModePrivate Mode = "private"
)

// Ticket is a wish to play.
type Ticket struct {
	Key       TicketKey
	Place     PlaceID
	Version   Version    // the place's live version when the ticket came in
	Party     []PlayerID // the caller first, each once; 1 to capacity
	PartyID   PartyID    // of the party object that Party are the members of; empty: none
	Mode      Mode
	Session   SessionID            // of ModeSession
	Friend    PlayerID             // of ModeFriend: whom to follow
	Code      CodeHash             // of ModePrivate: of the session to join; zero: a new one
	Latencies map[RegionID]float64 // ms
	Line      string               // of an earlier Placement of the ticket; no part of the wish
	// Attributes is what Party's players bring to the place's signals, in the
	// order of Party; shorter: the others bring nothing.
	Attributes [][]Attribute
	From       Origin // of a handoff: where the party is, and what comes along; zero: none
	// Regions is what its door thought of the regions before it chose this one; no
	// part of the wish. Nil: there is one.
	Regions []RegionChoice
}

// TicketAsk asks for a ticket that was placed before.
type TicketAsk struct {
	Key    TicketKey
	Player PlayerID // a member of its party, on whose behalf it is asked
	Line   string   // of its last Placement; may be empty
}

// Assignment is what a placed ticket is told, once its session is bound.
type Assignment struct {
	Grant   Grant
	Session Session
}

// Placement is how far a ticket has come: assigned, or waiting for a server.
type Placement struct {
	Assignment *Assignment   // nil while waiting; others may have it, too: it is not changed
	Position   int           // place in line, from 1, while waiting
	Wait       time.Duration // how long it is likely to take, while waiting; 0: not known
	RetryAfter time.Duration // when to ask again, while waiting
	Line       string        // keeps the place when the ticket is sent elsewhere; may be empty
}
