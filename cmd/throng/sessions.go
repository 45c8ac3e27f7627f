package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
)

// sessionsCmd lists the running sessions.
type sessionsCmd struct {
	Place string `help:"Of this place only."`
	JSON  bool   `help:"Print JSON."`
	doorFlags
}

// Run lists.
func (c *sessionsCmd) Run(e *env) error {
	if c.Place != "" {
		if _, err := throng.ParsePlaceID("--place", c.Place); err != nil {
			return err
		}
	}
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	sessions, err := collect(allSessions(e.ctx, door, throng.PlaceID(c.Place)))
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, sessions)
	}
	t := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tPLACE\tVERSION\tSTATE\tPLAYERS\tHELD\tCAPACITY\tADDRESS")
	for _, s := range sessions {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%d\t%d\t%s\n", s.ID, s.Place, s.Version, s.State, s.Seated, s.Held, s.Capacity, s.Address)
	}
	return t.Flush()
}
