package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/udp"
)

const (
	tryWithin = 20 * time.Second // from a ticket to a world
	trySend   = 33 * time.Millisecond
)

// tried is a visit to a new version.
type tried struct {
	session throng.SessionID
	version throng.Version
	at      time.Time // of the first snapshot
}

// try sends a player into the place's live version and takes him out again at
// his first snapshot. An error says why he saw none.
func (c *publishCmd) try(ctx context.Context, e *env, release gen.Release) (tried, error) {
	ctx, cancel := context.WithTimeout(ctx, tryWithin)
	defer cancel()
	door, err := c.door(e, "trial", api.RolePlayer)
	if err != nil {
		return tried{}, err
	}
	player := throng.PlayerID("trial")
	if c.Token != "" {
		if player, err = subject(c.Token); err != nil {
			return tried{}, err
		}
	}
	ticket := throng.TicketID(fmt.Sprintf("try-%d-%d", release.Version, time.Now().UnixMicro()))
	seat, err := door.MatchmakeOnce(ctx, throng.Ticket{
		Key: throng.TicketKey{Caller: player, Ticket: ticket}, Place: throng.PlaceID(release.Place),
		Party: []throng.PlayerID{player}, Mode: throng.ModeDropIn,
		Latencies: map[throng.RegionID]float64{}, // it is about the version, at once, and not about regions
	})
	if err != nil {
		return tried{}, err
	}
	out := tried{session: seat.Session, version: seat.Version}
	out.at, err = visit(ctx, seat.JoinToken)
	return out, err
}

// subject is whom an access token is for. The door checks the token; here it is
// only read.
func subject(token string) (throng.PlayerID, error) {
	var claims struct {
		Subject string `json:"sub"`
	}
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		if data, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(data, &claims) // no subject: refused below
		}
	}
	return throng.ParsePlayerID("--token", claims.Subject)
}

// visit connects and waits for the first whole snapshot.
func visit(ctx context.Context, token []byte) (time.Time, error) {
	first := make(chan time.Time, 1)
	game, err := client.Join(ctx, client.SessionConfig{
		Token: token,
		Dial: func(ctx context.Context, token []byte, receive func([]byte)) (client.Conn, error) {
			conn, err := udp.Dial(ctx, token, receive)
			if err != nil {
				return nil, err
			}
			return conn, nil
		},
		Received: func(r client.Received) {
			if r.Update.Tick != 0 {
				select {
				case first <- time.Now():
				default: // not the first
				}
			}
		},
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("connect: %w", err)
	}
	playing, leave := context.WithCancel(ctx)
	defer leave()
	over := make(chan error, 1)
	go func() { over <- game.Run(playing) }()
	ticker := time.NewTicker(trySend)
	defer ticker.Stop()
	for {
		select {
		case at := <-first:
			leave()
			<-over //nolint:errcheck // we ended it
			return at, nil
		case err := <-over:
			return time.Time{}, lost(ctx, err)
		case <-ticker.C:
			_ = game.Input(0, 0, 0) // what can't be sent counts as lost; a dead connection is over
		}
	}
}

// lost says why the connection ended before there was a world.
func lost(ctx context.Context, err error) error {
	said, ok := errors.AsType[*client.ByeError](err)
	switch {
	case ok:
		return throng.Errorf(throng.Unavailable, "%s", said.Bye.Text)
	case ctx.Err() != nil:
		return throng.Errorf(throng.Unavailable, "no world within %s", tryWithin)
	case err != nil:
		return err
	}
	return throng.Errorf(throng.Unavailable, "the session ended the connection")
}
