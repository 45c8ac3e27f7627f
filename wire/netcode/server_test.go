package netcode

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func TestFullServerDenies(t *testing.T) {
	w := newWorld(t)
	h := w.host(func(c *ServerConfig) { c.Capacity = 2 })
	guests := []*guest{}
	for i := range 3 {
		guests = append(guests, w.guest(clientAddr(i), makeToken(t, tokenOf(i))))
		w.run(200 * time.Millisecond)
	}
	wantState(t, guests[1], StateConnected, ReasonNone)
	wantState(t, guests[2], StateEnded, ReasonDenied)
	if h.Clients() != 2 {
		t.Errorf("clients: got %d, want 2", h.Clients())
	}
}

// Two were challenged for the last slot: the slower one is denied.
func TestLastSlotIsDeniedAtResponse(t *testing.T) {
	w := newWorld(t)
	h := w.host(func(c *ServerConfig) { c.Capacity = 1 })
	guests := []*guest{}
	for i := range 2 {
		guests = append(guests, w.guest(clientAddr(i), makeToken(t, tokenOf(i))))
	}
	w.run(400 * time.Millisecond)
	if h.Clients() != 1 {
		t.Errorf("clients: got %d, want 1", h.Clients())
	}
	wantState(t, guests[0], StateConnected, ReasonNone)
	wantState(t, guests[1], StateEnded, ReasonDenied)
}

func TestApplicationRefusesForAWhile(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	h.refuse = true
	g := w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	w.run(500 * time.Millisecond)
	wantState(t, g, StateResponding, ReasonNone)
	h.refuse = false
	w.run(200 * time.Millisecond)
	wantState(t, g, StateConnected, ReasonNone)
}

func TestSameClientTwice(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	w.run(200 * time.Millisecond)
	again := tokenOf(1)
	again.Nonce[0]++
	request := requestOf(t, makeToken(t, again))
	if got := h.Receive(w.now, clientAddr(2), request); got != DropDuplicate {
		t.Errorf("its client ID from another address: got %s, want duplicate", got)
	}
	if got := h.Receive(w.now, clientAddr(1), requestOf(t, makeToken(t, tokenOf(2)))); got != DropDuplicate {
		t.Errorf("another client from its address: got %s, want duplicate", got)
	}
	h.DisconnectAll(w.now)
	if got := h.Receive(w.now, clientAddr(2), request); got != DropNone {
		t.Errorf("its client ID after it left: got %s, want none", got)
	}
}

