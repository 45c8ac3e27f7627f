package place

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	publishes *prometheus.CounterVec
	releases  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		publishes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_place_publishes_total", Help: "Uploads by what became of them: ok, same or an error's code.",
		}, []string{"result"}),
		releases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_place_releases_total", Help: "Changes of what is released by what became of them: ok, same or an error's code.",
		}, []string{"result"}),
	}
	if reg == nil {
		return m, nil
	}
	if err := errors.Join(reg.Register(m.publishes), reg.Register(m.releases)); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return m, nil
}
