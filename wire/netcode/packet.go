package netcode

import (
	"crypto/cipher"
	"encoding/binary"
)

// Type is the low four bits of a packet's first byte.
type Type uint8

// The types of packets. Request is the only one that is not sealed. Denied and
// Disconnect have no body; a Payload's body is the payload itself.
const (
	TypeRequest Type = iota
	TypeDenied
	TypeChallenge
	TypeResponse
	TypeKeepAlive
	TypePayload
	TypeDisconnect
	TypeRebind // not of the standard, as the next one; see rebind.go
	TypeProof
)

// header is the clear beginning of a sealed packet: the type, and the packet's
// number without its high zero bytes, little-endian.
type header struct {
	kind   Type
	number uint64
	slot   uint8 // of a rebind
	size   int   // bytes of the header on the wire, 2 to 10
}

func (h header) append(dst []byte) []byte {
	n := 1
	for h.number>>(8*n) != 0 && n < 8 {
		n++
	}
	out := append(dst, byte(n)<<4|byte(h.kind))
	for i := range n {
		out = append(out, byte(h.number>>(8*i)))
	}
	if h.kind == TypeRebind {
		out = append(out, h.slot)
	}
	return out
}

// parseHeader refuses what can't be a sealed packet. Numbers with needless zero
// bytes are taken, as the standard does.
func parseHeader(b []byte) (header, bool) {
	if len(b) < 2+tagSize || len(b) > MaxDatagram {
		return header{}, false
	}
	kind, n := Type(b[0]&15), int(b[0]>>4)
	if kind == TypeRequest || kind > TypeProof || n < 1 || n > 8 || len(b) < 1+n+tagSize {
		return header{}, false
	}
	h := header{kind: kind, size: 1 + n}
	for i := range n {
		h.number |= uint64(b[1+i]) << (8 * i)
	}
	if kind == TypeRebind {
		if len(b) != h.size+slotSize+rebindBodySize+tagSize {
			return header{}, false
		}
		h.slot = b[h.size]
		h.size += slotSize
	}
	return h, true
}

// bodyFits says whether an opened body has the size of its type.
func bodyFits(kind Type, n int) bool {
	switch kind {
	case TypeDenied, TypeDisconnect:
		return n == 0
	case TypeChallenge, TypeResponse:
		return n == numberedSize
	case TypeKeepAlive:
		return n == keepAliveSize
	case TypePayload:
		return n >= 1 && n <= MaxPayload
	case TypeRebind:
		return n == rebindBodySize
	case TypeProof:
		return n == proofBodySize
	case TypeRequest:
		return false
	}
	return false
}

// guarded says whether a type is protected against replay. The packets of the
// handshake are not: they are repeated until answered.
func guarded(kind Type) bool {
	return kind == TypeKeepAlive || kind == TypePayload || kind == TypeDisconnect || kind == TypeRebind || kind == TypeProof
}

// codec seals and opens packets of one protocol. It holds the memory that would
// otherwise be allocated for each, so it has one owner: its Server or Client.
type codec struct {
	data  [versionSize + 8 + 1]byte // what the seal covers besides the body; the last byte is the packet's first
	nonce [packetNonceSize]byte
	proof proof
}

func makeCodec(protocol uint64) codec {
	var c codec
	copy(c.data[:], version)
	binary.LittleEndian.PutUint64(c.data[versionSize:], protocol)
	return c
}

// numberNonce is four zero bytes and the number.
func (c *codec) numberNonce(number uint64) []byte {
	binary.LittleEndian.PutUint64(c.nonce[packetNonceSize-8:], number)
	return c.nonce[:]
}

// seal appends a packet to dst. body must not overlap what is appended.
func (c *codec) seal(dst []byte, aead cipher.AEAD, h header, body []byte) []byte {
	out := h.append(dst)
	c.data[len(c.data)-1] = out[len(dst)]
	return aead.Seal(out, c.numberNonce(h.number), body, c.data[:])
}

// open returns a packet's body, which overwrites the datagram. seen is asked
// before and advanced after opening, for guarded types only. b was accepted by
// parseHeader as h.
func (c *codec) open(aead cipher.AEAD, seen *replayWindow, h header, b []byte) ([]byte, Drop) {
	if guarded(h.kind) && seen.has(h.number) {
		return nil, DropReplayed
	}
	c.data[len(c.data)-1] = b[0]
	body := b[h.size:]
	body, err := aead.Open(body[:0], c.numberNonce(h.number), body, c.data[:])
	if err != nil {
		return nil, DropForged
	}
	if guarded(h.kind) {
		seen.add(h.number)
	}
	if !bodyFits(h.kind, len(body)) {
		return nil, DropMalformed
	}
	return body, DropNone
}
