package match

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// by counts sessions and players by version.
func by(assigned []throng.Assignment) (sessions, players map[throng.Version]int) {
	sessions, players = map[throng.Version]int{}, map[throng.Version]int{}
	seen := map[throng.SessionID]bool{}
	for _, a := range assigned {
		if a.Grant.Version != a.Session.Version {
			players[0]++ // nobody should be there
		}
		players[a.Session.Version] += len(a.Grant.Members)
		if !seen[a.Session.ID] {
			sessions[a.Session.Version]++
		}
		seen[a.Session.ID] = true
	}
	return sessions, players
}

// A canary has its percentage of the new sessions, however they come to be: alone,
// full at once, or filled one by one.
func TestCanaryQuota(t *testing.T) {
	for _, c := range []struct {
		name           string
		mode           throng.Mode
		capacity, size int
		tickets        int
		percent        int
		atOnce         bool
		least, most    int // canary sessions
		sessions       int // in all, about
	}{
		{"new", throng.ModeNew, 10, 2, 100, 10, false, 10, 10, 100},
		{"new at once", throng.ModeNew, 10, 2, 300, 10, true, 30, 30, 300},
		{"private", throng.ModePrivate, 10, 2, 300, 10, true, 30, 30, 300},
		{"full parties at once", throng.ModeDropIn, 4, 4, 300, 10, true, 27, 33, 300},
		{"a herd", throng.ModeDropIn, 3, 1, 900, 10, true, 27, 33, 300},
		{"half", throng.ModeDropIn, 5, 1, 500, 50, true, 47, 53, 100},
		{"one percent", throng.ModeDropIn, 1, 1, 300, 1, true, 3, 3, 300},
		{"nearly all", throng.ModeDropIn, 2, 2, 200, 99, true, 196, 200, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ms, p := overMemory(t, 1, c.capacity)
				p.percent = c.percent
				tickets := make([]throng.Ticket, c.tickets)
				for i := range tickets {
					tickets[i] = in(c.mode, fmt.Sprintf("p%d", i), c.size)
				}
				var got []throng.Assignment
				if c.atOnce {
					got = all(t, ms[0], tickets)
				} else {
					for _, tk := range tickets {
						got = append(got, placed(t, ms[0], tk))
					}
				}
				sessions, players := by(got)
				n := sessions[3] + sessions[4]
				if sessions[4] < c.least || sessions[4] > c.most || players[0] != 0 || n < c.sessions || n > c.sessions+c.sessions/20 {
					t.Errorf("got %v sessions and %v players by version, want %d to %d canaries of %d", sessions, players, c.least, c.most, c.sessions)
				}
				t.Logf("%s: %d of %d sessions, %d of %d players run the canary", c.name, sessions[4], n, players[4], players[3]+players[4])
			})
		})
	}
}

// Several matchmakers keep to it as well.
func TestCanaryQuotaOfReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms, p := overMemory(t, 3, 4)
		p.percent = 10
		got := make([][]throng.Assignment, len(ms))
		var group sync.WaitGroup
		for i, m := range ms {
			group.Go(func() {
				var tickets []throng.Ticket
				for n := range 100 {
					tickets = append(tickets, ticket(fmt.Sprintf("m%d-%d", i, n), 4))
				}
				got[i] = all(t, m, tickets)
			})
		}
		group.Wait()
		sessions, _ := by(append(append(got[0], got[1]...), got[2]...))
		if sessions[4] < 27 || sessions[4] > 33 {
			t.Errorf("got %v sessions by version, want 30 canaries", sessions)
		}
	})
}

// Players come to a canary as to any other session: it fills up, and those who
// stay behind in sessions of both find friends of both.
func TestCanaryFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ms, p := overMemory(t, 1, 10)
		p.percent = 50
		var got []throng.Assignment
		for i := range 40 { // in less than the time in which holds lapse
			got = append(got, placed(t, ms[0], ticket(fmt.Sprintf("p%d", i), 1)))
		}
		sessions, players := by(got)
		if sessions[3] != 2 || sessions[4] != 2 || players[4] != 20 {
			t.Errorf("got %v sessions and %v players by version, want half of both", sessions, players)
		}
		// The canary ends: nobody comes to it any more.
		p.percent = 0
		for i := range 10 {
			if a := placed(t, ms[0], ticket(fmt.Sprintf("later%d", i), 1)); a.Session.Version != 3 {
				t.Errorf("got version %d after the canary ended", a.Session.Version)
			}
		}
	})
}

// A new version is what the next ticket runs, whoever waits for the old one.
func TestNextTicketRunsWhatIsLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 10)
		m := w.run(t, nil)
		placedIn := func(name string) throng.Version {
			p, err := m.Place(context.WithoutCancel(t.Context()), ticket(name, 1), time.Minute)
			if err != nil || p.Assignment == nil {
				t.Fatalf("%s: %+v, %v", name, p, err)
			}
			return p.Assignment.Session.Version
		}
		if v := placedIn("ada"); v != 1 {
			t.Errorf("got version %d, want 1", v)
		}
		w.set(func(w *world) { w.version = 2 })
		if v := placedIn("bo"); v != 2 {
			t.Errorf("got version %d, want 2", v)
		}
	})
}
