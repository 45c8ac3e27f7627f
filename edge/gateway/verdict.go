package gateway

import (
	"encoding/binary"

	"github.com/throng-gg/throng/wire/netcode"
)

// Verdict is what became of a datagram.
type Verdict uint8

// The verdicts.
const (
	Forwarded   Verdict = iota
	Shown               // a token that expired for joining, by a client that comes from another gateway
	Malformed           // its size or first bytes are those of no packet
	Protocol            // another protocol, or another version of netcode
	Expired             // the token's time is over
	Forged              // the token was not made in this region, or was changed
	TokenLimit          // one token is shown too often
	SourceLimit         // one sender shows too many tokens
	FlowLimit           // one client sends too much
	Busy                // too many tokens are shown at once
	Unproven            // its sender has shown a token, and has not proven his address
	Unknown             // its sender has shown no token
	Untagged            // no server's answer
	Full                // no room for another flow
	Draining            // this gateway takes no more clients
	Unsent              // the kernel refused it
	verdicts
)

// Verdicts lists all.
func Verdicts() []Verdict {
	out := make([]Verdict, verdicts)
	for i := range out {
		out[i] = Verdict(i)
	}
	return out
}

// String returns the verdict as metrics label it.
func (v Verdict) String() string {
	names := [verdicts]string{
		Forwarded: "forwarded", Shown: "shown", Malformed: "malformed", Protocol: "protocol", Expired: "expired",
		Forged: "forged", TokenLimit: "token_limit", SourceLimit: "source_limit", FlowLimit: "flow_limit", Busy: "busy",
		Unproven: "unproven", Unknown: "unknown", Untagged: "untagged", Full: "full", Draining: "draining", Unsent: "unsent",
	}
	if v >= verdicts {
		return "unknown"
	}
	return names[v]
}

const (
	tagSize = 16 // of what is sealed

	// What requests begin with: the type, the version and the protocol.
	requestVersion = "\x00NETCODE 1.02\x00"
	challengeBody  = 8 + 300
)

// shape is what a gateway knows of a type besides its first byte: how many bytes are sealed
// in it, and whether clients send it. Requests, which are not sealed, have none.
type shape struct {
	least, most int
	client      bool
}

func shapeOf(kind netcode.Type) shape {
	switch kind {
	case netcode.TypeDenied:
		return shape{}
	case netcode.TypeDisconnect:
		return shape{client: true}
	case netcode.TypeChallenge:
		return shape{least: challengeBody, most: challengeBody}
	case netcode.TypeResponse:
		return shape{least: challengeBody, most: challengeBody, client: true}
	case netcode.TypeKeepAlive:
		return shape{least: 8, most: 8, client: true}
	case netcode.TypePayload:
		return shape{least: 1, most: netcode.MaxPayload, client: true}
	case netcode.TypeProof:
		return shape{least: 1, most: netcode.MaxDatagram}
	case netcode.TypeRebind:
		return shape{least: 1, most: netcode.MaxDatagram, client: true}
	case netcode.TypeRequest:
	}
	return shape{least: 1} // nothing
}

const (
	shortest   = 2 + tagSize
	numberMost = 8 // bytes
)

// kindOf returns a datagram's type if it could be a packet by its first byte and
// size. It is all that is known of most garbage, so it comes first.
func kindOf(b []byte) (netcode.Type, bool) {
	if len(b) < shortest || len(b) > netcode.MaxDatagram {
		return 0, false
	}
	kind, number := netcode.Type(b[0]&15), int(b[0]>>4)
	if kind == netcode.TypeRequest {
		return kind, b[0] == 0 && len(b) == netcode.RequestSize
	}
	if number < 1 || number > numberMost || kind > netcode.TypeProof {
		return 0, false
	}
	s, body := shapeOf(kind), len(b)-1-number-tagSize
	return kind, body >= s.least && body <= s.most
}

// fromClient is kindOf for what clients say. program is the same for the kernel.
func fromClient(b []byte, protocol uint64) (netcode.Type, Verdict) {
	kind, ok := kindOf(b)
	switch {
	case !ok:
		return 0, Malformed
	case kind == netcode.TypeRequest:
		if string(b[:len(requestVersion)]) != requestVersion || binary.LittleEndian.Uint64(b[len(requestVersion):]) != protocol {
			return 0, Protocol
		}
	case !shapeOf(kind).client:
		return 0, Malformed
	}
	return kind, Forwarded
}
