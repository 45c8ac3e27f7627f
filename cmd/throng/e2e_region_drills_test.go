package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
)

// TestRegionDrills loses a region, or a part of it, while a crowd that lives in three
// plays and others come at every door. Who asks is seated, next door where it must
// be; who played in what is lost plays elsewhere; the others notice nothing; and what
// is back is used again.
//
// CI loses one for some seconds, with 45 players; make soak with 150, until all play
// elsewhere.
func TestRegionDrills(t *testing.T) {
	if !inLong() {
		t.Parallel()
	}
	d := startRegionDrills(t)
	const lost = 1
	net := d.nets[lost]
	d.drill(t, regionDrill{name: "black hole", lost: lost, alone: true, begin: func() func() { return d.hole(lost) }})
	d.drill(t, regionDrill{name: "Redis dead", lost: lost, begin: func() func() {
		net.redis.stop(9)
		return net.startRedis
	}})
	d.drill(t, regionDrill{name: "orchestrator hangs", lost: lost, opens: true, begin: func() func() { return freeze(t, net.node) }})
	if inLong() {
		d.drill(t, regionDrill{name: "answers take 2 s", lost: lost, begin: func() func() {
			d.doors[lost].late.Store(int64(time.Second))
			return func() { d.doors[lost].late.Store(0) }
		}})
	}
	t.Run("all control planes killed", d.testControlsKilled)
	t.Run("cold start", d.testColdStart)
}

// testControlsKilled: without any control plane all play on where they are.
func (d *regionDrills) testControlsKilled(t *testing.T) {
	before := d.witness.seats()
	for _, n := range d.nets {
		n.control.stop(9)
	}
	killed, away := time.Now(), 5*time.Second
	if inLong() {
		away = time.Minute
	}
	<-time.After(away)
	if !d.witness.play(time.Now().Add(-2*time.Second), d.bots) {
		t.Errorf("not all play on without control planes")
	}
	var starting sync.WaitGroup
	for _, n := range d.nets {
		starting.Go(n.startControl)
	}
	starting.Wait()
	d.testJoins(t, "back")
	if after := d.witness.seats(); !maps.Equal(before, after) || !d.witness.play(killed.Add(away), d.bots) {
		t.Errorf("players have other seats than before:\n%v\n%v", before, after)
	}
}

// testColdStart: all regions stop, and what is in memory is lost; then they start
// together.
func (d *regionDrills) testColdStart(t *testing.T) {
	d.leave()
	for _, n := range d.nets {
		n.node.stop(15)
		n.control.stop(15)
		n.redis.stop(9)
	}
	var starting sync.WaitGroup
	begun := time.Now()
	for _, n := range d.nets {
		starting.Go(n.start)
	}
	starting.Wait()
	t.Logf("started after %s", time.Since(begun).Round(time.Millisecond))
	d.testJoins(t, "cold")
}

// testJoins: within half a minute players join at every door, near where they live
// soon.
func (d *regionDrills) testJoins(t *testing.T, name string) {
	t.Helper()
	begun := time.Now()
	for i := range d.list {
		if at, err := d.ask(t.Context(), throng.PlayerID(fmt.Sprintf("%s-%d", name, i)), i, "arena"); err != nil || time.Since(begun) > 30*time.Second {
			t.Errorf("who lives in %s has a seat in %s after %s: %v, want within 30 s", d.list[i].id, at, time.Since(begun), err)
		} else {
			t.Logf("who lives in %s has a seat in %s after %s", d.list[i].id, at, time.Since(begun).Round(time.Millisecond))
		}
	}
	for i := range d.list {
		n := 0
		eventually(t, 60*time.Second, "who lives in "+string(d.list[i].id)+" is seated there", func() bool {
			n++
			at, err := d.ask(t.Context(), throng.PlayerID(fmt.Sprintf("%s-%d-%d", name, i, n)), i, "arena")
			return err == nil && at == d.list[i].id
		})
	}
}

// regionDrills are regions and those who play there.
type regionDrills struct {
	*realms

	between spread
	witness *witness
	players int
	bots    []throng.PlayerID
	leave   func() // ends them
	asked   int    // joins so far
}

// regionDrill is one thing that befalls a region.
type regionDrill struct {
	name  string
	lost  int
	begin func() (end func())
	alone bool // nobody reaches it, and its players play elsewhere
	opens bool // no game server is started there
}

