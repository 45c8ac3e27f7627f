package wire

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/throng-gg/throng"
)

// Handoff gives a connected client a seat in another session: it connects there
// with the token and stays in this session until the other's welcome came, then
// it says goodbye here. If the other cannot be reached the client stays.
//
// For other languages: the message is, numbers little-endian, a word being a
// byte that says its length and so many bytes:
//
//	1       6, the message
//	words   Session, Place
//	4       Version
//	words   Ticket's caller and name, Code
//	1       bit 0: the door relays WebSockets to the session
//	2       length of the WebTransport URL, and the URL; 0: none
//	1       number of certificates, and 32 bytes each
//	2       length of the token without the zeros at its end, and so much of it
//
// The token is filled up with zeros to 2048 bytes.
type Handoff struct {
	Session throng.SessionID
	Place   throng.PlaceID
	Version throng.Version
	Key     throng.TicketKey // the ticket that the seat is held under
	Code    string           // of a private session: lets others in
	// Web is where browsers connect. WebSocket is not told: it is the door's
	// /v1/sessions/{id}/socket, if Socket says that there is one.
	Web    throng.WebAddress
	Socket bool
	Token  []byte // 2048 bytes
}

// AppendHandoff appends the message. Invalid: the token is none, a word does not
// fit, or what else ParseHandoff would not read.
func AppendHandoff(dst []byte, h Handoff) ([]byte, error) {
	from := len(dst)
	out := append(dst, byte(MessageHandoff))
	for _, s := range []string{string(h.Session), string(h.Place)} {
		out = appendWord(out, CutText(s, MaxText))
	}
	out = binary.LittleEndian.AppendUint32(out, uint32(h.Version))
	for _, s := range []string{string(h.Key.Caller), string(h.Key.Ticket), h.Code} {
		out = appendWord(out, CutText(s, MaxText))
	}
	if h.Socket {
		out = append(out, 1)
	} else {
		out = append(out, 0)
	}
	out = appendLong(out, []byte(h.Web.URL))
	out = append(out, byte(len(h.Web.Certificates)))
	for _, c := range h.Web.Certificates {
		out = append(out, c[:]...)
	}
	if len(h.Token) != tokenSize {
		return dst, throng.Errorf(throng.Invalid, "a connect token of %d bytes", len(h.Token))
	}
	out = appendLong(out, bytes.TrimRight(h.Token, "\x00"))
	// One set of checks: what would not be read is not made.
	if _, err := ParseHandoff(out[from:]); err != nil {
		return dst, err
	}
	return out, nil
}

// appendLong appends a length in two bytes, then so many.
func appendLong(dst, b []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(dst, uint16(len(b))), b...)
}

func (r *byteReader) long() []byte { return r.take(int(r.short16())) }

// ParseHandoff reads the message; bytes after it are for later versions.
// Invalid: it is none.
func ParseHandoff(b []byte) (Handoff, error) {
	if MessageOf(b) != MessageHandoff || len(b) > MaxMessage {
		return Handoff{}, throng.Errorf(throng.Invalid, "not a handoff of %d bytes", len(b))
	}
	r := byteReader{src: b, at: 1}
	h := Handoff{Session: throng.SessionID(r.word()), Place: throng.PlaceID(r.word())}
	h.Version = throng.Version(uint32(r.short16()) | uint32(r.short16())<<16)
	h.Key = throng.TicketKey{Caller: throng.PlayerID(r.word()), Ticket: throng.TicketID(r.word())}
	h.Code = r.word()
	h.Socket = r.byte()&1 != 0
	h.Web.URL = string(r.long())
	for n := r.byte(); n > 0 && !r.short; n-- {
		if c := r.take(32); c != nil {
			h.Web.Certificates = append(h.Web.Certificates, [32]byte(c))
		}
	}
	token := r.long()
	if r.short || len(token) > tokenSize {
		return Handoff{}, throng.Errorf(throng.Invalid, "a handoff of %d bytes ends too early", len(b))
	}
	h.Token = append(slices.Clip(token), make([]byte, tokenSize-len(token))...)
	if _, err := addressesOf(h.Token); err != nil {
		return Handoff{}, err
	}
	return h, h.Web.Check("web")
}
