package agones

import (
	"context"
	"sync"

	"github.com/throng-gg/throng"
)

const (
	maxExits = 4096    // kept for a watcher that is away
	maxOver  = 1 << 15 // servers that are over and remembered
)

// exits are the ends of game servers, told in order to one watcher.
type exits struct {
	dropped func()

	mu      sync.Mutex
	list    []throng.ServerExit // guarded by mu; full: the oldest is dropped and counted
	watched bool                // guarded by mu

	wake chan struct{} // holds one
}

func newExits(dropped func()) *exits {
	return &exits{dropped: dropped, wake: make(chan struct{}, 1)}
}

// tell queues exits. It does not block.
func (q *exits) tell(all ...throng.ServerExit) {
	if len(all) == 0 {
		return
	}
	q.mu.Lock()
	q.list = append(q.list, all...)
	for len(q.list) > maxExits {
		q.list = q.list[1:]
		q.dropped()
	}
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

// told removes e, unless it was dropped meanwhile.
func (q *exits) told(e throng.ServerExit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) > 0 && q.list[0] == e {
		q.list = q.list[1:]
	}
}

// recent remembers the last IDs that it was given, each with a word. It is owned
// by who has it.
type recent struct {
	known map[throng.ServerID]string
	ring  []throng.ServerID // full: the oldest is forgotten
	next  int
	most  int
}

func newRecent(most int) *recent { return &recent{known: map[throng.ServerID]string{}, most: most} }

// add remembers an ID; the word of one that is known stays.
func (r *recent) add(id throng.ServerID, word string) {
	if _, ok := r.known[id]; ok {
		return
	}
	r.known[id] = word
	if len(r.ring) < r.most {
		r.ring = append(r.ring, id)
		return
	}
	delete(r.known, r.ring[r.next])
	r.ring[r.next] = id
	r.next = (r.next + 1) % r.most
}

func (r *recent) get(id throng.ServerID) (word string, ok bool) {
	word, ok = r.known[id]
	return word, ok
}

// drop forgets an ID.
func (r *recent) drop(id throng.ServerID) { delete(r.known, id) }
