package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
)

const (
	logPage  = 1000                   // lines a call
	logWait  = 20 * time.Second       // for the next line, a call
	logPace  = 100 * time.Millisecond // between two calls while following
	logRetry = time.Second            // after an error while following
)

// logsCmd prints what a place's scripts wrote.
type logsCmd struct {
	Place   string `arg:"" help:"The place."`
	Follow  bool   `short:"f" help:"Go on with new lines until Ctrl-C."`
	Session string `help:"Only lines of this session."`
	JSON    bool   `help:"Print JSON, one object a line."`
	creatorFlags
}

// Run prints what is remembered, and follows.
func (c *logsCmd) Run(e *env) error {
	id, err := throng.ParsePlaceID("PLACE", c.Place)
	if err != nil {
		return err
	}
	if c.Session != "" {
		if _, err := throng.ParseSessionID("--session", c.Session); err != nil {
			return err
		}
	}
	door, err := c.creator(e)
	if err != nil {
		return err
	}
	tail := &logTail{door: door, place: id, session: throng.SessionID(c.Session)}
	if err := tail.drain(e.ctx, c.printer(e.out)); err != nil || !c.Follow {
		return err
	}
	return c.follow(e, tail)
}

// follow prints new lines until e.ctx ends, also when the door is away for a
// while.
func (c *logsCmd) follow(e *env, tail *logTail) error {
	show := c.printer(e.out)
	away := false
	for {
		err := tail.next(e.ctx, logWait, show)
		pause := logPace
		switch {
		case e.ctx.Err() != nil:
			return nil
		case throng.KindOf(err) == throng.NotFound && err != nil:
			return err
		case err != nil:
			if !away {
				fmt.Fprintf(e.err, "throng: %v; trying on\n", err)
			}
			away, pause = true, max(logRetry, throng.RetryAfterOf(err))
			if door, err := c.creator(e); err == nil { // a token may have expired
				tail.door = door
			}
		default:
			away = false
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (c *logsCmd) printer(w io.Writer) func(gen.LogLine) error {
	if c.JSON {
		enc := json.NewEncoder(w)
		return func(line gen.LogLine) error { return enc.Encode(line) }
	}
	return func(line gen.LogLine) error {
		_, err := fmt.Fprintln(w, logText(line))
		return err
	}
}

// logText is a line for people.
func logText(line gen.LogLine) string {
	session := line.Session
	if session == "" {
		session = "-"
	}
	level := ""
	if line.Level != throng.LogPrint.String() {
		level = line.Level + ": "
	}
	return fmt.Sprintf("%s v%d %s  %s%s", line.Time.Local().Format("15:04:05.000"), line.Version, session, level, line.Text)
}

// logTail reads a place's log from a cursor on.
type logTail struct {
	door    *client.Door
	place   throng.PlaceID
	session throng.SessionID // empty: all
	after   string           // cursor
}

// next reads one page and gives each line to do; it waits for the first line.
func (t *logTail) next(ctx context.Context, wait time.Duration, do func(gen.LogLine) error) error {
	_, err := t.page(ctx, wait, do)
	return err
}

// drain reads all that there is.
func (t *logTail) drain(ctx context.Context, do func(gen.LogLine) error) error {
	for {
		n, err := t.page(ctx, 0, do)
		if err != nil || n < logPage {
			return err
		}
	}
}

func (t *logTail) page(ctx context.Context, wait time.Duration, do func(gen.LogLine) error) (int, error) {
	page, err := t.door.Logs(ctx, t.place, t.after, throng.LogQuery{Session: t.session, Limit: logPage, Wait: wait})
	if err != nil {
		return 0, err
	}
	for _, line := range page.Lines {
		if err := do(line); err != nil {
			return 0, err
		}
	}
	t.after = page.Next
	return len(page.Lines), nil
}
