package session

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// metrics is what an operator sees of the registry. Each process counts its own
// operations; the gauges are of the whole region.
type metrics struct {
	operations  *prometheus.CounterVec
	evictions   prometheus.Counter
	lapses      *prometheus.CounterVec
	generations prometheus.Counter
	states      *prometheus.GaugeVec
	starting    prometheus.Gauge // one of states, as the next ones
	open        prometheus.Gauge
	draining    prometheus.Gauge
	seated      prometheus.Gauge
	holds       prometheus.Gauge
	overdue     prometheus.Gauge
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_registry_operations_total", Help: "Operations of the session registry by result.",
		}, []string{"op", "code"}),
		evictions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_registry_evictions_total", Help: "Players whose eviction was ordered.",
		}),
		lapses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_registry_lapses_total", Help: "Sessions whose lease was over, by what became of them.",
		}, []string{"verdict"}),
		generations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_registry_generations_total", Help: "Shards that began anew because their stamp was missing.",
		}),
		states: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_registry_sessions", Help: "Sessions by state.",
		}, []string{"state"}),
		seated: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_registry_seated_players", Help: "Players with a seat.",
		}),
		holds: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_registry_held_seats", Help: "Seats that are held and not confirmed.",
		}),
		overdue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_registry_overdue_sessions", Help: "Bound sessions that missed a heartbeat.",
		}),
	}
	m.starting = m.states.WithLabelValues(throng.SessionStarting.String())
	m.open = m.states.WithLabelValues(throng.SessionOpen.String())
	m.draining = m.states.WithLabelValues(throng.SessionDraining.String())
	if to == nil {
		return m, nil
	}
	var failed []error
	for _, c := range []prometheus.Collector{m.operations, m.evictions, m.lapses, m.generations, m.states, m.seated, m.holds, m.overdue} {
		failed = append(failed, to.Register(c))
	}
	return m, errors.Join(failed...)
}

// done counts one operation by the kind of its error.
func (m *metrics) done(op string, err *error) {
	code := "ok"
	if *err != nil {
		code = throng.KindOf(*err).String()
	}
	m.operations.WithLabelValues(op, code).Inc()
}

func (m *metrics) lapsed(r ExpireRequest) {
	verdict := "ended"
	if r.Reason == "" {
		verdict = "suspended"
	}
	m.lapses.WithLabelValues(verdict).Inc()
}

func (m *metrics) sessions(all SweepResult) {
	m.starting.Set(float64(all.Starting))
	m.open.Set(float64(all.Open))
	m.draining.Set(float64(all.Draining))
	m.seated.Set(float64(all.Seated))
	m.holds.Set(float64(all.Held))
	m.overdue.Set(float64(all.Overdue))
}
