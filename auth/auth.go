package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// Config is what an Auth is made of.
type Config struct {
	Ring    *Ring // required
	Issuers []IssuerConfig
	Keys    *Keys // nil: API keys are nobody's
	// CacheBytes is how much memory verified tokens may take, 64 MiB. Below
	// zero: none is remembered.
	CacheBytes int
	Now        func() time.Time      // nil: time.Now
	Logger     *slog.Logger          // nil: nothing is logged
	Metrics    prometheus.Registerer // nil: not registered
}

// Auth says who is calling. It is safe for concurrent use.
type Auth struct {
	ring    *Ring
	issuers map[string]*issuer
	keys    *Keys
	cache   *cache // nil: none
	now     func() time.Time
	metrics *metrics
}

// New makes an Auth. It starts nothing. Invalid: an issuer that cannot be.
func New(cfg Config) (*Auth, error) {
	if cfg.Ring == nil {
		return nil, throng.AtField(throng.Invalid, "Ring", "is missing")
	}
	if err := checkIssuers(cfg.Issuers); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = 64 << 20
	}
	a := &Auth{ring: cfg.Ring, keys: cfg.Keys, now: cfg.Now, issuers: make(map[string]*issuer)}
	if cfg.CacheBytes > 0 {
		a.cache = newCache(cfg.CacheBytes)
	}
	var err error
	if a.metrics, err = newMetrics(cfg.Metrics, a); err != nil {
		return nil, err
	}
	for _, c := range cfg.Issuers {
		i := newIssuer(c, cfg.Now, cfg.Logger, a.metrics)
		for _, other := range cfg.Issuers {
			if other.PlayerPrefix != "" && other.Issuer != c.Issuer {
				i.reserved = append(i.reserved, other.PlayerPrefix)
			}
		}
		a.issuers[c.Issuer] = i
	}
	return a, nil
}

// Run keeps keys fresh until ctx ends, and waits for what it started.
func (a *Auth) Run(ctx context.Context) error {
	var group sync.WaitGroup
	group.Go(func() { _ = a.ring.Run(ctx) }) // it returns nil
	for _, i := range a.issuers {
		group.Go(func() { i.keys.run(ctx) })
	}
	if a.keys != nil {
		group.Go(func() { _ = a.keys.Run(ctx) }) // likewise
	}
	group.Wait()
	return nil
}

// Known is Authenticate for a token that was verified before, which costs a
// hash; ok is false for all others.
func (a *Auth) Known(token string) (c throng.Caller, ok bool) {
	if a.cache == nil || len(token) > maxTokenSize || isAPIKey(token) {
		return throng.Caller{}, false
	}
	if c, ok = a.cache.get(tokenHash(token), a.now()); ok {
		a.metrics.verified.WithLabelValues("cache").Inc()
	}
	return c, ok
}

// Authenticate says who a token or an API key is of. Denied: nobody that we
// know; the words tell only what the bearer of a good signature may know.
// Unavailable: it cannot be said now.
func (a *Auth) Authenticate(ctx context.Context, token string) (throng.Caller, error) {
	if isAPIKey(token) {
		return a.authenticateKey(ctx, token)
	}
	if len(token) > maxTokenSize {
		a.metrics.refuse(errTooLong)
		return throng.Caller{}, refusal(errTooLong)
	}
	v, by, err := a.verify(ctx, token)
	if err != nil {
		a.metrics.refuse(err)
		return throng.Caller{}, refusal(err)
	}
	a.metrics.verified.WithLabelValues(by).Inc()
	if a.cache != nil {
		a.cache.put(tokenHash(token), len(token), v)
	}
	return v.caller, nil
}

func (a *Auth) authenticateKey(ctx context.Context, key string) (throng.Caller, error) {
	if a.keys == nil {
		a.metrics.refuse(errUnknownKey)
		return throng.Caller{}, refusal(errUnknownKey)
	}
	caller, err := a.keys.verify(ctx, key)
	if err != nil {
		a.metrics.refuse(err)
		return throng.Caller{}, err
	}
	a.metrics.verified.WithLabelValues("key").Inc()
	return caller, nil
}

// verify hands the token to whom it says it is of. What it says is believed only
// after that one's key opened it.
func (a *Auth) verify(ctx context.Context, token string) (v verified, by string, err error) {
	if len(a.issuers) > 0 {
		if i := a.issuers[issuerOf(token)]; i != nil {
			v, err = i.verify(ctx, token)
			return v, "issuer", err
		}
	}
	v, err = a.ring.verify(token)
	return v, "ring", err
}

// issuerOf reads what a token says who made it.
func issuerOf(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return ""
	}
	var said struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(text, &said) != nil {
		return ""
	}
	return said.Issuer
}
