package process

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// maxExits bounds what is kept for a watcher that is away.
const maxExits = 4096

// exits are the ends of game servers, told in order to one watcher.
type exits struct {
	dropped prometheus.Counter

	mu      sync.Mutex
	list    []throng.ServerExit // guarded by mu; full: the oldest is dropped and counted
	watched bool                // guarded by mu

	// wake holds one.
	wake chan struct{}
}

func newExits(dropped prometheus.Counter) *exits {
	return &exits{dropped: dropped, wake: make(chan struct{}, 1)}
}

// tell queues an exit. It does not block.
func (q *exits) tell(e throng.ServerExit) {
	q.mu.Lock()
	if len(q.list) == maxExits {
		q.list = q.list[1:]
		q.dropped.Inc()
	}
	q.list = append(q.list, e)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// watch calls gone for each exit until ctx ends. An exit leaves the queue when
// gone returned. Conflict: there is a watcher.
func (q *exits) watch(ctx context.Context, gone func(throng.ServerExit)) error {
	q.mu.Lock()
	if q.watched {
		q.mu.Unlock()
		return throng.Errorf(throng.Conflict, "game servers are watched already")
	}
	q.watched = true
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.watched = false
		q.mu.Unlock()
	}()
	for ctx.Err() == nil {
		e, ok := q.first()
		if !ok {
			select {
			case <-ctx.Done():
			case <-q.wake:
			}
			continue
		}
		gone(e)
		q.told(e)
	}
	return nil
}

func (q *exits) first() (throng.ServerExit, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return throng.ServerExit{}, false
	}
	return q.list[0], true
}

func (q *exits) empty() bool {
	_, more := q.first()
	return !more
}

// told removes e, unless it was dropped meanwhile.
func (q *exits) told(e throng.ServerExit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) > 0 && q.list[0] == e {
		q.list = q.list[1:]
	}
}

// recent remembers the last few thousand IDs, so that a call which comes late
// starts nothing again. It is owned by who has it.
type recent struct {
	known map[throng.ServerID]bool
	ring  []throng.ServerID // full: the oldest is forgotten
	next  int
}

const maxRecent = 8192

func (r *recent) add(id throng.ServerID) {
	if r.known == nil {
		r.known = make(map[throng.ServerID]bool)
	}
	if r.known[id] {
		return
	}
	r.known[id] = true
	if len(r.ring) < maxRecent {
		r.ring = append(r.ring, id)
		return
	}
	delete(r.known, r.ring[r.next])
	r.ring[r.next] = id
	r.next = (r.next + 1) % maxRecent
}

func (r *recent) has(id throng.ServerID) bool { return r.known[id] }
