package party

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// Record is a party as a Store keeps it.
type Record struct {
	throng.Party
	Touched time.Time // when a member last asked for it
}

// Store keeps parties and which one each player is in. Every operation touches
// one party or one player, and is atomic.
type Store interface {
	Records
	Players
}

// Records is a Store's parties.
type Records interface {
	// Get returns a party. NotFound: there is none.
	Get(ctx context.Context, id throng.PartyID) (Record, error)
	// Swap keeps the record if the kept one has its Revision (0: there is none),
	// and returns it with the next one. A record without members is forgotten.
	// Conflict: another revision is kept. Unavailable: there are too many.
	Swap(ctx context.Context, r Record) (Record, error)
	// Await blocks until the party has another revision than this one, or there
	// is no such party; ctx's error when it ends before.
	Await(ctx context.Context, id throng.PartyID, revision uint64) error
	// Idle returns up to limit parties that were last touched before the time.
	Idle(ctx context.Context, before time.Time, limit int) ([]throng.PartyID, error)
}

// Players is which party each player is in.
type Players interface {
	// Of returns the player's party; empty: none.
	Of(ctx context.Context, p throng.PlayerID) (throng.PartyID, error)
	// Move makes to the player's party if from is (empty: none). Repeated, it is
	// no error. Conflict: he is in neither.
	Move(ctx context.Context, p throng.PlayerID, from, to throng.PartyID) error
}
