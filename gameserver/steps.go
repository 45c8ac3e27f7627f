package gameserver

import "time"

// stepTimes counts how long steps took: in lots of a quarter of a millisecond, the
// last one all that were longer.
type stepTimes struct {
	lots  [256]int
	count int
}

const stepLot = time.Millisecond / 4

func (s *stepTimes) add(d time.Duration) {
	s.lots[min(max(int(d/stepLot), 0), len(s.lots)-1)]++
	s.count++
}

// quantile is the upper end of the lot in which the q-th of all is.
func (s *stepTimes) quantile(q float64) time.Duration {
	left := int(q * float64(s.count))
	for i, n := range s.lots {
		if left -= n; left < 0 {
			return time.Duration(i+1) * stepLot
		}
	}
	return time.Duration(len(s.lots)) * stepLot
}
