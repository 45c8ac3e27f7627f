package replica

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	living prometheus.Gauge
	news   *prometheus.CounterVec
}

// laneMetrics counts what became of the news of one kind.
type laneMetrics struct{ sent, lost, full prometheus.Counter }

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		living: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_replicas", Help: "Control-plane processes of the region that live, this one included.",
		}),
		news: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_replica_news_total", Help: "News for other replicas, by lane (urgent, logs) and result (sent, lost, full).",
		}, []string{"lane", "result"}),
	}
	m.living.Set(1)
	if to == nil {
		return m, nil
	}
	return m, errors.Join(to.Register(m.living), to.Register(m.news))
}

func (m *metrics) of(lane string) laneMetrics {
	return laneMetrics{
		sent: m.news.WithLabelValues(lane, "sent"),
		lost: m.news.WithLabelValues(lane, "lost"),
		full: m.news.WithLabelValues(lane, "full"),
	}
}
