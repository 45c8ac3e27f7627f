package match

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// all sends tickets in at once and returns their assignments.
func all(t *testing.T, m *Matchmaker, tickets []throng.Ticket) []throng.Assignment {
	t.Helper()
	got := make([]throng.Assignment, len(tickets))
	var each sync.WaitGroup
	for i, ticket := range tickets {
		each.Go(func() {
			p, err := m.Place(t.Context(), ticket, time.Minute)
			// Who lost every race repeats the ticket, as clients do.
			for range 10 {
				if throng.KindOf(err) != throng.Contention || err == nil {
					break
				}
				p, err = m.Place(t.Context(), ticket, time.Minute)
			}
			if err != nil || p.Assignment == nil {
				t.Errorf("ticket %s: got %+v, %v, want an assignment", ticket.Key.Ticket, p, err)
				return
			}
			got[i] = *p.Assignment
		})
	}
	each.Wait()
	return got
}

func TestHerdOfSingles(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(seed, 30)
			m := w.run(t, nil)
			var tickets []throng.Ticket
			for i := range 1000 {
				tickets = append(tickets, ticket(fmt.Sprint(i), 1))
			}
			all(t, m, tickets)
			w.audit(t)
			if len(w.opened) != 34 {
				t.Errorf("seed %d: got %d sessions, want ceil(1000/30) = 34", seed, len(w.opened))
			}
		})
	}
}

func TestTrickleOfSingles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(8, 20)
		m := w.run(t, nil)
		var each sync.WaitGroup
		for i := range 200 {
			each.Go(func() {
				pause(t.Context(), time.Duration(i)*time.Millisecond)
				all(t, m, []throng.Ticket{ticket(fmt.Sprint(i), 1)})
			})
		}
		each.Wait()
		w.audit(t)
		if len(w.opened) != 10 {
			t.Errorf("got %d sessions, want 10", len(w.opened))
		}
	})
}

func TestHerdOfParties(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(seed, 20+10*int(seed%4))
			m := w.run(t, nil)
			var tickets []throng.Ticket
			players := 0
			for players < 1000 {
				size := []int{1, 2, 3, 4, 5}[pickOf(random, 70, 18, 6, 4, 2)]
				size = min(size, 1000-players)
				players += size
				tickets = append(tickets, ticket(fmt.Sprint(len(tickets)), size))
			}
			for i, a := range all(t, m, tickets) {
				if len(a.Grant.Members) != len(tickets[i].Party) {
					t.Errorf("got seats for %d, want %d", len(a.Grant.Members), len(tickets[i].Party))
				}
			}
			w.audit(t)
			ideal := (1000 + w.capacity - 1) / w.capacity
			if n := len(w.opened); n > ideal+1 {
				t.Errorf("seed %d: got %d sessions of %d, want at most %d", seed, n, w.capacity, ideal+1)
			}
		})
	}
}

func pickOf(random *rand.Rand, percents ...int) int {
	n := random.IntN(100)
	for i, p := range percents {
		if n < p {
			return i
		}
		n -= p
	}
	return len(percents) - 1
}

func TestSameTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		m := w.run(t, nil)
		tickets := make([]throng.Ticket, 100)
		for i := range tickets {
			tickets[i] = ticket("ada", 3)
		}
		got := all(t, m, tickets)
		for _, a := range append(got, all(t, m, tickets[:1])...) {
			if a.Grant.Session != got[0].Grant.Session || a.Session.ID != got[0].Session.ID {
				t.Errorf("got %s, want %s as the first time", a.Grant.Session, got[0].Grant.Session)
			}
		}
		if w.made != 1 || w.sessions[w.opened[0]].Held != 3 {
			t.Errorf("got %d sessions with %d seats held, want 1 with 3", w.made, w.sessions[w.opened[0]].Held)
		}
	})
}

func TestConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newWorld(1, 10).run(t, nil)
		other := ticket("ada", 2)
		if _, err := m.Place(t.Context(), ticket("ada", 1), 0); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := m.Place(t.Context(), other, time.Minute); throng.KindOf(err) != throng.Conflict {
				t.Errorf("got %v, want conflict", err)
			}
			all(t, m, []throng.Ticket{ticket("ada", 1)})
		}
	})
}

func TestLostRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		a, b := w.run(t, nil), w.run(t, nil)
		var tickets []throng.Ticket
		for i := range 40 {
			tickets = append(tickets, ticket(fmt.Sprint(i), 1))
		}
		var first, second []throng.Assignment
		var both sync.WaitGroup
		both.Go(func() { first = all(t, a, tickets) })
		both.Go(func() { second = all(t, b, tickets) })
		both.Wait()
		for i := range tickets {
			if first[i].Grant.Session != second[i].Grant.Session {
				t.Errorf("ticket %d: got %s here and %s there, want one", i, first[i].Grant.Session, second[i].Grant.Session)
			}
		}
		w.audit(t)
	})
}
