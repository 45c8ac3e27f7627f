package udp

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng/wire/netcode"
)

// Reasons to drop that are this package's own, beside netcode.Drops.
const (
	dropUnlistening = "unlistening" // no session yet
	dropEventsFull  = "events_full" // the application does not keep up
	dropUnsent      = "unsent"      // the socket refused it
	dropPayloadSize = "payload_size"
)

// metrics counts what passes a Transport. Its counters may be used by anyone.
type metrics struct {
	datagramsIn, datagramsOut prometheus.Counter
	bytesIn, bytesOut         prometheus.Counter
	clients                   prometheus.Gauge
	moved                     prometheus.Counter
	ignored                   map[netcode.Drop]prometheus.Counter
	unlistening, eventsFull   prometheus.Counter
	unsent, payloadSize       prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	datagrams := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_udp_datagrams_total", Help: "Datagrams that passed the players' socket.",
	}, []string{"direction"})
	size := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_udp_bytes_total", Help: "UDP payload bytes that passed the players' socket.",
	}, []string{"direction"})
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_udp_dropped_total", Help: "Datagrams and payloads that were dropped, by reason.",
	}, []string{"reason"})
	clients := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "throng_udp_clients", Help: "Clients that are connected.",
	})
	moved := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "throng_udp_moved_total", Help: "Clients that went on from another address.",
	})
	if r != nil {
		for _, c := range []prometheus.Collector{datagrams, size, dropped, clients, moved} {
			if err := r.Register(c); err != nil {
				return nil, err
			}
		}
	}
	m := &metrics{
		datagramsIn: datagrams.WithLabelValues("in"), datagramsOut: datagrams.WithLabelValues("out"),
		bytesIn: size.WithLabelValues("in"), bytesOut: size.WithLabelValues("out"),
		clients:     clients,
		moved:       moved,
		ignored:     make(map[netcode.Drop]prometheus.Counter),
		unlistening: dropped.WithLabelValues(dropUnlistening), eventsFull: dropped.WithLabelValues(dropEventsFull),
		unsent: dropped.WithLabelValues(dropUnsent), payloadSize: dropped.WithLabelValues(dropPayloadSize),
	}
	for _, d := range netcode.Drops() {
		m.ignored[d] = dropped.WithLabelValues(d.String())
	}
	return m, nil
}