// The keep-alive that tells a client its slot may be lost: it goes before every
// payload until the client has shown that it got one.
func TestUnconfirmedClientIsToldItsSlot(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	w.lose = func(d datagram) bool { return d.from == serverAddr && Type(d.data[0]&15) == TypeKeepAlive }
	g := w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	for h.Clients() == 0 {
		w.run(10 * time.Millisecond)
	}
	wantState(t, g, StateResponding, ReasonNone)
	w.lose, w.sent = nil, nil
	for range 2 {
		if err := h.Send(w.now, h.last, []byte("hi")); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.sent) != 4 {
		t.Errorf("datagrams for two payloads: got %d, want 4", len(w.sent))
	}
	w.run(100 * time.Millisecond)
	w.sent = nil
	if err := h.Send(w.now, h.last, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if len(w.sent) != 1 || len(g.got) != 2 {
		t.Errorf("once confirmed: got %d datagrams for a payload, and %d payloads arrived; want 1 and 2", len(w.sent), len(g.got))
	}
}

func TestGlobalPacketsAreNumberedApart(t *testing.T) {
	w := newWorld(t)
	w.host(nil)
	w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	w.run(time.Second)
	seen := map[uint64]bool{}
	for _, d := range w.sent {
		if d.from != serverAddr {
			continue
		}
		h, ok := parseHeader(d.data)
		if !ok || seen[h.number] {
			t.Fatalf("packet number %d is used twice with one key", h.number)
		}
		seen[h.number] = true
		if global := h.kind == TypeChallenge || h.kind == TypeDenied; global != (h.number >= globalSequence) {
			t.Errorf("packet of type %d has number %#x", h.kind, h.number)
		}
	}
}

func TestReplayedPayload(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	g := w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	w.run(200 * time.Millisecond)
	w.sent = nil
	if err := g.Send(w.now, []byte("buy")); err != nil {
		t.Fatal(err)
	}
	recorded := w.sent[0].data
	w.run(20 * time.Millisecond)
	for _, want := range []Drop{DropReplayed, DropReplayed} {
		if got := h.Receive(w.now, g.addr, bytes.Clone(recorded)); got != want {
			t.Errorf("the same datagram again: got %s, want %s", got, want)
		}
	}
	recorded[0] = recorded[0]&0xf0 | byte(TypeKeepAlive)
	recorded[1] += 100
	if got := h.Receive(w.now, g.addr, recorded); got != DropForged {
		t.Errorf("with another type and number: got %s, want forged", got)
	}
	if got := len(h.payload[h.last]); got != 1 {
		t.Errorf("payloads: got %d, want 1", got)
	}
}

func TestSilenceEndsConnection(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	g := w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	w.run(10 * time.Second)
	wantState(t, g, StateConnected, ReasonNone) // keep-alives keep it
	delete(w.clients, g.addr)
	w.run(4900 * time.Millisecond)
	if h.Clients() != 1 {
		t.Errorf("after 4.9 s: got %d clients, want 1", h.Clients())
	}
	w.run(300 * time.Millisecond)
	wantEvents(t, h, "connected player 1 from 10.1.0.1:5000", "disconnected player 1: timed out")
}

func TestDisconnect(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	kicked := w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	w.run(200 * time.Millisecond)
	leaver := w.guest(clientAddr(2), makeToken(t, tokenOf(2)))
	w.run(200 * time.Millisecond)
	h.Disconnect(w.now, h.last-1) // unknown: nothing happens
	for id := range h.conns {
		if h.conns[id] == "player 1" {
			h.Disconnect(w.now, id)
			h.Disconnect(w.now, id)
		}
	}
	leaver.Close(w.now)
	w.run(50 * time.Millisecond)
	wantState(t, kicked, StateEnded, ReasonRemote)
	wantState(t, leaver, StateEnded, ReasonLocal)
	wantEvents(t, h, "connected player 1 from 10.1.0.1:5000", "connected player 2 from 10.1.0.2:5000",
		"disconnected player 1: ended by this side", "disconnected player 2: ended by the other side")
	if err := h.Send(w.now, h.last, []byte("gone")); err != nil {
		t.Errorf("Send to one who left: %v", err)
	}
}

// Whatever the network does, payloads come at most once and unchanged, and the
// connection holds.
func TestBadNetwork(t *testing.T) {
	w := newWorld(t)
	w.loss, w.twice, w.delay = 0.2, 0.2, 150*time.Millisecond
	h := w.host(nil)
	for i := range 8 {
		w.guest(clientAddr(i), makeToken(t, tokenOf(i)))
	}
	w.run(3 * time.Second)
	for i := range 100 {
		for id := range h.conns {
			if err := h.Send(w.now, id, fmt.Appendf(nil, "%s %d", h.conns[id], i)); err != nil {
				t.Fatal(err)
			}
		}
		for _, g := range w.clients {
			if err := g.Send(w.now, fmt.Appendf(nil, "%s %d", g.addr, i)); err != nil {
				t.Fatal(err)
			}
		}
		w.run(30 * time.Millisecond)
	}
	w.run(time.Second)
	count := func(who string, got []string) {
		seen := map[string]bool{}
		for _, p := range got {
			if seen[p] {
				t.Errorf("%s got %q twice", who, p)
			}
			seen[p] = true
		}
		if len(got) < 60 || len(got) > 95 {
			t.Errorf("%s got %d of 100 payloads, want about 80", who, len(got))
		}
	}
	for i := range 8 {
		g := w.clients[clientAddr(i)]
		wantState(t, g, StateConnected, ReasonNone)
		count("client", g.got)
	}
	for id, got := range h.payload {
		count(h.conns[id], got)
	}
	if h.Clients() != 8 {
		t.Errorf("clients: got %d, want 8", h.Clients())
	}
}

func TestPayloadSizes(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	g := w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	if got := throng.KindOf(g.Send(w.now, []byte("early"))); got != throng.Unavailable {
		t.Errorf("Send before connected: got %s, want unavailable", got)
	}
	w.run(200 * time.Millisecond)
	for _, size := range []int{0, MaxPayload + 1} {
		if got := throng.KindOf(g.Send(w.now, make([]byte, size))); got != throng.Invalid {
			t.Errorf("client, %d bytes: got %s, want invalid", size, got)
		}
		if got := throng.KindOf(h.Send(w.now, h.last, make([]byte, size))); got != throng.Invalid {
			t.Errorf("server, %d bytes: got %s, want invalid", size, got)
		}
	}
	for _, size := range []int{1, MaxPayload} {
		if err := g.Send(w.now, make([]byte, size)); err != nil {
			t.Errorf("client, %d bytes: %v", size, err)
		}
	}
	w.run(20 * time.Millisecond)
	if got := len(h.payload[h.last]); got != 2 {
		t.Errorf("payloads: got %d, want 2", got)
	}
}

func TestServerConfig(t *testing.T) {
	good := ServerConfig{Key: testKey, Entropy: testEntropy, Capacity: 1}
	for name, change := range map[string]func(*ServerConfig){
		"no capacity":  func(c *ServerConfig) { c.Capacity = 0 },
		"too many":     func(c *ServerConfig) { c.Capacity = MaxClients + 1 },
		"no key":       func(c *ServerConfig) { c.Key = [KeySize]byte{} },
		"no challenge": func(c *ServerConfig) { c.Entropy = [KeySize]byte{} },
	} {
		bad := good
		change(&bad)
		if _, err := NewServer(bad, nil); throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	if _, err := NewServer(good, nil); err != nil {
		t.Errorf("good config: %v", err)
	}
}
