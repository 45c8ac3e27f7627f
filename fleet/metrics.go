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

	stock   prometheus.Gauge       // the target
	refill  prometheus.Gauge       // seconds, that the target is made for
	refills prometheus.Histogram   // from asking for a server to its connection
	draws   *prometheus.CounterVec // openings by what they found: ready, waits
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
	m.countStock(buckets)
	for p := range phaseGone {
		m.servers[p] = servers.WithLabelValues(p.String())
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		servers, m.connected, m.waiting, m.openings, m.opening, m.handover, m.gone, m.orders,
		m.stock, m.refill, m.refills, m.draws,
	} {
		if err := r.Register(c); err != nil {
			return nil, throng.Errorf(throng.Exists, "register metrics of fleet: %w", err)
		}
	}
	return m, nil
}

// countStock makes what tells of the stock.
func (m *metrics) countStock(buckets []float64) {
	m.stock = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "throng_stock_target_servers",
		Help: "Idle servers that this replica wants to have connected.",
	})
	m.refill = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "throng_stock_refill_seconds",
		Help: "Time to replace a server of the stock that the target is made for.",
	})
	m.refills = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "throng_server_refill_seconds",
		Help:    "From asking the backend for a server to its control connection.",
		Buckets: buckets,
	})
	m.draws = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_stock_draws_total",
		Help: "Sessions given to the fleet, by what they found: a server that was ready, or none and a wait.",
	}, []string{"result"})
}
