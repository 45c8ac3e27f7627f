package session

import (
	"time"

	"github.com/throng-gg/throng"
)

// Times and bounds of the registry, beyond those in the dictionary.
const (
	TickTime      = time.Second      // between stamps of a shard
	StampTime     = 2 * time.Second  // a shard whose stamp is older is not live
	StartTime     = 30 * time.Second // a session that is not bound by then ends
	TombstoneTime = time.Hour        // how long an ended session is remembered
	LeftTime      = 24 * time.Hour   // how long it is remembered that a player left

	MaxCapacity   = 200     // seats of a session
	MaxTickets    = 128     // a caller's remembered tickets, and a member's epochs under others' tickets
	MaxHolds      = 1024    // of one session
	MaxOrders     = 512     // of one session that are not acknowledged
	MaxChanges    = 1024    // roster changes of one heartbeat; more ask for a report
	MaxDepartures = 1024    // of one session that are not published
	MaxSessions   = 1 << 16 // of one shard that have not ended; as many ended ones are remembered
	MaxPlayers    = 1 << 18 // records of one shard
	MaxOthers     = 64      // sessions that are returned instead of opening one
	MaxLook       = 256     // newest sessions of a pool that are looked at for room
)

// overdueTime is how long before the end of its lease a session counts as
// overdue: it missed a heartbeat (5 s, late by a tenth) and half a second more.
// Heartbeats come at different phases, so sessions cut off at one moment lapse
// over 5 s; counting the overdue shows all of them when the first one lapses. It
// also shows them, to a sweep a second, before any may lapse after the door is
// open again: a server that was shut out for 7 s may not be heard before its
// lease is over (5.5 s before that, 2 s for a try that fails, half a second to the
// next), and would be ended alone when the others were heard.
const overdueTime = throng.LeaseTime - throng.HeartbeatTime*11/10 - 500*time.Millisecond

// Overdue is the time before which a lease must end to count as overdue.
func Overdue(now time.Time) time.Time { return now.Add(overdueTime) }

// ClaimRequest asks for one member's epoch under a ticket.
type ClaimRequest struct {
	Player throng.PlayerID
	Region uint8 // makes the epoch
	// Known is the highest epoch that is known beside the player's record; a new one is
	// later.
	Known throng.Epoch
	// Ticket is remembered in the record of its caller; of other members only
	// its key is.
	Ticket throng.Ticket
}

// ClaimResult is a member's epoch, or the ticket's answer if it has one.
type ClaimResult struct {
	Epoch throng.Epoch
	Grant *throng.Grant // only in the caller's record
}

// HoldRef names a hold.
type HoldRef struct {
	Session throng.SessionID
	Key     throng.TicketKey
}

// SettleResult is the ticket's answer and the holds that it makes void: the
// loser's, and the caller's earlier ones that he did not confirm. A repeat
// returns the same.
type SettleResult struct {
	Grant   throng.Grant
	Release []HoldRef
}

// TicketRecord is what is remembered of a ticket in its caller's record.
type TicketRecord struct {
	Ticket throng.Ticket // without Latencies and Attributes
	Epoch  throng.Epoch  // the caller's
	Grant  *throng.Grant
	Left   bool // the caller gave it up
}

// LeaveRequest gives a ticket up for one player.
type LeaveRequest struct {
	Key    throng.TicketKey
	Player throng.PlayerID
	Epoch  throng.Epoch // his, as granted; zero: as claimed
	// Cancel: it is the caller who gives the ticket up for this member. A
	// confirmed seat stays.
	Cancel bool
}

// LeaveResult is what there is to give back.
type LeaveResult struct {
	Grant *throng.Grant // the ticket's answer, if the player is its caller
	Seat  *Eviction     // the confirmed seat, to be evicted
}

// FenceRequest makes a seat a player's only one.
type FenceRequest struct {
	Player   throng.PlayerID
	Epoch    throng.Epoch
	Session  throng.SessionID
	Place    throng.PlaceID
	Key      throng.TicketKey
	Revision throng.Revision
}

// Restored is what became of a reported seat.
type Restored struct {
	Older []Eviction // seats whose eviction is not queued yet
	Err   error      // Denied: the seat has to go
}

// Eviction names a seat that has to go.
type Eviction struct {
	Player  throng.PlayerID
	Session throng.SessionID
	Epoch   throng.Epoch
}

