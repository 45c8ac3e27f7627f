package consumer

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// Shard is what one group of consumers makes of one partition of one stream.
type Shard struct {
	Group     string // "analytics": [a-z0-9-]
	Stream    throng.Stream
	Partition int32
}

type (
	// Row is one thing that a shard knows.
	Row struct {
		Key   string
		Value []byte // nil: it is gone
	}

	// Page is the events that one commit has handled.
	Page struct {
		Number uint64 // of the commit
		Floor  int64  // their lowest offset
		Next   int64  // behind their highest one; not stored
		IDs    []uint64
	}

	// Mark is how far a shard is.
	Mark struct {
		Number uint64 // of its last commit; 0: there is none
		Floor  int64  // events before this offset are handled, whatever their ID
		Next   int64  // behind the highest offset that was handled
	}

	// Commit is one step of a shard. All of it is written or nothing is.
	Commit struct {
		Mark
		Page   Page     // no IDs: it is not kept
		Forget []uint64 // numbers of pages
		Rows   []Row    // each key once
	}
)

// Store keeps shards.
type Store interface {
	// Load shows all rows of a shard, by key, and returns its pages, by number.
	Load(ctx context.Context, s Shard, visit func(Row) error) (Mark, []Page, error)
	// Commit writes c if the shard's last commit was the one before c.Number. It is
	// durable when Commit returned nil. Conflict: it was not, nothing is written.
	// Any other error: it is not known whether it was.
	Commit(ctx context.Context, s Shard, c Commit) error
}

// Keeper is a consumer's own rules for one shard. It is used by one goroutine.
// Apply and Changes do no I/O, and the rows do not depend on the order in which
// events were applied.
type Keeper interface {
	// Restore takes a row that is stored, before anything else is called.
	Restore(r Row) error
	// Apply takes an event, each once. An error: it can never be applied, and
	// nothing of it was. It may keep nothing of e.
	Apply(e *throng.EventRecord) error
	// Changes returns the rows that changed since it was last called.
	Changes(now time.Time) []Row
	// Act does what the stored rows ask for outside of the store, and notes in
	// rows that it is done. It may have to do again what was done before a crash,
	// which has to change nothing; and another process may have done more meanwhile:
	// commit is the number of the shard's last commit, as far as is known here. An
	// error: it is called again later.
	Act(ctx context.Context, commit uint64) error
}

// Parker takes events that cannot be applied.
type Parker interface {
	// Park keeps the event with the reason, for people. When it returned nil it is
	// durable. Repeated for the same group and event: once is enough.
	Park(ctx context.Context, group string, e throng.EventRecord, reason string) error
}

// Sink is what the log hands batches to. *Consumer is one.
type Sink interface {
	// Handle applies events of one partition. Nil: all that was handed in is
	// durable, and the group's offset may go behind it. Otherwise the same
	// batch, or one that begins there, is to be handed in again.
	// Only one call at a time is made for a partition.
	Handle(ctx context.Context, s throng.Stream, partition int32, batch []throng.EventRecord) error
	// Idle is called now and then for a partition without events.
	Idle(ctx context.Context, s throng.Stream, partition int32) error
	// Lost says that another process has the partition from now on.
	Lost(s throng.Stream, partition int32)
}
