package copies

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/profile"
)

// Log is another region's log of events.
type Log interface {
	// Follow hands a stream's events to a member of a group until ctx ends: those of a
	// partition in their order, by one call at a time, again after an error, and what was
	// taken perhaps again after a restart. An error: it has to begin anew.
	Follow(ctx context.Context, group string, s throng.Stream, h Handler) error
	// Reached calls heard now and then with a moment and how many partitions there are,
	// until ctx ends: the group has taken all that the stream had then. An error: it has
	// to begin anew.
	Reached(ctx context.Context, group string, s throng.Stream, heard func(at time.Time, partitions int)) error
}

// Handler takes events. A follower is one.
type Handler interface {
	// Handle applies a partition's next events. Nil: for good. Otherwise they are to come
	// again.
	Handle(ctx context.Context, s throng.Stream, partition int32, batch []throng.EventRecord) error
	// Idle is called now and then for a partition without events.
	Idle(ctx context.Context, s throng.Stream, partition int32) error
	// Lost says that another process has the partition from now on.
	Lost(s throng.Stream, partition int32)
	// Strange says how many records were no events.
	Strange(s throng.Stream, partition int32, n int)
}

// Verdict says what to do with what a region wrote.
type Verdict uint8

const (
	// Apply it: the region is the home.
	Apply Verdict = iota
	// Ignore it: it is of no use here.
	Ignore
	// Late: the region is the home no more, and wrote it under an older term.
	Late
)

// Judge knows who is the home.
type Judge interface {
	// Accept says what to do with what a region wrote under a term. It does not wait.
	Accept(region throng.RegionID, term uint64) Verdict
}

// Profiles are the own store's.
type Profiles interface {
	// Copy stores a profile as another store has it, if it is newer than what is here;
	// see profile.Mirror.
	Copy(ctx context.Context, k profile.Key, h profile.Head, s *profile.Save) error
}

// Ledger is the own one.
type Ledger interface {
	// Copy takes in a transfer as another region's ledger posted it; see ledger.Ledger.
	Copy(ctx context.Context, p ledger.Posting) error
	// Fence sets a player's fence if it is lower. Denied: it is higher.
	Fence(ctx context.Context, g throng.GameID, p throng.PlayerID, e throng.Epoch) error
	// Record returns a transfer. NotFound: it is not here.
	Record(ctx context.Context, g throng.GameID, k ledger.Key) (ledger.Record, error)
}
