package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
)

// bansCmd looks at who may not play, and lets players in again.
type bansCmd struct {
	List bansListCmd `cmd:"" default:"withargs" help:"List bans: who, why, until when; also those that were lifted, and what rules only report."`
	Why  bansWhyCmd  `cmd:"" help:"Say why a player is banned: the rule, what was measured, where."`
	Lift bansLiftCmd `cmd:"" help:"Let a player in again."`
}

type bansListCmd struct {
	JSON bool `help:"Print JSON."`
	doorFlags
}

// Run lists.
func (c *bansListCmd) Run(e *env) error {
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	all := []gen.Ban{}
	for after := ""; ; {
		page, err := door.Bans(e.ctx, client.Page{After: after, Limit: 200})
		if err != nil {
			return err
		}
		all = append(all, page.Bans...)
		if after = page.Next; after == "" {
			break
		}
	}
	if c.JSON {
		return writeJSON(e.out, all)
	}
	t := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "PLAYER\tRULE\tSTATE\tUNTIL\tPLACE\tSCORE")
	for _, b := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.2f\n", b.Player, b.Rule, banState(b), b.Until.Local().Format(time.DateTime), b.Place, b.Score)
	}
	return t.Flush()
}

func banState(b gen.Ban) string {
	switch {
	case b.Report:
		return "reported"
	case !b.Lifted.IsZero():
		return "lifted"
	case b.Holds:
		return "banned"
	}
	return "over"
}

// bannedPlayer is whose ban a command is about.
type bannedPlayer struct {
	Player string `arg:"" help:"The player."`
	JSON   bool   `help:"Print JSON."`
	doorFlags
}

func (c bannedPlayer) open(e *env) (*client.Door, throng.PlayerID, error) {
	player, err := throng.ParsePlayerID("PLAYER", c.Player)
	if err != nil {
		return nil, "", err
	}
	door, err := c.door(e, "operator", api.RoleOperator)
	return door, player, err
}

func (c bannedPlayer) print(e *env, b gen.Ban) error {
	if c.JSON {
		return writeJSON(e.out, b)
	}
	fmt.Fprintf(e.out, "%s is %s by rule %s until %s\n", b.Player, banState(b), b.Rule, b.Until.Local().Format(time.DateTime))
	fmt.Fprintf(e.out, "  told:     %s\n  measured: %s (score %.2f)\n  seen:     %s", b.Reason, b.Evidence, b.Score, b.At.Local().Format(time.DateTime))
	if b.Place != "" {
		fmt.Fprintf(e.out, " in %s", b.Place)
	}
	if b.Session != "" {
		fmt.Fprintf(e.out, ", session %s", b.Session)
	}
	fmt.Fprintln(e.out)
	if !b.Lifted.IsZero() {
		fmt.Fprintf(e.out, "  lifted:   %s by %s\n", b.Lifted.Local().Format(time.DateTime), b.By)
	}
	return nil
}

type bansWhyCmd struct{ bannedPlayer }

// Run explains.
func (c *bansWhyCmd) Run(e *env) error {
	door, player, err := c.open(e)
	if err != nil {
		return err
	}
	b, err := door.Ban(e.ctx, player)
	if err != nil {
		return err
	}
	return c.print(e, b)
}

type bansLiftCmd struct{ bannedPlayer }

// Run lifts.
func (c *bansLiftCmd) Run(e *env) error {
	door, player, err := c.open(e)
	if err != nil {
		return err
	}
	b, err := door.LiftBan(e.ctx, player)
	if err != nil {
		return err
	}
	return c.print(e, b)
}
