package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
)

// placesCmd lists what is published.
type placesCmd struct {
	Live bool `help:"Print how each place does, by the events of its sessions, over and over until Ctrl-C; with --json one line a place and second."`
	JSON bool `help:"Print JSON."`
	doorFlags
}

// Run lists.
func (c *placesCmd) Run(e *env) error {
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	places, err := collect(allPlaces(e.ctx, door))
	if err != nil {
		return err
	}
	if c.Live {
		return c.follow(e, door, places)
	}
	if c.JSON {
		return writeJSON(e.out, places)
	}
	t := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "PLACE\tNAME\tVERSION\tCAPACITY\tPLAYERS\tSESSIONS")
	for _, p := range places {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\n", p.ID, p.Name, p.Version, p.Capacity, p.Players, p.Sessions)
	}
	return t.Flush()
}

// livePace is how often live numbers are printed.
const livePace = time.Second

// follow prints the numbers of places until e.ctx ends.
func (c *placesCmd) follow(e *env, door *client.Door, places []gen.Place) error {
	tick := time.NewTicker(livePace)
	defer tick.Stop()
	for {
		list := make([]gen.PlaceNumbers, 0, len(places))
		for _, p := range places {
			n, err := door.Numbers(e.ctx, throng.PlaceID(p.ID))
			switch {
			case e.ctx.Err() != nil:
				return nil
			case err != nil:
				return err
			}
			list = append(list, n)
		}
		if err := c.printLive(e, list); err != nil {
			return err
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *placesCmd) printLive(e *env, list []gen.PlaceNumbers) error {
	if c.JSON {
		enc := json.NewEncoder(e.out)
		for _, n := range list {
			if err := enc.Encode(n); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "PLACE\tPLAYERS\tSESSIONS\tJOINS\tLEAVES\tSTAY\tWAIT\tROUND TRIP\tAS OF")
	for _, n := range list {
		at := "-"
		if !n.At.IsZero() {
			at = n.At.Local().Format(time.TimeOnly)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%.0f s\t%.0f ms\t%.0f ms\t%s\n", n.Place, n.Players, n.Sessions, n.Total.Joins, n.Total.Leaves,
			n.Total.StaySeconds, n.Total.MatchWaitMs, n.Total.RoundTripMs, at)
	}
	return t.Flush()
}
