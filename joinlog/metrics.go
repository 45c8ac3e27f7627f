package joinlog

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

type metrics struct {
	records   prometheus.Counter
	dropped   prometheus.Counter
	forgotten prometheus.Counter
	bytes     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		records:   prometheus.NewCounter(prometheus.CounterOpts{Name: "throng_joinlog_records_total", Help: "Records of joins that were kept."}),
		dropped:   prometheus.NewCounter(prometheus.CounterOpts{Name: "throng_joinlog_dropped_total", Help: "Records of joins that were not kept because too many came at once."}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{Name: "throng_joinlog_forgotten_total", Help: "Records of joins forgotten for newer ones or for their age."}),
		bytes:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "throng_joinlog_bytes", Help: "Bytes of the records that are remembered."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.records, m.dropped, m.forgotten, m.bytes} {
		if err := r.Register(c); err != nil {
			return nil, throng.Errorf(throng.Exists, "register metrics of joinlog: %w", err)
		}
	}
	return m, nil
}
