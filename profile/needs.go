package profile

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

type (
	// Key names a player's profile in a game.
	Key = throng.ProfileKey

	// Claim is a session's right to a profile.
	Claim = throng.ProfileClaim

	// Head is what is known of a profile beside its documents.
	Head struct {
		Fence    throng.Epoch     // of the last checkout; 0: none yet
		Holder   throng.SessionID // of the last checkout
		Returned bool             // the holder has let go of it
		Revision throng.Revision  // of the newest save; 0: none
	}

	// Save is one saved document.
	Save struct {
		Revision throng.Revision
		Fence    throng.Epoch     // under which it was saved
		Holder   throng.SessionID // that saved it; empty: it was restored
		SavedAt  time.Time        // whole milliseconds
		Size     int              // of the document, bytes
		Data     []byte           // compressed; not to be changed by readers
	}
)

// Kept is how many saves of a profile are kept.
const Kept = 10

// Store keeps profiles.
type Store interface {
	// Head returns what is known of a profile, with every write before the call.
	// One that is not there is empty.
	Head(ctx context.Context, k Key) (Head, error)
	// Checkout sets fence and holder, if the fence is higher than the stored one,
	// or the same with the same holder, and returns the head as it is then. Denied:
	// it is not.
	Checkout(ctx context.Context, k Key, fence throng.Epoch, holder throng.SessionID) (Head, error)
	// Save stores a save as the newest one, if fence and holder are the stored
	// ones and its revision is the next; returned lets go of the profile with it.
	// It is durable when Save returned nil. The same save again is no error.
	// Denied: fence or holder are others, or it was returned. Conflict: its
	// revision is not the next one, or has other content.
	Save(ctx context.Context, k Key, s Save, returned bool) error
	// Return lets go of a profile without a save. The same again is no error.
	// Denied: fence or holder are others.
	Return(ctx context.Context, k Key, fence throng.Epoch, holder throng.SessionID) error
	History
}

// Mirror is a store that also takes in what other stores have.
type Mirror interface {
	Store
	// Copy stores a profile as another store has it, if it is newer than what is
	// here: by fence, then revision, then that it was returned. s is its newest save,
	// of h's revision; nil: it is not told, and is only missing here if it is newer
	// than the last one that was. Not newer: nothing, and no error.
	Copy(ctx context.Context, k Key, h Head, s *Save) error
}

// History reads saves.
type History interface {
	// Saved returns a save; revision 0: the newest. NotFound: there is none, or it
	// is not kept any more.
	Saved(ctx context.Context, k Key, revision throng.Revision) (Save, error)
	// Saves lists what is kept, the newest first, without Data.
	Saves(ctx context.Context, k Key) ([]Save, error)
}

// Wallets are the accounts of the ledger, which have the same fence.
type Wallets interface {
	// Fence sets a player's fence if it is lower. Denied: it is higher.
	Fence(ctx context.Context, g throng.GameID, p throng.PlayerID, e throng.Epoch) error
}

// Flusher asks a session's game server to save a player's profile and let go of
// it. It does not wait.
type Flusher interface {
	Flush(ctx context.Context, s throng.SessionID, p throng.PlayerID, e throng.Epoch)
}

// Changes hears of profiles that changed, or may have.
type Changes interface {
	// Changed does not wait.
	Changed(k Key)
}

// Log takes events.
type Log interface {
	// Publish writes events, in their order. Nil: they are durable. Invalid: one of
	// them can never be written. Any other error: it is not known which are.
	Publish(ctx context.Context, list []throng.Event) error
}
