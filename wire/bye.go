package wire

import (
	"strings"

	"github.com/throng-gg/throng"
)

// MaxByeText bounds the words of a Bye, in bytes.
const MaxByeText = 200

// ByeCode says to programs why a connection ends.
type ByeCode uint8

// The codes of Bye.
const (
	ByeEnded    ByeCode = iota + 1 // the session is over
	ByeKicked                      // the place or an operator put the player out
	ByeEvicted                     // a newer join of the player took the seat
	ByeFull                        // no free seat
	ByeDenied                      // the join token is not good here any more
	ByeDraining                    // the session takes no more players
	ByeBehind                      // the player's client takes nothing of what it is sent
)

// String returns the word that logs and people see.
func (c ByeCode) String() string {
	switch c {
	case ByeEnded:
		return "ended"
	case ByeKicked:
		return "kicked"
	case ByeEvicted:
		return "evicted"
	case ByeFull:
		return "full"
	case ByeDenied:
		return "denied"
	case ByeDraining:
		return "draining"
	case ByeBehind:
		return "behind"
	}
	return "unknown"
}

// Bye is the last that a server says to a client: the last word of wire/channel.
type Bye struct {
	Code ByeCode
	Text string // for people; cut at MaxByeText bytes
}

// AppendBye appends the message: type, code, text to the end.
func AppendBye(dst []byte, b Bye) []byte {
	return append(append(dst, byte(MessageBye), byte(b.Code)), CutText(b.Text, MaxByeText)...)
}

// ParseBye reads the message. Codes that are not known here are kept.
func ParseBye(payload []byte) (Bye, error) {
	if MessageOf(payload) != MessageBye || len(payload) < 2 || len(payload) > 2+MaxByeText {
		return Bye{}, throng.Errorf(throng.Invalid, "not a bye of %d bytes", len(payload))
	}
	return Bye{Code: ByeCode(payload[1]), Text: CutText(string(payload[2:]), MaxByeText)}, nil
}

// CutText makes s valid UTF-8 of at most n bytes without breaking a character.
func CutText(s string, n int) string {
	if len(s) > n+3 { // bounds the work; a cut character is replaced, then cut
		return CutText(s[:n+3], n)
	}
	valid := strings.ToValidUTF8(s, "\uFFFD")
	for len(valid) > n {
		// The last character starts at the last byte that continues none.
		at := len(valid) - 1
		for at > 0 && valid[at]&0xC0 == 0x80 {
			at--
		}
		valid = valid[:at]
	}
	return valid
}
