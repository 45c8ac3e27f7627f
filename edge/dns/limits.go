package dns

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// networkOf is who shares a limit: a /24 of IPv4 or a /56 of IPv6.
func networkOf(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 56
	}
	p, _ := a.Prefix(bits)
	return p
}

// limits counts by network, in so many lines whatever comes; networks may share one.
type limits struct {
	perS float64
	seed maphash.Seed

	mu    sync.Mutex
	lines []line
}

type line struct {
	left float64
	at   time.Time
	over uint32 // queries that were too many
}

const (
	lines = 1 << 14
	// slip is which of the queries that are too many is answered, with a truncation:
	// who lives in a network that others pretend to ask from gets in by TCP.
	slip = 8
)

func newLimits(perS int) *limits {
	return &limits{perS: float64(perS), seed: maphash.MakeSeed(), lines: make([]line, lines)}
}

// take says whether a network is answered once more; if not, slips says whether
// it is answered with a truncation.
func (l *limits) take(from netip.Addr, now time.Time) (ok, slips bool) {
	i := maphash.Comparable(l.seed, networkOf(from)) % lines
	l.mu.Lock()
	defer l.mu.Unlock()
	at := &l.lines[i]
	if at.at.IsZero() {
		at.left = l.perS
	}
	at.left = min(l.perS, at.left+l.perS*max(0, now.Sub(at.at).Seconds()))
	at.at = now
	if at.left < 1 {
		at.over++
		return false, at.over%slip == 0
	}
	at.left--
	return true, false
}
