package match

import (
	"testing"
	"testing/synctest"
	"time"
)

// A ticket that was answered with a session of a control plane that is gone gets
// in all the same: the session is started from where the ticket is repeated.
func TestATicketOfAnotherReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.bindIn = -1 // who opens the session does nothing more for it
		one := w.run(t, nil)
		p, err := one.Place(t.Context(), ticket("ada", 1), time.Second)
		if err != nil || p.Assignment != nil {
			t.Fatalf("got %+v, %v, want to wait", p, err)
		}
		w.set(func(w *world) { w.resumes = true })
		two := w.run(t, nil)
		start := time.Now()
		p, err = two.Place(t.Context(), ticket("ada", 1), time.Minute)
		if err != nil || p.Assignment == nil {
			t.Fatalf("got %+v, %v, want an assignment", p, err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("got it after %s, want it within 3 s", took)
		}
		w.set(func(w *world) {
			if len(w.opened) != 1 || len(w.resumed) == 0 {
				t.Errorf("opened %v, resumed %v, want one session", w.opened, w.resumed)
			}
		})
		again, err := one.Place(t.Context(), ticket("ada", 1), time.Minute)
		if err != nil || again.Assignment == nil || again.Assignment.Grant.Nonce != p.Assignment.Grant.Nonce || again.Assignment.Session.ID != p.Assignment.Session.ID {
			t.Errorf("repeated at the first: got %+v, %v, want the same answer", again, err)
		}
	})
}

// A session that binds soon is nobody else's business.
func TestAYoungSessionIsNotResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		m := w.run(t, nil)
		if p, err := m.Place(t.Context(), ticket("ada", 1), time.Minute); err != nil || p.Assignment == nil {
			t.Fatalf("got %+v, %v", p, err)
		}
		w.set(func(w *world) {
			if len(w.resumed) != 0 {
				t.Errorf("resumed %v, want nothing", w.resumed)
			}
		})
	})
}
