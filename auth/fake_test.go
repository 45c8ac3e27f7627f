package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/throng-gg/throng"
)

const (
	serverA  = throng.ServerID("srv_local_0123456789abcdef")
	sessionA = throng.SessionID("ses_local_000123456789abcdef")
	nodeA    = throng.NodeID("nod_local_0123456789abcdef")
)

// secretsOf is a region's secrets, to be changed: each is its number, 32 times.
type secretsOf struct {
	mu      sync.Mutex
	secrets []Secret
	err     error
	reads   int
}

func (s *secretsOf) Secrets() ([]Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	return s.secrets, s.err
}

func (s *secretsOf) set(err error, secrets ...Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets, s.err = secrets, err
}

func secret(number int, since time.Time) Secret {
	return Secret{Number: number, Bytes: [32]byte(bytes.Repeat([]byte{byte(number)}, 32)), Since: since}
}

func testRing(tb testing.TB, numbers ...int) *Ring {
	tb.Helper()
	s := &secretsOf{}
	for _, n := range numbers {
		s.secrets = append(s.secrets, secret(n, time.Time{}))
	}
	return ringOn(tb, RingConfig{Secrets: s})
}

func ringOn(tb testing.TB, cfg RingConfig) *Ring {
	tb.Helper()
	r, err := NewRing(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// studio is an issuer: it signs tokens and serves its keys.
type studio struct {
	tb   testing.TB
	http *httptest.Server

	asked atomic.Int64

	mu     sync.Mutex
	keys   map[string]crypto.Signer // by kid
	answer http.HandlerFunc         // in place of the keys
}

func newStudio(tb testing.TB) *studio {
	tb.Helper()
	s := &studio{tb: tb, keys: map[string]crypto.Signer{}}
	s.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		_, _ = w.Write(s.jwks())
	}))
	tb.Cleanup(s.http.Close)
	return s
}

func (s *studio) say(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// add makes a key for an algorithm.
func (s *studio) add(kid, alg string) crypto.Signer {
	s.tb.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[kid] = key
	return key
}

func (s *studio) remove(kid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, kid)
}

// jwks is the keys as they are published.
func (s *studio) jwks() []byte {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	set := jwk.NewSet()
	for kid, key := range s.keys {
		public, err := jwk.Import(key.Public())
		if err == nil {
			err = public.Set(jwk.KeyIDKey, kid)
		}
		if err == nil {
			err = set.AddKey(public)
		}
		if err != nil {
			s.tb.Error(err)
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		s.tb.Error(err)
	}
	return text
}

// config is what a door knows of the studio.
func (s *studio) config() IssuerConfig {
	return IssuerConfig{Issuer: "https://studio.example", JWKS: s.http.URL, Audience: []string{"game"}, MinRefresh: 100 * time.Millisecond}
}

// token signs claims with a key; good ones for nil.
func (s *studio) token(kid string, change func(t *jwt.Token, c jwt.MapClaims)) string {
	s.tb.Helper()
	s.mu.Lock()
	key := s.keys[kid]
	s.mu.Unlock()
	return sign(s.tb, key, kid, change)
}

func sign(tb testing.TB, key crypto.Signer, kid string, change func(t *jwt.Token, c jwt.MapClaims)) string {
	tb.Helper()
	c := jwt.MapClaims{
		"iss": "https://studio.example", "aud": []string{"game", "shop"}, "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(),
	}
	method := map[string]jwt.SigningMethod{"EdDSA": jwt.SigningMethodEdDSA, "ES256": jwt.SigningMethodES256, "RS256": jwt.SigningMethodRS256}[algOf(key.Public())]
	if method == nil {
		method = jwt.SigningMethodES384
	}
	t := jwt.NewWithClaims(method, c)
	t.Header["kid"] = kid
	if change != nil {
		change(t, c)
	}
	text, err := t.SignedString(key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// authOn makes an Auth over a ring of one secret.
func authOn(tb testing.TB, issuers ...IssuerConfig) *Auth {
	tb.Helper()
	a, err := New(Config{Ring: testRing(tb, 7), Issuers: issuers})
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func wantDenied(t *testing.T, what string, c throng.Caller, err error) {
	t.Helper()
	if err == nil || throng.KindOf(err) != throng.Denied || c != (throng.Caller{}) {
		t.Errorf("%s: got %+v, %v, want denied", what, c, err)
	}
}
