package gameserver

import (
	"sync/atomic"
	"time"
)

// regionClock is the registry's clock as far as this server knows it: its own
// monotonic clock plus an offset that heartbeat answers renew. Safe for
// concurrent use.
type regionClock struct {
	started time.Time    // of this process, with a monotonic reading
	base    atomic.Int64 // the registry's time at started, Unix nanoseconds
}

func newRegionClock(now time.Time) *regionClock {
	c := &regionClock{started: time.Now()}
	c.set(now, c.started)
	return c
}

// set says that the registry's time was now at the local time at.
func (c *regionClock) set(now, at time.Time) {
	c.base.Store(now.UnixNano() - int64(at.Sub(c.started)))
}

// now is the registry's time.
func (c *regionClock) now() time.Time {
	return time.Unix(0, c.base.Load()+int64(time.Since(c.started)))
}
