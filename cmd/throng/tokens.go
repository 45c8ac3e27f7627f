package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/netcode"
)

// What keys are derived from a secret of the ring for.
const (
	forJoins = "throng joins 1"
	forCodes = "throng codes 1"
	forLines = "throng lines 1"
	forEdge  = "throng gateways 1"
)

// secrets is all that follows from the region's ring of secrets: the tokens of
// the door, and the keys of sessions. Nothing else is stored. A session's name
// says which secret its keys follow from, so that they outlive a rotation.
type secrets struct {
	*auth.Ring
	keys     sessionKeys
	gateways []netip.AddrPort // before game servers; none: players connect to these
}

// sessionKeys remembers keys of sessions that players join now, each of which is
// needed for many tokens. Full: all are derived again.
type sessionKeys struct {
	mu sync.Mutex
	of map[sessionSecret][32]byte
}

type sessionSecret struct {
	secret  *auth.RingKey // one that was retired is asked for no more
	session throng.SessionID
}

const sessionKeysMost = 4096

func (k *sessionKeys) get(of sessionSecret) [32]byte {
	k.mu.Lock()
	key, ok := k.of[of]
	k.mu.Unlock()
	if ok {
		return key
	}
	key = wire.SessionKey(of.secret.Derive(forJoins), of.session)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of == nil || len(k.of) >= sessionKeysMost {
		k.of = make(map[sessionSecret][32]byte)
	}
	k.of[of] = key
	return key
}

// newKey is the number, modulo 256, of the secret that new sessions' keys
// follow from.
func (s *secrets) newKey() uint8 { return uint8(s.Signing().Number) }

// SessionKey derives the key that seals a session's join tokens. NotFound: its
// secret was retired.
func (s *secrets) SessionKey(id throng.SessionID) ([32]byte, error) {
	key, err := s.Numbered(id.Key())
	if err != nil {
		return [32]byte{}, fmt.Errorf("session %s: %w", id, err)
	}
	return s.keys.get(sessionSecret{key, id}), nil
}

// LineKey returns the key that signs places in line now.
func (s *secrets) LineKey() [32]byte { return s.Signing().Derive(forLines) }

// LineKeys returns the keys of all secrets that are in the ring.
func (s *secrets) LineKeys() [][32]byte {
	var keys [][32]byte
	for _, k := range s.Keys() {
		keys = append(keys, k.Derive(forLines))
	}
	return keys
}

// SessionCode derives a private session's code, so that nobody stores it. One
// whose secret was retired has a code that is not what the registry knows.
func (s *secrets) SessionCode(id throng.SessionID) string {
	key, err := s.Numbered(id.Key())
	if err != nil {
		key = s.Signing()
	}
	secret := key.Derive(forCodes)
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte(id))
	return throng.MakeCode(throng.Entropy(mac.Sum(nil)[:len(throng.Entropy{})]))
}

// CodeHash is what the registry keeps of a session's code.
func (s *secrets) CodeHash(id throng.SessionID) throng.CodeHash {
	return throng.HashCode(s.SessionCode(id))
}

// Route makes what gateways find a session's server by. Its key follows from the
// session's secret, as the session's own does.
func (s *secrets) Route(id throng.SessionID, server netip.AddrPort) (string, error) {
	if len(s.gateways) == 0 {
		return "", nil
	}
	secret, err := s.Numbered(id.Key())
	if err != nil {
		return "", fmt.Errorf("session %s: %w", id, err)
	}
	key, err := s.SessionKey(id)
	if err != nil {
		return "", err
	}
	route, err := netcode.MakeRoute(secret.Derive(forEdge), id.Key(), server, wire.MarkKey(key))
	return string(route), err
}

// gatewaysOf are the gateways as one token names them: clients try them in that
// order, and not all begin with the same.
func (s *secrets) gatewaysOf(nonce [netcode.NonceSize]byte) []netip.AddrPort {
	if len(s.gateways) == 0 {
		return nil
	}
	first := int(nonce[0]) % len(s.gateways)
	return slices.Concat(s.gateways[first:], s.gateways[:first])
}

// gatewayKeys are what gateways open routes with, by the number of the secret that
// each follows from.
func (s *secrets) gatewayKeys() map[uint8][netcode.KeySize]byte {
	keys := make(map[uint8][netcode.KeySize]byte)
	for _, k := range s.Keys() {
		keys[uint8(k.Number)] = k.Derive(forEdge)
	}
	return keys
}

// CheckJoinToken says whether a token is of a session and has not expired.
func (s *secrets) CheckJoinToken(id throng.SessionID, token []byte) error {
	key, err := s.SessionKey(id)
	if err != nil {
		return throng.Errorf(throng.Denied, "the token is not valid any more")
	}
	_, err = netcode.OpenToken(token, key, 0, time.Now())
	return err
}

// JoinToken makes the token of one member of a grant, the same each time: all
// that goes into it follows from the grant and its session's binding.
func (s *secrets) JoinToken(a throng.Assignment, m throng.Member) ([]byte, error) {
	g := a.Grant
	expires := g.TokenExpiry(a.Session.BoundAt)
	claims, err := wire.AppendClaims(nil, wire.Claims{
		Session:   g.Session,
		Player:    m.Player,
		Epoch:     m.Epoch,
		Expires:   expires.UnixMilli(),
		Version:   g.Version,
		Key:       g.Key,
		PartySize: uint8(len(g.Members)),
		// By names, because they need not be those of the session's version.
		Attributes: g.AttributesOf(m.Player),
	})
	if err != nil {
		return nil, fmt.Errorf("join token: %w", err)
	}
	key, err := s.SessionKey(g.Session)
	if err != nil {
		return nil, err
	}
	route, err := s.Route(g.Session, a.Session.Address)
	if err != nil {
		return nil, err
	}
	up, down, nonce := wire.ConnKeys(key, g.Nonce, m.Player, []byte(route))
	var mark [netcode.KeySize]byte
	if route != "" { // else there is nothing to mark
		mark = wire.MarkKey(key)
	}
	// netcode counts in seconds: it gets the whole second after the exact end,
	// which stands in the claims and is what the game server holds to.
	end := uint64(expires.Add(time.Second - 1).Unix())
	return netcode.MakeToken(netcode.TokenConfig{
		Key:            key,
		Create:         end - uint64(throng.TokenTime/time.Second),
		Expire:         end,
		Nonce:          nonce,
		ClientID:       binary.LittleEndian.Uint64(nonce[:]),
		Servers:        []netip.AddrPort{a.Session.Address},
		ClientToServer: up,
		ServerToClient: down,
		UserData:       [netcode.UserDataSize]byte(claims),
		Gateways:       s.gatewaysOf(nonce),
		Route:          []byte(route),
		MarkKey:        mark,
	})
}
