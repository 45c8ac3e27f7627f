package gateway

import (
	"encoding/binary"
	"net/netip"
)

// address is an IP, IPv4 as ::ffff:a.b.c.d, and a port: a key without pointers.
type address struct {
	ip   [16]byte
	port uint16
}

const addressSize = 16 + 2

func addressOf(a netip.AddrPort) address { return address{a.Addr().As16(), a.Port()} }

func (a address) addrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.ip).Unmap(), a.port)
}

func (a address) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint16(append(dst, a.ip[:]...), a.port)
}

// is4 says whether the IP is IPv4.
func (a address) is4() bool {
	return [12]byte(a.ip[:]) == [12]byte{10: 0xff, 11: 0xff}
}

// source is what counts as one sender: an IPv4 address, or a /64 of IPv6, of
// which a household has one.
func (a address) source() [16]byte {
	if !a.is4() {
		clear(a.ip[8:])
	}
	return a.ip
}
