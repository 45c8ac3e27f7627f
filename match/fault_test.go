package match

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

func TestNoCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.startErr = throng.RetryLater(throng.NoCapacity, 3*time.Second, "all servers are in use")
		m := w.run(t, nil)
		var each sync.WaitGroup
		for i := range 100 {
			each.Go(func() {
				_, err := m.Place(t.Context(), ticket(fmt.Sprint(i), 1), time.Minute)
				if throng.KindOf(err) != throng.NoCapacity || throng.RetryAfterOf(err) != 3*time.Second {
					t.Errorf("got %v, want no capacity and 3 s", err)
				}
			})
		}
		each.Wait()
		if w.ended != w.made || w.made > 10 {
			t.Errorf("got %d sessions made and %d ended, want as many as they fill at most, and all", w.made, w.ended)
		}
		for _, c := range w.claims {
			if c.Grant != nil {
				t.Fatalf("got a grant in %s, want none", c.Grant.Session)
			}
		}
		// Who comes right after is told without another try.
		made := w.made
		if _, err := m.Place(t.Context(), ticket("late", 1), time.Minute); throng.KindOf(err) != throng.NoCapacity || w.made != made {
			t.Errorf("got %v and %d more sessions, want no capacity and none", err, w.made-made)
		}
		// The same ticket succeeds when there is room again.
		w.set(func(w *world) { w.startErr = nil })
		pause(t.Context(), 3*time.Second)
		all(t, m, []throng.Ticket{ticket("1", 1)})
		// While there is none, one session at a time tries.
		w.set(func(w *world) { w.startErr, made = throng.Errorf(throng.NoCapacity, "none again"), w.made })
		for round := range 3 {
			for i := range 100 {
				each.Go(func() {
					tk := ticket(fmt.Sprint("round ", round, " ", i), 1)
					if _, err := m.Place(t.Context(), tk, time.Minute); err != nil && throng.KindOf(err) != throng.NoCapacity {
						t.Errorf("got %v, want no capacity", err)
					}
				})
			}
			each.Wait()
			pause(t.Context(), closedFor)
		}
		if n := w.made - made; n > 10+2 {
			t.Errorf("got %d more sessions made, want one each after the first round", n)
		}
	})
}

func TestNeverBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.bindIn = -1
		m := w.run(t, nil)
		p, err := m.Place(t.Context(), ticket("ada", 1), 2*time.Second)
		if err != nil || p.Assignment != nil || p.Position != 1 || p.RetryAfter <= 0 {
			t.Fatalf("got %+v, %v, want position 1", p, err)
		}
		if err := w.End(t.Context(), w.opened[0], "no server took it"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err := m.Place(t.Context(), ticket("ada", 1), time.Minute)
			if throng.KindOf(err) != throng.NoCapacity || !strings.Contains(err.Error(), "no server took it") {
				t.Errorf("got %v, want no capacity with the reason", err)
			}
		}
		if len(w.opened) != 1 {
			t.Errorf("got %d sessions, want the first only", len(w.opened))
		}
		// Nobody says anything: the wait has an end.
		start := time.Now()
		_, err = m.Place(t.Context(), ticket("bo", 1), time.Minute)
		if took := time.Since(start); throng.KindOf(err) != throng.NoCapacity || took < 29*time.Second || took > 31*time.Second {
			t.Errorf("got %v after %s, want no capacity after 30 s", err, took)
		}
	})
}

func TestFeedLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		m := w.run(t, nil)
		all(t, m, []throng.Ticket{ticket("ada", 1)})
		w.breakFeed(throng.RetryLater(throng.Unavailable, 4*time.Second, "rebuilding"))
		pause(t.Context(), 100*time.Millisecond) // until the matchmaker heard
		_, err := m.Place(t.Context(), ticket("bo", 1), time.Minute)
		if throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) != 4*time.Second {
			t.Errorf("got %v, want unavailable and 4 s", err)
		}
		w.breakFeed(nil)
		pause(t.Context(), 4*time.Second)
		all(t, m, []throng.Ticket{ticket("bo", 1), ticket("cy", 1)})
		if len(w.opened) != 1 {
			t.Errorf("got %d sessions, want 1", len(w.opened))
		}
	})
}

func TestFeedGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 1)
		w.bindIn = -1
		m := w.run(t, nil)
		var each sync.WaitGroup
		each.Go(func() { all(t, m, []throng.Ticket{ticket("ada", 1)}) })
		pause(t.Context(), time.Second)
		each.Go(func() {
			if _, err := m.Place(t.Context(), ticket("bo", 1), time.Minute); throng.KindOf(err) != throng.NoCapacity {
				t.Errorf("got %v, want no capacity", err)
			}
		})
		pause(t.Context(), time.Second)
		w.breakFeed(errors.New("connection lost"))
		synctest.Wait()
		w.bind(w.opened[0])
		if err := w.End(t.Context(), w.opened[1], "lost"); err != nil {
			t.Fatal(err)
		}
		w.set(func(w *world) { w.oldest = w.sequence + 1 })
		w.breakFeed(nil)
		healed := time.Now()
		each.Wait()
		if took := time.Since(healed); took > 3*time.Second {
			t.Errorf("got answers %s after the feed came back, want them at once", took)
		}
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		m := w.run(t, nil)
		refusals := 0
		w.set(func(w *world) {
			w.hook = func(op string) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				if op == "hold" && refusals > 0 {
					refusals--
					return throng.Errorf(throng.Full, "taken")
				}
				return nil
			}
		})
		var own []throng.Ticket
		for i := range 9 { // two that refused ada may be passed over, until the feed speaks of them
			own = append(own, in(throng.ModeNew, fmt.Sprint("own", i), 1))
		}
		all(t, m, own)
		w.set(func(*world) { refusals = 2 })
		all(t, m, []throng.Ticket{ticket("ada", 1)})
		w.set(func(*world) { refusals = 100 })
		_, err := m.Place(t.Context(), ticket("bo", 1), time.Minute)
		if throng.KindOf(err) != throng.Contention || throng.RetryAfterOf(err) <= 0 || refusals != 94 {
			t.Errorf("got %v after %d holds, want contention after 6", err, 100-refusals)
		}
		w.set(func(*world) { refusals = 0 })
		all(t, m, []throng.Ticket{ticket("bo", 1)})
		if len(w.opened) != 9 {
			t.Errorf("got %d sessions, want those 9 that have room", len(w.opened))
		}
	})
}

