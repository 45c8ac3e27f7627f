package channel

import (
	"encoding/binary"

	"github.com/throng-gg/throng"
)

const (
	flagEvents = 1 << 0
	flagState  = 1 << 1
	flagLast   = 1 << 2
	flagHold   = 1 << 3

	// MaxSlice is the length of one slice of a message at most, in bytes.
	MaxSlice = 1024
	// sliceHeader is what stands before its bytes, at most.
	sliceHeader = 2 + 2
	maxSlices   = 255 // of one packet
)

// Slice is a piece of a message, or all of it.
type Slice struct {
	Number uint16
	More   bool // the message goes on in the next one
	Data   []byte
}

// Frame is the content of one packet. Parsed, its bytes are part of the packet.
type Frame struct {
	Slices  []Slice
	HasHold bool
	Hold    uint8 // ms
	// State and Last exclude each other; nil: there is none.
	State, Last []byte
}

// Append appends the content.
func (f Frame) Append(dst []byte) []byte {
	at := len(dst)
	out := append(dst, 0)
	if f.HasHold {
		out[at] |= flagHold
		out = append(out, f.Hold)
	}
	if len(f.Slices) > 0 {
		out[at] |= flagEvents
		out = append(out, byte(len(f.Slices)))
		for _, s := range f.Slices {
			out = s.append(out)
		}
	}
	switch {
	case f.Last != nil:
		out[at] |= flagLast
		out = append(out, f.Last...)
	case f.State != nil:
		out[at] |= flagState
		out = append(out, f.State...)
	}
	return out
}

func (s Slice) append(dst []byte) []byte {
	out := binary.LittleEndian.AppendUint16(dst, s.Number)
	size := len(s.Data) << 1
	if s.More {
		size |= 1
	}
	if size >= 0x80 {
		out = append(out, byte(size)|0x80)
		size >>= 7
	}
	return append(append(out, byte(size)), s.Data...)
}

// cost is how many bytes of a packet a slice takes, at most.
func (s Slice) cost() int { return sliceHeader + len(s.Data) }

// ParseFrame reads the content of a packet. slices is where its slices are kept,
// to be used again. Invalid: it is cut short, or none.
func ParseFrame(b []byte, slices []Slice) (Frame, error) {
	if len(b) < 1 {
		return Frame{}, throng.Errorf(throng.Invalid, "an empty packet")
	}
	flags := b[0]
	b = b[1:]
	if flags >= flagHold<<1 || flags&(flagState|flagLast) == flagState|flagLast {
		return Frame{}, throng.Errorf(throng.Invalid, "a packet's content begins with %#02x", flags)
	}
	var f Frame
	if flags&flagHold != 0 {
		if len(b) < 1 {
			return Frame{}, short()
		}
		f.HasHold, f.Hold = true, b[0]
		b = b[1:]
	}
	if flags&flagEvents != 0 {
		var err error
		if f.Slices, b, err = parseSlices(b, slices[:0]); err != nil {
			return Frame{}, err
		}
	}
	switch {
	case flags&flagState != 0:
		f.State = b
	case flags&flagLast != 0:
		f.Last = b
	case len(b) > 0:
		return Frame{}, throng.Errorf(throng.Invalid, "%d bytes follow a packet's content", len(b))
	}
	return f, nil
}

func parseSlices(b []byte, into []Slice) (slices []Slice, rest []byte, err error) {
	if len(b) < 1 || b[0] == 0 {
		return nil, nil, short()
	}
	count := int(b[0])
	b = b[1:]
	for range count {
		if len(b) < 3 {
			return nil, nil, short()
		}
		s := Slice{Number: binary.LittleEndian.Uint16(b)}
		size := int(b[2])
		b = b[3:]
		if size >= 0x80 {
			if len(b) < 1 || b[0] == 0 || b[0] >= 0x80 { // could be shorter, or goes on
				return nil, nil, short()
			}
			size = size&0x7F | int(b[0])<<7
			b = b[1:]
		}
		s.More = size&1 != 0
		size >>= 1
		if size > MaxSlice || size > len(b) {
			return nil, nil, throng.Errorf(throng.Invalid, "a slice of %d bytes", size)
		}
		s.Data = b[:size:size]
		b = b[size:]
		into = append(into, s)
	}
	return into, b, nil
}

func short() error { return throng.Errorf(throng.Invalid, "a packet's content ends too early") }
