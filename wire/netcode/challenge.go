package netcode

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
)

// numbered is the body of a challenge, and of the response that brings it back:
// proof that the client gets what is sent to its address. Only the server that
// made the token can open it.
type numbered struct {
	number uint64 // of the challenge token, its nonce
	token  [challengeSize]byte
}

func (n *numbered) append(dst []byte) []byte {
	return append(binary.LittleEndian.AppendUint64(dst, n.number), n.token[:]...)
}

// parseNumbered reads the body of a challenge or response.
func parseNumbered(b []byte) (numbered, error) {
	if len(b) != numberedSize {
		return numbered{}, errNumberedSize
	}
	return numbered{number: binary.LittleEndian.Uint64(b), token: [challengeSize]byte(b[8:])}, nil
}

var errNumberedSize = errors.New("a challenge has another size")

// sealChallenge makes a challenge token for a client.
func (c *codec) sealChallenge(aead cipher.AEAD, number, clientID uint64, userData *[UserDataSize]byte) numbered {
	n := numbered{number: number}
	plain := n.token[:challengeSize-tagSize]
	binary.LittleEndian.PutUint64(plain, clientID)
	copy(plain[8:], userData[:])
	aead.Seal(plain[:0], c.numberNonce(number), plain, nil)
	return n
}

// openChallenge returns whom a challenge token was made for; false: it is forged.
// The user data is valid until n changes.
func (c *codec) openChallenge(aead cipher.AEAD, n *numbered) (clientID uint64, userData []byte, ok bool) {
	plain, err := aead.Open(n.token[:0], c.numberNonce(n.number), n.token[:], nil)
	if err != nil {
		return 0, nil, false
	}
	return binary.LittleEndian.Uint64(plain), plain[8 : 8+UserDataSize], true
}
