package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/redis/redistest"
)

// TestDrills loses the registry, or the way to it, while a crowd plays, of which
// some leave and others come at every fault. Nobody who plays notices, nobody has
// two seats, joins come back, and then the registry knows where everybody is.
//
// CI plays some faults with 30 players; make soak all of them with 150, one after
// the other, and logs how long joins were away.
func TestDrills(t *testing.T) {
	for _, group := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"Redis", drillRedis},
		{"Cluster", drillCluster},
		{"network", drillNetwork},
	} {
		t.Run(group.name, func(t *testing.T) {
			if !inLong() {
				t.Parallel()
			}
			group.run(t)
		})
	}
}

func drillRedis(t *testing.T) {
	server := redistest.Start(t)
	r, _, control := startSplit(t, "--redis", server.URL())
	d := startDrills(t, r)
	d.drill(t, "FLUSHALL", func(f *fault) {
		f.before()
		server.Must(f.t, "FLUSHALL")
		f.during()
	})
	if inLong() {
		d.drill(t, "restart with an old snapshot", func(f *fault) {
			server.Save(f.t)
			f.before()
			server.Kill()
			f.during()
			server.Restart(f.t)
		})
		d.drill(t, "restart without a snapshot", func(f *fault) {
			f.before()
			server.Kill()
			f.during()
			server.RestartEmpty(f.t)
		})
	}
	d.drill(t, "stopped", func(f *fault) {
		f.before()
		server.Pause(f.t)
		f.during()
		f.last(5*time.Second, 30*time.Second)
		server.Continue(f.t)
	})
	d.drill(t, "control plane away", func(f *fault) {
		f.before()
		d.r.prog.stop(syscall.SIGKILL)
		f.during()
		f.last(5*time.Second, time.Minute)
		d.r.prog = control()
	})
}

func drillCluster(t *testing.T) {
	cluster := redistest.StartCluster(t, 0)
	r, _, _ := startSplit(t, "--redis", cluster.URL())
	d := startDrills(t, r)
	if inLong() {
		for i := range cluster.Masters {
			d.drill(t, fmt.Sprint("failover of master ", i), func(f *fault) {
				f.before()
				cluster.Failover(f.t, i)
				f.during()
			})
			cluster.FailBack(t, i)
		}
	}
	// The place's sessions are in one shard, the players in all: one of the masters
	// loses what it knew of sessions; the others only what they knew of a third of
	// the players, of whom the sessions then know more. CI plays one of those.
	losing := []int{2}
	if inLong() {
		losing = []int{0, 1, 2}
	}
	for _, i := range losing {
		if err := cluster.AwaitHealthy(); err != nil {
			t.Fatal(err)
		}
		d.drill(t, fmt.Sprint("failover that loses the last writes of master ", i), func(f *fault) {
			cluster.Cut(f.t, i)
			f.before()
			cluster.LoseMaster(f.t, i)
			f.during()
		})
		cluster.Masters[i].Restart(t)
	}
}

func drillNetwork(t *testing.T) {
	e := startEnclave(t)
	d := startDrills(t, e.startSplit())
	d.drill(t, "control plane cut off from game servers", func(f *fault) {
		f.before()
		e.cut()
		silence := time.Now()
		f.during()
		f.last(8*time.Second, 40*time.Second)
		for _, s := range f.d.r.sessions(f.d.place) {
			if s.State == throng.SessionOpen.String() && s.LeaseUntil.After(silence.Add(throng.LeaseTime+time.Second)) {
				f.t.Errorf("%s was heard over a network that is cut", s.ID)
			}
		}
		e.mend()
	})
}

// drills are a region and its players, who come and go in flocks.
type drills struct {
	ground  *region // of all drills
	place   throng.PlaceID
	r       *region // of the drill under way
	witness *witness
	size    int // of a flock that comes and goes
	stay    *flock
	guests  [2]*flock // who leave at the next fault: before it, and in it
	doors   map[throng.PlayerID]*client.Door
	here    []*flock          // all that came and were not seen off
	names   uint64            // given so far
	gone    []throng.PlayerID // who left at the last fault
}

// flock is one crowd of bots.
type flock struct {
	players []throng.PlayerID
	leave   context.CancelFunc
	report  <-chan bot.Report
}

