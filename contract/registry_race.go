package contract

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/throng-gg/throng"
)

func registryRaces() []registryCase {
	return []registryCase{
		{name: "attack 4: one ticket at once a hundred times has one answer and one seat", run: sameTicket},
		{name: "attack 4: a hundred tickets of one player leave one live seat", run: manyTickets},
		{name: "attack 7: confirms race with leaves and heartbeats", run: confirmLeave},
		{name: "parties race and are seated whole", run: racingParties},
	}
}

// together runs n at once.
func together(n int, run func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			run(i)
		})
	}
	close(gate)
	wg.Wait()
}

func lastSlot(t *testing.T, b *bench) {
	srv := b.open(t, 50)
	var won, full atomic.Int64
	together(200, func(i int) {
		_, err := b.tryJoin(t, srv.id, ticket("t1", throng.PlayerID(fmt.Sprintf("p%d", i))))
		switch {
		case err == nil:
			won.Add(1)
		case throng.KindOf(err) == throng.Full:
			full.Add(1)
		default:
			t.Errorf("player %d: got %v, want a seat or full", i, err)
		}
	})
	if won.Load() != 50 || full.Load() != 150 {
		t.Errorf("got %d seats and %d refusals, want 50 and 150", won.Load(), full.Load())
	}
	b.seats(t, srv.id, 0, 50)
}

func sameTicket(t *testing.T, b *bench) {
	servers := []*server{b.open(t, 4), b.open(t, 4), b.open(t, 4), b.open(t, 4)}
	var mu sync.Mutex
	answers := map[string]int{}
	together(100, func(i int) {
		g, err := b.tryJoin(t, servers[i%4].id, ticket("t1", "ada", "bo"))
		if err != nil {
			t.Errorf("repeat %d: %v", i, err)
		}
		mu.Lock()
		defer mu.Unlock()
		answers[fmt.Sprintf("%s %x %v", g.Session, g.Nonce, g.Members)]++
	})
	if len(answers) != 1 {
		t.Errorf("answers: got %v, want one", answers)
	}
	held := 0
	for _, s := range servers {
		held += b.session(t, s.id).Held
	}
	if held != 2 {
		t.Errorf("held: got %d seats in all, want 2", held)
	}
}

func manyTickets(t *testing.T, b *bench) {
	servers := make([]*server, 10)
	for i := range servers {
		servers[i] = b.open(t, 4)
	}
	grants := make([]throng.Grant, 100)
	together(len(grants), func(i int) {
		g, err := b.tryJoin(t, servers[i%10].id, ticket(fmt.Sprintf("t%d", i), "ada"))
		if err != nil && throng.KindOf(err) != throng.Denied {
			t.Errorf("ticket %d: %v", i, err)
		}
		grants[i] = g
	})
	held := 0
	for _, s := range servers {
		held += b.session(t, s.id).Held
	}
	if held != 1 {
		t.Errorf("held: got %d seats in all, want the newest ticket's", held)
	}
	var confirmed atomic.Int64
	var locks [10]sync.Mutex
	together(len(grants), func(i int) {
		if grants[i].Session == "" {
			return
		}
		s, lock := servers[i%10], &locks[i%10]
		lock.Lock()
		c := s.admit(grants[i], "ada")
		h := s.report.Heartbeat
		lock.Unlock()
		if err := b.reg.Confirm(t.Context(), h, c); err == nil {
			confirmed.Add(1)
		} else if throng.KindOf(err) != throng.Denied {
			t.Errorf("confirm %d: %v", i, err)
		}
	})
	seated := 0
	for _, s := range servers {
		seated += b.session(t, s.id).Seated
	}
	if confirmed.Load() != 1 || seated != 1 {
		t.Errorf("got %d confirmed and %d seats, want one", confirmed.Load(), seated)
	}
}

func confirmLeave(t *testing.T, b *bench) {
	for round := range 20 {
		srv := b.open(t, 2)
		p := throng.PlayerID(fmt.Sprintf("p%d", round))
		g := b.join(t, srv.id, "t1", p)
		c := srv.admit(g, p)
		here := srv.heartbeat()
		srv.leave(p)
		gone := srv.heartbeat()
		together(6, func(i int) {
			var err error
			switch i % 3 {
			case 0:
				err = b.reg.Confirm(t.Context(), here, c)
			case 1:
				_, err = b.reg.Heartbeat(t.Context(), gone)
			case 2:
				_, err = b.reg.Heartbeat(t.Context(), here)
			}
			if err != nil && throng.KindOf(err) != throng.Denied {
				t.Errorf("call %d: %v", i, err)
			}
		})
		b.seats(t, srv.id, 0, 0)
		b.at(t, p, "")
		check(t, b.reg.End(t.Context(), srv.id, "over"))
	}
}

func racingParties(t *testing.T, b *bench) {
	srv := b.open(t, 50)
	var seats atomic.Int64
	together(60, func(i int) {
		party := make([]throng.PlayerID, i%4+1)
		for m := range party {
			party[m] = throng.PlayerID(fmt.Sprintf("p%d-%d", i, m))
		}
		if g, err := b.tryJoin(t, srv.id, ticket("t1", party...)); err == nil {
			if len(g.Members) != len(party) {
				t.Errorf("party %d: got %d members seated, want %d", i, len(g.Members), len(party))
			}
			seats.Add(int64(len(party)))
		}
	})
	if s := b.session(t, srv.id); int64(s.Held) != seats.Load() || s.Held > 50 || s.Held < 47 {
		t.Errorf("held: got %d, granted %d, want them equal and nearly 50", s.Held, seats.Load())
	}
}
