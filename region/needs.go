package region

import (
	"context"

	"github.com/throng-gg/throng"
)

// Doors is how other regions are called. Its calls are kept from hurting either
// side: Unavailable is also what is said for a region that fails.
type Doors interface {
	// Summary asks a region what it has. It changes nothing.
	Summary(ctx context.Context, r throng.RegionID) (throng.RegionSummary, error)
	// Refused says whether calls of a region are not made for now, because it fails.
	Refused(r throng.RegionID) bool
}
