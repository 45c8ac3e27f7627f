package breaker

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/throng-gg/throng"
)

var key = Key{"door", "eu", "summary"}

func newBreakers(t *testing.T) *Breakers {
	t.Helper()
	b, err := New(Config{Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// after answers later, or when ctx ends.
func after(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestRefusesWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, calls := newBreakers(t), 0
		down := func(context.Context) error {
			calls++
			return throng.Errorf(throng.Unavailable, "connection refused")
		}
		for range 50 {
			if err := b.Do(t.Context(), key, 0, down); throng.KindOf(err) != throng.Unavailable {
				t.Fatal(err)
			}
		}
		if calls != 5 || b.State(key) != Open {
			t.Errorf("%d of 50 calls went through and it is %s, want 5 and open", calls, b.State(key))
		}
		for _, other := range []Key{{"door", "us", "summary"}, {"door", "eu", "ticket"}, {"poll", "eu", "summary"}} {
			if err := b.Do(t.Context(), other, 0, func(context.Context) error { return nil }); err != nil {
				t.Errorf("%v is refused as well: %v", other, err)
			}
		}
		_ = after(t.Context(), time.Second)
		for range 3 {
			if err := b.Do(t.Context(), key, 0, func(context.Context) error { return nil }); err != nil {
				t.Errorf("a probe: %v", err)
			}
		}
		if b.State(key) != Closed {
			t.Errorf("it is %s, want closed", b.State(key))
		}
		if got := testutil.ToFloat64(b.metrics.transitions.WithLabelValues("door", "eu", "summary", "open")); got != 1 {
			t.Errorf("it opened %g times, want once", got)
		}
		if got := testutil.ToFloat64(b.metrics.calls.WithLabelValues("door", "eu", "summary", "open")); got != 45 {
			t.Errorf("%g refused calls were counted, want 45", got)
		}
	})
}

// A region that refuses answers; who goes away says nothing of it.
func TestRefusalsAreAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakers(t)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 {
			_ = b.Do(t.Context(), key, 0, func(context.Context) error { return throng.Errorf(throng.Full, "full") })
			_ = b.Do(gone, key, 0, func(ctx context.Context) error { return ctx.Err() })
		}
		if b.State(key) != Closed {
			t.Errorf("it is %s, want closed", b.State(key))
		}
	})
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakers(t)
		var busy atomic.Int32
		for range 100 {
			go func() {
				if b.Do(t.Context(), key, 0, func(ctx context.Context) error { return after(ctx, time.Millisecond) }) != nil {
					busy.Add(1)
				}
			}()
		}
		_ = after(t.Context(), time.Second)
		synctest.Wait()
		if got := busy.Load(); got != 100-limitFirst {
			t.Errorf("%d calls were refused, want %d", got, 100-limitFirst)
		}
	})
}

func TestKeysAreBounded(t *testing.T) {
	b := newBreakers(t)
	for i := range 1024 {
		if err := b.Do(t.Context(), Key{Caller: strconv.Itoa(i)}, 0, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	err := b.Do(t.Context(), key, 0, func(context.Context) error { return nil })
	if throng.KindOf(err) != throng.Unavailable || err == nil || len(b.lines) != 1024 {
		t.Errorf("got %v and %d keys", err, len(b.lines))
	}
}

// The first call hangs, the second answers: the answer is there soon after the
// usual time, and no hedge is made as long as calls are quick.
func TestHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakers(t)
		var calls atomic.Int32
		quick := func(ctx context.Context) (int32, error) { return calls.Add(1), after(ctx, 20*time.Millisecond) }
		for range 50 {
			if _, err := Read(t.Context(), b, key, quick); err != nil {
				t.Fatal(err)
			}
		}
		if got := calls.Load(); got != 50 {
			t.Errorf("%d calls for 50 quick reads", got)
		}
		begun := time.Now()
		var n atomic.Int32
		got, err := Read(t.Context(), b, key, func(ctx context.Context) (int32, error) {
			me := n.Add(1)
			if me == 1 {
				return me, after(ctx, time.Hour)
			}
			return me, after(ctx, 20*time.Millisecond)
		})
		if took := time.Since(begun); err != nil || got != 2 || took != 45*time.Millisecond {
			t.Errorf("got the answer of call %d after %s, %v; want the second's after 45ms", got, took, err)
		}
		synctest.Wait() // the first one has ended
	})
}

func TestReadRepeatsWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, calls := newBreakers(t), 0
		got, err := Read(t.Context(), b, key, func(context.Context) (string, error) {
			if calls++; calls == 1 {
				return "", errors.New("connection reset")
			}
			return "summary", nil
		})
		if err != nil || got != "summary" || calls != 2 {
			t.Errorf("got %q, %v after %d calls", got, err, calls)
		}
		calls = 0
		if _, err = Read(t.Context(), b, key, func(context.Context) (string, error) {
			calls++
			return "", throng.Errorf(throng.Denied, "no")
		}); throng.KindOf(err) != throng.Denied || calls != 1 {
			t.Errorf("a refusal: got %v after %d calls, want one", err, calls)
		}
	})
}

// When every call is slow, at most a tenth of them is made twice.
func TestHedgesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreakers(t)
		var calls atomic.Int32
		begun := time.Now()
		for range 400 {
			_, _ = Read(t.Context(), b, key, func(ctx context.Context) (int, error) {
				calls.Add(1)
				return 0, after(ctx, 800*time.Millisecond)
			})
		}
		most := 400 + 40 + int32(budgetMost) + int32(time.Since(begun).Seconds())
		if got := calls.Load(); got > most {
			t.Errorf("%d calls for 400 reads in %s, want at most %d", got, time.Since(begun), most)
		}
		synctest.Wait()
	})
}
