// Package endings is what backends of the fleet keep of servers that are over:
// ends that the fleet has yet to be told (Queue), and which IDs must not be
// started again (Recent).
package endings

import (
	"context"
	"sync"

	"github.com/throng-gg/throng"
)

// Most bounds what is kept for a watcher that is away.
const Most = 4096

// Queue is the ends of game servers, told in order to one watcher.
type Queue struct {
	dropped func()

	mu      sync.Mutex
	list    []throng.ServerExit // guarded by mu; full: the oldest is dropped and counted
	watched bool                // guarded by mu

	wake chan struct{} // holds one
}

// New makes a queue; dropped is called for each end that is dropped.
func New(dropped func()) *Queue {
	return &Queue{dropped: dropped, wake: make(chan struct{}, 1)}
}

// Tell queues ends. It does not block.
func (q *Queue) Tell(all ...throng.ServerExit) {
	if len(all) == 0 {
		return
	}
	q.mu.Lock()
	q.list = append(q.list, all...)
	for len(q.list) > Most {
		q.list = q.list[1:]
		q.dropped()
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Watch calls gone for each end until ctx ends. It leaves the queue when
// gone returned. Conflict: there is a watcher.
func (q *Queue) Watch(ctx context.Context, gone func(throng.ServerExit)) error {
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

func (q *Queue) first() (throng.ServerExit, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return throng.ServerExit{}, false
	}
	return q.list[0], true
}

// Empty says whether all was told.
func (q *Queue) Empty() bool {
	_, more := q.first()
	return !more
}

// told removes e, unless it was dropped meanwhile.
func (q *Queue) told(e throng.ServerExit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) > 0 && q.list[0] == e {
		q.list = q.list[1:]
	}
}

// Recent remembers the last IDs that it was given, each with a word. It is owned
// by who has it.
type Recent struct {
	known map[throng.ServerID]string
	ring  []throng.ServerID // full: the oldest is forgotten
	next  int
	most  int
}

// NewRecent makes one that remembers so many.
func NewRecent(most int) *Recent { return &Recent{known: map[throng.ServerID]string{}, most: most} }

// Add remembers an ID; the word of one that is known stays.
func (r *Recent) Add(id throng.ServerID, word string) {
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

// Get returns the word of an ID that is remembered.
func (r *Recent) Get(id throng.ServerID) (word string, ok bool) {
	word, ok = r.known[id]
	return word, ok
}

// Has says whether an ID is remembered.
func (r *Recent) Has(id throng.ServerID) bool { _, ok := r.known[id]; return ok }

// Drop forgets an ID.
func (r *Recent) Drop(id throng.ServerID) { delete(r.known, id) }
