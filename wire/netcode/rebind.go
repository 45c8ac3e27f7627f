package netcode

import (
	"crypto/cipher"
	"encoding/binary"
	"net/netip"
	"time"
)

// A client whose address changed, because a router forgot it or because it went
// to another network, keeps its connection by two packets of types that the
// standard leaves free. Both sides know them under Throng's ProtocolID only:
// under any other they are what they are in the standard, nothing.
//
//	rebind, without a proof (77 to 84 bytes)  ──▶ proof (68 to 75), to where it came from
//	rebind, with the proof                    ──▶ keep-alive; from now on to there
//
// Rebind (7), client to server: after the number comes, in clear, the client's
// slot, by which the server finds the key to open it with; sealed: a proof, or
// zeros. Proof (8), server to client: sealed with a key of the server's own,
// which connection may go to which address.
//
// Forging one needs the client's key; recorded ones are refused by their number,
// which is of the same sequence as all that the client sends. Who holds one
// back and lets it in from an address of his own gets a proof that only the
// client can put into a rebind, and no answer is larger than what it answers.
const (
	proofPlainSize = 8 + 16 + 2
	proofSize      = proofPlainSize + tagSize
	// proofBodySize is the proof's number, which is its nonce, and the proof.
	proofBodySize = 8 + proofSize
	// rebindBodySize is a proof and as much again as the longest header of its
	// answer may be longer than the shortest of a rebind.
	rebindBodySize = proofBodySize + 8
	slotSize       = 1
)

// rebindAfter is the silence after which a client asks whether its address
// changed: a server says something every 100 ms.
const rebindAfter = 250 * time.Millisecond

// sealProof appends a proof for a connection at an address.
func (c *codec) sealProof(dst []byte, aead cipher.AEAD, number uint64, id ConnID, addr path) []byte {
	c.proof = makeProof(id, addr)
	out := binary.LittleEndian.AppendUint64(dst, number)
	return aead.Seal(out, c.numberNonce(number), c.proof[:], c.proofData())
}

// proves says whether a rebind's body holds the proof for a connection at an
// address. The body is overwritten.
func (c *codec) proves(aead cipher.AEAD, body []byte, id ConnID, addr path) bool {
	number, sealed := binary.LittleEndian.Uint64(body), body[8:proofBodySize]
	plain, err := aead.Open(sealed[:0], c.numberNonce(number), sealed, c.proofData())
	return err == nil && proof(plain) == makeProof(id, addr)
}

// proof says which connection may go where: its ID, the IP and the port. Behind
// a gateway the IP is a hash of IP and gateway.
type proof [proofPlainSize]byte

func makeProof(id ConnID, addr path) (p proof) {
	ip := addr.client.Addr().As16()
	if addr.via != (Via{}) {
		ip = addr.hash()
	}
	binary.LittleEndian.PutUint64(p[:], uint64(id))
	copy(p[8:], ip[:])
	binary.LittleEndian.PutUint16(p[24:], addr.client.Port())
	return p
}

// proofData parts proofs from challenges, which are sealed with the same key and
// no data besides.
func (c *codec) proofData() []byte { return c.data[:versionSize+8] }

// rebind takes a rebind from anywhere. What it costs without the key is one
// failed opening of 90 bytes.
func (s *Server) rebind(now time.Time, from path, h header, datagram []byte) Drop {
	slot := int(h.slot)
	if slot >= len(s.clients) || s.clients[slot].id == 0 {
		return DropUnknown
	}
	c := &s.clients[slot]
	body, drop := s.codec.open(c.open, &c.seen, h, datagram)
	if drop != DropNone {
		return drop
	}
	c.received, c.confirmed = now, true
	at, taken := s.byAddr[from]
	switch {
	case taken && at == slot: // nothing changed: the client only heard nothing
		s.keepAlive(now, slot)
	case s.codec.proves(s.secret, body, c.id, from):
		s.move(now, slot, from)
	default:
		s.body = s.codec.sealProof(s.body[:0], s.secret, s.challenges, c.id, from)
		s.challenges++
		s.sendTo(now, c, from, TypeProof, s.body)
	}
	return DropNone
}

// move makes from a client's address. Another client that was known there is
// not there any more, as the proof could not have been read otherwise: routers
// that start again may deal their ports anew. It will say where it is.
func (s *Server) move(now time.Time, slot int, from path) {
	c := &s.clients[slot]
	if s.byAddr[c.addr] == slot {
		delete(s.byAddr, c.addr)
	}
	delete(s.pending, from)
	c.addr = from
	s.byAddr[from] = slot
	s.sink.Moved(c.id, from.client)
	s.keepAlive(now, slot)
}

// rebinds says whether a client of a protocol can ask for its new address.
func rebinds(protocol uint64) bool { return protocol == ProtocolID }

// askToRebind asks at most every 100 ms, whatever else is sent; each time at the
// next address that the token names, from the one that was heard last. What is
// there may be a gateway that has not seen this client yet, so the token is shown
// to it first, as it was in the beginning. A server ignores that.
func (c *Client) askToRebind(now time.Time) {
	if c.state != StateConnected || !c.moves() || now.Sub(c.heard) < rebindAfter || now.Sub(c.asked) < sendInterval {
		return
	}
	if c.asked.Before(c.heard) {
		c.ask = c.server
	}
	at := c.token.Servers[c.ask]
	c.ask = (c.ask + 1) % len(c.token.Servers)
	c.out = appendRequest(c.out[:0], c.token)
	c.sink.Datagram(at, c.out)
	c.sendRebind(now, at, nil)
}

// sendRebind asks with the proof, or for one.
func (c *Client) sendRebind(now time.Time, at netip.AddrPort, proof []byte) {
	c.asked = now
	c.body = append(c.body[:0], proof...)
	c.body = c.body[:rebindBodySize]
	clear(c.body[len(proof):])
	c.sendTo(now, at, TypeRebind, c.body)
}

// moves says whether the connection can go on by another way.
func (c *Client) moves() bool { return rebinds(c.token.ProtocolID) }
