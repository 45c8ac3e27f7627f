package match

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// all places the tickets at once and returns their assignments by ticket.
// A herd opens as many sessions as it needs, and not one more.
// A trickle does not open more either, whatever overtakes what.
// Mixed parties stay whole and need at most one session more than the ideal.
// The same ticket many times at once is one join with one answer.
// The same ticket with other content is refused, while it is worked on and after.
// Another matchmaker settled the ticket first: its answer is ours too.
// A session that ends before it has a server takes its tickets' answer along.
// The feed is away: tickets are told to come back; it returns: all goes on.
// The feed had a gap in which a session was bound and another one ended.
// Holds that are refused lead to the next best, and in the end to Contention.
// An unclear settle is repeated; a clear refusal gives the seats back.
// A registry that does not answer makes nobody wait for ever.
// Only so many wait; positions are honest; Lookup finds who waits.
func TestAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.hook = func(op string) error {
			if op == "open" {
				pause(t.Context(), 3*time.Second)
			}
			return nil
		}
		m := w.run(t, func(c *Config) { c.Tickets, c.Queue = 2, 1 })
		for i, name := range []string{"ada", "bo", "cy"} {
			p, err := m.Place(t.Context(), ticket(name, 1), 100*time.Millisecond)
			if err != nil || p.Position != i+1 || p.RetryAfter <= 0 {
				t.Errorf("%s: got %+v, %v, want position %d", name, p, err, i+1)
			}
		}
		_, err := m.Place(t.Context(), ticket("dee", 1), time.Minute)
		if throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) <= 0 {
			t.Errorf("got %v, want unavailable with a time", err)
		}
		p, err := m.Lookup(t.Context(), ticket("cy", 1).Key, "", 0)
		if err != nil || p.Position != 3 {
			t.Errorf("got %+v, %v, want position 3", p, err)
		}
		p, err = m.Lookup(t.Context(), ticket("cy", 1).Key, "", time.Minute)
		if err != nil || p.Assignment == nil {
			t.Errorf("got %+v, %v, want an assignment", p, err)
		}
		all(t, m, []throng.Ticket{ticket("dee", 1)})
	})
}

// Who does not wait is told how many came before, also before it is known for
// which pool.
func TestPositionAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newWorld(1, 10).run(t, nil)
		for i := range 5 {
			p, err := m.Place(t.Context(), ticket(fmt.Sprint(i), 1), 0)
			if err != nil || p.Position != i+1 {
				t.Errorf("got %+v, %v, want position %d", p, err, i+1)
			}
		}
	})
}

// Lookup takes up what another matchmaker left, and tells failures.
func TestLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		m := w.run(t, nil)
		if _, err := m.Lookup(t.Context(), ticket("nobody", 1).Key, "", 0); throng.KindOf(err) != throng.NotFound {
			t.Errorf("got %v, want not found", err)
		}
		if _, err := w.Claim(t.Context(), ticket("ada", 1)); err != nil {
			t.Fatal(err)
		}
		p, err := m.Lookup(t.Context(), ticket("ada", 1).Key, "", time.Minute)
		if err != nil || p.Assignment == nil {
			t.Errorf("got %+v, %v, want an assignment", p, err)
		}
		w.set(func(w *world) { w.capacity, w.startErr = 1, throng.Errorf(throng.NoCapacity, "none") })
		for i := range 9 { // fill what is there
			all(t, m, []throng.Ticket{ticket(fmt.Sprint(i), 1)})
		}
		failed := ticket("bo", 1)
		if _, err := m.Place(t.Context(), failed, time.Minute); throng.KindOf(err) != throng.NoCapacity {
			t.Errorf("got %v, want no capacity", err)
		}
		opened := len(w.opened)
		if _, err := m.Lookup(t.Context(), failed.Key, "", 0); throng.KindOf(err) != throng.NoCapacity || len(w.opened) != opened {
			t.Errorf("got %v, want no capacity again without a new try", err)
		}
	})
}

