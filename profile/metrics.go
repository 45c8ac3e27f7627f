package profile

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

type metrics struct {
	calls    *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	handover prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_profile_calls_total", Help: "Checkouts, saves, returns and restores by what became of them: ok or an error's code.",
		}, []string{"call", "result"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_profile_saved_bytes_total", Help: "Documents that were saved, plain and as stored.",
		}, []string{"form"}),
		handover: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "throng_profile_handover_seconds", Help: "How long checkouts waited for an older session.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 10),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.calls, m.bytes, m.handover} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// done counts a call by its error.
func (m *metrics) done(call string, err *error) {
	result := "ok"
	if *err != nil {
		result = throng.KindOf(*err).String()
	}
	m.calls.WithLabelValues(call, result).Inc()
}
