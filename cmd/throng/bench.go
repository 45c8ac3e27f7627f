package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/load"
)

// benchCmd measures a region under load, each time beside the limit that the same
// machine has in the same run.
type benchCmd struct {
	Join       benchJoinCmd       `cmd:"" help:"Joins: from the ticket over HTTP to the confirm of a simulated game server."`
	Heartbeat  benchHeartbeatCmd  `cmd:"" help:"Heartbeats of game servers over HTTP, with changes of their rosters."`
	Registry   benchRegistryCmd   `cmd:"" help:"A region's worth of sessions and players held, with heartbeats and joins over HTTP."`
	Wire       benchWireCmd       `cmd:"" help:"Datagrams: what a server spends for its players, beside a bare socket and other transports."`
	WireSide   benchWireSideCmd   `cmd:"" hidden:"" help:"A serving process of bench wire."`
	Gateway    benchGatewayCmd    `cmd:"" help:"A gateway: what it spends for a datagram beside the machine's limit, what it adds to latency at half load and under a flood of garbage, memory of its flows, forged packets."`
	GatewayRaw benchGatewayRawCmd `cmd:"" hidden:"" help:"The limit of bench gateway: passes datagrams on without a look."`
	Session    benchSessionCmd    `cmd:"" help:"A session's snapshots by recorded motion, and what its game server costs."`
	Door       benchDoorCmd       `cmd:"" hidden:"" help:"A door that answers every join with a constant: the limit of bench join."`
}

// benchJoinCmd sends a crowd through the door.
type benchJoinCmd struct {
	Joins    int           `default:"60000" help:"How many players join, each once."`
	AtOnce   int           `default:"256" help:"Joins under way at once."`
	Rate     float64       `help:"Joins a second that begin; 0: as many as AT-ONCE allow." placeholder:"N"`
	Capacity int           `default:"100" help:"Seats of a session of the place that is joined."`
	Stay     time.Duration `help:"How long a player stays; 0: until the end." placeholder:"TIME"`
	NoLimit  bool          `help:"Do not measure the limit: the same door doing tokens and bodies with a constant answer."`
	benchRegionFlags
}

// joinReport is what bench join prints.
type joinReport struct {
	JoinsPerS  float64        `json:"joins_per_s"`
	P50MS      float64        `json:"p50_ms"` // ticket to confirm
	P99MS      float64        `json:"p99_ms"`
	PlaceP50MS float64        `json:"place_p50_ms"` // ticket to token
	PlaceP99MS float64        `json:"place_p99_ms"`
	Joined     int            `json:"joined"`
	Failed     int            `json:"failed"`
	Errors     map[string]int `json:"errors,omitempty"`

	Servers      int `json:"servers"` // that host sessions at the end
	IdealServers int `json:"ideal_servers"`
	OverCapacity int `json:"over_capacity"`
	Twice        int `json:"seats_twice"`

	// Of the game servers while joins were measured: a lease lapses after three
	// that were missed in a row.
	Heartbeats       int64 `json:"heartbeats"`
	HeartbeatsMissed int64 `json:"heartbeats_missed"`

	Replicas int `json:"replicas"`
	// Of the control planes, the generator with its game servers, and Redis: CPU
	// seconds a second while joins were measured.
	ControlCPU   float64 `json:"control_cpu"`
	GeneratorCPU float64 `json:"generator_cpu"`
	RedisCPU     float64 `json:"redis_cpu,omitempty"`
	// JoinsPerCPU is joins for each CPU second of the control planes.
	JoinsPerCPU float64 `json:"joins_per_cpu_s"`

	DoorPerS float64 `json:"door_per_s,omitempty"` // the limit, in the same run
	OfDoor   float64 `json:"of_door,omitempty"`    // JoinsPerS of DoorPerS
	// DoorPerCPU is DoorPerS for each CPU second of that door.
	DoorPerCPU float64 `json:"door_per_cpu_s,omitempty"`
	// OfDoorByCPU is OfDoor by the CPU seconds of all parts instead of the clock,
	// which says more when the machine is busy with other things.
	OfDoorByCPU float64 `json:"of_door_by_cpu,omitempty"`
	// Of the Redis that the region is started on: holds through our client, and
	// the limit, redis-benchmark with the same script and as many under way.
	HoldPerS      float64 `json:"hold_per_s"`
	HoldLimitPerS float64 `json:"hold_limit_per_s"`
	OfHoldLimit   float64 `json:"of_hold_limit,omitempty"`
}

