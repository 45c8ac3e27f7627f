package contract

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// HistoryRig is a store as several processes have it, with hands on its clock
// and on what befalls it.
type HistoryRig struct {
	Stores  []func() session.Store // one a process; asked at each operation
	Now     func() time.Time
	Advance func(d time.Duration)
	Losses  []Loss
	// Belated: what was asked of the store and not answered may still be done,
	// until the end.
	Belated bool
}

// Loss is something that takes writes, or all of them, from a store.
type Loss struct {
	Name string
	// Prepare, if there is one, comes some time before: what is written after
	// it may be lost.
	Prepare func()
	// Strike returns when the store can be reached again.
	Strike func()
	// Partial: it may leave a shard as it is. After any other one nothing may be
	// granted for throng.TokenTime, and then only where it was reported.
	Partial bool
}

// HistoryConfig says what happens in a history. Chances are one in so many
// rounds or actions; zero: never.
type HistoryConfig struct {
	Seed     uint64
	Rounds   int // zero: 120
	Sessions int // that are open at a time; zero: 3
	Capacity int // zero: 1 to 3
	Players  int // zero: 7
	Losses   int
	Pauses   int  // no process ticks for longer than a stamp is good for
	Cuts     int  // a game server reaches no process for a while
	Crashes  int  // of game servers
	Fates    int  // of callers between their steps; lost answers; pauses
	Leaves   int  // a player gives his ticket up
	Hasty    int  // players leave while their seat is not confirmed
	First    bool // look for one broken promise only
	// Slow: confirms are asked for late, so that holds lapse before; and heartbeats
	// come late, too.
	Slow bool
}

// mixed is a history in which everything happens.
func mixed(seed uint64) HistoryConfig {
	c := HistoryConfig{Seed: seed, Cuts: 60, Crashes: 200, Fates: 4, Leaves: 12}
	switch seed % 3 {
	case 1:
		c.Losses = 50
	case 2:
		c.Pauses = 40
	}
	if seed%5 == 4 {
		c.Slow, c.Hasty = true, 40
	}
	return c
}

// Histories runs random histories of concurrent joins, leaves, confirms,
// heartbeats, reports and expiries under faults, and checks that they are
// linearizable and that no promise was broken. There are half as many as
// rapid's checks (-rapid.checks); the seed is in the name of each test.
func Histories(t *testing.T, open func(t *testing.T) HistoryRig) {
	checks := 100
	if f := flag.Lookup("rapid.checks"); f != nil {
		if n, err := strconv.Atoi(f.Value.String()); err == nil {
			checks = n
		}
	}
	for seed := range max(checks/2, 10) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			rig, c := open(t), mixed(uint64(seed))
			if len(rig.Losses) > 1 {
				c.Losses = 30
			}
			said, broken := History(t, rig, c)
			t.Log(said)
			if len(broken) > 0 {
				t.Errorf("broken:\n%s", strings.Join(broken, "\n"))
			}
		})
	}
}

// History runs one history and returns what happened in it, in short, and which
// promises were broken. Two runs of a seed differ in how goroutines interleave.
func History(t *testing.T, rig HistoryRig, c HistoryConfig) (said string, broken []string) {
	t.Helper()
	defer Limit(t, 4*time.Minute)()
	h := newHistory(t, rig, c)
	h.quarantine()
	for range h.c.Rounds {
		h.turn()
	}
	h.settle()
	if len(h.broken) == 0 || !c.First {
		h.broken = append(h.broken, h.log.check(c.First)...)
	}
	return h.summary(), h.broken
}

// history is a run. Time passes in rounds: what begins in a round is concurrent,
// and who is paused goes on in a later one.
type history struct {
	t      *testing.T
	rig    HistoryRig
	c      HistoryConfig
	ctx    context.Context //nolint:containedctx // of the whole run
	random *rand.Rand      // owned by the goroutine that turns the rounds
	procs  []*session.Registry
	log    *journal
	orders *orders

	// Owned by the goroutine that turns the rounds.
	actions  uint64
	ticked   time.Time
	prepared *Loss
	tickets  int
	calm     bool // no more faults

	mu      sync.Mutex // guards what follows
	turned  *sync.Cond
	round   int
	busy    int         // actions that run and are not paused
	paused  map[int]int // round in which they go on, to how many
	hosts   []*host     // also those that are over
	wishes  []*wish
	newest  map[throng.PlayerID]throng.Epoch // of a grant, or given up
	began   time.Time                        // when the last pause or loss ended
	lossAt  time.Time                        // when the last loss struck
	broken  []string
	counted map[string]int
}

var historyPlayers = []throng.PlayerID{"ada", "bo", "cy", "di", "ed", "fay", "gus"} //nolint:gochecknoglobals // a constant

func newHistory(t *testing.T, rig HistoryRig, c HistoryConfig) *history {
	t.Helper()
	c.Rounds, c.Sessions, c.Players = orElse(c.Rounds, 120), orElse(c.Sessions, 3), orElse(c.Players, len(historyPlayers))
	h := &history{
		t: t, rig: rig, c: c, ctx: t.Context(), random: rand.New(rand.NewPCG(c.Seed, 1)), orders: &orders{}, //nolint:gosec // from a seed
		log:    newJournal(rig.Now, rig.Belated),
		paused: map[int]int{}, newest: map[throng.PlayerID]throng.Epoch{}, counted: map[string]int{},
	}
	h.turned = sync.NewCond(&h.mu)
	shards := map[uint8]bool{throng.PoolShard(release(1).Place, release(1).Version): true}
	for _, p := range historyPlayers {
		shards[throng.PlayerShard(p)] = true
	}
	for _, st := range rig.Stores {
		reg, err := session.New(session.Config{
			Store: fated{Store: st(), now: st, shards: shards}, Region: benchRegion, Courier: h.orders, Codes: benchCodes{}, Parallel: 8,
		})
		check(t, err)
		h.procs = append(h.procs, reg)
	}
	return h
}