// startDrills waits until everybody plays: 30, or 150.
func startDrills(t *testing.T, r *region) *drills {
	t.Helper()
	// There are always three sessions: one that is silent alone is taken for dead.
	stay, size, capacity := 22, 4, 10
	d := &drills{ground: r, r: r, place: "small", doors: map[throng.PlayerID]*client.Door{}}
	if inLong() {
		stay, size, capacity, d.place = 110, 20, 50, "arena"
	} else {
		r.publish(string(d.place), strconv.Itoa(capacity), dotScript)
	}
	d.size, d.witness = size, newWitness(botDoor{r.door}, capacity)
	d.stay = d.come(t.Context(), stay)
	for i := range d.guests {
		d.guests[i] = d.come(t.Context(), size)
	}
	begun := time.Now()
	d.await(t, begun, d.stay, d.guests[0], d.guests[1])
	d.awaitSeats(t)
	t.Cleanup(func() {
		for len(d.here) > 0 {
			d.depart(t, d.here[0])
		}
		d.witness.judge(t)
	})
	return d
}

// come sends a flock in.
func (d *drills) come(ctx context.Context, players int) *flock {
	d.names++
	cfg := bot.Config{
		Door: d.witness, Way: d.witness.way, Place: d.place, Players: players, Capacity: d.witness.capacity,
		For: 24 * time.Hour, Every: time.Hour, Name: "flock", Seed: d.names,
	}
	f := &flock{}
	for i := range players {
		f.players = append(f.players, throng.PlayerID(fmt.Sprintf("%s-%d-%d", cfg.Name, cfg.Seed, i)))
	}
	ctx, f.leave = context.WithCancel(context.WithoutCancel(ctx))
	f.report = d.ground.crowd(ctx, cfg)
	d.here = append(d.here, f)
	return f
}

// depart takes a flock out and looks at what it saw.
func (d *drills) depart(t *testing.T, f *flock) {
	t.Helper()
	d.here = slices.DeleteFunc(d.here, func(o *flock) bool { return o == f })
	f.leave()
	got := <-f.report
	if !got.OK() || got.Rejoined != 0 {
		t.Errorf("a flock of %d: joined %d failed %d mismatched %d over capacity %d rejoined %d, want %d and none: %v",
			got.Players, got.Joined, got.Failed, got.Mismatched, got.OverCapacity, got.Rejoined, got.Players, got.Examples)
	}
	// A machine that runs other tests beside may be late for all.
	if got.Reconnected != 0 && inLong() {
		t.Errorf("a flock of %d: reconnected %d times, want no connection lost", got.Players, got.Reconnected)
	}
	d.gone = append(d.gone, f.players...)
}

// await waits until flocks have seen their worlds since then.
func (d *drills) await(t *testing.T, since time.Time, flocks ...*flock) {
	t.Helper()
	for _, f := range flocks {
		eventually(t, 90*time.Second, "a flock plays", func() bool { return d.witness.play(since, f.players) })
	}
}

// awaitSeats waits until the registry has a seat for everybody where he plays,
// and no other.
func (d *drills) awaitSeats(t *testing.T) {
	t.Helper()
	var odd string
	within(t, time.Minute, "the registry's seats are the players'", &odd, func() bool {
		want := map[string]int{}
		for _, s := range d.witness.seats() {
			want[string(s)]++
		}
		odd = ""
		for _, s := range d.r.sessions(d.place) {
			if s.Seated > s.Capacity {
				t.Errorf("%s seats %d of %d", s.ID, s.Seated, s.Capacity)
			}
			if s.Seated != want[s.ID] {
				odd += fmt.Sprintf(" %s: seated %d, %d play;", s.ID, s.Seated, want[s.ID])
			}
			delete(want, s.ID)
		}
		if len(want) > 0 {
			odd += fmt.Sprintf(" not listed: %v", want)
		}
		return odd == ""
	})
}

// within is eventually that says what was odd.
func within(t *testing.T, limit time.Duration, what string, odd *string, ok func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for time.Since(begun) < limit {
		if ok() {
			return time.Since(begun)
		}
		<-time.After(500 * time.Millisecond)
	}
	t.Fatalf("%s: not within %s: %s", what, limit, *odd)
	return 0
}

// strangers are players whose presence is not what it should be.
func (d *drills) strangers(t *testing.T) (odd []string) {
	t.Helper()
	look := func(p throng.PlayerID, right func(state string, at throng.SessionID) bool) {
		if d.doors[p] == nil {
			d.doors[p] = d.r.as(p, api.RolePlayer)
		}
		got, err := d.doors[p].Presence(t.Context(), p)
		if err != nil || !right(got.State, throng.SessionID(got.Session)) {
			odd = append(odd, fmt.Sprintf("%s: %s %s %v", p, got.State, got.Session, err))
		}
	}
	for p, s := range d.witness.seats() {
		look(p, func(state string, at throng.SessionID) bool {
			return state == throng.PresencePlaying.String() && at == s
		})
	}
	for _, p := range d.gone {
		look(p, func(state string, _ throng.SessionID) bool { return state != throng.PresencePlaying.String() })
	}
	return odd
}

