package home

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// Where a call went.
const (
	wentHere = "here"
	wentHome = "home" // to another region, which is it
	wentCopy = "copy"
)

type metrics struct{ calls *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer, h *Homes) (*metrics, error) {
	m := &metrics{calls: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_home_calls_total", Help: "Calls of what players own, by where they went: here, to the home's door, to the copy because that did not answer; and how they ended.",
	}, []string{"went", "outcome"})}
	term := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "throng_home_term", Help: "The term of the home that counts here; 0: it is not known."},
		func() float64 { return float64(h.Now().Term >> 8) })
	writes := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "throng_home_here", Help: "Whether this region is the home of profiles and ledger."},
		func() float64 {
			if h.Now().Region == h.cfg.Own.ID {
				return 1
			}
			return 0
		})
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.calls, term, writes} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) called(went string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = throng.KindOf(err).String()
	}
	m.calls.WithLabelValues(went, outcome).Inc()
}
