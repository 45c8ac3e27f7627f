package bot

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
)

// Seat is where a player was placed.
type Seat struct {
	Session throng.SessionID
	Token   []byte            // the join token, for its one use
	Web     throng.WebAddress // where browsers connect
}

// Way is how players connect to the server of their seat.
type Way func(s Seat) client.Dial

// Door places players.
type Door interface {
	// Place asks for the player's seat and waits for it, repeating the ticket
	// where that helps, until ctx ends. The ticket of another caller is his
	// party's: the player's seat in it is waited for.
	Place(ctx context.Context, p throng.PlayerID, t throng.Ticket) (Seat, error)
	// Seated says whether the player has a seat in the session still. An error
	// says that the door does not know.
	Seated(ctx context.Context, p throng.PlayerID, s throng.SessionID) (bool, error)
}
