package channel

import "time"

const (
	firstTimeout = 500 * time.Millisecond // before anything was measured
	leastTimeout = 100 * time.Millisecond
	mostTimeout  = 4 * time.Second
)

// trip estimates the round trip without the time that the other side held what it
// answers, as RFC 6298 does.
type trip struct {
	smooth, spread time.Duration // 0: nothing was measured
	backoff        int           // doublings of the timeout since the last ack
}

func (t *trip) add(sample time.Duration) {
	sample = max(sample, time.Millisecond)
	if t.smooth == 0 {
		t.smooth, t.spread = sample, sample/2
		return
	}
	t.spread += ((t.smooth - sample).Abs() - t.spread) / 4
	t.smooth += (sample - t.smooth) / 8
}

// timeout is after how long a packet without an ack counts as lost. The other
// side answers when it has something to say, which is not always at once.
func (t *trip) timeout() time.Duration {
	out := firstTimeout
	if t.smooth != 0 {
		out = max(leastTimeout, t.smooth+4*t.spread+leastTimeout)
	}
	return min(out<<t.backoff, mostTimeout)
}

// late says that a packet timed out; the next one gets longer, until an ack comes.
func (t *trip) late() { t.backoff = min(t.backoff+1, 3) }

// heard says that an ack came.
func (t *trip) heard() { t.backoff = 0 }
