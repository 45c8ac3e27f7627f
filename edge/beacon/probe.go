package beacon

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// Probes is how often a beacon is asked.
const Probes = 5

// Latency is how far a beacon is.
type Latency struct {
	// Median is the round trip in the middle, Jitter the mean distance of the others from it.
	Median, Jitter time.Duration
	// Answered is how many of Probes were.
	Answered int
}

// Of sums up round trips; none is a Latency of zero answers.
func Of(trips []time.Duration) Latency {
	if len(trips) == 0 {
		return Latency{}
	}
	sorted := slices.Sorted(slices.Values(trips))
	l := Latency{Median: sorted[len(sorted)/2], Answered: len(sorted)}
	for _, t := range sorted {
		l.Jitter += (t - l.Median).Abs()
	}
	l.Jitter /= time.Duration(max(len(sorted)-1, 1))
	return l
}

// Probe asks a beacon over UDP, Probes times, and waits for each answer at most
// wait. Unavailable: none came; where UDP is blocked ProbeHTTP may help. If ctx ends
// first its error is returned.
func Probe(ctx context.Context, beacon netip.AddrPort, wait time.Duration) (Latency, error) {
	socket, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(beacon))
	if err != nil {
		return Latency{}, throng.Errorf(throng.Unavailable, "open socket to beacon %s: %w", beacon, err)
	}
	defer func() { _ = socket.Close() }()
	defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
	var trips []time.Duration
	for range Probes {
		if trip, ok := probe(socket, wait); ok {
			trips = append(trips, trip)
		}
		if err := ctx.Err(); err != nil {
			return Latency{}, err
		}
	}
	if len(trips) == 0 {
		return Latency{}, throng.Errorf(throng.Unavailable, "beacon %s does not answer", beacon)
	}
	return Of(trips), nil
}

// probe asks once. Late answers of earlier ones have another nonce.
func probe(socket *net.UDPConn, wait time.Duration) (time.Duration, bool) {
	ask := append(make([]byte, 0, ProbeSize), magic...)
	ask = ask[:ProbeSize]
	rand.Read(ask[len(magic):])
	begun := time.Now()
	if socket.SetReadDeadline(begun.Add(wait)) != nil {
		return 0, false
	}
	if _, err := socket.Write(ask); err != nil {
		return 0, false
	}
	for buffer := make([]byte, ProbeMost+1); ; {
		n, err := socket.Read(buffer)
		if err != nil {
			return 0, false
		}
		if string(buffer[:n]) == string(ask) {
			return time.Since(begun), true
		}
	}
}

// ProbeHTTP asks where UDP is blocked: url is that of GET /beacon. The first call,
// which opens the connection, does not count.
func ProbeHTTP(ctx context.Context, over *http.Client, url string, wait time.Duration) (Latency, error) {
	var trips []time.Duration
	for i := range Probes + 1 {
		trip, err := probeHTTP(ctx, over, url, wait)
		switch {
		case ctx.Err() != nil:
			return Latency{}, ctx.Err()
		case err == nil && i > 0:
			trips = append(trips, trip)
		}
	}
	if len(trips) == 0 {
		return Latency{}, throng.Errorf(throng.Unavailable, "beacon %s does not answer", url)
	}
	return Of(trips), nil
}

func probeHTTP(ctx context.Context, over *http.Client, url string, wait time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, throng.AtField(throng.Invalid, "url", "%w", err)
	}
	begun := time.Now()
	resp, err := over.Do(req)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return 0, throng.Errorf(throng.Unavailable, "%s answers %s", url, resp.Status)
	}
	return time.Since(begun), nil
}
