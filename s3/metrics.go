package s3

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// metrics is what an operator sees of this process's use of its buckets.
type metrics struct {
	calls   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	stale   prometheus.Counter
	fetched prometheus.Counter
	copied  prometheus.Counter
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_s3_requests_total", Help: "Requests to buckets by result; same: what was known is current.",
		}, []string{"op", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "throng_s3_request_seconds", Help: "How long requests to buckets took, until the answer began.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		}, []string{"op"}),
		stale: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_s3_stale_reads_total", Help: "Reads of places that were answered with what was known last, as the bucket was away.",
		}),
		fetched: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_s3_fetched_packages_total", Help: "Packages that were missing in the region's bucket and came from another region's.",
		}),
		copied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_s3_copied_records_total", Help: "Records that were behind in the region's bucket and were copied from home.",
		}),
	}
	if to == nil {
		return m, nil
	}
	return m, errors.Join(register(to, &m.calls), register(to, &m.seconds), register(to, &m.stale), register(to, &m.fetched), register(to, &m.copied))
}

// register takes the one that is registered already, by another bucket of this process.
func register[C prometheus.Collector](to prometheus.Registerer, c *C) error {
	err := to.Register(*c)
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := known.ExistingCollector.(C); ok {
			*c, err = same, nil
		}
	}
	return err
}

// done counts one request by the kind of its error.
func (m *metrics) done(op string, begun time.Time, err *error) {
	code := "ok"
	switch {
	case errors.Is(*err, errSame):
		code = "same"
	case *err != nil:
		code = throng.KindOf(*err).String()
	}
	m.calls.WithLabelValues(op, code).Inc()
	m.seconds.WithLabelValues(op).Observe(time.Since(begun).Seconds())
}
