package fleet

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// TestSupply: one that grows and has none is asked again soon, then less and less
// often and with fewer at a time; a success begins anew.
func TestSupply(t *testing.T) {
	now := time.Now()
	s := supply{most: 16, grows: true}
	ask := now
	var pauses []time.Duration
	for range 7 {
		until := s.refused(ask, now)
		pauses = append(pauses, until.Sub(now))
		now = until
		ask = now
	}
	ms := time.Millisecond
	if want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 2000 * ms, 2000 * ms}; !slices.Equal(pauses, want) {
		t.Errorf("pauses %v, want %v", pauses, want)
	}
	if s.atOnce() != dryAtOnce || s.full.Before(now) {
		t.Errorf("%d at once, full until %v, want %d and %v", s.atOnce(), s.full, dryAtOnce, now)
	}
	if until := s.refused(now.Add(-5*time.Second), now.Add(time.Second)); !until.IsZero() {
		t.Errorf("one that was asked for before the last pause makes a pause until %v", until)
	}
	s.gave()
	if s.atOnce() != dryAtOnce+1 || !s.full.IsZero() {
		t.Errorf("after a success: %d at once, full until %v, want %d and not full", s.atOnce(), s.full, dryAtOnce+1)
	}
	if until := s.refused(now, now); until.Sub(now) != dryFirst {
		t.Errorf("after a success the first pause is %v, want %v", until.Sub(now), dryFirst)
	}
	for range 16 {
		s.gave()
	}
	if s.atOnce() != 16 {
		t.Errorf("after many successes: %d at once, want 16", s.atOnce())
	}
	fixed := supply{most: 2}
	if until := fixed.refused(now, now); until.Sub(now) != fullTime || fixed.atOnce() != 2 {
		t.Errorf("one that does not grow: a pause of %v and %d at once, want %v and 2", until.Sub(now), fixed.atOnce(), fullTime)
	}
}

// A backend makes some servers a second and has no other ones: openings get them
// as they come, and it is not asked much more often than it has one.
func TestBackendGrows(t *testing.T) {
	growsBy(t, 10, 50*time.Millisecond)
	growsBy(t, 12, 550*time.Millisecond) // Agones gathers allocations for 500 ms
}

func growsBy(t *testing.T, perSecond int, allocIn time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		const seconds = 6
		asked, given, begun := 0, 0, time.Now()
		r.allocIn = allocIn
		r.allocate = func() error {
			asked++
			if given >= int(time.Since(begun).Seconds()*float64(perSecond)) {
				return throng.Errorf(throng.NoCapacity, "no game server is ready")
			}
			given++
			return nil
		}
		r.runWith(t, Config{Stock: 2, Max: 200, AtOnce: 64, Patience: 10 * time.Second})
		after(t, time.Second)
		for range perSecond * (seconds + 4) {
			r.opens(t)
		}
		after(t, seconds*time.Second)
		made := perSecond * (seconds + 1)
		if given < made*9/10 || asked > 5*made {
			t.Errorf("%d a second, each after %s: %d of %d servers were taken, asked for %d times", perSecond, allocIn, given, made, asked)
		}
	})
}

// A backend that has no more servers is asked again and again, and the log says so
// now and then.
func TestDryIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion()
		asked := 0
		r.allocate = func() error {
			asked++
			return throng.Errorf(throng.NoCapacity, "no game server is ready")
		}
		var log bytes.Buffer
		r.runWith(t, Config{Stock: 2, Max: 200, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		after(t, 25*time.Second)
		r.mu.Lock()
		defer r.mu.Unlock()
		if told := strings.Count(log.String(), "level=WARN"); asked < 10 || told != 3 {
			t.Errorf("asked %d times, warned %d times, want more than 10 and 3 (0 s, 10 s, 20 s):\n%s", asked, told, log.String())
		}
	})
}
