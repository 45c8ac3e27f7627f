package throng

import (
	"net/netip"
	"time"
)

// SessionState is where a session stands in its life.
//
//	Starting ──▶ Open ──▶ Draining ──▶ Ended
//	    └──────────┴─────────────────────▲
//
// Starting has no bound server yet: seats can be held, nobody can connect.
// Open takes players. Draining takes none. Ended is final, and remembered for a
// while so that a server that comes back is told.
type SessionState uint8

// The states of a session.
const (
	SessionStarting SessionState = iota
	SessionOpen
	SessionDraining
	SessionEnded
)

// String returns the word that people and the API see.
func (s SessionState) String() string {
	switch s {
	case SessionStarting:
		return "starting"
	case SessionOpen:
		return "open"
	case SessionDraining:
		return "draining"
	case SessionEnded:
		return "ended"
	}
	return "unknown"
}

// ParseSessionState is String's reverse.
func ParseSessionState(s string) (SessionState, error) {
	for _, state := range []SessionState{SessionStarting, SessionOpen, SessionDraining, SessionEnded} {
		if state.String() == s {
			return state, nil
		}
	}
	return 0, AtField(Invalid, "state", "%q is not starting, open, draining or ended", clip(s))
}

// CanBecome says whether a session may go from s to next.
func (s SessionState) CanBecome(next SessionState) bool {
	switch s {
	case SessionStarting:
		return next == SessionOpen || next == SessionEnded
	case SessionOpen:
		return next == SessionDraining || next == SessionEnded
	case SessionDraining:
		return next == SessionEnded
	case SessionEnded:
		return false
	}
	return false
}

// Session is a running copy of one version of a place, as the registry knows it.
type Session struct {
	ID          SessionID
	Place       PlaceID
	Version     Version
	State       SessionState
	Capacity    int               // seats, 1 to 200
	Seated      int               // players whose seats are confirmed
	Held        int               // seats held and not yet confirmed
	Server      ServerID          // empty while Starting
	Incarnation Incarnation       // the one life of the one server that it is bound to
	Address     netip.AddrPort    // UDP address that players connect to; valid once bound
	Web         WebAddress        // where browsers connect; as the newest heartbeat says
	Attributes  SessionAttributes // of its place's signals; as the newest heartbeat says
	OpenedAt    time.Time         // by the registry's clock, as all times here
	BoundAt     time.Time         // zero while Starting
	LeaseUntil  time.Time         // believed until then
	Revision    Revision          // of the roster
	Private     bool              // only who knows its code comes in; listed nowhere
	Code        CodeHash          // of a private one
	Reason      string            // why it ended, for people
	Failed      bool              // its script ended it, see Ending
	// Number grows with each session that is opened, or reported to a registry
	// that did not know it: who has seen one has heard of all lower ones.
	Number uint64
}

// Ending is why a session is over.
type Ending struct {
	Reason string // for people
	// Failed says that the place's script ended it: it could not start, or used
	// more steps or memory than it may.
	Failed bool
}

// Free is the number of seats that can still be held.
func (s Session) Free() int { return max(s.Capacity-s.Seated-s.Held, 0) }

// Member is one player of a party with the epoch of this claim.
type Member struct {
	Player PlayerID
	Epoch  Epoch
}

// TicketKey names a wish to play: a ticket belongs to its caller.
type TicketKey struct {
	Caller PlayerID
	Ticket TicketID
}

// Hold is a party's seats in one session, all of them or none, kept until
// Until. While the session is Starting, Until is not running yet (zero): it is
// set to HoldTime past the moment at which the session is bound.
type Hold struct {
	Key     TicketKey
	Session SessionID
	Members []Member // the caller first
	HeldAt  time.Time
	Until   time.Time
}

// Opening asks for a new session with its first players in it.
type Opening struct {
	Session Session // a draft
	// Parties hold seats in it from its first moment, before anybody else can.
	Parties []Claim
	// Room over 0: the session is not opened if others of its pool, public ones
	// whose Number is over Seen, have room for so many.
	Room int
	Seen uint64
}

// Opened is what became of an Opening.
type Opened struct {
	Session Session // as it is; its ID is empty if it was not opened
	Holds   []Hold  // of the parties, in their order
	// Others have room, so the session was not opened. By Number; there may be
	// more with higher numbers.
	Others []Session
}

// Times of the join, by the registry's clock.
const (
	HoldTime      = 10 * time.Second // how long seats are held
	TokenTime     = 8 * time.Second  // how long a join token is good; less than HoldTime
	LeaseTime     = 15 * time.Second // silence after which a session is given up
	HeartbeatTime = 5 * time.Second  // between heartbeats, jittered by a tenth
	TicketTime    = 10 * time.Minute // how long a ticket's answer is remembered
)

// Claim is a ticket with an epoch for each member. Claiming fences nothing.
type Claim struct {
	Ticket
	Members []Member // the caller first
	Grant   *Grant   // not nil when the ticket was settled before
}

// Grant is the settled answer to a ticket: the first one wins, and a repeat
// of the ticket gets the same.
type Grant struct {
	Hold
	Place   PlaceID
	Version Version
	Nonce   [24]byte // from which the same join tokens are made again; never the token itself
	// Attributes is what Members bring to the place's signals, in the order of
	// Members, for their join tokens; shorter: the others bring nothing.
	Attributes [][]Attribute
}

// AttributesOf is what a member brings to the place's signals.
func (g Grant) AttributesOf(p PlayerID) []Attribute {
	for i, m := range g.Members {
		if m.Player == p && i < len(g.Attributes) {
			return g.Attributes[i]
		}
	}
	return nil
}

// TokenExpiry is when the grant's join tokens end, given its session's BoundAt.
func (g Grant) TokenExpiry(boundAt time.Time) time.Time {
	from := g.HeldAt
	if boundAt.After(from) {
		from = boundAt
	}
	return from.Add(TokenTime)
}

// PresenceState says how sure we are where a player is.
type PresenceState uint8

// The states of a player's presence.
const (
	PresenceNone    PresenceState = iota // never seen, or forgotten
	PresencePlaying                      // has a confirmed seat
	PresenceLeft                         // had one; kept for 24 h
)

// String returns the word that people and the API see.
func (s PresenceState) String() string {
	switch s {
	case PresenceNone:
		return "none"
	case PresencePlaying:
		return "playing"
	case PresenceLeft:
		return "left"
	}
	return "unknown"
}

// Presence is where a player is. The newest by (Epoch, Revision) wins; no clocks.
type Presence struct {
	Player   PlayerID
	State    PresenceState
	Session  SessionID
	Place    PlaceID
	Epoch    Epoch
	Revision Revision
}
