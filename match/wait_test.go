package match

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// statement is a wait that a ticket was told, and what it turned out to be.
type statement struct{ stated, was time.Duration }

// off is by how much it was wrong, as a part.
func (s statement) off() float64 {
	return math.Abs(s.stated.Seconds()-s.was.Seconds()) / s.was.Seconds()
}

// stand places tickets all at once and lets each ask again when it is told to,
// until it has its seat. It returns all waits that were stated.
func stand(t *testing.T, m *Matchmaker, tickets []throng.Ticket) []statement {
	t.Helper()
	var mu sync.Mutex
	var all []statement
	var each sync.WaitGroup
	for i, tk := range tickets {
		each.Go(func() {
			type told struct {
				at   time.Time
				wait time.Duration
			}
			var heard []told
			last := len(tickets) + 1
			for polls := 0; ; polls++ {
				p, err := m.Place(t.Context(), tk, 0)
				if err != nil || polls > 10_000 {
					t.Errorf("ticket %d: %v", i, err)
					return
				}
				now := time.Now()
				if p.Assignment != nil {
					// When it was seated, not when it asked.
					seated := p.Assignment.Session.BoundAt
					if held := p.Assignment.Grant.HeldAt; held.After(seated) {
						seated = held
					}
					mu.Lock()
					for _, h := range heard {
						all = append(all, statement{h.wait, max(seated.Sub(h.at), time.Millisecond)})
					}
					mu.Unlock()
					if late := now.Sub(seated); late > 6*time.Second {
						t.Errorf("ticket %d: came %s after its seat was there, too late for its token", i, late)
					}
					return
				}
				if p.Position < 1 || p.Position > last || p.RetryAfter <= 0 || p.RetryAfter > askMost {
					t.Errorf("ticket %d: got %+v after position %d, want to move forward", i, p, last)
					return
				}
				last = p.Position
				if p.Wait > 0 {
					heard = append(heard, told{now, p.Wait})
				}
				pause(t.Context(), p.RetryAfter)
			}
		})
	}
	each.Wait()
	return all
}

func singles(n int) []throng.Ticket {
	tickets := make([]throng.Ticket, n)
	for i := range tickets {
		tickets[i] = ticket(fmt.Sprint(i), 1)
	}
	return tickets
}

// In a steady herd a wait that was stated is within a quarter of what it turns
// out to be; short ones within a second, as servers come in lots.
func TestStatedWaits(t *testing.T) {
	bigHerd(t)
	for _, slots := range []int{herdSize(t) / 100} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(uint64(slots), 20)
			m := w.run(t, func(c *Config) { c.Tickets = slots })
			all := stand(t, m, singles(40*slots))
			wrong := 0
			for _, s := range all {
				if s.off() > 0.25 && (s.stated-s.was).Abs() > time.Second {
					wrong++
				}
			}
			slices.SortFunc(all, func(a, b statement) int { return cmp.Compare(a.off(), b.off()) })
			t.Logf("%d slots: %d statements, off by %.3f in the middle, %.3f at the 99th percentile, %d wrong; %d servers", slots, len(all),
				all[len(all)/2].off(), all[len(all)*99/100].off(), wrong, len(w.opened))
			if len(all) < 40*slots || wrong > len(all)/100 {
				t.Errorf("%d slots: got %d of %d statements more than a quarter wrong", slots, wrong, len(all))
			}
		})
	}
}

// The same by the real clock, with a herd that is a few seconds long: in one of three, for a
// machine that is slower for a while than it was makes any statement wrong.
func TestStatedWaitsForReal(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes ten seconds by the real clock")
	}
	for range 3 {
		w := newWorld(1, 10)
		w.bindIn = 500 * time.Millisecond
		m := w.run(t, func(c *Config) { c.Tickets = 50 })
		long := slices.DeleteFunc(stand(t, m, singles(800)), func(s statement) bool { return s.was < 2*time.Second })
		if len(long) < 300 {
			t.Fatalf("got %d statements about two seconds and more, want hundreds", len(long))
		}
		slices.SortFunc(long, func(a, b statement) int { return cmp.Compare(a.off(), b.off()) })
		middle := long[len(long)/2].off()
		t.Logf("%d statements about 2 s and more: off by %.3f in the middle, %.3f at the 90th percentile", len(long), middle, long[len(long)*9/10].off())
		if middle <= 0.25 {
			return
		}
	}
	t.Error("got statements that are off by more than a quarter in the middle, three times")
}

