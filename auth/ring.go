package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// MaxSecrets is how many secrets a region can have at once.
const MaxSecrets = 16

const (
	defaultRingPoll = 5 * time.Second
	ringPause       = time.Second // between two looks for an unknown key
)

// RingConfig is what a Ring is made of.
type RingConfig struct {
	Secrets Secrets
	// Delay is how long after it was made a key only verifies, so that every
	// replica has it before it signs. Zero: it signs at once. A region's only
	// key always signs.
	Delay time.Duration
	// Every is how often secrets are looked at; 5 s.
	Every   time.Duration
	Now     func() time.Time      // nil: time.Now
	Logger  *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: not registered
}

// Ring is a region's keys: the newest signs, all of them verify. It is safe for
// concurrent use.
type Ring struct {
	cfg     RingConfig
	parser  *jwt.Parser
	metrics *ringMetrics
	state   atomic.Pointer[ringState]

	mu     sync.Mutex // of Reload
	looked time.Time  // guarded by mu; the last look for an unknown key
}

type ringState struct {
	keys  []*RingKey // the oldest first
	byKid map[string]*RingKey
}

// RingKey is one key of a Ring, with all that follows from its secret.
type RingKey struct {
	Number int
	Since  time.Time

	trust
	secret  [32]byte
	kid     string
	private ed25519.PrivateKey
	public  ed25519.PublicKey

	derived sync.Map // of info: [32]byte; as many as the program has infos
}

// trust says whether a key still counts. Who was verified with one that does
// not is nobody.
type trust struct{ gone atomic.Bool }

// NewRing reads the secrets once. It starts nothing. Invalid: they are no ring.
func NewRing(cfg RingConfig) (*Ring, error) {
	if cfg.Secrets == nil {
		return nil, throng.AtField(throng.Invalid, "Secrets", "is missing")
	}
	if cfg.Every <= 0 {
		cfg.Every = defaultRingPoll
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Ring{cfg: cfg, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(issuerName),
		jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(cfg.Now),
	)}
	var err error
	if r.metrics, err = newRingMetrics(cfg.Metrics, r); err != nil {
		return nil, err
	}
	return r, r.Reload()
}

// Run looks for changed secrets until ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(r.cfg.Every)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := r.Reload()
		switch {
		case err == nil:
			failed = ""
		case err.Error() != failed: // one line a cause, not one a try
			failed = err.Error()
			r.cfg.Logger.ErrorContext(ctx, "secrets were not read, the old ones stay", "err", err)
		}
	}
}

// Reload reads the secrets anew. After an error the old ones stay.
func (r *Ring) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reload()
}

func (r *Ring) reload() error {
	secrets, err := r.cfg.Secrets.Secrets()
	if err == nil {
		err = checkSecrets(secrets)
	}
	if err != nil {
		r.metrics.failures.Inc()
		return fmt.Errorf("read the region's secrets: %w", err)
	}
	old := r.state.Load()
	next := &ringState{byKid: make(map[string]*RingKey)}
	for _, s := range secrets {
		key := old.find(s)
		if key == nil {
			if key, err = newRingKey(s); err != nil {
				return err
			}
			r.cfg.Logger.Info("secret taken in", "number", key.Number, "kid", key.kid)
		}
		next.keys = append(next.keys, key)
		next.byKid[key.kid] = key
	}
	r.state.Store(next)
	for _, key := range old.all() {
		if next.byKid[key.kid] != key {
			key.gone.Store(true)
			r.cfg.Logger.Info("secret taken out", "number", key.Number, "kid", key.kid)
		}
	}
	return nil
}

func checkSecrets(secrets []Secret) error {
	if len(secrets) == 0 || len(secrets) > MaxSecrets {
		return throng.Errorf(throng.Invalid, "there are %d secrets, want 1 to %d", len(secrets), MaxSecrets)
	}
	for i, s := range secrets {
		if s.Number < 1 || i > 0 && s.Number <= secrets[i-1].Number {
			return throng.Errorf(throng.Invalid, "secret %d is out of order", s.Number)
		}
		for _, other := range secrets[:i] {
			switch {
			case s.Bytes == other.Bytes:
				return throng.Errorf(throng.Invalid, "secrets %d and %d are the same", other.Number, s.Number)
			case uint8(s.Number) == uint8(other.Number): // the names of sessions have 8 bits for it
				return throng.Errorf(throng.Invalid, "secret %d was to go before %d came", other.Number, s.Number)
			}
		}
	}
	return nil
}

func newRingKey(s Secret) (*RingKey, error) {
	k := &RingKey{Number: s.Number, Since: s.Since, secret: s.Bytes}
	door, err := hkdf.Key(sha256.New, s.Bytes[:], nil, "throng door 1", 32)
	if err != nil {
		return nil, fmt.Errorf("derive keys: %w", err)
	}
	seed, err := hkdf.Key(sha256.New, door, nil, "throng token signing v1", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive the signing key: %w", err)
	}
	k.private = ed25519.NewKeyFromSeed(seed)
	public, ok := k.private.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("derive the public key")
	}
	k.public = public
	sum := sha256.Sum256(public)
	k.kid = hex.EncodeToString(sum[:8])
	return k, nil
}

// Derive returns 32 bytes that follow from the key's secret (HKDF-SHA256), for
// one purpose each.
func (k *RingKey) Derive(info string) [32]byte {
	if known, ok := k.derived.Load(info); ok {
		if out, ok := known.([32]byte); ok {
			return out
		}
	}
	out, err := hkdf.Key(sha256.New, k.secret[:], nil, info, 32)
	if err != nil { // only for more than 255 hashes' worth of output
		panic(err)
	}
	k.derived.Store(info, [32]byte(out))
	return [32]byte(out)
}

func (s *ringState) all() []*RingKey {
	if s == nil {
		return nil
	}
	return s.keys
}

func (s *ringState) find(secret Secret) *RingKey {
	for _, k := range s.all() {
		if k.Number == secret.Number && k.secret == secret.Bytes {
			return k
		}
	}
	return nil
}

// Keys returns the ring's keys, the oldest first.
func (r *Ring) Keys() []*RingKey { return r.state.Load().keys }

// Signing returns the key that signs now: the newest that is old enough, else
// the oldest.
func (r *Ring) Signing() *RingKey {
	keys, now := r.Keys(), r.cfg.Now()
	for i := len(keys) - 1; i > 0; i-- {
		if !now.Before(keys[i].Since.Add(r.cfg.Delay)) {
			return keys[i]
		}
	}
	return keys[0]
}

// Numbered returns the key of a number, modulo 256, as the names of sessions
// have it. NotFound: it was taken out.
func (r *Ring) Numbered(number uint8) (*RingKey, error) {
	for _, k := range r.Keys() {
		if uint8(k.Number) == number {
			return k, nil
		}
	}
	if r.look() {
		for _, k := range r.Keys() {
			if uint8(k.Number) == number {
				return k, nil
			}
		}
	}
	return nil, throng.Errorf(throng.NotFound, "secret %d is not in the region's ring any more", number)
}

// byKid finds a key that may just have come.
func (r *Ring) byKid(kid string) *RingKey {
	if k := r.state.Load().byKid[kid]; k != nil {
		return k
	}
	if !r.look() {
		return nil
	}
	return r.state.Load().byKid[kid]
}

// look reads the secrets, at most once a second, however many ask.
func (r *Ring) look() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	if now.Sub(r.looked) < ringPause && !r.looked.IsZero() {
		return false
	}
	r.looked = now
	return r.reload() == nil
}
