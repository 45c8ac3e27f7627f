package netcode

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// A gateway stands between clients and servers: clients know its address only.
// Between it and a server each datagram has a head before it, the same both
// ways, so that one socket carries all clients of all servers:
//
//	offset  bytes
//	     0      1  15, which is the first byte of no netcode packet
//	     1     16  the client's IP; IPv4 as ::ffff:a.b.c.d
//	    17      2  the client's port, big-endian
//	    19      8  a tag, which only the gateway can make
//
// A server sends to a client as the newest datagram from it came: it repeats the
// head. The gateway takes nothing whose tag is not its own for that client and
// that server, so nobody else can use it to send to others.
const CarriedSize = 1 + 16 + 2 + 8

// carried is the first byte.
const carried = 15

// Via is how a client's datagrams reach a server through a gateway. The zero
// value is no gateway.
type Via struct {
	Gateway netip.AddrPort
	Tag     uint64
}

// AppendCarried appends the head of a datagram between gateway and server.
func AppendCarried(dst []byte, client netip.AddrPort, tag uint64) []byte {
	ip := client.Addr().As16()
	out := append(dst, carried)
	out = append(out, ip[:]...)
	out = binary.BigEndian.AppendUint16(out, client.Port())
	return binary.BigEndian.AppendUint64(out, tag)
}

// IsCarried says whether a datagram has a head.
func IsCarried(b []byte) bool { return len(b) > CarriedSize && b[0] == carried }

// path is where a client is reached: his address, and the gateway before him.
type path struct {
	client netip.AddrPort
	via    Via
}

// hash names a path through a gateway.
func (p path) hash() [16]byte {
	gateway := p.via.Gateway.Addr().As16()
	b := AppendCarried(make([]byte, 0, CarriedSize+16+2), p.client, p.via.Tag)
	b = binary.BigEndian.AppendUint16(append(b, gateway[:]...), p.via.Gateway.Port())
	sum := sha256.Sum256(b)
	return [16]byte(sum[:])
}

// Carrier is a Sink that can send through gateways. A Server whose sink is none
// knows no clients behind any.
type Carrier interface {
	// DatagramVia is to be sent to a client through a gateway.
	DatagramVia(via Via, to netip.AddrPort, datagram []byte)
}

// ReceiveCarried takes one datagram that a gateway sent, with its head, as Receive does.
func (s *Server) ReceiveCarried(now time.Time, gateway netip.AddrPort, datagram []byte) Drop {
	if s.carrier == nil || !IsCarried(datagram) {
		return DropUnknown
	}
	ip := netip.AddrFrom16([16]byte(datagram[1:])).Unmap()
	client := netip.AddrPortFrom(ip, binary.BigEndian.Uint16(datagram[17:]))
	via := Via{Gateway: unmap(gateway), Tag: binary.BigEndian.Uint64(datagram[19:])}
	return s.receive(now, path{client: client, via: via}, datagram[CarriedSize:])
}

// datagram sends to where a client is.
func (s *Server) datagram(to path) {
	if to.via == (Via{}) {
		s.sink.Datagram(to.client, s.out)
		return
	}
	s.carrier.DatagramVia(to.via, to.client, s.out)
}
