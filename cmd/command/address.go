package command

import (
	"net/netip"

	"github.com/throng-gg/throng"
)

// AddressOf reads an address like 0.0.0.0:7000; errors name the flag.
func AddressOf(flag, s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}, throng.AtField(throng.Invalid, flag, "%q is not an address like 0.0.0.0:7000", s)
	}
	return a, nil
}
