package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// releaseCmd says which versions of a place new sessions run.
type releaseCmd struct {
	Place    string `arg:"" help:"ID of the place."`
	Live     int    `help:"Make this version live; a canary ends." placeholder:"VERSION" xor:"what"`
	Canary   *int   `help:"Run a version in so many percent of the new sessions, beside the live one; 0: in none any more." placeholder:"PERCENT" xor:"what"`
	Version  int    `help:"With --canary: which one; by default the canary's, or the newest." placeholder:"VERSION"`
	Rollback bool   `help:"The canary ends; if there is none, what was live before is live again." xor:"what"`
	Pin      bool   `help:"From now on publishing makes nothing live: versions are stored for throng release." xor:"pin"`
	Unpin    bool   `help:"The reverse." xor:"pin"`
	Drain    bool   `help:"Move players of other versions to what is released, each group together, at breaks that the place chooses; no session ends before it is empty."`
	JSON     bool   `help:"Print JSON."`
	creatorFlags
}

// Validate checks what the values say together.
func (c *releaseCmd) Validate() error {
	switch {
	case c.Live < 0:
		return throng.AtField(throng.Invalid, "--live", "%d is no version, they count from 1", c.Live)
	case c.Canary != nil && (*c.Canary < 0 || *c.Canary > 99):
		return throng.AtField(throng.Invalid, "--canary", "%d is not allowed, 0 to 99 percent are", *c.Canary)
	case c.Version < 0 || c.Version > 0 && c.Canary == nil:
		return throng.AtField(throng.Invalid, "--version", "goes with --canary; --live makes a version live")
	}
	return nil
}

// Run changes what is released, and says what is.
func (c *releaseCmd) Run(e *env) error {
	id, err := throng.ParsePlaceID("place", c.Place)
	if err != nil {
		return err
	}
	door, err := c.creator(e)
	if err != nil {
		return err
	}
	ch, err := door.Release(e.ctx, id)
	if err != nil {
		return err
	}
	want := gen.ReleaseRequest{Live: c.Live, Rollback: c.Rollback, Drain: c.Drain}
	if c.Canary != nil {
		want.Canary = &gen.Canary{Version: c.Version, Percent: *c.Canary}
	}
	if c.Pin || c.Unpin {
		want.Pin = &c.Pin
	}
	if want != (gen.ReleaseRequest{}) {
		want.Revision = ch.Revision // a call that is repeated does nothing twice
		if ch, err = door.ChangeRelease(e.ctx, id, want); err != nil {
			return err
		}
	}
	if c.JSON {
		return writeJSON(e.out, ch)
	}
	return c.print(e, ch)
}

func (c *releaseCmd) print(e *env, ch gen.Channels) error {
	fmt.Fprintf(e.out, "%s: version %d is live", ch.Place, ch.Live)
	if ch.Canary != nil {
		fmt.Fprintf(e.out, ", version %d in %d %% of the new sessions", ch.Canary.Version, ch.Canary.Percent)
	}
	if ch.Pinned {
		fmt.Fprintf(e.out, "; pinned: publishing makes nothing live")
	}
	if ch.Before > 0 && ch.Canary == nil {
		fmt.Fprintf(e.out, "; a rollback makes version %d live", ch.Before)
	}
	fmt.Fprintln(e.out)
	if c.Drain {
		fmt.Fprintf(e.out, "%d sessions of other versions drain\n", ch.Drained)
	}
	t := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "VERSION\tRELEASED\tPUBLISHED\tCAPACITY\tPACKAGE")
	for _, r := range ch.Versions {
		what := "-"
		switch {
		case r.Live:
			what = "live"
		case r.Canary > 0:
			what = fmt.Sprintf("%d %%", r.Canary)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%.12s\n", r.Version, what, r.PublishedAt.Format(time.RFC3339), r.Capacity, r.Package)
	}
	return t.Flush()
}
