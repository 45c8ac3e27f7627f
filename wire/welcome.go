package wire

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/throng-gg/throng"
)

// MaxWelcomeParts is the number of payloads that a welcome takes at most.
const MaxWelcomeParts = 8

const maxWelcome = MaxWelcomeParts * partMax

// Welcome is what a client must know before the first snapshot. It is repeated
// until an input says that it came.
type Welcome struct {
	Protocol uint16
	TickRate uint8  // Hz
	Capacity uint16 // seats of the session
	Player   throng.PlayerID
	Session  throng.SessionID
	Place    throng.PlaceID
	Version  throng.Version
	Schema   *Schema // not nil
}

// AppendWelcome appends the content, which SplitWelcome cuts into payloads.
func AppendWelcome(dst []byte, w Welcome) []byte {
	out := binary.LittleEndian.AppendUint16(dst, w.Protocol)
	out = append(out, w.TickRate)
	out = binary.LittleEndian.AppendUint16(out, w.Capacity)
	out = appendWord(out, CutText(string(w.Player), MaxText))
	out = appendWord(out, CutText(string(w.Session), MaxText))
	out = appendWord(out, CutText(string(w.Place), MaxText))
	out = binary.LittleEndian.AppendUint32(out, uint32(w.Version))
	return AppendSchema(out, w.Schema)
}

// ParseWelcome reads the content. Unsupported: it is of another protocol.
// Invalid: anything else that is wrong.
func ParseWelcome(b []byte) (Welcome, error) {
	if len(b) > maxWelcome {
		return Welcome{}, throng.Errorf(throng.Invalid, "a welcome has %d bytes, at most %d are allowed", len(b), maxWelcome)
	}
	r := byteReader{src: b}
	w := Welcome{Protocol: r.short16()}
	if !r.short && w.Protocol != Protocol {
		return Welcome{}, throng.Errorf(throng.Unsupported, "the server speaks protocol %d, this client %d", w.Protocol, Protocol)
	}
	w.TickRate = r.byte()
	w.Capacity = r.short16()
	w.Player = throng.PlayerID(r.word())
	w.Session = throng.SessionID(r.word())
	w.Place = throng.PlaceID(r.word())
	w.Version = throng.Version(uint32(r.short16()) | uint32(r.short16())<<16)
	if r.short {
		return Welcome{}, throng.Errorf(throng.Invalid, "a welcome of %d bytes ends too early", len(b))
	}
	schema, err := ParseSchema(b[r.at:])
	if err != nil {
		return Welcome{}, err
	}
	w.Schema = schema
	return w, nil
}

// WelcomePart is one payload of a welcome.
type WelcomePart struct {
	Part, Parts uint8  // Part from 0, Parts 1 to MaxWelcomeParts
	Sum         uint32 // CRC-32 (IEEE) of the whole content: parts with the same one belong together
	Data        []byte
}

// SplitWelcome makes the payloads of a welcome, ready to send.
func SplitWelcome(w Welcome) [][]byte {
	var out [][]byte
	for _, p := range splitParts(AppendWelcome(nil, w)) {
		out = append(out, AppendWelcomePart(nil, WelcomePart(p)))
	}
	return out
}

// AppendWelcomePart appends the message: type, part in the lower and parts-1
// in the upper half of a byte, sum, data to the end.
func AppendWelcomePart(dst []byte, p WelcomePart) []byte {
	return appendPart(dst, MessageWelcome, part(p))
}

// ParseWelcomePart reads the message. Data is part of payload.
func ParseWelcomePart(payload []byte) (WelcomePart, error) {
	p, err := parsePart(payload, MessageWelcome, MaxWelcomeParts)
	return WelcomePart(p), err
}

// JoinWelcome puts the content together from all parts' data, in order, and
// checks it against their sum.
func JoinWelcome(sum uint32, data [][]byte) (Welcome, error) {
	var content []byte
	for _, d := range data {
		content = append(content, d...)
	}
	if got := crc32.ChecksumIEEE(content); got != sum {
		return Welcome{}, throng.Errorf(throng.Invalid, "a welcome's sum is %08x, want %08x", got, sum)
	}
	return ParseWelcome(content)
}