// Run measures and reports.
func (c *benchJoinCmd) Run(e *env) error {
	relaxCollector()
	if c.Joins < 1 || c.AtOnce < 1 || c.Rate < 0 || c.Capacity < 1 || c.Capacity > 200 {
		return throng.AtField(throng.Invalid, "--joins", "there must be at least one join, one at once, and 1 to 200 seats")
	}
	report := joinReport{}
	if !c.NoLimit {
		if err := c.limit(e, &report); err != nil {
			return fmt.Errorf("measure the limit: %w", err)
		}
		if err := c.holds(e, &report); err != nil {
			return fmt.Errorf("measure holds: %w", err)
		}
	}
	r, err := c.open(e, c.Capacity)
	if err != nil {
		return err
	}
	err = r.finish(e, &report, c.measure(e, r, &report))
	if err == nil && (report.Failed > 0 || report.OverCapacity > 0 || report.Twice > 0) {
		return errSilent
	}
	return err
}

func (c *benchJoinCmd) measure(e *env, r *benchRegion, report *joinReport) error {
	players, err := r.players(c.Joins)
	if err != nil {
		return err
	}
	var before usage
	beats, missed := r.beats()
	joins := load.Crowd(r.ctx, load.CrowdConfig{
		Place: r.place, Players: players, AtOnce: c.AtOnce, Rate: c.Rate, Stay: c.Stay, Warm: c.Joins / 10,
		Began: func() { before = r.usage() }, Arrive: r.arrive, Leave: r.leave,
		Progress: func(j load.Joins) { fmt.Fprintf(e.err, "joined %d of %d, failed %d\n", j.Joined, c.Joins, j.Failed) },
	})
	after := r.usage()
	if err := e.ctx.Err(); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	report.Heartbeats, report.HeartbeatsMissed = r.beats()
	report.Heartbeats, report.HeartbeatsMissed = report.Heartbeats-beats, report.HeartbeatsMissed-missed
	seen := r.hosted()
	seconds := joins.Took.Seconds()
	report.JoinsPerS, report.Joined, report.Failed, report.Errors = joins.PerSecond(), joins.Joined, joins.Failed, joins.Errors
	report.P50MS, report.P99MS = joins.JoinMS.P50, joins.JoinMS.P99
	report.PlaceP50MS, report.PlaceP99MS = joins.PlaceMS.P50, joins.PlaceMS.P99
	report.Servers, report.OverCapacity, report.Twice = seen.Sessions, seen.OverCapacity, seen.Twice
	report.IdealServers = (joins.Joined + c.Capacity - 1) / c.Capacity
	report.Replicas = len(r.urls)
	if seconds > 0 {
		report.ControlCPU = (after.control - before.control).Seconds() / seconds
		report.GeneratorCPU = (after.generator - before.generator).Seconds() / seconds
		report.RedisCPU = (after.redis - before.redis).Seconds() / seconds
	}
	if report.ControlCPU > 0 {
		report.JoinsPerCPU = report.JoinsPerS / report.ControlCPU
	}
	if report.DoorPerS > 0 && report.ControlCPU > 0 {
		report.OfDoor = report.JoinsPerS / report.DoorPerS
		report.OfDoorByCPU *= report.JoinsPerS / (report.ControlCPU + report.GeneratorCPU + report.RedisCPU)
	}
	return nil
}