// The answer to an opening is lost: it is repeated, and there is no twin. When
// it stays lost, the session that nobody heard of is ended.
func TestLostOpenings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		m := w.run(t, nil)
		for round, mode := range []throng.Mode{throng.ModeDropIn, throng.ModeNew} {
			w.set(func(w *world) { w.lostOpens = 2 })
			all(t, m, []throng.Ticket{in(mode, fmt.Sprint("ada", round), 10)})
			if len(w.opened) != round+1 || w.ended != 0 {
				t.Errorf("%s: got %d sessions, %d ended, want one more and none", mode, len(w.opened), w.ended)
			}
		}
		w.set(func(w *world) { w.lostOpens = tries })
		if _, err := m.Place(t.Context(), ticket("bo", 1), time.Minute); err == nil {
			t.Error("got a seat, want an error")
		}
		if len(w.opened) != 3 || w.ended != 1 {
			t.Errorf("got %d sessions, %d ended, want the third ended", len(w.opened), w.ended)
		}
		all(t, m, []throng.Ticket{ticket("bo", 1)})
		w.audit(t)
	})
}

func TestSettleFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		m := w.run(t, nil)
		faults := []error{errors.New("connection lost"), throng.Errorf(throng.Unavailable, "away")}
		w.set(func(w *world) {
			w.hook = func(op string) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				if op != "settle" || len(faults) == 0 {
					return nil
				}
				err := faults[0]
				faults = faults[1:]
				return err
			}
		})
		all(t, m, []throng.Ticket{ticket("ada", 1)})
		w.set(func(*world) { faults = []error{throng.Errorf(throng.Denied, "a later ticket is settled")} })
		if _, err := m.Place(t.Context(), ticket("bo", 1), time.Minute); throng.KindOf(err) != throng.Denied {
			t.Errorf("got %v, want denied", err)
		}
		if held := w.sessions[w.opened[0]].Held; held != 1 {
			t.Errorf("got %d seats held, want ada's only", held)
		}
	})
}

func TestSilentRegistry(t *testing.T) {
	for _, silent := range []string{"claim", "hold", "settle", "open", "session"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(1, 10)
			w.bindIn = -1
			m := w.run(t, nil)
			synctest.Wait()
			w.set(func(w *world) {
				w.hook = func(op string) error {
					if op == silent {
						pause(t.Context(), 6*time.Second) // the caller's patience ends after 5
						return fmt.Errorf("%s: %w", op, errors.ErrUnsupported)
					}
					return nil
				}
			})
			start := time.Now()
			p, err := m.Place(t.Context(), ticket("ada", 1), time.Minute)
			if took := time.Since(start); err == nil || took > 50*time.Second {
				t.Errorf("%s: got %+v, %v after %s, want an error in time", silent, p, err, took)
			}
		})
	}
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.bindIn = -1
		m, err := New(Config{Region: throng.Region{ID: "eu"}, Registry: w, Sessions: w, Fleet: w, Places: w})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := m.Place(t.Context(), ticket("ada", 1), time.Minute); throng.KindOf(err) != throng.Unavailable {
				t.Errorf("got %v for who waits, want unavailable", err)
			}
		})
		if err := m.Run(ctx); err != nil {
			t.Errorf("got %v from Run, want nil", err)
		}
		both.Wait()
		if _, err := m.Place(t.Context(), ticket("bo", 1), time.Minute); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("got %v for who comes, want unavailable", err)
		}
	})
}

// Sessions whose servers the registry has not heard since it was rebuilt have
// room and refuse: after the first tickets found that out, nobody asks them again.
func TestSilentSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		for i := range 8 {
			id := throng.SessionID(fmt.Sprintf("ses_eu_silent%d", i))
			w.sessions[id] = &throng.Session{ID: id, Place: "arena", Version: 1, Capacity: 10, State: throng.SessionOpen, BoundAt: time.Now()}
			w.holds[id] = map[throng.TicketKey]throng.Hold{}
			w.silent[id] = true
			w.touch(id)
		}
		m := w.run(t, nil)
		var p throng.Placement
		var err error
		for range 3 {
			p, err = m.Place(t.Context(), ticket("ada", 1), time.Minute)
			if err == nil {
				break
			}
		}
		if err != nil || p.Assignment == nil || w.silent[p.Assignment.Session.ID] {
			t.Fatalf("got %+v, %v, want a seat in a session of her own at the third try at the latest", p, err)
		}
	})
}
