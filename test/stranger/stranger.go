package stranger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
)

// Player plays on that engine. He speaks JSON over the door's WebSocket.
type Player struct {
	Name throng.PlayerID
	Door *client.Door // as him

	Moves  atomic.Int32 // to other sessions
	States atomic.Int32 // that he was sent in this session
	Most   atomic.Int32 // players that he saw at once

	session atomic.Pointer[throng.SessionID]
}

// said is what the engine tells players.
type said struct {
	T       string
	Player  string
	Session throng.SessionID
	Players int
	N, Of   int
	Token   string
}

// Play joins and plays until ctx ends, also where he is moved to.
func (g *Player) Play(ctx context.Context, place throng.PlaceID, ticket string) error {
	a, err := g.Door.Matchmake(ctx, throng.Ticket{
		Key: throng.TicketKey{Ticket: throng.TicketID(ticket)}, Place: place, Party: []throng.PlayerID{g.Name}, Mode: throng.ModeDropIn,
	})
	if err != nil {
		return err
	}
	session, token := a.Session, a.JoinToken
	for {
		next, with, err := g.Visit(ctx, session, token)
		if err != nil || ctx.Err() != nil {
			return err
		}
		session, token = next, with
		g.Moves.Add(1)
	}
}

// Visit plays in one session, and returns the next one with its token.
func (g *Player) Visit(ctx context.Context, session throng.SessionID, token []byte) (throng.SessionID, []byte, error) {
	conn, _, err := websocket.Dial(ctx, g.Door.Socket(session), nil)
	if err != nil {
		return "", nil, err
	}
	defer conn.CloseNow() //nolint:errcheck // closed properly already, or past caring
	if err := conn.Write(ctx, websocket.MessageBinary, token); err != nil {
		return "", nil, err
	}
	var pieces []string
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return "", nil, nil
			}
			return "", nil, fmt.Errorf("%s in %s: %w", g.Name, session, err)
		}
		var s said
		if err := json.Unmarshal(message, &s); err != nil {
			return "", nil, err
		}
		switch s.T {
		case "welcome":
			err = g.welcomed(ctx, conn, session, s)
		case "state":
			g.States.Add(1)
			g.Most.Store(max(g.Most.Load(), int32(s.Players)))
		case "move": // in order, N from 0
			if pieces = append(pieces, s.Token); len(pieces) == s.Of {
				next, err := base64.StdEncoding.DecodeString(strings.Join(pieces, ""))
				return s.Session, next, err
			}
		}
		if err != nil {
			return "", nil, err
		}
	}
}

// welcomed takes in that he is in the session, and walks.
func (g *Player) welcomed(ctx context.Context, conn *websocket.Conn, session throng.SessionID, s said) error {
	if s.Player != string(g.Name) || s.Session != session {
		return fmt.Errorf("%s was welcomed as %s in %s", g.Name, s.Player, s.Session)
	}
	g.States.Store(0)
	g.session.Store(&session)
	return conn.Write(ctx, websocket.MessageBinary, []byte(`{"move":[1,0.5]}`))
}

// At is the session that he is in; empty: none yet.
func (g *Player) At() throng.SessionID {
	if s := g.session.Load(); s != nil {
		return *s
	}
	return ""
}
