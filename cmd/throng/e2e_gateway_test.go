package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/wire/netcode"
)

// TestGateway: behind a gateway players play as always, and nothing that they are
// told says where a game server is.
func TestGateway(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--gateway", "127.0.0.1:0", "--keep-seat", "60s")
	report := r.bots(t.Context(), bot.Config{Place: "arena", Players: 10, For: 2 * time.Second})
	if !report.OK() {
		t.Errorf("10 bots: joined %d failed %d mismatched %d, want all well", report.Joined, report.Failed, report.Mismatched)
	}
	if got := r.metric(`throng_gateway_datagrams_total{from="server",verdict="forwarded"}`); got == 0 {
		t.Error("the gateway passed nothing on")
	}
	a, err := r.joinOnce("arena", "ada")
	if err != nil {
		t.Fatal(err)
	}
	token, err := netcode.ParseToken(a.JoinToken)
	if err != nil {
		t.Fatal(err)
	}
	said, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.sessions("arena") {
		at, err := netip.ParseAddrPort(s.Address)
		if err != nil {
			t.Fatal(err)
		}
		port := binary.LittleEndian.AppendUint16([]byte{127, 0, 0, 1}, at.Port())
		if token.Servers[0] == at || bytes.Contains(a.JoinToken, port) || bytes.Contains(said, []byte(s.Address)) || a.Web.URL != "" {
			t.Errorf("what a player is told names the game server %s: %s", s.Address, said)
		}
	}
}

// TestGatewayKeysFile: what is wrong with a gateway's keys is said by file and line.
func TestGatewayKeysFile(t *testing.T) {
	t.Parallel()
	good := "# keys\n1 " + strings.Repeat("0a", netcode.KeySize) + "\n"
	for text, want := range map[string]string{
		"": "holds no key", "1 abc\n": ":1 is not", good + "300 " + strings.Repeat("0a", netcode.KeySize): ":3 is not", good: "",
	} {
		name := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := readGatewayKeys(name)
		switch {
		case want == "" && (err != nil || len(keys) != 1):
			t.Errorf("%q: got %d keys, %v", text, len(keys), err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
