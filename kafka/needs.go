package kafka

import (
	"context"

	"github.com/throng-gg/throng"
)

// Handler applies events. It is called for several partitions at once, for one
// partition by one call at a time; a member of the group that was given up by the
// others may still be inside one.
type Handler interface {
	// Handle applies a partition's next events, in their order. Nil: all are
	// applied for good, and the group's offset may go behind them. Otherwise they
	// come again, as may those that are applied.
	Handle(ctx context.Context, s throng.Stream, partition int32, batch []throng.EventRecord) error
	// Idle is called now and then for a partition without events.
	Idle(ctx context.Context, s throng.Stream, partition int32) error
	// Lost says that another process has the partition from now on.
	Lost(s throng.Stream, partition int32)
}
