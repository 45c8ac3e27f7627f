package gameserver

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/event/eventtest"
)

// witness keeps events, and what is wrong with them.
type witness struct {
	mu    sync.Mutex
	got   []throng.Event
	wrong []error
}

// Publish checks and keeps an event.
func (w *witness) Publish(e throng.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := eventtest.Check(e); err != nil {
		w.wrong = append(w.wrong, err)
	}
	w.got = append(w.got, e)
}

// of are the players of the events of a type, in order.
func (w *witness) of(t *testing.T, kind throng.EventType) (players []throng.PlayerID) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.wrong {
		t.Error(err)
	}
	w.wrong = nil
	for _, e := range w.got {
		if e.Type == kind {
			players = append(players, e.Player)
		}
	}
	return players
}

// TestEventsOfASession: what happens is told once each, with data of its schema,
// and the session's end when it is over.
func TestEventsOfASession(t *testing.T) {
	t.Parallel()
	w := &witness{}
	playWith(t, func(s *stage) { s.events = w }, func(s *stage) {
		first, second := s.grant("t1", "ada"), s.grant("t2", "bo")
		ada := s.connect(first, first.Members[0])
		s.wait(time.Second)
		s.connect(second, second.Members[0])
		s.wait(time.Second)
		s.net.events <- Event{Kind: EventDisconnected, Conn: ada}
		s.wait(time.Second)
		if err := s.registry.End(t.Context(), s.session.ID, "it is late"); err != nil {
			t.Fatal(err)
		}
		s.wait(throng.HeartbeatTime + time.Second)
		s.over(nil)
		for kind, want := range map[throng.EventType]string{
			throng.EventSessionOpened: "[]", throng.EventSessionEnded: "[]", // of no player, once
			throng.EventPlayerJoined: "[ada bo]", throng.EventPlayerLeft: "[ada bo]", throng.EventPresenceChanged: "[ada bo ada bo]",
		} {
			got := w.of(t, kind)
			if fmt.Sprint(got) != want {
				t.Errorf("%s of %v, want %s", kind, got, want)
			}
		}
		ids := map[throng.EventID]bool{}
		for _, e := range w.got {
			if ids[e.ID] {
				t.Errorf("%s twice", e.ID)
			}
			ids[e.ID] = true
			if e.Session != s.session.ID || e.Place != "arena" {
				t.Errorf("%s is of session %s and place %s", e.ID, e.Session, e.Place)
			}
		}
	})
}

// TestScriptsPublish: what a script says is told under its own name, as far as it is
// not too much.
func TestScriptsPublish(t *testing.T) {
	t.Parallel()
	w := &witness{}
	playWith(t, func(s *stage) { s.events = w }, func(s *stage) {
		told := 0
		s.inTick(func() {
			for range 3 * mostEmits {
				if s.publish(throng.Message{Name: "goal", Fields: []throng.MessageField{{Name: "by", Value: "ada"}, {Name: "minute", Value: 3.0}}}) {
					told++
				}
			}
		})
		if got := len(w.of(t, "place.goal")); told != mostEmits || got != told {
			t.Errorf("%d were taken and %d told, want %d", told, got, mostEmits)
		}
		s.wait(time.Second)
		s.inTick(func() {
			if !s.publish(throng.Message{Name: "goal"}) {
				t.Error("a second later it is too much still")
			}
		})
	})
}

// TestScriptsShareTheirPlacesEvents: a session publishes no more than its share of what
// its place may, from the answer to its heartbeat on, until an answer says another one,
// or none.
func TestScriptsShareTheirPlacesEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		share  float64
		atOnce int
		rate   float64 // a second, after that
	}{
		{0, mostEmits, emitRate}, // an older control plane
		{1000, mostEmits, emitRate},
		{4, 20, 4},
		{0.5, 2, 0.5},
		{0.0001, 1, leastEmit},
	} {
		playWith(t, func(s *stage) { s.events = &witness{} }, func(s *stage) {
			publish := func() (told int) {
				s.inTick(func() {
					for s.publish(throng.Message{Name: "goal"}) {
						told++
					}
				})
				return told
			}
			s.door.share(c.share)
			s.wait(2 * throng.HeartbeatTime)
			atOnce, begun, later := publish(), time.Now(), 0
			for time.Since(begun) < 15*time.Second {
				s.wait(500 * time.Millisecond)
				later += publish()
			}
			if want := c.rate * time.Since(begun).Seconds(); atOnce != c.atOnce || math.Abs(float64(later)-want) > 1 {
				t.Errorf("with a share of %g: %d at once and %d later, want %d and %.1f", c.share, atOnce, later, c.atOnce, want)
			}
			s.door.share(0)
			s.wait(2*throng.HeartbeatTime + emitSpan*time.Second)
			if got := publish(); got != mostEmits {
				t.Errorf("without a share again: %d at once, want %d", got, mostEmits)
			}
		})
	}
}

// TestSample: ways and presses add up.
func TestSample(t *testing.T) {
	t.Parallel()
	var p sample
	p.moved(1, 1)
	p.moved(4, 5)
	p.moved(4, 5)
	p.known = false // it is gone, and elsewhere when it is back
	p.moved(100, 100)
	p.moved(100, 101)
	if p.distance != 6 || p.stepMost != 5 || p.x != 100 || p.y != 101 {
		t.Errorf("%+v", p)
	}
	for i, buttons := range []uint32{0, 1, 1, 3, 0, 2} { // presses at 1, 3 and 5
		p.input(Input{Buttons: buttons}, time.Duration(i+1)*time.Second)
	}
	if p.inputs != 6 || p.presses != 3 || p.pressLeast != 2*time.Second {
		t.Errorf("%+v", p)
	}
}
