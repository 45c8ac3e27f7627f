package main

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
)

// summaries is what this region tells the others.
type summaries struct{ *control }

// Summary is the matchmaker's, and by which beacons the region is measured.
func (s summaries) Summary(ctx context.Context) (throng.RegionSummary, error) {
	out, err := s.match.Summary(ctx)
	out.Beacons = s.cfg.flags.Beacon
	return out, err
}

// regions is what players are told of all regions: of the others what they told last.
func (c *control) regions() []api.Region {
	own := api.Region{ID: c.cfg.region.ID, Name: string(c.cfg.region.ID), Beacons: c.cfg.flags.Beacon}
	if room, err := c.fleet.Room(); err == nil && room.Draining {
		own.State = "draining"
	}
	all := []api.Region{own}
	if c.cfg.peers == nil {
		return all
	}
	for _, s := range c.cfg.peers.Known() {
		r := api.Region{ID: s.Region, Name: string(s.Region), Beacons: s.Beacons}
		if s.Draining {
			r.State = "draining"
		}
		all = append(all, r)
	}
	return all
}
