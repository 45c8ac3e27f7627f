package netcode

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/throng-gg/throng"
)

// A token that leads through gateways names them to the client, and tells them,
// and nobody else, where its server is. That stands in the padding at the end
// of its private part: the padding's plain bytes are chosen so that what the
// seal makes of them is
//
//	a route    91 bytes: the number of the gateways' key; a nonce; sealed with
//	           that key: the server's address, and a key for marks
//	a mark     16 bytes: the tag of XChaCha20-Poly1305 under the key for marks
//	           and the token's nonce, over the token's version, protocol, expiry
//	           and all of the private part up to here
//
// A gateway, which cannot open the private part, reads both in the request. The
// server's seal covers them as well, and nobody reads what they decrypt to, so
// that a client or server of the standard alone notices nothing.
const (
	routePlain = 16 + 2 + KeySize
	// RouteSize is a route's.
	RouteSize = 1 + NonceSize + routePlain + tagSize
	markedAt  = privateSize - tagSize - tagSize   // where the mark stands in the private part
	routedAt  = markedAt - RouteSize              // where the route does
	routeAt   = 1 + publicHeadSize - 8 + routedAt // the same in a request
)

// MakeRoute tells gateways that hold a key where a server is, and how tokens for it are
// marked. The same arguments give the same bytes. number tells the gateways'
// keys apart, mark is the key for marks. Invalid: no address of a server.
func MakeRoute(key [KeySize]byte, number uint8, server netip.AddrPort, mark [KeySize]byte) ([]byte, error) {
	if !server.IsValid() || server.Addr().IsUnspecified() || server.Port() == 0 {
		return nil, throng.AtField(throng.Invalid, "server", "%s is no address that a gateway can reach", server)
	}
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "use gateway key: %w", err)
	}
	ip := server.Addr().As16()
	plain := append(make([]byte, 0, routePlain), ip[:]...)
	plain = binary.BigEndian.AppendUint16(plain, server.Port())
	plain = append(plain, mark[:]...)
	// The nonce follows from what is sealed, so that it is never another's.
	sum := hmac.New(sha256.New, key[:])
	sum.Write([]byte("throng route nonce 1"))
	sum.Write(plain)
	out := append(make([]byte, 0, RouteSize), number)
	out = append(out, sum.Sum(nil)[:NonceSize]...)
	return aead.Seal(out, out[1:], plain, out[:1]), nil
}

// mark puts route and mark into a sealed private part by way of its plain bytes:
// the padding is zeros, so what it was sealed to is what it is sealed with.
func (t *TokenConfig) mark(plain, sealed []byte, protocol uint64) error {
	if len(t.Route) != RouteSize {
		return throng.AtField(throng.Invalid, "route", "has %d bytes, a route has %d", len(t.Route), RouteSize)
	}
	aead, err := chacha20poly1305.NewX(t.MarkKey[:])
	if err != nil {
		return throng.Errorf(throng.Internal, "use key for marks: %w", err)
	}
	want := append(tokenData(protocol, t.Expire), sealed[:routedAt]...)
	want = append(want, t.Route...)
	want = aead.Seal(want, t.Nonce[:], nil, want)
	for i, b := range want[len(want)-RouteSize-tagSize:] {
		plain[routedAt+i] = sealed[routedAt+i] ^ b
	}
	return nil
}

// Routed is what a gateway reads in a request.
type Routed struct {
	// Server is where the client wants to go.
	Server netip.AddrPort
	// Expire is the token's end in Unix seconds.
	Expire uint64
	// Mark names the token: no two have the same.
	Mark [16]byte
}

// Routes reads requests. It is not safe for concurrent use.
type Routes struct {
	protocol uint64
	keys     map[uint8]cipher.AEAD
	// known are routes that were opened, which are as many as sessions. Full: all
	// are opened again.
	known map[[RouteSize]byte]*openRoute
	plain []byte
	data  []byte
}

type openRoute struct {
	server netip.AddrPort
	marks  cipher.AEAD
}

// routesKnown is how many are remembered, 400 bytes each.
const routesKnown = 8192

// NewRoutes returns what opens the routes of the given keys, by their numbers.
// protocol zero means Throng's.
func NewRoutes(keys map[uint8][KeySize]byte, protocol uint64) (*Routes, error) {
	if protocol == 0 {
		protocol = ProtocolID
	}
	r := &Routes{
		protocol: protocol, keys: make(map[uint8]cipher.AEAD), known: make(map[[RouteSize]byte]*openRoute),
		plain: make([]byte, 0, routePlain), data: make([]byte, 0, RequestSize),
	}
	for number, key := range keys {
		aead, err := chacha20poly1305.NewX(key[:])
		if err != nil {
			return nil, throng.Errorf(throng.Internal, "use gateway key: %w", err)
		}
		r.keys[number] = aead
	}
	return r, nil
}

// Read checks a request as far as a gateway can: that its token was made in this
// region and not changed since. Whether it expired is the caller's to say.
func (r *Routes) Read(datagram []byte) (Routed, Drop) {
	q, drop := parseRequest(datagram, r.protocol)
	if drop != DropNone {
		return Routed{}, drop
	}
	route, ok := r.known[[RouteSize]byte(datagram[routeAt:])]
	if !ok {
		route, ok = r.open(datagram[routeAt : routeAt+RouteSize])
	}
	if !ok {
		return Routed{}, DropForged
	}
	mark := q.private[markedAt : markedAt+tagSize]
	r.data = append(append(r.data[:0], q.data...), q.private[:markedAt]...)
	if _, err := route.marks.Open(r.plain[:0], q.nonce, mark, r.data); err != nil {
		return Routed{}, DropForged
	}
	return Routed{Server: route.server, Expire: q.expire(), Mark: [16]byte(mark)}, DropNone
}

// open opens a route that is not known.
func (r *Routes) open(sealed []byte) (*openRoute, bool) {
	key, ok := r.keys[sealed[0]]
	if !ok {
		return nil, false
	}
	plain, err := key.Open(r.plain[:0], sealed[1:1+NonceSize], sealed[1+NonceSize:], sealed[:1])
	if err != nil {
		return nil, false
	}
	marks, err := chacha20poly1305.NewX(plain[18:])
	if err != nil {
		return nil, false
	}
	server := netip.AddrPortFrom(netip.AddrFrom16([16]byte(plain)).Unmap(), binary.BigEndian.Uint16(plain[16:]))
	if len(r.known) >= routesKnown {
		clear(r.known)
	}
	found := &openRoute{server: server, marks: marks}
	r.known[[RouteSize]byte(sealed)] = found
	return found, true
}
