package autoscale

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/throng-gg/throng"
)

const (
	fallbackTime = 30 * time.Second // between two looks at the Buffers, more or less
	fallbackWait = 5 * time.Second  // for one
)

// keepFallbacks keeps the Buffers' sizes until ctx ends. Replicas of the control
// plane all do it: whoever comes second finds it done.
func (w *Webhook) keepFallbacks(ctx context.Context) {
	if w.autoscalers == nil {
		return
	}
	next := fallbackTime / 6 // soon after the start, when Agones has asked
	for {
		wait := time.NewTimer(next/2 + rand.N(next)) //nolint:gosec // only spreads replicas
		next = fallbackTime
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		for _, f := range w.fleets {
			if ctx.Err() != nil {
				return
			}
			result := w.keepFallback(ctx, w.known[f.key()])
			w.metrics.fallbacks.WithLabelValues(result).Inc()
		}
	}
}

// keepFallback writes one Buffer if it has to, and says how that went. A Fleet that
// this process was not asked for is left alone: it knows no size for it.
func (w *Webhook) keepFallback(ctx context.Context, s *fleetState) (result string) {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	if ready < 0 {
		return "unasked"
	}
	ctx, cancel := context.WithTimeout(ctx, fallbackWait)
	defer cancel()
	is, err := w.autoscalers.Fallback(ctx, s.fleet)
	if err == nil {
		next, same := fallbackOf(is, ready, s.fleet.bounds())
		if same {
			return "same"
		}
		if err = w.autoscalers.SetFallback(ctx, s.fleet, is, next); err == nil {
			w.logger.InfoContext(ctx, "buffer behind the webhook changed",
				"cluster", s.fleet.Cluster, "fleet", s.fleet.Name, "size", next.Size, "was", is.Size)
			return "written"
		}
	}
	w.logger.WarnContext(ctx, "buffer behind the webhook not kept", "cluster", s.fleet.Cluster, "fleet", s.fleet.Name, "err", err)
	return throng.KindOf(err).String()
}
