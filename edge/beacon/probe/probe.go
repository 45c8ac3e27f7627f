package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// magic begins every probe.
const magic = "THRNGBCN"

// Sizes of a probe in bytes.
const (
	Size = len(magic) + 8
	Most = 64
)

// Is says whether a datagram is one that is answered.
func Is(b []byte) bool {
	return len(b) >= Size && len(b) <= Most && string(b[:len(magic)]) == magic
}

// Probes is how often a beacon is asked.
const Probes = 5

// apart is the time from one probe over UDP to the next.
const apart = 20 * time.Millisecond

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

// UDP asks the beacon at host:port, Probes times, and waits until the last answer is
// there, at most wait after the last probe, or until ctx ends: what came by then
// counts. Unavailable: nothing did; where UDP is blocked HTTP may help. If ctx ended
// before anything came its error is returned.
func UDP(ctx context.Context, beacon string, wait time.Duration) (Latency, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", beacon)
	if err != nil {
		return Latency{}, throng.Errorf(throng.Unavailable, "open socket to beacon %s: %w", beacon, err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	return result(ctx, beacon, exchange(conn, wait))
}

// result is what came of a beacon's probes.
func result(ctx context.Context, beacon string, trips []time.Duration) (Latency, error) {
	if len(trips) > 0 {
		return Of(trips), nil
	}
	if err := ctx.Err(); err != nil {
		return Latency{}, err
	}
	return Latency{}, throng.Errorf(throng.Unavailable, "beacon %s does not answer", beacon)
}

// asked is one probe on its way.
type asked struct {
	probe    [Size]byte
	at       time.Time
	answered bool
}

// exchange sends the probes and takes their answers until all are there, wait is
// over, or the socket is closed or refused.
func exchange(conn net.Conn, wait time.Duration) (trips []time.Duration) {
	all := make([]asked, 0, Probes)
	var next, ends time.Time // of the next probe; of all
	for buffer := make([]byte, Most+1); len(trips) < Probes; {
		now := time.Now()
		switch {
		case len(all) < Probes && !now.Before(next):
			a := asked{at: now}
			rand.Read(a.probe[copy(a.probe[:], magic):])
			if _, err := conn.Write(a.probe[:]); err != nil {
				return trips
			}
			all = append(all, a)
			next, ends = now.Add(apart), now.Add(wait)
		case len(all) == Probes && !now.Before(ends):
			return trips
		}
		until := ends
		if len(all) < Probes {
			until = next
		}
		if conn.SetReadDeadline(until) != nil {
			return trips
		}
		n, err := conn.Read(buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return trips
		default:
			if at, ok := answers(all, buffer[:n]); ok {
				trips = append(trips, time.Since(at))
			}
		}
	}
	return trips
}

// answers says when the probe was sent that a datagram answers, which counts once.
func answers(all []asked, datagram []byte) (time.Time, bool) {
	for i := range all {
		if a := &all[i]; !a.answered && string(datagram) == string(a.probe[:]) {
			a.answered = true
			return a.at, true
		}
	}
	return time.Time{}, false
}

// HTTP asks where UDP is blocked: url is that of GET /beacon. It asks Probes times,
// one after the other, and waits for each answer at most wait, until ctx ends: what
// came by then counts. The call before them, which opens the connection, does not;
// where it fails no other is made. Errors are as UDP's.
func HTTP(ctx context.Context, over *http.Client, url string, wait time.Duration) (Latency, error) {
	var trips []time.Duration
	for i := range Probes + 1 {
		trip, err := get(ctx, over, url, wait)
		if err != nil && (i == 0 || ctx.Err() != nil) {
			break
		}
		if err == nil && i > 0 {
			trips = append(trips, trip)
		}
	}
	return result(ctx, url, trips)
}

// get asks once, without going where it is sent to.
func get(ctx context.Context, over *http.Client, url string, wait time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, throng.AtField(throng.Invalid, "url", "%w", err)
	}
	straight := *over
	straight.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	begun := time.Now()
	resp, err := straight.Do(req)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return 0, throng.Errorf(throng.Unavailable, "%s answers %s", url, resp.Status)
	}
	return time.Since(begun), nil
}