// fault is one of the things that befall a region.
type fault struct {
	t      *testing.T
	d      *drills
	coming [2]*flock
}

// before lets a flock leave and another one come, and waits until the registry
// knows.
func (f *fault) before() {
	f.t.Helper()
	f.d.depart(f.t, f.d.guests[0])
	begun := time.Now()
	f.coming[0] = f.d.come(f.t.Context(), f.d.size)
	f.d.await(f.t, begun, f.coming[0])
	f.d.awaitSeats(f.t)
}

// during is the same while the fault lasts: the registry need not know.
func (f *fault) during() {
	f.t.Helper()
	f.d.depart(f.t, f.d.guests[1])
	f.coming[1] = f.d.come(f.t.Context(), f.d.size)
}

// last waits as long as the fault lasts.
func (f *fault) last(short, long time.Duration) {
	if inLong() {
		short = long
	}
	<-time.After(short)
}

// drill lets something happen and looks at what became of the players.
func (d *drills) drill(t *testing.T, name string, happen func(f *fault)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		own := *d.ground
		own.t = t
		d.r = &own
		defer func() {
			d.ground.prog = own.prog
			d.r = d.ground
		}()
		d.struck(t, happen)
	})
	if t.Failed() {
		t.FailNow() // the next fault would only show it again
	}
}

func (d *drills) struck(t *testing.T, happen func(f *fault)) {
	t.Helper()
	f := &fault{t: t, d: d}
	d.gone = nil
	seats, longest := d.witness.seats(), d.witness.watch()
	happen(f)
	over := time.Now()
	back := d.joinsAgain(t)
	first := len(d.strangers(t))
	d.await(t, over, d.stay, f.coming[0], f.coming[1])
	came := time.Since(over)
	d.awaitSeats(t)
	var odd string
	within(t, time.Minute, "presence is right", &odd, func() bool {
		wrong := d.strangers(t)
		odd = fmt.Sprintf("%d players: %s", len(wrong), strings.Join(wrong[:min(len(wrong), 10)], "; "))
		return len(wrong) == 0
	})
	right := time.Since(over)

	killed := 0
	stayed := d.witness.seats()
	for _, p := range d.stay.players {
		if stayed[p] != seats[p] {
			t.Errorf("%s plays in %s, was in %s before", p, stayed[p], seats[p])
		}
	}
	ids := map[throng.SessionID]bool{}
	for _, s := range seats {
		ids[s] = true
	}
	for s := range ids {
		if reason, ended := d.r.ended(string(s)); ended {
			killed++
			t.Errorf("session %s ended: %s", s, reason)
		}
	}
	d.witness.judge(t)
	t.Logf("joins are back after %s; who came meanwhile plays after %s; presences: %d of %d wrong then, none after %s; sessions killed: %d of %d; longest time without a payload: %s",
		back.Round(10*time.Millisecond), came.Round(10*time.Millisecond), first, len(stayed)+len(d.gone),
		right.Round(10*time.Millisecond), killed, len(ids), longest(d.stay.players).Round(time.Millisecond))
	d.guests = f.coming
}

// probes are so many that some of them are in each shard of a Cluster.
const probes = 16

// joinsAgain waits until whoever is new gets a seat, which he gives back. The
// time is the last one's.
func (d *drills) joinsAgain(t *testing.T) time.Duration {
	t.Helper()
	d.names++
	begun := time.Now()
	var group errgroup.Group
	for i := range probes {
		group.Go(func() error { return d.probe(t.Context(), throng.PlayerID(fmt.Sprintf("probe-%d-%d", d.names, i))) })
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("joins are not back after %s: %v", time.Since(begun), err)
	}
	return time.Since(begun)
}

// probe asks for a seat again and again, with a new ticket each time.
func (d *drills) probe(ctx context.Context, p throng.PlayerID) error {
	try := func(n int) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		door, err := botDoor{d.r.door}.as(ctx, p)
		if err != nil {
			return err
		}
		ticket := throng.Ticket{
			Key: throng.TicketKey{Caller: p, Ticket: throng.TicketID(fmt.Sprint("tkt-", n))}, Place: d.place,
			Party: []throng.PlayerID{p}, Mode: throng.ModeDropIn,
		}
		if _, err := door.MatchmakeOnce(ctx, ticket); err != nil {
			return err
		}
		return door.Leave(ctx, ticket.Key)
	}
	n := 0
	return redistest.Await(time.Minute, func() error {
		n++
		<-time.After(100 * time.Millisecond) // or there are more calls than the door takes
		return try(n)
	}, nil)
}
