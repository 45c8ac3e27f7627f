package gateway

import "github.com/prometheus/client_golang/prometheus"

// metrics tells what a gateway counted.
type metrics struct {
	gateway   *Gateway
	datagrams *prometheus.Desc
	flows     *prometheus.Desc
}

func newMetrics(g *Gateway) *metrics {
	return &metrics{
		gateway: g,
		datagrams: prometheus.NewDesc("throng_gateway_datagrams_total",
			"Datagrams that came, by who sent them and what became of them.", []string{"from", "verdict"}, nil),
		flows: prometheus.NewDesc("throng_gateway_flows", "Clients who are connected to a server.", nil, nil),
	}
}

// Describe is prometheus.Collector's.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.datagrams
	to <- m.flows
}

// Collect is prometheus.Collector's.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	s := m.gateway.Stats()
	for _, v := range Verdicts() {
		to <- prometheus.MustNewConstMetric(m.datagrams, prometheus.CounterValue, float64(s.FromClients[v]), "client", v.String())
		to <- prometheus.MustNewConstMetric(m.datagrams, prometheus.CounterValue, float64(s.FromServers[v]), "server", v.String())
	}
	to <- prometheus.MustNewConstMetric(m.flows, prometheus.GaugeValue, float64(s.Flows))
}

// Stats is what a Gateway and its filter in the kernel counted, by Verdict.
type Stats struct {
	FromClients, FromServers [verdicts]uint64
	Flows                    int
}

func (s *Stats) add(w *worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for v := range w.fromClients {
		s.FromClients[v] += w.fromClients[v]
		s.FromServers[v] += w.fromServers[v]
	}
	s.Flows += w.flows.len()
}
