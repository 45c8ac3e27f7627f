package reliable

import "github.com/throng-gg/throng"

// MaxFragments is how many fragments a packet has at most.
const MaxFragments = 256

// Config is what both ends of a connection have to agree on, but for
// Assemblies.
type Config struct {
	// MaxPacket is the length of a packet's content at most, either way, in
	// bytes; default 16 KiB.
	MaxPacket int
	// FragmentAbove is the length up to which a packet travels whole; default
	// 1,024.
	FragmentAbove int
	// FragmentSize is the content of each fragment but the last; default 1,024.
	FragmentSize int
	// Assemblies is how many packets may be incomplete at once; default 4. When
	// one more begins, the oldest is given up. Each keeps MaxPacket bytes at most.
	Assemblies int
}

// fill sets defaults.
func (c Config) fill() Config {
	for _, d := range []struct {
		field *int
		value int
	}{{&c.MaxPacket, 16 << 10}, {&c.FragmentAbove, 1024}, {&c.FragmentSize, 1024}, {&c.Assemblies, 4}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return c
}

// Sink is told of what came in a datagram.
type Sink interface {
	// Packet takes a packet's content, good until it returns. False: it is not
	// acked, and may come again; what it says of acks is not heard.
	Packet(h Header, content []byte) bool
	// Acked tells that a packet has arrived at the other side, once each, after
	// Packet has taken the one that says so.
	Acked(sequence uint16)
}

// Counts is what an Endpoint has ignored.
type Counts struct {
	Invalid   uint64 // datagrams that make no sense
	Stale     uint64 // packets, and fragments of such, too old to take
	Duplicate uint64
	Refused   uint64 // by the Sink
	Future    uint64 // acks of packets that were never sent
	Abandoned uint64 // packets of which some fragments never came
}

// Endpoint is one end of a connection. It belongs to one goroutine.
type Endpoint struct {
	cfg      Config
	sequence uint16 // of the next packet
	unacked  window // packets that were sent and not acked
	received window
	open     []assembly
	counts   Counts
	out      []byte
}

// New returns an end of a connection over which nothing went yet. Invalid: the
// configuration makes no sense.
func New(cfg Config) (*Endpoint, error) {
	cfg = cfg.fill()
	switch {
	case cfg.FragmentSize < 1 || cfg.FragmentAbove < 1 || cfg.Assemblies < 1:
		return nil, throng.Errorf(throng.Invalid, "sizes below 1 byte, or no packet at once")
	case cfg.MaxPacket < cfg.FragmentAbove || cfg.MaxPacket > MaxFragments*cfg.FragmentSize:
		return nil, throng.Errorf(throng.Invalid, "packets of %d bytes do not fit into %d fragments of %d", cfg.MaxPacket, MaxFragments, cfg.FragmentSize)
	}
	return &Endpoint{cfg: cfg, open: make([]assembly, cfg.Assemblies)}, nil
}

// Next is the sequence that the next packet will have.
func (e *Endpoint) Next() uint16 { return e.sequence }

// Counts is what was ignored so far.
func (e *Endpoint) Counts() Counts { return e.counts }

// Acks is what the next packet will say of those that came.
func (e *Endpoint) Acks() (ack uint16, bits uint32) { return e.received.acks() }

// Send gives transmit the datagrams of one packet, each good until transmit
// returns. Invalid: content is empty or longer than MaxPacket.
func (e *Endpoint) Send(content []byte, transmit func(datagram []byte)) (sequence uint16, err error) {
	if len(content) < 1 || len(content) > e.cfg.MaxPacket {
		return 0, throng.Errorf(throng.Invalid, "a packet has 1 to %d bytes, this one %d", e.cfg.MaxPacket, len(content))
	}
	h := Header{Sequence: e.sequence}
	h.Ack, h.Bits = e.received.acks()
	e.sequence++
	e.unacked.mark(h.Sequence)
	if len(content) <= e.cfg.FragmentAbove {
		e.out = append(h.Append(e.out[:0]), content...)
		transmit(e.out)
		return h.Sequence, nil
	}
	size := e.cfg.FragmentSize
	f := Fragment{Sequence: h.Sequence, Count: (len(content) + size - 1) / size}
	for i := range f.Count {
		f.Number = uint8(i)
		e.out = f.Append(e.out[:0])
		if i == 0 {
			e.out = h.Append(e.out)
		}
		e.out = append(e.out, content[i*size:min(len(content), (i+1)*size)]...)
		transmit(e.out)
	}
	return h.Sequence, nil
}

// Receive takes a datagram. Invalid: it makes no sense. What is late, double or
// refused is counted and no error.
func (e *Endpoint) Receive(datagram []byte, sink Sink) error {
	if len(datagram) > 0 && datagram[0] == prefixFragment {
		return e.fragment(datagram, sink)
	}
	h, content, err := ParseHeader(datagram)
	if err == nil && (len(content) < 1 || len(content) > e.cfg.MaxPacket) {
		err = throng.Errorf(throng.Invalid, "a packet of %d bytes", len(content))
	}
	if err != nil {
		e.counts.Invalid++
		return err
	}
	e.packet(h, content, sink)
	return nil
}

// packet takes a packet that is complete.
func (e *Endpoint) packet(h Header, content []byte, sink Sink) {
	switch {
	case e.received.behind(h.Sequence):
		e.counts.Stale++
		return
	case e.received.has(h.Sequence):
		e.counts.Duplicate++
		return
	}
	if !sink.Packet(h, content) {
		e.counts.Refused++
		return
	}
	e.received.mark(h.Sequence)
	e.tidy()
	e.acked(h, sink)
}

// acked takes a header's word on what came.
func (e *Endpoint) acked(h Header, sink Sink) {
	for i := range uint16(ackBits) {
		if h.Bits>>i&1 == 0 {
			continue
		}
		sequence := h.Ack - i
		switch {
		case later(sequence, e.unacked.next-1):
			e.counts.Future++
		case e.unacked.has(sequence):
			e.unacked.clear(sequence)
			sink.Acked(sequence)
		}
	}
}
