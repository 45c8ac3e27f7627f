package main

import (
	"context"
	"fmt"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/webtransport"
)

// botsCmd sends players in.
type botsCmd struct {
	Place     string        `required:"" help:"Place to play."`
	Players   int           `default:"20" help:"How many."`
	Party     int           `default:"1" help:"How many come in together, as a party that stays together; of a development region."`
	For       time.Duration `default:"30s" help:"How long they play once all are placed."`
	Seed      uint64        `default:"1" help:"Of how they walk, and of their names."`
	Transport string        `default:"udp" enum:"udp,webtransport,websocket" help:"How they connect: udp, or as browsers do: webtransport, or websocket through the door."`
	JSON      bool          `help:"Print the report as JSON."`
	doorFlags
}

// Run plays, reports, and fails when a player failed or saw a wrong world.
func (c *botsCmd) Run(e *env) error {
	id, err := throng.ParsePlaceID("--place", c.Place)
	if err != nil {
		return err
	}
	scout, err := c.door(e, "scout", api.RolePlayer)
	if err != nil {
		return err
	}
	capacity, err := capacityOf(e.ctx, scout, id)
	if err != nil {
		return err
	}
	report, err := bot.Run(e.ctx, bot.Config{
		Door: botDoor{scout}, Way: botWay(c.Transport), Socket: scout.Socket, Place: id, Capacity: capacity, Players: c.Players, Party: c.Party, For: c.For, Seed: c.Seed, Progress: e.err,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.out, report)
	} else {
		report.WriteText(e.out)
	}
	if err == nil && !report.OK() {
		return errSilent
	}
	return err
}

// capacityOf looks a place up, so that a crowd does not run against nothing.
func capacityOf(ctx context.Context, door *client.Door, id throng.PlaceID) (int, error) {
	for place, err := range allPlaces(ctx, door) {
		switch {
		case err != nil:
			return 0, err
		case place.ID == string(id):
			return place.Capacity, nil
		}
	}
	return 0, throng.AtField(throng.NotFound, "--place", "there is no place %q", id)
}

// botDoor places each bot under its own name, over shared connections.
type botDoor struct{ door *client.Door }

// as is the door for a bot.
func (d botDoor) as(ctx context.Context, p throng.PlayerID) (*client.Door, error) {
	token, err := d.door.DevToken(ctx, p, string(api.RolePlayer))
	if err != nil {
		return nil, fmt.Errorf("access token: %w", err)
	}
	return d.door.As(token.AccessToken)
}

// Seated asks where the bot is. A registry that was lost knows nobody for a
// while.
func (d botDoor) Seated(ctx context.Context, p throng.PlayerID, s throng.SessionID) (bool, error) {
	own, err := d.as(ctx, p)
	if err != nil {
		return false, err
	}
	at, err := own.Presence(ctx, p)
	if err != nil {
		return false, err
	}
	if at.State == throng.PresenceNone.String() {
		return false, throng.Errorf(throng.NotFound, "the registry does not know %s", p)
	}
	return at.State == throng.PresencePlaying.String() && at.Session == string(s), nil
}

// Place asks for a seat, or waits for the one in a party's ticket.
func (d botDoor) Place(ctx context.Context, p throng.PlayerID, t throng.Ticket) (bot.Seat, error) {
	own, err := d.as(ctx, p)
	if err != nil {
		return bot.Seat{}, err
	}
	var a client.Assignment
	if t.Key.Caller == p {
		a, err = own.Matchmake(ctx, t)
	} else {
		a, err = own.Await(ctx, t.Key)
	}
	if err != nil {
		return bot.Seat{}, err
	}
	return bot.Seat{Session: a.Session, Token: a.JoinToken, Web: a.Web}, nil
}

// botWay is one of three ways to connect; nil is UDP.
func botWay(transport string) bot.Way {
	dial := func(ctx context.Context, s bot.Seat, token []byte, receive func([]byte)) (*webtransport.Conn, error) {
		return webtransport.Dial(ctx, s.Web.URL, s.Web.Certificates, token, receive)
	}
	switch transport {
	case "webtransport":
	case "websocket":
		dial = func(ctx context.Context, s bot.Seat, token []byte, receive func([]byte)) (*webtransport.Conn, error) {
			return webtransport.DialSocket(ctx, s.Web.WebSocket, token, receive)
		}
	default:
		return nil
	}
	return func(s bot.Seat) client.Dial {
		return func(ctx context.Context, token []byte, receive func([]byte)) (client.Conn, error) {
			conn, err := dial(ctx, s, token, receive)
			if err != nil {
				return nil, err // not a nil *Conn
			}
			return conn, nil
		}
	}
}
