package match

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// bigHerd leaves a test to runs without the race detector, as make test has one.
func bigHerd(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("SKIPPED under the race detector, which was seen to crash by itself on herds of this size")
	}
}

// herdSize is how many players the big herds have: 10,000, or 100,000 in the
// long form.
func herdSize(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("THRONG_SOAK")) //nolint:forbidigo // a test's own switch
	if err == nil && n > 0 {
		return 100_000
	}
	return 10_000
}

// mixed is tickets of parties, for so many players in all.
func mixed(random *rand.Rand, players int) []throng.Ticket {
	var tickets []throng.Ticket
	for players > 0 {
		size := min([]int{1, 2, 3, 4, 5}[pickOf(random, 70, 18, 6, 4, 2)], players)
		players -= size
		tickets = append(tickets, ticket(fmt.Sprint(len(tickets)), size))
	}
	return tickets
}

// herd sends tickets to matchmakers, each to one, within a time, and asks again
// when it is told to, as clients do whom the door does not let wait. It returns
// how many were told to come back by an error.
func herd(t *testing.T, ms []*Matchmaker, p *place, tickets []throng.Ticket, within time.Duration) (repeats int) {
	t.Helper()
	const callers = 500
	var mu sync.Mutex
	seats := map[throng.SessionID]int{}
	ask := func(i int) (again time.Duration) {
		tk := tickets[i]
		got, err := ms[i%len(ms)].Place(t.Context(), tk, 0)
		mu.Lock()
		defer mu.Unlock()
		switch k := throng.KindOf(err); {
		case err != nil && (k == throng.Contention || k == throng.Unavailable) && throng.RetryAfterOf(err) > 0:
			repeats++
			return throng.RetryAfterOf(err)
		case err != nil:
			t.Errorf("ticket %d: got %v, want a seat or to come again", i, err)
			return 0
		case got.Assignment == nil:
			if got.RetryAfter <= 0 || got.Position < 1 || got.Position > len(tickets) {
				t.Errorf("ticket %d: got %+v, want a place in line and when to ask again", i, got)
			}
			return got.RetryAfter
		}
		if n := len(got.Assignment.Grant.Members); n != len(tk.Party) {
			t.Errorf("ticket %d: got seats for %d, want %d", i, n, len(tk.Party))
		}
		seats[got.Assignment.Session.ID] += len(tk.Party)
		return 0
	}
	var each sync.WaitGroup
	began := time.Now()
	for caller := range min(callers, len(tickets)) {
		each.Go(func() {
			due := map[int]time.Time{}
			for i := caller; i < len(tickets); i += callers {
				due[i] = began.Add(within * time.Duration(i) / time.Duration(len(tickets)))
			}
			for len(due) > 0 && time.Since(began) < 10*time.Minute {
				next := time.Now().Add(time.Minute)
				for i := caller; i < len(tickets); i += callers {
					at, waits := due[i]
					if waits && !at.After(time.Now()) {
						again := ask(i)
						if again == 0 {
							delete(due, i)
							continue
						}
						at = time.Now().Add(again)
						due[i] = at
					}
					if waits && at.Before(next) {
						next = at
					}
				}
				if len(due) > 0 {
					pause(t.Context(), time.Until(next))
				}
			}
			if len(due) > 0 {
				t.Errorf("got %d tickets of caller %d without an answer", len(due), caller)
			}
		})
	}
	each.Wait()
	for id, n := range seats {
		if n > p.capacity {
			t.Errorf("session %s: got %d players, want at most %d", id, n, p.capacity)
		}
	}
	return repeats
}

// Several matchmakers work on one registry without another word between them:
// singles need no session more than they fill, whatever overtakes what.
func TestReplicasSingles(t *testing.T) {
	counts := []int{1, 2, 4}
	if raceDetector {
		counts = counts[2:]
	}
	for _, replicas := range counts {
		for _, c := range []struct {
			players, capacity int
			within            time.Duration
		}{{1000, 50, 0}, {1000, 30, 0}, {999, 7, 0}, {1000, 30, time.Second}, {37, 50, 0}, {200, 200, 100 * time.Millisecond}} {
			synctest.Test(t, func(t *testing.T) {
				ms, p := overMemory(t, replicas, c.capacity)
				var tickets []throng.Ticket
				for i := range c.players {
					tickets = append(tickets, ticket(fmt.Sprint(i), 1))
				}
				herd(t, ms, p, tickets, c.within)
				if want := (c.players + c.capacity - 1) / c.capacity; len(p.opened) != want {
					t.Errorf("%d matchmakers, %+v: got %d sessions, want %d", replicas, c, len(p.opened), want)
				}
			})
		}
	}
}

// Parties of mixed sizes need one session more at most.
func TestReplicasParties(t *testing.T) {
	seeds := uint64(12)
	if raceDetector {
		seeds = 2
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			ms, p := overMemory(t, 1+3*int(seed%2), []int{20, 30, 50}[seed%3])
			within := []time.Duration{0, time.Second}[seed/6]
			herd(t, ms, p, mixed(random, 1000), within)
			if want := (1000+p.capacity-1)/p.capacity + 1; len(p.opened) > want {
				t.Errorf("seed %d, %d matchmakers: got %d sessions of %d, want %d at most", seed, len(ms), len(p.opened), p.capacity, want)
			}
		})
	}
}

// A big herd of parties needs 2 % more servers than the ideal at most.
func TestReplicasBigHerd(t *testing.T) {
	bigHerd(t)
	players := herdSize(t)
	for _, replicas := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			ms, p := overMemory(t, replicas, 50)
			if players < 100_000 { // so that some stand in line
				for _, m := range ms {
					m.tickets, m.queue = 1500, newQueue(1500, 200_000)
				}
			}
			began := time.Now()
			repeats := herd(t, ms, p, mixed(rand.New(rand.NewPCG(4, 4)), players), 0)
			ideal := players / 50
			t.Logf("%d players, %d matchmakers: %d servers, ideal %d; %d repeats, %s", players, replicas,
				len(p.opened), ideal, repeats, time.Since(began))
			if len(p.opened) > ideal+max(ideal/50, 1) {
				t.Errorf("got %d servers, want 2 %% more than %d at most", len(p.opened), ideal)
			}
		})
	}
}
