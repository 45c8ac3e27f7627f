package consumer

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	applied    prometheus.Counter
	duplicates prometheus.Counter
	parked     prometheus.Counter
	failures   prometheus.Counter
	seconds    prometheus.Histogram
	lag        *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer, group string) (*metrics, error) {
	labels := prometheus.Labels{"group": group}
	count := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	}
	m := &metrics{
		applied:    count("throng_consumer_events_total", "Events that were applied, each once."),
		duplicates: count("throng_consumer_duplicates_total", "Events that came again and changed nothing."),
		parked:     count("throng_consumer_parked_total", "Events that could not be applied and were parked."),
		failures:   count("throng_consumer_failures_total", "Batches that were not applied, and are tried again."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "throng_consumer_batch_seconds", Help: "How long a batch takes, its commit included.", ConstLabels: labels,
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_consumer_lag_seconds", Help: "How old the newest applied event was when it was applied.", ConstLabels: labels,
		}, []string{"stream"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.applied, m.duplicates, m.parked, m.failures, m.seconds, m.lag} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
