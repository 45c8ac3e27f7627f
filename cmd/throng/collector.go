package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	relaxedPercent = 400              // garbage beside what is alive, while there is much to do
	strictPercent  = 20               // the least of it
	collectEvery   = 6 * time.Second  // what makes little garbage is collected as often
	collectorLook  = 2 * time.Second  // between two looks at how much is made
	collectorCalm  = 15 * time.Second // before less garbage may pile up
)

// relaxCollector lets the heap grow to five times what is alive before it is
// collected, unless GOGC says otherwise: what a control plane keeps alive is small
// beside what its calls need for a moment. It saves a fifth of the processor time
// of joins (docs/benchmarks.md).
func relaxCollector() {
	if !collectorChosen() {
		debug.SetGCPercent(relaxedPercent)
	}
}

// collectorChosen says that somebody chose how the heap grows.
func collectorChosen() bool {
	return os.Getenv("GOGC") != "" //nolint:forbidigo // this file is the reader of the environment
}

// tendCollector keeps the garbage of a long-lived process to what its pace needs,
// until ctx ends, unless GOGC says otherwise.
func tendCollector(ctx context.Context) error {
	if collectorChosen() {
		return nil
	}
	s := slack{percent: relaxedPercent, busy: time.Now()}
	return s.run(ctx)
}

// slack lets as much garbage pile up as is made in a few seconds, and at most
// what relaxCollector does: an idle process is small, a busy one does not
// collect all the time.
type slack struct {
	percent int       // as it is set
	made    uint64    // bytes, since the process began
	at      time.Time // of made
	busy    time.Time // when it needed as much as it has
}

// next returns the percentage of garbage beside what is alive that is right now.
// It is more at once, less when it was less for a while, and stays as it is for
// small differences.
func (s *slack) next(now time.Time, made, alive uint64) int {
	span, more := now.Sub(s.at), made-s.made
	s.made, s.at = made, now
	if span <= 0 {
		return s.percent
	}
	garbage := float64(more) * float64(collectEvery) / float64(span)
	want := relaxedPercent
	if alive > 0 {
		want = max(strictPercent, min(relaxedPercent, int(100*garbage/float64(alive))))
	}
	switch {
	case want >= s.percent:
		s.busy = now
		if want > s.percent+s.percent/4 {
			s.percent = want
		}
	case want > s.percent*3/4:
		s.busy = now
	case now.Sub(s.busy) >= collectorCalm:
		s.percent, s.busy = want, now
	}
	return s.percent
}

// run sets it until ctx ends.
func (s *slack) run(ctx context.Context) error {
	said := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	tick := time.NewTicker(collectorLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			metrics.Read(said)
			before := s.percent
			// Stacks count as alive, as they do for the percentage.
			if p := s.next(now, said[0].Value.Uint64(), said[1].Value.Uint64()+said[2].Value.Uint64()); p != before {
				debug.SetGCPercent(p)
			}
		}
	}
}
