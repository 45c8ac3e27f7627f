package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/edge/beacon"
	"github.com/throng-gg/throng/edge/beacon/probe"
	"github.com/throng-gg/throng/edge/gateway"
)

// devEdge is what throng dev runs of the edge.
type devEdge struct {
	gateway *gateway.Gateway // nil: there is none
	beacon  *ownBeacon       // nil: there is none
}

// edge makes it, and names it to the region.
func (c *devCmd) edge(e *env, g *ground) (edge devEdge, err error) {
	if edge.gateway, err = c.gateway(e, g); err != nil {
		return devEdge{}, err
	}
	edge.beacon, err = c.beacon(e, g)
	return edge, err
}

// run runs it until ctx ends.
func (d devEdge) run(ctx context.Context, g *ground) error {
	group, ctx := errgroup.WithContext(ctx)
	if d.gateway != nil {
		group.Go(func() error { return d.gateway.Run(ctx) })
		group.Go(func() error {
			return keepKeys(ctx, d.gateway, nil, g.logger, func() (gatewayKeys, error) { return g.secrets.gatewayKeys(), nil })
		})
	}
	if d.beacon != nil {
		group.Go(func() error { return d.beacon.udp.Run(ctx) })
		group.Go(func() error { return serveOn(ctx, d.beacon.web, beacon.Handler(d.beacon.far)) })
	}
	return group.Wait()
}

// gateway makes the gateway; nil: there is none.
func (c *devCmd) gateway(e *env, g *ground) (*gateway.Gateway, error) {
	if c.Gateway == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	listen, err := command.AddressOf("--gateway", c.Gateway)
	if err != nil {
		return nil, err
	}
	made, err := gateway.New(e.ctx, gateway.Config{
		Listen: listen, Keys: g.secrets.gatewayKeys(), Logger: g.logger.With("part", "gateway"), Metrics: g.metrics,
	})
	if err == nil && len(g.secrets.gateways) == 0 {
		g.secrets.gateways = []netip.AddrPort{made.Address()}
	}
	return made, err
}

// ownBeacon is a beacon beside a door, at free ports of its address.
type ownBeacon struct {
	udp *beacon.Beacon
	web net.Listener
	far time.Duration
}

// beacon makes the one that is told to players; nil: others are named, or it is not
// known by which address players come.
func (c *devCmd) beacon(e *env, g *ground) (*ownBeacon, error) {
	door, err := netip.ParseAddrPort(g.listener.Addr().String())
	if err != nil || len(c.Beacon) > 0 || door.Addr().IsUnspecified() || door.Addr().Zone() != "" {
		return nil, nil //nolint:nilnil,nilerr // there is none
	}
	free := netip.AddrPortFrom(door.Addr().Unmap(), 0)
	b := &ownBeacon{far: c.Far}
	if b.web, err = (&net.ListenConfig{}).Listen(e.ctx, "tcp", free.String()); err != nil {
		return nil, fmt.Errorf("beacon: %w", err)
	}
	if b.udp, err = beacon.New(beacon.Config{Listen: free, Far: c.Far, Metrics: g.metrics}); err != nil {
		return nil, errors.Join(err, b.web.Close())
	}
	g.flags.Beacon = []string{"udp://" + b.udp.Address().String(), "http://" + b.web.Addr().String() + probe.Path}
	return b, nil
}