func orElse(n, other int) int {
	if n == 0 {
		return other
	}
	return n
}

// quarantine lets the first generation begin.
func (h *history) quarantine() {
	h.mustTick()
	for range int(throng.TokenTime/time.Second) + 1 {
		h.rig.Advance(time.Second)
		h.mustTick()
	}
}

// mustTick ticks until it succeeds: a real store may need a moment.
func (h *history) mustTick() {
	h.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := h.procs[0].Tick(h.ctx)
		if err == nil {
			h.ticked = h.rig.Now()
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("tick: %v", err)
		}
	}
}

// do runs an action of this round.
func (h *history) do(name string, run func(r *rand.Rand)) {
	h.actions++
	r := rand.New(rand.NewPCG(h.c.Seed, 1<<32+h.actions)) //nolint:gosec // from the seed
	h.mu.Lock()
	h.busy++
	h.counted[name]++
	h.mu.Unlock()
	go func() {
		defer func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.busy--
			h.turned.Broadcast()
		}()
		run(r)
	}()
}

// pause stops the action that calls it for some rounds.
func (h *history) pause(rounds int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	until := h.round + rounds
	h.paused[until]++
	h.busy--
	h.turned.Broadcast()
	for h.round < until {
		h.turned.Wait()
	}
}

// next waits until all of this round's actions are over or paused, and begins
// the next one.
func (h *history) next() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.busy > 0 {
		h.turned.Wait()
	}
	h.round++
	h.busy += h.paused[h.round]
	delete(h.paused, h.round)
	h.turned.Broadcast()
}

func (h *history) isPaused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.paused) > 0
}

func (h *history) breach(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = append(h.broken, fmt.Sprintf("round %d: ", h.round)+fmt.Sprintf(format, args...))
}

func (h *history) count(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counted[what]++
}

// chance is one in n; never if n is 0.
func chance(r *rand.Rand, n int) bool { return n > 0 && r.IntN(n) == 0 }

// turn is one round.
func (h *history) turn() {
	h.befall()
	h.open()
	h.play()
	if now := h.rig.Now(); now.Sub(h.ticked) >= session.TickTime {
		h.ticked = now
		h.tick()
	}
	h.next()
	if chance(h.random, h.c.Pauses) && !h.calm {
		h.stall()
		return
	}
	most := 400
	if h.c.Slow && !h.calm {
		most = 1500
	}
	h.rig.Advance(time.Duration(50+h.random.IntN(most)) * time.Millisecond)
}

func (h *history) tick() {
	reg := h.procs[h.random.IntN(len(h.procs))]
	h.do("ticks", func(*rand.Rand) {
		if err := reg.Tick(h.ctx); err != nil && throng.KindOf(err) != throng.Unavailable {
			h.breach("tick: %v", err)
		}
	})
}

// stall has no process tick for a while. Calls that began before go on.
func (h *history) stall() {
	h.count("pauses")
	h.excuse()
	h.rig.Advance(time.Duration(2100+h.random.IntN(20000)) * time.Millisecond)
	h.mu.Lock()
	h.began = h.rig.Now()
	h.mu.Unlock()
}

// befall lets a loss come over the store.
func (h *history) befall() {
	if h.calm || len(h.rig.Losses) == 0 {
		return
	}
	if h.prepared == nil {
		if chance(h.random, h.c.Losses) {
			h.prepared = &h.rig.Losses[h.random.IntN(len(h.rig.Losses))]
			if h.prepared.Prepare != nil {
				h.prepared.Prepare()
			}
		}
		return
	}
	if !chance(h.random, 8) {
		return
	}
	h.lose()
}

// excuse excuses sessions whose lease may be over already.
func (h *history) excuse() {
	for _, s := range h.hosts {
		s.mu.Lock()
		s.ending = s.ending || h.rig.Now().Sub(s.acked) >= throng.LeaseTime-session.StampTime
		s.mu.Unlock()
	}
}

func (h *history) lose() {
	h.excuse()
	loss := h.prepared
	h.prepared = nil
	h.do("losses", func(*rand.Rand) {
		h.mu.Lock()
		h.lossAt = h.rig.Now()
		h.mu.Unlock()
		e := h.log.begin(event{kind: lost, sure: !loss.Partial})
		loss.Strike()
		h.log.end(e)
		h.mu.Lock()
		h.began, h.lossAt = h.rig.Now(), h.rig.Now()
		h.mu.Unlock()
	})
}

// fate draws what befalls a caller.
func (h *history) fate(r *rand.Rand) (context.Context, *fate) {
	f := &fate{pause: func() { h.pause(1 + r.IntN(12)) }}
	if !h.calm && chance(r, h.c.Fates) {
		n := 1 + r.IntN(8)
		switch r.IntN(3) {
		case 0:
			f.dies = n
		case 1:
			f.misses = n
		case 2:
			f.stalls = n
		}
	}
	return withFate(h.ctx, f), f
}

func (h *history) summary() string {
	return fmt.Sprintf("seed %d: %d events, %v", h.c.Seed, len(h.log.events), h.counted)
}
