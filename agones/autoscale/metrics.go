package autoscale

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

type metrics struct {
	answers   *prometheus.CounterVec // by result: ok or an error's code
	seconds   prometheus.Histogram
	replicas  *prometheus.GaugeVec   // by cluster and fleet: those that are known
	ready     *prometheus.GaugeVec   // the same
	fallbacks *prometheus.CounterVec // by result: same, written or an error's code
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_autoscale_answers_total",
			Help: "Questions of Agones' FleetAutoscalers, by result: ok, or an error's code; then the Fleet stays, or its Buffer counts.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "throng_autoscale_seconds",
			Help:    "How long an answer to a FleetAutoscaler took.",
			Buckets: []float64{.0001, .0003, .001, .003, .01, .03, .1, 1},
		}),
		replicas: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_autoscale_replicas",
			Help: "GameServers that a Fleet was told to have, by the last answer of this replica.",
		}, []string{"cluster", "fleet"}),
		ready: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_autoscale_ready_servers",
			Help: "Those of them that are to be Ready.",
		}, []string{"cluster", "fleet"}),
		fallbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_autoscale_fallback_total",
			Help: "Looks at the Buffers behind the webhook, by result: same, written, or an error's code.",
		}, []string{"result"}),
	}
	m.answers.WithLabelValues("ok") // that there are none is worth an alert
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.answers, m.seconds, m.replicas, m.ready, m.fallbacks} {
		if err := r.Register(c); err != nil {
			return nil, throng.Errorf(throng.Exists, "register metrics of autoscale: %w", err)
		}
	}
	return m, nil
}
