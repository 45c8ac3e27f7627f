package match

import (
	"context"

	"github.com/throng-gg/throng"
)

// Registry is what matching needs of the session registry. Every method may be
// repeated with the same arguments and then gives the same answer.
type Registry interface {
	// Claim takes the next epoch in each member's record. It fences nothing. A
	// ticket that was settled comes back with its Grant. Conflict: the ticket
	// is known with other content.
	Claim(ctx context.Context, t throng.Ticket) (throng.Claim, error)
	// Hold keeps seats for all members or for none, and returns the session as
	// it is after that. Full: not room for all. NotFound: no such session, or
	// it takes no players any more.
	Hold(ctx context.Context, c throng.Claim, s throng.SessionID) (throng.Hold, throng.Session, error)
	// Settle makes the hold the ticket's answer. The first answer wins: the
	// grant returned may be of another session, and the losing hold is released
	// as is the caller's earlier unconfirmed one.
	Settle(ctx context.Context, c throng.Claim, h throng.Hold) (throng.Grant, error)
	// Unhold gives up a hold that was not settled. Unknown holds are no error.
	Unhold(ctx context.Context, s throng.SessionID, k throng.TicketKey) error
	// Lookup returns a ticket that was claimed before. NotFound: never seen, or
	// forgotten after throng.TicketTime.
	Lookup(ctx context.Context, k throng.TicketKey) (throng.Claim, error)
}

// Drafts names sessions, without I/O. Nothing is kept until OpenFor.
type Drafts interface {
	// Draft names a new session of the release.
	Draft(r throng.Release) (throng.Session, error)
	// DraftPrivate is Draft for a session that has a code.
	DraftPrivate(r throng.Release) (throng.Session, error)
}

// Endings is how sessions that came to nothing end.
type Endings interface {
	// End ends a session, with the reason for people. Ended ones are no error.
	End(ctx context.Context, s throng.SessionID, reason string) error
	// Abandon ends a session if nobody is in it or on the way to it.
	Abandon(ctx context.Context, s throng.SessionID, reason string) error
}

// Sessions is the registry as a source of sessions.
type Sessions interface {
	Drafts
	Endings
	// OpenFor makes the draft a Starting session in which the parties have their
	// holds from its first moment, or returns others that have room instead, see
	// throng.Opening. It may be repeated while its outcome is not known.
	OpenFor(ctx context.Context, o throng.Opening) (throng.Opened, error)
	// Session returns one session, also an ended one while it is remembered.
	Session(ctx context.Context, s throng.SessionID) (throng.Session, error)
	// Changes blocks until something changed after cursor, and returns it.
	// Cursor 0, or one that is too old, returns all with Full set. A session is
	// told of no later than those of its pool with higher Numbers.
	Changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error)
}

// Origins is the registry's word on who may be moved from where.
type Origins interface {
	// Bound returns the session that a server speaks for. Denied: it has ended,
	// or is another server's.
	Bound(ctx context.Context, h throng.Heartbeat) (throng.Session, error)
	// Sits says whether each of the players has a confirmed seat in the session
	// under just that epoch. Denied: one has not.
	Sits(ctx context.Context, s throng.SessionID, members []throng.Member) error
}

// Friends says where players' friends are, as far as the friends let them know.
type Friends interface {
	// Follow returns the session that the friend plays in. NotFound: none, or
	// the caller may not know, or there is no such player; nobody can tell which.
	Follow(ctx context.Context, caller, friend throng.PlayerID) (throng.SessionID, error)
	// Around returns the sessions that mutual friends of the party play in, by
	// ID, each once, those that were seen last; their number is bounded.
	Around(ctx context.Context, party []throng.PlayerID) ([]throng.SessionFriends, error)
}

// Fleet gives a server to a session.
type Fleet interface {
	// Start returns at once. The session will be bound, or ended with a reason.
	// NoCapacity: there is no idle server and no more may be started.
	Start(s throng.Session, r throng.Release) error
	// Resume is Start for a session that is Starting for long, perhaps because
	// who opened it is gone. While somebody is finding a server for it, it does
	// nothing. It may take a second, and be called often.
	Resume(ctx context.Context, s throng.Session, r throng.Release) error
}

// Servers says how many more sessions the region's game servers can take.
type Servers interface {
	// Room returns it as far as this process knows. Unavailable: it cannot be
	// said now.
	Room() (throng.ServerRoom, error)
}

// LineKeys is what places in line are signed with, the same for all of a region.
type LineKeys interface {
	// LineKey returns the key that signs now.
	LineKey() [32]byte
	// LineKeys returns all keys that count, a few at most.
	LineKeys() [][32]byte
}

// Log is where creators read what became of their places' sessions.
type Log interface {
	// Add writes lines to a place's log. It does not wait.
	Add(place throng.PlaceID, lines ...throng.LogLine)
}

// Joins remembers what became of tickets, and why.
type Joins interface {
	// Record takes what there is to say of the work on one ticket. It does not
	// wait, and may forget.
	Record(r throng.JoinRecord)
}

// Places says what is live.
type Places interface {
	// Lanes returns what new sessions of a place run. NotFound: no such place.
	Lanes(ctx context.Context, p throng.PlaceID) (throng.Lanes, error)
	// Version returns one release, live or not. NotFound: no such place or
	// version.
	Version(ctx context.Context, p throng.PlaceID, v throng.Version) (throng.Release, error)
}