func startRegionDrills(t *testing.T) *regionDrills {
	t.Helper()
	d := &regionDrills{realms: startRealms(t, 3), players: 45}
	if inLong() {
		d.players = 150
	}
	d.between = d.spread()
	d.witness = newWitness(d.between, 50)
	ctx, leave := context.WithCancel(context.WithoutCancel(t.Context()))
	report := d.all[0].crowd(ctx, bot.Config{
		Door: d.witness, Way: d.witness.way, Place: "starter", Players: d.players, Capacity: 50, For: 24 * time.Hour, Every: time.Hour, Name: "crowd",
	})
	d.leave = sync.OnceFunc(func() {
		leave()
		if got := <-report; got.Failed != 0 || got.Mismatched != 0 || got.OverCapacity != 0 {
			t.Errorf("failed %d mismatched %d over capacity %d, want none", got.Failed, got.Mismatched, got.OverCapacity)
		}
	})
	t.Cleanup(d.leave)
	for i := range d.players {
		d.bots = append(d.bots, throng.PlayerID(fmt.Sprintf("crowd-1-%d", i)))
	}
	eventually(t, 90*time.Second, "all play", func() bool { return d.witness.play(time.Now().Add(-time.Second), d.bots) })
	d.testNear(t)
	return d
}

// testNear: p95 of the round trips, by the table, is within a tenth of what the
// nearest regions have.
func (d *regionDrills) testNear(t *testing.T) {
	t.Helper()
	var got, best []float64
	for p, id := range d.witness.seats() {
		far := d.far(d.between.home(p))
		got = append(got, far[id.Region()])
		best = append(best, 10) // of who lives in a region
	}
	if g, b := p95(got), p95(best); g > 1.1*b {
		t.Errorf("p95 of the round trips of players is %g ms, want at most a tenth over %g", g, b)
	}
}

func p95(ms []float64) float64 {
	slices.Sort(ms)
	return ms[int(math.Ceil(0.95*float64(len(ms))))-1]
}

// joins lets one after the other ask at the i-th region's door, who lives there,
// until stop is called, and returns how long each waited for a seat.
func (d *regionDrills) joins(t *testing.T, i int) (stop func() []time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var took []time.Duration
	var asking sync.WaitGroup
	d.asked++
	name := fmt.Sprintf("come%d-%d", d.asked, i)
	asking.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			begun := time.Now()
			if _, err := d.ask(ctx, throng.PlayerID(fmt.Sprintf("%s-%d", name, n)), i, "arena"); err != nil {
				if ctx.Err() == nil {
					t.Errorf("join at %s: %v", d.list[i].id, err)
				}
				return
			}
			took = append(took, time.Since(begun))
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	return func() []time.Duration {
		cancel()
		asking.Wait()
		return took
	}
}

// ask seats somebody who lives in the i-th region; he gives the seat back at once.
func (d *regionDrills) ask(ctx context.Context, p throng.PlayerID, i int, place throng.PlaceID) (throng.RegionID, error) {
	return d.join(ctx, p, i, throng.Ticket{Place: place, Mode: throng.ModeDropIn})
}

func (d *regionDrills) join(ctx context.Context, p throng.PlayerID, i int, t throng.Ticket) (throng.RegionID, error) {
	door, err := botDoor{d.between.doors[i]}.as(ctx, p)
	if err != nil {
		return "", err
	}
	t.Key, t.Party, t.Latencies = throng.TicketKey{Caller: p, Ticket: throng.TicketID("tkt-" + p)}, []throng.PlayerID{p}, d.far(i)
	a, err := door.Matchmake(ctx, t)
	if err != nil {
		return "", err
	}
	return a.Region, giveBack(ctx, door, a)
}

// giveBack leaves; where nothing is reached the hold lapses.
func giveBack(ctx context.Context, door *client.Door, a client.Assignment) error {
	_ = door.Leave(ctx, throng.TicketKey{Ticket: a.Ticket})
	return ctx.Err()
}

