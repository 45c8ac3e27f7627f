package party

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

const (
	sweepEvery = time.Minute
	sweepMost  = 1000 // parties that one sweep ends
)

// Run ends parties that nobody asked for throughout throng.PartyIdle, until ctx
// ends. Several processes may run it on one store.
func (p *Parties) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := p.Sweep(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "idle parties not ended", "part", "party", "err", err)
		}
	}
}

// Sweep ends those parties that are due, at most 1,000. It is for callers with a
// clock of their own; Run does it every minute.
func (p *Parties) Sweep(ctx context.Context) error {
	due := p.now().Add(-throng.PartyIdle)
	list, err := p.store.Idle(ctx, due, sweepMost)
	if err != nil {
		return err
	}
	for _, id := range list {
		r, err := p.store.Get(ctx, id)
		if err != nil || !r.Touched.Before(due) {
			continue // somebody else ended it, or came
		}
		members := r.Members
		r.Members = nil
		if _, err := p.store.Swap(ctx, r); err != nil {
			continue // the same
		}
		p.metrics.idle.Inc()
		for _, m := range members {
			if err := p.forget(ctx, m, id); err != nil {
				return err
			}
		}
	}
	return nil
}
