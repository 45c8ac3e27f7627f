package probe

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// waits are how long the last answer of a beacon may take over UDP, before a region
// counts as one that UDP does not reach, and each one over HTTP.
type waits struct{ udp, http time.Duration }

// Regions measures all regions at once, by the URLs of each one's beacons, until
// ctx ends. A region is as far as the nearest of its beacons: of those over UDP, and
// where none of them answers of those over HTTP. One that did not answer in time is
// left out, as are URLs that are none (CheckURL), a region's URLs beyond throng.MaxBeacons,
// and regions beyond throng.MaxRegions.
func Regions(ctx context.Context, over *http.Client, beacons map[throng.RegionID][]string) map[throng.RegionID]Latency {
	return waits{udp: 500 * time.Millisecond, http: time.Second}.regions(ctx, over, beacons)
}

func (w waits) regions(ctx context.Context, over *http.Client, beacons map[throng.RegionID][]string) map[throng.RegionID]Latency {
	var mu sync.Mutex
	out := make(map[throng.RegionID]Latency, len(beacons))
	var group sync.WaitGroup
	begun := 0
	for id, urls := range beacons {
		if begun++; begun > throng.MaxRegions {
			break
		}
		group.Go(func() {
			if l := w.region(ctx, over, urls); l.Answered > 0 {
				mu.Lock()
				defer mu.Unlock()
				out[id] = l
			}
		})
	}
	group.Wait()
	return out
}

// region measures one.
func (w waits) region(ctx context.Context, over *http.Client, urls []string) Latency {
	var direct, web []string
	for _, s := range urls[:min(len(urls), throng.MaxBeacons)] {
		switch t, err := parseURL(s); {
		case err != nil:
		case t.udp != "":
			direct = append(direct, t.udp)
		default:
			web = append(web, t.http)
		}
	}
	l := nearest(direct, func(at string) (Latency, error) { return UDP(ctx, at, w.udp) })
	if l.Answered == 0 {
		l = nearest(web, func(url string) (Latency, error) { return HTTP(ctx, over, url, w.http) })
	}
	return l
}

// nearest asks all at once; the one with the least median counts.
func nearest(beacons []string, ask func(string) (Latency, error)) (best Latency) {
	all := make([]Latency, len(beacons))
	var group sync.WaitGroup
	for i, b := range beacons {
		group.Go(func() {
			all[i], _ = ask(b) // a beacon that does not answer has none
		})
	}
	group.Wait()
	for _, l := range all {
		if l.Answered > 0 && (best.Answered == 0 || l.Median < best.Median) {
			best = l
		}
	}
	return best
}
