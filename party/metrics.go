package party

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	made prometheus.Counter
	idle prometheus.Counter
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		made: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_parties_total", Help: "Parties that were made.",
		}),
		idle: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_idle_parties_total", Help: "Parties that ended because nobody asked for them.",
		}),
	}
	if to == nil {
		return m, nil
	}
	return m, errors.Join(to.Register(m.made), to.Register(m.idle))
}
