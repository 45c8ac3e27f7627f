package main

import (
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire/netcode"
)

// forged measures what requests cost that are genuine in all but the last byte.
func (b *wireBench) forged() (*wireForged, error) {
	f := &wireForged{}
	var checks, processes, reads, rates []float64
	for range b.Runs {
		us, err := checkForged()
		if err != nil {
			return nil, err
		}
		checks = append(checks, us)
		us, rate, err := b.flood(sideForgedThrong)
		if err != nil {
			return nil, err
		}
		processes, rates = append(processes, us), append(rates, rate)
		if us, _, err = b.flood(sideForgedRead); err != nil {
			return nil, err
		}
		reads = append(reads, us)
	}
	f.CheckUS, f.ProcessUS, f.ReadUS, f.PerS = middle(checks), middle(processes), middle(reads), middle(rates)
	return f, nil
}

// forgedRequest is a request packet for a server, of another key.
func forgedRequest(server netip.AddrPort) ([]byte, error) {
	token, err := wireToken(server, 1)
	if err != nil {
		return nil, err
	}
	request := requestOf(token)
	request[len(request)-1] ^= 1
	return request, nil
}

// nobody is the sink of a server that nobody gets into.
type nobody struct{}

func (nobody) Datagram(netip.AddrPort, []byte) {}
func (nobody) Connected(netcode.ConnID, netip.AddrPort, *[netcode.UserDataSize]byte) bool {
	return false
}
func (nobody) Moved(netcode.ConnID, netip.AddrPort)        {}
func (nobody) Payload(netcode.ConnID, []byte)              {}
func (nobody) Disconnected(netcode.ConnID, netcode.Reason) {}

// checkForged is the CPU time of one check, in microseconds, by wire/netcode
// alone.
func checkForged() (float64, error) {
	addr := netip.MustParseAddrPort("127.0.0.1:40000")
	s, err := netcode.NewServer(netcode.ServerConfig{
		Key: wireKey, Entropy: [netcode.KeySize]byte{9}, Public: []netip.AddrPort{addr}, Capacity: 100,
	}, nobody{})
	if err != nil {
		return 0, err
	}
	request, err := forgedRequest(addr)
	if err != nil {
		return 0, err
	}
	const n = 200_000
	now, before := time.Now(), (&wireCounts{}).mark().CPU
	for range n {
		if drop := s.Receive(now, addr, request); drop != netcode.DropForged {
			return 0, throng.Errorf(throng.Internal, "a forged request is %s", drop)
		}
	}
	return ((&wireCounts{}).mark().CPU - before) * 1e6 / n, nil
}

// flood sends forged requests as fast as it can for two seconds, and returns the
// serving process's CPU time for each that it took in, in microseconds, and how
// many came in each second.
func (b *wireBench) flood(name string) (us, perS float64, err error) {
	server, err := b.start(name)
	if err != nil {
		return 0, 0, err
	}
	defer server.end()
	request, err := forgedRequest(server.hello.Addr)
	if err != nil {
		return 0, 0, err
	}
	socket, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(server.hello.Addr))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = socket.Close() }()
	many := make([]ipv4.Message, 32)
	for i := range many {
		many[i].Buffers = [][]byte{request}
	}
	out := ipv4.NewPacketConn(socket)
	send := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end) && b.env.ctx.Err() == nil; {
			_, _ = out.WriteBatch(many, 0)
		}
	}
	send(500 * time.Millisecond)
	from, err := server.mark()
	if err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	send(2 * time.Second)
	to, err := server.mark()
	if err != nil {
		return 0, 0, err
	}
	n := float64(to.In - from.In)
	if n == 0 {
		return 0, 0, throng.Errorf(throng.Internal, "no forged request came in")
	}
	return (to.CPU - from.CPU) * 1e6 / n, n / time.Since(begun).Seconds(), nil
}
