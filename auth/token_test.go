package auth

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/throng-gg/throng"
)

func TestKeysRoundTrip(t *testing.T) {
	keys := testRing(t, 7)
	again := testRing(t, 7)
	make1 := func(token string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	replica := throng.MakeReplicaID("local", throng.Entropy{7})
	for _, c := range []struct {
		token string
		want  throng.Caller
	}{
		{make1(keys.PlayerToken("ada", throng.RolePlayer, time.Hour)), throng.Caller{Role: throng.RolePlayer, Player: "ada"}},
		{make1(keys.PlayerToken("cleo", throng.RoleCreator, time.Hour)), throng.Caller{Role: throng.RoleCreator, Player: "cleo"}},
		{make1(keys.PlayerToken("op", throng.RoleOperator, time.Hour)), throng.Caller{Role: throng.RoleOperator, Player: "op"}},
		{make1(keys.ServerToken(serverA, sessionA)), throng.Caller{Role: throng.RoleServer, Server: serverA, Session: sessionA}},
		{make1(keys.EnrollToken(serverA)), throng.Caller{Role: throng.RoleServer, Server: serverA}},
		{make1(keys.NodeToken(nodeA)), throng.Caller{Role: throng.RoleNode, Node: nodeA}},
		{make1(keys.RegionToken("eu")), throng.Caller{Role: throng.RoleRegion, Region: "eu"}},
		{make1(keys.ReplicaToken(replica)), throng.Caller{Role: throng.RoleReplica, Replica: replica}},
	} {
		got, err := again.Verify(c.token)
		if err != nil {
			t.Fatalf("%s: %v", c.want.Role, err)
		}
		if time.Until(got.Expires) < time.Minute {
			t.Errorf("%s: expires %v", c.want.Role, got.Expires)
		}
		got.Expires = time.Time{}
		if got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
	}
}

func TestKeysRefuseToSign(t *testing.T) {
	keys := testRing(t, 7)
	for name, sign := range map[string]func() (string, error){
		"bad player":         func() (string, error) { return keys.PlayerToken("a b", throng.RolePlayer, time.Hour) },
		"player as server":   func() (string, error) { return keys.PlayerToken("ada", throng.RoleServer, time.Hour) },
		"unknown role":       func() (string, error) { return keys.PlayerToken("ada", "root", time.Hour) },
		"no time":            func() (string, error) { return keys.PlayerToken("ada", throng.RolePlayer, 0) },
		"too long":           func() (string, error) { return keys.PlayerToken("ada", throng.RolePlayer, 366*24*time.Hour) },
		"server no session":  func() (string, error) { return keys.ServerToken(serverA, "") },
		"bad server":         func() (string, error) { return keys.EnrollToken("ada") },
		"server in a node's": func() (string, error) { return keys.NodeToken(throng.NodeID(serverA)) },
	} {
		if token, err := sign(); throng.KindOf(err) != throng.Invalid || token != "" {
			t.Errorf("%s: got %q, %v, want invalid", name, token, err)
		}
	}
}

// forge signs what the caller likes with a region's real key.
func (k *Ring) forge(t *testing.T, method jwt.SigningMethod, key any, change func(*jwt.Token, *claims)) string {
	t.Helper()
	c := &claims{Role: throng.RolePlayer, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: issuerName, Subject: "ada", Audience: jwt.ClaimStrings{audience(throng.RolePlayer)},
		ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}}
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = k.Signing().kid
	if change != nil {
		change(token, c)
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func forgeries(t *testing.T, keys *Ring) map[string]string {
	t.Helper()
	_, foreign, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other := testRing(t, 8)
	good := keys.forge(t, jwt.SigningMethodEdDSA, keys.Signing().private, nil)
	if _, err := keys.Verify(good); err != nil {
		t.Fatalf("the pattern of forgeries itself: %v", err)
	}
	part := strings.Split(good, ".")
	ours := func(change func(*jwt.Token, *claims)) string {
		return keys.forge(t, jwt.SigningMethodEdDSA, keys.Signing().private, change)
	}
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	tampered := base64.RawURLEncoding.EncodeToString(bytes.Replace(payload, []byte("player"), []byte("operator"), 1))
	return map[string]string{
		"empty":                     "",
		"garbage":                   "a.b.c",
		"alg none":                  keys.forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"HS256 with our public key": keys.forge(t, jwt.SigningMethodHS256, []byte(keys.Signing().public), nil),
		"foreign key, our kid":      keys.forge(t, jwt.SigningMethodEdDSA, foreign, nil),
		"another region's":          other.forge(t, jwt.SigningMethodEdDSA, other.Signing().private, nil),
		"unknown kid":               ours(func(tk *jwt.Token, _ *claims) { tk.Header["kid"] = "0" }),
		"no kid":                    ours(func(tk *jwt.Token, _ *claims) { delete(tk.Header, "kid") }),
		"expired":                   ours(func(_ *jwt.Token, c *claims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Second)) }),
		"no expiry":                 ours(func(_ *jwt.Token, c *claims) { c.ExpiresAt = nil }),
		"wrong issuer":              ours(func(_ *jwt.Token, c *claims) { c.Issuer = "else" }),
		"no audience":               ours(func(_ *jwt.Token, c *claims) { c.Audience = nil }),
		"a server's audience":       ours(func(_ *jwt.Token, c *claims) { c.Audience = jwt.ClaimStrings{audience(throng.RoleServer)} }),
		"two audiences":             ours(func(_ *jwt.Token, c *claims) { c.Audience = append(c.Audience, "else") }),
		"a server's role":           ours(func(_ *jwt.Token, c *claims) { c.Role = throng.RoleServer }),
		"unknown role":              ours(func(_ *jwt.Token, c *claims) { c.Role = "root" }),
		"no role":                   ours(func(_ *jwt.Token, c *claims) { c.Role = "" }),
		"no subject":                ours(func(_ *jwt.Token, c *claims) { c.Subject = "" }),
		"bad subject":               ours(func(_ *jwt.Token, c *claims) { c.Subject = "a b" }),
		"too long":                  ours(func(_ *jwt.Token, c *claims) { c.ID = strings.Repeat("x", maxTokenSize) }),
		"tampered":                  part[0] + "." + tampered + "." + part[2],
		"signature cut":             good[:len(good)-4],
		"signature elsewhere":       part[0] + "." + part[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
	}
}

func TestVerifyRefuses(t *testing.T) {
	keys := testRing(t, 7)
	for name, token := range forgeries(t, keys) {
		caller, err := keys.Verify(token)
		if throng.KindOf(err) != throng.Denied || caller != (throng.Caller{}) {
			t.Errorf("%s: got %+v, %v, want denied", name, caller, err)
		}
		if err == nil {
			continue
		}
		if expired := strings.Contains(err.Error(), "expired"); expired != (name == "expired") {
			t.Errorf("%s: got %q", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	keys := testRing(f, 7)
	good, err := keys.PlayerToken("ada", throng.RolePlayer, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a.b.c")
	f.Add(good[:len(good)-1])
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Fuzz(func(t *testing.T, token string) {
		if token == good {
			return
		}
		if caller, err := keys.Verify(token); throng.KindOf(err) != throng.Denied || err == nil {
			t.Errorf("got %+v, %v, want denied", caller, err)
		}
	})
}
