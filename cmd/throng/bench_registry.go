package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/load"
)

const (
	// fullPlaces is how many places most sessions of bench registry run: nobody
	// can join them.
	fullPlaces = 64
	// joinable of ten sessions have room for the crowd.
	joinable = 1
)

// benchRegistryCmd holds a region's worth of sessions and players, and measures
// heartbeats and joins on top.
type benchRegistryCmd struct {
	Sessions int           `default:"30000" help:"Sessions that run, each with a server of its own that heartbeats over HTTP every 5 s."`
	Players  int           `default:"50" help:"Players in each when it begins."`
	Churn    float64       `default:"0.4" help:"Chance that a heartbeat tells of a player who left."`
	Rate     float64       `default:"2500" help:"Joins a second that begin; 0: none."`
	For      time.Duration `default:"60s" help:"How long is measured."`
	AtOnce   int           `default:"512" help:"Joins under way at most."`
	Flush    bool          `help:"At the end empty Redis (FLUSHALL) and measure when joins go through again."`
	benchRegionFlags
}

// registryReport is what bench registry prints.
type registryReport struct {
	Sessions       int            `json:"sessions"`
	PlayersHeld    int            `json:"players_held"`
	HeartbeatsPerS float64        `json:"heartbeats_per_s"`
	Missed         int64          `json:"heartbeats_missed"`
	Ended          int            `json:"sessions_ended"`
	JoinsPerS      float64        `json:"joins_per_s"`
	P50MS          float64        `json:"p50_ms"`
	P99MS          float64        `json:"p99_ms"`
	Joined         int            `json:"joined"`
	Failed         int            `json:"failed"`
	Errors         map[string]int `json:"errors,omitempty"`
	OverCapacity   int            `json:"over_capacity"`
	ControlCPU     float64        `json:"control_cpu"` // processors, while it was measured
	GeneratorCPU   float64        `json:"generator_cpu"`
	RedisCPU       float64        `json:"redis_cpu"`
	RedisMB        float64        `json:"redis_mb"` // at the end
	WholeAgainS    float64        `json:"whole_again_s,omitempty"`
	WholeEnded     int            `json:"flush_sessions_ended,omitempty"`
}

// Run measures and reports.
func (c *benchRegistryCmd) Run(e *env) error {
	relaxCollector()
	if c.Sessions < 10 || c.Players < 1 || c.Players > 66 || c.Rate < 0 || c.AtOnce < 1 || c.For < time.Second {
		return throng.AtField(throng.Invalid, "--sessions", "there must be ten sessions, 1 to 66 players in each, and a second to measure")
	}
	if c.Flush && c.Redis == "" {
		return throng.AtField(throng.Invalid, "--flush", "needs --redis")
	}
	r, err := c.open(e, 3*c.Players)
	if err != nil {
		return err
	}
	report := registryReport{Sessions: c.Sessions}
	return r.finish(e, &report, c.measure(e, r, &report))
}

func (c *benchRegistryCmd) measure(e *env, r *benchRegion, report *registryReport) error {
	for i := range fullPlaces {
		if err := r.publish(r.fullPlace(i), c.Players); err != nil {
			return err
		}
	}
	if err := c.adopt(e, r); err != nil {
		return err
	}
	n := int(c.Rate * c.For.Seconds())
	players, err := r.players(n)
	if err != nil {
		return err
	}
	before, begun := r.usage(), time.Now()
	beats, missed := r.beats()
	joins := c.crowd(e, r, players)
	if wait := c.For - time.Since(begun); wait > 0 && r.ctx.Err() == nil {
		_ = pauseFor(r.ctx, wait)
	}
	after, took := r.usage(), time.Since(begun).Seconds()
	beatsAfter, missedAfter := r.beats()
	if err := e.ctx.Err(); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	seen := r.hosted()
	report.PlayersHeld, report.OverCapacity = seen.Players, seen.OverCapacity
	report.HeartbeatsPerS, report.Missed = float64(beatsAfter-beats)/took, missedAfter-missed
	report.JoinsPerS, report.Joined, report.Failed, report.Errors = joins.PerSecond(), joins.Joined, joins.Failed, joins.Errors
	report.P50MS, report.P99MS = joins.JoinMS.P50, joins.JoinMS.P99
	report.ControlCPU = (after.control - before.control).Seconds() / took
	report.GeneratorCPU = (after.generator - before.generator).Seconds() / took
	report.RedisCPU = (after.redis - before.redis).Seconds() / took
	report.RedisMB = float64(after.redisBytes) / 1e6
	for _, h := range r.hosts {
		report.Ended += h.Ended()
	}
	if c.Flush {
		return c.flush(e, r, report)
	}
	return nil
}

