package copies

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

type metrics struct {
	applied *prometheus.CounterVec // by kind and outcome
	lost    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, c *Copies) (*metrics, error) {
	m := &metrics{
		applied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_copies_applied_total", Help: "What other regions wrote, by kind (profile, posting, other), and what became of it: applied, waiting, ignored, late, lost, conflict, or strange.",
		}, []string{"kind", "outcome"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_copies_lost_total", Help: "Transfers that a region posted while it was the home and that the next one never got.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	all := []prometheus.Collector{m.applied, m.lost, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "throng_copies_waiting", Help: "Transfers that wait until what came before them has come, of the partitions of this process.",
	}, func() float64 {
		n := 0
		for _, f := range c.followers {
			n += f.waiting()
		}
		return float64(n)
	})}
	for _, id := range c.regions() {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "throng_copies_age_seconds", Help: "How old the copy of what a region wrote is.", ConstLabels: prometheus.Labels{"region": string(id)},
		}, func() float64 { return c.age(id).Seconds() }))
	}
	for _, one := range all {
		if err := reg.Register(one); err != nil {
			return nil, throng.Errorf(throng.Internal, "register metrics: %w", err)
		}
	}
	return m, nil
}
