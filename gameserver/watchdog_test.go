package gameserver

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// TestHungLoopIsGivenUp: the registry is told, with the reason, and the process
// can end although its loop does not.
func TestHungLoopIsGivenUp(t *testing.T) {
	play(t, func(s *stage) {
		s.enter("t", "ada")
		free := make(chan struct{})
		defer close(free)
		s.place.mu.Lock()
		s.place.do = func() {
			s.place.mu.Unlock() // the test looks at it meanwhile
			<-free
			s.place.mu.Lock()
		}
		s.place.mu.Unlock()
		s.wait(8 * time.Second)
		if state := s.record(s.session.ID).State; state != throng.SessionOpen {
			t.Fatalf("the session is %s after 8 s, want it open", state)
		}
		s.wait(5 * time.Second)
		r := s.record(s.session.ID)
		if r.State != throng.SessionEnded || !strings.Contains(r.Reason, "hung: its loop did not get on for 10s") {
			t.Errorf("the session is %s: %s", r.State, r.Reason)
		}
		select {
		case err := <-s.result:
			if throng.KindOf(err) != throng.Internal {
				t.Errorf("the server ended with %v, want an error", err)
			}
		default:
			t.Error("the server has not ended")
		}
	})
}

// TestWatchdogCountsItsOwnTime: memory that is given back does not count, and
// what is too much ends the session.
func TestWatchdogLooksAtMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var held, tidied atomic.Int64
		held.Store(90 << 20)
		w := &watchdog{hang: -1, most: 100 << 20, held: held.Load}
		w.tidy = func() {
			tidied.Add(1)
			held.Add(-50 << 20)
		}
		said := make(chan string, 1)
		go func() { said <- w.run(t.Context()) }()
		time.Sleep(10 * time.Second) //nolint:forbidigo // fake time
		held.Store(140 << 20)
		time.Sleep(10 * time.Second) //nolint:forbidigo // fake time
		if len(said) != 0 || tidied.Load() != 1 {
			t.Errorf("tidied %d times, want once and nothing ended", tidied.Load())
		}
		held.Store(200 << 20)
		if got, want := <-said, "the game server held more than 100 MiB of memory"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestWatchdogIsPatient: a time in which it did not run itself does not count.
func TestWatchdogIsPatient(t *testing.T) {
	if n := heldBytes(); n < 1<<20 || n > 1<<34 {
		t.Errorf("this process holds %d bytes", n)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &watchdog{hang: 3 * time.Second}
		said := make(chan string, 1)
		go func() { said <- w.run(ctx) }()
		for range 20 {
			w.beat()
			time.Sleep(2 * time.Second) //nolint:forbidigo // fake time
		}
		synctest.Wait()
		if len(said) != 0 {
			t.Errorf("ended a loop that gets on: %s", <-said)
		}
		cancel()
		if got := <-said; got != "" {
			t.Errorf("got %q after its end", got)
		}
	})
}
