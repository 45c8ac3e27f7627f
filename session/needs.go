package session

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// Courier takes orders to game servers at once. Orders also stay in heartbeat
// answers until they are acknowledged, so a lost delivery costs time only.
type Courier interface {
	// Deliver is told of each new order once. It must not block.
	Deliver(s throng.SessionID, server throng.ServerID, o throng.Order)
}

// Codes makes what lets players into private sessions.
type Codes interface {
	// CodeHash is the hash of a session's code, the same each time.
	CodeHash(s throng.SessionID) throng.CodeHash
}

// Store keeps the registry's records in throng.Shards shards. Every operation
// touches one shard, is atomic, takes the time from the store's own clock, and
// may be repeated: it then gives the first answer, or the same refusal.
//
// A shard is live while its stamp is at most StampTime old. If it is older or
// missing, operations answer Unavailable; those that say "always" are served
// all the same. The next stamp starts a generation, and for the store's
// quarantine nothing is granted: operations that say "grants" answer
// Unavailable until then. After it, grants are made only in sessions that were
// opened or have reported in the generation.
type Store interface {
	Players
	Pools
	Shards
}

// Players is a store's records of players, each in throng.PlayerShard.
type Players interface {
	Tickets
	Presences
}

// Pools is a store's sessions, each in its SessionID's Shard.
type Pools interface {
	Sessions
	Seats
	Servers
}

// Tickets is the tickets of callers and the epochs of members.
type Tickets interface {
	// Claim gives the player the next epoch under the ticket, and remembers
	// the ticket if he is its caller. Conflict: it is known with other
	// content. Denied: the player gave it up. RateLimited: he has MaxTickets
	// that are settled. Grants.
	Claim(ctx context.Context, r ClaimRequest) (ClaimResult, error)
	// Settle makes the grant the ticket's answer unless there is one already.
	// Denied: a later ticket of the caller is settled, or he gave this one up.
	// Contention: the claim is not known any more. Grants.
	Settle(ctx context.Context, g throng.Grant) (SettleResult, error)
	// Ticket returns what is remembered of a ticket. NotFound: nothing.
	Ticket(ctx context.Context, k throng.TicketKey) (TicketRecord, error)
	// Leave marks that the player gave the ticket up: from now on his epoch
	// under it is never confirmed.
	Leave(ctx context.Context, r LeaveRequest) (LeaveResult, error)
}

// Presences is where players are and which of their epochs is in force.
type Presences interface {
	// Fence makes the seat the player's only one, and returns the older seats
	// whose eviction is not queued yet. Denied: a later epoch is confirmed or
	// settled; or this one has left or was given up.
	Fence(ctx context.Context, r FenceRequest) ([]Eviction, error)
	// Restore does so for reported seats and returns what became of each, in order;
	// whoever settled a later ticket sits there all the same. Always.
	Restore(ctx context.Context, seats []FenceRequest) ([]Restored, error)
	// Evicted says that the older seat's eviction is queued. Always.
	Evicted(ctx context.Context, e Eviction) error
	// Left says that the player's seat is gone. A newer one is not touched; an
	// epoch that was not confirmed yet never will be. If it was his newest, the
	// older seats are returned whose eviction is not queued yet: nobody else may
	// finish a confirm that he did not wait for. Always.
	Left(ctx context.Context, d Departure) ([]Eviction, error)
	// Presence returns where the player is, PresenceNone if nothing is known.
	// Unavailable: nothing is known, and the shard is in quarantine.
	Presence(ctx context.Context, p throng.PlayerID) (PresenceRecord, error)
}

