package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/throng-gg/throng/wire/netcode"
)

// tap is on the way between one client and a server: it records what passes and
// can add to it.
type tap struct {
	t      *testing.T
	front  *net.UDPConn
	back   *net.UDPConn
	client atomic.Pointer[netip.AddrPort]
	group  sync.WaitGroup

	mu       sync.Mutex // guards what follows
	up, down [][]byte
}

func newTap(t *testing.T, server running) *tap {
	t.Helper()
	front, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(server.Address()))
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{t: t, front: front, back: back}
	p.group.Go(func() {
		p.carry(front, &p.up, func(b []byte, from netip.AddrPort) {
			p.client.Store(&from)
			p.inject(b)
		})
	})
	p.group.Go(func() {
		p.carry(back, &p.down, func(b []byte, _ netip.AddrPort) { _, _ = front.WriteToUDPAddrPort(b, *p.client.Load()) })
	})
	t.Cleanup(func() {
		_, _ = front.Close(), back.Close()
		p.group.Wait()
	})
	return p
}

// carry passes on what comes from a socket, and keeps the first thousand.
func (p *tap) carry(from *net.UDPConn, record *[][]byte, to func([]byte, netip.AddrPort)) {
	for b := make([]byte, 2000); ; {
		n, addr, err := from.ReadFromUDPAddrPort(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			continue
		}
		p.mu.Lock()
		if len(*record) < 1000 {
			*record = append(*record, bytes.Clone(b[:n]))
		}
		p.mu.Unlock()
		to(b[:n], addr)
	}
}

// inject lets the server hear something from the client's address.
func (p *tap) inject(b []byte) { _, _ = p.back.Write(b) }

func (p *tap) address() netip.AddrPort { return netip.MustParseAddrPort(p.front.LocalAddr().String()) }

// packet is the first packet of a type that passed, one way.
func (p *tap) packet(kind netcode.Type, record *[][]byte) []byte {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range *record {
		if len(b) > 0 && netcode.Type(b[0]&15) == kind {
			return bytes.Clone(b)
		}
	}
	p.t.Fatalf("no packet of type %d passed", kind)
	return nil
}
