package udp

import (
	"net"
	"net/netip"
	"runtime"

	"golang.org/x/net/ipv4"

	"github.com/throng-gg/throng/wire/netcode"
)

// batchSize is how many datagrams wait for each other at most.
const batchSize = 64

// outbox writes to the socket: at once, or many by one call while it is held.
// It is guarded by the Transport's mutex.
type outbox struct {
	socket  *net.UDPConn
	metrics *metrics
	packets *ipv4.PacketConn // nil: this system takes only one at a time

	held    bool
	waiting int
	batch   [batchSize]ipv4.Message
	slots   [batchSize]slot
	head    [netcode.CarriedSize + netcode.MaxDatagram]byte // of what does not wait
}

// slot is the memory of one datagram that waits.
type slot struct {
	to   net.UDPAddr
	ip   [16]byte
	data [netcode.CarriedSize + netcode.MaxDatagram]byte
}

func newOutbox(socket *net.UDPConn, m *metrics) *outbox {
	o := &outbox{socket: socket, metrics: m}
	if runtime.GOOS != "linux" {
		return o
	}
	o.packets = ipv4.NewPacketConn(socket) // of either version: each address says its own
	for i := range o.batch {
		o.batch[i] = ipv4.Message{Buffers: make([][]byte, 1), Addr: &o.slots[i].to}
	}
	return o
}

func (o *outbox) send(to netip.AddrPort, datagram []byte) { o.put(to, nil, datagram) }

// sendVia sends to a client through a gateway.
func (o *outbox) sendVia(via netcode.Via, to netip.AddrPort, datagram []byte) {
	head := netcode.AppendCarried(o.head[:0], to, via.Tag)
	if !o.held {
		head, datagram = nil, append(head, datagram...)
	}
	o.put(via.Gateway, head, datagram)
}

// put sends a datagram; head comes before it and is empty for what does not wait.
func (o *outbox) put(to netip.AddrPort, head, datagram []byte) {
	if !o.held {
		if _, err := o.socket.WriteToUDPAddrPort(datagram, to); err != nil {
			o.metrics.unsent.Inc()
			return
		}
		o.sent(1, len(datagram))
		return
	}
	s := &o.slots[o.waiting]
	s.ip = to.Addr().As16()
	s.to = net.UDPAddr{IP: s.ip[:], Port: int(to.Port()), Zone: to.Addr().Zone()}
	o.batch[o.waiting].Buffers[0] = append(append(s.data[:0], head...), datagram...)
	o.waiting++
	if o.waiting == batchSize {
		o.flush()
	}
}

func (o *outbox) hold() { o.held = o.packets != nil }

func (o *outbox) release() {
	o.flush()
	o.held = false
}

// flush sends what waits. What the kernel refuses counts as lost.
func (o *outbox) flush() {
	for left := o.batch[:o.waiting]; len(left) > 0; {
		n, err := o.packets.WriteBatch(left, 0)
		if err != nil || n < 1 {
			o.metrics.unsent.Inc()
			left = left[1:]
			continue
		}
		size := 0
		for _, m := range left[:n] {
			size += len(m.Buffers[0])
		}
		o.sent(n, size)
		left = left[n:]
	}
	o.waiting = 0
}

func (o *outbox) sent(datagrams, size int) {
	o.metrics.datagramsOut.Add(float64(datagrams))
	o.metrics.bytesOut.Add(float64(size))
}
