package redis

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// metrics is what an operator sees of this process's use of Redis.
type metrics struct {
	calls       *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	generations prometheus.Counter
	offset      prometheus.Gauge
	reloads     prometheus.Counter
	blocks      prometheus.Histogram
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_redis_calls_total", Help: "Operations of the registry's store by result; rebuilding ones are unavailable.",
		}, []string{"op", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "throng_redis_call_seconds", Help: "How long operations of the registry's store took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}, []string{"op"}),
		generations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_redis_generations_total", Help: "Generations that this process began, by shard.",
		}),
		offset: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_redis_clock_ahead_seconds", Help: "How far this machine's clock is certainly before Redis's.",
		}),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_redis_reloads_total", Help: "How often sessions were read anew for the matchmaker.",
		}),
		blocks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "throng_redis_hold_block_requests", Help: "Requests for holds that went into one call.",
			Buckets: []float64{1, 2, 4, 8, 16, 32},
		}),
	}
	if to == nil {
		return m, nil
	}
	var failed []error
	for _, c := range []prometheus.Collector{m.calls, m.seconds, m.generations, m.offset, m.reloads, m.blocks} {
		failed = append(failed, to.Register(c))
	}
	return m, errors.Join(failed...)
}

// done counts one operation by the kind of its error.
func (m *metrics) done(op string, begun time.Time, err error) {
	code := "ok"
	if err != nil {
		code = throng.KindOf(err).String()
	}
	m.calls.WithLabelValues(op, code).Inc()
	m.seconds.WithLabelValues(op).Observe(time.Since(begun).Seconds())
}
