package joinlog

import (
	"context"

	"github.com/throng-gg/throng"
)

// Peers is the other processes that work on this region's tickets.
type Peers interface {
	// Joins returns what they themselves remember of a ticket, the oldest record
	// first; caller empty: of any caller. It does not ask further. What some of
	// them answered is returned beside the error of the others.
	Joins(ctx context.Context, ticket throng.TicketID, caller throng.PlayerID) ([]throng.JoinRecord, error)
}
