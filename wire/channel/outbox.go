package channel

import "github.com/throng-gg/throng"

// Ahead is how many slices may be on their way.
const Ahead = 128

// piece is a slice that was not acked yet.
type piece struct {
	Slice
	flying bool   // in packet, which is not lost
	acked  bool   // but one before it was not
	packet uint16 // the newest that it was in
	sent   bool   // once
}

// outbox keeps messages until the other side has them.
type outbox struct {
	first  uint16  // number of pieces[0]
	pieces []piece // not acked, in order
	bytes  int     // of them
	most   int     // bytes
	free   [][]byte
}

// push cuts a message into pieces. Full: they are too many.
func (o *outbox) push(message []byte) error {
	slices := max(1, (len(message)+MaxSlice-1)/MaxSlice)
	if o.bytes+len(message)+slices*sliceHeader > o.most {
		return throng.Errorf(throng.Full, "%d bytes of messages wait for the other side to take them, at most %d do", o.bytes, o.most)
	}
	for i := range slices {
		part := message[i*MaxSlice : min(len(message), (i+1)*MaxSlice)]
		var data []byte
		if n := len(o.free); n > 0 {
			data, o.free = o.free[n-1][:0], o.free[:n-1]
		}
		p := piece{Slice: Slice{Number: o.first + uint16(len(o.pieces)), More: i < slices-1, Data: append(data, part...)}}
		o.pieces = append(o.pieces, p)
		o.bytes += p.cost()
	}
	return nil
}

// due appends slices that are to be sent now and fit into room bytes, and marks
// them as being in a packet.
func (o *outbox) due(into []Slice, room int, packet uint16) []Slice {
	for i := range o.pieces {
		if i >= Ahead || len(into) == maxSlices || room < sliceHeader {
			break
		}
		p := &o.pieces[i]
		if p.flying || p.acked {
			continue
		}
		if p.cost() > room {
			break // in order: what waits behind it is of no use before it
		}
		room -= p.cost()
		p.flying, p.sent, p.packet = true, true, packet
		into = append(into, p.Slice)
	}
	return into
}

// waits says whether more is to be sent now than fits into room bytes.
func (o *outbox) waits(room int) bool {
	for i := range min(len(o.pieces), Ahead) {
		if p := &o.pieces[i]; !p.flying && !p.acked {
			if room -= p.cost(); room < 0 {
				return true
			}
		}
	}
	return false
}

// ack takes that a slice has arrived.
func (o *outbox) ack(number uint16) {
	i := int(number - o.first)
	if i >= len(o.pieces) {
		return // acked before
	}
	o.pieces[i].acked = true
	done := 0
	for done < len(o.pieces) && o.pieces[done].acked {
		p := &o.pieces[done]
		o.bytes -= p.cost()
		if len(o.free) < Ahead/4 {
			o.free = append(o.free, p.Data)
		}
		done++
	}
	if done > 0 {
		kept := copy(o.pieces, o.pieces[done:])
		clear(o.pieces[kept:])
		o.pieces = o.pieces[:kept]
		o.first += uint16(done)
	}
}

// lose takes that a packet with a slice is lost. True: it will be sent again.
func (o *outbox) lose(number, packet uint16) bool {
	i := int(number - o.first)
	if i >= len(o.pieces) {
		return false
	}
	p := &o.pieces[i]
	again := p.flying && p.packet == packet && !p.acked
	if again {
		p.flying = false
	}
	return again
}
