package dns

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// Verdict is what became of a query.
type Verdict uint8

// The verdicts.
const (
	Answered    Verdict = iota
	NoData              // the name has nothing of that type
	NoName              // it is below the name, where nothing is
	Refused             // it is about another name, or a transfer
	Truncated           // the sender shall ask again by TCP
	BadCookie           // the sender shall ask again with the cookie that he was given
	Limited             // too many come from that network: no answer, or a truncation
	Malformed           // no query of the standard
	Unsupported         // another operation
	BadVersion          // an EDNS to come
	Ignored             // nothing that gets an answer
	verdicts
)

// Verdicts lists all.
func Verdicts() []Verdict {
	out := make([]Verdict, verdicts)
	for i := range out {
		out[i] = Verdict(i) //nolint:gosec // few
	}
	return out
}

// String returns the metric's label.
func (v Verdict) String() string {
	return [...]string{"answered", "no_data", "no_name", "refused", "truncated", "bad_cookie", "limited", "malformed", "unsupported", "bad_version", "ignored"}[v]
}

// transport is how a query comes.
type transport uint8

const (
	byUDP transport = iota
	byTCP
)

type metrics struct {
	queries  [2][verdicts]prometheus.Counter // by transport
	answers  *prometheus.CounterVec
	up       *prometheus.GaugeVec
	networks prometheus.Gauge
	conns    prometheus.Gauge
	refused  prometheus.Counter
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	queries := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "throng_dns_queries_total", Help: "Queries that came, by how they came and what became of them.",
	}, []string{"transport", "verdict"})
	m := &metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_dns_answers_total", Help: "Answers with addresses, by the region whose they are.",
		}, []string{"region"}),
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_dns_region_up", Help: "1: players are sent to the region, 0: it does not say that it is ready.",
		}, []string{"region"}),
		networks: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_dns_networks", Help: "Networks that the table has.",
		}),
		conns: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "throng_dns_connections", Help: "Open connections by TCP.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "throng_dns_connections_refused_total", Help: "Connections that were closed at once, because there were too many.",
		}),
	}
	for i, name := range []string{"udp", "tcp"} {
		for _, v := range Verdicts() {
			m.queries[i][v] = queries.WithLabelValues(name, v.String())
		}
	}
	if to == nil {
		return m, nil
	}
	var wrong []error
	for _, c := range []prometheus.Collector{queries, m.answers, m.up, m.networks, m.conns, m.refused} {
		wrong = append(wrong, to.Register(c))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, throng.Errorf(throng.Internal, "register metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) region(id string, h health) {
	value := 1.0
	if h.down {
		value = 0
	}
	m.up.WithLabelValues(id).Set(value)
}
