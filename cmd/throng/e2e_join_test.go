package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/udp"
)

func TestDevPlaysTogether(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	report := r.bots(t.Context(), bot.Config{Place: "arena", Players: 120, For: 5 * time.Second})
	if !report.OK() || report.Sessions != 3 {
		t.Errorf("120 bots: joined %d failed %d mismatched %d over capacity %d sessions %d; want 120, 0, 0, 0 and 3",
			report.Joined, report.Failed, report.Mismatched, report.OverCapacity, report.Sessions)
	}
	if report.SnapshotsS.Median == 0 || report.RTTMS.P50 == 0 {
		t.Errorf("snapshots %+v, round trip %+v: nothing was counted", report.SnapshotsS, report.RTTMS)
	}
}

// herd asks for seats for all parties at once and returns who sits where.
func (r *region) herd(place throng.PlaceID, parties [][]throng.PlayerID) map[throng.SessionID][]throng.PlayerID {
	r.t.Helper()
	var mu sync.Mutex
	seated := map[throng.SessionID][]throng.PlayerID{}
	var group sync.WaitGroup
	ready := make(chan struct{})
	for i, party := range parties {
		door := r.as(party[0], api.RolePlayer)
		group.Go(func() {
			<-ready
			a, err := door.Matchmake(r.t.Context(), throng.Ticket{
				Key: throng.TicketKey{Caller: party[0], Ticket: throng.TicketID(fmt.Sprint("tkt", i))}, Place: place,
				Party: party, Mode: throng.ModeDropIn,
			})
			if err != nil {
				r.t.Errorf("join of %v: %v", party, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seated[a.Session] = append(seated[a.Session], party...)
		})
	}
	close(ready)
	group.Wait()
	return seated
}

func checkHerd(t *testing.T, seated map[throng.SessionID][]throng.PlayerID, players, capacity int) {
	t.Helper()
	seen := map[throng.PlayerID]bool{}
	for session, who := range seated {
		if len(who) > capacity {
			t.Errorf("%s seats %d players of %d", session, len(who), capacity)
		}
		for _, p := range who {
			if seen[p] {
				t.Errorf("%s has two seats", p)
			}
			seen[p] = true
		}
	}
	if len(seen) != players {
		t.Errorf("%d players have seats, want %d", len(seen), players)
	}
}

func TestHerdOfSinglesFillsEveryServer(t *testing.T) {
	t.Parallel()
	const players, capacity = 1000, 50
	r := startDev(t)
	parties := make([][]throng.PlayerID, players)
	for i := range parties {
		parties[i] = []throng.PlayerID{throng.PlayerID(fmt.Sprint("ada", i))}
	}
	seated := r.herd("arena", parties)
	checkHerd(t, seated, players, capacity)
	if got, want := len(seated), players/capacity; got != want {
		t.Errorf("%d joins at once: %d sessions, want %d", players, got, want)
	}
}

func TestHerdOfPartiesStaysWhole(t *testing.T) {
	t.Parallel()
	const players, capacity = 1000, 50
	r := startDev(t)
	rng := rand.New(rand.NewPCG(7, 7))
	var parties [][]throng.PlayerID
	for n := 0; n < players; {
		size := min([]int{1, 1, 1, 1, 1, 2, 2, 3, 4, 5}[rng.IntN(10)], players-n)
		var party []throng.PlayerID
		for range size {
			party = append(party, throng.PlayerID(fmt.Sprint("bo", n)))
			n++
		}
		parties = append(parties, party)
	}
	seated := r.herd("arena", parties)
	checkHerd(t, seated, players, capacity)
	if got, most := len(seated), players/capacity+1; got > most {
		t.Errorf("parties of %d players at once: %d sessions, want at most %d", players, got, most)
	}
}

func TestSameTicketHundredTimes(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	ada := r.as("ada", api.RolePlayer)
	wish := throng.Ticket{
		Key: throng.TicketKey{Caller: "ada", Ticket: "once"}, Place: "arena",
		Party: []throng.PlayerID{"ada"}, Mode: throng.ModeDropIn,
	}
	answers := make([]client.Assignment, 100)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() {
			var err error
			if answers[i], err = ada.Matchmake(t.Context(), wish); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	group.Wait()
	for i, a := range answers {
		if a.Session != answers[0].Session || string(a.JoinToken) != string(answers[0].JoinToken) || !a.ExpiresAt.Equal(answers[0].ExpiresAt) {
			t.Errorf("answer %d differs from the first one: %s %s", i, a.Session, a.ExpiresAt)
		}
	}
	if s := r.sessions("arena"); len(s) != 1 || s[0].Held+s[0].Seated != 1 {
		t.Errorf("after 100 equal calls: got %+v, want one session with one seat", s)
	}
	other := wish
	other.Place = "starter"
	if _, err := ada.Matchmake(t.Context(), other); throng.KindOf(err) != throng.Conflict {
		t.Errorf("the ticket's ID with other content: got %v, want a conflict", err)
	}
}

// dial connects with a join token and keeps the connection until the test ends.
func dial(t *testing.T, token []byte) (*udp.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	conn, err := udp.Dial(ctx, token, func([]byte) {})
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = conn.Run(running)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return conn, nil
}

func TestHundredTicketsOfOnePlayerLeaveOneSeat(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--warm", "4")
	ada := r.as("ada", api.RolePlayer)
	tokens := make([][]byte, 100)
	var group sync.WaitGroup
	for i := range tokens {
		group.Go(func() {
			a, err := ada.Matchmake(t.Context(), throng.Ticket{
				Key: throng.TicketKey{Caller: "ada", Ticket: throng.TicketID(fmt.Sprint("tkt", i))}, Place: "arena",
				Party: []throng.PlayerID{"ada"}, Mode: throng.ModeDropIn,
			})
			// One that comes after a newer one was answered is refused at once.
			if err != nil && throng.KindOf(err) != throng.Denied {
				t.Errorf("ticket %d: got %v, want a token or a denial", i, err)
			}
			tokens[i] = a.JoinToken
		})
	}
	group.Wait()
	conns := make([]*udp.Conn, len(tokens))
	for i, token := range tokens {
		if token != nil {
			group.Go(func() { conns[i], _ = dial(t, token) })
		}
	}
	group.Wait()
	live := func() (n int) {
		for _, c := range conns {
			if c != nil {
				select {
				case <-c.Done():
				default:
					n++
				}
			}
		}
		return n
	}
	eventually(t, 10*time.Second, "one live connection of 100", func() bool { return live() == 1 })
	eventually(t, 10*time.Second, "one seat in the registry", func() bool {
		seats := 0
		for _, s := range r.sessions("arena") {
			seats += s.Seated
		}
		return seats == 1
	})
	if p, err := ada.Presence(t.Context(), "ada"); err != nil || p.State != "playing" {
		t.Errorf("presence: got %+v %v, want playing", p, err)
	}
}
