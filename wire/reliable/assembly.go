package reliable

import "github.com/throng-gg/throng"

// assembly is a packet of which some fragments are here.
type assembly struct {
	used   bool
	header Header // once fragment 0 is here
	count  int
	left   int
	here   [MaxFragments / 64]uint64
	size   int // of the content, once the last fragment is here
	data   []byte
}

// fragment takes one fragment of a packet, and the packet once it is complete.
func (e *Endpoint) fragment(datagram []byte, sink Sink) error {
	p, err := e.parse(datagram)
	if err != nil {
		e.counts.Invalid++
		return err
	}
	switch {
	case e.received.has(p.Sequence):
		e.counts.Duplicate++
		return nil
	case e.received.behind(p.Sequence):
		e.counts.Stale++
		return nil
	}
	a := e.place(p.Fragment)
	if a == nil {
		e.counts.Stale++
		return nil
	}
	if a.count != p.Count {
		e.counts.Invalid++
		return throng.Errorf(throng.Invalid, "packet %d has %d fragments and %d", p.Sequence, a.count, p.Count)
	}
	word, mask := p.Number/64, uint64(1)<<(p.Number%64)
	if a.here[word]&mask != 0 {
		e.counts.Duplicate++
		return nil
	}
	a.here[word] |= mask
	a.left--
	at := int(p.Number) * e.cfg.FragmentSize
	copy(a.data[at:], p.data)
	if p.Number == 0 {
		a.header = p.header
	}
	if int(p.Number) == p.Count-1 {
		a.size = at + len(p.data)
	}
	if a.left > 0 {
		return nil
	}
	a.used = false
	e.packet(a.header, a.data[:a.size], sink)
	return nil
}

// piece is a fragment that was read.
type piece struct {
	Fragment
	header Header // of the packet, in fragment 0
	data   []byte
}

func (e *Endpoint) parse(datagram []byte) (piece, error) {
	f, data, err := ParseFragment(datagram)
	var h Header
	if err == nil && f.Number == 0 {
		h, data, err = ParseHeader(data)
	}
	size := e.cfg.FragmentSize
	switch {
	case err != nil:
	case f.Number == 0 && h.Sequence != f.Sequence:
		err = throng.Errorf(throng.Invalid, "a fragment of packet %d carries the header of packet %d", f.Sequence, h.Sequence)
	case (f.Count-1)*size >= e.cfg.MaxPacket:
		err = throng.Errorf(throng.Invalid, "a packet of %d fragments", f.Count)
	case len(data) < 1 || len(data) > size || len(data) < size && int(f.Number) != f.Count-1,
		int(f.Number)*size+len(data) > e.cfg.MaxPacket:
		err = throng.Errorf(throng.Invalid, "fragment %d of %d has %d bytes", f.Number, f.Count, len(data))
	}
	return piece{f, h, data}, err
}

// place is where the fragments of a packet are kept: its own, a free one, or
// that of an older packet, which is given up. Nil: all are of newer ones.
func (e *Endpoint) place(f Fragment) *assembly {
	var free, oldest *assembly
	for i := range e.open {
		a := &e.open[i]
		switch {
		case a.used && a.header.Sequence == f.Sequence:
			return a
		case !a.used:
			free = a
		case oldest == nil || later(oldest.header.Sequence, a.header.Sequence):
			oldest = a
		}
	}
	if free == nil {
		if later(oldest.header.Sequence, f.Sequence) {
			return nil
		}
		free = oldest
		e.counts.Abandoned++
	}
	e.received.reach(f.Sequence) // as the reference does: acks are told from here
	// Memory is taken by what was promised, and no more than for MaxPacket.
	need := f.Count * e.cfg.FragmentSize
	if cap(free.data) < need {
		free.data = make([]byte, need)
	}
	*free = assembly{used: true, header: Header{Sequence: f.Sequence}, count: f.Count, left: f.Count, data: free.data[:need]}
	return free
}

// tidy gives up packets that are too old to be taken once they are complete.
func (e *Endpoint) tidy() {
	for i := range e.open {
		if a := &e.open[i]; a.used && e.received.behind(a.header.Sequence) {
			a.used = false
			e.counts.Abandoned++
		}
	}
}
