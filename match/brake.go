package match

import (
	"slices"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// A version whose sessions fail at start is opened ever more slowly, so that it
// burns no game servers and its joins are told why.
const (
	brakeAfter  = 3                // sessions of a version that fail in a row
	brakeQuick  = 10 * time.Second // how long a session must live not to count
	brakeFirst  = time.Second      // between two openings at first
	brakeMost   = 30 * time.Second // between two openings at most
	brakeClear  = 15 * time.Second // after an opening that nothing was heard of, all is well
	brakeForget = 5 * time.Minute  // after the last failure
	brakeKnown  = 16               // failures that are not counted twice
	brakesMost  = 1000             // versions; past that the one that failed longest ago is forgotten
)

// brakes knows which versions fail at start. Its methods do no I/O. Safe for
// use by many goroutines.
type brakes struct {
	mu     sync.Mutex
	byPool map[poolKey]*brake
}

type brake struct {
	failures int                // in a row
	known    []throng.SessionID // the last of them
	newest   time.Time          // when the newest of them was opened, by the registry's clock
	reason   string
	last     time.Time // when the last failure was heard
	until    time.Time // no opening before
	probed   time.Time // when one was allowed last
}

func newBrakes() *brakes { return &brakes{byPool: map[poolKey]*brake{}} }

// brakePause is how long to wait after the given number of failures in a row.
func brakePause(failures int) time.Duration {
	if failures < brakeAfter {
		return 0
	}
	return min(brakeFirst<<min(failures-brakeAfter, 10), brakeMost)
}

// allow says whether a session of the pool may be opened now. NoCapacity: its
// version fails at start, why, and when to come back.
func (bs *brakes) allow(key poolKey, now time.Time) error {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.byPool[key]
	switch {
	case b == nil || b.failures < brakeAfter:
		return nil
	case now.Sub(b.last) > brakeForget || b.last.Before(b.probed) && now.Sub(b.probed) > brakeClear:
		delete(bs.byPool, key)
		return nil
	case now.Before(b.until):
		return throng.RetryLater(throng.NoCapacity, b.until.Sub(now), "version %d fails at start: %s", key.version, b.reason)
	}
	b.probed, b.until = now, now.Add(brakePause(b.failures))
	return nil
}

// stumble is a version that fails at start.
type stumble struct {
	failures int           // in a row
	pause    time.Duration // before the next opening
}

// note hears of a session. ok: it is one more that failed at start, of a
// version that is braked for it.
func (bs *brakes) note(s throng.Session, now time.Time) (st stumble, ok bool) {
	if s.State != throng.SessionEnded {
		return stumble{}, false
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	key := poolKey{s.Place, s.Version}
	b := bs.byPool[key]
	quick := s.Failed && (s.BoundAt.IsZero() || now.Sub(s.BoundAt) < brakeQuick)
	switch {
	case b != nil && slices.Contains(b.known, s.ID):
		return stumble{}, false
	case !quick:
		if b != nil && s.OpenedAt.After(b.newest) { // it lived
			delete(bs.byPool, key)
		}
		return stumble{}, false
	case b == nil || now.Sub(b.last) > brakeForget:
		b = &brake{}
		bs.makeRoom()
		bs.byPool[key] = b
	}
	if len(b.known) == brakeKnown {
		b.known = slices.Delete(b.known, 0, 1)
	}
	b.known = append(b.known, s.ID)
	b.failures++
	b.reason, b.last = s.Reason, now
	if s.OpenedAt.After(b.newest) {
		b.newest = s.OpenedAt
	}
	pause := brakePause(b.failures)
	b.until = now.Add(pause)
	return stumble{b.failures, pause}, b.failures >= brakeAfter
}

func (bs *brakes) makeRoom() {
	if len(bs.byPool) < brakesMost {
		return
	}
	var oldest poolKey
	var at time.Time
	for key, b := range bs.byPool {
		if at.IsZero() || b.last.Before(at) {
			oldest, at = key, b.last
		}
	}
	delete(bs.byPool, oldest)
}
