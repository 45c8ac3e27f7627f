package netcode

import (
	"bytes"
	"testing"
	"time"
)

func FuzzParseToken(f *testing.F) {
	good, err := MakeToken(goldenToken())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		token, err := ParseToken(b)
		if err != nil {
			return
		}
		if len(token.Servers) < 1 || len(token.Servers) > MaxServers || token.Create > token.Expire {
			t.Fatalf("took %+v", token)
		}
		if got := len(appendRequest(nil, token)); got != RequestSize {
			t.Fatalf("request: got %d bytes, want %d", got, RequestSize)
		}
	})
}

func FuzzPrivateToken(f *testing.F) {
	f.Add(make([]byte, privateSize-tagSize))
	c := goldenToken()
	seed := privateToken{servers: c.Servers, userData: c.UserData}
	f.Add(seed.append(make([]byte, 0, privateSize))[:privateSize-tagSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, back privateToken
		if p.parse(b) != nil {
			return
		}
		out := p.append(make([]byte, 0, privateSize))[:privateSize-tagSize]
		if err := back.parse(out); err != nil || back.clientID != p.clientID || len(back.servers) != len(p.servers) {
			t.Fatalf("written and read again: %v", err)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(append([]byte{0x15, 0x01}, make([]byte, 20)...))
	f.Add(append([]byte{0x86, 1, 2, 3, 4, 5, 6, 7, 8}, make([]byte, 20)...))
	f.Add(append([]byte{0x27, 1, 2, 3}, make([]byte, rebindBodySize+tagSize)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseHeader(b)
		if !ok {
			return
		}
		short := h.append(nil)
		again, ok := parseHeader(append(short, b[h.size:]...))
		if !ok || again.kind != h.kind || again.number != h.number || again.size > h.size || again.size != len(short) {
			t.Fatalf("got %+v, %t, want %+v", again, ok, h)
		}
	})
}

// What can't be sealed without the key never makes a server speak or remember.
func FuzzServerReceive(f *testing.F) {
	token, err := MakeToken(tokenOf(1))
	if err != nil {
		f.Fatal(err)
	}
	valid := requestOf(f, token)
	f.Add([]byte{})
	f.Add(valid[:500])
	f.Add(bytes.Repeat([]byte{0x13}, 326))
	forged := bytes.Clone(valid)
	forged[1000] ^= 1
	f.Add(forged)
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Equal(b, valid) {
			return
		}
		w := newWorld(t)
		h := w.host(nil)
		if got := h.Receive(start, clientAddr(1), bytes.Clone(b)); got == DropNone {
			t.Fatal("a datagram from nobody was taken")
		}
		wantNoTrace(t, h)
		w.guest(clientAddr(1), token)
		w.run(100 * time.Millisecond)
		before := len(w.sent)
		if got := h.Receive(w.now, clientAddr(1), bytes.Clone(b)); got == DropNone || len(w.sent) != before {
			t.Fatalf("got %s and %d answers", got, len(w.sent)-before)
		}
	})
}

func FuzzClientReceive(f *testing.F) {
	token, err := MakeToken(tokenOf(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Repeat([]byte{0x12}, 333))
	f.Add([]byte{0x11, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWorld(t)
		g := w.guest(clientAddr(1), token)
		g.Tick(start)
		if got := g.Receive(start, serverAddr, bytes.Clone(b)); got == DropNone || g.State() != StateRequesting {
			t.Fatalf("got %s, then %s", got, g.State())
		}
	})
}

func FuzzBodies(f *testing.F) {
	f.Add(make([]byte, keepAliveSize))
	f.Add(make([]byte, numberedSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := parseKeepAlive(b); err == nil && !bytes.Equal(k.append(nil), b) {
			t.Fatalf("keep-alive: got %x, want %x", k.append(nil), b)
		}
		if n, err := parseNumbered(b); err == nil && !bytes.Equal(n.append(nil), b) {
			t.Fatalf("challenge: got %x, want %x", n.append(nil), b)
		}
	})
}

// Whatever a client itself puts into a rebind moves it only by a proof for the
// address that it is at, and whatever a server puts into a proof only makes the
// client ask again.
func FuzzRebind(f *testing.F) {
	f.Add(make([]byte, rebindBodySize), uint8(0), uint64(1000))
	f.Add(make([]byte, proofBodySize), uint8(7), uint64(1)<<63)
	f.Fuzz(func(t *testing.T, body []byte, slot uint8, number uint64) {
		if len(body) > 1500 {
			return
		}
		p := newPair(t)
		c, s := p.client, p.server
		before := s.clients[0].addr
		p.toC = p.toC[:0]
		rebind := c.codec.seal(nil, c.seal, header{kind: TypeRebind, number: number, slot: slot}, body)
		size := len(rebind)
		drop := s.Receive(start, clientAddr(66), rebind)
		if s.clients[0].addr != before || s.Clients() != 1 || len(p.toC) >= size || drop != DropNone && len(p.toC) > 0 {
			t.Fatalf("%s: at %v, %d clients, %d bytes for %d", drop, s.clients[0].addr, s.Clients(), len(p.toC), size)
		}
		p.toS = p.toS[:0]
		proof := s.codec.seal(nil, s.clients[0].seal, header{kind: TypeProof, number: number}, body)
		drop = c.Receive(start, serverAddr, proof)
		if c.State() != StateConnected || drop != DropNone && len(p.toS) > 0 {
			t.Fatalf("%s: %s, %d bytes", drop, c.State(), len(p.toS))
		}
	})
}
