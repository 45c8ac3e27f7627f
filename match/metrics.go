package match

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

type metrics struct {
	lineMetrics
	placements *prometheus.CounterVec // by code: "ok", or the kind of error
	seconds    prometheus.Histogram
	waiting    prometheus.Gauge
	turnedAway prometheus.Counter
	openings   *prometheus.CounterVec // by code
	refusals   *prometheus.CounterVec // by code
	candidates prometheus.Gauge
	handoffs   *prometheus.CounterVec // by outcome: as codes
	handedOff  prometheus.Counter
}

// lineMetrics is what an operator sees of the line.
type lineMetrics struct {
	line        prometheus.Gauge
	lineSeconds prometheus.Histogram
	estimate    prometheus.Histogram
	lineLeft    prometheus.Counter
	lineTokens  *prometheus.CounterVec // by code: "ok" or "invalid"
}

func newLineMetrics() lineMetrics {
	return lineMetrics{
		line: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_line_tickets",
			Help: "Tickets in line, that are not worked on yet.",
		}),
		lineSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "throng_line_seconds",
			Help:    "How long tickets stood in line.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600},
		}),
		estimate: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "throng_line_estimate_ratio",
			Help:    "The first wait that a ticket was told, divided by how long it took.",
			Buckets: []float64{.25, .5, .75, .9, 1.1, 1.25, 1.5, 2, 4},
		}),
		lineLeft: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_line_left_total",
			Help: "Tickets that left the line because nobody asked for them.",
		}),
		lineTokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_line_tokens_total",
			Help: "Tickets that brought a place in line along, by code: ok, or invalid.",
		}, []string{"code"}),
	}
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		lineMetrics: newLineMetrics(),
		placements: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_placements_total",
			Help: "Tickets that were answered, by code: ok, or why not.",
		}, []string{"code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "throng_placement_seconds",
			Help:    "From the ticket to its assignment.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30},
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_waiting_tickets",
			Help: "Tickets that are being worked on.",
		}),
		turnedAway: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_turned_away_tickets_total",
			Help: "Tickets that found no room in line.",
		}),
		openings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_openings_total",
			Help: "Sessions that matching opened, by code: ok, others when another matchmaker had, or why not.",
		}, []string{"code"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_hold_refusals_total",
			Help: "Holds that the registry refused, by code.",
		}, []string{"code"}),
		candidates: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_candidate_sessions",
			Help: "Sessions that have a free seat.",
		}),
		handoffs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_handoffs_total",
			Help: "Groups that were to move to another session, by outcome: ok (all have seats there), or why none has.",
		}, []string{"outcome"}),
		handedOff: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_handed_off_players_total",
			Help: "Players of groups that have seats in another session.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.placements, m.seconds, m.waiting, m.turnedAway, m.line, m.lineSeconds, m.estimate,
		m.lineLeft, m.lineTokens, m.openings, m.refusals, m.candidates,
		m.handoffs, m.handedOff,
	} {
		if err := r.Register(c); err != nil {
			return nil, throng.Errorf(throng.Exists, "register metrics of match: %w", err)
		}
	}
	return m, nil
}

// code is "ok" or the error's kind.
func code(err error) string {
	if err == nil {
		return "ok"
	}
	return throng.KindOf(err).String()
}
