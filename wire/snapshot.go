package wire

import (
	"math/bits"

	"github.com/throng-gg/throng"
)

// snapshotHeaderMax is what AppendSnapshot writes before the body, at most.
const snapshotHeaderMax = 16

// MaxBody is the length of a snapshot's body.
const MaxBody = MaxPayload - snapshotHeaderMax

// Snapshot is what concerns a player of the world at a tick, in one payload.
type Snapshot struct {
	Tick throng.Tick
	// Young says that a client must forget all of before Since ticks ago, at most
	// 31; else Since is 0 and only what History leaves behind is forgotten.
	Young bool
	Since uint8

	Input   uint8 // low bits of the newest input that the server has applied
	HasEcho bool
	Sent    uint16 // of HasEcho: Input.Sent of the newest input
	Hold    uint8  // of HasEcho: milliseconds between its arrival and this snapshot
	HasHash bool
	Hash    uint32 // of HasHash: Decoder.Hash after this snapshot

	Body []byte // see Body
}

// since is how many ticks before this one may have come.
func (s *Snapshot) since() uint8 {
	if s.Young {
		return s.Since
	}
	return History - 1
}

// AppendSnapshot appends the message: bits, filled up to a byte, then Body to the
// end. The whole tick is written only until the client can know its upper half.
func AppendSnapshot(dst []byte, s Snapshot) []byte {
	w := bitWriter{dst: append(dst, byte(MessageSnapshot))}
	w.bits(uint32(s.Tick), 16)
	w.flag(s.Young)
	if s.Young {
		w.bits(uint32(s.Since), 5)
		w.bits(uint32(s.Tick)>>16, 16)
	}
	w.bits(uint32(s.Input), 8)
	w.flag(s.HasEcho)
	if s.HasEcho {
		w.bits(uint32(s.Sent), 16)
		w.bits(uint32(s.Hold), 8)
	}
	w.flag(s.HasHash)
	if s.HasHash {
		w.bits(s.Hash, 32)
	}
	return append(w.finish(), s.Body...)
}

// ParseSnapshot reads the message. near is the newest tick that the client
// knows of. Body is part of payload and not looked at.
func ParseSnapshot(payload []byte, near throng.Tick) (Snapshot, error) {
	if MessageOf(payload) != MessageSnapshot || len(payload) > MaxPayload {
		return Snapshot{}, throng.Errorf(throng.Invalid, "not a snapshot of %d bytes", len(payload))
	}
	r := bitReader{src: payload[1:]}
	low := r.bits(16)
	s := Snapshot{Young: r.flag()}
	if s.Young {
		s.Since = uint8(r.bits(5))
		s.Tick = throng.Tick(low | r.bits(16)<<16)
	} else {
		s.Tick = near + throng.Tick(int64(int16(uint16(low)-uint16(near))))
	}
	s.Input = uint8(r.bits(8))
	if s.HasEcho = r.flag(); s.HasEcho {
		s.Sent, s.Hold = uint16(r.bits(16)), uint8(r.bits(8))
	}
	if s.HasHash = r.flag(); s.HasHash {
		s.Hash = r.bits(32)
	}
	if r.short || s.Tick == 0 || throng.Tick(s.Since) >= s.Tick {
		return Snapshot{}, throng.Errorf(throng.Invalid, "a snapshot of %d bytes has a bad header", len(payload))
	}
	s.Body = r.rest()
	return s, nil
}

func trailing(v uint32) int { return bits.TrailingZeros32(v) }
