package auth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/throng-gg/throng"
)

func TestIssuerTokens(t *testing.T) {
	s := newStudio(t)
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		s.add(alg, alg)
	}
	cfg := s.config()
	cfg.RoleClaim, cfg.Roles = "groups", map[string]throng.Role{"makers": throng.RoleCreator, "staff": throng.RoleOperator}
	a := authOn(t, cfg)
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		c, err := a.Authenticate(t.Context(), s.token(alg, nil))
		if err != nil || c.Player != "ada" || c.Role != throng.RolePlayer || c.Friends != nil {
			t.Errorf("%s: got %+v, %v", alg, c, err)
		}
	}
	for groups, want := range map[string]throng.Role{"staff": throng.RoleOperator, "makers": throng.RoleCreator, "operator": throng.RolePlayer, "": throng.RolePlayer} {
		for name, value := range map[string]any{"text": groups, "list": []string{"x", groups}} {
			token := s.token("EdDSA", func(_ *jwt.Token, c jwt.MapClaims) { c["groups"], c["role"] = value, "operator" })
			if c, err := a.Authenticate(t.Context(), token); err != nil || c.Role != want {
				t.Errorf("%q as %s: got %+v, %v, want %s", groups, name, c, err, want)
			}
		}
	}
	c, err := a.Authenticate(t.Context(), s.token("EdDSA", func(_ *jwt.Token, c jwt.MapClaims) { c["friends"] = []any{"bo", "no one", 7} }))
	if err != nil || c.Friends == nil || len(*c.Friends) != 1 || (*c.Friends)[0] != "bo" {
		t.Errorf("friends: got %+v, %v", c, err)
	}
	c, err = a.Authenticate(t.Context(), s.token("EdDSA", func(_ *jwt.Token, c jwt.MapClaims) {
		c["attributes"] = map[string]any{"skill": 7, "odd": []any{1}, "none": ""}
	}))
	if err != nil || c.Attributes == nil || len(*c.Attributes) != 1 || (*c.Attributes)[0] != (throng.Attribute{Name: "skill", Number: 7}) {
		t.Errorf("attributes: got %+v, %v", c, err)
	}
	// The region's own tokens are good beside them.
	if c, err := a.Authenticate(t.Context(), playerToken(t, a.ring)); err != nil || c.Player != "ada" {
		t.Errorf("the region's: got %+v, %v", c, err)
	}
}

