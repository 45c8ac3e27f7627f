package match

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// The registry lost a ticket's answer, and another matchmaker gave a new one: it
// is the only one from then on, also where the old one is remembered or waited
// for.
func TestAnswerLost(t *testing.T) {
	for _, c := range []struct {
		name string
		// bind is when the session of the first answer has its server.
		bind time.Duration
		// lost: the session is lost, too.
		lost bool
	}{
		{name: "it was told before", bind: time.Second},
		{name: "its session has a server later", bind: throng.TokenTime + 4*time.Second},
		{name: "its session was lost, too", bind: -1, lost: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(1, 10)
				w.bindIn = c.bind
				one, two := w.run(t, nil), w.run(t, nil)
				told, err := one.Place(t.Context(), ticket("ada", 1), 1500*time.Millisecond)
				if err != nil || (told.Assignment != nil) != (c.bind == time.Second) {
					t.Fatalf("got %+v, %v", told, err)
				}
				first := w.opened[0]
				w.set(func(w *world) { w.bindIn = time.Second })
				if c.lost {
					w.lose()
				} else {
					w.lose(first)
				}
				// Nothing is granted before tokens that were lost are dead.
				pause(t.Context(), throng.TokenTime)
				w.set(func(w *world) { w.silent[first] = true })
				want := all(t, two, []throng.Ticket{ticket("ada", 1)})[0]
				if want.Session.ID == first {
					t.Fatalf("got %s again, want a new answer", first)
				}
				for range 3 {
					got := all(t, one, []throng.Ticket{ticket("ada", 1)})[0]
					if got.Grant.Nonce != want.Grant.Nonce || got.Session.ID != want.Session.ID {
						t.Errorf("got %s, want the new answer %s", got.Session.ID, want.Session.ID)
					}
					found, err := one.Lookup(t.Context(), ticket("ada", 1).Key, "", time.Minute)
					if err != nil || found.Assignment == nil || found.Assignment.Grant.Nonce != want.Grant.Nonce {
						t.Errorf("looked up: got %+v, %v, want the new answer", found, err)
					}
					pause(t.Context(), 3*time.Second)
				}
			})
		})
	}
}
