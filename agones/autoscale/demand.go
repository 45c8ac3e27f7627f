package autoscale

import (
	"context"
	"time"
)

const (
	lookTime  = time.Second      // between two looks at the region's numbers
	freshTime = 10 * time.Second // how old they may be
)

// numbers are what answers are made of. They don't change.
type numbers struct {
	at        time.Time
	wanted    map[string]int  // Ready servers, by key of the Fleet
	allocated map[string]int  // by cluster
	away      map[string]bool // clusters where nothing can be started, against all wishes
	fell      bool            // openings fell, and nobody foresaw it
}

// look reads the region's numbers.
func (w *Webhook) look(now time.Time) *numbers {
	outlook := w.demand.Expect(now, w.lead)
	all, away := closed(w.clusters.Clusters())
	n := &numbers{
		at:        now,
		wanted:    make(map[string]int, len(w.fleets)),
		allocated: map[string]int{},
		away:      away,
		fell:      outlook.Fell,
	}
	for i, ready := range shares(outlook.Openings+w.demand.Missing(), w.fleets, all) {
		n.wanted[w.fleets[i].key()] = ready
	}
	for _, s := range w.clusters.Sites() {
		n.allocated[s.Cluster]++
	}
	return n
}

// Run keeps the numbers fresh, and the Buffers behind the webhook, until ctx ends.
func (w *Webhook) Run(ctx context.Context) error {
	keeping := make(chan struct{})
	go func() {
		defer close(keeping)
		w.keepFallbacks(ctx)
	}()
	defer func() { <-keeping }()
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for {
		w.numbers.Store(w.look(time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
