package auth

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// metrics counts who was let in, and why others were not.
type metrics struct {
	verified  *prometheus.CounterVec // by: cache, ring, issuer, key
	refused   *prometheus.CounterVec // reason
	refreshes *prometheus.CounterVec // issuer, result
}

func newMetrics(r prometheus.Registerer, a *Auth) (*metrics, error) {
	m := &metrics{
		verified: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_auth_verified_total", Help: "Callers known, by what said so.",
		}, []string{"by"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_auth_refused_total", Help: "Tokens and keys refused, by reason.",
		}, []string{"reason"}),
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "throng_auth_jwks_refreshes_total", Help: "Fetches of issuers' keys, by issuer and result.",
		}, []string{"issuer", "result"}),
	}
	cached := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "throng_auth_cached", Help: "Verified tokens that are remembered.",
	}, func() float64 {
		if a.cache == nil {
			return 0
		}
		return float64(a.cache.len())
	})
	return m, register(r, m.verified, m.refused, m.refreshes, cached, jwksAge{a})
}

func register(r prometheus.Registerer, all ...prometheus.Collector) error {
	if r == nil {
		return nil
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register auth's metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) refuse(err error) {
	reason := "invalid"
	switch {
	case throng.KindOf(err) == throng.Unavailable:
		reason = "unavailable"
	case errors.Is(err, errUnknownKey):
		reason = "unknown_key"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		reason = "signature"
	case errors.Is(err, jwt.ErrTokenExpired):
		reason = "expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		reason = "not_yet"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		reason = "audience"
	}
	m.refused.WithLabelValues(reason).Inc()
}

// jwksAge tells how old each issuer's keys are.
type jwksAge struct{ a *Auth }

var jwksAgeDesc = prometheus.NewDesc( //nolint:gochecknoglobals // a constant
	"throng_auth_jwks_age_seconds", "Since an issuer's keys were fetched; missing before the first time.", []string{"issuer"}, nil,
)

// Describe is prometheus.Collector.
func (j jwksAge) Describe(ch chan<- *prometheus.Desc) { ch <- jwksAgeDesc }

// Collect is prometheus.Collector.
func (j jwksAge) Collect(ch chan<- prometheus.Metric) {
	for name, i := range j.a.issuers {
		if state := i.keys.state.Load(); state != nil {
			ch <- prometheus.MustNewConstMetric(jwksAgeDesc, prometheus.GaugeValue, j.a.now().Sub(state.at).Seconds(), name)
		}
	}
}

type ringMetrics struct {
	failures prometheus.Counter
}

func newRingMetrics(r prometheus.Registerer, ring *Ring) (*ringMetrics, error) {
	m := &ringMetrics{failures: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "throng_auth_ring_failures_total", Help: "Looks at the region's secrets that failed; the old ones stay.",
	})}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if ring.state.Load() == nil {
				return 0
			}
			return value()
		})
	}
	return m, register(
		r, m.failures,
		gauge("throng_auth_ring_keys", "Secrets of the region that verify.", func() float64 { return float64(len(ring.Keys())) }),
		gauge("throng_auth_ring_signing", "Number of the secret that signs.", func() float64 { return float64(ring.Signing().Number) }),
	)
}
