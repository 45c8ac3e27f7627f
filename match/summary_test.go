package match

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// servers is what the fleet says.
type servers struct {
	room throng.ServerRoom
	err  error
}

func (s *servers) Room() (throng.ServerRoom, error) { return s.room, s.err }

// everywhere is the world's place under any name.
type everywhere struct{ *world }

func (e everywhere) Lanes(ctx context.Context, p throng.PlaceID) (throng.Lanes, error) {
	if p == "gone" {
		return throng.Lanes{}, throng.Errorf(throng.NotFound, "no place %s", p)
	}
	return e.world.Lanes(ctx, "arena")
}

// opens puts a session into the world that has so many players.
func (w *world) opens(place throng.PlaceID, v throng.Version, capacity, seated int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	id := throng.SessionID(fmt.Sprintf("ses_eu_%06d", w.made))
	w.sessions[id] = &throng.Session{
		ID: id, Place: place, Version: v, State: throng.SessionOpen, Capacity: capacity, Seated: seated,
		Number: uint64(w.made), BoundAt: time.Now(),
	}
	w.holds[id] = map[throng.TicketKey]throng.Hold{}
	w.touch(id)
}

func TestSummary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.version = 2
		fleet := &servers{room: throng.ServerRoom{Warm: 3, Spare: 7}}
		m := w.run(t, func(c *Config) {
			c.Region.Number, c.Servers, c.Places, c.Tickets = 4, fleet, everywhere{w}, 50
		})
		w.opens("arena", 2, 10, 9)
		w.opens("arena", 2, 10, 5)
		w.opens("arena", 2, 10, 10) // full
		w.opens("arena", 1, 10, 9)  // nobody new goes there
		w.opens("bay", 2, 200, 0)
		w.opens("gone", 2, 10, 1)
		w.opens("old", 1, 10, 1)
		pause(t.Context(), time.Second) // the feed brings it
		want := throng.RegionSummary{Region: "eu", Number: 4, Warm: 3, Spare: 7, Room: 50, Places: []throng.PlaceSummary{
			{Place: "arena", Sessions: 2, Players: 14, Free: 6, Fullest: []float64{0.9, 0.5, 0.5}},
			{Place: "bay", Sessions: 1, Free: 200, Fullest: []float64{0, 0, 0, 0, 0, 0, 0, 0}},
		}}
		got, err := m.Summary(t.Context())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}

		fleet.room = throng.ServerRoom{Draining: true}
		if got, err := m.Summary(t.Context()); err != nil || got.Draining {
			t.Errorf("at once: got %+v, %v, want the same summary", got, err)
		}
		pause(t.Context(), summaryAge)
		if got, err := m.Summary(t.Context()); err != nil || !got.Draining || got.Warm != 0 || got.Spare != 0 {
			t.Errorf("later: got %+v, %v, want a region that drains", got, err)
		}
		fleet.err = throng.Errorf(throng.Unavailable, "nobody runs it")
		pause(t.Context(), summaryAge)
		if _, err := m.Summary(t.Context()); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("without a fleet: got %v, want unavailable", err)
		}
	})
}

// Who is busy takes nobody from elsewhere.
func TestSummaryOfWhoIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.bindIn = 10 * time.Second
		m := w.run(t, func(c *Config) { c.Tickets = 2 })
		room := func(want int) {
			t.Helper()
			pause(t.Context(), summaryAge)
			if got, err := m.Summary(t.Context()); err != nil || got.Room != want {
				t.Errorf("got room for %d, %v, want %d", got.Room, err, want)
			}
		}
		room(2)
		for i, want := range []int{1, 0, 0} { // the third stands in line
			if _, err := m.Place(t.Context(), ticket(fmt.Sprint(i), 1), 0); err != nil {
				t.Fatal(err)
			}
			room(want)
		}
		pause(t.Context(), time.Minute)
		room(2)
	})
}

// Of many places those with the most players are told.
func TestSummaryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		m := w.run(t, func(c *Config) { c.Places = everywhere{w} })
		for i := range throng.MaxPlaceSummaries + 10 {
			w.opens(throng.PlaceID(fmt.Sprintf("p%04d", i)), 1, 10, min(i, 1))
		}
		for i := range 10 {
			w.opens(throng.PlaceID(fmt.Sprintf("p%04d", i)), 1, 10, 9)
		}
		pause(t.Context(), time.Second)
		got, err := m.Summary(t.Context())
		if n := len(got.Places); err != nil || n != throng.MaxPlaceSummaries {
			t.Fatalf("got %d places, %v, want %d", n, err, throng.MaxPlaceSummaries)
		}
		for i, p := range got.Places {
			if i > 0 && p.Place <= got.Places[i-1].Place {
				t.Fatalf("got %s after %s, want them by ID", p.Place, got.Places[i-1].Place)
			}
			if i < 10 && p.Players < 9 {
				t.Errorf("got %+v, want the places with the most players", p)
			}
		}
	})
}

// Nothing is told that is not known.
func TestSummaryUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.feedErr = errors.New("away")
		m := w.run(t, nil)
		ask := func(want throng.Kind) {
			t.Helper()
			pause(t.Context(), 2*retryMost+summaryAge)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := m.Summary(ctx); throng.KindOf(err) != want {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		ask(throng.Unavailable)
		w.breakFeed(nil)
		pause(t.Context(), 2*retryMost)
		if _, err := m.Summary(t.Context()); err != nil {
			t.Errorf("got %v, want an answer", err)
		}
		w.breakFeed(errors.New("away again"))
		ask(throng.Unavailable)
	})
}
