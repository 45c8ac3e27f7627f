package home

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// Owned is what one region can do with what players own.
type Owned interface {
	Profiles
	Saves
	Ledger
}

// Profiles keeps documents.
type Profiles interface {
	// Checkout gives the claim's session the profile and fences older ones.
	Checkout(ctx context.Context, c throng.ProfileClaim) (throng.Profile, error)
	// Save makes the document the next revision.
	Save(ctx context.Context, c throng.ProfileClaim, revision throng.Revision, document []byte) error
	// Return lets go of the profile, and saves before unless document is nil.
	Return(ctx context.Context, c throng.ProfileClaim, revision throng.Revision, document []byte) error
}

// Saves is what is kept of profiles.
type Saves interface {
	// Get returns a profile as it was saved in a revision; 0: last.
	Get(ctx context.Context, k throng.ProfileKey, revision throng.Revision) (throng.Profile, error)
	// Saves lists what is kept, the newest first.
	Saves(ctx context.Context, k throng.ProfileKey) ([]throng.ProfileSave, error)
	// Restore makes an older save the newest, and returns its revision.
	Restore(ctx context.Context, k throng.ProfileKey, revision throng.Revision) (throng.Revision, error)
}

// Ledger keeps what players own for good.
type Ledger interface {
	// Post posts a transfer, once however often it is called.
	Post(ctx context.Context, o throng.TransferOrder) (throng.Receipt, error)
	// Inventory is what a player owns.
	Inventory(ctx context.Context, g throng.GameID, p throng.PlayerID) (throng.Holding, error)
	// Entries lists a player's newest transfers at or before a moment; zero: now.
	Entries(ctx context.Context, g throng.GameID, p throng.PlayerID, before time.Time, limit int) ([]throng.LedgerEntry, error)
}

// Store keeps who is home, for all control planes of the region.
type Store interface {
	// Home returns it; zero: nobody has said yet.
	Home(ctx context.Context) (throng.Home, error)
	// SetHome sets it if its term is higher; the same again is no error. Conflict: it
	// is not.
	SetHome(ctx context.Context, h throng.Home) error
}

// Regions is what is known of the other regions, and how they are called.
type Regions interface {
	// Known returns what each of them said last, however old.
	Known() []throng.RegionSummary
	// Heard says whether one was heard within the last seconds.
	Heard(r throng.RegionID) bool
	// Owned is what another region's door does. Unavailable: it does not answer.
	Owned(r throng.RegionID) Owned
	// Yield tells another region who is home. When it returned nil that region
	// writes nothing more under an older term.
	Yield(ctx context.Context, r throng.RegionID, h throng.Home) error
}

// Copies is what brings other regions' writes into the own store.
type Copies interface {
	// Behind is how old the copy is of what a region wrote. False: it is not known.
	Behind(r throng.RegionID) (time.Duration, bool)
	// Losses are transfers that another region wrote in an older term and that never got
	// here before it was over.
	Losses(ctx context.Context) ([]throng.HomeLoss, error)
	// Flush returns when all that this region wrote can be copied by the others.
	Flush(ctx context.Context) error
}
