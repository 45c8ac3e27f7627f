package netcode

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func TestClientGivesUp(t *testing.T) {
	cases := []struct {
		name  string
		want  Reason
		token func(*TokenConfig)
		lose  Type // the server's packets are lost from this type on
		after time.Duration
	}{
		{name: "no server", want: ReasonRequestTimeout, lose: TypeChallenge, after: 5 * time.Second},
		{name: "server falls silent", want: ReasonResponseTimeout, lose: TypeKeepAlive, after: 5 * time.Second},
		{
			name: "token runs out", want: ReasonExpired, lose: TypeChallenge, after: 2 * time.Second,
			token: func(c *TokenConfig) { c.Expire = c.Create + 2 },
		},
		{
			name: "token without time", want: ReasonExpired, lose: TypeChallenge,
			token: func(c *TokenConfig) { c.Expire = c.Create },
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.host(nil)
			w.lose = func(d datagram) bool { return d.from == serverAddr && Type(d.data[0]&15) >= c.lose }
			config := tokenOf(1)
			if c.token != nil {
				c.token(&config)
			}
			g := w.guest(clientAddr(1), makeToken(t, config))
			for w.now.Sub(start) < c.after+200*time.Millisecond && g.State() != StateEnded {
				w.run(10 * time.Millisecond)
			}
			wantState(t, g, StateEnded, c.want)
			if got := w.now.Sub(start); got < c.after || got > c.after+200*time.Millisecond {
				t.Errorf("gave up after %s, want about %s", got, c.after)
			}
		})
	}
}

func TestClientTriesServersInTurn(t *testing.T) {
	second := netip.MustParseAddrPort("[2001:db8::7]:40001")
	w := newWorld(t)
	full := w.host(func(c *ServerConfig) { c.Capacity = 1 })
	w.guest(clientAddr(9), makeToken(t, tokenOf(9)))
	w.run(200 * time.Millisecond)
	room := w.host(func(c *ServerConfig) { c.Public = []netip.AddrPort{second} })

	config := tokenOf(1)
	rude, dead := netip.MustParseAddrPort("10.0.0.98:1"), netip.MustParseAddrPort("10.0.0.99:1")
	w.host(func(c *ServerConfig) { c.Public = []netip.AddrPort{rude} }).refuse = true
	config.Servers = []netip.AddrPort{serverAddr, rude, dead, second}
	config.TimeoutSeconds = 1
	g := w.guest(clientAddr(1), makeToken(t, config))
	w.run(500 * time.Millisecond)
	if got := g.Server(); got != rude || g.State() != StateResponding {
		t.Errorf("after the full one: got %s, %s, want %s, responding", got, g.State(), rude)
	}
	w.run(2200 * time.Millisecond)
	wantState(t, g, StateConnected, ReasonNone)
	if g.Server() != second || full.Clients() != 1 || room.Clients() != 1 {
		t.Errorf("got %s with %d and %d clients, want %s with 1 and 1", g.Server(), full.Clients(), room.Clients(), second)
	}
	numbers := map[uint64]bool{}
	for _, d := range w.sent {
		if h, ok := parseHeader(d.data); ok && d.from == g.addr && d.data[0] != 0 {
			if numbers[h.number] {
				t.Errorf("the client used packet number %d twice", h.number)
			}
			numbers[h.number] = true
		}
	}
}

func TestClientIgnoresOthers(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	g := w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	w.run(200 * time.Millisecond)
	w.sent = nil
	if err := h.Send(w.now, h.last, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	packet := w.sent[len(w.sent)-1].data
	if got := g.Receive(w.now, clientAddr(66), bytes.Clone(packet)); got != DropUnknown {
		t.Errorf("from another address: got %s, want unknown", got)
	}
	changed := bytes.Clone(packet)
	changed[len(changed)-1]++
	if got := g.Receive(w.now, serverAddr, changed); got != DropForged {
		t.Errorf("changed: got %s, want forged", got)
	}
	if got := g.Receive(w.now, serverAddr, bytes.Clone(packet)); got != DropNone {
		t.Errorf("as it is: got %s, want none", got)
	}
	if got := g.Receive(w.now, serverAddr, bytes.Clone(packet)); got != DropReplayed {
		t.Errorf("again: got %s, want replayed", got)
	}
	if len(g.got) != 1 {
		t.Errorf("payloads: got %d, want 1", len(g.got))
	}
}

func TestServerSilenceEndsClient(t *testing.T) {
	w := newWorld(t)
	w.host(nil)
	g := w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	w.run(200 * time.Millisecond)
	clear(w.servers)
	w.run(5200 * time.Millisecond)
	wantState(t, g, StateEnded, ReasonTimeout)
}

func TestEndlessPatience(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	config := tokenOf(1)
	config.TimeoutSeconds = -1
	g := w.guest(clientAddr(1), makeToken(t, config))
	w.run(200 * time.Millisecond)
	w.loss = 1
	w.run(time.Minute)
	wantState(t, g, StateConnected, ReasonNone)
	if h.Clients() != 1 {
		t.Errorf("clients: got %d, want 1", h.Clients())
	}
}

func TestBadTokens(t *testing.T) {
	good := makeToken(t, tokenOf(1))
	for name, mangle := range map[string]func([]byte) []byte{
		"short":              func(b []byte) []byte { return b[:TokenSize-1] },
		"long":               func(b []byte) []byte { return append(b, 0) },
		"other version":      func(b []byte) []byte { b[11]++; return b },
		"expires in advance": func(b []byte) []byte { b[28]++; return b },
		"no servers":         func(b []byte) []byte { b[publicHeadSize+privateSize+4] = 0; return b },
		"33 servers":         func(b []byte) []byte { b[publicHeadSize+privateSize+4] = 33; return b },
		"address type 0":     func(b []byte) []byte { b[publicHeadSize+privateSize+8] = 0; return b },
		"address type 3":     func(b []byte) []byte { b[publicHeadSize+privateSize+8] = 3; return b },
	} {
		_, err := NewClient(mangle(bytes.Clone(good)), start, nil)
		if throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}

func TestMakeTokenRefuses(t *testing.T) {
	for name, change := range map[string]func(*TokenConfig){
		"no servers":   func(c *TokenConfig) { c.Servers = nil },
		"33 servers":   func(c *TokenConfig) { c.Servers = make([]netip.AddrPort, 33) },
		"no address":   func(c *TokenConfig) { c.Servers = []netip.AddrPort{{}} },
		"unspecified":  func(c *TokenConfig) { c.Servers = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:1")} },
		"no port":      func(c *TokenConfig) { c.Servers = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:0")} },
		"expired born": func(c *TokenConfig) { c.Expire = c.Create - 1 },
	} {
		c := tokenOf(1)
		change(&c)
		if _, err := MakeToken(c); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}
