package webtransport

import "github.com/prometheus/client_golang/prometheus"

// Reasons to drop a payload.
const (
	dropSlow        = "slow"   // the client reads less than it is sent
	dropUnsent      = "unsent" // the connection ended, or takes no payload of this size
	dropPayloadSize = "payload_size"
	dropEventsFull  = "events_full" // the game does not keep up
	dropFlood       = "flood"       // the client sends more than it may
)

// metrics counts what passes a Transport. Its counters may be used by anyone.
type metrics struct {
	clients                               [ways]prometheus.Gauge
	messagesIn, messagesOut               [ways]prometheus.Counter
	bytesIn, bytesOut                     [ways]prometheus.Counter
	slow, unsent, payloadSize, eventsFull prometheus.Counter
	flood                                 prometheus.Counter
	refused                               map[refusal]prometheus.Counter
	rotations, timeouts                   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	clients := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "throng_web_clients", Help: "Clients that are connected from browsers.",
	}, []string{"transport"})
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_web_messages_total", Help: "Datagrams and messages that passed.",
	}, []string{"transport", "direction"})
	size := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_web_bytes_total", Help: "Payload bytes that passed.",
	}, []string{"transport", "direction"})
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_web_dropped_total", Help: "Payloads that were dropped, by reason.",
	}, []string{"reason"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_web_refused_total", Help: "Clients that were not let in, by reason.",
	}, []string{"reason"})
	m := &metrics{
		slow: dropped.WithLabelValues(dropSlow), unsent: dropped.WithLabelValues(dropUnsent),
		payloadSize: dropped.WithLabelValues(dropPayloadSize), eventsFull: dropped.WithLabelValues(dropEventsFull),
		flood: dropped.WithLabelValues(dropFlood), refused: make(map[refusal]prometheus.Counter),
		rotations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_web_certificate_rotations_total", Help: "Times that the next certificate was taken up.",
		}),
	}
	m.timeouts = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "throng_web_timeouts_total", Help: "Clients that fell silent, or stopped reading.",
	})
	if r != nil {
		for _, c := range []prometheus.Collector{clients, messages, size, dropped, refused, m.rotations, m.timeouts} {
			if err := r.Register(c); err != nil {
				return nil, err
			}
		}
	}
	for w := range ways {
		m.clients[w] = clients.WithLabelValues(w.String())
		m.messagesIn[w], m.messagesOut[w] = messages.WithLabelValues(w.String(), "in"), messages.WithLabelValues(w.String(), "out")
		m.bytesIn[w], m.bytesOut[w] = size.WithLabelValues(w.String(), "in"), size.WithLabelValues(w.String(), "out")
	}
	for _, why := range refusals() {
		m.refused[why] = refused.WithLabelValues(string(why))
	}
	return m, nil
}

func (m *metrics) received(w way, bytes int) {
	m.messagesIn[w].Inc()
	m.bytesIn[w].Add(float64(bytes))
}

func (m *metrics) sent(w way, bytes int) {
	m.messagesOut[w].Inc()
	m.bytesOut[w].Add(float64(bytes))
}

func (m *metrics) refuse(why refusal) { m.refused[why].Inc() }
