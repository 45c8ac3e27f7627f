package friend

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// Record is what is known of a player. The zero value is right for who set
// nothing.
type Record struct {
	Friends []throng.PlayerID // sorted, each once
	Claimed bool              // the list came with an access token
	Privacy throng.Privacy    // empty: throng.PrivacyEveryone
	// When the list and the setting were set, as far as that is remembered.
	FriendsAt, PrivacyAt throng.Stamp
}

// Friend is a mutual friend.
type Friend struct {
	Player  throng.PlayerID
	Privacy throng.Privacy // as in Record
	Seen    time.Time      // when he last joined something; zero: not known
}

// StampTime is for how long at least it is remembered when something was set that is
// as if it never was: who follows other regions begins a day back.
const StampTime = 8 * 24 * time.Hour

// Store keeps records. Every operation is atomic and can be repeated.
type Store interface {
	// Record returns what is known of a player.
	Record(ctx context.Context, p throng.PlayerID) (Record, error)
	// SetFriends replaces the player's list unless that has the same stamp or a newer
	// one, and says whether it did. Unavailable: there is no room.
	SetFriends(ctx context.Context, p throng.PlayerID, friends []throng.PlayerID, claimed bool, at throng.Stamp) (set bool, err error)
	// SetPrivacy replaces the player's setting likewise. Unavailable: there is no room.
	SetPrivacy(ctx context.Context, p throng.PlayerID, privacy throng.Privacy, at throng.Stamp) (set bool, err error)
	// Seen says that the player was here, which is kept of those who have a record,
	// and returns whether he has one.
	Seen(ctx context.Context, p throng.PlayerID, at time.Time) (known bool, err error)
	// Mutual returns those of the player's list whose list has him, by ID.
	Mutual(ctx context.Context, p throng.PlayerID) ([]Friend, error)
}

// Presences says where players are.
type Presences interface {
	// Presence returns where a player is, PresenceNone if nothing is known.
	Presence(ctx context.Context, p throng.PlayerID) (throng.Presence, error)
}
