package client

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/edge/beacon/probe"
)

const (
	// measureTime bounds how long a ticket waits for latencies.
	measureTime = 1500 * time.Millisecond
	// measuredFor is how long they are remembered, where each region that has
	// beacons answered; soonAgain otherwise.
	measuredFor = 10 * time.Minute
	soonAgain   = time.Minute
)

// latencies are how far regions are, of all clients of one door.
type latencies struct {
	mu    sync.Mutex // guards what follows
	known map[throng.RegionID]probe.Latency
	err   error
	from  network // where known was measured
	until time.Time
	under chan struct{} // closed when the measurement under way is done; nil: none is
}

// network is this machine's addresses on its ways out, which change with the network.
type network [2]netip.Addr

// Latencies measures how far the regions are, by their beacons: over UDP, and over
// HTTP where UDP gets no answer. It takes 1.5 s at most; regions that did not answer
// by then are missing. The result is remembered for ten minutes while this machine's
// network is the same, or for one where a region did not answer; clients made by As
// share it. Errors are Regions', or that ctx ended.
func (d *Door) Latencies(ctx context.Context) (map[throng.RegionID]probe.Latency, error) {
	under, known, err := d.far.begin(ctx, d.measure)
	if under == nil {
		return maps.Clone(known), err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-under:
	}
	d.far.mu.Lock()
	defer d.far.mu.Unlock()
	return maps.Clone(d.far.known), d.far.err
}

// begin returns what is known, or the end of a measurement, which it begins when
// none is under way. Who began it may go away meanwhile.
func (l *latencies) begin(ctx context.Context, measure func(context.Context) (measured, error)) (under chan struct{}, known map[throng.RegionID]probe.Latency, err error) {
	from := networkOf(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.under != nil:
		return l.under, nil, nil
	case from == l.from && time.Now().Before(l.until):
		return nil, l.known, nil
	}
	under = make(chan struct{})
	l.under = under
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), measureTime)
		defer cancel()
		m, err := measure(ctx)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.known, l.err, l.from, l.under, l.until = m.far, err, from, nil, time.Time{}
		switch {
		case err != nil: // known is not good
		case m.all:
			l.until = time.Now().Add(measuredFor)
		default:
			l.until = time.Now().Add(soonAgain)
		}
		close(under)
	}()
	return under, nil, nil
}

// measured is what came of a measurement.
type measured struct {
	far map[throng.RegionID]probe.Latency
	all bool // each region with beacons answered
}

func (d *Door) measure(ctx context.Context) (measured, error) {
	list, err := d.Regions(ctx)
	if err != nil {
		return measured{}, err
	}
	beacons := map[throng.RegionID][]string{}
	for _, r := range list.Regions {
		if id, err := throng.ParseRegionID("id", r.ID); err == nil && len(r.BeaconUrls) > 0 {
			beacons[id] = r.BeaconUrls
		}
	}
	far := probe.Regions(ctx, d.cfg.HTTP, beacons)
	return measured{far: far, all: len(far) == len(beacons)}, nil
}

// brings adds latencies to a ticket that says nothing of them, if it says not
// already which session it is for. It takes at most half of ctx's time; a ticket
// without them is as good.
func (d *Door) brings(ctx context.Context, t throng.Ticket) throng.Ticket {
	if t.Latencies != nil || t.Session != "" || t.Friend != "" {
		return t
	}
	if ends, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(ends)/2)
		defer cancel()
	}
	far, err := d.Latencies(ctx)
	if err != nil {
		return t
	}
	out := t
	out.Latencies = make(map[throng.RegionID]float64, len(far))
	for id, l := range far {
		out.Latencies[id] = float64(l.Median) / float64(time.Millisecond)
	}
	return out
}

// networkOf looks which addresses this machine would send from. Nothing is sent:
// both are of documentation.
func networkOf(ctx context.Context) (n network) {
	for i, to := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		conn, err := (&net.Dialer{}).DialContext(ctx, "udp", to)
		if err != nil {
			continue // there is no way
		}
		if at, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil {
			n[i] = at.Addr()
		}
		_ = conn.Close()
	}
	return n
}
