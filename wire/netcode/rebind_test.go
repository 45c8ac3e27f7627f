package netcode

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// move gives a guest another address; nothing reaches the old one any more.
func (w *world) move(g *guest, to netip.AddrPort) {
	if w.clients[g.addr] == g {
		delete(w.clients, g.addr)
	}
	g.addr = to
	w.clients[to] = g
}

// connectedPair is a host and n guests that are connected to it.
func connectedPair(t *testing.T, n int) (*world, *host, []*guest) {
	t.Helper()
	w := newWorld(t)
	h := w.host(nil)
	guests := make([]*guest, n)
	for i := range guests {
		guests[i] = w.guest(clientAddr(i+1), makeToken(t, tokenOf(i+1)))
	}
	w.run(time.Second)
	for _, g := range guests {
		wantState(t, g, StateConnected, ReasonNone)
	}
	h.events = nil
	return w, h, guests
}

func (w *world) ofType(kind Type) (out []datagram) {
	for _, d := range w.sent {
		if Type(d.data[0]&15) == kind && d.data[0] != 0 {
			out = append(out, d)
		}
	}
	return out
}

func TestRebind(t *testing.T) {
	w, h, g := connectedPair(t, 1)
	id := h.last
	w.move(g[0], clientAddr(77))
	w.run(600 * time.Millisecond)
	wantEvents(t, h, "moved player 1 to "+clientAddr(77).String())
	if err := h.Send(w.now, id, []byte("down")); err != nil {
		t.Fatal(err)
	}
	if err := g[0].Send(w.now, []byte("up")); err != nil {
		t.Fatal(err)
	}
	w.run(50 * time.Millisecond)
	if got := fmt.Sprint(g[0].got, h.payload[id]); got != "[down] [up]" {
		t.Errorf("payloads: got %s", got)
	}
	if h.Clients() != 1 || len(h.byAddr) != 1 {
		t.Errorf("clients: got %d at %d addresses, want 1 at 1", h.Clients(), len(h.byAddr))
	}
	// As often as it likes, for as long as it likes.
	for i := range 20 {
		w.move(g[0], clientAddr(100+i))
		w.run(time.Second)
	}
	wantState(t, g[0], StateConnected, ReasonNone)
	if len(h.events) != 21 || len(h.byAddr) != 1 {
		t.Errorf("got %d moves and %d addresses, want 21 and 1", len(h.events), len(h.byAddr))
	}
}

// A client that sends input 30 times a second has never been silent itself.
func TestRebindWhileSending(t *testing.T) {
	w, h, g := connectedPair(t, 1)
	w.loss, w.delay = 0.05, 130*time.Millisecond
	for range 20 {
		w.move(g[0], clientAddr(h.Clients()+int(w.now.Sub(start)/time.Millisecond)))
		moved := w.now
		for !g[0].Heard().After(moved.Add(w.delay)) { // what was under way is lost
			if w.now.Sub(moved) > time.Second {
				t.Fatal("not carried on within 1 s")
			}
			if err := g[0].Send(w.now, []byte("input")); err != nil {
				t.Fatal(err)
			}
			w.run(30 * time.Millisecond)
		}
		w.run(300 * time.Millisecond)
	}
}

func TestRebindAmplifiesNothing(t *testing.T) {
	w, _, g := connectedPair(t, 1)
	w.servers[serverAddr].clients[0].number = 1 << 62 // the longest header
	for _, number := range []uint64{0, 1 << 8, 1 << 40, 1 << 56} {
		w.sent = nil
		g[0].number = max(g[0].number, number)
		w.move(g[0], clientAddr(50+int(number%97)))
		w.run(600 * time.Millisecond)
		asked, proofs := w.ofType(TypeRebind), w.ofType(TypeProof)
		if len(asked) < 2 || len(proofs) < 1 || len(proofs) >= len(asked) {
			t.Fatalf("got %d rebinds and %d proofs", len(asked), len(proofs))
		}
		for _, p := range proofs {
			if len(p.data) >= len(asked[0].data) {
				t.Errorf("a proof of %d bytes answers %d", len(p.data), len(asked[0].data))
			}
		}
	}
}