func TestIssuerRefuses(t *testing.T) {
	s := newStudio(t)
	ed := s.add("ed", "EdDSA")
	s.add("rsa", "RS256")
	s.add("p384", "ES384")
	cfg := s.config()
	cfg.Algorithms = []string{"EdDSA"}
	all, one := authOn(t, s.config()), authOn(t, cfg)
	ours := func(change func(*jwt.Token, jwt.MapClaims)) string { return s.token("ed", change) }
	foreign := newStudio(t).add("ed", "EdDSA")
	public := s.keys["rsa"].Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	// confused signs with the public key as a shared secret, as it is published.
	confused := func(alg jwt.SigningMethod, key any) string {
		tk := jwt.NewWithClaims(alg, jwt.MapClaims{"iss": cfg.Issuer, "aud": "game", "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "role": "operator"})
		tk.Header["kid"] = "rsa"
		text, err := tk.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	claim := func(name string, value any) string {
		return ours(func(_ *jwt.Token, c jwt.MapClaims) { c[name] = value })
	}
	good := ours(nil)
	for _, pattern := range []string{good, s.token("rsa", nil)} {
		if _, err := all.Authenticate(t.Context(), pattern); err != nil {
			t.Fatalf("the pattern of forgeries itself: %v", err)
		}
	}
	for name, token := range map[string]string{
		"foreign key, known kid":      sign(t, foreign, "ed", nil),
		"another's kid":               sign(t, ed, "rsa", nil),
		"unknown kid":                 sign(t, foreign, "new", nil),
		"alg none":                    confused(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"HS256 with the public key":   confused(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HS512 with the public key":   confused(jwt.SigningMethodHS512, der),
		"ES384":                       s.token("p384", nil),
		"PS256 with the RS256 key":    confused(jwt.SigningMethodPS256, s.keys["rsa"]),
		"RS512 with the RS256 key":    confused(jwt.SigningMethodRS512, s.keys["rsa"]),
		"wrong audience":              claim("aud", "shop"),
		"no audience":                 claim("aud", nil),
		"wrong issuer":                claim("iss", "https://else.example"),
		"the region as issuer":        claim("iss", "throng"),
		"no issuer":                   claim("iss", nil),
		"no expiry":                   claim("exp", nil),
		"expired past the leeway":     claim("exp", time.Now().Add(-40*time.Second).Unix()),
		"not yet past the leeway":     claim("nbf", time.Now().Add(40*time.Second).Unix()),
		"no player":                   claim("sub", nil),
		"empty player":                claim("sub", ""),
		"a player that is none":       claim("sub", "a b"),
		"a player that is too long":   claim("sub", strings.Repeat("a", 65)),
		"a number for a player":       claim("sub", 7),
		"too long":                    claim("x", strings.Repeat("x", maxTokenSize)),
		"an expiry that is no number": claim("exp", "tomorrow"),
	} {
		c, err := all.Authenticate(t.Context(), token)
		wantDenied(t, name, c, err)
		if err != nil && strings.Contains(err.Error(), "expired") != strings.HasPrefix(name, "expired") {
			t.Errorf("%s: got %q", name, err)
		}
		if _, ok := all.Known(token); ok {
			t.Errorf("%s: it is remembered", name)
		}
	}
	c, err := one.Authenticate(t.Context(), s.token("rsa", nil))
	wantDenied(t, "an algorithm that is not allowed", c, err)
}

func TestLeeway(t *testing.T) {
	s := newStudio(t)
	s.add("ed", "EdDSA")
	within := map[string]string{
		"expired": s.token("ed", func(_ *jwt.Token, c jwt.MapClaims) { c["exp"] = time.Now().Add(-20 * time.Second).Unix() }),
		"not yet": s.token("ed", func(_ *jwt.Token, c jwt.MapClaims) { c["nbf"] = time.Now().Add(20 * time.Second).Unix() }),
	}
	usual, strict := s.config(), s.config()
	strict.Leeway = -1
	for name, token := range within {
		if _, err := authOn(t, usual).Authenticate(t.Context(), token); err != nil {
			t.Errorf("%s within 30 s: got %v", name, err)
		}
		c, err := authOn(t, strict).Authenticate(t.Context(), token)
		wantDenied(t, name+" without leeway", c, err)
	}
}

func TestIssuersKeepTheirPlayersApart(t *testing.T) {
	a, b := newStudio(t), newStudio(t)
	a.add("a", "EdDSA")
	b.add("b", "EdDSA")
	of := func(s *studio, issuer, prefix string) IssuerConfig {
		cfg := s.config()
		cfg.Issuer, cfg.PlayerPrefix = issuer, prefix
		return cfg
	}
	as := func(s *studio, kid, issuer, sub string) string {
		return s.token(kid, func(_ *jwt.Token, c jwt.MapClaims) { c["iss"], c["sub"] = issuer, sub })
	}
	who := authOn(t, of(a, "a", ""), of(b, "b", "steam:"))
	if c, err := who.Authenticate(t.Context(), as(b, "b", "b", "ada")); err != nil || c.Player != "steam:ada" {
		t.Errorf("got %+v, %v, want steam:ada", c, err)
	}
	if c, err := who.Authenticate(t.Context(), as(a, "a", "a", "ada")); err != nil || c.Player != "ada" {
		t.Errorf("got %+v, %v, want ada", c, err)
	}
	c, err := who.Authenticate(t.Context(), as(a, "a", "a", "steam:ada"))
	wantDenied(t, "one issuer's player of another's name", c, err)
	c, err = who.Authenticate(t.Context(), as(b, "b", "a", "ada"))
	wantDenied(t, "one issuer's token signed by another", c, err)
}

func TestIssuerConfigIsChecked(t *testing.T) {
	good := IssuerConfig{Issuer: "i", JWKS: "https://i.example/keys", Audience: []string{"game"}}
	for want, change := range map[string]func(*IssuerConfig){
		"issuer":        func(c *IssuerConfig) { c.Issuer = "" },
		"region itself": func(c *IssuerConfig) { c.Issuer = "throng" },
		"jwks: is":      func(c *IssuerConfig) { c.JWKS = "" },
		"is not https":  func(c *IssuerConfig) { c.JWKS = "http://i.example/keys" },
		"ftp":           func(c *IssuerConfig) { c.JWKS = "ftp://127.0.0.1/keys" },
		"audience":      func(c *IssuerConfig) { c.Audience = nil },
		"leeway":        func(c *IssuerConfig) { c.Leeway = time.Hour },
		"HS256":         func(c *IssuerConfig) { c.Algorithms = []string{"HS256"} },
		`"none"`:        func(c *IssuerConfig) { c.Algorithms = []string{"none"} },
		"role_claim":    func(c *IssuerConfig) { c.Roles = map[string]throng.Role{"x": throng.RoleCreator} },
		"roles":         func(c *IssuerConfig) { c.RoleClaim, c.Roles = "r", map[string]throng.Role{"x": throng.RoleServer} },
		"player_prefix": func(c *IssuerConfig) { c.PlayerPrefix = "a b" },
	} {
		cfg := good
		change(&cfg)
		_, err := New(Config{Ring: testRing(t, 1), Issuers: []IssuerConfig{cfg}})
		if err == nil || throng.KindOf(err) != throng.Invalid || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "issuers[0]") {
			t.Errorf("%s: got %v", want, err)
		}
	}
	other := good
	other.Issuer = "j"
	for _, pair := range [][2]IssuerConfig{{good, good}, {good, other}} {
		if _, err := New(Config{Ring: testRing(t, 1), Issuers: pair[:]}); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%v: got %v, want invalid", pair, err)
		}
	}
	for _, local := range []string{"http://127.0.0.1:1/x", "http://[::1]/x", "http://localhost/x", "/keys.json"} {
		if err := checkSource(local); err != nil {
			t.Errorf("%s: got %v", local, err)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	s := newStudio(t)
	s.add("one", "EdDSA")
	a := authOn(t, s.config())
	old := s.token("one", nil)
	if _, err := a.Authenticate(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	s.add("two", "ES256")
	fresh := s.token("two", nil)
	<-time.After(a.issuers["https://studio.example"].cfg.MinRefresh) // the pause since the first fetch
	if _, err := a.Authenticate(t.Context(), fresh); err != nil {
		t.Errorf("a new key: got %v, want it fetched", err)
	}
	if _, ok := a.Known(old); !ok {
		t.Error("the old key is still there: want its token remembered")
	}
	s.remove("one")
	keys := a.issuers["https://studio.example"].keys
	keys.refresh(t.Context())
	if _, ok := a.Known(old); ok {
		t.Error("the old key is gone: want its token forgotten")
	}
	c, err := a.Authenticate(t.Context(), old)
	wantDenied(t, "a removed key", c, err)
	if _, ok := a.Known(fresh); !ok {
		t.Error("want the new key's token remembered")
	}
	// The same name with another key is another key.
	s.add("two", "ES256")
	keys.refresh(t.Context())
	if _, ok := a.Known(fresh); ok {
		t.Error("the key was replaced: want its token forgotten")
	}
}

func TestIssuerAway(t *testing.T) {
	s := newStudio(t)
	s.add("one", "EdDSA")
	s.say(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusBadGateway) })
	a := authOn(t, s.config())
	token, pause := s.token("one", nil), a.issuers["https://studio.example"].cfg.MinRefresh
	if _, err := a.Authenticate(t.Context(), token); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("never had: got %v, want unavailable", err)
	}
	s.say(nil)
	<-time.After(pause)
	if _, err := a.Authenticate(t.Context(), token); err != nil {
		t.Fatalf("back: got %v", err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // that it is too small is the test
	if err != nil {
		t.Fatal(err)
	}
	small := fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"one","e":"AQAB","n":"%s"}]}`, strings.TrimRight(b64(private.N.Bytes()), "="))
	keys := a.issuers["https://studio.example"].keys
	for name, answer := range map[string]string{
		"garbage": "<html>", "empty": "", "no keys": `{"keys":[]}`, "null": "null", "a shared secret": `{"keys":[{"kty":"oct","kid":"one","k":"c2VjcmV0"}]}`,
		"an RSA key that is too small": small, "oversized": `{"keys":[], "x":"` + strings.Repeat("x", maxJWKS) + `"}`,
		"too many keys":  `{"keys":[` + strings.Repeat(`{"kty":"oct","k":"eA"},`, maxKeys) + `{"kty":"oct","k":"eA"}]}`,
		"for encryption": strings.Replace(string(s.jwks()), `"kty"`, `"use":"enc","kty"`, 1),
		"deep":           strings.Repeat("[", 100_000),
	} {
		s.say(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) })
		keys.refresh(t.Context())
		if _, err := keys.find(t.Context(), "one", "EdDSA"); err != nil {
			t.Errorf("%s: got %v, want the last good keys to stay", name, err)
		}
	}
	s.say(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.2.1/keys", http.StatusFound)
	})
	keys.refresh(t.Context())
	if _, err := keys.find(t.Context(), "one", "EdDSA"); err != nil {
		t.Errorf("a redirect away from https: got %v, want the last good keys to stay", err)
	}
}

// TestKeysThatCannotBeUsedAreLeftOut: one strange key spoils no set.
func TestKeysThatCannotBeUsedAreLeftOut(t *testing.T) {
	s := newStudio(t)
	s.add("one", "EdDSA")
	s.add("p384", "ES384")
	text := strings.Replace(string(s.jwks()), `"keys":[`, `"keys":[{"kty":"XYZ","kid":"x"},{"kty":"oct","kid":"y","k":"c2VjcmV0"},`, 1)
	keys, err := parseKeys([]byte(text))
	if err != nil || len(keys) != 1 || keys[0].kid != "one" {
		t.Errorf("got %d keys, %v, want one", len(keys), err)
	}
}

func TestOldKeysExpire(t *testing.T) {
	s := newStudio(t)
	s.add("one", "EdDSA")
	clock := &movable{}
	a, err := New(Config{Ring: testRing(t, 7), Issuers: []IssuerConfig{s.config()}, Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	long := s.token("one", func(_ *jwt.Token, c jwt.MapClaims) { c["exp"] = time.Now().Add(72 * time.Hour).Unix() })
	if _, err := a.Authenticate(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	s.say(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusBadGateway) })
	clock.move(23 * time.Hour)
	if _, err := a.Authenticate(t.Context(), long); err != nil {
		t.Errorf("away for 23 h: got %v", err)
	}
	clock.move(2 * time.Hour)
	if _, err := a.Authenticate(t.Context(), long); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("away for 25 h: got %v, want unavailable", err)
	}
}

// TestUnknownKeysAreAFewFetches: a flood of names that nobody knows does not
// become one of calls to the issuer, also not while it is slow.
func TestUnknownKeysAreAFewFetches(t *testing.T) {
	s := newStudio(t)
	s.add("one", "EdDSA")
	cfg := s.config()
	cfg.MinRefresh = time.Hour
	a := authOn(t, cfg)
	good := s.token("one", nil)
	if _, err := a.Authenticate(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	foreign := newStudio(t).add("x", "EdDSA")
	var group sync.WaitGroup
	for i := range 500 {
		token := sign(t, foreign, fmt.Sprint("kid", i), nil)
		group.Go(func() {
			c, err := a.Authenticate(context.WithoutCancel(t.Context()), token)
			wantDenied(t, "a flood", c, err)
		})
	}
	group.Wait()
	if got := s.asked.Load(); got != 1 {
		t.Errorf("the issuer was asked %d times, want once", got)
	}
}

func TestSlowIssuer(t *testing.T) {
	s := newStudio(t)
	s.add("one", "EdDSA")
	release := make(chan struct{})
	s.say(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		_, _ = w.Write(s.jwks())
	})
	a := authOn(t, s.config())
	token := s.token("one", nil)
	const callers = maxWaiting + 50
	answers := make(chan error, callers)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			_, err := a.Authenticate(context.WithoutCancel(t.Context()), token)
			answers <- err
		})
	}
	for range callers - maxWaiting { // who finds no room to wait is answered at once
		if err := <-answers; throng.KindOf(err) != throng.Unavailable || err == nil {
			t.Errorf("over the bound: got %v, want unavailable", err)
		}
	}
	close(release)
	group.Wait()
	good := 0
	for range maxWaiting {
		if <-answers == nil {
			good++
		}
	}
	if good != maxWaiting || s.asked.Load() != 1 {
		t.Errorf("%d of %d who waited got in, the issuer was asked %d times; want all, and once", good, maxWaiting, s.asked.Load())
	}
}

func TestKeysFromAFile(t *testing.T) {
	s := newStudio(t)
	s.add("one", "EdDSA")
	name := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(name, s.jwks(), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := s.config()
	cfg.JWKS = name
	a := authOn(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Run(ctx) // it returns nil
	}()
	if c, err := a.Authenticate(t.Context(), s.token("one", nil)); err != nil || c.Player != "ada" {
		t.Errorf("got %+v, %v", c, err)
	}
	cancel()
	<-done
}

func FuzzIssuer(f *testing.F) {
	s := newStudio(f)
	s.add("one", "EdDSA")
	cfg := s.config()
	cfg.MinRefresh = time.Hour
	a := authOn(f, cfg)
	good := s.token("one", nil)
	f.Add(good[:len(good)-1])
	f.Add("a.b.c")
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Fuzz(func(t *testing.T, token string) {
		if token == good {
			return
		}
		if c, err := a.Authenticate(t.Context(), token); err == nil || throng.KindOf(err) != throng.Denied && throng.KindOf(err) != throng.Unavailable {
			t.Errorf("got %+v, %v, want denied", c, err)
		}
	})
}

func FuzzJWKS(f *testing.F) {
	s := newStudio(f)
	s.add("one", "EdDSA")
	s.add("two", "ES256")
	f.Add(s.jwks())
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err == nil && (len(keys) == 0 || len(keys) > maxKeys) {
			t.Errorf("got %d keys", len(keys))
		}
		for _, k := range keys {
			if methodOf(k.alg) == nil || algOf(k.public) != k.alg {
				t.Errorf("key %q is for %q", k.kid, k.alg)
			}
		}
	})
}
