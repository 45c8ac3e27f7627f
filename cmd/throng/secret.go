package main

import (
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/disk"
)

// secretCmd keeps a region's ring of secrets, for who can write its data folder.
type secretCmd struct {
	List   secretListCmd   `cmd:"" help:"List the secrets, the oldest first."`
	Rotate secretRotateCmd `cmd:"" help:"Make a new secret. Running control planes take it in by themselves; it signs after their --secret-delay."`
	Retire secretRetireCmd `cmd:"" help:"Take an old secret out: what it signed is worth nothing from then on."`
}

// ringFlags say where the secrets are.
type ringFlags struct {
	Data string `default:"./data" type:"path" help:"The control plane's data folder."`
}

// ring opens what must be there already.
func (f ringFlags) ring() (disk.Ring, error) {
	if _, err := os.Stat(filepath.Join(f.Data, "secrets")); err != nil {
		return disk.Ring{}, throng.AtField(throng.NotFound, "--data", "%s is not a control plane's data folder: %w", f.Data, err)
	}
	return disk.Ring{Dir: f.Data}, nil
}

// secrets reads them. A command signs with the newest secret that every control
// plane has had time to take in.
func (f ringFlags) secrets() (*secrets, error) {
	d, err := f.ring()
	if err != nil {
		return nil, err
	}
	ring, err := auth.NewRing(auth.RingConfig{Secrets: d, Delay: commandDelay})
	if err != nil {
		return nil, err
	}
	return &secrets{Ring: ring}, nil
}

const commandDelay = time.Minute

type secretListCmd struct {
	JSON bool `help:"Print JSON."`
	ringFlags
}

type secretLine struct {
	Number int       `json:"number"`
	Since  time.Time `json:"since"`
	Newest bool      `json:"newest"`
}

// Run lists.
func (c *secretListCmd) Run(e *env) error {
	ring, err := c.secrets()
	if err != nil {
		return err
	}
	lines := []secretLine{}
	for i, k := range ring.Keys() {
		lines = append(lines, secretLine{k.Number, k.Since, i == len(ring.Keys())-1})
	}
	if c.JSON {
		return writeJSON(e.out, lines)
	}
	t := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SECRET\tSINCE\tNEWEST")
	for _, l := range lines {
		fmt.Fprintf(t, "%d\t%s\t%v\n", l.Number, l.Since.Format(time.RFC3339), l.Newest)
	}
	return t.Flush()
}

type secretRotateCmd struct{ ringFlags }

// Run makes a secret.
func (c *secretRotateCmd) Run(e *env) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	number, err := ring.Add()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "secret %d is made; control planes sign with it after their --secret-delay, and older ones verify until they are retired\n", number)
	return err
}

type secretRetireCmd struct {
	Number int  `arg:"" help:"Which one (throng secret list)."`
	Force  bool `help:"Also while sessions need it, or when the door does not say: their players cannot come back, and their servers are not heard any more."`
	ringFlags
	doorFlags
}

// Run takes a secret out, if no session needs it.
func (c *secretRetireCmd) Run(e *env) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	if !c.Force {
		if err := c.unused(e); err != nil {
			return err
		}
	}
	if err := ring.Remove(c.Number); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "secret %d is retired\n", c.Number)
	return err
}

// unused asks the door which sessions run. The names of sessions say which
// secret they need.
func (c *secretRetireCmd) unused(e *env) error {
	if c.Token == "" {
		keys, err := c.secrets()
		if err != nil {
			return err
		}
		if c.Token, err = keys.PlayerToken("operator", api.RoleOperator, time.Minute); err != nil {
			return err
		}
	}
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	need := 0
	for s, err := range allSessions(e.ctx, door, "") {
		if err != nil {
			return fmt.Errorf("which sessions run is not known (--force retires all the same): %w", err)
		}
		if throng.SessionID(s.ID).Key() == uint8(c.Number) {
			need++
		}
	}
	if need > 0 {
		return throng.Errorf(throng.Conflict, "%d sessions need secret %d: wait until they ended, drain them, or --force", need, c.Number)
	}
	return nil
}