// PresenceRecord is what a player's record says of where he is.
type PresenceRecord struct {
	throng.Presence

	// Doubtful: he joined before the newest census, so that he left may be lost.
	Doubtful bool
}

// Departure is a seat that came free. Number counts within the session.
type Departure struct {
	Number   uint64
	Player   throng.PlayerID
	Session  throng.SessionID
	Place    throng.PlaceID
	Epoch    throng.Epoch
	Revision throng.Revision
}

// HoldRequest asks for a party's seats.
type HoldRequest struct {
	Session throng.SessionID
	Key     throng.TicketKey
	Members []throng.Member // the caller first
}

// OpenRequest asks for a new session.
type OpenRequest struct {
	// Session is a draft: ID, Place, Version, Capacity, Private and Code are
	// looked at. Its Number will be the higher of 1 past the shard's highest and
	// the clock in microseconds, so that it grows over losses too.
	Session throng.Session
	// Holds are made in it; their Session is not looked at. They fit.
	Holds []HoldRequest
	// Room over 0: if any of the pool's public sessions whose Number is over
	// Seen takes holds and has so many free seats, these are returned instead,
	// the lowest Number first: until they seat all of Holds, at most MaxOthers.
	// Only the newest MaxLook of the pool are looked at.
	Room int
	Seen uint64
}

// OpenResult is the new session with its holds, in their order, or Others. A
// hold that a known session has not any more is zero.
type OpenResult struct {
	Session throng.Session
	Holds   []throng.Hold
	Others  []throng.Session
}

// EndRequest ends a session.
type EndRequest struct {
	Session throng.SessionID
	Reason  string
	Failed  bool // the place's script ended it
	// By is the session's server when it is the one that says so. A Starting
	// session may be ended by the first server that speaks for it.
	By *throng.Heartbeat
	// IfEmpty refuses with Conflict when there is a seat or a hold.
	IfEmpty bool
}

// DrainRequest drains a session.
type DrainRequest struct {
	Session throng.SessionID
	Reason  string
	Until   time.Time // goes into the order; zero: no end is set
}

// ListRequest lists a shard's sessions.
type ListRequest struct {
	Shard uint8
	Place throng.PlaceID   // empty: all
	After throng.SessionID // empty: from the first
	Limit int
}

// Effects is what an operation on a session leaves to do elsewhere.
type Effects struct {
	Session throng.SessionID
	Server  throng.ServerID // empty while not bound
	Orders  []throng.Order  // new ones, for the courier
	Left    []Departure     // all that are not published yet
	Seats   []FenceRequest  // of a report: to be fenced
}

// StampResult says how a shard is.
type StampResult struct {
	Now        time.Time
	Generation uint64
	Began      bool      // this stamp started the generation
	ReadyAt    time.Time // grants are made from then on
	// Census is the newest one that the shard knows of: Unix milliseconds, or more if
	// two were to be the same. A stamp that starts a generation starts a census,
	// too: the shard may lack what its players did in sessions of other shards.
	Census uint64
}

// SweepResult is what a sweep found in one shard.
type SweepResult struct {
	Starting, Open, Draining int // sessions
	Seated, Held             int // players
	// Overdue is the number of bound sessions that are lapsed or about to, see
	// Overdue; suspended ones count for HeartbeatTime.
	Overdue int
	Lapsed  []Lapse   // leases that are over, at most 1,024
	Left    []Effects // departures that nobody is known to have published for 12 s, at most 64
}

// Lapse is a session whose lease is over.
type Lapse struct {
	Session throng.SessionID
	Server  throng.ServerID // empty: it was never bound
	Until   time.Time       // the end of the lease
}

// ExpireRequest decides on a session whose lease is over.
type ExpireRequest struct {
	Session throng.SessionID
	Until   time.Time // the end of the lease that was seen; a newer one voids the request
	// Reason ends the session. Empty: it is only suspended and takes no joins
	// until it reports.
	Reason string
}

// Fault lets a test break a store: it is called with the name of the method
// before and after each operation persists, and may block. Its error is what
// the caller gets.
type Fault func(op string, at Point) error

// Point is a moment of an operation at which a Fault can strike.
type Point uint8

// The points of an operation.
const (
	BeforePersist Point = iota + 1 // nothing happened
	AfterPersist                   // it happened; its answer is lost
)

// Rebuilding is the error of a store whose shard can't answer yet.
func Rebuilding(after time.Duration) error {
	return throng.RetryLater(throng.Unavailable, max(after, 100*time.Millisecond), "the registry is rebuilding")
}
