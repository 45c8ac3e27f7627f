package agones

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	allocations *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	requests    *prometheus.CounterVec
	cleaned     *prometheus.CounterVec
	connected   *prometheus.GaugeVec
	servers     *prometheus.GaugeVec
	claims      *prometheus.CounterVec
	dropped     prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		allocations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_agones_allocations_total",
			Help: "Times that a cluster was asked for a server, by what became of it: allocated, none, refused, unknown.",
		}, []string{"cluster", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "throng_agones_allocation_seconds",
			Help:    "How long a cluster took to answer when it was asked for a server.",
			Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2, 4, 8},
		}, []string{"cluster"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_agones_requests_total",
			Help: "Requests to a cluster's API server and allocator service, by verb.",
		}, []string{"cluster", "verb"}),
		cleaned: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_agones_cleaned_total",
			Help: "GameServers that were deleted, by why: released, late, twin, reused, dead.",
		}, []string{"cluster", "reason"}),
		connected: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_agones_connected",
			Help: "Whether a cluster's servers are watched now.",
		}, []string{"cluster"}),
		servers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_agones_servers",
			Help: "Servers of the region that are allocated in a cluster.",
		}, []string{"cluster"}),
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_agones_claims_total",
			Help: "Pods that asked which server they are, by what they were told.",
		}, []string{"result"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_agones_exits_dropped_total",
			Help: "Ends of servers that nobody took in time.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.allocations, m.seconds, m.requests, m.cleaned, m.connected, m.servers, m.claims, m.dropped,
	} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
