package wire

import "github.com/throng-gg/throng"

// snapshotHeaderMax is what AppendSnapshot writes before the body, at most.
const snapshotHeaderMax = 25

// MaxBody is the length of a snapshot's body in one payload.
const MaxBody = MaxPayload - snapshotHeaderMax

// Snapshot is one payload of a world at a tick. Several are one snapshot when
// they have the same Tick; it is complete when all Parts came.
type Snapshot struct {
	Tick        throng.Tick
	Part, Parts uint8       // Part from 0, Parts 1 to MaxParts
	Base        throng.Tick // the view that Body changes; 0: the empty one
	Older       throng.Tick // for predicting where things went since Base; 0: nothing moves

	// About begins part 0 and is zero in the others.
	About About

	Body []byte // of Encoder
}

// About is what a snapshot says beside its entities.
type About struct {
	Input   uint16 // low bits of the newest input that the server has applied
	Through uint32 // entities up to this ID are in the view; 0: all
	HasEcho bool
	Sent    uint16 // of HasEcho: Input.Sent of the newest input
	Hold    uint8  // of HasEcho: milliseconds between its arrival and this snapshot
	HasHash bool
	Hash    uint64 // of HasHash: View.Hash of the view after this snapshot
}

// AppendSnapshot appends the message: bits, filled up to a byte, then Body to
// the end. Base and Older must be less than History before Tick.
func AppendSnapshot(dst []byte, s Snapshot) []byte {
	w := bitWriter{dst: append(dst, byte(MessageSnapshot))}
	w.bits(uint32(s.Tick), 32)
	w.flag(s.Parts > 1)
	if s.Parts > 1 {
		w.bits(uint32(s.Part), 4)
		w.bits(uint32(s.Parts-1), 4)
	}
	w.bits(age(s.Tick, s.Base), 5)
	w.bits(age(s.Tick, s.Older), 5)
	if s.Part == 0 {
		s.About.append(&w)
	}
	return append(w.finish(), s.Body...)
}

func (a About) append(w *bitWriter) {
	w.bits(uint32(a.Input), 16)
	w.flag(a.Through != 0)
	if a.Through != 0 {
		w.bits(a.Through, 32)
	}
	w.flag(a.HasEcho)
	if a.HasEcho {
		w.bits(uint32(a.Sent), 16)
		w.bits(uint32(a.Hold), 8)
	}
	w.flag(a.HasHash)
	if a.HasHash {
		w.bits64(a.Hash)
	}
}

// age is how many ticks base is before t, 0 for none.
func age(t, base throng.Tick) uint32 {
	if base == 0 {
		return 0
	}
	return uint32(t - base)
}

// ParseSnapshot reads the message. Body is part of payload and not looked at.
func ParseSnapshot(payload []byte) (Snapshot, error) {
	if MessageOf(payload) != MessageSnapshot || len(payload) > MaxPayload {
		return Snapshot{}, throng.Errorf(throng.Invalid, "not a snapshot of %d bytes", len(payload))
	}
	r := bitReader{src: payload[1:]}
	s := Snapshot{Tick: throng.Tick(r.bits(32)), Parts: 1}
	if r.flag() {
		s.Part, s.Parts = uint8(r.bits(4)), uint8(r.bits(4)+1)
	}
	base, older := throng.Tick(r.bits(5)), throng.Tick(r.bits(5))
	if s.Part == 0 {
		s.About = parseAbout(&r)
	}
	if r.short || s.Tick == 0 || s.Part >= s.Parts || base >= s.Tick || older >= s.Tick {
		return Snapshot{}, throng.Errorf(throng.Invalid, "a snapshot of %d bytes has a bad header", len(payload))
	}
	if older != 0 && (base == 0 || older <= base) {
		return Snapshot{}, throng.Errorf(throng.Invalid, "a snapshot's older tick is %d back, its baseline %d", older, base)
	}
	if base != 0 {
		s.Base = s.Tick - base
	}
	if older != 0 {
		s.Older = s.Tick - older
	}
	s.Body = r.rest()
	return s, nil
}

func parseAbout(r *bitReader) About {
	a := About{Input: uint16(r.bits(16))}
	if r.flag() {
		a.Through = r.bits(32)
	}
	a.HasEcho = r.flag()
	if a.HasEcho {
		a.Sent, a.Hold = uint16(r.bits(16)), uint8(r.bits(8))
	}
	a.HasHash = r.flag()
	if a.HasHash {
		a.Hash = r.bits64()
	}
	return a
}