func (c *benchRegistryCmd) crowd(e *env, r *benchRegion, players []load.Player) load.Joins {
	if len(players) == 0 {
		return load.Joins{}
	}
	return load.Crowd(r.ctx, load.CrowdConfig{
		Place: r.place, Players: players, AtOnce: c.AtOnce, Rate: c.Rate, Stay: 30 * time.Second, Arrive: r.arrive, Leave: r.leave,
		NoWait: true,
		Progress: func(j load.Joins) {
			fmt.Fprintf(e.err, "joined %d of %d, failed %d\n", j.Joined, len(players), j.Failed)
		},
	})
}

func (r *benchRegion) fullPlace(i int) throng.PlaceID {
	return r.place + throng.PlaceID("-full-"+strconv.Itoa(i%fullPlaces))
}

// adopt lets the sessions be there: a tenth can be joined.
func (c *benchRegistryCmd) adopt(e *env, r *benchRegion) error {
	join := map[throng.SessionID]bool{}
	shares := make([][]load.Adopted, len(r.hosts))
	for i := range c.Sessions {
		a, err := r.adopted(r.fullPlace(i), c.Players, i*c.Players, c.Players)
		if i%10 < joinable {
			a, err = r.adopted(r.place, 3*c.Players, i*c.Players, c.Players)
			a.Connect = true
			join[a.Hand.Session] = true
		} else {
			a.Churn = c.Churn
		}
		if err != nil {
			return err
		}
		shares[i%len(shares)] = append(shares[i%len(shares)], a)
	}
	for i, h := range r.hosts {
		err := h.Adopt(r.ctx, load.AdoptConfig{
			Addr: r.urls[i], Sessions: shares[i], AtOnce: 64,
			Progress: func(done int) { fmt.Fprintf(e.err, "reported %d of %d sessions\n", done, len(shares[i])) },
		})
		if err != nil {
			return err
		}
		connecting, cancel := context.WithTimeout(r.ctx, time.Minute)
		err = h.Connected(connecting, join)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// flush empties Redis and asks, from outside, when joins go through again.
func (c *benchRegistryCmd) flush(e *env, r *benchRegion, report *registryReport) error {
	if err := r.flushRedis(); err != nil {
		return err
	}
	begun := time.Now()
	for i := 0; time.Since(begun) < time.Minute; i++ {
		players, err := r.playersNamed("after"+strconv.Itoa(i), 20)
		if err != nil {
			return err
		}
		trying, cancel := context.WithTimeout(r.ctx, 2*time.Second)
		joins := load.Crowd(trying, load.CrowdConfig{Place: r.place, Players: players, AtOnce: 20, NoWait: true, Arrive: r.arrive, Leave: r.leave})
		cancel()
		if joins.Joined == len(players) {
			report.WholeAgainS = time.Since(begun).Seconds()
			break
		}
		fmt.Fprintf(e.err, "%.1f s after the loss: %d of %d joins went through\n", time.Since(begun).Seconds(), joins.Joined, len(players))
		_ = pauseFor(r.ctx, 200*time.Millisecond)
	}
	for _, h := range r.hosts {
		report.WholeEnded += h.Ended()
	}
	report.WholeEnded -= report.Ended
	if report.WholeAgainS == 0 {
		return throng.Errorf(throng.Unavailable, "joins did not go through within a minute of the loss")
	}
	return nil
}

func (r *registryReport) text(w io.Writer) {
	fmt.Fprintf(w, "%d sessions, %d players; %.0f heartbeats/s (%d missed), %d sessions ended\n",
		r.Sessions, r.PlayersHeld, r.HeartbeatsPerS, r.Missed, r.Ended)
	fmt.Fprintf(w, "%.0f joins/s: p50 %.1f ms, p99 %.1f ms; joined %d, failed %d, over capacity %d\n",
		r.JoinsPerS, r.P50MS, r.P99MS, r.Joined, r.Failed, r.OverCapacity)
	fmt.Fprintf(w, "processors: control %.2f, generator and game servers %.2f, redis %.2f; redis %.0f MB\n",
		r.ControlCPU, r.GeneratorCPU, r.RedisCPU, r.RedisMB)
	if r.WholeAgainS > 0 {
		fmt.Fprintf(w, "emptied Redis: joins go through again after %.1f s, %d sessions ended by it\n", r.WholeAgainS, r.WholeEnded)
	}
	for text, n := range r.Errors {
		fmt.Fprintf(w, "%6d × %s\n", n, text)
	}
}

// pauseFor waits, or returns ctx's error when that ends first.
func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
