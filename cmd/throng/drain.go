package main

import (
	"fmt"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
)

// drainCmd takes a session out of use without putting anybody out.
type drainCmd struct {
	Session string        `arg:"" help:"Which one; throng sessions lists them."`
	Reason  string        `default:"drained by an operator" help:"Why, for people and the place's log."`
	Within  time.Duration `help:"End the session after so long though players are in it; by default it waits for them. Said again, the end is moved."`
	Wait    bool          `help:"Return once the session is over."`
	JSON    bool          `help:"Print JSON."`
	doorFlags
}

// Run drains, and follows it if asked to.
func (c *drainCmd) Run(e *env) error {
	id, err := throng.ParseSessionID("session", c.Session)
	if err != nil {
		return err
	}
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	if err := door.Drain(e.ctx, id, c.Reason, c.Within); err != nil {
		return err
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := door.SessionRecord(e.ctx, id)
		if err != nil {
			return err
		}
		over := s.State == throng.SessionEnded.String()
		switch {
		case over || !c.Wait:
			if c.JSON {
				return writeJSON(e.out, s)
			}
			fmt.Fprintf(e.out, "%s is %s, %d players\n", s.ID, s.State, s.Seated)
			return nil
		case !c.JSON:
			fmt.Fprintf(e.err, "%s is %s, %d players\n", s.ID, s.State, s.Seated)
		}
		select {
		case <-e.ctx.Done():
			return e.ctx.Err()
		case <-tick.C:
		}
	}
}
