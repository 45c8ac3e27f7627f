package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/cmd/command"
)

// metric reads one number of a region's /metrics; -1: it is not there.
func (r *region) metric(name string) float64 {
	r.t.Helper()
	for _, line := range r.metricLines() {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				return v
			}
		}
	}
	return -1
}

// metricLines is all that a control plane measures; none: it does not answer.
func (r *region) metricLines() []string {
	r.t.Helper()
	resp, err := http.Get(r.url + "/metrics") //nolint:noctx // bounded by the test binary's own timeout
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// TestRotationUnderPlayers: the region's secret is rotated while a crowd plays
// on a node. Nobody loses his seat, connections come back with reconnect tokens
// of the old secret, a private session's code stays, new sessions use the new
// secret, and an old one is retired only when nothing needs it any more.
func TestRotationUnderPlayers(t *testing.T) {
	t.Parallel()
	exe := throngBinary(t)
	data, addr := filepath.Join(t.TempDir(), "data"), freePort(t)
	control := start(t, exe, "serve", "control", "--addr", addr, "--data", data, "--dev", "--secret-delay", "1s")
	control.line("listens at", 30*time.Second)
	r := newRegion(t, control, "http://"+addr, data)
	node := start(t, exe, "serve", "node", "--addr", r.url, "--token-file", filepath.Join(data, "node.token"), "--data", filepath.Join(t.TempDir(), "node"))
	node.line("node serves", 30*time.Second)
	c := newCable(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	crowd := &logBuffer{}
	report := r.crowd(ctx, bot.Config{
		Door: cabledDoor{botDoor{r.door}, c}, Place: "arena", Players: 10, For: 5 * time.Minute, Every: 50 * time.Millisecond,
		Progress: crowd, Capacity: 50,
	})
	r.awaitSeated("arena", 10, 60*time.Second)
	before := r.settled(10)
	host := r.as("host", api.RolePlayer)
	private, err := host.Matchmake(t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: "host", Ticket: "p"}, Place: "starter", Party: []throng.PlayerID{"host"}, Mode: throng.ModePrivate,
	})
	if err != nil || private.Code == "" {
		t.Fatalf("a private session: %+v, %v", private, err)
	}
	earlier, err := r.door.DevToken(t.Context(), "earlier", "operator")
	if err != nil {
		t.Fatal(err)
	}
	oldNode, err := os.ReadFile(filepath.Join(data, "node.token"))
	if err != nil {
		t.Fatal(err)
	}

	if status, out := throngCommand(t, "secret", "rotate", "--data", data); status != 0 || !strings.Contains(out, "secret 2") {
		t.Fatalf("rotate: status %d, %s", status, out)
	}
	if err := control.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the new secret signs", func() bool { return r.metric("throng_auth_ring_signing") == 2 })

	// Everything of the old secret goes on.
	c.move()
	c.cut(7 * time.Second)
	eventually(t, 30*time.Second, "the crowd is back with tokens of the old secret", func() bool { return returned(crowd) >= 10 })
	r.unchanged("after the rotation", before)
	if door, err := r.door.As(earlier.AccessToken); err != nil {
		t.Fatal(err)
	} else if _, err := door.SessionRecord(t.Context(), throng.SessionID(before.ID)); err != nil {
		t.Errorf("an access token of before: %v", err)
	}
	late := r.visit(c, "late", "one") // into the old session, by a token of its own secret
	r.awaitWorld(late, 0, 20*time.Second)
	r.awaitSeated("arena", 11, 20*time.Second)
	friend, err := r.as("friend", api.RolePlayer).JoinPrivate(t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: "friend", Ticket: "p"}, Place: "starter", Party: []throng.PlayerID{"friend"}, Mode: throng.ModePrivate,
	}, private.Code)
	if err != nil || friend.Session != private.Session {
		t.Errorf("by the private session's code: got %+v, %v, want session %s", friend, err, private.Session)
	}

	// New sessions and credentials use the new one.
	r.publish("after", "2", `print("x")`)
	if got := r.bots(t.Context(), bot.Config{Place: "after", Players: 1, For: time.Second}); !got.OK() {
		t.Errorf("in a new session: failed %d, mismatched %d", got.Failed, got.Mismatched)
	}
	for _, s := range r.sessions("") {
		if got, want := throng.SessionID(s.ID).Key(), map[bool]uint8{true: 2, false: 1}[s.Place == "after"]; got != want {
			t.Errorf("session %s of %s needs secret %d, want %d", s.ID, s.Place, got, want)
		}
	}
	eventually(t, 30*time.Second, "the node's credential is renewed", func() bool {
		now, err := os.ReadFile(filepath.Join(data, "node.token"))
		return err == nil && !bytes.Equal(now, oldNode)
	})
	id, err := nodeOf(strings.TrimSpace(string(oldNode)))
	if now, bad := os.ReadFile(filepath.Join(data, "node.token")); err != nil || bad != nil {
		t.Fatal(err, bad)
	} else if again, err := nodeOf(strings.TrimSpace(string(now))); err != nil || again != id {
		t.Errorf("the renewed credential is of %s, %v, want %s", again, err, id)
	}

	// The old one goes when nothing needs it.
	if status, out := throngCommand(t, "secret", "retire", "1", "--data", data, "--addr", r.url); status == 0 || !strings.Contains(out, "need secret 1") {
		t.Errorf("retire while sessions need it: status %d, %s", status, out)
	}
	cancel()
	if got := <-report; !got.OK() || got.Rejoined != 0 || got.Reconnected < 10 {
		t.Errorf("the crowd: failed %d mismatched %d rejoined %d reconnected %d, want 0, 0, 0, at least 10", got.Failed, got.Mismatched, got.Rejoined, got.Reconnected)
	}
	late.leave()
	for _, s := range r.sessions("") {
		if throng.SessionID(s.ID).Key() == 1 {
			if err := r.as("operator", api.RoleOperator).End(t.Context(), throng.SessionID(s.ID), "rotated"); err != nil {
				t.Error(err)
			}
		}
	}
	eventually(t, 30*time.Second, "secret 1 is retired", func() bool {
		status, _ := throngCommand(t, "secret", "retire", "1", "--data", data, "--addr", r.url)
		return status == 0
	})
	eventually(t, 30*time.Second, "the control plane has one secret", func() bool { return r.metric("throng_auth_ring_keys") == 1 })
	if door, err := r.door.As(earlier.AccessToken); err != nil {
		t.Fatal(err)
	} else if _, err := door.SessionRecord(t.Context(), throng.SessionID(before.ID)); throng.KindOf(err) != throng.Denied || err == nil {
		t.Errorf("an access token of the retired secret: got %v, want denied", err)
	}
	// Servers that waited with credentials of the old secret are replaced, and
	// the node has come back with its new one.
	if got := r.bots(t.Context(), bot.Config{Place: "arena", Name: "anew", Players: 3, For: time.Second}); !got.OK() {
		t.Errorf("after the retirement: failed %d, mismatched %d", got.Failed, got.Mismatched)
	}
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes NAME.pem and NAME.key, good for an hour.
func (a *authority) issue(name string, serial int64) {
	a.issueUntil(name, serial, time.Now().Add(time.Hour))
}

