package anticheat

import (
	"context"

	"github.com/throng-gg/throng"
)

// Bans keeps who may not play.
type Bans interface {
	// Put keeps a ban. The same ID again changes nothing, also when it was lifted
	// meanwhile; of two of one player the one that ends later stays.
	Put(ctx context.Context, b throng.Ban) error
}

// Orders reaches sessions.
type Orders interface {
	// Evict puts a player out of the session where he plays, if he plays. It may
	// be repeated.
	Evict(ctx context.Context, p throng.PlayerID, reason string) error
}

// Limits says what places and catalogs allow, from memory but for the first question
// and once in a while, which may take a second; false: it is not known, and nobody is
// judged by it.
type Limits interface {
	// Speed returns how fast a place's players move, in units a second.
	Speed(place throng.PlaceID) (float64, bool)
	// Most returns how much of an item one player can have.
	Most(game throng.GameID, item throng.ItemID) (int64, bool)
}
