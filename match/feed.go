package match

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/throng-gg/throng"
)

const (
	feedWait    = 30 * time.Second       // for one answer of the feed
	feedRefresh = time.Minute            // after which all is read anew, so that nothing stays wrong
	feedPause   = 50 * time.Millisecond  // after an answer that says nothing
	retryFirst  = 100 * time.Millisecond // after the first error
	retryMost   = 2 * time.Second        // after many
)

// follow keeps the desk current until ctx ends. After an error all is read
// anew, because an answer that never came may have had news in it.
func (m *Matchmaker) follow(ctx context.Context) {
	cursor := uint64(0)
	retry := retryFirst
	var full time.Time
	for ctx.Err() == nil {
		if time.Since(full) > feedRefresh {
			cursor = 0
		}
		ch, err := m.changes(ctx, cursor)
		switch {
		case err != nil && ctx.Err() != nil:
			return
		case err != nil:
			m.logger.WarnContext(ctx, "feed of sessions lost", "err", err, "retry_after", retry)
			m.tell(ctx, func(d *desk) { d.lost(err) })
			pause(ctx, retry)
			retry = min(2*retry, retryMost)
			cursor = 0
			continue
		case ch.Full:
			full = time.Now()
		}
		m.brake(ctx, ch.Sessions)
		m.siblings.note(ch)
		m.tell(ctx, func(d *desk) { d.take(ch) })
		if ch.Cursor == cursor || ch.Cursor == 0 {
			pause(ctx, feedPause)
		}
		cursor = ch.Cursor
		retry = retryFirst
	}
}

// brake looks for versions that fail at start, and says so in their place's log.
func (m *Matchmaker) brake(ctx context.Context, sessions []throng.Session) {
	now := time.Now()
	for _, s := range sessions {
		st, braked := m.brakes.note(s, now)
		if !braked {
			continue
		}
		m.logger.WarnContext(ctx, "version fails at start", "place", s.Place, "version", int(s.Version), "reason", s.Reason, "retry_after", st.pause)
		if m.log != nil {
			m.log.Add(s.Place, throng.LogLine{
				Time: now, Version: s.Version, Level: throng.LogError,
				Text: fmt.Sprintf("version %d fails at start: %s (%d sessions in a row; the next one is opened in %s)",
					s.Version, s.Reason, st.failures, st.pause),
			})
		}
	}
}

// changes asks the feed once. Silence is no error: nothing changed.
func (m *Matchmaker) changes(ctx context.Context, cursor uint64) (throng.SessionChanges, error) {
	asking, cancel := context.WithTimeout(ctx, feedWait)
	defer cancel()
	ch, err := m.sessions.Changes(asking, cursor)
	if cursor != 0 && errors.Is(err, context.DeadlineExceeded) {
		return throng.SessionChanges{Cursor: cursor}, nil
	}
	return ch, err
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
