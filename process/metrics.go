package process

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a Backend.
type metrics struct {
	alive   prometheus.Gauge
	starts  *prometheus.CounterVec
	exits   prometheus.Counter
	dropped prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		alive: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_process_servers", Help: "Game server processes alive on this machine.",
		}),
		starts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_process_starts_total", Help: "Game server processes started, by result: ok or an error's code.",
		}, []string{"result"}),
		exits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_process_exits_total", Help: "Game server processes that are over.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_process_exits_dropped_total", Help: "Exits that nobody was told of, because too many waited.",
		}),
	}
	return m, register(reg, m.alive, m.starts, m.exits, m.dropped)
}

// nodesMetrics of Nodes.
type nodesMetrics struct {
	connected prometheus.Gauge
	known     prometheus.Gauge
	calls     *prometheus.CounterVec
	dropped   prometheus.Counter
}

func newNodesMetrics(reg prometheus.Registerer) (*nodesMetrics, error) {
	m := &nodesMetrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_node_connections", Help: "Nodes that are connected.",
		}),
		known: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_node_servers", Help: "Game servers believed to run on nodes.",
		}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_node_calls_total", Help: "Calls to nodes, by kind and result: ok or an error's code.",
		}, []string{"call", "result"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_node_exits_dropped_total", Help: "Exits on nodes that nobody was told of, because too many waited.",
		}),
	}
	return m, register(reg, m.connected, m.known, m.calls, m.dropped)
}

func register(reg prometheus.Registerer, all ...prometheus.Collector) error {
	if reg == nil {
		return nil
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}
