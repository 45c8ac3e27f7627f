package region

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

type metrics struct {
	polls *prometheus.CounterVec // by region and code: "ok", or the kind of error
	fresh *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_region_summaries_total", Help: "Summaries that other regions were asked for, by code: ok, or the kind of error.",
		}, []string{"region", "code"}),
		fresh: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_region_heard", Help: "1 for another region whose summary is fresh, 0 for one that nobody is sent to.",
		}, []string{"region"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.polls, m.fresh} {
		if err := r.Register(c); err != nil {
			return nil, throng.Errorf(throng.Internal, "register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) asked(r throng.RegionID, err error) {
	code := "ok"
	if err != nil {
		code = throng.KindOf(err).String()
	}
	m.polls.WithLabelValues(string(r), code).Inc()
}
