package fleet

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

type metrics struct {
	servers   [phaseGone]prometheus.Gauge // by phase
	connected prometheus.Gauge            // to this orchestrator
	waiting   prometheus.Gauge            // openings without a server
	openings  *prometheus.CounterVec      // by result: bound, failed, canceled, no_capacity
	opening   prometheus.Histogram
	handover  prometheus.Histogram
	gone      *prometheus.CounterVec // by reason's class: released, exit, signal, node, other
	orders    *prometheus.CounterVec // by kind and result: sent, lost, relayed, no_link
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	buckets := []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20}
	servers := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "throng_servers",
		Help: "Game servers by phase, those of other replicas included.",
	}, []string{"phase"})
	m := &metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_servers_connected",
			Help: "Game servers whose control connection this replica has.",
		}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_waiting_sessions",
			Help: "Sessions that wait for a game server.",
		}),
		openings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_server_openings_total",
			Help: "Sessions that were given to the fleet, by result.",
		}, []string{"result"}),
		opening: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "throng_server_opening_seconds",
			Help:    "From the fleet's word to the session's first heartbeat.",
			Buckets: buckets,
		}),
		handover: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "throng_handover_seconds",
			Help:    "From the handover to the session's first heartbeat.",
			Buckets: buckets,
		}),
		gone: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_servers_gone_total",
			Help: "Game servers that ended, by class of reason.",
		}, []string{"reason"}),
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_orders_total",
			Help: "Orders to game servers, by kind and by what became of the quick way.",
		}, []string{"kind", "result"}),
	}
	for p := range phaseGone {
		m.servers[p] = servers.WithLabelValues(p.String())
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		servers, m.connected, m.waiting, m.openings, m.opening, m.handover, m.gone, m.orders,
	} {
		if err := r.Register(c); err != nil {
			return nil, throng.Errorf(throng.Exists, "register metrics of fleet: %w", err)
		}
	}
	return m, nil
}
