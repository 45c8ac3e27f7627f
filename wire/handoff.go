package wire

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/throng-gg/throng"
)

// MaxHandoffParts is the number of payloads that a handoff takes at most.
const MaxHandoffParts = 4

// Handoff gives a connected client a seat in another session: it connects there
// with the token and stays in this session until the other's welcome came, then
// it says goodbye here. If the other cannot be reached the client stays. The
// message is repeated every 250 ms until the player is gone from here or the
// token has expired.
//
// For other languages: the content is, numbers little-endian, a word being a
// byte that says its length and so many bytes:
//
//	words   Session, Place
//	4       Version
//	words   Ticket's caller and name, Code
//	1       bit 0: the door relays WebSockets to the session
//	2       length of the WebTransport URL, and the URL; 0: none
//	1       number of certificates, and 32 bytes each
//	2       length of the token without the zeros at its end, and so much of it
//
// It is cut into payloads as a welcome is, see SplitHandoff; the token is filled
// up with zeros to 2048 bytes.
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

// SplitHandoff makes the payloads of a handoff, ready to send. Invalid: the
// token is none, or a word does not fit.
func SplitHandoff(h Handoff) ([][]byte, error) {
	content, err := AppendHandoff(nil, h)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, p := range splitParts(content) {
		out = append(out, AppendHandoffPart(nil, HandoffPart(p)))
	}
	return out, nil
}

// AppendHandoff appends the content. Invalid: what ParseHandoff would not read.
func AppendHandoff(dst []byte, h Handoff) ([]byte, error) {
	from := len(dst)
	out := dst
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

// ParseHandoff reads the content; bytes after it are for later versions.
// Invalid: it is none.
func ParseHandoff(b []byte) (Handoff, error) {
	if len(b) > MaxHandoffParts*partMax {
		return Handoff{}, throng.Errorf(throng.Invalid, "a handoff has %d bytes, at most %d are allowed", len(b), MaxHandoffParts*partMax)
	}
	r := byteReader{src: b}
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

// HandoffPart is one payload of a handoff.
type HandoffPart struct {
	Part, Parts uint8  // Part from 0, Parts 1 to MaxHandoffParts
	Sum         uint32 // CRC-32 (IEEE) of the whole content: parts with the same one belong together
	Data        []byte
}

// AppendHandoffPart appends the message, which but for its type is as a
// welcome's.
func AppendHandoffPart(dst []byte, p HandoffPart) []byte {
	return appendPart(dst, MessageHandoff, part(p))
}

// ParseHandoffPart reads the message. Data is part of payload.
func ParseHandoffPart(payload []byte) (HandoffPart, error) {
	p, err := parsePart(payload, MessageHandoff, MaxHandoffParts)
	return HandoffPart(p), err
}

// JoinHandoff puts the content together from all parts' data, in order, and
// checks it against their sum.
func JoinHandoff(sum uint32, data [][]byte) (Handoff, error) {
	content := bytes.Join(data, nil)
	if got := crc32.ChecksumIEEE(content); got != sum {
		return Handoff{}, throng.Errorf(throng.Invalid, "a handoff's sum is %08x, want %08x", got, sum)
	}
	return ParseHandoff(content)
}
