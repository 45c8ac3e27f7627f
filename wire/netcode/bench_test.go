package netcode

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

type nowhere struct{ last ConnID }

func (*nowhere) Datagram(netip.AddrPort, []byte) {}
func (n *nowhere) Connected(c ConnID, _ netip.AddrPort, _ *[UserDataSize]byte) bool {
	n.last = c
	return true
}
func (*nowhere) Moved(ConnID, netip.AddrPort) {}
func (*nowhere) Payload(ConnID, []byte)       {}
func (*nowhere) Disconnected(ConnID, Reason)  {}

func BenchmarkForgedRequest(b *testing.B) {
	s, err := NewServer(ServerConfig{Key: keyOf(9), Entropy: testEntropy, Capacity: 200}, &nowhere{})
	if err != nil {
		b.Fatal(err)
	}
	forged := requestOf(b, makeToken(b, tokenOf(1)))
	addr := clientAddr(1)
	b.ReportAllocs()
	for b.Loop() {
		if s.Receive(start, addr, forged) != DropForged {
			b.Fatal("taken")
		}
	}
}

func BenchmarkUnknownSender(b *testing.B) {
	s, err := NewServer(ServerConfig{Key: testKey, Entropy: testEntropy, Capacity: 200}, &nowhere{})
	if err != nil {
		b.Fatal(err)
	}
	packet, addr := bytes.Repeat([]byte{0x15}, 100), clientAddr(1)
	b.ReportAllocs()
	for b.Loop() {
		s.Receive(start, addr, packet)
	}
}

func BenchmarkMakeToken(b *testing.B) {
	c := tokenOf(1)
	b.ReportAllocs()
	for b.Loop() {
		makeToken(b, c)
	}
}

// pair is a connected server and client on a wire without a network.
type pair struct {
	server *Server
	client *Client
	sink   nowhere
	toS    []byte
	toC    []byte
}

func (p *pair) Datagram(to netip.AddrPort, b []byte) {
	if to == serverAddr {
		p.toS = append(p.toS[:0], b...)
	} else {
		p.toC = append(p.toC[:0], b...)
	}
}

func (p *pair) Connected(c ConnID, from netip.AddrPort, d *[UserDataSize]byte) bool {
	return p.sink.Connected(c, from, d)
}
func (*pair) Moved(ConnID, netip.AddrPort) {}
func (*pair) Payload(ConnID, []byte)       {}
func (*pair) Disconnected(ConnID, Reason)  {}

type pairClient struct{ *pair }

func (pairClient) Payload([]byte) {}

func newPair(tb testing.TB) *pair {
	tb.Helper()
	p := &pair{}
	var err error
	if p.server, err = NewServer(ServerConfig{Key: testKey, Entropy: testEntropy, Capacity: 200}, p); err != nil {
		tb.Fatal(err)
	}
	if p.client, err = NewClient(makeToken(tb, tokenOf(1)), start, pairClient{p}); err != nil {
		tb.Fatal(err)
	}
	now := start
	for range 4 {
		now = now.Add(100 * time.Millisecond)
		p.client.Tick(now)
		p.server.Receive(now, clientAddr(1), p.toS)
		p.client.Receive(now, serverAddr, p.toC)
	}
	if p.client.State() != StateConnected {
		tb.Fatalf("client is %s", p.client.State())
	}
	return p
}

func (p *pair) exchange(tb testing.TB, payload []byte) {
	tb.Helper()
	if p.client.Send(start, payload) != nil || p.server.Receive(start, clientAddr(1), p.toS) != DropNone {
		tb.Fatal("up failed")
	}
	if p.server.Send(start, p.sink.last, payload) != nil || p.client.Receive(start, serverAddr, p.toC) != DropNone {
		tb.Fatal("down failed")
	}
}

func TestPayloadsDoNotAllocate(t *testing.T) {
	p := newPair(t)
	payload := make([]byte, 200)
	if got := testing.AllocsPerRun(100, func() { p.exchange(t, payload) }); got != 0 {
		t.Errorf("allocations for one payload each way: got %v, want 0", got)
	}
}

// One payload up and one down: seal and open twice.
func BenchmarkPayload100(b *testing.B)  { benchmarkPayload(b, 100) }
func BenchmarkPayload1200(b *testing.B) { benchmarkPayload(b, 1200) }

func benchmarkPayload(b *testing.B, size int) {
	b.Helper()
	p := newPair(b)
	payload := make([]byte, size)
	b.ReportAllocs()
	for b.Loop() {
		p.exchange(b, payload)
	}
}
