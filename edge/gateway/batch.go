package gateway

import (
	"github.com/throng-gg/throng/udp/batch"
	"github.com/throng-gg/throng/wire/netcode"
)

// slotSize is room for a head before a datagram that comes with one itself, and one
// byte more than any has, so that longer ones show.
const slotSize = 2*netcode.CarriedSize + netcode.MaxDatagram + 1

// reader reads a socket. Each datagram comes behind room for a head.
type reader struct {
	*batch.Messages
	socket *batch.Socket
	room   [][slotSize]byte
}

func newReader(s *batch.Socket) reader {
	r := reader{Messages: batch.New(), socket: s, room: make([][slotSize]byte, batch.Size)}
	for i := range r.room {
		r.SetBuffer(i, r.room[i][netcode.CarriedSize:])
	}
	return r
}

// at returns one datagram of those that were read, with the head's room before it,
// and who sent it.
func (r reader) at(i int) (withHead []byte, from address) {
	n := min(r.Len(i), slotSize-netcode.CarriedSize)
	from.ip, from.port, _ = r.From(i).Address()
	return r.room[i][:netcode.CarriedSize+n], from
}

// writer writes to a socket.
type writer struct {
	*batch.Messages
	socket  *batch.Socket
	waiting int
}

func newWriter(s *batch.Socket) *writer { return &writer{Messages: batch.New(), socket: s} }

// put lets a datagram wait for flush; its memory must not change until then. There are at
// most batch.Size between two calls of flush.
func (w *writer) put(to address, datagram []byte) {
	w.SetTo(w.waiting, to.ip, to.port, 0, w.socket.Family())
	w.SetBuffer(w.waiting, datagram)
	w.waiting++
}

// flush sends what waits, and says how many the kernel refused: what it has no
// room for is lost, as on any link.
func (w *writer) flush() (unsent int) {
	for sent := 0; sent < w.waiting; {
		n, _ := w.Send(w.socket.Descriptor(), sent, w.waiting)
		if n == 0 {
			n = 1
			unsent++
		}
		sent += n
	}
	w.waiting = 0
	return unsent
}