func TestModes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 4)
		m := w.run(t, nil)
		first := all(t, m, []throng.Ticket{ticket("ada", 3)})[0]
		join := func(name string, n int, change func(*throng.Ticket)) (throng.Placement, error) {
			tk := ticket(name, n)
			tk.Mode, tk.Session = throng.ModeSession, first.Session.ID
			change(&tk)
			return m.Place(t.Context(), tk, time.Minute)
		}
		for name, c := range map[string]struct {
			players int
			change  func(*throng.Ticket)
			want    throng.Kind
			field   string
		}{
			"full":         {2, func(*throng.Ticket) {}, throng.Full, ""},
			"unknown":      {1, func(t *throng.Ticket) { t.Session = "ses_eu_nowhere" }, throng.NotFound, ""},
			"no session":   {1, func(t *throng.Ticket) { t.Session = "" }, throng.Invalid, "session"},
			"no place":     {1, func(t *throng.Ticket) { t.Place = "moon" }, throng.NotFound, ""},
			"queue":        {1, func(t *throng.Ticket) { t.Mode = throng.ModeQueue }, throng.Unsupported, "mode"},
			"odd mode":     {1, func(t *throng.Ticket) { t.Mode = "odd" }, throng.Invalid, "mode"},
			"too many":     {5, func(*throng.Ticket) {}, throng.Invalid, "party"},
			"too many yet": {5, func(t *throng.Ticket) { t.Mode = throng.ModeDropIn }, throng.Invalid, "party"},
			"far too many": {201, func(*throng.Ticket) {}, throng.Invalid, "party"},
			"not first":    {2, func(t *throng.Ticket) { t.Party[0], t.Party[1] = t.Party[1], t.Party[0] }, throng.Invalid, "party"},
			"nobody":       {1, func(t *throng.Ticket) { t.Party = nil }, throng.Invalid, "party"},
			"twice":        {2, func(t *throng.Ticket) { t.Party[1] = t.Party[0] }, throng.Invalid, "party"},
		} {
			_, err := join(strings.ReplaceAll(name, " ", "-"), c.players, c.change)
			var e *throng.Error
			if !errors.As(err, &e) || e.Kind != c.want || e.Field != c.field {
				t.Errorf("%s: got %v, want %s at %q", name, err, c.want, c.field)
			}
		}
		p, err := join("bo", 1, func(*throng.Ticket) {})
		if err != nil || p.Assignment.Session.ID != first.Session.ID {
			t.Errorf("got %+v, %v, want the session that was asked for", p, err)
		}
		if len(w.opened) != 1 {
			t.Errorf("got %d sessions, want 1", len(w.opened))
		}
	})
}

// A new version: who comes now is seated in it, though older sessions have room.
func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		m := w.run(t, nil)
		all(t, m, []throng.Ticket{ticket("ada", 1)})
		w.set(func(w *world) { w.version = 2 })
		got := all(t, m, []throng.Ticket{ticket("bo", 1), ticket("ada", 1)})
		if got[0].Session.Version != 2 || got[0].Grant.Version != 2 || got[1].Session.Version != 1 {
			t.Errorf("got versions %d and %d, want 2 for bo and still 1 for ada", got[0].Session.Version, got[1].Session.Version)
		}
	})
}

// Run ends: who waits is told, who comes is refused, nothing is left running.
func TestMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	w := newWorld(1, 10)
	c := Config{Region: throng.Region{ID: "eu"}, Registry: w, Sessions: w, Fleet: w, Places: w, Metrics: r}
	if _, err := New(c); err != nil {
		t.Fatal(err)
	}
	if _, err := New(c); throng.KindOf(err) != throng.Exists {
		t.Errorf("got %v for the second on one registry, want exists", err)
	}
	if _, err := New(Config{}); throng.KindOf(err) != throng.Invalid {
		t.Errorf("got %v for an empty config, want invalid", err)
	}
}
