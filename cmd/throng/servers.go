package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
)

// listFlags say how a list is printed.
type listFlags struct {
	JSON  bool          `help:"Print JSON; with --watch one object a line."`
	Watch bool          `help:"Print it again and again."`
	Every time.Duration `default:"2s" help:"With --watch: how often."`
}

// Validate checks what the values say.
func (f listFlags) Validate() error {
	if f.Every < 100*time.Millisecond {
		return throng.AtField(throng.Invalid, "--every", "%s is not allowed, 100ms or more are", f.Every)
	}
	return nil
}

// run prints once, or until the command is ended.
func (f listFlags) run(e *env, show func(ctx context.Context, out io.Writer) error) error {
	tick := time.NewTicker(f.Every)
	defer tick.Stop()
	for {
		err := show(e.ctx, e.out)
		if err != nil || !f.Watch {
			if e.ctx.Err() != nil && f.Watch {
				return nil
			}
			return err
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-tick.C:
		}
		if !f.JSON {
			fmt.Fprintln(e.out)
		}
	}
}

// writeJSON prints an object, in one line if others follow.
func (f listFlags) writeJSON(out io.Writer, v any) error {
	if f.Watch {
		return json.NewEncoder(out).Encode(v)
	}
	return writeJSON(out, v)
}

// serversCmd lists game servers.
type serversCmd struct {
	Cluster string `help:"Of this cluster only."`
	Status  string `help:"Only those that do this: starting, warm, handed, bound, draining, leaving, found or leaked."`
	listFlags
	doorFlags
}

// Run lists.
func (c *serversCmd) Run(e *env) error {
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	return c.run(e, func(ctx context.Context, out io.Writer) error {
		servers, partial, err := allServers(ctx, door, c.Cluster)
		if err != nil {
			return err
		}
		if c.Status != "" {
			servers = slices.DeleteFunc(servers, func(s gen.ServerRecord) bool { return s.Status != c.Status })
		}
		if c.JSON {
			return c.writeJSON(out, gen.ServerList{Servers: servers, Partial: partial})
		}
		if partial {
			fmt.Fprintln(e.err, partialWords)
		}
		t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(t, "SERVER\tSTATUS\tFOR\tCLUSTER\tNODE\tSESSION\tPLACE\tPLAYERS\tADDRESS\tIMAGE")
		for _, s := range servers {
			image := s.Image
			if s.Old {
				image += " (old)"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", s.ID, s.Status, time.Since(s.Since).Round(time.Second),
				s.Cluster, s.Node, s.Session, s.Place, s.Players, s.Address, image)
		}
		return t.Flush()
	})
}

const partialWords = "a control plane did not answer: its servers may look found or leaked"

// allServers reads all pages.
func allServers(ctx context.Context, door *client.Door, cluster string) (list []gen.ServerRecord, partial bool, err error) {
	list = []gen.ServerRecord{}
	after := ""
	for {
		page, err := door.Servers(ctx, cluster, client.Page{After: after, Limit: 200})
		if err != nil {
			return nil, false, err
		}
		list = append(list, page.Servers...)
		partial = partial || page.Partial
		if after = page.Next; after == "" {
			return list, partial, nil
		}
	}
}

// fleetsCmd lists clusters.
type fleetsCmd struct {
	listFlags
	doorFlags
}

// Run lists.
func (c *fleetsCmd) Run(e *env) error {
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	return c.run(e, func(ctx context.Context, out io.Writer) error {
		list, err := door.Fleets(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return c.writeJSON(out, list)
		}
		if list.Partial {
			fmt.Fprintln(e.err, partialWords)
		}
		t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(t, "CLUSTER\tREADY\tCOMING\tALLOCATED\tSTARTING\tWARM\tBOUND\tDRAINING\tLEAVING\tLEAKED\tOLD\tIMAGE\tSTATE")
		for _, f := range list.Fleets {
			n := func(all ...throng.ServerStatus) (sum int) {
				for _, s := range all {
					sum += f.Servers[string(s)]
				}
				return sum
			}
			total := 0
			for _, some := range f.Servers {
				total += some
			}
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", cmp.Or(f.Cluster, "(not placed)"), f.Warm, f.Coming, total,
				n(throng.StatusStarting, throng.StatusFound), n(throng.StatusWarm), n(throng.StatusHanded, throng.StatusBound),
				n(throng.StatusDraining), n(throng.StatusLeaving), n(throng.StatusLeaked), f.Old, f.Image, stateOf(f))
		}
		return t.Flush()
	})
}

// stateOf says in words what a cluster is like.
func stateOf(f gen.FleetRecord) string {
	var words []string
	if f.Away != "" {
		words = append(words, "away: "+f.Away)
	}
	if d := f.Drain; d != nil {
		what := "drained"
		if d.Old {
			what = "old servers drained"
		}
		if d.Region {
			what = "region drained"
		}
		words = append(words, what+": "+d.Reason)
	}
	if len(words) == 0 {
		return "in use"
	}
	return strings.Join(words, "; ")
}
