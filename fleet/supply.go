package fleet

import "time"

const (
	fullTime  = 2 * time.Second        // how long it is believed that no more can be started
	dryFirst  = 100 * time.Millisecond // before a backend that grows by itself is asked again, at first
	dryAtOnce = 4                      // least allocations under way once it had none
)

// supply is how many allocations may be under way, by what became of the last
// ones. A backend that grows by itself and has no more is asked again soon, and
// less and less often while it has none: half as many at a time when some are
// refused, and one more for each that is not. So what it makes is taken as it
// comes, and half of what is asked for is had. A backend that does not grow is full
// for a while.
type supply struct {
	most  int  // allocations under way, while none is refused
	grows bool // by itself

	window int       // now; 0: most
	full   time.Time // it starts no more until then
	pause  time.Duration
	paused time.Time // when the last pause began
}

// atOnce is how many may be under way.
func (s *supply) atOnce() int {
	if s.window == 0 {
		return s.most
	}
	return s.window
}

// gave says that an allocation succeeded.
func (s *supply) gave() {
	s.full, s.pause = time.Time{}, 0
	if s.window > 0 {
		if s.window++; s.window >= s.most {
			s.window = 0
		}
	}
}

// refused says that an allocation that was asked for then was refused, and
// returns until when no other one should be. Those that were under way together
// count once.
func (s *supply) refused(asked, now time.Time) (until time.Time) {
	s.full = now.Add(fullTime)
	if s.grows && asked.Before(s.paused) {
		return time.Time{}
	}
	s.window = min(max(s.atOnce()/2, dryAtOnce), s.most)
	if !s.grows {
		return s.full
	}
	s.paused = now
	s.pause = min(max(2*s.pause, dryFirst), fullTime)
	return now.Add(s.pause)
}
