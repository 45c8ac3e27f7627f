package main

import (
	"fmt"
	"io"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/load"
)

// benchHeartbeatCmd lets game servers heartbeat as fast as they are answered.
type benchHeartbeatCmd struct {
	Sessions int           `default:"1000" help:"Sessions that run, each with a server of its own. They are reported when it begins and ended when it is over; the door takes 100 calls a second of each."`
	Players  int           `default:"50" help:"Players in each."`
	Churn    float64       `default:"0.5" help:"Chance that a heartbeat has a change of the roster: a player leaves, or comes back."`
	AtOnce   int           `default:"64" help:"Heartbeats under way at once."`
	Rate     float64       `help:"Heartbeats a second that begin; 0: as many as AT-ONCE allow." placeholder:"N"`
	For      time.Duration `default:"10s" help:"How long is measured."`
	benchRegionFlags
}

// heartbeatReport is what bench heartbeat prints.
type heartbeatReport struct {
	HeartbeatsPerS float64        `json:"heartbeats_per_s"`
	P50MS          float64        `json:"p50_ms"`
	P99MS          float64        `json:"p99_ms"`
	Heartbeats     int            `json:"heartbeats"`
	ChangesPerS    float64        `json:"changes_per_s"` // of rosters
	Failed         int            `json:"failed"`
	Errors         map[string]int `json:"errors,omitempty"`
	Sessions       int            `json:"sessions"`
	Players        int            `json:"players"`
	Ended          int            `json:"sessions_ended"` // while it was measured
	Replicas       int            `json:"replicas"`
	// CPU seconds a second while it was measured, as in joinReport.
	ControlCPU       float64 `json:"control_cpu"`
	GeneratorCPU     float64 `json:"generator_cpu"`
	RedisCPU         float64 `json:"redis_cpu,omitempty"`
	HeartbeatsPerCPU float64 `json:"heartbeats_per_cpu_s,omitempty"` // of the control planes
}

// Run measures and reports.
func (c *benchHeartbeatCmd) Run(e *env) error {
	relaxCollector()
	if err := c.check(); err != nil {
		return err
	}
	r, err := c.openBare(e, c.Players)
	if err != nil {
		return err
	}
	var report heartbeatReport
	err = r.finish(e, &report, c.measure(e, r, &report))
	if err == nil && (report.Failed > 0 || report.Ended > 0) {
		return errSilent
	}
	return err
}

func (c *benchHeartbeatCmd) check() error {
	switch {
	case c.Sessions < 1 || c.AtOnce < 1 || c.Players < 1 || c.Players > 200:
		return throng.AtField(throng.Invalid, "--sessions", "there must be at least one session, one heartbeat at once, and 1 to 200 players in each")
	case c.Churn < 0 || c.Churn > 1:
		return throng.AtField(throng.Invalid, "--churn", "is %g, must be 0 to 1", c.Churn)
	case c.Rate < 0 || c.For < time.Second:
		return throng.AtField(throng.Invalid, "--for", "must be a second at least, and the rate not negative")
	case c.Rate > 0 && float64(c.Sessions)/c.Rate > (throng.LeaseTime/2).Seconds():
		return throng.AtField(throng.Invalid, "--rate", "is too low for %d sessions, which need a heartbeat every %v", c.Sessions, throng.LeaseTime/2)
	}
	return nil
}

func (c *benchHeartbeatCmd) measure(e *env, r *benchRegion, report *heartbeatReport) error {
	sessions := make([]load.Adopted, c.Sessions)
	for i := range sessions {
		var err error
		if sessions[i], err = r.adopted(r.place, c.Players, i*c.Players, c.Players); err != nil {
			return err
		}
		sessions[i].Churn = c.Churn
	}
	var before usage
	beats, err := load.Beats(r.ctx, load.BeatsConfig{
		Addrs: r.urls, HTTP: r.http, Sessions: sessions, AtOnce: c.AtOnce, Rate: c.Rate, For: c.For,
		Began: func() { before = r.usage() },
		Progress: func(b load.Beaten) {
			fmt.Fprintf(e.err, "reported %d of %d sessions, %d heartbeats, %d failed\n", b.Reported, c.Sessions, b.Answered, b.Failed)
		},
	})
	after := r.usage()
	if e.ctx.Err() != nil {
		return fmt.Errorf("stopped: %w", e.ctx.Err())
	}
	if err != nil {
		return err
	}
	if beats.Answered == 0 {
		return throng.Errorf(throng.Unavailable, "no heartbeat was answered: %v", beats.Errors)
	}
	seconds := beats.Took.Seconds()
	*report = heartbeatReport{
		HeartbeatsPerS: beats.PerSecond(), P50MS: beats.MS.P50, P99MS: beats.MS.P99, Heartbeats: beats.Answered,
		ChangesPerS: float64(beats.Changes) / seconds, Failed: beats.Failed, Errors: beats.Errors,
		Sessions: beats.Reported, Players: beats.Reported * c.Players, Ended: beats.Ended, Replicas: len(r.urls),
		ControlCPU:   (after.control - before.control).Seconds() / seconds,
		GeneratorCPU: (after.generator - before.generator).Seconds() / seconds,
		RedisCPU:     (after.redis - before.redis).Seconds() / seconds,
	}
	if report.ControlCPU > 0 {
		report.HeartbeatsPerCPU = report.HeartbeatsPerS / report.ControlCPU
	}
	return nil
}

func (r *heartbeatReport) text(w io.Writer) {
	fmt.Fprintf(w, "%.0f heartbeats/s to %d control planes: p50 %.1f ms, p99 %.1f ms; %d answered, %d failed, %.0f roster changes/s\n",
		r.HeartbeatsPerS, r.Replicas, r.P50MS, r.P99MS, r.Heartbeats, r.Failed, r.ChangesPerS)
	fmt.Fprintf(w, "%d sessions with %d players; %d ended meanwhile\n", r.Sessions, r.Players, r.Ended)
	fmt.Fprintf(w, "processors: control %.2f, generator %.2f, redis %.2f; %.0f heartbeats for each CPU second of control\n",
		r.ControlCPU, r.GeneratorCPU, r.RedisCPU, r.HeartbeatsPerCPU)
	for text, n := range r.Errors {
		fmt.Fprintf(w, "%6d × %s\n", n, text)
	}
}
