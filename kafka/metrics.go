package kafka

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	published *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	failures  prometheus.Counter
	seconds   prometheus.Histogram
	consumed  *prometheus.CounterVec
	lag       *prometheus.GaugeVec
	parked    *prometheus.CounterVec
	again     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_kafka_published_total", Help: "Events that brokers have.",
		}, []string{"stream"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_kafka_published_bytes_total", Help: "Bytes of events as they were sent to brokers, compressed, before replication.",
		}, []string{"stream"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_kafka_publish_failures_total", Help: "Batches that were not, or not known to be, published.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "throng_kafka_publish_seconds", Help: "From a batch to its last acknowledgement.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}),
		consumed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_kafka_consumed_total", Help: "Events that a group has applied and committed.",
		}, []string{"group", "stream"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_kafka_lag_events", Help: "Events of this member's partitions that its group has not applied.",
		}, []string{"group", "stream"}),
		parked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_kafka_parked_total", Help: "Events that a group could not apply.",
		}, []string{"group"}),
		again: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_kafka_handed_again_total", Help: "Batches that a group's handler did not take.",
		}, []string{"group"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.published, m.bytes, m.failures, m.seconds, m.consumed, m.lag, m.parked, m.again} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
