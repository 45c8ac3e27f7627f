package autoscale

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet"
)

// Clusters is what the backend knows of where servers run. Neither call waits.
type Clusters interface {
	// Clusters returns the region's clusters, by name.
	Clusters() []throng.Cluster
	// Sites returns where the allocated servers run.
	Sites() []throng.ServerSite
}

// Demand is what the orchestrator knows of what is wanted. Neither call waits for
// more than a lock.
type Demand interface {
	// Expect says how many sessions of the region to be ready for in a span that
	// may begin at any moment from now on.
	Expect(now time.Time, span time.Duration) fleet.Outlook
	// Missing is how many servers the orchestrator wants beside those that it has.
	Missing() int
}

// Autoscalers are the FleetAutoscaler objects of the clusters. A Fleet's has the
// Fleet's own name.
type Autoscalers interface {
	// Fallback returns the Buffer policy that stands behind the webhook. NotFound:
	// there is none. Unavailable: the cluster does not answer.
	Fallback(ctx context.Context, f Fleet) (Buffer, error)
	// SetFallback changes a Buffer that was read, and nothing else. Conflict: it is
	// another one by now.
	SetFallback(ctx context.Context, f Fleet, was, next Buffer) error
}

// Fleet is one Fleet of Agones that servers are allocated from.
type Fleet struct {
	Cluster   string // its name in the region's configuration
	Namespace string
	Name      string
	Weight    float64 // its share of the demand among the others; 0: it gets none

	ReadyLeast, ReadyMost int // Ready servers, whatever is expected; ReadyMost 0: 1000
	Least, Most           int // servers in all; Most 0: 100,000
}

// Buffer is Agones' Buffer policy: it keeps Size Ready servers beside the
// allocated ones, and between Least and Most of all together.
type Buffer struct {
	Entry int    // in the Chain, from 0
	ID    string // of that entry
	Size  int    // a percentage is not understood: NotFound
	Least int    // 0, or not less than Size: Agones refuses it else
	Most  int    // not less than Size
}
