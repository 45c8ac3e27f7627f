package wire

import (
	"crypto/hkdf"
	"crypto/sha256"

	"github.com/throng-gg/throng"
)

// SessionKey derives the key that seals a session's join tokens from a
// region's master key (HKDF-SHA256, RFC 5869). It is never stored.
func SessionKey(master [32]byte, s throng.SessionID) [32]byte {
	return [32]byte(derive(master, nil, "throng session key 1 "+string(s), 32))
}

// ConnKeys derives what one member's join token needs, the same for the same
// grant: the keys of both directions and the token's own nonce. The nonce is
// used for one plaintext only as long as all else in the token follows from
// the grant and its session's BoundAt; the route through gateways, empty without
// any, is part of what all three follow from.
func ConnKeys(session [32]byte, nonce [24]byte, p throng.PlayerID, route []byte) (clientToServer, serverToClient [32]byte, tokenNonce [24]byte) {
	info := "throng connection 1 " + string(p)
	if len(route) > 0 {
		info += "\x00" + string(route)
	}
	out := derive(session, nonce[:], info, 32+32+24)
	return [32]byte(out[:32]), [32]byte(out[32:64]), [24]byte(out[64:])
}

// MarkKey derives the key that marks a session's tokens for gateways.
func MarkKey(session [32]byte) [32]byte {
	return [32]byte(derive(session, nil, "throng route mark 1", 32))
}

func derive(secret [32]byte, salt []byte, info string, n int) []byte {
	out, err := hkdf.Key(sha256.New, secret[:], salt, info, n)
	if err != nil { // only for more than 255 hashes' worth of output
		panic(err)
	}
	return out
}
