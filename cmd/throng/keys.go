package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
)

// keysCmd keeps a creator's API keys.
type keysCmd struct {
	Create keysCreateCmd `cmd:"" help:"Make a key, and print it: this once."`
	List   keysListCmd   `cmd:"" help:"List the keys."`
	Revoke keysRevokeCmd `cmd:"" help:"Revoke a key for good."`
}

type keysCreateCmd struct {
	Name    string        `arg:"" help:"What it is for."`
	Expires time.Duration `help:"How long it is good; 0: until it is revoked." default:"2160h"`
	Rate    float64       `help:"Calls a second; 0: as many as an account may make." placeholder:"N"`
	JSON    bool          `help:"Print JSON."`
	doorFlags
}

// Run makes a key.
func (c *keysCreateCmd) Run(e *env) error {
	door, err := c.door(e, "creator", api.RoleCreator)
	if err != nil {
		return err
	}
	made, err := door.CreateKey(e.ctx, client.KeyWish{Name: c.Name, Expires: c.Expires, Rate: c.Rate})
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, made)
	}
	_, err = fmt.Fprintf(e.out, "%s\n", made.Key)
	fmt.Fprintf(e.err, "throng: %s is shown this once; use it as THRONG_KEY or --key\n", made.Record.ID)
	return err
}

type keysListCmd struct {
	Owner string `help:"Of an operator: whose keys." placeholder:"ACCOUNT"`
	JSON  bool   `help:"Print JSON."`
	doorFlags
}

// Run lists.
func (c *keysListCmd) Run(e *env) error {
	door, err := c.door(e, "creator", api.RoleCreator)
	if err != nil {
		return err
	}
	list, err := door.Keys(e.ctx, throng.PlayerID(c.Owner))
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, list.Keys)
	}
	t := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tBEGINS WITH\tOWNER\tNAME\tEXPIRES\tLAST USED")
	for _, k := range list.Keys {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Prefix, k.Owner, k.Name, dateOr(k.ExpiresAt, "never"), dateOr(k.UsedAt, "never"))
	}
	return t.Flush()
}

func dateOr(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.Format(time.RFC3339)
}

type keysRevokeCmd struct {
	ID string `arg:"" help:"The key's name, like key_...; not the key."`
	doorFlags
}

// Run revokes.
func (c *keysRevokeCmd) Run(e *env) error {
	id, err := throng.ParseKeyID("ID", c.ID)
	if err != nil {
		return err
	}
	door, err := c.door(e, "creator", api.RoleCreator)
	if err != nil {
		return err
	}
	if err := door.RevokeKey(e.ctx, id); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "%s is revoked\n", id)
	return err
}

// ownersCmd shows and changes who owns a place.
type ownersCmd struct {
	Place  string   `arg:"" help:"The place."`
	Add    []string `help:"Let this account own it as well." placeholder:"ACCOUNT"`
	Remove []string `help:"Take this account's ownership away, after --add." placeholder:"ACCOUNT"`
	JSON   bool     `help:"Print JSON."`
	creatorFlags
}

// Run changes and lists.
func (c *ownersCmd) Run(e *env) error {
	id, err := throng.ParsePlaceID("PLACE", c.Place)
	if err != nil {
		return err
	}
	door, err := c.creator(e)
	if err != nil {
		return err
	}
	for _, name := range c.Add {
		if _, err := door.AddOwner(e.ctx, id, throng.PlayerID(name)); err != nil {
			return fmt.Errorf("--add %s: %w", name, err)
		}
	}
	var last []string
	for _, name := range c.Remove {
		list, err := door.RemoveOwner(e.ctx, id, throng.PlayerID(name))
		if err != nil {
			return fmt.Errorf("--remove %s: %w", name, err)
		}
		last = list.Owners
	}
	if len(c.Remove) == 0 { // who has just left may not ask any more
		list, err := door.Owners(e.ctx, id)
		if err != nil {
			return err
		}
		last = list.Owners
	}
	if c.JSON {
		return writeJSON(e.out, last)
	}
	for _, owner := range last {
		fmt.Fprintln(e.out, owner)
	}
	return nil
}
