package replica

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// Store keeps which replicas live.
type Store interface {
	// Announce says that the replica lives for the lease, from now on by the
	// store's clock, and returns all that live, by ID. A lease of 0 takes it
	// out. Unavailable: it is not known who lives.
	Announce(ctx context.Context, r throng.Replica, lease time.Duration) ([]throng.Replica, error)
}

// Peer is another replica.
type Peer interface {
	// Tell brings news. An error says that they may be lost.
	Tell(ctx context.Context, n throng.ReplicaNews) error
	// Ask is answered by the other one, or an error.
	Ask(ctx context.Context, q throng.ReplicaQuestion) (throng.ReplicaAnswer, error)
}