// A repeat keeps the place, who does not ask leaves, and those behind move up.
func TestLeavingTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.bindIn = -1
		m := w.run(t, func(c *Config) { c.Tickets, c.BindTime = 1, 10*time.Minute })
		place := func(name string) throng.Placement {
			t.Helper()
			p, err := m.Place(t.Context(), ticket(name, 1), 0)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return p
		}
		place("first")
		for i, name := range []string{"ada", "bo", "cy", "dee"} {
			if p := place(name); p.Position < i+1 || p.Position > i+2 {
				t.Errorf("%s: got position %d, want %d", name, p.Position, i+2)
			}
		}
		for range 4 { // bo does not ask any more
			pause(t.Context(), 20*time.Second)
			for _, name := range []string{"ada", "cy", "dee", "first"} {
				place(name)
			}
		}
		if got := m.Waiting(ticket("bo", 1).Key); got != nil {
			t.Errorf("bo: got %v still in line, want him gone", got)
		}
		before := place("cy").Position
		if !m.Leave(ticket("ada", 1).Key) || m.Leave(ticket("ada", 1).Key) || m.Leave(ticket("first", 1).Key) {
			t.Error("want ada to leave once, and first not at all")
		}
		if got := place("cy").Position; got != before-1 {
			t.Errorf("cy: got position %d, want %d: one before him left", got, before-1)
		}
		back, dee := place("bo"), place("dee")
		if back.Position <= dee.Position {
			t.Errorf("bo comes back: got position %d, want him behind dee's %d", back.Position, dee.Position)
		}
		// A long poll is asking.
		var each sync.WaitGroup
		each.Go(func() {
			if _, err := m.Place(t.Context(), ticket("dee", 1), time.Minute); err != nil {
				t.Errorf("dee: %v", err)
			}
		})
		pause(t.Context(), 75*time.Second)
		each.Wait()
		if m.Waiting(ticket("dee", 1).Key) == nil || m.Waiting(ticket("cy", 1).Key) != nil {
			t.Error("want dee, who waits, in line, and cy gone")
		}
		// What is given up while somebody waits for it is told so.
		each.Go(func() {
			if _, err := m.Place(t.Context(), ticket("dee", 1), time.Minute); throng.KindOf(err) != throng.Denied {
				t.Errorf("dee: got %v, want denied: it was given up", err)
			}
		})
		synctest.Wait()
		m.Leave(ticket("dee", 1).Key)
		each.Wait()
	})
}

// A replica dies. Its clients send their tickets to another one, where others
// came later: they keep their places before those.
func TestLineMovesToAnotherReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		w.bindIn = -1
		slow := func(c *Config) { c.Tickets, c.BindTime, c.LineKeys = 1, time.Hour, ring{{1}} }
		dies, lives := w.run(t, slow), w.run(t, slow)
		place := func(m *Matchmaker, tk throng.Ticket) throng.Placement {
			t.Helper()
			p, err := m.Place(t.Context(), tk, 0)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		place(dies, ticket("first", 1))
		place(lives, ticket("other first", 1))
		synctest.Wait()
		var tokens []string
		for i := range 10 {
			tokens = append(tokens, place(dies, ticket(fmt.Sprint(i), 1)).Line)
			pause(t.Context(), time.Second)
		}
		for i := range 10 {
			place(lives, ticket(fmt.Sprint("late ", i), 1))
		}
		for i, token := range slices.Backward(tokens) {
			tk := ticket(fmt.Sprint(i), 1)
			if i == 5 {
				token = tokens[4] // another one's
			}
			tk.Line = token
			place(lives, tk)
		}
		for i := range 10 {
			// All have come: what they are told is as it is, not as it was.
			m := lives
			m.mu.Lock()
			h := m.queue.halls["arena"]
			rank := h.line.rank(m.works[ticket(fmt.Sprint(i), 1).Key])
			m.mu.Unlock()
			want := i
			if i > 5 {
				want--
			}
			if i == 5 {
				want = 19 // at the end
			}
			if rank != want {
				t.Errorf("ticket %d: got place %d, want %d", i, rank, want)
			}
		}
		if p := place(lives, ticket("late 0", 1)); p.Position > 11 {
			t.Errorf("late 0: got position %d, want him to be told no more than before", p.Position)
		}
	})
}

// Who has an answer already gets it again past the line.
func TestAnswersPassTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms, _ := overMemory(t, 2, 10)
		done := placed(t, ms[0], ticket("ada", 2))
		m := ms[1]
		m.tickets, m.queue = 1, newQueue(1, 100)
		for i := range 50 {
			if _, err := m.Place(t.Context(), ticket(fmt.Sprint(i), 1), 0); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			p, err := m.Place(t.Context(), ticket("ada", 2), 500*time.Millisecond)
			if err != nil || p.Assignment == nil || p.Assignment.Grant.Session != done.Grant.Session {
				t.Errorf("a repeat: got %+v, %v, want the answer at once", p, err)
			}
			p, err = m.Lookup(t.Context(), ticket("ada", 2).Key, "", 500*time.Millisecond)
			if err != nil || p.Assignment == nil {
				t.Errorf("looked up: got %+v, %v, want the answer at once", p, err)
			}
		}
	})
}
