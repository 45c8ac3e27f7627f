package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bot"
)

// soakTimes says how much longer than in CI a test shall run: 0 without
// THRONG_SOAK, else its number times a hundred.
func soakTimes(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("THRONG_SOAK")) //nolint:forbidigo // a test's own switch
	if err != nil {
		return 0
	}
	return 100 * n
}

// dotScript is a place in which everybody is a dot.
const dotScript = `
local dot = world.kind("dot", { x = { type = "number", min = 0, max = 64, precision = 1/64 } })
local dots = {}
place.on("join", function(p) dots[p.id] = world.spawn(dot, { x = 32 }, p) end)
place.on("leave", function(p) dots[p.id]:remove(); dots[p.id] = nil end)
place.on("input", function(p, i) local d = dots[p.id]; d.x = math.clamp(d.x + i.move_x * 0.2, 0, 64) end)`

// TestServersKilledAtRandom kills game servers at random moments under a crowd
// that comes and goes. Nobody is doubled, no session is over capacity, no world
// is wrong, no server leaks, and everybody plays at the end. CI runs a few
// seeded rounds, make soak hundreds.
func TestServersKilledAtRandom(t *testing.T) {
	t.Parallel()
	const players = 40
	rounds := 3 + soakTimes(t)
	r := startDev(t)
	r.publish("small", "8", dotScript)
	rng := rand.New(rand.NewPCG(11, 7))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	crowd := &logBuffer{}
	report := r.crowd(ctx, bot.Config{
		Place: "small", Players: players, For: time.Hour, Every: 50 * time.Millisecond, Progress: crowd,
	})
	lost := 0
	allPlay := func() bool {
		return strings.Contains(crowd.tail(2000), fmt.Sprintf("rejoined %d, playing %d,", lost, players))
	}
	eventually(t, 30*time.Second, "everybody plays", allPlay)
	for range rounds {
		r.checkSeats("small", players)
		sessions := r.sessions("small")
		if len(sessions) == 0 {
			t.Fatal("no session is left")
		}
		victim := sessions[rng.IntN(len(sessions))]
		<-time.After(rand.N(300 * time.Millisecond))
		if pid := r.lookFor(victim.Server); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		eventually(t, 5*time.Second, "the killed server's session is ended", func() bool {
			_, ended := r.ended(victim.ID)
			return ended
		})
		lost += victim.Seated
		eventually(t, 40*time.Second, "everybody plays again", allPlay)
	}
	cancel()
	if got := <-report; got.Failed != 0 || got.Mismatched != 0 || got.OverCapacity != 0 {
		t.Errorf("after %d kills: failed %d mismatched %d over capacity %d, want none", rounds, got.Failed, got.Mismatched, got.OverCapacity)
	}
	r.noLeak()
}

// checkSeats waits until the registry counts every player once.
func (r *region) checkSeats(place throng.PlaceID, players int) {
	r.t.Helper()
	eventually(r.t, 20*time.Second, "the registry counts every player once", func() bool {
		n := 0
		for _, s := range r.sessions(place) {
			if s.Seated > s.Capacity {
				r.t.Errorf("%s seats %d of %d", s.ID, s.Seated, s.Capacity)
			}
			n += s.Seated
		}
		return n == players
	})
}

// noLeak waits until every game server is idle or hosts a living session.
func (r *region) noLeak() {
	r.t.Helper()
	eventually(r.t, throng.LeaseTime+10*time.Second, "no server without a session beyond the stock of 2", func() bool {
		hosting := map[string]bool{}
		for _, s := range r.sessions("") {
			hosting[s.Server] = true
		}
		idle := 0
		for _, s := range r.servers(r.prog.cmd.Process.Pid) {
			if !hosting[string(s.server)] {
				idle++
			}
		}
		return idle <= 2
	})
}
