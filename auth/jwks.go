package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/throng-gg/throng"
)

const (
	maxJWKS     = 256 << 10 // bytes
	maxKeys     = 64        // of one issuer
	fetchTime   = 5 * time.Second
	findTime    = 3 * time.Second  // that a caller with an unknown key waits
	retryTime   = 15 * time.Second // between background fetches while the issuer is away
	maxRedirect = 3
	maxWaiting  = 256 // callers with an unknown key, for one fetch
)

// keySet is an issuer's keys as they were fetched last. The last good ones
// count while the issuer is away, up to MaxStale.
type keySet struct {
	cfg     IssuerConfig
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
	client  *http.Client

	state atomic.Pointer[setState] // nil: never had; stored by the fetch under way only
	// waiting is how many callers with an unknown key wait for a fetch.
	waiting atomic.Int64

	mu     sync.Mutex
	tried  time.Time     // guarded by mu; when the last fetch began
	flight chan struct{} // guarded by mu; closed when the fetch under way is over; nil: none is
}

type setState struct {
	sum  [32]byte // of the text
	at   time.Time
	keys []*setKey
}

type setKey struct {
	trust
	kid    string
	alg    string
	public crypto.PublicKey
	print  string // thumbprint: two are the same key when these are equal
}

func newKeySet(cfg IssuerConfig, now func() time.Time, log *slog.Logger, m *metrics) *keySet {
	return &keySet{
		cfg: cfg, now: now, log: log, metrics: m,
		client: &http.Client{
			Timeout: fetchTime,
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: fetchTime, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
				MaxResponseHeaderBytes: 16 << 10, ForceAttemptHTTP2: true,
			},
			CheckRedirect: func(r *http.Request, via []*http.Request) error {
				if len(via) > maxRedirect {
					return errors.New("it redirects too often")
				}
				return checkURL(r.URL)
			},
		},
	}
}

func isURL(source string) bool { return strings.Contains(source, "://") }

// checkSource says whether keys may come from there.
func checkSource(source string) error {
	if !isURL(source) {
		return nil
	}
	u, err := url.Parse(source)
	if err != nil {
		return throng.AtField(throng.Invalid, "jwks", "%q is no URL", source)
	}
	if err := checkURL(u); err != nil {
		return throng.AtField(throng.Invalid, "jwks", "%w", err)
	}
	return nil
}

// checkURL lets nobody on the way put keys of his own in: https, or http that
// does not leave the machine.
func checkURL(u *url.URL) error {
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("%s is not https, nor http to this machine", u.Redacted())
	}
	return nil
}

// find returns the key of that name for that algorithm. A key that is not known
// is looked for at the issuer, once per MinRefresh however many ask. Without a
// name, it is the only key of that algorithm.
func (s *keySet) find(ctx context.Context, kid, alg string) (*setKey, error) {
	if key := s.load().find(kid, alg); key != nil {
		return key, nil
	}
	if s.await(ctx) {
		if key := s.load().find(kid, alg); key != nil {
			return key, nil
		}
	}
	if s.load() == nil {
		return nil, throng.RetryLater(throng.Unavailable, time.Second, "the keys of the token's issuer cannot be had now")
	}
	return nil, errUnknownKey
}

// await waits for the fetch that is under way, or for one of its own when it may
// begin one. False: neither, or too many wait.
func (s *keySet) await(ctx context.Context) bool {
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		return false
	}
	defer s.waiting.Add(-1)
	done := s.join(ctx, s.cfg.MinRefresh)
	if done == nil {
		return false
	}
	select {
	case <-done:
	case <-time.After(findTime):
	case <-ctx.Done():
	}
	return true
}

// join returns the end of the fetch that is under way, or of a new one if the
// last one began so long ago; else nil.
func (s *keySet) join(ctx context.Context, pause time.Duration) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight
	}
	now := s.now()
	if !s.tried.IsZero() && now.Sub(s.tried) < pause {
		return nil
	}
	done := make(chan struct{})
	s.tried, s.flight = now, done
	go func() { // ends within fetchTime, whoever waits for it
		s.update(context.WithoutCancel(ctx))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flight = nil
		close(done)
	}()
	return done
}

// load returns the keys if they still count.
func (s *keySet) load() *setState {
	state := s.state.Load()
	if state == nil || s.now().Sub(state.at) > s.cfg.MaxStale {
		return nil
	}
	return state
}

func (s *setState) find(kid, alg string) *setKey {
	if s == nil {
		return nil
	}
	var found *setKey
	for _, k := range s.keys {
		if k.alg != alg || kid != "" && k.kid != kid {
			continue
		}
		if found != nil {
			return nil // two could be meant
		}
		found = k
	}
	return found
}

// refresh fetches the keys and waits for it until ctx ends.
func (s *keySet) refresh(ctx context.Context) {
	select {
	case <-s.join(ctx, 0):
	case <-ctx.Done():
	}
}

