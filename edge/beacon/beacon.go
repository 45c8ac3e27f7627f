package beacon

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/edge/beacon/probe"
)

// Config is what a Beacon needs to know.
type Config struct {
	// Listen is the UDP address to bind. Port 0 takes a free one.
	Listen netip.AddrPort
	// PerSource is how many probes a second are answered to one IPv4 address or /64 of
	// IPv6, and at once; 50. Sources are counted in 4,096 lines, which some share.
	PerSource int
	// Far is how much later it answers: it stands for a region that is so far away.
	Far time.Duration
	// Metrics: nil registers none.
	Metrics prometheus.Registerer
}

// Beacon answers probes.
type Beacon struct {
	socket *net.UDPConn
	limits limits // owned by Run
	far    time.Duration
	probes *prometheus.CounterVec
}

// New binds the socket. Run must be called to free it. Invalid: the config makes
// no sense. Unavailable: the address can't be bound.
func New(c Config) (*Beacon, error) {
	if c.PerSource == 0 {
		c.PerSource = 50
	}
	switch {
	case !c.Listen.IsValid():
		return nil, throng.AtField(throng.Invalid, "listen", "is not set")
	case c.PerSource < 1:
		return nil, throng.AtField(throng.Invalid, "per_source", "is %d, 1 or more are allowed", c.PerSource)
	}
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(c.Listen))
	if err != nil {
		return nil, throng.Errorf(throng.Unavailable, "bind %s: %w", c.Listen, err)
	}
	b := &Beacon{
		socket: socket, limits: makeLimits(c.PerSource, maphash.MakeSeed()), far: c.Far,
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_beacon_probes_total", Help: "Datagrams that came to the beacon, by what became of them.",
		}, []string{"verdict"}),
	}
	if c.Metrics != nil {
		if err := c.Metrics.Register(b.probes); err != nil {
			return nil, errors.Join(throng.Errorf(throng.Internal, "register metrics: %w", err), socket.Close())
		}
	}
	return b, nil
}

// Address is where it listens.
func (b *Beacon) Address() netip.AddrPort {
	a, _ := netip.ParseAddrPort(b.socket.LocalAddr().String())
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// readFailures in a row mean that the socket is beyond hope.
const readFailures = 1000

// Run answers until ctx ends. Internal: the socket broke.
func (b *Beacon) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = b.socket.Close() })()
	answered, limited, refused := b.probes.WithLabelValues("answered"), b.probes.WithLabelValues("limited"), b.probes.WithLabelValues("malformed")
	buffer := make([]byte, probe.Most+1)
	for failures := 0; failures < readFailures; {
		n, from, err := b.socket.ReadFromUDPAddrPort(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			failures++
			continue
		}
		failures = 0
		switch {
		case !probe.Is(buffer[:n]):
			refused.Inc()
		case !b.limits.take(from.Addr(), time.Now()):
			limited.Inc()
		default:
			answered.Inc()
			b.answer(buffer[:n], from)
		}
	}
	return throng.Errorf(throng.Internal, "%d reads from %s failed in a row", readFailures, b.Address())
}

// answer sends a probe back; what is lost is repeated.
func (b *Beacon) answer(asked []byte, to netip.AddrPort) {
	if b.far <= 0 {
		_, _ = b.socket.WriteToUDPAddrPort(asked, to)
		return
	}
	asked = bytes.Clone(asked)
	// As many wait at most as the limits let in meanwhile.
	time.AfterFunc(b.far, func() { _, _ = b.socket.WriteToUDPAddrPort(asked, to) })
}

// Handler answers where UDP is blocked, so much later.
func Handler(far time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+probe.Path, func(w http.ResponseWriter, r *http.Request) {
		late := time.NewTimer(far)
		defer late.Stop()
		select {
		case <-late.C:
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Timing-Allow-Origin", "*")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// limits counts probes by source, in so many lines whatever comes.
type limits struct {
	seed    maphash.Seed
	perS    float64
	buckets []bucket
}

type bucket struct {
	left float64
	at   time.Time
}

const sources = 4096

func makeLimits(perS int, seed maphash.Seed) limits {
	return limits{seed: seed, perS: float64(perS), buckets: make([]bucket, sources)}
}

// take says whether a source is answered once more.
func (l *limits) take(from netip.Addr, now time.Time) bool {
	from = from.Unmap().WithZone("")
	if from.Is6() {
		from = netip.PrefixFrom(from, 64).Masked().Addr()
	}
	b := &l.buckets[maphash.Comparable(l.seed, from)%sources]
	if b.at.IsZero() {
		b.left = l.perS
	}
	b.left = min(l.perS, b.left+l.perS*now.Sub(b.at).Seconds())
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
