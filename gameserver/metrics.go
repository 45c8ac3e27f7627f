package gameserver

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	players     prometheus.Gauge
	away        prometheus.Gauge
	returns     prometheus.Counter
	lapses      prometheus.Counter
	ticks       prometheus.Counter
	late        prometheus.Counter
	tickSeconds prometheus.Histogram
	snapshots   prometheus.Counter
	inputs      prometheus.Counter
	missing     prometheus.Counter
	paced       prometheus.Counter
	cut         *prometheus.CounterVec
	refusals    *prometheus.CounterVec
	scriptErrs  prometheus.Counter
	dropped     *prometheus.CounterVec
	logDropped  prometheus.Counter
	arrival     prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		players: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_gameserver_players", Help: "Players with a seat in the session.",
		}),
		away: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_gameserver_players_away", Help: "Players whose connection was lost and whose seat is kept.",
		}),
		returns: counter("throng_gameserver_reconnects_total", "Players who came back into their seat over another connection."),
		lapses:  counter("throng_gameserver_seats_lapsed_total", "Seats given up because a lost player did not come back."),
		ticks:   counter("throng_gameserver_ticks_total", "Simulation steps."),
		late:    counter("throng_gameserver_ticks_skipped_total", "Steps given up because the loop was late."),
		tickSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "throng_gameserver_tick_seconds", Help: "Time that one step takes.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 9),
		}),
		snapshots: counter("throng_gameserver_snapshots_total", "Snapshots sent to players."),
		inputs:    counter("throng_gameserver_inputs_total", "Input payloads taken from players."),
		missing:   counter("throng_gameserver_moves_missing_total", "Moves of players that never came: the inputs that repeat them were lost, too."),
		paced:     counter("throng_gameserver_snapshots_paced_total", "Snapshots left out because the way to the player is full."),
		cut: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_gameserver_cut_off_total", Help: "Players whose connection was ended because they broke the rules (denied), or took nothing of what they were sent (behind).",
		}, []string{"reason"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_gameserver_refusals_total", Help: "Players who brought a token and were not let in.",
		}, []string{"reason"}),
		scriptErrs: counter("throng_gameserver_script_errors_total", "Script errors that the session survived."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_gameserver_payloads_dropped_total", Help: "Payloads that were not taken.",
		}, []string{"reason"}),
		logDropped: counter("throng_gameserver_log_lines_dropped_total", "Lines of the session's log that did not reach the control plane."),
		arrival: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "throng_gameserver_arrival_seconds", Help: "From a player's connection to the first snapshot that he was sent.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 9),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.players, m.away, m.returns, m.lapses, m.ticks, m.late, m.tickSeconds, m.snapshots, m.inputs, m.missing, m.paced, m.cut, m.refusals, m.scriptErrs, m.dropped, m.logDropped, m.arrival,
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}
