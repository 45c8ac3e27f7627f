package event

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	dropped *prometheus.CounterVec
	waiting *prometheus.GaugeVec
	spool   *prometheus.GaugeVec
	away    *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_event_dropped_total", Help: "Events that were not published: not allowed (invalid), or without room (queue, memory, spool, disk, end).",
		}, []string{"stream", "reason"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_event_waiting", Help: "Events that are not published yet.",
		}, []string{"lane"}),
		spool: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_event_spool_bytes", Help: "What events take on disk that are not published yet.",
		}, []string{"lane"}),
		away: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_event_log_away", Help: "1 while the log does not take events.",
		}, []string{"lane"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.dropped, m.waiting, m.spool, m.away} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
