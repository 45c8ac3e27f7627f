package udp

import (
	"net/netip"

	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/wire/netcode"
)

// events is the netcode server's sink. Its methods run under the Transport's
// mutex. A client that there is no room for is refused, and asks again 100 ms
// later.
type events struct {
	*gameserver.Source
	out     *outbox
	metrics *metrics
}

// Datagram writes to the socket, or lets it wait for others.
func (e *events) Datagram(to netip.AddrPort, datagram []byte) { e.out.send(to, datagram) }

// DatagramVia writes the same to a gateway.
func (e *events) DatagramVia(via netcode.Via, to netip.AddrPort, datagram []byte) {
	e.out.sendVia(via, to, datagram)
}

// Connected tells the reader, or refuses.
func (e *events) Connected(c netcode.ConnID, from netip.AddrPort, userData *[netcode.UserDataSize]byte) bool {
	if !e.Source.Connected(uint64(c), from, userData[:]) {
		return false
	}
	e.metrics.clients.Inc()
	return true
}

// Moved counts: a connection is the same for its reader, wherever its client is.
func (e *events) Moved(netcode.ConnID, netip.AddrPort) { e.metrics.moved.Inc() }

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
