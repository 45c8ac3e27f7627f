package presence

import (
	"context"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

const (
	mostEvictions = 100_000 // that wait
	evictAtOnce   = 16
	evictTime     = 3 * time.Second        // of one try
	evictPause    = 200 * time.Millisecond // after one that failed
)

// evictions are players whose seats here may be older than others elsewhere. Full: who
// adds one waits, and with him what a region says, which stays in its log.
type evictions struct {
	room  chan struct{} // one for each that waits or is worked on
	ready chan throng.PlayerID

	mu      sync.Mutex
	waiting map[throng.PlayerID]bool // guarded by mu; in ready
}

func newEvictions() evictions {
	return evictions{
		room: make(chan struct{}, mostEvictions), ready: make(chan throng.PlayerID, mostEvictions),
		waiting: map[throng.PlayerID]bool{},
	}
}

// add lets a player's seat be looked at, which it is after this call.
func (e *evictions) add(ctx context.Context, p throng.PlayerID) {
	e.mu.Lock()
	waiting := e.waiting[p]
	e.waiting[p] = true
	e.mu.Unlock()
	if waiting {
		return
	}
	select {
	case e.room <- struct{}{}:
		e.ready <- p // there is room
	case <-ctx.Done():
	}
}

// evictAll has older seats evicted until ctx ends.
func (p *Presence) evictAll(ctx context.Context) {
	var workers sync.WaitGroup
	for range evictAtOnce {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case player := <-p.evict.ready:
					p.evictOne(ctx, player)
				}
			}
		})
	}
	workers.Wait()
}

// evictOne has a player's seat evicted, if it is older. When that cannot be told it is
// tried again, after the others.
func (p *Presence) evictOne(ctx context.Context, player throng.PlayerID) {
	e := &p.evict
	e.mu.Lock()
	delete(e.waiting, player)
	e.mu.Unlock()
	now := p.cfg.Now()
	if !p.older(player, now) {
		<-e.room
		return
	}
	once, cancel := context.WithTimeout(ctx, evictTime)
	evicted, err := p.cfg.Registry.EvictOlder(once, player, p.others.Epoch(player, now))
	cancel()
	switch {
	case err == nil:
		if evicted {
			p.metrics.evictions.Inc()
		}
		<-e.room
		return
	case ctx.Err() == nil:
		p.metrics.failures.Inc()
	}
	select {
	case <-ctx.Done():
	case <-time.After(evictPause):
	}
	e.mu.Lock()
	waiting := e.waiting[player]
	e.waiting[player] = true
	e.mu.Unlock()
	if waiting {
		<-e.room
		return
	}
	e.ready <- player // it kept its room
}
