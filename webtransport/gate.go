package webtransport

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// handshakesPerSecond of all together: TLS costs 0.8 ms each.
	handshakesPerSecond = 200
	// addressPerSecond is for one IPv4 address or IPv6 /64, behind which a whole
	// school may be.
	addressPerSecond = 20
	// addressRoom is how many addresses are remembered, twice.
	addressRoom = 4096
)

// gate bounds the clients of whom nothing is known yet. Safe for concurrent use.
type gate struct {
	mu      sync.Mutex // guards what follows
	most    int        // handshakes under way; zero: closed
	burst   int
	pending int
	all     *rate.Limiter
	// Addresses seen last. recent full: older is forgotten, and its addresses
	// begin anew.
	recent, older map[netip.Addr]*rate.Limiter
}

// open lets handshakes begin, for so many clients.
func (g *gate) open(capacity int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most, g.burst = 64+capacity, 64+2*capacity
	g.all = rate.NewLimiter(handshakesPerSecond, 2*g.burst)
	g.recent, g.older = make(map[netip.Addr]*rate.Limiter), nil
}

// shut lets none begin.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = 0
}

// enter says why a handshake may not begin; none: it may, and must leave.
func (g *gate) enter(from netip.Addr, now time.Time) refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.most == 0:
		return refusedUnlistening
	case g.pending >= g.most:
		return refusedPending
	case !g.limiter(from).AllowN(now, 1) || !g.all.AllowN(now, 1):
		return refusedRate
	}
	g.pending++
	return refusedNone
}

// leave ends what enter began.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending--
}

func (g *gate) limiter(from netip.Addr) *rate.Limiter {
	addr := from.Unmap()
	if addr.Is6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	if l := g.recent[addr]; l != nil {
		return l
	}
	if len(g.recent) >= addressRoom {
		g.recent, g.older = make(map[netip.Addr]*rate.Limiter), g.recent
	}
	l := g.older[addr]
	if l == nil {
		l = rate.NewLimiter(addressPerSecond, g.burst)
	}
	g.recent[addr] = l
	return l
}