// Recorded rebinds, from where they came or elsewhere, do nothing.
func TestRebindReplayed(t *testing.T) {
	w, h, g := connectedPair(t, 1)
	w.move(g[0], clientAddr(77))
	w.run(600 * time.Millisecond)
	asked := w.ofType(TypeRebind)
	before := len(w.sent)
	for _, d := range asked {
		for _, from := range []netip.AddrPort{clientAddr(77), clientAddr(66)} {
			if got := h.Receive(w.now, from, bytes.Clone(d.data)); got != DropReplayed {
				t.Errorf("from %s: got %s, want replayed", from, got)
			}
		}
	}
	if len(w.sent) != before {
		t.Errorf("%d answers to recorded rebinds", len(w.sent)-before)
	}
}

// Who holds back a rebind and lets it in himself gets a proof for his address,
// which is no good at another, and which he can't put into a rebind.
func TestRebindStolen(t *testing.T) {
	w, h, g := connectedPair(t, 1)
	mallory := clientAddr(66)
	w.move(g[0], clientAddr(77))
	var held []datagram
	w.lose = func(d datagram) bool {
		if Type(d.data[0]&15) != TypeRebind {
			return false
		}
		held = append(held, d)
		return true
	}
	w.run(400 * time.Millisecond)
	if len(held) == 0 {
		t.Fatal("no rebind was sent")
	}
	w.sent = nil
	if got := h.Receive(w.now, mallory, bytes.Clone(held[0].data)); got != DropNone {
		t.Fatalf("the stolen rebind: got %s", got)
	}
	proof := w.ofType(TypeProof)
	if len(proof) != 1 || proof[0].to != mallory {
		t.Fatalf("proofs: got %v, want one to %s", proof, mallory)
	}
	wantEvents(t, h)
	// Passed on to the client it is answered from the client's address.
	w.lose = nil
	w.way = nil
	if got := g[0].Receive(w.now, serverAddr, bytes.Clone(proof[0].data)); got != DropNone {
		t.Fatalf("the proof passed on: got %s", got)
	}
	w.run(400 * time.Millisecond)
	wantEvents(t, h, "moved player 1 to "+clientAddr(77).String())
}

// A router that starts again may deal two clients each other's ports.
func TestRebindSwapped(t *testing.T) {
	w, h, g := connectedPair(t, 2)
	one, two := g[0].addr, g[1].addr
	w.clients[one], w.clients[two] = g[1], g[0]
	g[0].addr, g[1].addr = two, one
	w.run(time.Second)
	if len(h.events) != 2 || h.Clients() != 2 || len(h.byAddr) != 2 {
		t.Errorf("got %q, %d clients at %d addresses", h.events, h.Clients(), len(h.byAddr))
	}
	for i, id := range []ConnID{h.clients[0].id, h.clients[1].id} {
		want := h.conns[id]
		if err := h.Send(w.now, id, []byte(want)); err != nil {
			t.Fatal(err)
		}
		w.run(20 * time.Millisecond)
		if got := g[i].got; len(got) != 1 || got[0] != want {
			t.Errorf("guest %d: got %q, want %q", i, got, want)
		}
	}
	for _, g := range g {
		wantState(t, g, StateConnected, ReasonNone)
	}
}

// One who was displaced and never comes back ends like any silent one, and takes
// nothing of the other's with him.
func TestRebindDisplaced(t *testing.T) {
	w, h, g := connectedPair(t, 2)
	w.move(g[0], g[1].addr) // g[1] is off the network
	w.run(6 * time.Second)
	wantEvents(t, h, "moved player 1 to "+clientAddr(2).String(), "disconnected player 2: timed out")
	wantState(t, g[0], StateConnected, ReasonNone)
	if h.Clients() != 1 || len(h.byAddr) != 1 {
		t.Errorf("got %d clients at %d addresses, want 1 at 1", h.Clients(), len(h.byAddr))
	}
}