// Sessions is the life of sessions.
type Sessions interface {
	// Open keeps a new Starting session in which the holds are made already,
	// or returns others of its pool instead that have the room asked for. A
	// session that is known comes back as it is, with those of the holds that
	// live. NoCapacity: the shard has MaxSessions. Grants.
	Open(ctx context.Context, r OpenRequest) (OpenResult, error)
	// Drain takes no more players in. A Starting session drains once it is
	// bound. One that drains already gets another order if Until is set and
	// another one. Ended ones are no error. NotFound: no such session.
	Drain(ctx context.Context, r DrainRequest) (Effects, error)
	// End ends a session and frees its seats and holds. Ended ones are no
	// error. NotFound: no such session. Denied: By is not its server.
	End(ctx context.Context, r EndRequest) (Effects, error)
	// Session returns one session, also an ended one for TombstoneTime.
	// NotFound: no such session; Unavailable instead while in quarantine.
	Session(ctx context.Context, s throng.SessionID) (throng.Session, error)
	// Sessions lists a shard's sessions that have not ended, by ID.
	Sessions(ctx context.Context, r ListRequest) ([]throng.Session, error)
}

// Seats is the room in sessions. A player counts once in a session, however
// many holds and seats he has there.
type Seats interface {
	// Hold keeps seats for all members or for none; a live hold of the key is
	// returned as it is. Full: no room for all, or it takes no players for now.
	// NotFound: unknown, draining or ended. Grants.
	Hold(ctx context.Context, r HoldRequest) (throng.Hold, throng.Session, error)
	// Unhold releases a hold, or one player's seat in it if p is not empty.
	// Seats that are confirmed stay. Unknown ones are no error.
	Unhold(ctx context.Context, s throng.SessionID, k throng.TicketKey, p throng.PlayerID) error
	// Seat makes the hold a seat, or takes one if the hold lapsed and there is
	// room. Denied: neither, or ended, or by another incarnation, or the player
	// has left since the change's revision, or a later epoch sits there.
	// Unavailable: the session has to report first.
	Seat(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) (throng.Session, error)
	// Unseat takes back a seat of exactly this epoch; that is a departure, as it
	// may have been confirmed before it was fenced. Always.
	Unseat(ctx context.Context, s throng.SessionID, m throng.Member) (Effects, error)
	// Evict queues an order for the member's epoch unless a later one sits
	// there or it is queued already. Unknown and ended ones are no error. Always.
	Evict(ctx context.Context, s throng.SessionID, m throng.Member, reason string) (Effects, error)
}

// Servers is what the servers of sessions say. Always, unless said otherwise.
type Servers interface {
	// Heartbeat binds, extends the lease and applies contiguous roster changes. Before
	// that it takes note of what was published, as Published does; 0: nothing.
	Heartbeat(ctx context.Context, h throng.Heartbeat, published uint64) (throng.HeartbeatAnswer, Effects, error)
	// Report replaces the seats, makes an unknown session and returns all its
	// seats in Effects. Invalid: it contradicts itself or what is known.
	Report(ctx context.Context, r throng.Report) (throng.HeartbeatAnswer, Effects, error)
	// Seated returns the epoch of the player's seat, as far as the server is heard; 0:
	// he has none. Unavailable: it has to report first, or may still do so. Live.
	Seated(ctx context.Context, s throng.SessionID, p throng.PlayerID) (throng.Epoch, error)
	// Published says that departures up to and with this number reached the
	// players' records.
	Published(ctx context.Context, s throng.SessionID, upTo uint64) error
}

// Shards is what a store does by the clock.
type Shards interface {
	// Stamp says that a registry process looks after the shard, and which census
	// is the newest one that it knows of. Servers whose last report was before
	// the shard's census are asked for another one. Always.
	Stamp(ctx context.Context, shard uint8, census uint64) (StampResult, error)
	// Sweep forgets what is over and returns what needs a decision. Always; but
	// nothing lapses in a shard that is not live: it was the registry that was
	// silent.
	Sweep(ctx context.Context, shard uint8) (SweepResult, error)
	// Expire ends or suspends a session if its lease is still over.
	Expire(ctx context.Context, r ExpireRequest) (Effects, error)
	// Changes blocks until a session changed after cursor, and returns what
	// changed. Cursor 0, or one that is too old: all that there are. A session
	// is told of no later than those of its pool with higher Numbers. While a
	// shard is not live or in quarantine it waits.
	Changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error)
	// Now is the store's clock. Unavailable while any shard is not live or in
	// quarantine.
	Now(ctx context.Context) (time.Time, error)
}