// issueUntil is issue for so long.
func (a *authority) issueUntil(name string, serial int64, until time.Time) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".key", "PRIVATE KEY", private)
	a.write(name+".pem", "CERTIFICATE", der)
}

// TestMachinesProveThemselves: behind a door with TLS and a CA for its callers,
// a node and its game servers that show certificates play, one that shows none
// or a stranger's does not; players need none. The door's certificate is
// replaced without a restart.
func TestMachinesProveThemselves(t *testing.T) {
	t.Parallel()
	exe := throngBinary(t)
	ca, stranger := newAuthority(t, "the region's"), newAuthority(t, "a stranger's")
	ca.issue("door", 2)
	ca.issue("node", 3)
	stranger.issue("node", 4)
	data, addr := filepath.Join(t.TempDir(), "data"), freePort(t)
	control := start(
		t, exe, "serve", "control", "--addr", addr, "--data", data, "--dev",
		"--tls-cert", ca.file("door.pem"), "--tls-key", ca.file("door.key"), "--client-ca", ca.file("ca.pem"),
	)
	control.line("listens at https://", 30*time.Second)
	node := func(args ...string) *program {
		args = append([]string{
			"serve", "node", "--addr", "https://" + addr, "--token-file", filepath.Join(data, "node.token"), "--data", filepath.Join(t.TempDir(), "node"),
		}, args...)
		return start(t, exe, args...)
	}
	for name, args := range map[string][]string{
		"does not know the door": {"--client-cert", ca.file("node.pem"), "--client-key", ca.file("node.key")},
		"shows no certificate":   {"--ca", ca.file("ca.pem")},
		"shows a stranger's":     {"--ca", ca.file("ca.pem"), "--client-cert", stranger.file("node.pem"), "--client-key", stranger.file("node.key")},
	} {
		p := node(args...)
		eventually(t, 30*time.Second, name+": it is refused", func() bool { return strings.Contains(p.logs.String(), "control plane is away") })
		if strings.Contains(p.logs.String(), "connected to the control plane") {
			t.Errorf("a node that %s is let in", name)
		}
		p.stop(syscall.SIGTERM)
	}
	over, err := command.CallFlags{CA: ca.file("ca.pem")}.HTTP(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	door, err := client.New(client.Config{Addr: "https://" + addr, HTTP: over})
	if err != nil {
		t.Fatal(err)
	}
	r := &region{t: t, prog: control, url: "https://" + addr, data: data, door: door}
	good := node("--ca", ca.file("ca.pem"), "--client-cert", ca.file("node.pem"), "--client-key", ca.file("node.key"))
	eventually(t, 30*time.Second, "the node is let in", func() bool { return strings.Contains(good.logs.String(), "connected to the control plane") })
	eventually(t, 60*time.Second, "throng places knows the CA", func() bool { // once the registry is there
		status, out := throngCommand(t, "places", "--addr", r.url, "--ca", ca.file("ca.pem"))
		return status == 0 && strings.Contains(out, "arena")
	})
	if got := r.bots(t.Context(), bot.Config{Place: "arena", Players: 3, For: time.Second}); !got.OK() {
		t.Errorf("players without certificates: failed %d, mismatched %d", got.Failed, got.Mismatched)
	}
	if status, out := throngCommand(t, "places", "--addr", r.url); status == 0 {
		t.Errorf("throng places without the CA: status %d, %s", status, out)
	}
	old := &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // that it is refused is the test
	if conn, err := tls.Dial("tcp", addr, old); err == nil {                                                 //nolint:noctx // on this machine
		_ = conn.Close()
		t.Error("TLS 1.2 is taken")
	}
	shown := func() *big.Int {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec,noctx // what it shows is the test
		if err != nil {
			return nil
		}
		defer func() { _ = conn.Close() }() // nothing was written to it
		return conn.ConnectionState().PeerCertificates[0].SerialNumber
	}
	ca.issue("door", 9)
	eventually(t, 20*time.Second, "the new certificate is shown", func() bool { s := shown(); return s != nil && s.Int64() == 9 })
	if err := os.WriteFile(ca.file("door.pem"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * command.WatchPause) // it is looked at again
	if s := shown(); s == nil || s.Int64() != 9 {
		t.Errorf("while the file is broken: got certificate %v, want the last good one", s)
	}
}

// TestStudiosIssuer: players bring the studio's tokens to a region that hands out
// none, creators publish with a key, and no other's place.
func TestStudiosIssuer(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	}))
	t.Cleanup(jwks.Close)
	issuers := filepath.Join(t.TempDir(), "issuers.yaml")
	text := "- issuer: studio\n  jwks: " + jwks.URL + "\n  audience: [game]\n  leeway: 10s\n  role_claim: role\n  roles: {maker: creator}\n"
	if err := os.WriteFile(issuers, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	exe, data, addr := throngBinary(t), filepath.Join(t.TempDir(), "data"), freePort(t)
	control := start(t, exe, "serve", "control", "--addr", addr, "--data", data, "--issuers", issuers)
	control.line("listens at", 30*time.Second)
	r := newRegion(t, control, "http://"+addr, data)
	token := func(sub, role string) string {
		tk := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
			"iss": "studio", "aud": "game", "sub": sub, "role": role, "exp": time.Now().Add(time.Hour).Unix(),
		})
		tk.Header["kid"] = "k"
		signed, err := tk.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	if _, err := r.door.DevToken(t.Context(), "ada", "operator"); throng.KindOf(err) != throng.NotFound || err == nil {
		t.Errorf("a token for whoever asks: got %v, want not found", err)
	}
	eventually(t, 60*time.Second, "a player of the studio sees the places", func() bool { // once the registry is there
		status, out := throngCommand(t, "places", "--addr", r.url, "--token", token("ada", ""))
		return status == 0 && strings.Contains(out, "arena")
	})
	if status, out := throngCommand(t, "sessions", "--addr", r.url, "--token", token("ada", "operator")); status == 0 {
		t.Errorf("a role that is not the studio's to give: status %d, %s", status, out)
	}
	maker := token("cleo", "maker")
	status, out := throngCommand(t, "keys", "create", "ci", "--json", "--addr", r.url, "--token", maker)
	var made struct {
		Key    string
		Record struct{ ID string }
	}
	if err := json.Unmarshal([]byte(out), &made); status != 0 || err != nil || !strings.HasPrefix(made.Key, "thk_") {
		t.Fatalf("make a key: status %d, %s, %v", status, out, err)
	}
	dir := filepath.Join(t.TempDir(), "place")
	if status, out := throngCommand(t, "new", dir, "--id", "cleos"); status != 0 {
		t.Fatalf("new: %s", out)
	}
	if status, out := throngCommand(t, "publish", dir, "--addr", r.url, "--key", made.Key); status != 0 || !strings.Contains(out, "cleos version 1") {
		t.Errorf("publish with a key: status %d, %s", status, out)
	}
	if status, out := throngCommand(t, "logs", "cleos", "--addr", r.url, "--key", made.Key); status != 0 {
		t.Errorf("logs with a key: status %d, %s", status, out)
	}
	eve := token("eve", "maker")
	for _, args := range [][]string{{"publish", dir}, {"logs", "cleos"}, {"logs", "arena"}, {"owners", "cleos"}, {"owners", "cleos", "--add", "eve"}} {
		if status, out := throngCommand(t, append(args, "--addr", r.url, "--token", eve)...); status == 0 {
			t.Errorf("%v of another: status %d, %s", args, status, out)
		}
	}
	if status, out := throngCommand(t, "owners", "cleos", "--add", "eve", "--addr", r.url, "--token", maker); status != 0 || out != "cleo\neve\n" {
		t.Errorf("share: status %d, %q", status, out)
	}
	if status, out := throngCommand(t, "publish", dir, "--addr", r.url, "--token", eve); status != 0 {
		t.Errorf("publish what is shared: status %d, %s", status, out)
	}
	if status, out := throngCommand(t, "keys", "list", "--addr", r.url, "--token", maker); status != 0 || !strings.Contains(out, made.Record.ID) || strings.Contains(out, made.Key) {
		t.Errorf("list keys: status %d, %s", status, out)
	}
	if status, out := throngCommand(t, "keys", "revoke", made.Record.ID, "--addr", r.url, "--token", maker); status != 0 {
		t.Errorf("revoke: status %d, %s", status, out)
	}
	if status, out := throngCommand(t, "publish", dir, "--addr", r.url, "--key", made.Key); status == 0 {
		t.Errorf("a revoked key: status %d, %s", status, out)
	}
}
