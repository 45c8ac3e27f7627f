package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/process"
	"github.com/throng-gg/throng/wire/netcode"
)

// benchDoorCmd serves the door of a region with a constant answer to every join:
// all of HTTP, credentials and bodies, nothing of matching and registry.
type benchDoorCmd struct{ groundFlags }

// Run serves until e.ctx ends.
func (c *benchDoorCmd) Run(e *env) error {
	relaxCollector()
	g, err := c.open(e, c.folder)
	if err != nil {
		return err
	}
	return errors.Join(c.serve(e, g), g.close())
}

func (c *benchDoorCmd) serve(e *env, g *ground) error {
	nodes, err := process.NewNodes(process.NodesConfig{Logger: g.logger})
	if err != nil {
		return err
	}
	st, err := newStores(e.ctx, g, 0)
	if err != nil {
		return err
	}
	plane, err := newControl(controlConfig{ground: g, stores: st, hosts: hosts{backend: nodes, nodes: nodes}, dev: true, public: g.url})
	if err != nil {
		return err
	}
	cfg, err := plane.doorConfig()
	if err != nil {
		return err
	}
	constant := constantAnswer{token: make([]byte, netcode.TokenSize)}
	cfg.Matchmaker, cfg.JoinTokens, cfg.Metrics = constant, constant, nil
	if plane.door, err = api.New(cfg); err != nil {
		return err
	}
	plane.server = plane.door.Server()
	fmt.Fprintf(e.out, "throng bench door listens at %s\n", g.url)
	return plane.run(e.ctx)
}

// constantAnswer places every ticket in the same seat.
type constantAnswer struct{ token []byte }

func (c constantAnswer) placement(k throng.TicketKey, place throng.PlaceID) throng.Placement {
	session := throng.MakeSessionID("local", 1, throng.Entropy{1})
	return throng.Placement{Assignment: &throng.Assignment{
		Grant: throng.Grant{
			Hold:  throng.Hold{Key: k, Session: session, Members: []throng.Member{{Player: k.Caller, Epoch: 1}}},
			Place: place, Version: 1,
		},
		Session: throng.Session{
			ID: session, Place: place, Version: 1, Capacity: 100, State: throng.SessionOpen, BoundAt: time.Now(),
			Address: netip.MustParseAddrPort("127.0.0.1:7777"),
		},
	}}
}

// Place answers at once.
func (c constantAnswer) Place(_ context.Context, t throng.Ticket, _ time.Duration) (throng.Placement, error) {
	return c.placement(t.Key, t.Place), nil
}

// Lookup answers at once.
func (c constantAnswer) Lookup(_ context.Context, k throng.TicketKey, _ string, _ time.Duration) (throng.Placement, error) {
	return c.placement(k, benchPlace), nil
}

// Waiting knows nobody: all are answered.
func (c constantAnswer) Waiting(throng.TicketKey) []throng.PlayerID { return nil }

// Leave finds nobody in line.
func (c constantAnswer) Leave(throng.TicketKey) bool { return false }

// JoinToken is the same for everybody.
func (c constantAnswer) JoinToken(throng.Assignment, throng.Member) ([]byte, error) {
	return c.token, nil
}

// CheckJoinToken refuses: nobody plays here.
func (c constantAnswer) CheckJoinToken(throng.SessionID, []byte) error {
	return throng.Errorf(throng.Unsupported, "nobody plays at a bench door")
}
