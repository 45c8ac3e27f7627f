package presence

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

type metrics struct {
	changes   *prometheus.CounterVec // by region and verdict
	settings  *prometheus.CounterVec // by region and result
	evictions prometheus.Counter
	failures  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, p *Presence) (*metrics, error) {
	m := &metrics{
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_presence_changes_total", Help: "What was said of players' presence, by region, and what became of it: applied, known, late, full, or strange.",
		}, []string{"region", "verdict"}),
		settings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_presence_settings_total", Help: "What regions told of players' settings, and what became of it: applied, strange, or failed, which is tried again.",
		}, []string{"region", "result"}),
		evictions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_presence_evictions_total", Help: "Seats of this region whose eviction was ordered because the player joined later in another one.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_presence_eviction_failures_total", Help: "Times that the registry could not be asked for such an eviction, which is tried again.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	all := []prometheus.Collector{m.changes, m.settings, m.evictions, m.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "throng_presence_players", Help: "Players of whom something is known of other regions.",
	}, func() float64 { return float64(p.others.Players()) })}
	for _, id := range p.regions() {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "throng_presence_age_seconds", Help: "How old the copy of a region's presence is.", ConstLabels: prometheus.Labels{"region": string(id)},
		}, func() float64 { return p.cfg.Now().Sub(p.asOf(id)).Seconds() }))
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, throng.Errorf(throng.Internal, "register metrics: %w", err)
		}
	}
	return m, nil
}
