package throng

import (
	"net/netip"
	"time"
)

// ServerState is where a game server stands in its life. One that ran a place
// is never used again.
//
//	Idle ──▶ Bound ──▶ Gone
//	  └─────────────────▲
type ServerState uint8

// The states of a game server.
const (
	ServerIdle ServerState = iota
	ServerBound
	ServerGone
)

// String returns the word that people and the API see.
func (s ServerState) String() string {
	switch s {
	case ServerIdle:
		return "idle"
	case ServerBound:
		return "bound"
	case ServerGone:
		return "gone"
	}
	return "unknown"
}

// CanBecome says whether a server may go from s to next.
func (s ServerState) CanBecome(next ServerState) bool {
	switch s {
	case ServerIdle:
		return next == ServerBound || next == ServerGone
	case ServerBound:
		return next == ServerGone
	case ServerGone:
		return false
	}
	return false
}

// Hello is what a game server says first on its control connection, also when
// it comes back after the control plane was away.
type Hello struct {
	Server      ServerID
	Incarnation Incarnation
	Address     netip.AddrPort // where its players connect
	Web         WebAddress     // where its players in browsers do
	Session     SessionID      // empty while idle
}

// ServerClaim is what a game server is told that its cluster allocated: who it
// is, and how it reaches its orchestrator.
type ServerClaim struct {
	Server ServerID
	Token  string // its credential until a handover brings another
	Region RegionID
	Doors  []string // URLs of the region's doors
}

// Handover gives a session to an idle server: everything that it needs.
type Handover struct {
	Session     SessionID
	Place       PlaceID
	Version     Version
	Package     PackageHash
	Scripts     PackageHash // the package of its manifest and scripts alone; empty: there is none
	Capacity    int
	Private     bool      // as in Session, for the report
	Code        CodeHash  // as in Session, for the report
	Key         [32]byte  // seals this session's join tokens; derived, never stored
	Token       string    // the server's credential for this session only
	Now         time.Time // the registry's clock
	OpenedAt    time.Time
	Incarnation Incarnation // of the server that it is meant for
	// Route is what gateways find the server by, bytes that tokens of its making
	// carry; empty without gateways.
	Route string
}

// OrderKind is what the registry tells a session's server to do.
type OrderKind uint8

// The kinds of orders.
const (
	OrderEvict  OrderKind = iota + 1 // Player at Epoch and below loses the seat
	OrderDrain                       // take no more players, end when empty
	OrderEnd                         // end now
	OrderFlush                       // save Player's profile and let go of it
	OrderReport                      // send the full report
)

// String returns the word that the API uses.
func (k OrderKind) String() string {
	switch k {
	case OrderEvict:
		return "evict"
	case OrderDrain:
		return "drain"
	case OrderEnd:
		return "end"
	case OrderFlush:
		return "flush"
	case OrderReport:
		return "report"
	}
	return "unknown"
}

// ParseOrderKind is String's reverse.
func ParseOrderKind(s string) (OrderKind, error) {
	for _, k := range []OrderKind{OrderEvict, OrderDrain, OrderEnd, OrderFlush, OrderReport} {
		if k.String() == s {
			return k, nil
		}
	}
	return 0, AtField(Invalid, "kind", "%q is not an order", clip(s))
}

// Order goes at once over the control connection, and in heartbeat answers
// until it is acknowledged. IDs count up within a session.
type Order struct {
	ID     uint64
	Kind   OrderKind
	Player PlayerID
	Epoch  Epoch
	Reason string
	// Until is of OrderDrain: when the session ends though players are in it;
	// zero: never.
	Until time.Time
}

// RosterKind is what happened to a player in a session.
type RosterKind uint8

// The kinds of roster changes.
const (
	RosterJoined RosterKind = iota + 1
	RosterLeft
)

// RosterChange takes the session's next revision.
type RosterChange struct {
	Revision Revision
	Kind     RosterKind
	Player   PlayerID
	Epoch    Epoch
	Key      TicketKey // of a join: the hold that becomes the seat
}

// Heartbeat is a bound server's liveness report.
type Heartbeat struct {
	Session     SessionID
	Server      ServerID
	Incarnation Incarnation
	Address     netip.AddrPort    // where its players connect
	Web         WebAddress        // where its players in browsers do; the newest heartbeat's counts
	Attributes  SessionAttributes // of its place's signals; the newest heartbeat's count
	Revision    Revision          // of its roster now
	Changes     []RosterChange    // since the acknowledged revision, in order, without gap
	OrdersDone  uint64            // highest order ID that was carried out
}

// Report is everything that an empty registry needs to know of a session. It
// replaces its seats, never its holds.
type Report struct {
	Heartbeat // Changes is not looked at
	Place     PlaceID
	Version   Version
	Capacity  int
	State     SessionState // Open or Draining
	OpenedAt  time.Time
	Private   bool     // as it was handed over
	Code      CodeHash // as it was handed over
	Seats     []SeatReport
}

// SeatReport is one occupied seat of a full report.
type SeatReport struct {
	Player PlayerID
	Epoch  Epoch
	Key    TicketKey
}

// HeartbeatAnswer is what the registry answers to a heartbeat or a report.
type HeartbeatAnswer struct {
	Now        time.Time     // the registry's clock
	Next       time.Duration // until the next heartbeat, before jitter
	Acked      Revision      // changes up to this one need not be sent again
	Orders     []Order       // not acknowledged yet, oldest first
	WantReport bool          // send the full report at once
	Ended      bool          // the session is over for this server: end
	Reason     string        // why, when Ended
	// EventRate is how many events a second the session's scripts may publish, its
	// share of its place's; 0: nobody says.
	EventRate float64
}

// ServerExit says that a game server's process is over.
type ServerExit struct {
	Server ServerID
	Reason string // "exit status 2", "signal: killed", "node nod_... is away"
}

// SessionChanges is a piece of the feed of a region's sessions.
type SessionChanges struct {
	Cursor   uint64    // pass it to the next call
	Full     bool      // Sessions is all there is: forget the rest
	Sessions []Session // as they are now; ended ones once
}
