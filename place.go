package throng

import "time"

// Release is what is live of a place: one version and what every part needs to
// know of it.
type Release struct {
	Place     PlaceID
	Name      string
	Version   Version
	Package   PackageHash
	Capacity  int // seats a session, 1 to 200
	TickRate  int // Hz
	Weights   Weights
	Signals   []Signal // the place's own, by name; at most MaxSignals
	Published int64    // Unix milliseconds
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
}

// Assignment is what a placed ticket is told, once its session is bound.
type Assignment struct {
	Grant   Grant
	Session Session
}

// Placement is how far a ticket has come: assigned, or waiting for a server.
type Placement struct {
	Assignment *Assignment   // nil while waiting
	Position   int           // place in line, from 1, while waiting
	Wait       time.Duration // how long it is likely to take, while waiting; 0: not known
	RetryAfter time.Duration // when to ask again, while waiting
	Line       string        // keeps the place when the ticket is sent elsewhere; may be empty
}
