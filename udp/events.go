package udp

import (
	"net"
	"net/netip"

	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire/netcode"
)

// events is the netcode server's sink. Its methods run under the Transport's
// mutex. A client that there is no room for is refused, and asks again 100 ms
// later.
type events struct {
	*gameserver.Source
	socket  *net.UDPConn
	metrics *metrics
}

// Datagram writes to the socket.
func (e *events) Datagram(to netip.AddrPort, datagram []byte) {
	if _, err := e.socket.WriteToUDPAddrPort(datagram, to); err != nil {
		e.metrics.unsent.Inc()
		return
	}
	e.metrics.datagramsOut.Inc()
	e.metrics.bytesOut.Add(float64(len(datagram)))
}

// Connected tells the reader, or refuses.
func (e *events) Connected(c netcode.ConnID, from netip.AddrPort, userData *[netcode.UserDataSize]byte) bool {
	if !e.Source.Connected(uint64(c), from, userData[:]) {
		return false
	}
	e.metrics.clients.Inc()
	return true
}

// Payload tells the reader, or drops.
func (e *events) Payload(c netcode.ConnID, payload []byte) {
	if !e.Message(uint64(c), payload) {
		e.metrics.eventsFull.Inc()
	}
}

// Disconnected tells the reader.
func (e *events) Disconnected(c netcode.ConnID, why netcode.Reason) {
	e.metrics.clients.Dec()
	if why == netcode.ReasonTimeout {
		e.Lost(uint64(c))
		return
	}
	e.Source.Disconnected(uint64(c))
}