// limit measures the constant door with the same generator.
func (c *benchJoinCmd) limit(e *env, report *joinReport) error {
	r, err := c.openConstant(e, c.Capacity)
	if err != nil {
		return err
	}
	players, err := r.players(min(c.Joins, 60_000))
	if err != nil {
		return errors.Join(err, r.close())
	}
	var before usage
	joins := load.Crowd(r.ctx, load.CrowdConfig{
		Place: r.place, Players: players, AtOnce: c.AtOnce, Warm: len(players) / 10, Arrive: nobodyArrives,
		Began:    func() { before = r.usage() },
		Progress: func(j load.Joins) { fmt.Fprintf(e.err, "limit: answered %d of %d\n", j.Joined, len(players)) },
	})
	after := r.usage()
	if err := r.close(); err != nil {
		return err
	}
	if err := e.ctx.Err(); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	if joins.Failed > 0 {
		return throng.Errorf(throng.Internal, "%d calls of the constant door failed: %v", joins.Failed, joins.Errors)
	}
	report.DoorPerS = joins.PerSecond()
	if used := (after.control - before.control).Seconds(); used > 0 {
		report.DoorPerCPU = float64(joins.Measured) / used
		report.OfDoorByCPU = (used + (after.generator - before.generator).Seconds()) / float64(joins.Measured)
	}
	return nil
}

// holds measures the registry's most frequent script alone.
func (c *benchJoinCmd) holds(e *env, report *joinReport) error {
	r := c.region(e)
	if err := r.watchRedis(); err != nil || r.redis == nil {
		return err
	}
	defer r.redis.Close()
	fmt.Fprintln(e.err, "limit: holds")
	rates, err := measureHolds(e.ctx, c.Redis, max(3*c.Joins, 1000))
	if tidy := forgetHolds(context.WithoutCancel(e.ctx), r.redis); err == nil {
		err = tidy
	}
	if err != nil {
		return err
	}
	if rates.why != "" {
		fmt.Fprintf(e.err, "limit of holds not measured: %s\n", rates.why)
	}
	report.HoldPerS, report.HoldLimitPerS, report.OfHoldLimit = rates.perS, rates.limit, rates.ofLimit
	return nil
}

func (r *joinReport) text(w io.Writer) {
	fmt.Fprintf(w, "%.0f joins/s by %d control planes; ticket to confirm p50 %.1f ms, p99 %.1f ms; to token p50 %.1f ms, p99 %.1f ms\n",
		r.JoinsPerS, r.Replicas, r.P50MS, r.P99MS, r.PlaceP50MS, r.PlaceP99MS)
	fmt.Fprintf(w, "joined %d, failed %d; servers %d (ideal %d), over capacity %d, seats twice %d; %d heartbeats, %d missed\n",
		r.Joined, r.Failed, r.Servers, r.IdealServers, r.OverCapacity, r.Twice, r.Heartbeats, r.HeartbeatsMissed)
	fmt.Fprintf(w, "processors: control %.2f, generator and game servers %.2f, redis %.2f; %.0f joins for each CPU second of control\n",
		r.ControlCPU, r.GeneratorCPU, r.RedisCPU, r.JoinsPerCPU)
	if r.DoorPerS > 0 {
		fmt.Fprintf(w, "limit in the same run: a door with a constant answer %.0f/s, %.0f for each CPU second of it; joins are %.0f %% of it, %.0f %% by processor time\n",
			r.DoorPerS, r.DoorPerCPU, 100*r.OfDoor, 100*r.OfDoorByCPU)
	}
	if r.HoldPerS > 0 {
		fmt.Fprintf(w, "holds alone %.0f/s", r.HoldPerS)
		if r.HoldLimitPerS > 0 {
			fmt.Fprintf(w, ", %.0f %% of redis-benchmark's %.0f/s for the same script", 100*r.OfHoldLimit, r.HoldLimitPerS)
		}
		fmt.Fprintln(w)
	}
	for text, n := range r.Errors {
		fmt.Fprintf(w, "%6d × %s\n", n, text)
	}
}

// usage is processor time so far.
type usage struct {
	control, generator, redis time.Duration
	redisBytes                int64 // that it keeps now
}

// waitFor polls until ok or ctx ends.
func waitFor(ctx context.Context, ok func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
