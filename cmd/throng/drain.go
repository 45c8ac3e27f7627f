package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
)

// drainCmd takes a session, or a part of the fleet, out of use without putting
// anybody out.
type drainCmd struct {
	Target string        `arg:"" help:"Which one: a session's ID, a server's ID, the name of a cluster, or with --region that of the region; throng sessions, servers and fleets list them."`
	Region bool          `help:"TARGET is the region: all of its clusters."`
	Old    bool          `help:"Of a cluster, only servers that were made from another image than new ones are."`
	Undo   bool          `help:"Take the cluster, or the region, into use again; sessions that drain go on doing so."`
	Reason string        `default:"drained by an operator" help:"Why, for people and the place's log."`
	Within time.Duration `help:"End sessions after so long though players are in them; by default they are waited for. Said again, the end is moved."`
	Wait   bool          `help:"Return once all of it is over."`
	JSON   bool          `help:"Print JSON."`
	doorFlags
}

// Run drains, and follows it if asked to.
func (c *drainCmd) Run(e *env) error {
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	if strings.HasPrefix(c.Target, "ses_") && !c.Region {
		return c.session(e, door)
	}
	part := throng.FleetDrain{Kind: throng.DrainCluster, Name: c.Target, Old: c.Old, Reason: c.Reason}
	switch {
	case c.Region:
		part.Kind = throng.DrainRegion
	case strings.HasPrefix(c.Target, "srv_"):
		part.Kind = throng.DrainServer
	}
	if c.Undo {
		return c.undo(e, door, part)
	}
	sum, err := door.DrainFleet(e.ctx, part, c.Within)
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.out, sum)
	} else {
		_, err = fmt.Fprintf(e.out, "%s drains: %d servers, %d sessions, %d players\n", c.Target, sum.Servers, sum.Sessions, sum.Players)
	}
	if err != nil || !c.Wait {
		return err
	}
	return c.await(e, door, part)
}

func (c *drainCmd) undo(e *env, door *client.Door, part throng.FleetDrain) error {
	if part.Kind == throng.DrainServer {
		return throng.AtField(throng.Invalid, "--undo", "goes with a cluster or the region; a server that drains is not used again")
	}
	if err := door.UndrainFleet(e.ctx, part.Kind, part.Name); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s is in use\n", c.Target)
	return nil
}

// session drains a session.
func (c *drainCmd) session(e *env, door *client.Door) error {
	id, err := throng.ParseSessionID("session", c.Target)
	if err != nil {
		return err
	}
	if c.Undo || c.Old {
		return throng.AtField(throng.Invalid, "--undo", "and --old go with a cluster or the region, not with a session")
	}
	if err := door.Drain(e.ctx, id, c.Reason, c.Within); err != nil {
		return err
	}
	return c.poll(e, func(ctx context.Context) (bool, error) {
		s, err := door.SessionRecord(ctx, id)
		if err != nil {
			return false, err
		}
		over := s.State == throng.SessionEnded.String()
		switch {
		case (over || !c.Wait) && c.JSON:
			return true, writeJSON(e.out, s)
		case over || !c.Wait:
			fmt.Fprintf(e.out, "%s is %s, %d players\n", s.ID, s.State, s.Seated)
			return true, nil
		case !c.JSON:
			fmt.Fprintf(e.err, "%s is %s, %d players\n", s.ID, s.State, s.Seated)
		}
		return false, nil
	})
}

// await follows a part of the fleet until nothing of it is left.
func (c *drainCmd) await(e *env, door *client.Door, part throng.FleetDrain) error {
	return c.poll(e, func(ctx context.Context) (bool, error) {
		left, players, err := remains(ctx, door, part)
		switch {
		case throng.KindOf(err) == throng.Unavailable && err != nil:
			return false, nil // it is asked again
		case err != nil:
			return false, err
		case left == 0:
			if !c.JSON {
				fmt.Fprintf(e.out, "%s is drained\n", c.Target)
			}
			return true, nil
		case !c.JSON:
			fmt.Fprintf(e.err, "%d servers, %d players\n", left, players)
		}
		return false, nil
	})
}

// remains counts what is left of a part of the fleet.
func remains(ctx context.Context, door *client.Door, part throng.FleetDrain) (servers, players int, err error) {
	if part.Kind == throng.DrainServer {
		s, err := door.Server(ctx, throng.ServerID(part.Name))
		switch {
		case throng.KindOf(err) == throng.NotFound && err != nil, err == nil && s.Status == string(throng.StatusGone):
			return 0, 0, nil
		case err != nil:
			return 0, 0, err
		}
		return 1, s.Players, nil
	}
	cluster := part.Name
	if part.Kind == throng.DrainRegion {
		cluster = ""
	}
	all, partial, err := allServers(ctx, door, cluster)
	if err != nil {
		return 0, 0, err
	}
	for _, s := range all {
		if s.Old || !part.Old {
			servers++
			players += s.Players
		}
	}
	if servers == 0 && partial {
		return 0, 0, throng.Errorf(throng.Unavailable, "a control plane did not answer")
	}
	return servers, players, nil
}

// poll asks until it is done.
func (c *drainCmd) poll(e *env, ask func(context.Context) (done bool, err error)) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ask(e.ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-e.ctx.Done():
			return e.ctx.Err()
		case <-tick.C:
		}
	}
}
