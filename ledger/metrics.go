package ledger

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

type metrics struct {
	transfers *prometheus.CounterVec
	seconds   prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		transfers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_ledger_transfers_total", Help: "Transfers by kind and by what became of them: ok or an error's code.",
		}, []string{"kind", "result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "throng_ledger_transfer_seconds", Help: "How long transfers took.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.transfers, m.seconds} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// posted counts a transfer of a kind that is known.
func (m *metrics) posted(kind throng.TransferKind, err error) {
	result := "ok"
	if err != nil {
		result = throng.KindOf(err).String()
	}
	switch kind {
	case throng.TransferReward, throng.TransferPurchase, throng.TransferTrade, throng.TransferRefund:
	default:
		kind = "other"
	}
	m.transfers.WithLabelValues(string(kind), result).Inc()
}
