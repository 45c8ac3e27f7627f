package presence

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

const (
	mostSettings  = 10_000                 // that wait
	settingTime   = 3 * time.Second        // of one try
	settingsPause = 200 * time.Millisecond // after one that failed
)

// isSetting says whether an event tells of a player's settings.
func isSetting(e throng.Event) bool {
	return e.Type == throng.EventPlayerPrivacy || e.Type == throng.EventPlayerFriends
}

// setting is one that waits.
type setting struct {
	region throng.RegionID // that told of it
	event  throng.Event
}

// setting lets one be applied. Full: it waits, and with it what the region says,
// which stays in its log.
func (p *Presence) setting(ctx context.Context, s setting) {
	select {
	case p.settings <- s:
	case <-ctx.Done():
	}
}

// applySettings applies what regions tell of players' settings until ctx ends, one after
// the other. When that cannot be done it is tried again, before those that came later.
func (p *Presence) applySettings(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-p.settings:
			p.applySetting(ctx, s)
		}
	}
}

func (p *Presence) applySetting(ctx context.Context, s setting) {
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, settingTime)
		err := p.cfg.Settings.Apply(once, s.event)
		cancel()
		switch {
		case err == nil:
			p.metrics.settings.WithLabelValues(string(s.region), "applied").Inc()
			return
		case throng.KindOf(err) == throng.Invalid:
			p.metrics.settings.WithLabelValues(string(s.region), "strange").Inc()
			return
		case ctx.Err() == nil:
			p.metrics.settings.WithLabelValues(string(s.region), "failed").Inc()
		}
		select {
		case <-ctx.Done():
		case <-time.After(settingsPause):
		}
	}
}
