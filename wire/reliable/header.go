package reliable

import (
	"encoding/binary"

	"github.com/throng-gg/throng"
)

// Bounds of headers, in bytes.
const (
	MinHeader      = 4
	MaxHeader      = 9
	FragmentHeader = 5
)

// ackBits is how many packets a header speaks of.
const ackBits = 32

const (
	prefixFragment = 1 << 0
	prefixNear     = 1 << 5 // ack is told by how far it is behind sequence, in one byte
	prefixUnused   = 3 << 6
)

// Header begins a packet.
type Header struct {
	Sequence uint16 // of this packet
	Ack      uint16 // newest packet of the other side that came
	// Bits says which packets came: bit n is packet Ack-n. None at first.
	Bits uint32
}

// Append appends the header, in its only form.
func (h Header) Append(dst []byte) []byte {
	at := len(dst)
	out := append(dst, 0)
	out = binary.LittleEndian.AppendUint16(out, h.Sequence)
	if behind := h.Sequence - h.Ack; behind <= 0xFF {
		out[at] |= prefixNear
		out = append(out, byte(behind))
	} else {
		out = binary.LittleEndian.AppendUint16(out, h.Ack)
	}
	for i := range 4 {
		if b := byte(h.Bits >> (8 * i)); b != 0xFF {
			out[at] |= 2 << i
			out = append(out, b)
		}
	}
	return out
}

// ParseHeader reads a header and returns what follows it. Invalid: it is cut
// short, a fragment's, or not in its only form.
func ParseHeader(b []byte) (h Header, rest []byte, err error) {
	if len(b) < MinHeader {
		return Header{}, nil, throng.Errorf(throng.Invalid, "a packet of %d bytes has no header", len(b))
	}
	prefix := b[0]
	if prefix&(prefixFragment|prefixUnused) != 0 {
		return Header{}, nil, throng.Errorf(throng.Invalid, "a packet begins with %#02x", prefix)
	}
	h = Header{Sequence: binary.LittleEndian.Uint16(b[1:]), Bits: 0xFFFFFFFF}
	at := MinHeader
	if prefix&prefixNear != 0 {
		h.Ack = h.Sequence - uint16(b[3])
	} else {
		if len(b) < MinHeader+1 {
			return Header{}, nil, throng.Errorf(throng.Invalid, "a packet of %d bytes ends in its header", len(b))
		}
		h.Ack = binary.LittleEndian.Uint16(b[3:])
		at++
		if h.Sequence-h.Ack <= 0xFF {
			return Header{}, nil, throng.Errorf(throng.Invalid, "a packet's ack could be shorter")
		}
	}
	for i := range 4 {
		if prefix&(2<<i) == 0 {
			continue
		}
		if at == len(b) {
			return Header{}, nil, throng.Errorf(throng.Invalid, "a packet of %d bytes ends in its header", len(b))
		}
		if b[at] == 0xFF {
			return Header{}, nil, throng.Errorf(throng.Invalid, "a packet's ack bits could be shorter")
		}
		h.Bits = h.Bits&^(0xFF<<(8*i)) | uint32(b[at])<<(8*i)
		at++
	}
	return h, b[at:], nil
}

// Fragment begins one fragment of a packet.
type Fragment struct {
	Sequence uint16 // of the packet
	Number   uint8  // from 0
	Count    int    // fragments of the packet, 1 to 256, more than Number
}

// Append appends the header.
func (f Fragment) Append(dst []byte) []byte {
	out := append(dst, prefixFragment)
	out = binary.LittleEndian.AppendUint16(out, f.Sequence)
	return append(out, f.Number, byte(f.Count-1))
}

// ParseFragment reads a fragment's header and returns what follows it. Invalid:
// it is cut short, a packet's, or of a fragment past the last.
func ParseFragment(b []byte) (f Fragment, rest []byte, err error) {
	if len(b) < FragmentHeader || b[0] != prefixFragment {
		return Fragment{}, nil, throng.Errorf(throng.Invalid, "not a fragment of %d bytes", len(b))
	}
	f = Fragment{Sequence: binary.LittleEndian.Uint16(b[1:]), Number: b[3], Count: int(b[4]) + 1}
	if int(f.Number) >= f.Count {
		return Fragment{}, nil, throng.Errorf(throng.Invalid, "fragment %d of %d", f.Number, f.Count)
	}
	return f, b[FragmentHeader:], nil
}

// later says whether sequence a comes after b, modulo 65,536.
func later(a, b uint16) bool { return int16(a-b) > 0 }
