package placelog

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	lines     prometheus.Counter
	forgotten prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		lines: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_placelog_lines_total", Help: "Lines written to places' logs.",
		}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_placelog_forgotten_lines_total", Help: "Lines forgotten because newer ones needed the room.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.lines, m.forgotten} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}
