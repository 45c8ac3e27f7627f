package friend

import (
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

const (
	quietTime = 500 * time.Millisecond
	quietMost = 1 << 14
)

// quiet remembers for a moment who has no record, which is most players: who is
// seen when he joins is looked up again when his session is chosen. A list that is
// set elsewhere in that moment counts a moment later. Full: it forgets all.
type quiet struct {
	mu sync.Mutex
	of map[throng.PlayerID]time.Time // since when
}

func (q *quiet) add(p throng.PlayerID, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.of == nil || len(q.of) >= quietMost {
		q.of = make(map[throng.PlayerID]time.Time)
	}
	q.of[p] = now
}

func (q *quiet) forget(p throng.PlayerID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.of, p)
}

// told remembers of whom all was told of late, since a region that knows where a player
// is has to know who may see it. Full: it forgets all.
type told struct {
	mu sync.Mutex
	of map[throng.PlayerID]time.Time // when
}

// due says whether a player is to be told of again, and remembers that he was.
func (t *told) due(p throng.PlayerID, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.of[p]; ok && now.Sub(at) < toldEvery {
		return false
	}
	if t.of == nil || len(t.of) >= quietMost {
		t.of = make(map[throng.PlayerID]time.Time)
	}
	t.of[p] = now
	return true
}

// take says whether the player was added a moment ago, and forgets him.
func (q *quiet) take(p throng.PlayerID, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	since, ok := q.of[p]
	delete(q.of, p)
	return ok && now.Sub(since) < quietTime
}
