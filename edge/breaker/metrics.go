package breaker

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// outcomes names them, indexed by Outcome.
var outcomes = [...]string{"good", "bad", "void"} //nolint:gochecknoglobals // a constant table

type metrics struct {
	calls       *prometheus.CounterVec
	state       *prometheus.GaugeVec
	transitions *prometheus.CounterVec
	limit       *prometheus.GaugeVec
	repeats     *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	key := []string{"caller", "region", "operation"}
	more := func(label string) []string { return append(append([]string{}, key...), label) }
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_breaker_calls_total",
			Help: "Calls of other regions by outcome: good, bad, void (the caller went away), or not made: open, busy.",
		}, more("outcome")),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_breaker_state", Help: "How calls of another region are treated: 0 they go through, 1 they are refused, 2 one at a time.",
		}, key),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_breaker_transitions_total", Help: "Changes of how calls of another region are treated.",
		}, more("to")),
		limit: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "throng_breaker_limit", Help: "Calls of another region that may be under way at once.",
		}, key),
		repeats: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_breaker_repeats_total", Help: "Calls that were to be made again, by whether the budget had room: made, refused.",
		}, []string{"caller", "operation", "result"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.calls, m.state, m.transitions, m.limit, m.repeats} {
		if err := r.Register(c); err != nil {
			return nil, throng.Errorf(throng.Internal, "register metrics: %w", err)
		}
	}
	return m, nil
}

func (k Key) labels() []string { return []string{k.Caller, string(k.Region), k.Operation} }

func (m *metrics) count(k Key, outcome string) {
	m.calls.WithLabelValues(append(k.labels(), outcome)...).Inc()
}
