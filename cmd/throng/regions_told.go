package main

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
)

// summaries is what this region tells the others.
type summaries struct{ *control }

// Summary is the matchmaker's, and how players reach and measure the region.
func (s summaries) Summary(ctx context.Context) (throng.RegionSummary, error) {
	out, err := s.match.Summary(ctx)
	if s.homes != nil {
		out.Home = s.homes.Now()
	}
	out.Beacons, out.Door = s.cfg.flags.Beacon, s.cfg.flags.URL
	return out, err
}

// regions is what players are told of all regions: of the others what they told last.
func (c *control) regions() []api.Region {
	own := api.Region{ID: c.cfg.region.ID, Name: string(c.cfg.region.ID), URL: c.cfg.flags.URL, Beacons: c.cfg.flags.Beacon}
	if room, err := c.fleet.Room(); err == nil && room.Draining {
		own.State = "draining"
	}
	all := []api.Region{own}
	if c.cfg.peers == nil {
		return all
	}
	for _, s := range c.cfg.peers.Known() {
		r := api.Region{ID: s.Region, Name: string(s.Region), URL: s.Door, Beacons: s.Beacons}
		if s.Draining {
			r.State = "draining"
		}
		all = append(all, r)
	}
	return all
}
