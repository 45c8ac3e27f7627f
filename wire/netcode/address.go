package netcode

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Address types on the wire.
const (
	addressIPv4 = 1
	addressIPv6 = 2
)

var (
	errAddressCount = errors.New("a token names 1 to 32 server addresses")
	errAddressType  = errors.New("a server address is neither IPv4 nor IPv6")
	errShort        = errors.New("it ends too early")
)

// appendAddresses appends a count and the addresses. IPv6 groups are numbers in
// the standard, so each is little-endian, unlike in an IP header.
func appendAddresses(dst []byte, servers []netip.AddrPort) []byte {
	out := binary.LittleEndian.AppendUint32(dst, uint32(len(servers)))
	for _, s := range servers {
		if a := s.Addr().Unmap(); a.Is4() {
			ip := a.As4()
			out = append(out, addressIPv4)
			out = append(out, ip[:]...)
		} else {
			ip := a.As16()
			out = append(out, addressIPv6)
			for i := 0; i < len(ip); i += 2 {
				out = append(out, ip[i+1], ip[i])
			}
		}
		out = binary.LittleEndian.AppendUint16(out, s.Port())
	}
	return out
}

// parseAddresses appends the addresses at the head of b to dst and returns what
// follows them.
func parseAddresses(dst []netip.AddrPort, b []byte) (servers []netip.AddrPort, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errShort
	}
	count := binary.LittleEndian.Uint32(b)
	if count < 1 || count > MaxServers {
		return nil, nil, errAddressCount
	}
	servers, rest = dst, b[4:]
	for range count {
		var s netip.AddrPort
		if s, rest, err = parseAddress(rest); err != nil {
			return nil, nil, err
		}
		servers = append(servers, s)
	}
	return servers, rest, nil
}

func parseAddress(b []byte) (server netip.AddrPort, rest []byte, err error) {
	if len(b) < 1 {
		return server, nil, errShort
	}
	switch b[0] {
	case addressIPv4:
		if len(b) < 7 {
			return server, nil, errShort
		}
		ip := netip.AddrFrom4([4]byte(b[1:5]))
		return netip.AddrPortFrom(ip, binary.LittleEndian.Uint16(b[5:])), b[7:], nil
	case addressIPv6:
		if len(b) < 19 {
			return server, nil, errShort
		}
		ip := [16]byte(b[1:17])
		for i := 0; i < len(ip); i += 2 {
			ip[i], ip[i+1] = ip[i+1], ip[i]
		}
		return unmap(netip.AddrPortFrom(netip.AddrFrom16(ip), binary.LittleEndian.Uint16(b[17:]))), b[19:], nil
	}
	return server, nil, errAddressType
}

// unmap gives each address one form, so that it can be compared and looked up.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
