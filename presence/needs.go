package presence

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// Log is a region's log of events.
type Log interface {
	// Tail hands over the events of a stream that are in the log since a moment, and
	// goes on with those that come, until ctx ends. It tries again when brokers are
	// away. take is called by one goroutine; strange records beside the batch are no events.
	// heard is called now and then with a moment, by another one: take was given all that
	// the log had then. An error: it has to begin anew.
	Tail(ctx context.Context, s throng.Stream, since time.Time, take func(batch []throng.EventRecord, strange int), heard func(time.Time)) error
}

// Settings is the own region's record of who may see whom.
type Settings interface {
	// Apply takes in what a region told of a player's settings; what is older than what
	// is known changes nothing, and no repetition does. Invalid: it makes no sense. Any other error: it
	// has to be tried again.
	Apply(ctx context.Context, e throng.Event) error
}

// Registry is the own region's record of seats.
type Registry interface {
	// EvictOlder orders the eviction of the player's seat if its epoch is lower, and says
	// whether there was one. Repeated: nothing more.
	EvictOlder(ctx context.Context, p throng.PlayerID, than throng.Epoch) (evicted bool, err error)
}
