package udp

import (
	"net/netip"

	"github.com/throng-gg/throng/udp/batch"
	"github.com/throng-gg/throng/wire/netcode"
)

// batchSize is how many datagrams wait for each other, or are read at once, at most.
const batchSize = batch.Size

// outgoing is a datagram and where it goes.
type outgoing struct {
	to   netip.AddrPort
	data []byte
}

// outbox writes to the socket: at once, or many by one call while it is held.
// It is guarded by the Transport's mutex.
type outbox struct {
	socket  *socket
	metrics *metrics

	held    bool
	waiting int
	count   uint64 // of all that were put
	batch   [batchSize]outgoing
	slots   [batchSize][netcode.CarriedSize + netcode.MaxDatagram]byte
	head    [netcode.CarriedSize]byte
}

func newOutbox(s *socket, m *metrics) *outbox { return &outbox{socket: s, metrics: m} }

func (o *outbox) send(to netip.AddrPort, datagram []byte) { o.put(to, nil, datagram) }

// sendVia sends to a client through a gateway.
func (o *outbox) sendVia(via netcode.Via, to netip.AddrPort, datagram []byte) {
	o.put(via.Gateway, netcode.AppendCarried(o.head[:0], to, via.Tag), datagram)
}

// put sends a datagram, with head before it.
func (o *outbox) put(to netip.AddrPort, head, datagram []byte) {
	o.batch[o.waiting] = outgoing{to, append(append(o.slots[o.waiting][:0], head...), datagram...)}
	o.waiting++
	o.count++
	if !o.held || o.waiting == batchSize {
		o.flush()
	}
}

func (o *outbox) hold() { o.held = true }

func (o *outbox) release() {
	o.flush()
	o.held = false
}

// flush sends what waits. What the kernel refuses counts as lost.
func (o *outbox) flush() {
	for left := o.batch[:o.waiting]; len(left) > 0; {
		n, err := o.socket.write(left)
		size := 0
		for _, d := range left[:n] {
			size += len(d.data)
		}
		o.metrics.datagramsOut.Add(float64(n))
		o.metrics.bytesOut.Add(float64(size))
		left = left[n:]
		if err != nil || n < 1 {
			o.metrics.unsent.Inc()
			left = left[1:]
		}
	}
	o.waiting = 0
}
