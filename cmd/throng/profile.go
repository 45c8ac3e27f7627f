package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
)

// profileCmd shows and restores what a player keeps in a place's game.
type profileCmd struct {
	Show    profileShowCmd    `cmd:"" default:"withargs" help:"Print a player's document, as it was saved."`
	Saves   profileSavesCmd   `cmd:"" help:"List the saves that are kept, the newest first."`
	Restore profileRestoreCmd `cmd:"" help:"Make an older save the newest. A session that has the player's profile loses it."`
}

// ownedBy names a player in a place's game.
type ownedBy struct {
	Place  string `arg:"" help:"A place of the game."`
	Player string `arg:"" help:"The player."`
}

// owned is a player in a place's game, and the door to ask.
type owned struct {
	place  throng.PlaceID
	player throng.PlayerID
	door   *client.Door
}

func (b ownedBy) open(e *env, f creatorFlags) (o owned, err error) {
	if o.place, err = throng.ParsePlaceID("PLACE", b.Place); err != nil {
		return o, err
	}
	if o.player, err = throng.ParsePlayerID("PLAYER", b.Player); err != nil {
		return o, err
	}
	o.door, err = f.creator(e)
	return o, err
}

type profileShowCmd struct {
	ownedBy
	Revision int  `help:"Of an older save; the newest when not given." placeholder:"N"`
	JSON     bool `help:"Print the revision and the time, too."`
	creatorFlags
}

// Run prints the document.
func (c *profileShowCmd) Run(e *env) error {
	o, err := c.open(e, c.creatorFlags)
	if err != nil {
		return err
	}
	p, err := o.door.Profile(e.ctx, o.place, o.player, c.Revision)
	if p.Copy {
		fmt.Fprintln(e.err, copyWords)
	}
	switch {
	case err != nil:
		return err
	case c.JSON:
		return writeJSON(e.out, p)
	case p.Document == nil:
		_, err = fmt.Fprintf(e.out, "nothing of %s was saved yet\n", o.player)
	default:
		err = writeJSON(e.out, p.Document)
	}
	return err
}

type profileSavesCmd struct {
	ownedBy
	JSON bool `help:"Print JSON."`
	creatorFlags
}

// Run lists the saves.
func (c *profileSavesCmd) Run(e *env) error {
	o, err := c.open(e, c.creatorFlags)
	if err != nil {
		return err
	}
	list, err := o.door.Saves(e.ctx, o.place, o.player)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, list)
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "REVISION\tSAVED\tBYTES\tBY")
	for _, s := range list.Saves {
		by := s.Session
		if by == "" {
			by = "restored"
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\n", s.Revision, s.SavedAt.Format(time.RFC3339), s.Size, by)
	}
	return w.Flush()
}

type profileRestoreCmd struct {
	ownedBy
	Revision uint64 `arg:"" help:"Which save: throng profile saves lists them."`
	creatorFlags
}

// Run restores.
func (c *profileRestoreCmd) Run(e *env) error {
	o, err := c.open(e, c.creatorFlags)
	if err != nil {
		return err
	}
	now, err := o.door.Restore(e.ctx, o.place, o.player, c.Revision)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "save %d of %s is his newest now, as revision %d\n", c.Revision, o.player, now.Revision)
	return err
}
