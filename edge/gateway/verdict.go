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

// kindOf returns a datagram's type if it could be a packet by its first byte and
// size. It is all that is known of most garbage, so it comes first.
func kindOf(b []byte) (netcode.Type, bool) {
	if len(b) < 2+tagSize || len(b) > netcode.MaxDatagram {
		return 0, false
	}
	kind, number := netcode.Type(b[0]&15), int(b[0]>>4)
	if kind == netcode.TypeRequest {
		return kind, b[0] == 0 && len(b) == netcode.RequestSize
	}
	if number < 1 || number > 8 || kind > netcode.TypeProof {
		return 0, false
	}
	body := len(b) - 1 - number - tagSize
	switch kind {
	case netcode.TypeDenied, netcode.TypeDisconnect:
		return kind, body == 0
	case netcode.TypeChallenge, netcode.TypeResponse:
		return kind, body == challengeBody
	case netcode.TypeKeepAlive:
		return kind, body == 8
	case netcode.TypePayload:
		return kind, body >= 1 && body <= netcode.MaxPayload
	case netcode.TypeRequest, netcode.TypeRebind, netcode.TypeProof:
	}
	return kind, body > 0
}

// fromClient is kindOf for what clients say.
func fromClient(b []byte, protocol uint64) (netcode.Type, Verdict) {
	kind, ok := kindOf(b)
	switch {
	case !ok:
		return 0, Malformed
	case kind == netcode.TypeRequest:
		if string(b[:len(requestVersion)]) != requestVersion || binary.LittleEndian.Uint64(b[len(requestVersion):]) != protocol {
			return 0, Protocol
		}
	case kind == netcode.TypeDenied, kind == netcode.TypeChallenge, kind == netcode.TypeProof:
		return 0, Malformed
	}
	return kind, Forwarded
}
