package region

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/throng-gg/throng"
)

// others are regions that answer, or do not.
type others struct {
	mu      sync.Mutex
	away    map[throng.RegionID]bool
	slow    map[throng.RegionID]time.Duration
	asked   map[throng.RegionID]int
	refused throng.RegionID
	numbers map[throng.RegionID]uint8
}

func (o *others) Summary(ctx context.Context, r throng.RegionID) (throng.RegionSummary, error) {
	o.mu.Lock()
	o.asked[r]++
	away, slow := o.away[r], o.slow[r]
	summary := at(r, 25).Summary
	summary.Number = o.numbers[r]
	o.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return throng.RegionSummary{}, throng.Errorf(throng.Unavailable, "%w", ctx.Err())
	}
	if away {
		return throng.RegionSummary{}, throng.Errorf(throng.Unavailable, "connection refused")
	}
	return summary, nil
}

func (o *others) Refused(r throng.RegionID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return r == o.refused
}

func (o *others) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
	synctest.Wait()
}

// peers know nothing yet.
func peers(t *testing.T, regions ...throng.RegionID) (*Peers, *others) {
	t.Helper()
	o := &others{away: map[throng.RegionID]bool{}, slow: map[throng.RegionID]time.Duration{}, asked: map[throng.RegionID]int{}}
	p, err := New(Config{Regions: regions, Doors: o, Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return p, o
}

// run lets them ask until the test is over.
func run(t *testing.T, p *Peers) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// fit is the regions that somebody may be sent to.
func fit(p *Peers) (ids string) {
	for _, r := range Rank(want(usual, map[throng.RegionID]float64{"eu": 10, "us": 20}), p.Candidates("arena")) {
		if r.Try {
			ids += string(r.Region) + " "
		}
	}
	return ids
}

func TestPeersAreHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := peers(t, "us", "eu")
		if got := fit(p); got != "" {
			t.Errorf("before anything is known: %q", got)
		}
		run(t, p)
		wait(t, 100*time.Millisecond)
		if got := fit(p); got != "eu us " {
			t.Errorf("got %q, want both", got)
		}
		o.set(func() { o.away["eu"] = true })
		wait(t, FreshFor+askEvery*5/4)
		if got := fit(p); got != "us " {
			t.Errorf("eu is away: got %q, want us", got)
		}
		if got := testutil.ToFloat64(p.metrics.fresh.WithLabelValues("eu")); got != 0 {
			t.Errorf("the metric says that it is heard: %g", got)
		}
		o.set(func() { o.away["eu"] = false; o.slow["us"] = 2 * time.Second })
		wait(t, FreshFor+askEvery*5/4)
		if got := fit(p); got != "eu " {
			t.Errorf("eu is back, us takes 2 s: got %q, want eu", got)
		}
		o.set(func() { o.slow["us"], o.refused = 0, "eu" })
		wait(t, 2*askEvery*5/4)
		if got := fit(p); got != "us " {
			t.Errorf("us is quick again, calls of eu are refused: got %q, want us", got)
		}
	})
}

// A region is asked about once a second, and regions that began together do not go
// on in step.
func TestPeersAskSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, o := peers(t, "us", "eu")
		run(t, p)
		wait(t, 1000*time.Second)
		o.mu.Lock()
		defer o.mu.Unlock()
		for id, n := range o.asked {
			if n < 950 || n > 1050 {
				t.Errorf("%s was asked %d times in 1,000 s", id, n)
			}
		}
	})
}

func TestSentCountsUntilTheNextSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := peers(t, "eu")
		p.Sent("eu", "arena", 1) // nothing is known yet
		p.Sent("mars", "arena", 1)
		run(t, p)
		wait(t, 100*time.Millisecond)
		for range 3 {
			p.Sent("eu", "arena", 2)
		}
		if c := p.Candidates("arena")[0]; c.SentSeats != 6 || c.SentTickets != 3 {
			t.Errorf("%d seats, %d tickets, want 6 and 3", c.SentSeats, c.SentTickets)
		}
		if c := p.Candidates("other")[0]; c.SentSeats != 0 || c.SentTickets != 3 {
			t.Errorf("another place: %d seats, %d tickets, want 0 and 3", c.SentSeats, c.SentTickets)
		}
		wait(t, 2*askEvery)
		if c := p.Candidates("arena")[0]; c.SentSeats != 0 || c.SentTickets != 0 {
			t.Errorf("a newer summary: %d seats, %d tickets, want none", c.SentSeats, c.SentTickets)
		}
	})
}

func TestConfig(t *testing.T) {
	many := map[throng.RegionID]bool{}
	for i := range throng.MaxRegions {
		many[throng.RegionID("r"+strconv.Itoa(i))] = true
	}
	var list []throng.RegionID
	for id := range maps.Keys(many) {
		list = append(list, id)
	}
	for _, bad := range []Config{{}, {Doors: &others{}, Regions: list}, {Doors: &others{}, Regions: []throng.RegionID{"eu", "eu"}}} {
		if _, err := New(bad); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%v: got %v, want invalid", bad.Regions, err)
		}
	}
}

// A region that has the number of another gets nobody until it has one of its own.
func TestPeersWithTheSameNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := &others{
			away: map[throng.RegionID]bool{}, slow: map[throng.RegionID]time.Duration{}, asked: map[throng.RegionID]int{},
			numbers: map[throng.RegionID]uint8{"ap": 1, "eu": 3, "us": 3},
		}
		metrics := prometheus.NewRegistry()
		p, err := New(Config{
			Own: throng.Region{ID: "sa", Number: 1}, Regions: []throng.RegionID{"ap", "eu", "us"}, Doors: o,
			Logger: slog.New(slog.NewTextHandler(&log, nil)), Metrics: metrics,
		})
		if err != nil {
			t.Fatal(err)
		}
		run(t, p)
		wait(t, 2*askEvery*5/4)
		if got := fit(p); got != "" {
			t.Errorf("got %q, want none: ap has our number, eu and us have one together", got)
		}
		o.set(func() { o.numbers["us"], o.numbers["ap"] = 4, 2 })
		wait(t, 2*askEvery*5/4)
		if got := fit(p); got != "eu us ap " {
			t.Errorf("got %q, want all", got)
		}
		o.set(func() { o.numbers["us"] = 1 })
		wait(t, askEvery*5/4)
		if got := fit(p); strings.Contains(got, "us") {
			t.Errorf("got %q, want nobody sent to us at once", got)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 4 {
			t.Errorf("got %d complaints, want one for each region that has another's number, and one for us later:\n%s", n, log.String())
		}
	})
}