// drill lets it happen and looks at what becomes of players.
func (d *regionDrills) drill(t *testing.T, what regionDrill) {
	t.Helper()
	t.Run(what.name, func(t *testing.T) {
		const other = 0
		quiet := d.joins(t, other)
		<-time.After(3 * time.Second)
		before := quiet()
		there := d.of(what.lost)

		closed := d.closed(t, what.lost)
		end := what.begin()
		begun := time.Now()
		during := d.joins(t, other)
		at, err := d.ask(t.Context(), throng.PlayerID(fmt.Sprintf("lost-%s-%d", d.list[what.lost].id, d.asked)), what.lost, "arena")
		took := time.Since(begun)
		if err != nil || took > 10*time.Second {
			t.Errorf("who lives in %s has a seat after %s: %v, want within 10 s", d.list[what.lost].id, took, err)
		}
		t.Logf("who lives in %s has a seat in %s after %s", d.list[what.lost].id, at, took.Round(time.Millisecond))
		// A player tries for half a minute to come back to the seat that he has.
		if what.alone && inLong() {
			d.testMoved(t, what.lost, there, begun)
		}
		if what.opens {
			d.testOpens(t, what.lost)
		}
		for _, region := range d.all[:1] { // browsing goes on
			if _, err := region.as("browser", "player").Places(t.Context(), client.Page{}); err != nil {
				t.Errorf("browse: %v", err)
			}
		}
		<-time.After(time.Until(begun.Add(8 * time.Second)))
		if inLong() {
			<-time.After(30 * time.Second)
		}
		with := during()
		testCalm(t, before, with)
		if now := d.closed(t, what.lost); now != closed {
			t.Errorf("the breaker closed %d times while %s was lost", now-closed, d.list[what.lost].id)
		}
		if !what.alone && !d.witness.play(begun.Add(5*time.Second), there) {
			t.Errorf("who plays in %s was disturbed", d.list[what.lost].id)
		}
		end()
		d.hear(len(d.list))
		eventually(t, 60*time.Second, "the region is used again", func() bool {
			d.asked++
			at, err := d.ask(t.Context(), throng.PlayerID(fmt.Sprintf("back-%d", d.asked)), what.lost, "arena")
			return err == nil && at == d.list[what.lost].id
		})
		eventually(t, 60*time.Second, "all play", func() bool { return d.witness.play(time.Now().Add(-time.Second), d.bots) })
	})
}

// of lists who plays in the i-th region.
func (d *regionDrills) of(i int) (players []throng.PlayerID) {
	for p, id := range d.witness.seats() {
		if id.Region() == d.list[i].id {
			players = append(players, p)
		}
	}
	return players
}

// testOpens: new sessions open next door once the servers are used up that are idle
// there, and nobody waits for long.
func (d *regionDrills) testOpens(t *testing.T, lost int) {
	t.Helper()
	for n := range 30 {
		begun := time.Now()
		at, err := d.join(t.Context(), throng.PlayerID(fmt.Sprintf("opens-%d", n)), lost, throng.Ticket{Place: "rush", Mode: throng.ModeNew})
		took := time.Since(begun)
		if err != nil || took > 12*time.Second {
			t.Errorf("who opens a session has a seat after %s: %v, want within 12 s", took, err)
			return
		}
		if at != d.list[lost].id {
			t.Logf("after %d sessions the next one opens in %s after %s", n, at, took.Round(time.Millisecond))
			return
		}
		<-time.After(time.Second) // what hangs is not known at once
	}
	t.Errorf("30 sessions open in %s", d.list[lost].id)
}

// testMoved: of those who played in a region that is lost 19 of 20 play elsewhere
// within a minute.
func (d *regionDrills) testMoved(t *testing.T, lost int, there []throng.PlayerID, begun time.Time) {
	t.Helper()
	for time.Since(begun) < time.Minute {
		moved := 0
		for p, id := range d.witness.seats() {
			if id.Region() != d.list[lost].id && slices.Contains(there, p) && d.witness.play(time.Now().Add(-time.Second), []throng.PlayerID{p}) {
				moved++
			}
		}
		if len(there) > 0 && 20*moved >= 19*len(there) {
			t.Logf("%d of %d players of %s play elsewhere after %s", moved, len(there), d.list[lost].id, time.Since(begun).Round(time.Millisecond))
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Errorf("of %d players of %s not 19 of 20 play elsewhere after a minute: %v", len(there), d.list[lost].id, d.of(lost))
}

// testCalm: others' joins take twice as long at most.
func testCalm(t *testing.T, before, with []time.Duration) {
	t.Helper()
	if len(before) < 5 || len(with) < 5 {
		t.Errorf("%d joins before and %d with it say nothing", len(before), len(with))
		return
	}
	p99 := func(took []time.Duration) time.Duration {
		slices.Sort(took)
		return took[int(math.Ceil(0.99*float64(len(took))))-1]
	}
	t.Logf("others' joins: %d took %s at p99 before, %d took %s", len(before), p99(before).Round(time.Millisecond), len(with), p99(with).Round(time.Millisecond))
	if limit := max(2*p99(before), 100*time.Millisecond); inLong() && p99(with) > limit {
		t.Errorf("others' joins take %s at p99, want %s at most", p99(with), limit)
	}
}

// closed is how often the breakers of the first region for another one have closed.
func (d *regionDrills) closed(t *testing.T, of int) (n int) {
	t.Helper()
	run := &replicaRun{t: t, url: d.urls[0], logs: d.all[0].prog.logs}
	for _, call := range []string{callSummary, callMatchmake} {
		n += max(run.gauge(fmt.Sprintf("throng_breaker_transitions_total{caller=%q,operation=%q,region=%q,to=%q}", d.list[0].id, call, d.list[of].id, "closed")), 0)
	}
	return n
}
