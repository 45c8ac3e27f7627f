package shed

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

type metrics struct {
	over *prometheus.CounterVec // by reason
}

func newMetrics(r prometheus.Registerer, s *Shedder) (*metrics, error) {
	m := &metrics{over: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_door_overload_windows_total", Help: "Quarters of a second in which the door was overloaded, by reason: late (goroutines wait to run), slow (leases take long).",
	}, []string{"reason"})}
	if r == nil {
		return m, nil
	}
	all := []prometheus.Collector{m.over, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "throng_door_admit_rate", Help: "Calls a second that are let in during overload; 0: all are.",
	}, func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.policy.Rate()
	})}
	for _, c := range Classes() {
		labels, n := prometheus.Labels{"class": c.String()}, &s.counts[c]
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "throng_door_admitted_total", Help: "Calls that were let in, by class.", ConstLabels: labels,
		}, func() float64 { return float64(n.admitted.Load()) }), prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "throng_door_shed_total", Help: "Calls refused because the door was overloaded or full, by class.", ConstLabels: labels,
		}, func() float64 { return float64(n.refused.Load()) }))
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return nil, throng.Errorf(throng.Internal, "register metrics: %w", err)
		}
	}
	return m, nil
}