func TestRebindRefused(t *testing.T) {
	w, h, g := connectedPair(t, 1)
	c := g[0].Client
	rebind := func(kind Type, number uint64, slot uint8, size int) []byte {
		return c.codec.seal(nil, c.seal, header{kind: kind, number: number, slot: slot}, make([]byte, size))
	}
	forged := rebind(TypeRebind, 1000, 0, rebindBodySize)
	forged[len(forged)-1] ^= 1
	before := len(w.sent)
	for name, c := range map[string]struct {
		b    []byte
		want Drop
	}{
		"short":            {rebind(TypeRebind, 1000, 0, rebindBodySize-1), DropMalformed},
		"long":             {rebind(TypeRebind, 1000, 0, rebindBodySize+1), DropMalformed},
		"forged":           {forged, DropForged},
		"free slot":        {rebind(TypeRebind, 1000, 1, rebindBodySize), DropUnknown},
		"no slot":          {rebind(TypeRebind, 1000, 255, rebindBodySize), DropUnknown},
		"reflected":        {h.codec.seal(nil, h.clients[0].seal, header{kind: TypeRebind, number: 1000}, make([]byte, rebindBodySize)), DropForged},
		"proof to server":  {rebind(TypeProof, 1000, 0, proofBodySize), DropUnknown},
		"another protocol": {otherProtocol(c).seal(nil, c.seal, header{kind: TypeRebind, number: 1000}, make([]byte, rebindBodySize)), DropForged},
	} {
		if got := h.Receive(w.now, clientAddr(77), c.b); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	if len(w.sent) != before {
		t.Errorf("%d answers", len(w.sent)-before)
	}
	wantEvents(t, h)
}

func otherProtocol(*Client) *codec {
	c := makeCodec(ProtocolID + 1)
	return &c
}

// Under another protocol ID both sides are as the standard has them.
func TestNoRebindInPlainStandard(t *testing.T) {
	const plain = 0x1122334455667788
	w := newWorld(t)
	h := w.host(func(c *ServerConfig) { c.ProtocolID = plain })
	c := tokenOf(1)
	c.ProtocolID = plain
	g := w.guest(clientAddr(1), makeToken(t, c))
	w.run(time.Second)
	wantState(t, g, StateConnected, ReasonNone)
	w.move(g, clientAddr(77))
	w.run(time.Second)
	if got := len(w.ofType(TypeRebind)); got != 0 {
		t.Errorf("%d rebinds were sent", got)
	}
	b := g.codec.seal(nil, g.seal, header{kind: TypeRebind, number: 1000}, make([]byte, rebindBodySize))
	if got := h.Receive(w.now, clientAddr(77), b); got != DropUnknown {
		t.Errorf("a rebind: got %s, want unknown", got)
	}
	w.run(6 * time.Second)
	wantState(t, g, StateEnded, ReasonTimeout)
}

func TestRebindDoesNotAllocate(t *testing.T) {
	p := newPair(t)
	n := 0
	if got := testing.AllocsPerRun(100, func() {
		n++
		now := start.Add(time.Duration(n) * time.Second)
		p.client.heard = now.Add(-rebindAfter)
		p.client.askToRebind(now)
		if p.server.Receive(now, clientAddr(2+n%2), p.toS) != DropNone || p.client.Receive(now, serverAddr, p.toC) != DropNone {
			t.Fatal("refused")
		}
		if p.server.Receive(now, clientAddr(2+n%2), p.toS) != DropNone {
			t.Fatal("refused with its proof")
		}
	}); got != 0 {
		t.Errorf("allocations for a rebind: got %v, want 0", got)
	}
}

func BenchmarkForgedRebind(b *testing.B) {
	p := newPair(b)
	forged := p.client.codec.seal(nil, p.client.seal, header{kind: TypeRebind, number: 1000}, make([]byte, rebindBodySize))
	forged[len(forged)-1] ^= 1
	again := bytes.Clone(forged)
	b.ReportAllocs()
	for b.Loop() {
		copy(again, forged)
		if p.server.Receive(start, clientAddr(9), again) != DropForged {
			b.Fatal("taken")
		}
	}
}
