package place

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	publishes *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		publishes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_place_publishes_total", Help: "Uploads by what became of them: ok, same or an error's code.",
		}, []string{"result"}),
	}
	if reg == nil {
		return m, nil
	}
	if err := reg.Register(m.publishes); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return m, nil
}