// update fetches the keys; after an error the last ones stay.
func (s *keySet) update(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	text, err := s.fetch(ctx)
	if err == nil {
		err = s.take(text)
	}
	result := "ok"
	if err != nil {
		result = "failed"
		s.log.WarnContext(ctx, "keys of an issuer were not fetched, the last ones stay", "issuer", s.cfg.Issuer, "err", err)
	}
	s.metrics.refreshes.WithLabelValues(s.cfg.Issuer, result).Inc()
}

// run fetches at the start and from time to time until ctx ends.
func (s *keySet) run(ctx context.Context) {
	for {
		s.refresh(ctx)
		pause := s.cfg.Refresh
		if state := s.state.Load(); state == nil || s.now().Sub(state.at) > fetchTime {
			pause = min(pause, retryTime)
		}
		select {
		case <-ctx.Done():
			s.client.CloseIdleConnections()
			return
		case <-time.After(pause):
		}
		if s.load() == nil { // what they signed counts no more, also where it is remembered
			for _, k := range s.state.Load().all() {
				k.gone.Store(true)
			}
		}
	}
}

func (s *keySet) fetch(ctx context.Context) ([]byte, error) {
	if !isURL(s.cfg.JWKS) {
		f, err := os.Open(s.cfg.JWKS)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // nothing was written to it
		return readKeys(f)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.JWKS, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is HTTP status %d", resp.StatusCode)
	}
	return readKeys(resp.Body)
}

func readKeys(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxJWKS+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxJWKS {
		return nil, fmt.Errorf("it is larger than %d bytes", maxJWKS)
	}
	return text, nil
}

// take makes the keys of a JWKS the issuer's. A key that was there before stays
// the same one, so that what it signed stays remembered.
func (s *keySet) take(text []byte) error {
	sum := sha256.Sum256(text)
	old := s.state.Load()
	if old != nil && old.sum == sum && s.now().Sub(old.at) <= s.cfg.MaxStale {
		s.state.Store(&setState{sum: sum, at: s.now(), keys: old.keys})
		return nil
	}
	keys, err := parseKeys(text)
	if err != nil {
		return err
	}
	kept := make(map[*setKey]bool)
	for i, k := range keys {
		for _, was := range old.all() {
			if was.kid == k.kid && was.print == k.print && was.alg == k.alg && !was.gone.Load() {
				keys[i], kept[was] = was, true
			}
		}
	}
	s.state.Store(&setState{sum: sum, at: s.now(), keys: keys})
	for _, was := range old.all() {
		if !kept[was] {
			was.gone.Store(true)
		}
	}
	return nil
}

func (s *setState) all() []*setKey {
	if s == nil {
		return nil
	}
	return s.keys
}

// parseKeys returns the public keys that can be used; others are none of ours.
func parseKeys(text []byte) ([]*setKey, error) {
	if n := bytes.Count(text, []byte(`"kty"`)); n > maxKeys {
		return nil, fmt.Errorf("it has more than %d keys", maxKeys)
	}
	set, err := jwk.Parse(text, jwk.WithIgnoreParseError(true))
	if err != nil {
		return nil, fmt.Errorf("it is no JWKS: %w", err)
	}
	var keys []*setKey
	for i := range min(set.Len(), maxKeys) {
		if key, ok := set.Key(i); ok {
			if use := usable(key); use != nil {
				keys = append(keys, use)
			}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no public key for EdDSA, ES256 or RS256")
	}
	return keys, nil
}

// publicOf returns a public key; nil: it is none, but a private one or a shared
// secret, or of another kind.
func publicOf(key jwk.Key) crypto.PublicKey {
	switch key.(type) {
	case jwk.ECDSAPublicKey: // before the next, whose methods it has as well
		var public ecdsa.PublicKey
		if jwk.Export(key, &public) == nil {
			return &public
		}
	case jwk.OKPPublicKey:
		var public ed25519.PublicKey
		if jwk.Export(key, &public) == nil && len(public) == ed25519.PublicKeySize {
			return public
		}
	case jwk.RSAPublicKey:
		var public rsa.PublicKey
		if jwk.Export(key, &public) == nil {
			return &public
		}
	}
	return nil
}

// usable returns a key for signatures of ours; nil: it is none.
func usable(key jwk.Key) *setKey {
	if use, ok := key.KeyUsage(); ok && use != "sig" {
		return nil
	}
	public := publicOf(key)
	alg := algOf(public)
	if alg == "" {
		return nil
	}
	if said, ok := key.Algorithm(); ok && said.String() != alg && (said.String() != "Ed25519" || alg != "EdDSA") {
		return nil
	}
	thumb, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil
	}
	kid, _ := key.KeyID()
	return &setKey{kid: kid, alg: alg, public: public, print: string(thumb)}
}
