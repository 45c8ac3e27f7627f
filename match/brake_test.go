package match

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// fallen is a session that its script ended at start.
func fallen(n int, now time.Time) throng.Session {
	return throng.Session{
		ID: throng.SessionID(fmt.Sprintf("s%d", n)), Place: "arena", Version: 4, State: throng.SessionEnded,
		OpenedAt: now, Failed: true, Reason: "main.lua:1: boom",
	}
}

func TestBrakeBacksOff(t *testing.T) {
	bs := newBrakes()
	key := poolKey{"arena", 4}
	now := time.Unix(1000, 0)
	for n, seconds := range []int{0, 0, 1, 2, 4, 8, 16, 30, 30, 30} {
		want := time.Duration(seconds) * time.Second
		if err := bs.allow(key, now); err != nil {
			t.Fatalf("opening %d: got %v, want it allowed", n+1, err)
		}
		now = now.Add(50 * time.Millisecond)
		st, braked := bs.note(fallen(n, now), now)
		if braked != (want > 0) || st.pause != want && braked || braked && st.failures != n+1 {
			t.Fatalf("failure %d: got %+v, %v, want a pause of %s", n+1, st, braked, want)
		}
		if _, again := bs.note(fallen(n, now), now); again {
			t.Fatalf("failure %d counts twice", n+1)
		}
		if want == 0 {
			continue
		}
		now = now.Add(want - time.Millisecond)
		err := bs.allow(key, now)
		if throng.KindOf(err) != throng.NoCapacity || throng.RetryAfterOf(err) != time.Millisecond ||
			err.Error() != "version 4 fails at start: main.lua:1: boom" {
			t.Fatalf("after failure %d: got %v in %s", n+1, err, throng.RetryAfterOf(err))
		}
		if err := bs.allow(poolKey{"arena", 5}, now); err != nil {
			t.Fatalf("another version: got %v", err)
		}
		now = now.Add(time.Millisecond)
	}
}

func TestBrakeLetsGo(t *testing.T) {
	key := poolKey{"arena", 4}
	start := time.Unix(1000, 0)
	braked := func() *brakes {
		bs := newBrakes()
		for n := range brakeAfter {
			bs.note(fallen(n, start), start)
		}
		if bs.allow(key, start) == nil {
			t.Fatal("three failures in a row do not brake")
		}
		return bs
	}
	for name, c := range map[string]struct {
		do   func(bs *brakes) time.Time // returns when to ask
		free bool
	}{
		"a session that lived": {func(bs *brakes) time.Time {
			s := fallen(9, start.Add(time.Second))
			s.Failed = false
			bs.note(s, start.Add(2*time.Second))
			return start.Add(2 * time.Second)
		}, true},
		"a session that failed late": {func(bs *brakes) time.Time {
			s := fallen(9, start.Add(time.Second))
			s.BoundAt = s.OpenedAt
			bs.note(s, s.BoundAt.Add(brakeQuick))
			return s.BoundAt.Add(brakeQuick)
		}, true},
		"an older session that lived": {func(bs *brakes) time.Time {
			s := fallen(9, start.Add(-time.Second))
			s.Failed = false
			bs.note(s, start)
			return start
		}, false},
		"a session that goes on": {func(bs *brakes) time.Time {
			s := fallen(9, start.Add(time.Second))
			s.State = throng.SessionOpen
			bs.note(s, start)
			return start
		}, false},
		"an opening of which nothing bad is heard": {func(bs *brakes) time.Time {
			at := start.Add(time.Second)
			if err := bs.allow(key, at); err != nil {
				t.Fatal(err)
			}
			return at.Add(brakeClear + 1)
		}, true},
		"time": {func(*brakes) time.Time { return start.Add(brakeForget + 1) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			bs := braked()
			at := c.do(bs)
			err := bs.allow(key, at)
			if (err == nil) != c.free {
				t.Errorf("got %v, want free %v", err, c.free)
			}
			if c.free && len(bs.byPool) != 0 {
				t.Errorf("got %d brakes, want none", len(bs.byPool))
			}
		})
	}
}

func TestBrakesAreBounded(t *testing.T) {
	bs := newBrakes()
	now := time.Unix(1000, 0)
	for v := range brakesMost + 10 {
		s := fallen(v, now)
		s.Version = throng.Version(v + 1)
		now = now.Add(time.Millisecond)
		bs.note(s, now)
	}
	if len(bs.byPool) != brakesMost || bs.byPool[poolKey{"arena", 10}] != nil || bs.byPool[poolKey{"arena", 11}] == nil {
		t.Errorf("got %d brakes, want %d and the oldest gone", len(bs.byPool), brakesMost)
	}
}

// placeLog is what creators would read.
type placeLog struct {
	mu    sync.Mutex
	lines []throng.LogLine
}

func (l *placeLog) Add(_ throng.PlaceID, lines ...throng.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, lines...)
}

func (l *placeLog) texts() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, line := range l.lines {
		out = append(out, line.Text)
	}
	return strings.Join(out, "\n")
}

// TestCrashLoop: players who keep coming to a version that fails at start use
// up few game servers, and are told why.
func TestCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.bindIn = -1
		log := &placeLog{}
		m := w.run(t, func(c *Config) { c.Log = log })
		// Each session that is opened fails 50 ms later.
		stop := make(chan struct{})
		go func() {
			for dead := 0; ; {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
				w.set(func(w *world) {
					for ; dead < len(w.opened); dead++ {
						s := w.sessions[w.opened[dead]]
						s.State, s.Failed, s.Reason = throng.SessionEnded, true, "main.lua:1: boom"
						w.touch(s.ID)
					}
				})
			}
		}()
		defer close(stop)
		begun := time.Now()
		refused := 0
		for i := 0; time.Since(begun) < time.Minute; i++ {
			_, err := m.Place(t.Context(), ticket(fmt.Sprintf("p%d", i), 1), time.Minute)
			if throng.KindOf(err) != throng.NoCapacity || !strings.Contains(err.Error(), "boom") {
				t.Fatalf("got %v, want no capacity and the script's words", err)
			}
			if strings.Contains(err.Error(), "version 1 fails at start: main.lua:1: boom") && throng.RetryAfterOf(err) > 0 {
				refused++
			}
			pause(t.Context(), 100*time.Millisecond)
		}
		// 3, then after 1, 2, 4, 8, 16 and 30 s.
		if len(w.opened) > 9 || len(w.opened) < 7 || refused < 300 {
			t.Errorf("got %d openings in a minute and %d refusals, want 7 to 9 and most", len(w.opened), refused)
		}
		want := "version 1 fails at start: main.lua:1: boom (3 sessions in a row; the next one is opened in 1s)"
		if got := log.texts(); !strings.HasPrefix(got, want+"\n") || !strings.Contains(got, "5 sessions in a row; the next one is opened in 4s") {
			t.Errorf("got log:\n%s\nwant it to begin with %q", got, want)
		}
		if got := log.lines[0]; got.Version != 1 || got.Level != throng.LogError || got.Time.IsZero() {
			t.Errorf("got %+v, want an error of version 1 with its time", got)
		}
	})
}
