package wire

import (
	"encoding/binary"

	"github.com/throng-gg/throng"
)

// Welcome is what a client must know before the first snapshot: the first message
// of a connection.
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

// AppendWelcome appends the message.
func AppendWelcome(dst []byte, w Welcome) []byte {
	out := append(dst, byte(MessageWelcome))
	out = binary.LittleEndian.AppendUint16(out, w.Protocol)
	out = append(out, w.TickRate)
	out = binary.LittleEndian.AppendUint16(out, w.Capacity)
	out = appendWord(out, CutText(string(w.Player), MaxText))
	out = appendWord(out, CutText(string(w.Session), MaxText))
	out = appendWord(out, CutText(string(w.Place), MaxText))
	out = binary.LittleEndian.AppendUint32(out, uint32(w.Version))
	return AppendSchema(out, w.Schema)
}

// ParseWelcome reads the message. Unsupported: it is of another protocol.
// Invalid: anything else that is wrong.
func ParseWelcome(b []byte) (Welcome, error) {
	if MessageOf(b) != MessageWelcome || len(b) > MaxMessage {
		return Welcome{}, throng.Errorf(throng.Invalid, "not a welcome of %d bytes", len(b))
	}
	r := byteReader{src: b, at: 1}
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
