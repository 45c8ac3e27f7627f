package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/throng-gg/throng/api"
)

// placesCmd lists what is published.
type placesCmd struct {
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
