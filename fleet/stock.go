package fleet

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// readyTime is how long this orchestrator says that it is not ready because its
// stock does not come.
const readyTime = 30 * time.Second

// demand is what the whole region asks for, those sessions included that other
// orchestrators open: all of them hear of all sessions.
type demand struct {
	mu       sync.Mutex
	forecast Forecast // guarded by mu
	missing  int      // guarded by mu; see Orchestrator.Missing
}

// opened counts a session that is bound to a server. Its time is the registry's.
func (d *demand) opened(at, now time.Time) {
	if at.After(now) {
		at = now
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forecast.Opened(at, 1)
}

// Expect says how many sessions of the region to be ready for in a span that may
// begin at any moment from now on.
func (o *Orchestrator) Expect(now time.Time, span time.Duration) Outlook {
	o.demand.mu.Lock()
	defer o.demand.mu.Unlock()
	return o.demand.forecast.Expect(now, span)
}

// Missing is how many servers this orchestrator wants beside those that it has;
// those that it has asked for are still missing.
func (o *Orchestrator) Missing() int {
	o.demand.mu.Lock()
	defer o.demand.mu.Unlock()
	return o.demand.missing
}

// Room is how many more sessions this orchestrator could find a server for: what
// is connected to others counts as in use. Unavailable: nobody runs the fleet.
func (o *Orchestrator) Room() (throng.ServerRoom, error) {
	return ask(o, func(_ context.Context, t *table, now time.Time) throng.ServerRoom {
		if t.leavesRegion() != "" {
			return throng.ServerRoom{Draining: true}
		}
		v := t.view(now)
		v.Stuck = t.stuck(now)
		return RoomOf(v)
	})
}

// An allocation is stuck that takes so many times as long as they do, and that long.
const (
	stuckTimes = 4
	stuckAfter = 3 * time.Second
)

// stuck says whether servers that are asked for may never come: the last ones did
// not, or one is late.
func (t *table) stuck(now time.Time) bool {
	if t.failures > 0 {
		return true
	}
	late := t.lateSince(now)
	for _, s := range t.servers {
		if (s.phase == phaseAsked || s.phase == phaseStarted) && !s.asked.IsZero() && s.asked.Before(late) {
			return true
		}
	}
	return false
}

// lateSince is when what was asked for then would be late now.
func (t *table) lateSince(now time.Time) time.Time {
	return now.Add(-max(stuckTimes*t.refills.Median(), stuckAfter))
}

// countLate counts the servers that should be connected for long, by what others
// take. Where none is, it is not their fault.
func (t *table) countLate(now time.Time) (n int) {
	if !t.othersReport() {
		return 0
	}
	late := t.lateSince(now)
	for _, s := range t.servers {
		if s.phase == phaseStarted && s.since.Before(late) {
			n++
		}
	}
	return n
}

// size sets the stock's target.
func (t *table) size(now time.Time) {
	refill := t.refills.Time()
	want := StockFor(t.o.forecast, now, refill, cmp.Or(t.o.atOnce, atOnce))
	t.target = t.o.stock.Follow(now, want.Openings, want.Fell)
	v := t.view(now)
	t.o.demand.mu.Lock()
	t.o.demand.missing = max(v.Waiting+v.Stock-v.Started-v.Idle, 0)
	t.o.demand.mu.Unlock()
	t.o.metrics.stock.Set(float64(t.target))
	t.o.metrics.refill.Set(refill.Seconds())
}

// drawn counts an opening, of which the view does not know more than that it
// waits.
func (t *table) drawn(v View, now time.Time) {
	t.o.forecast.Opened(now, 1)
	result := "ready"
	if v.Idle < v.Waiting {
		result = "waits"
	}
	t.o.metrics.draws.WithLabelValues(result).Inc()
}

// refilled measures how long a server took that was asked for here.
func (t *table) refilled(s *server, now time.Time) {
	if s.asked.IsZero() {
		return
	}
	t.refills.Took(now.Sub(s.asked))
	t.o.metrics.refills.Observe(now.Sub(s.asked).Seconds())
	s.asked = time.Time{}
}
