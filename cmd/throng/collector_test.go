package main

import (
	"testing"
	"time"
)

// TestCollectorSlack: what is idle keeps little garbage, what gets busy keeps more at
// once, and a short pause changes nothing.
func TestCollectorSlack(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	at := time.Now()
	c := slack{percent: relaxedPercent, at: at, busy: at}
	made := uint64(0)
	// after plays seconds at so many MiB a second, with 40 MiB alive.
	after := func(seconds int, rate, alive uint64) int {
		for range seconds / 2 {
			at = at.Add(2 * time.Second)
			made += 2 * rate * mib
			c.next(at, made, alive*mib)
		}
		return c.percent
	}
	for _, step := range []struct {
		what        string
		seconds     int
		rate, alive uint64
		want        int
	}{
		{"a busy start", 60, 100, 40, relaxedPercent},
		{"a short pause", 10, 1, 40, relaxedPercent},
		{"it is idle", 20, 4, 40, 60},
		{"hardly anything", 40, 0, 40, strictPercent},
		{"a little more", 2, 4, 40, 60},
		{"a difference that does not matter", 60, 5, 45, 60},
		{"a burst", 2, 1000, 40, relaxedPercent},
		{"nothing is alive yet", 2, 0, 0, relaxedPercent},
	} {
		if got := after(step.seconds, step.rate, step.alive); got != step.want {
			t.Errorf("%s: got %d %%, want %d %%", step.what, got, step.want)
		}
	}
	if got := c.next(at, made, 40*mib); got != relaxedPercent {
		t.Errorf("at the same moment: got %d %%", got)
	}
}
