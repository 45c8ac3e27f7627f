package netcode

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// pending is a peer that was challenged and has not answered. It exists only
// because the response is sealed with a key that came in the token.
type pending struct {
	peer
	mac      tokenMAC
	userData [UserDataSize]byte
	since    time.Time
}

// patience is how long the answer may take, also when the token allows endless
// silence.
func (p *pending) patience() time.Duration {
	if p.timeout > 0 {
		return p.timeout
	}
	return DefaultTimeoutSeconds * time.Second
}

// request answers a valid request with a challenge, which is smaller. The order
// of the checks is the standard's; all before the seal cost next to nothing.
func (s *Server) request(now time.Time, from path, datagram []byte) Drop {
	r, drop := parseRequest(datagram, s.protocol)
	if drop != DropNone {
		return drop
	}
	expire := r.expire()
	if expire <= s.unix(now) {
		return DropExpired
	}
	plain, err := s.private.Open(s.plain[:0], r.nonce, r.private, r.data)
	if err != nil {
		return DropForged
	}
	t := &s.token
	if t.parse(plain) != nil {
		return DropMalformed
	}
	if len(s.public) > 0 && !slices.ContainsFunc(s.public, func(a netip.AddrPort) bool {
		return slices.Contains(t.servers, a)
	}) {
		return DropAddress
	}
	if s.connected(from, t.clientID) {
		return DropDuplicate
	}
	if drop := s.history.show(r.mac(), from, expire); drop != DropNone {
		return drop
	}
	p, drop := s.pend(now, from, r.mac())
	if drop != DropNone {
		return drop
	}
	return s.challenge(p)
}

func (s *Server) connected(from path, clientID uint64) bool {
	_, addr := s.byAddr[from]
	_, id := s.byID[clientID]
	return addr || id
}

// pend finds or makes the half-open connection of the token in s.token. Another
// token from the same address replaces the one before.
func (s *Server) pend(now time.Time, from path, mac tokenMAC) (*pending, Drop) {
	old := s.pending[from]
	p := old
	if p == nil || p.mac != mac {
		var err error
		if p, err = makePending(now, from, mac, &s.token); err != nil {
			return nil, DropMalformed
		}
	}
	if s.Clients() >= len(s.clients) {
		s.deny(p)
		return nil, DropFull
	}
	if old == nil && len(s.pending) >= s.maxPending {
		return nil, DropBusy
	}
	s.pending[from] = p
	return p, DropNone
}

func makePending(now time.Time, from path, mac tokenMAC, t *privateToken) (*pending, error) {
	open, err := chacha20poly1305.New(t.clientToServer[:])
	if err != nil {
		return nil, err
	}
	seal, err := chacha20poly1305.New(t.serverToClient[:])
	if err != nil {
		return nil, err
	}
	timeout := max(time.Duration(t.timeout)*time.Second, 0)
	return &pending{
		peer: peer{addr: from, clientID: t.clientID, timeout: timeout, open: open, seal: seal},
		mac:  mac, userData: t.userData, since: now,
	}, nil
}

func (s *Server) challenge(p *pending) Drop {
	n := s.codec.sealChallenge(s.secret, s.challenges, p.clientID, &p.userData)
	s.challenges++
	s.body = n.append(s.body[:0])
	s.sendGlobal(p, TypeChallenge, s.body)
	return DropNone
}

func (s *Server) deny(p *pending) { s.sendGlobal(p, TypeDenied, nil) }

func (s *Server) sendGlobal(p *pending, kind Type, body []byte) {
	s.out = s.codec.seal(s.out[:0], p.seal, header{kind: kind, number: s.numbers}, body)
	s.numbers++
	s.datagram(p.addr)
}

// response makes a pending peer a client when it brings back its challenge.
func (s *Server) response(now time.Time, p *pending, h header, datagram []byte) Drop {
	body, drop := s.codec.open(p.open, nil, h, datagram)
	if drop != DropNone {
		return drop
	}
	n, err := parseNumbered(body)
	if err != nil {
		return DropMalformed
	}
	clientID, userData, ok := s.codec.openChallenge(s.secret, &n)
	if !ok || clientID != p.clientID || !bytes.Equal(userData, p.userData[:]) {
		return DropForged
	}
	if s.connected(p.addr, clientID) {
		return DropDuplicate
	}
	if s.history.isSpent(p.mac) { // from another address, meanwhile
		delete(s.pending, p.addr)
		return DropUsed
	}
	slot, free := s.freeSlot()
	if !free {
		s.deny(p)
		return DropFull
	}
	id := ConnID((s.opened+1)*MaxClients + uint64(slot))
	if !s.sink.Connected(id, p.addr.client, &p.userData) {
		return DropBusy
	}
	s.opened++
	s.clients[slot] = client{peer: p.peer, id: id, received: now}
	s.byAddr[p.addr] = slot
	s.byID[clientID] = struct{}{}
	s.history.spend(p.mac)
	delete(s.pending, p.addr)
	s.keepAlive(now, slot)
	return DropNone
}

func (s *Server) freeSlot() (int, bool) {
	for slot := range s.clients {
		if s.clients[slot].id == 0 {
			return slot, true
		}
	}
	return 0, false
}
