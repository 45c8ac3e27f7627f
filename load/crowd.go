package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
)

// Player is who joins: a name, and the door as his client calls it.
type Player struct {
	ID   throng.PlayerID
	Door *client.Door
}

// CrowdConfig says who joins what, how fast.
type CrowdConfig struct {
	Place   throng.PlaceID
	Players []Player // each joins once
	// AtOnce is how many joins are under way: as many as that when Rate is 0, at
	// most so many else.
	AtOnce int
	Rate   float64 // joins a second that begin; 0: as fast as AtOnce of them go
	// Stay is how long a player keeps his seat; 0: as long as it runs. Who has not
	// left when all have joined stays in.
	Stay time.Duration
	// Arrive takes a placed player to his confirm.
	Arrive func(ctx context.Context, a client.Assignment) error
	// Leave ends his stay.
	Leave func(s throng.SessionID, p throng.PlayerID)
	// NoWait takes no for an answer: who is not placed at once failed.
	NoWait bool
	// Began is called once when the first Warm joins are done: what is measured
	// begins here.
	Warm  int
	Began func()
	// Progress is called each second; nil: nobody looks.
	Progress func(Joins)
}

// Joins is what became of a crowd.
type Joins struct {
	Joined, Failed int
	Took           time.Duration // from Began to the last confirm
	Measured       int           // of the joined: after Began
	JoinMS         Spread        // from the first call to the confirm
	PlaceMS        Spread        // to the answer with a token
	Errors         map[string]int
}

// PerSecond is the rate of what was measured.
func (j Joins) PerSecond() float64 {
	if j.Took <= 0 {
		return 0
	}
	return float64(j.Measured) / j.Took.Seconds()
}

// Spread is a distribution in milliseconds.
type Spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// SpreadOf sorts values and reads them off.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	slices.Sort(values)
	return Spread{P50: values[len(values)/2], P99: values[len(values)*99/100], Max: values[len(values)-1]}
}

// crowd is one run.
type crowd struct {
	cfg   CrowdConfig
	stay  context.Context //nolint:containedctx // of those who are in; ends with the run
	done  atomic.Int64    // joined or failed
	began atomic.Int64    // Unix nanoseconds; 0: still warming up

	mu      sync.Mutex
	out     Joins
	last    time.Time
	join    []float64
	place   []float64
	staying sync.WaitGroup
}

// Crowd sends the players in and returns when all have joined or failed, or ctx
// ended.
func Crowd(ctx context.Context, cfg CrowdConfig) Joins {
	stay, over := context.WithCancel(ctx)
	defer over()
	c := &crowd{cfg: cfg, stay: stay}
	c.out.Errors = map[string]int{}
	if cfg.Warm == 0 {
		c.begin()
	}
	next := make(chan Player)
	watching, seen := context.WithCancel(ctx)
	var group, watch sync.WaitGroup
	for range max(cfg.AtOnce, 1) {
		group.Go(func() {
			for p := range next {
				c.one(ctx, p)
			}
		})
	}
	watch.Go(func() { c.watch(watching) })
	c.feed(ctx, next)
	close(next)
	group.Wait()
	seen()
	watch.Wait()
	over()
	c.staying.Wait()
	return c.result()
}

// feed lets players begin, evenly when there is a rate.
func (c *crowd) feed(ctx context.Context, next chan<- Player) {
	begun := time.Now()
	for i, p := range c.cfg.Players {
		if c.cfg.Rate > 0 {
			due := begun.Add(time.Duration(float64(i) / c.cfg.Rate * float64(time.Second)))
			if wait := time.Until(due); wait > time.Millisecond {
				pause(ctx, wait)
			}
		}
		select {
		case next <- p:
		case <-ctx.Done():
			return
		}
	}
}

func (c *crowd) one(ctx context.Context, p Player) {
	begun := time.Now()
	ask := p.Door.Matchmake
	if c.cfg.NoWait {
		ask = p.Door.MatchmakeOnce
	}
	a, err := ask(ctx, throng.Ticket{
		Key: throng.TicketKey{Caller: p.ID, Ticket: "bench"}, Place: c.cfg.Place,
		Party: []throng.PlayerID{p.ID}, Mode: throng.ModeDropIn,
		Latencies: map[throng.RegionID]float64{}, // nothing but the ticket is measured
	})
	placed := time.Since(begun)
	if err == nil {
		err = c.cfg.Arrive(ctx, a)
	}
	now := time.Now()
	c.note(err, placed, now.Sub(begun), now)
	if err == nil && c.cfg.Stay > 0 {
		c.staying.Go(func() {
			pause(c.stay, c.cfg.Stay)
			if c.stay.Err() == nil {
				c.cfg.Leave(a.Session, p.ID)
			}
		})
	}
	if int(c.done.Add(1)) == c.cfg.Warm {
		c.begin()
	}
}

func (c *crowd) begin() {
	c.began.Store(time.Now().UnixNano())
	if c.cfg.Began != nil {
		c.cfg.Began()
	}
}

func (c *crowd) note(err error, placed, took time.Duration, now time.Time) {
	began := c.began.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.out.Failed++
		if len(c.out.Errors) < 20 {
			c.out.Errors[fmt.Sprint(err)]++
		}
		return
	}
	c.out.Joined++
	if began == 0 {
		return
	}
	c.out.Measured++
	c.last = now
	c.join = append(c.join, took.Seconds()*1000)
	c.place = append(c.place, placed.Seconds()*1000)
}

func (c *crowd) watch(ctx context.Context) {
	if c.cfg.Progress == nil {
		return
	}
	eachSecond(ctx, func() {
		c.mu.Lock()
		now := Joins{Joined: c.out.Joined, Failed: c.out.Failed}
		c.mu.Unlock()
		c.cfg.Progress(now)
	})
}

// eachSecond runs something each second until ctx ends.
func eachSecond(ctx context.Context, run func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			run()
		}
	}
}

func (c *crowd) result() Joins {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.out
	if c.out.Measured > 0 {
		out.Took = c.last.Sub(time.Unix(0, c.began.Load()))
	}
	out.JoinMS, out.PlaceMS = SpreadOf(c.join), SpreadOf(c.place)
	return out
}
