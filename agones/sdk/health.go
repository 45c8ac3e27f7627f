package sdk

import (
	"context"
	"time"
)

const (
	// defaultHealth is between two signs of life: half of Agones' default period.
	defaultHealth = 2500 * time.Millisecond
	healthAgain   = 500 * time.Millisecond // after one that failed
)

// Keep sends a sign of life at once and then every so often until ctx ends, which
// is its only error; 0: as Agones' default wants them. A sidecar that is away is
// tried more often, so that it hears one as soon as it is back.
func (c *Client) Keep(ctx context.Context, every time.Duration) error {
	if every <= 0 {
		every = defaultHealth
	}
	failed := 0
	for {
		wait := every
		if err := c.Health(ctx); err != nil && ctx.Err() == nil {
			if failed++; failed == 1 {
				c.logger.WarnContext(ctx, "sidecar is away: sign of life not heard", "err", err)
			}
			wait = min(every, healthAgain)
		} else if failed > 0 {
			c.logger.InfoContext(ctx, "sidecar is back", "missed", failed)
			failed = 0
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}
