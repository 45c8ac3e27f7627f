package fleet

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// After a burst that had to wait, the next one finds a stock for nearly all of
// it; when no more come, the stock goes back to its floor, slowly.
func TestStockGrowsWithBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.runWith(t, Config{Stock: 2, StockMost: 40, Max: 200})
		after(t, 2*time.Second)
		burst := func() (waited float64) {
			was := value(t, r.o.metrics.draws.WithLabelValues("waits"))
			for range 30 {
				r.opens(t)
			}
			after(t, 5*time.Second)
			return value(t, r.o.metrics.draws.WithLabelValues("waits")) - was
		}
		if n := burst(); n != 28 {
			t.Errorf("got %v openings of the first burst that waited, want all but the 2 of the floor", n)
		}
		if n := r.phases(); n["idle"] < 29 || n["idle"] > 40 {
			t.Errorf("got %v, want a stock of 29 to 40", n)
		}
		after(t, 40*time.Second)
		if n := burst(); n > 1 {
			t.Errorf("got %v openings of the second burst that waited, want 1 at most", n)
		}
		after(t, 10*time.Minute)
		if n := r.phases(); n["idle"] < 29 {
			t.Errorf("got %v ten minutes later, want the stock kept", n)
		}
		after(t, 25*time.Minute)
		if n := r.phases(); n["idle"] != 2 {
			t.Errorf("got %v, want the stock at its floor", n)
		}
		r.audit(t)
	})
}

// The ceiling holds, and a stock of always as many stays that.
func TestStockIsBounded(t *testing.T) {
	for most, want := range map[int]int{0: 2, 5: 5} {
		synctest.Test(t, func(t *testing.T) {
			r := newRegion()
			r.runWith(t, Config{Stock: 2, StockMost: most, Max: 200})
			after(t, 2*time.Second)
			for range 50 {
				r.opens(t)
			}
			after(t, 20*time.Second)
			if n := r.phases(); n["idle"] != want {
				t.Errorf("stock of 2 to %d: got %v, want %d idle", most, n, want)
			}
		})
	}
}

// Who has used his stock up goes on being ready, since sessions with room take
// players without it; who cannot fill it is ready after half a minute.
func TestReadyDoesNotEndWithTheStock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.run(t, 2, 10)
		after(t, 2*time.Second)
		r.set(func() { r.allocErr = throng.Errorf(throng.Unavailable, "away") })
		for range 3 {
			r.opens(t)
		}
		after(t, time.Second)
		if n := r.phases(); n["idle"] != 0 || !r.o.Ready() {
			t.Errorf("got %v, ready %v, want none idle and ready", n, r.o.Ready())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		r.allocErr = throng.Errorf(throng.Unavailable, "away")
		r.run(t, 2, 10)
		after(t, 29*time.Second)
		if r.o.Ready() {
			t.Error("got ready after 29 s without a server")
		}
		after(t, 2*time.Second)
		if !r.o.Ready() {
			t.Error("got not ready after 31 s, want joins into sessions that run")
		}
	})
}

// Sessions that others opened count for what the region expects, each once, also
// when the orchestrator was started again.
func TestRegionsDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		stop := r.run(t, 2, 50)
		after(t, 2*time.Second)
		for range 10 {
			r.opens(t)
		}
		after(t, 5*time.Second)
		expect := func() int { return r.o.Expect(time.Now(), time.Minute).Openings }
		if got := expect(); got != 10 {
			t.Errorf("got %d, want the 10 sessions that were opened", got)
		}
		stop()
		r.run(t, 2, 50)
		after(t, 5*time.Second)
		if got := expect(); got != 10 {
			t.Errorf("got %d after a restart, want the same 10", got)
		}
		r.set(func() { r.mute = true }) // the registry is rebuilding
		after(t, 5*time.Second)
		r.set(func() { r.mute = false })
		after(t, 5*time.Second)
		if got := expect(); got != 10 {
			t.Errorf("got %d after the registry came back, want the same 10", got)
		}
		if got := r.o.Missing(); got != 0 {
			t.Errorf("got %d missing, want none", got)
		}
	})
}

// value reads a counter.
func value(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}
